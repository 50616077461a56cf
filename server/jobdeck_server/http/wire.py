"""The socket loop: every byte of a client connection goes through a ``Wire``, or a ``TlsWire`` (see ``tls``).

A plain non-blocking socket is asked first and only waited for when it would block: ``trio.SocketStream`` costs twice as
much per request, and it has neither ``sendmsg`` nor ``sendfile``. Sending has a stall limit, not a limit of the whole:
an answer may take hours as long as the client takes some of it every ``stall_s``. That scope is made only when the
socket is full, so a quick client never pays for it.

An end can be three things here, and they are not the same to a client: ``close`` (all was said), ``linger`` (all was
said, but the client may still be sending: the answer must not be destroyed by the reset that unread bytes cause), and
``reset`` (what was sent is **not** all, and nothing else would tell it).
"""

from __future__ import annotations

import errno
import math
import os
import select
import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_server.http.message import FileSlice

# A slice up to this size is read and goes out with its frame in one call; above it sendfile's saved copy wins.
COPY_LIMIT_BYTES = 16 * 1024
# Where the kernel cannot pass pages on (some file systems), blocks of this size are copied; larger ones fault in anew.
COPY_BYTES = 256 * 1024
NO_SENDFILE = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
# Most buffers one sendmsg takes on Linux (IOV_MAX).
BUFFERS_LIMIT_COUNT = 1024
LINGER_LIMIT_BYTES = 32 * 1024 * 1024
RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class StallError(OSError):
    """The client has taken nothing for the time that it is given."""


class ShortFileError(Exception):
    """A file has fewer bytes than were promised of it; what was promised can no longer be kept."""


class Wire:
    """One non-blocking stream socket.

    Attributes:
        sock: Plain and non-blocking; owned by this object.
        stall_s: How long a full socket may stay full, ``math.inf`` for ever.
        sent_bytes: All that was sent so far.
    """

    __slots__ = ("_chunk_bytes", "_receive_bytes", "closed", "sent_bytes", "sock", "stall_s")

    def __init__(self, sock: socket.socket, *, receive_bytes: int, chunk_bytes: int, stall_s: float = math.inf) -> None:
        self.sock = sock
        self.stall_s = stall_s
        self.sent_bytes = 0
        self.closed = False
        self._receive_bytes = receive_bytes
        self._chunk_bytes = chunk_bytes

    async def receive(self, limit_bytes: int | None = None) -> bytes:
        """The next bytes, ``b""`` at the end of the client's side.

        Always a checkpoint, so that a client that sends fast does not starve the others.

        Raises:
            OSError: The connection broke.
        """
        size = limit_bytes or self._receive_bytes
        try:
            data = self.sock.recv(size)
        except BlockingIOError:
            pass
        else:
            await trio.lowlevel.cancel_shielded_checkpoint()  # shielded, or the bytes would be lost
            return data
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                return self.sock.recv(size)
            except BlockingIOError:
                continue

    async def receive_into(self, room: memoryview) -> int:
        """Wait for the next bytes and put them there, as many as have come; how many that is, 0 at the client's end.

        Raises:
            OSError: The connection broke.
        """
        while (count := self.receive_now(room)) is None:
            await trio.lowlevel.wait_readable(self.sock)
        return count

    def receive_now(self, room: memoryview) -> int | None:
        """Put what has come there, without waiting; None if that is nothing, 0 at the end of the client's side.

        Raises:
            OSError: The connection broke.
        """
        taken = 0
        while taken < len(room):
            try:
                count = self.sock.recv_into(room[taken:])
            except BlockingIOError:
                return taken or None
            if not count:
                break  # the end, which is told once more when it is asked for
            taken += count
        return taken

    async def _writable(self) -> None:
        if self.stall_s == math.inf:
            await trio.lowlevel.wait_writable(self.sock)
            return
        with trio.move_on_after(self.stall_s) as scope:
            await trio.lowlevel.wait_writable(self.sock)
        if scope.cancelled_caught:
            raise StallError("the client takes nothing")

    def send_now(self, data: bytes | memoryview, *, more: bool = False) -> int:
        """Send what fits without waiting; ``more`` says that further bytes follow at once.

        Returns:
            Bytes taken, 0 if the socket is full.

        Raises:
            OSError: The connection broke.
        """
        try:
            count = self.sock.send(data, socket.MSG_MORE if more else 0)
        except BlockingIOError:
            return 0
        self.sent_bytes += count
        return count

    async def send(self, data: bytes, *, more: bool = False) -> None:
        """Send all of ``data``. No checkpoint if it fits.

        Raises:
            OSError: The connection broke, or ``StallError``.
        """
        count = self.send_now(data, more=more)
        if count == len(data):
            return
        view = memoryview(data)[count:]
        while view:
            await self._writable()
            view = view[self.send_now(view, more=more) :]

    async def send_parts(self, parts: Sequence[bytes]) -> None:
        """Send several buffers, as many with one call as the kernel takes. No checkpoint if they fit.

        Raises:
            OSError: The connection broke, or ``StallError``.
        """
        left: list[bytes | memoryview] = [part for part in parts if part]
        while left:
            try:
                count = self.sock.sendmsg(left[:BUFFERS_LIMIT_COUNT])
            except BlockingIOError:
                await self._writable()
                continue
            self.sent_bytes += count
            done = 0
            while done < len(left) and count >= len(left[done]):
                count -= len(left[done])
                done += 1
            del left[:done]
            if count:
                left[0] = memoryview(left[0])[count:]

    async def send_slice(self, head: bytes, piece: FileSlice, tail: bytes = b"") -> None:
        """Send ``head``, the bytes of a file, ``tail``: the large ones by sendfile, never held back for what follows.

        A checkpoint after each piece of ``chunk_bytes``, so that a fast reader does not starve the others.

        Raises:
            ShortFileError: The file has fewer bytes than the slice says; the client has got a part of them.
            OSError: The connection broke, or ``StallError``.
        """
        if piece.length <= COPY_LIMIT_BYTES:
            await self.send_parts((head, read_exactly(piece.fd, piece.offset, piece.length), tail))
            return
        if head:
            await self.send(head, more=True)
        offset, end = piece.offset, piece.offset + piece.length
        while offset < end:
            goal = min(offset + self._chunk_bytes, end)
            await self._send_range(piece.fd, offset, goal)
            offset = goal
            await trio.lowlevel.checkpoint()
        if tail:
            await self.send(tail)

    async def _send_range(self, fd: int, offset: int, end: int) -> None:
        while offset < end:
            try:
                count = os.sendfile(self.sock.fileno(), fd, offset, end - offset)
            except BlockingIOError:
                await self._writable()
                continue
            except OSError as error:
                if error.errno not in NO_SENDFILE:
                    raise
                count = min(COPY_BYTES, end - offset)
                await self.send(read_exactly(fd, offset, count))
                offset += count
                continue
            if count == 0:
                raise ShortFileError(f"{end - offset} promised bytes are not there")
            self.sent_bytes += count
            offset += count

    async def gone(self) -> None:
        """Wait until the client has ended or lost its side.

        Unread bytes (a pipelined request) make a socket readable for ever, so once there are some only the end itself
        is waited for: EPOLLRDHUP by an epoll set of its own, which trio can wait for as for any descriptor.
        """
        while True:
            await trio.lowlevel.wait_readable(self.sock)
            try:
                if self.sock.recv(1, socket.MSG_PEEK):
                    break
            except BlockingIOError:
                continue
            except OSError:
                return
            return
        await self._hung_up()

    async def _hung_up(self) -> None:
        with select.epoll() as watch:
            watch.register(self.sock.fileno(), select.EPOLLRDHUP)
            await trio.lowlevel.wait_readable(watch.fileno())

    def end(self) -> None:
        """Say that nothing more will be sent (FIN)."""
        with suppress(OSError):
            self.sock.shutdown(socket.SHUT_WR)

    async def linger(self, timeout_s: float) -> None:
        """End, then read and drop what the client still sends, for a bounded time and amount, then close."""
        dropped = 0
        try:
            with trio.move_on_after(timeout_s):
                await self._end_all()
                while dropped < LINGER_LIMIT_BYTES and (data := await Wire.receive(self)):
                    dropped += len(data)
                    await trio.lowlevel.checkpoint_if_cancelled()
        except OSError:
            pass  # reset by the client: it has closed, which is what was waited for
        finally:
            self.close()

    async def _end_all(self) -> None:
        """``end``, once the last byte of what was said has gone."""
        self.end()

    def reset(self) -> None:
        """Close with a reset, which tells the client that what it got is not all."""
        if not self.closed:
            with suppress(OSError):
                self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
        self.close()

    def close(self) -> None:
        """Close at once; tasks that wait for the socket get ``trio.ClosedResourceError``. May be called again."""
        if not self.closed:
            self.closed = True
            trio.lowlevel.notify_closing(self.sock)
            self.sock.close()


def read_exactly(fd: int, offset: int, length: int) -> bytes:
    """``length`` bytes of a file from ``offset`` on.

    Raises:
        ShortFileError: It has fewer.
    """
    data = os.pread(fd, length, offset)
    while len(data) < length:
        more = os.pread(fd, length - len(data), offset + len(data))
        if not more:
            raise ShortFileError(f"{length - len(data)} promised bytes are not there")
        data += more
    return data


def prepare(sock: socket.socket) -> None:
    """Set what every client connection needs: no waiting for full segments, and dead peers are found out."""
    sock.setblocking(False)
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)


def set_user_timeout(sock: socket.socket, timeout_s: float) -> None:
    """Bound how long sent bytes may stay unacknowledged; 0 for the kernel's own patience.

    Linux counts a closed receive window too, though its owner answers every probe (seen: a paused reader was cut after
    3.6 s with a limit of 3 s). So it must be 0 wherever a client may stop reading for as long as it likes.
    """
    if sock.family in (socket.AF_INET, socket.AF_INET6):
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, round(timeout_s * 1000))
