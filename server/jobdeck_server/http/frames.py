"""The stream under a WebSocket: trio-websocket's frames and our own go through it, one whole frame at a time.

trio-websocket keeps the handshake, ping, close and all reading. Data frames do not pass through it: its way of sending
copies each message several times and cannot send a file. A server's frames are not masked, so a frame is 2 to 10 bytes
before the payload, and those are written here, under the same lock that trio-websocket's control frames take.

After the handshake everything that trio-websocket sends is one control frame per call; a close frame is known by its
first byte, and after it no data frame leaves. A frame that broke off half-way (a cancelled sender) leaves the stream
``torn``: whatever came next would be taken for its payload, so nothing does.

Source: RFC 6455 sections 5.2 and 5.5.1.
"""

from __future__ import annotations

import struct
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import trio

from jobdeck_server.http.wire import BUFFERS_LIMIT_COUNT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobdeck_server.http.message import FileSlice
    from jobdeck_server.http.wire import Wire

TEXT, BINARY, CLOSE = 0x1, 0x2, 0x8
FINAL = 0x80
# An idle connection holds no buffer at all: it waits first and allocates then. Small messages are read with the small
# size; a read that comes back full is a sign of a large one, where size decides the price (4 KiB: 4 times the CPU).
RECEIVE_SMALL_BYTES = 16 * 1024
RECEIVE_LARGE_BYTES = 256 * 1024
FAREWELL_LIMIT_S = 1.0


def frame_head(opcode: int, length: int) -> bytes:
    """The head of a whole, unmasked frame with a payload of ``length`` bytes."""
    if length < 126:
        return bytes((FINAL | opcode, length))
    if length < 1 << 16:
        return struct.pack("!BBH", FINAL | opcode, 126, length)
    return struct.pack("!BBQ", FINAL | opcode, 127, length)


class FrameStream(trio.abc.Stream):
    """What trio-websocket takes for its transport.

    Args:
        wire: Stays the caller's, who closes it.
        head: A handshake request, which trio-websocket reads first.
        rest: What the client sent behind its handshake; read once the handshake is answered.

    Attributes:
        ended: Set when no data frame can leave any more: a close frame was sent, or the connection broke.
        torn: A frame broke off; not even a close frame can follow.
        close_sent: A close frame went out.
    """

    def __init__(self, wire: Wire, *, head: bytes, rest: bytes) -> None:
        self._wire = wire
        self._lock = trio.Lock()
        self._head = head
        self._rest = rest
        self._answered = trio.Event()
        self._receive_bytes = RECEIVE_SMALL_BYTES
        self._closed = False
        self.ended = trio.Event()
        self.torn = False
        self.close_sent = False

    # what trio-websocket calls

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """The next bytes; ``max_bytes`` is not looked at, the size follows the traffic."""
        if self._head:
            head, self._head = self._head, b""
            return head
        await self._answered.wait()
        if self._rest:
            rest, self._rest = self._rest, b""
            return rest
        if self._closed:
            raise trio.ClosedResourceError
        data = await self._receive()
        full = len(data) == self._receive_bytes
        self._receive_bytes = RECEIVE_LARGE_BYTES if full else RECEIVE_SMALL_BYTES
        if not data:
            self.ended.set()
        return data

    async def _receive(self) -> bytes:
        try:
            return await self._wire.receive(self._receive_bytes)
        except OSError as error:
            self.ended.set()
            raise trio.BrokenResourceError from error

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send the handshake's answer, then one control frame a call."""
        async with self._lock:
            if self._closed:
                raise trio.ClosedResourceError
            if self.torn:
                raise trio.BrokenResourceError
            if self._answered.is_set() and data[:1] == bytes((FINAL | CLOSE,)):
                self.close_sent = True
                self.ended.set()
            try:
                with self._whole():
                    await self._wire.send(bytes(data))
            except OSError as error:
                raise trio.BrokenResourceError from error
            self._answered.set()

    async def wait_send_all_might_not_block(self) -> None:
        """Part of the interface; trio-websocket does not call it."""
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        """Say that nothing more is sent. The socket stays open, so that the client can read what was."""
        self._closed = True
        self.ended.set()
        if self.close_sent and not self.torn:
            self._wire.end()
        await trio.lowlevel.checkpoint()

    async def farewell(self, code: int) -> None:
        """Send a close frame although the stream is closed, if there was none and one can still be sent.

        trio-websocket ends the connection without one after a protocol error, and the client would not know why.
        """
        if self.close_sent or self.torn:
            return
        with trio.move_on_after(FAREWELL_LIMIT_S), suppress(OSError):
            async with self._lock:
                await self._wire.send(frame_head(CLOSE, 2) + struct.pack("!H", code))
                self.close_sent = True

    # our own data frames

    async def send_frames(self, frames: Sequence[tuple[int, bytes]]) -> None:
        """Send whole frames of (opcode, payload), with as few calls of the kernel as it takes.

        Raises:
            trio.ClosedResourceError: A close frame went out before; nothing was sent.
            trio.BrokenResourceError: The connection broke.
        """
        parts = [part for opcode, payload in frames for part in (frame_head(opcode, len(payload)), payload)]
        await trio.lowlevel.checkpoint()
        for at in range(0, len(parts), BUFFERS_LIMIT_COUNT):
            async with self._lock:
                self._check()
                try:
                    with self._whole():
                        await self._wire.send_parts(parts[at : at + BUFFERS_LIMIT_COUNT])
                except OSError as error:
                    raise trio.BrokenResourceError from error

    async def send_file(self, prefix: bytes, piece: FileSlice) -> None:
        """Send one binary frame: ``prefix``, then bytes of a file.

        Raises:
            ShortFileError: The file has fewer bytes; the stream is torn if the frame was begun.
            trio.ClosedResourceError, trio.BrokenResourceError: See ``send_frames``.
        """
        head = frame_head(BINARY, len(prefix) + piece.length) + prefix
        await trio.lowlevel.checkpoint()
        async with self._lock:
            self._check()
            try:
                with self._whole():
                    await self._wire.send_slice(head, piece)
            except OSError as error:
                raise trio.BrokenResourceError from error

    def _check(self) -> None:
        if self.torn:
            raise trio.BrokenResourceError
        if self.ended.is_set():
            raise trio.ClosedResourceError

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """Notice that a frame was begun and not ended."""
        before = self._wire.sent_bytes
        try:
            yield
        except BaseException:
            if self._wire.sent_bytes != before:
                self.torn = True
                self.ended.set()
            raise
