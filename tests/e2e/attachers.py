"""Clients of attach, on trio: over HTTP, over the subprotocol and raw; each compares what comes while it comes."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_client_stream

from jobdeck_protocol import attach as wire
from jobdeck_protocol.session import ClientSession
from tests.e2e.wire import Chunks, request

RECEIVE_BYTES = 1 << 20
CLOSE_LIMIT_S = 5.0


class Exact:
    """What must come; every piece is compared with its place in it.

    Attributes:
        at: Offset of the next byte.
    """

    def __init__(self, expected: bytes, at: int = 0) -> None:
        self.expected = expected
        self.at = at
        self._bell = trio.Event()

    def take(self, data: bytes | memoryview) -> None:
        end = self.at + len(data)
        assert self.expected[self.at : end] == bytes(data), f"wrong bytes between {self.at} and {end}"
        self.at = end
        self._bell.set()
        self._bell = trio.Event()

    async def beyond(self, at: int) -> None:
        """Wait until more than ``at`` bytes have come."""
        while self.at <= at:
            await self._bell.wait()

    @property
    def whole(self) -> bool:
        return self.at == len(self.expected)


async def connect(port: int) -> trio.SocketStream:
    return await trio.open_tcp_stream("127.0.0.1", port)


async def over_http(port: int, job_id: str, exact: Exact, *, stream: trio.SocketStream | None = None) -> Chunks:
    """Attach at ``exact.at`` and read to the end of the connection; all of it is there if the result has ``ended``."""
    chunks = Chunks()
    async with stream or await connect(port) as opened:
        await opened.send_all(request("GET", f"/{job_id}/attach?offset={exact.at}"))
        head = b""
        while b"\r\n\r\n" not in head:
            data = await opened.receive_some(RECEIVE_BYTES)
            assert data, head
            head += data
        head, _, rest = head.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 "), head
        assert f"Jobdeck-Offset: {exact.at}".encode() in head.split(b"\r\n")
        with contextlib.suppress(trio.BrokenResourceError):
            while True:
                for piece in chunks.feed(rest):
                    exact.take(piece)
                if not (rest := bytes(await opened.receive_some(RECEIVE_BYTES))):
                    break
    return chunks


async def dropping(port: int, job_id: str, exact: Exact, *, every_s: float) -> int:
    """Attach over HTTP, drop the connection after a while and attach again, to the end; returns how often."""
    for count in itertools.count():
        with trio.move_on_after(every_s):
            if (await over_http(port, job_id, exact)).ended:
                return count
    raise AssertionError


@contextlib.asynccontextmanager
async def websocket(
    url: str, *protocols: str, headers: list[tuple[bytes, bytes]] | None = None
) -> AsyncIterator[WebSocketConnection]:
    """A WebSocket on an http URL; a closed one does not matter when leaving.

    trio-websocket's own opener leaves the socket open when the server closes first, so the stream is held here.
    """
    parts = urlsplit(url)
    async with await connect(parts.port or 80) as stream, trio.open_nursery() as nursery:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        opened = await wrap_client_stream(
            nursery, stream, parts.netloc, target, subprotocols=protocols, extra_headers=headers
        )
        yield opened
        with contextlib.suppress(ConnectionClosed), trio.move_on_after(CLOSE_LIMIT_S):
            await opened.aclose()
        nursery.cancel_scope.cancel()


def closed_with(opened: WebSocketConnection) -> tuple[int, str]:
    """Code and reason of the other end's close."""
    assert opened.closed is not None
    return int(opened.closed.code), opened.closed.reason or ""


async def over_raw(url: str, job_id: str, exact: Exact, query: str = "") -> tuple[int, str]:
    """Attach without a subprotocol; how the connection was closed."""
    async with websocket(f"{url}/{job_id}/attach{query or f'?offset={exact.at}'}") as opened:
        with contextlib.suppress(ConnectionClosed):
            while True:
                data = await opened.get_message()
                assert isinstance(data, bytes)
                exact.take(data)
        return closed_with(opened)
    raise AssertionError


async def over_cbor(
    url: str, job_id: str, exact: Exact, session: ClientSession | None = None
) -> tuple[wire.Exit | None, tuple[int, str]]:
    """Attach with the subprotocol, granting credit as data comes; the exit message if it came, and the close."""
    session = session or ClientSession(offset=exact.at)
    ended: wire.Exit | None = None
    async with websocket(f"{url}/{job_id}/attach", wire.SUBPROTOCOL) as opened:
        with contextlib.suppress(ConnectionClosed):
            await opened.send_message(session.begin())
            while True:
                message = session.receive(await opened.get_message())
                if isinstance(message, wire.Output):
                    exact.take(message.data)
                    session.taken(message)
                    if (credit := session.credit()) is not None:
                        await opened.send_message(credit)
                elif isinstance(message, wire.Exit):
                    ended = message
        return ended, closed_with(opened)
    raise AssertionError
