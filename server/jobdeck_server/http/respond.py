"""Answers: from a ``Response`` to the bytes on the wire. The one place that decides how an answer is framed.

Bytes and file slices go out with Content-Length; an iterator is chunked, or ends by close for HTTP/1.0. h11 makes the
framing; its parts are told apart by type, since their number differs (chunked three, HTTP/1.0 one, empty none).

A file slice passes through h11 as an object that only has a length, and leaves by sendfile. Its chunk's last two bytes
go out at once rather than with the next chunk's head: the next piece of a live log may be hours away, and at 1 MiB a
chunk the extra call is not measurable.

The last chunk is a promise that all was delivered. Whatever prevents that ends in ``CutError``, and the connection ends
without the last chunk.
"""

from __future__ import annotations

import time
from functools import lru_cache
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import h11
import trio

from jobdeck_server.http.message import FileSlice
from jobdeck_server.http.wire import ShortFileError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from jobdeck_server.http.message import Piece, Response
    from jobdeck_server.http.wire import Wire

# Up to this size head and body leave as one buffer: joining is cheaper than a second entry for the kernel.
JOIN_LIMIT_BYTES = 64 * 1024
CLOSE_LIMIT_S = 5.0  # for an iterator to clean up after itself
BODILESS = frozenset({204, 304})
REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
END = h11.EndOfMessage()
MADE_HERE = frozenset({"date", "content-length", "transfer-encoding", "connection"})


class CutError(Exception):
    """An answer was begun and cannot be ended as promised: the connection must end without the last chunk."""


@lru_cache(maxsize=2)
def date_of(second: int) -> bytes:
    """The Date header of a second since 1970, made once for all answers of that second. Source: RFC 9110, 5.6.7."""
    return time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(second)).encode()


def make_head(response: Response, *, close: bool) -> h11.Response:
    """The head of an answer; h11 adds Transfer-Encoding and what the request demands of Connection.

    Raises:
        h11.LocalProtocolError: A header cannot be sent: a bug of the handler.
        UnicodeEncodeError: The same.
    """
    headers = [
        (name.encode("ascii"), value.encode("latin-1"))
        for name, value in response.headers
        if name.lower() not in MADE_HERE
    ]
    headers.append((b"Date", date_of(int(time.time()))))
    if response.status not in BODILESS:
        if isinstance(response.body, bytes | FileSlice):
            headers.append((b"Content-Length", b"%d" % len(response.body)))
        elif isinstance(response.body, tuple):
            headers.append((b"Content-Length", b"%d" % sum(map(len, response.body))))
    if close:
        headers.append((b"Connection", b"close"))
    return h11.Response(status_code=response.status, headers=headers, reason=REASONS.get(response.status, b""))


async def finish(response: Response) -> None:
    """Free what an answer holds: its iterator is closed, then its ``close`` is called.

    Shielded, with a limit: a client that has gone, or a shutdown, must not leave a watch or a file open.
    """
    try:
        aclose = getattr(response.body, "aclose", None)
        if aclose is not None:
            with trio.CancelScope(deadline=trio.current_time() + CLOSE_LIMIT_S, shield=True):
                await aclose()
    finally:
        if response.close is not None:
            response.close()


class Responder:
    """Sends one answer on one connection.

    Attributes:
        begun: The head was made; another answer is no longer possible.
        done: All of it was given to the kernel.
    """

    __slots__ = ("_conn", "_head_only", "_trailers", "_wire", "begun", "done")

    def __init__(self, wire: Wire, conn: h11.Connection, *, head_only: bool, trailers: bool) -> None:
        self._wire = wire
        self._conn = conn
        self._head_only = head_only
        self._trailers = trailers
        self.begun = False
        self.done = False

    async def send(self, response: Response, *, close: bool) -> None:
        """Send an answer, without closing what it holds (``finish``).

        Args:
            response: What to send.
            close: Tell the client that the connection ends with it.

        Raises:
            CutError: The body ended before its time; the error behind it is its cause.
            OSError: The client has gone or stalled.
            h11.LocalProtocolError, UnicodeEncodeError: The head is not legal; nothing was sent.
        """
        event = make_head(response, close=close)
        self.begun = True
        head = self._conn.send(event)
        body = response.body
        if self._head_only or response.status in BODILESS:
            await self._wire.send(head + self._conn.send(END))
        elif isinstance(body, bytes):
            await self._send_bytes(head, body)
        elif isinstance(body, FileSlice | tuple):
            first, *others = (body,) if isinstance(body, FileSlice) else body or (b"",)
            await self._send_piece(first, head)
            for piece in others:
                await self._send_piece(piece, b"")
            await self._wire.send(self._conn.send(END))
        else:
            await self._wire.send(head)
            await self._send_pieces(body)
            await self._wire.send(self._conn.send(self._end(response)))
        self.done = True

    async def _send_bytes(self, head: bytes, body: bytes) -> None:
        data = self._conn.send(h11.Data(data=body)) if body else b""
        end = self._conn.send(END)
        if len(data) <= JOIN_LIMIT_BYTES:
            await self._wire.send(head + data + end)
        else:
            await self._wire.send_parts((head, data, end))

    async def _send_pieces(self, pieces: AsyncIterator[Piece]) -> None:
        while True:
            try:
                piece = await anext(pieces)
            except StopAsyncIteration:
                return
            except Exception as error:
                raise CutError("the source of the body failed") from error
            await self._send_piece(piece, b"")
            await trio.lowlevel.checkpoint()

    async def _send_piece(self, piece: Piece, head: bytes) -> None:
        """Send one piece in its framing, after ``head``."""
        if isinstance(piece, bytes):
            framed = self._conn.send_with_data_passthrough(h11.Data(data=piece)) if piece else []
            await self._wire.send_parts((head, *(framed or ())))
            return
        before, after = self._frame(piece)
        try:
            await self._wire.send_slice(head + before, piece, after)
        except ShortFileError as error:
            raise CutError("a file is shorter than promised") from error

    def _frame(self, piece: FileSlice) -> tuple[bytes, bytes]:
        """What goes before and after the bytes of a file: a chunk's two lines, or nothing."""
        if not piece.length:
            return b"", b""
        # h11 asks no more of its data than a length, and hands the very object back among its parts
        parts: Sequence[object] = self._conn.send_with_data_passthrough(h11.Data(data=cast("bytes", piece))) or ()
        at = parts.index(piece)
        before, after = ([part for part in side if isinstance(part, bytes)] for side in (parts[:at], parts[at + 1 :]))
        return b"".join(before), b"".join(after)

    def _end(self, response: Response) -> h11.EndOfMessage:
        if response.trailers is None or not self._trailers:
            return END
        try:
            return h11.EndOfMessage(headers=[(name, value) for name, value in response.trailers()])
        except Exception as error:
            raise CutError("the trailers failed") from error
