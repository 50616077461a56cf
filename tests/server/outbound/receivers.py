"""Programs on loopback that are called: one that remembers, and says what a test wants it to say."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from pathlib import Path

import trio

from jobdeck_server.core.outbound.classes import IPAddress
from jobdeck_server.core.outbound.door import Door
from jobdeck_server.core.outbound.rules import Rules
from jobdeck_server.settings import Settings

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass(frozen=True)
class Got:
    """A request as it came."""

    line: str
    headers: dict[str, str]
    body: bytes


Say = Callable[[Got, trio.abc.Stream], Awaitable[None]]


async def fine(got: Got, stream: trio.abc.Stream) -> None:
    await stream.send_all(OK)


def saying(*parts: bytes) -> Say:
    async def say(got: Got, stream: trio.abc.Stream) -> None:
        for part in parts:
            await stream.send_all(part)

    return say


@dataclass
class Receiver:
    """Where it listens, and what came: connections, whatever was said on them, and whole requests."""

    port: int
    say: Say
    contacts: int = 0
    got: list[Got] = field(default_factory=list)

    def url(self, path: str = "/", *, scheme: str = "http", host: str = "127.0.0.1") -> str:
        return f"{scheme}://{host}:{self.port}{path}"


async def _read(stream: trio.abc.Stream) -> Got | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some(65536)
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    pieces, left = [body], int(headers.get("content-length", "0")) - len(body)
    while left > 0:
        piece = await stream.receive_some(65536)
        if not piece:
            return None
        pieces.append(bytes(piece))
        left -= len(piece)
    return Got(lines[0], headers, b"".join(pieces))


@asynccontextmanager
async def receiver(
    say: Say = fine, *, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    """A receiver that closes the connection after each answer."""
    listeners = await trio.open_tcp_listeners(port, host=host)
    own = Receiver(listeners[0].socket.getsockname()[1], say)

    async def serve(plain: trio.SocketStream) -> None:
        own.contacts += 1
        stream: trio.abc.Stream = plain if tls is None else trio.SSLStream(plain, tls, server_side=True)
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            got = await _read(stream)
            if got is not None:
                own.got.append(got)
                await own.say(got, stream)
                await stream.aclose()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield own
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def talking(handler: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[int]:
    """A server of another kind; its port. A client that goes is no fault."""

    async def serve(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            await handler(stream)

    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        nursery.start_soon(trio.serve_listeners, serve, listeners)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


def resolver(**names: Sequence[str] | Callable[[], Sequence[str]]) -> Callable[[str, int], list[IPAddress]]:
    """Names with dots for underscores, and their addresses, or what says them at each look-up."""

    def look_up(host: str, port: int) -> list[IPAddress]:
        found = names.get(host.replace(".", "_"))
        if found is None:
            raise OSError("no such name")
        return [ip_address(text) for text in (found() if callable(found) else found)]

    return look_up


def settings_of(folder: Path, **changes: object) -> Settings:
    given = {"sync": "normal", **changes}
    return replace(Settings(data_dir=folder), **given)  # type: ignore[arg-type]  # a test's own


def door_of(
    settings: Settings,
    patterns: Sequence[str] | None = None,
    *,
    schemes: Sequence[str] = ("http", "https", "ftp"),
    loopback_only: bool = True,
    own: Sequence[tuple[str, int]] = (),
    names: Callable[[str, int], list[IPAddress]] | None = None,
    context: ssl.SSLContext | None = None,
) -> Door:
    rules = Rules(schemes, patterns, loopback_only=loopback_only, setting="a_setting")
    return Door(settings, rules, own=own, resolver=names or resolver(), context=context)
