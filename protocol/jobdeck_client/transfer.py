"""How bytes of blobs go up and down: in pieces, hashed on the way, taken up again where a connection broke."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Callable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Self

import trio

from jobdeck_client.errors import FileChangedError, ServerFaultError, UnreachableError
from jobdeck_client.lines import leave

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator
    from pathlib import Path

    from jobdeck_client.requests import Requests

__all__ = ["RESUME_LIMIT_S", "Part", "Progress", "Source", "as_they_come", "counted", "open_pieces", "read"]

RESUME_LIMIT_S = 30.0
"""A download is taken up again for so long without a byte more."""
_RESUME_DELAY_S = 0.25
_PIECE_BYTES = 1024 * 1024

Progress = Callable[[int, int | None], None]
"""Called with the bytes that are done and, where it is known, how many there are."""


@dataclass(frozen=True, slots=True)
class Source:
    """Where bytes come from: ``etag`` is the hash of a file, empty for a zip, which differs each time."""

    path: str
    etag: str
    size_bytes: int | None


class Part:
    """A download that is not yet whole; used as a context manager, by one task."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._waiting: list[bytes] = []  # to be written together
        self.size_bytes = 0

    @classmethod
    async def open(cls, path: Path, *, most_bytes: int) -> Part:
        """Open it; what an earlier run left is kept, unless it is more than there may be."""

        def work() -> Part:
            fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
            if os.fstat(fd).st_size > most_bytes:
                os.ftruncate(fd, 0)
            part = cls(path, os.fdopen(fd, "r+b", buffering=0))
            while data := part._file.read(_PIECE_BYTES):
                part._sha1.update(data)
                part.size_bytes += len(data)
            return part

        return await trio.to_thread.run_sync(work)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        with self._file:
            self._flush()
        if not self.size_bytes:
            with suppress(FileNotFoundError):
                self._path.unlink()

    async def write(self, data: bytes) -> None:
        """Take the next bytes. Nothing that was taken is lost when the download is left."""
        self._waiting.append(data)
        self.size_bytes += len(data)
        if sum(map(len, self._waiting)) >= _PIECE_BYTES:
            await trio.to_thread.run_sync(self._flush)

    def _flush(self) -> None:
        data, self._waiting = b"".join(self._waiting), []
        self._sha1.update(data)
        left = memoryview(data)
        while left:
            left = left[self._file.write(left) :]

    async def keep(self, target: Path, digest: str) -> bool:
        """It is whole: give it its name, if it has this SHA-1, or there is none to compare it with."""

        def work() -> bool:
            self._flush()
            if digest not in ("", self._sha1.hexdigest()):
                return False
            umask = os.umask(0)
            os.umask(umask)
            os.fchmod(self._file.fileno(), 0o666 & ~umask)
            os.fsync(self._file.fileno())
            self._path.replace(target)
            return True

        return await trio.to_thread.run_sync(work)


async def open_pieces(path: Path) -> tuple[AsyncGenerator[bytes, None], int | None]:
    """The bytes of a file, and how many there are; None for what is read to its end to find out.

    That is a pipe, a device, and what calls itself empty, as all files of /proc do.

    Raises:
        OSError: It cannot be opened.
    """
    file = await trio.to_thread.run_sync(path.open, "rb", 0)
    found = os.fstat(file.fileno())
    length = (found.st_size or None) if stat.S_ISREG(found.st_mode) else None
    return _pieces_of(file, length), length


async def _pieces_of(file: IO[bytes], length: int | None) -> AsyncGenerator[bytes, None]:
    with file:
        left = length
        while left is None or left:
            wanted = _PIECE_BYTES if left is None else min(left, _PIECE_BYTES)
            piece = await trio.to_thread.run_sync(file.read, wanted, abandon_on_cancel=left is None)
            if piece:
                yield piece
            elif left is None:
                return
            else:
                raise FileChangedError(f"The file became shorter while it was read: {left} bytes are missing.")
            left = None if left is None else left - len(piece)


async def as_they_come(source: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """Pieces that somebody else makes; an empty one would end a chunked body."""
    async for piece in source:
        if piece:
            yield piece


async def counted(
    pieces: AsyncGenerator[bytes, None],
    sha1: Any,  # noqa: ANN401  # hashlib's own type has no public name
    length: int | None,
    on_progress: Progress | None,
) -> AsyncGenerator[bytes, None]:
    """The same pieces, hashed and told of once they are taken."""
    done = 0
    async with aclosing(pieces):
        async for piece in pieces:
            await trio.to_thread.run_sync(sha1.update, piece)
            yield piece
            done += len(piece)
            if on_progress is not None:
                on_progress(done, length)


async def read(
    requests: Requests, source: Source, start: int, on_progress: Progress | None
) -> AsyncGenerator[bytes, None]:
    """All bytes from an offset on; after a break a file goes on where it stopped.

    Raises:
        ServerFaultError: It became another one, or is not as long as it was said to be.
        RefusedError, UnreachableError: See ``errors``.
    """
    at, last_s = start, trio.current_time()
    while source.size_bytes is None or at < source.size_bytes or not source.etag:
        before = at
        try:
            async with aclosing(_once(requests, source, at)) as pieces:
                async for piece in pieces:
                    at += len(piece)
                    if on_progress is not None:
                        on_progress(at, source.size_bytes)
                    yield piece
        except UnreachableError:
            if at > before:
                last_s = trio.current_time()
            if not source.etag or trio.current_time() - last_s > RESUME_LIMIT_S:
                raise
            await trio.sleep(_RESUME_DELAY_S)
            continue
        break
    if source.size_bytes is not None and at != source.size_bytes:
        raise ServerFaultError(f"The server sent {at} bytes of {source.size_bytes}.")


async def _once(requests: Requests, source: Source, at: int) -> AsyncGenerator[bytes, None]:
    """What one connection brings, from an offset on."""
    headers = {"Range": f"bytes={at}-", "If-Range": f'"{source.etag}"'} if at else {}
    async with requests.answered(source.path, headers=headers) as response:
        if response.headers.get("etag", "").strip('"') != source.etag or (at and response.status_code != 206):
            raise ServerFaultError("It became another one while it was read.")
        pieces = response.aiter_raw()
        try:
            async for piece in pieces:
                yield piece
        finally:
            await leave(pieces)
