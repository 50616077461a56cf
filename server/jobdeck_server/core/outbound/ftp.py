"""One file by ftp: anonymous, binary, passive. The data come from the very address that the door has checked.

What a server says of addresses (``PASV``) is not read but for the port, ``EPSV`` is asked first and has no address.
Ports below 1024 are refused for data: nothing that listens there speaks ftp data. Nothing of a URL reaches a command
that is not plain bytes of a path, so no command can be smuggled in.

Source: RFC 959, RFC 2428, RFC 3659 section 4 (``SIZE``).
"""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import trio

from jobdeck_server.core.outbound.errors import FailedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jobdeck_server.core.outbound.door import Door, Line
    from jobdeck_server.core.outbound.urls import Url

_RECEIVE_BYTES = 64 * 1024
_REPLY_LIMIT_BYTES = 16 * 1024  # of one reply, however many lines it has
_PORT_LEAST = 1024
_REPLY = re.compile(rb"([1-5][0-9]{2})( |-|$)")
_EXTENDED = re.compile(rb"\(([!-~])\1\1([0-9]{1,5})\1\)")
_PASSIVE = re.compile(rb"[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},[0-9]{1,3},([0-9]{1,3}),([0-9]{1,3})")
_TYPE = re.compile(rb";type=[aid]$", re.IGNORECASE)


@asynccontextmanager
async def retrieve(
    door: Door, url: Url, line: Line
) -> AsyncGenerator[tuple[int | None, AsyncGenerator[bytes, None]], None]:
    """A file's length, if the server knows it, and its bytes; they are whole when the iterator ends.

    Args:
        door: By which the data are fetched.
        url: What it is; the path is below the folder that the server shows to anybody.
        line: The connection for the commands.

    Raises:
        RefusedError: The path holds bytes that no command may have.
        FailedError: The server said no, or what came is not whole.
    """
    path = _path(url)
    talk = _Talk(line.stream, url)
    await talk.greet()
    size_bytes = await talk.size(path)
    port = await talk.passive()
    if not _PORT_LEAST <= port < 65536:
        raise RefusedError(f"{url.place} offers its data at a port below {_PORT_LEAST}.")
    async with door.connect_beside(url, line, port) as data:
        await talk.ask(b"RETR " + path, b"1")
        yield size_bytes, _pieces(talk, data, size_bytes)


async def _pieces(talk: _Talk, data: Line, size_bytes: int | None) -> AsyncGenerator[bytes, None]:
    count = 0
    try:
        while piece := await data.stream.receive_some(_RECEIVE_BYTES):
            count += len(piece)
            yield bytes(piece)
    except trio.BrokenResourceError as error:
        raise FailedError(f"{talk.url.place} broke off the file.") from error
    await talk.reply(b"2")
    if size_bytes is not None and count != size_bytes:
        raise FailedError(f"{talk.url.place} sent {count} bytes of a file of {size_bytes}.")


def _path(url: Url) -> bytes:
    """The path as commands say it: that of the URL without its slash, and so relative to where the server begins."""
    path = _TYPE.sub(b"", unquote_to_bytes(url.path.removeprefix("/")))
    if url.query:
        raise RefusedError("An ftp address has no query.")
    if not path or any(byte < 0x20 or byte == 0x7F for byte in path):
        raise RefusedError("The path of the ftp address is empty, or has control characters in it.")
    return path


class _Talk:
    """Commands and replies."""

    def __init__(self, stream: trio.abc.Stream, url: Url) -> None:
        self._stream = stream
        self.url = url
        self._held = b""

    async def greet(self) -> None:
        """Log in as nobody in particular, and ask for bytes as they are."""
        await self.reply(b"2")
        code, _ = await self.ask(b"USER anonymous", b"23")
        if code.startswith(b"3"):
            await self.ask(b"PASS jobdeck@", b"2")
        await self.ask(b"TYPE I", b"2")

    async def size(self, path: bytes) -> int | None:
        """How long a file is, None if the server does not say."""
        code, text = await self.ask(b"SIZE " + path, b"2345")
        digits = text[4:].strip()
        return int(digits) if code == b"213" and digits.isdigit() and len(digits) < 20 else None

    async def passive(self) -> int:
        """The port where the data will be."""
        code, text = await self.ask(b"EPSV", b"245")
        if code == b"229" and (match := _EXTENDED.search(text)) is not None:
            return int(match[2])
        code, text = await self.ask(b"PASV", b"2")
        match = _PASSIVE.search(text)
        if match is None:
            raise FailedError(f"{self.url.place} does not say where its data are.")
        return (int(match[1]) << 8) + int(match[2])

    async def ask(self, command: bytes, wanted: bytes) -> tuple[bytes, bytes]:
        """Say a command, and have its reply."""
        try:
            await self._stream.send_all(command + b"\r\n")
        except trio.BrokenResourceError as error:
            raise FailedError(f"{self.url.place} broke the connection.") from error
        return await self.reply(wanted)

    async def reply(self, wanted: bytes) -> tuple[bytes, bytes]:
        """The next reply: its code and its last line.

        Args:
            wanted: What its first digit may be.

        Raises:
            FailedError: It is another one, or none.
        """
        left_bytes = _REPLY_LIMIT_BYTES
        first: bytes | None = None
        while True:
            text = await self._line(left_bytes)
            left_bytes -= len(text) + 1
            match = _REPLY.match(text)
            if first is None:
                if match is None:
                    raise FailedError(f"{self.url.place} does not speak ftp.")
                first = match[1]
            if match is not None and match[1] == first and match[2] != b"-":
                break
        if first[:1] not in (wanted[i : i + 1] for i in range(len(wanted))):
            raise FailedError(f"{self.url.place} refused: its answer was {first.decode()}.")
        return first, text

    async def _line(self, limit_bytes: int) -> bytes:
        while b"\n" not in self._held:
            if len(self._held) > limit_bytes:
                raise FailedError(f"{self.url.place} says too much.")
            try:
                data = await self._stream.receive_some(_RECEIVE_BYTES)
            except trio.BrokenResourceError as error:
                raise FailedError(f"{self.url.place} broke the connection.") from error
            if not data:
                raise FailedError(f"{self.url.place} closed the connection.")
            self._held += data
        text, _, self._held = self._held.partition(b"\n")
        if len(text) > limit_bytes:
            raise FailedError(f"{self.url.place} says too much.")
        return text.rstrip(b"\r")
