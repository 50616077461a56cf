"""``TlsWire``: a ``Wire`` whose bytes are encrypted, and the handshake that makes one of an accepted socket.

OpenSSL is given memory to read from and to write to, never the socket. So reading and writing stay apart (whatever is
read may have to be answered by a record of TLS itself, such as a key update), a sender that is cancelled leaves nothing
half-done within OpenSSL, and the socket is waited for exactly as a plain one is. What was encrypted and has no room in
the socket waits here, one block at most, and goes out before anything else.

An end without ``close_notify`` is taken for an end: every message here says its own length (HTTP, WebSocket), so one
that was cut is found out above. We ourselves say ``close_notify`` whenever what was sent is whole, and only then.

Source: RFC 8446 sections 4.6 and 6.1; SSL_read(3), SSL_shutdown(3).
"""

from __future__ import annotations

import math
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, cast

import trio

from jobdeck_server.http.wire import Wire, read_exactly

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from jobdeck_server.http.message import FileSlice
    from jobdeck_server.http.service import Service

# Encrypted, or read from the socket, at one time: OpenSSL keeps this much memory for good on both ways, so no more.
BLOCK_BYTES = 64 * 1024
RECORD_BYTES = 16 * 1024  # the most that one record holds
HANDSHAKE = 0x16  # the first byte of any client that speaks TLS
_TEXT = b"This port speaks TLS: use https://\n"
PLAIN = b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s" % (
    len(_TEXT),
    _TEXT,
)


class NotTlsError(Exception):
    """The client does not speak TLS."""


class TlsWire(Wire):
    """One TLS connection on a non-blocking stream socket, the server's side; see ``Wire`` for what it promises.

    ``sent_bytes`` counts what was encrypted, which goes out before all that follows it.
    """

    __slots__ = ("_early", "_fault", "_incoming", "_left", "_outgoing", "_tls", "_whole")

    def __init__(
        self,
        sock: socket.socket,
        context: ssl.SSLContext,
        *,
        receive_bytes: int,
        chunk_bytes: int,
        stall_s: float = math.inf,
    ) -> None:
        super().__init__(sock, receive_bytes=receive_bytes, chunk_bytes=chunk_bytes, stall_s=stall_s)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._left = memoryview(b"")  # encrypted, taken out of ``_outgoing``, and not yet by the socket
        self._early = b""  # decrypted by ``gone``, for whoever receives next
        self._fault: OSError | None = None  # met while there was something to give; raised when there is not
        self._whole = False  # the handshake is done, nothing broke off, and no end was said

    # the handshake

    async def handshake(self) -> None:
        """Do the whole handshake; bounded by nothing here.

        Raises:
            NotTlsError: The client speaks something else.
            OSError: It failed, ``ssl.SSLError`` mostly; the client has been sent why as far as that goes.
        """
        first = await Wire.receive(self, BLOCK_BYTES)
        if first and first[0] != HANDSHAKE:
            raise NotTlsError
        self._feed(first)
        try:
            while not self._shake():
                await self._flush()
                self._feed(await Wire.receive(self, BLOCK_BYTES))
        except ssl.SSLError:
            self._flush_now()
            raise
        await self._flush()
        self._whole = True

    def _shake(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        return True

    # receiving

    def _feed(self, data: bytes) -> None:
        if data:
            self._incoming.write(data)
        else:
            self._incoming.write_eof()

    def _fetch(self) -> bool:
        """Take from the socket what has come, one block at most; whether anything has, its end among it."""
        try:
            self._feed(self.sock.recv(BLOCK_BYTES))
        except BlockingIOError:
            self._answer()
            return False
        except OSError as error:
            self._fault = error
        return True

    def _answer(self) -> None:
        """Send what reading has made OpenSSL say, as far as that goes; the rest goes with what is sent next."""
        if self._outgoing.pending:
            with suppress(OSError):
                self._flush_now()

    def _decrypt(self, room: memoryview) -> int | None:
        """Put the next decrypted bytes there, of one record at most; 0 at the end, None if nothing more has come.

        Raises:
            OSError: The connection broke, or what came is no TLS.
        """
        while True:
            try:
                return cast("int", self._tls.read(len(room), room))  # a number, where there is room given
            except ssl.SSLWantReadError:
                if self._fault is not None:
                    raise self._fault from None
                if not self._fetch():
                    return None
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return 0

    async def receive(self, limit_bytes: int | None = None) -> bytes:
        """See ``Wire.receive``."""
        size = limit_bytes or self._receive_bytes
        data = self._receive_some(size)
        if data is not None:
            await trio.lowlevel.cancel_shielded_checkpoint()  # shielded, or the bytes would be lost
            return data
        while data is None:
            await trio.lowlevel.wait_readable(self.sock)
            data = self._receive_some(size)
        return data

    def _receive_some(self, size: int) -> bytes | None:
        """Like ``receive_now``, in memory of its own, of which there is none while nothing comes."""
        pieces: list[bytes] = []
        taken = 0
        while taken < size:
            room = bytearray(min(RECORD_BYTES, size - taken))
            try:
                count = self.receive_now(memoryview(room))
            except OSError:
                if pieces:
                    break  # it is raised again by the next call
                raise
            if count is None and not pieces:
                return None
            if not count:
                break
            pieces.append(bytes(memoryview(room)[:count]))
            taken += count
            if count < len(room):
                break
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def receive_now(self, room: memoryview) -> int | None:
        """See ``Wire.receive_now``."""
        taken = min(len(self._early), len(room))
        room[:taken], self._early = self._early[:taken], self._early[taken:]
        while taken < len(room):
            try:
                count = self._decrypt(room[taken:])
            except OSError as error:
                self._whole = False
                self._fault = error
                self._answer()
                if taken:
                    break
                raise
            if count is None:
                return taken or None
            if not count:
                break
            taken += count
        return taken

    async def gone(self) -> None:
        """See ``Wire.gone``; the end that TLS says counts too."""
        await trio.lowlevel.checkpoint()
        try:
            while not self._early:
                data = self._receive_some(1)
                if data is None:
                    await trio.lowlevel.wait_readable(self.sock)
                elif data:
                    self._early = data
                else:
                    return
        except OSError:
            return
        await self._hung_up()

    # sending

    def _flush_now(self) -> bool:
        """Send what was encrypted, as far as that goes; whether that was all."""
        while self._left or self._outgoing.pending:
            if not self._left:
                self._left = memoryview(self._outgoing.read())
            try:
                self._left = self._left[self.sock.send(self._left) :]
            except BlockingIOError:
                return False
        return True

    async def _flush(self) -> None:
        while not self._flush_now():
            await self._writable()

    def send_now(self, data: bytes | memoryview, *, more: bool = False) -> int:
        """See ``Wire.send_now``; at most one block, of which the last part may wait here for the next call."""
        del more  # records go out as they are made
        if not self._flush_now():
            return 0
        count = self._tls.write(memoryview(data)[:BLOCK_BYTES])  # takes all: there is always memory
        self.sent_bytes += count
        self._flush_now()
        return count

    async def send(self, data: bytes, *, more: bool = False) -> None:
        """See ``Wire.send``."""
        view = memoryview(data)
        try:
            while view:
                if count := self.send_now(view, more=more):
                    view = view[count:]
                else:
                    await self._writable()
            await self._flush()
        except BaseException:
            self._whole = False  # the client must not be told that this was all
            raise

    async def send_parts(self, parts: Sequence[bytes]) -> None:
        """See ``Wire.send_parts``. Joined first: many small records cost more than the copy."""
        await self.send(b"".join(parts))

    async def send_slice(self, head: bytes, piece: FileSlice, tail: bytes = b"") -> None:
        """See ``Wire.send_slice``; a file is read a block at a time, since the kernel cannot encrypt it."""
        offset, end = piece.offset, piece.offset + piece.length
        while head or offset < end:
            count = min(BLOCK_BYTES - len(head) if len(head) < BLOCK_BYTES else 0, end - offset)
            block = read_exactly(piece.fd, offset, count) if count else b""
            offset += count
            if offset == end and tail:
                block, tail = block + tail, b""
            await self.send(head + block if head else block)
            head = b""
            if offset // self._chunk_bytes != (offset - count) // self._chunk_bytes:
                await trio.lowlevel.checkpoint()
        if tail:
            await self.send(tail)

    # the end

    def end(self) -> None:
        """See ``Wire.end``. If the socket is full, ``linger`` does it when there is room."""
        self._say_end()
        with suppress(OSError):
            if self._flush_now():
                super().end()

    def _say_end(self) -> None:
        """Say ``close_notify``, if all that was said before it is whole."""
        if self._whole:
            self._whole = False
            with suppress(OSError):  # it wants the client's too, which nobody waits for
                self._tls.unwrap()

    async def _end_all(self) -> None:
        self._say_end()
        await self._flush()
        super().end()

    def reset(self) -> None:
        """See ``Wire.reset``."""
        self._whole = False
        super().reset()

    def close(self) -> None:
        """See ``Wire.close``; with a word that this is the end, if the socket takes it at once."""
        if self._whole and not self.closed:
            self.end()
        super().close()


async def secure(sock: socket.socket, context: ssl.SSLContext, service: Service, *, peer: str) -> TlsWire | None:
    """Make a TLS connection of an accepted socket, or tell the log in one line why not and close it.

    Args:
        sock: Accepted and prepared.
        context: Of the server.
        service: Its limits: the handshake has the time of a request's head.
        peer: For the log.
    """
    settings = service.settings
    wire = TlsWire(
        sock,
        context,
        receive_bytes=settings.receive_size_bytes,
        chunk_bytes=settings.sendfile_chunk_bytes,
        stall_s=settings.send_timeout_s,
    )
    try:
        why = await _try_handshake(wire, service)
        if why is None:
            return wire
        service.log.info("no TLS", extra={"fields": {"peer": peer, "error": why}})
        # What was said last must not be destroyed by what the client has sent since.
        await wire.linger(settings.linger_timeout_s)
    except BaseException:
        wire.close()
        raise
    return None


async def _try_handshake(wire: TlsWire, service: Service) -> str | None:
    """Why it failed, None if it has not."""
    with trio.move_on_after(service.settings.head_timeout_s) as scope, service.shutdown.told(scope.cancel):
        try:
            await wire.handshake()
        except NotTlsError:
            with suppress(OSError):
                wire.sock.send(PLAIN)  # the first bytes of a connection always have room
            return "the client does not speak TLS"
        except ssl.SSLError as error:
            return str(error)
        except OSError as error:
            return error.strerror or str(error)
        return None
    return "the server ends" if service.shutdown.begun else "it came too slowly"
