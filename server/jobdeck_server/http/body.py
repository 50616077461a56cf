"""Request bodies: read once, in order, within limits, and never past their end.

h11 copies what goes through it, which costs more than to hash it. A body of a known and large length needs nothing of
h11: its bytes go past it (``past_h11``), and the connection takes a new h11 for the next request.

``ChunkScanner`` follows the framing of a chunked body beside h11, which decodes it, for two reasons. h11 takes a bare
LF as the end of a trailer line and unfolds trailers, which is room for smuggling; and by knowing where the body ends
h11 is never given a byte of the next request.

Waiting for the client is bounded by a rate: it may be slow for ``body_grace_s``, and from then on must have sent
``body_rate_floor_bytes_per_s`` on average. Only the time spent waiting counts: a handler that is slow to take the body
is not the client's fault.

Source: RFC 9112 sections 6 and 7, RFC 9110 section 10.1.1 (100-continue).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import h11
import trio

from jobdeck_server.http.errors import BadMessageError, BodyTooLargeError, PeerGoneError, RequestTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobdeck_server.http.head import HeadBuffer
    from jobdeck_server.http.message import Headers
    from jobdeck_server.http.wire import Wire
    from jobdeck_server.settings import Settings

CHUNK_HEAD = re.compile(rb"([0-9A-Fa-f]{1,16})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?\r\n")
TRAILER = re.compile(rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*\r\n")
CHUNK_HEAD_LIMIT_BYTES = 256  # extensions are read by nobody, and 1-byte chunks with long ones only cost
TRAILERS_LIMIT_BYTES = 4096
# Of a body with a length, read with one call: the size at which receiving costs least
BLOCK_BYTES = 256 * 1024
# From this length on a new h11 costs less than what goes through the old one.
PAST_H11_BYTES = 64 * 1024


class ChunkScanner:
    """Where a chunked body ends, and whether its framing is written in the one way that nobody misreads.

    Attributes:
        done: The blank line after the trailers has been seen.
    """

    __slots__ = ("_left", "_line", "_trailer_bytes", "_trailing", "done")

    def __init__(self) -> None:
        self._left = 0  # bytes of the current chunk still to come, its CRLF included
        self._line = b""  # a line that has not ended yet
        self._trailing = False
        self._trailer_bytes = 0
        self.done = False

    def scan(self, data: bytes) -> int:
        """Follow ``data``.

        Returns:
            How many of its bytes belong to the body; fewer than all only when ``done``.

        Raises:
            BadMessageError: The framing is broken or ambiguous.
        """
        at = 0
        while at < len(data) and not self.done:
            if self._left > 2:
                step = min(self._left - 2, len(data) - at)
                self._left -= step
                at += step
            elif self._left:
                if data[at] != (0x0D, 0x0A)[2 - self._left]:
                    raise BadMessageError("A chunk is longer than it says.")
                self._left -= 1
                at += 1
            else:
                at += self._scan_line(data, at)
        return at

    def _scan_line(self, data: bytes, at: int) -> int:
        end = data.find(b"\n", at) + 1
        piece = data[at : end or len(data)]
        self._line += piece
        if len(self._line) > (TRAILERS_LIMIT_BYTES if self._trailing else CHUNK_HEAD_LIMIT_BYTES):
            raise BadMessageError("A line of the chunked body's framing is too long.")
        if end:
            line, self._line = self._line, b""
            if self._trailing:
                self._take_trailer(line)
            else:
                self._take_size(line)
        return len(piece)

    def _take_size(self, line: bytes) -> None:
        match = CHUNK_HEAD.fullmatch(line)
        if match is None:
            raise BadMessageError("A chunk's size is not one.")
        size = int(match[1], 16)
        self._trailing = size == 0
        self._left = size + 2 if size else 0

    def _take_trailer(self, line: bytes) -> None:
        self._trailer_bytes += len(line)
        if line == b"\r\n":
            self.done = True
        elif TRAILER.fullmatch(line) is None or self._trailer_bytes > TRAILERS_LIMIT_BYTES:
            raise BadMessageError("A trailer field is not one, or there are too many.")


class RequestBody:
    """The body of the request whose head h11 has just read; see ``message.Body``.

    Attributes:
        past_h11: h11 is told nothing of this body, and so cannot go on to a next request.
        done: All of it was read.
    """

    def __init__(
        self, *, conn: h11.Connection, wire: Wire, buffer: HeadBuffer, headers: Headers, settings: Settings
    ) -> None:
        self._conn = conn
        self._wire = wire
        self._buffer = buffer
        self._settings = settings
        fields = dict(headers)
        self._scanner = ChunkScanner() if "transfer-encoding" in fields else None
        self._left = int(fields.get("content-length", "0"))  # not yet received; 0 if chunked
        self.past_h11 = self._left >= PAST_H11_BYTES
        self._waited_s = 0.0
        self._received_bytes = 0
        self._broken: Exception | None = None
        self._rest = b""  # of a piece that had no room
        self.done = False
        if self._scanner is None and not self._left:
            self._finish()

    @property
    def cheap(self) -> bool:
        """Whether an unread rest may be read past: the client is sending it, and it is not known to be long."""
        return not self._conn.they_are_waiting_for_100_continue and self._left <= self._settings.drain_limit_bytes

    @property
    def broken(self) -> bool:
        """Whether reading failed; nothing that comes from this client has a meaning any more."""
        return self._broken is not None

    async def read(self, limit_bytes: int) -> bytes:
        """See ``message.Body.read``."""
        if self._left > limit_bytes:
            raise BodyTooLargeError(limit_bytes)
        pieces: list[bytes] = []
        count = 0
        while (piece := await self._next()) is not None:
            count += len(piece)
            if count > limit_bytes:
                raise BodyTooLargeError(limit_bytes)
            pieces.append(piece)
        return b"".join(pieces)

    def __aiter__(self) -> AsyncIterator[bytes]:
        """See ``message.Body.__aiter__``. Not a generator: one that is left half-way would have to be closed."""
        return self

    async def __anext__(self) -> bytes:
        """The next piece."""
        if (piece := await self._next()) is None:
            raise StopAsyncIteration
        return piece

    async def read_into(self, room: memoryview) -> int:
        """See ``message.Body.read_into``."""
        if not self.past_h11:
            data = self._rest or await self._next() or b""
            count = min(len(data), len(room))
            room[:count], self._rest = data[:count], data[count:]
            return count
        if self._broken is not None:
            raise self._broken
        try:
            return 0 if self.done else await self._next_into(room[: self._left])
        except (BadMessageError, RequestTimeoutError, PeerGoneError) as error:
            self._broken = error
            raise

    async def drain(self) -> bool:
        """Read past what is left, if it is little.

        Returns:
            Whether the next request can follow.
        """
        if self.done:
            return True
        if self.broken or not self.cheap:
            return False
        count = 0
        while (piece := await self._next()) is not None:
            count += len(piece)
            if count > self._settings.drain_limit_bytes:
                return False
        return True

    async def _next(self) -> bytes | None:
        if self._broken is not None:
            raise self._broken
        try:
            return await self._next_piece()
        except (BadMessageError, RequestTimeoutError, PeerGoneError) as error:
            self._broken = error
            raise

    async def _next_piece(self) -> bytes | None:
        if self.past_h11:
            return None if self.done else await self._next_block()
        while not self.done:
            try:
                event = self._conn.next_event()
            except h11.RemoteProtocolError as error:
                raise BadMessageError("The body is broken.") from error
            if type(event) is h11.Data:
                return bytes(event.data)
            if type(event) is h11.EndOfMessage:
                self.done = True
            else:
                await self._more()
        return None

    def _finish(self) -> None:
        """Take h11 past the end of a request without a body, so that no reader is needed for it."""
        event = self._conn.next_event()
        assert type(event) is h11.EndOfMessage, event
        self.done = True

    async def _next_into(self, room: memoryview) -> int:
        """More of a body that does not go through h11."""
        data = self._buffer.take(len(room))
        count = len(data)
        room[:count] = data
        if not count:
            await self._go_on()
            count = await self._receive_into(room)
        self._left -= count
        self._received_bytes += count
        self.done = not self._left
        return count

    async def _next_block(self) -> bytes:
        block = bytearray(min(self._left, BLOCK_BYTES))
        count = await self._next_into(memoryview(block))
        return bytes(memoryview(block)[:count])

    async def _more(self) -> None:
        """Give h11 more of the body."""
        data = await self._some(self._settings.receive_size_bytes if self._scanner else min(self._left, BLOCK_BYTES))
        if self._scanner is None:
            self._left -= len(data)
        else:
            mine = self._scanner.scan(data)
            self._buffer.put_back(data[mine:])
            data = data[:mine]
        self._received_bytes += len(data)
        self._conn.receive_data(data)

    async def _some(self, wanted: int) -> bytes:
        """Bytes that have come already, or some from the client."""
        data = self._buffer.take(wanted)
        if not data:
            await self._go_on()
            block = memoryview(bytearray(wanted))
            data = bytes(block[: await self._receive_into(block)])
        return data

    async def _go_on(self) -> None:
        """Tell a client that waits for it to send the body."""
        if self._conn.they_are_waiting_for_100_continue:
            go_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            try:
                await self._wire.send(self._conn.send(go_on))
            except OSError as error:
                raise PeerGoneError from error

    async def _receive_into(self, room: memoryview) -> int:
        """Bytes from the client, not before their time is up. Always a checkpoint.

        Raises:
            BadMessageError: Its side ended before the body did.
            PeerGoneError: The connection broke.
            RequestTimeoutError: It is slower than the floor.
        """
        try:
            count = self._wire.receive_now(room)
            if count is None:
                count = await self._wait_into(room)
            else:
                await trio.lowlevel.cancel_shielded_checkpoint()  # shielded, or the bytes would be lost
        except OSError as error:
            raise PeerGoneError from error
        if not count:
            raise BadMessageError("The body ended early.")
        return count

    async def _wait_into(self, room: memoryview) -> int:
        settings = self._settings
        allowed_s = settings.body_grace_s + self._received_bytes / settings.body_rate_floor_bytes_per_s
        started_s = trio.current_time()
        count = 0
        with trio.move_on_after(allowed_s - self._waited_s) as scope:
            count = await self._wire.receive_into(room)
        self._waited_s += trio.current_time() - started_s
        if scope.cancelled_caught:
            raise RequestTimeoutError("The request body came too slowly.")
        return count
