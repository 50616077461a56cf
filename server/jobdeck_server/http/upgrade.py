"""From a handshake that h11 has read to an open WebSocket, and ``Socket``, which is all that a channel sees of one.

The handshake is checked here, so that what is wrong with it is told as any HTTP error. trio-websocket is then given a
handshake of our own making with the same key: no byte of the client's head is parsed twice, and no extension is
offered, so there is no compression (no bomb, and our own frames are legal).

A connection ends in one of these ways: the channel returns or calls ``close``; the client closes; its machine takes no
ping; the server ends (1001); the channel has a bug (1011). In each the other end gets a close frame if one can
still be sent, and is given ``ws_close_timeout_s`` to answer it.

A client that is slow, or does not read at all, is not a dead one: no pong is no reason to close while its machine
acknowledges what is sent.

Source: RFC 6455 sections 4.2, 5.5 and 7.
"""

from __future__ import annotations

import base64
import binascii
import socket as sockets
import struct
from functools import partial
from typing import TYPE_CHECKING

import trio
import wsproto.utilities
from trio_websocket import ConnectionClosed, WebSocketConnection, wrap_server_stream

from jobdeck_server.http.errors import HandshakeError, VersionError
from jobdeck_server.http.frames import BINARY, TEXT, FrameStream
from jobdeck_server.http.message import FileSlice

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_server.http.message import Request, Upgrade
    from jobdeck_server.http.service import Service
    from jobdeck_server.http.wire import Wire
    from jobdeck_server.settings import Settings

NORMAL, GOING_AWAY, ABNORMAL, TOO_LARGE, BUG = 1000, 1001, 1006, 1009, 1011
TCP_INFO_BYTES = 104
TCP_WORD = struct.Struct("I")
UNACKED_AT, LAST_ACK_AT = 24, 56  # tcpi_unacked in segments, tcpi_last_ack_recv in ms
REASON_LIMIT_BYTES = 123  # a control frame's 125 less the code


class SocketClosed(Exception):
    """The WebSocket is closed, by whichever end.

    Attributes:
        code: Of the close frame; 1006 if there was none.
        reason: Of the close frame.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


# the handshake


def wants_upgrade(request: Request) -> bool:
    """Whether a request asks for a WebSocket, well or badly; for routes that answer plain HTTP too."""
    return any("websocket" in _tokens(value) for name, value in request.headers if name == "upgrade")


def offered(request: Request) -> tuple[str, ...]:
    """The subprotocols that the client offers, in its order."""
    values = [value for name, value in request.headers if name == "sec-websocket-protocol"]
    return tuple(part.strip() for value in values for part in value.split(",") if part.strip())


def check_handshake(request: Request) -> None:
    """Refuse what is not a handshake of RFC 6455.

    Raises:
        HandshakeError: It is none, or ``VersionError``.
    """
    connection = [value for name, value in request.headers if name == "connection"]
    if request.method != "GET" or request.http10 or not wants_upgrade(request):
        raise HandshakeError("A WebSocket handshake is needed here.")
    if not any("upgrade" in _tokens(value) for value in connection):
        raise HandshakeError("Connection does not name Upgrade.")
    if request.header("sec-websocket-version") != "13":
        raise VersionError
    keys = [value for name, value in request.headers if name == "sec-websocket-key"]
    if len(keys) != 1 or not _is_key(keys[0]):
        raise HandshakeError("Sec-WebSocket-Key is not 16 bytes in base64.")


def _tokens(value: str) -> list[str]:
    return [part.strip().lower() for part in value.split(",")]


def _is_key(value: str) -> bool:
    try:
        return len(base64.b64decode(value, validate=True)) == 16
    except (binascii.Error, ValueError):
        return False


def _handshake(request: Request, subprotocol: str | None) -> bytes:
    """The handshake for trio-websocket, with the client's key and nothing else of it."""
    lines = [
        "GET / HTTP/1.1",
        "Host: localhost",
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {request.header('sec-websocket-key')}",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode("ascii")


# the open connection


class Socket:
    """An open WebSocket, as a channel sees it.

    Sending and receiving may be done by two tasks at once. Every send raises ``SocketClosed`` once a close frame went
    out either way, so a channel that only sends must look at ``closed`` while it has nothing to send.

    Attributes:
        subprotocol: The one agreed on, None for none.
        closed: Set when nothing can be sent any more.
    """

    def __init__(
        self, ws: WebSocketConnection, stream: FrameStream, *, subprotocol: str | None, limit_bytes: int, close_s: float
    ) -> None:
        self.subprotocol = subprotocol
        self.closed = stream.ended
        self._ws = ws
        self._stream = stream
        self._limit_bytes = limit_bytes
        self._close_s = close_s
        self._said: SocketClosed | None = None  # what this end closed with

    async def receive(self) -> bytes | str:
        """The next message; those that came before the client's close frame come first.

        Raises:
            SocketClosed: There will be no more.
        """
        try:
            message = await self._ws.get_message()
        except ConnectionClosed:
            raise self._why() from None
        # trio-websocket counts characters of text; a byte is what the limit is about
        if isinstance(message, str) and len(message.encode()) > self._limit_bytes:
            await self.close(TOO_LARGE, "The message is too long.")
            raise self._why()
        return message

    async def send(self, data: bytes | str) -> None:
        """Send one message, binary or text.

        Raises:
            SocketClosed: The connection is closed; the message may not have arrived.
        """
        frame = (BINARY, data) if isinstance(data, bytes) else (TEXT, data.encode())
        try:
            await self._stream.send_frames([frame])
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise self._why() from None

    async def send_many(self, messages: Sequence[bytes]) -> None:
        """Send binary messages, together.

        Raises:
            SocketClosed: See ``send``.
        """
        try:
            await self._stream.send_frames([(BINARY, message) for message in messages])
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise self._why() from None

    async def send_file(self, prefix: bytes, fd: int, offset: int, length: int) -> None:
        """Send one binary message: ``prefix``, then ``length`` bytes of an open file from ``offset`` on.

        Raises:
            ShortFileError: The file has fewer bytes; the connection cannot be used any more.
            SocketClosed: See ``send``.
        """
        try:
            await self._stream.send_file(prefix, FileSlice(fd, offset, length))
        except (trio.ClosedResourceError, trio.BrokenResourceError):
            raise self._why() from None

    async def close(self, code: int = NORMAL, reason: str = "") -> None:
        """Close, and wait for the client's close frame, not for ever. Of several calls the first one counts.

        Args:
            code: 1000 to 4999, one that may be sent (not 1005, 1006, 1015).
            reason: Cut at 123 bytes.
        """
        if self._said is None and self._ws.closed is None and not self.closed.is_set():
            self._said = SocketClosed(code, reason)
        try:
            with trio.move_on_after(self._close_s):
                await self._ws.aclose(code, _cut(reason))
        except (ConnectionClosed, wsproto.utilities.LocalProtocolError):
            pass  # the client was quicker
        self.closed.set()

    def _why(self) -> SocketClosed:
        said = self._ws.closed
        if self._said is not None:
            return self._said
        if said is None:
            return SocketClosed(ABNORMAL)
        return SocketClosed(int(said.code), said.reason or "")

    async def keep_alive(self, settings: Settings, wire: Wire) -> None:
        """Ping, and close when the client's machine is gone; runs until cancelled or closed.

        A client that does not read is legal, and so is one that never answers a ping: only TCP can tell it from one
        whose machine has vanished (see ``_vanished``).
        """
        while not self.closed.is_set():
            await trio.sleep(settings.ws_ping_s)
            asked_s = trio.current_time()
            try:
                with trio.move_on_after(settings.ws_ping_timeout_s) as scope:
                    await self._ws.ping()
            except (ConnectionClosed, wsproto.utilities.LocalProtocolError):
                return
            if scope.cancelled_caught and _vanished(wire, trio.current_time() - asked_s):
                await self.close(BUG, "no answer to a ping")
                return

    async def farewell(self) -> None:
        """After the end: tell the client why, if trio-websocket did not."""
        code = self._why().code
        if code != ABNORMAL:
            await self._stream.farewell(code)


def _vanished(wire: Wire, silent_s: float) -> bool:
    """Whether bytes are under way that nothing has acknowledged for so long; a full receiver acknowledges probes.

    Source: tcp(7), TCP_INFO, and its struct in linux/tcp.h.
    """
    try:
        info = wire.sock.getsockopt(sockets.IPPROTO_TCP, sockets.TCP_INFO, TCP_INFO_BYTES)
    except OSError:
        return True  # the connection is broken already
    unacknowledged_count, last_ack_ms = (
        TCP_WORD.unpack_from(info, UNACKED_AT)[0],
        TCP_WORD.unpack_from(info, LAST_ACK_AT)[0],
    )
    return bool(unacknowledged_count) and last_ack_ms >= silent_s * 1000


def _cut(reason: str) -> str:
    return reason.encode()[:REASON_LIMIT_BYTES].decode("utf-8", "ignore")


async def serve_upgrade(wire: Wire, request: Request, upgrade: Upgrade, *, rest: bytes, service: Service) -> bool:
    """Talk WebSocket on a connection until it is closed; the socket itself is left to the caller.

    Args:
        wire: The connection, at the end of the handshake request.
        request: The handshake, checked by ``check_handshake``.
        upgrade: What to run on it.
        rest: Bytes that the client sent after its handshake.
        service: Limits, the log, and the wish to end.

    Returns:
        Whether the last frame is whole, so that what was sent can be read to its end.
    """
    settings = service.settings
    stream = FrameStream(wire, head=_handshake(request, upgrade.subprotocol), rest=rest)
    try:
        async with trio.open_nursery() as nursery:
            asked = await wrap_server_stream(nursery, stream, max_message_size=upgrade.message_limit_bytes)
            ws = await asked.accept(subprotocol=upgrade.subprotocol)
            socket = Socket(
                ws,
                stream,
                subprotocol=upgrade.subprotocol,
                limit_bytes=upgrade.message_limit_bytes,
                close_s=settings.ws_close_timeout_s,
            )
            leave = partial(nursery.start_soon, socket.close, GOING_AWAY, "The server is shutting down.")
            with service.shutdown.told(leave):
                nursery.start_soon(socket.keep_alive, settings, wire)
                await _run(upgrade, socket, request, service)
                await socket.farewell()
            nursery.cancel_scope.cancel()
    except* (ConnectionClosed, wsproto.utilities.LocalProtocolError):
        pass  # trio-websocket's reader met the end of the connection while it was answering something
    return not stream.torn


async def _run(upgrade: Upgrade, socket: Socket, request: Request, service: Service) -> None:
    """Run a channel to its end and close: 1000, or 1011 if it has a bug."""
    code = NORMAL
    try:
        await upgrade.run(socket)
    except* SocketClosed:
        pass
    except* Exception as bug:
        service.log.error("bug", exc_info=bug, extra={"fields": {"path": request.path, "peer": request.peer}})
        code = BUG
    await socket.close(code)
