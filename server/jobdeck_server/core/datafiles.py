"""Data files: bytes that clients send for jobs to read, by the full path that was answered.

    DATA/data/in.txt-2016-07-04T09_09_57.928+05_30.dat    whole, never changed; everything in this folder is one
    DATA/data/.coming/<random>                            on its way in; removed at the next start

The first part of a name is a client's and may be anything that is one name on disk; the time makes it another name each
time. Files are listed as they are in the folder, and only a path that is on this list can be removed: what a client
writes is compared, and never opened. Bytes go to a temporary file, synced, which is then linked to its name.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
import unicodedata
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_server.core.errors import (
    BadRequestError,
    CapacityError,
    NoSpaceError,
    TooLargeError,
    UnknownDataFileError,
)
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterable, Callable
    from pathlib import Path

    from jobdeck_server.settings import Settings

T = TypeVar("T")

FOLDER = "data"
_COMING = ".coming"
_END = ".dat"
_NAME_LIMIT_BYTES = 255
_PIECE_BYTES = 1024 * 1024  # that gathers before it is written
_SPACE_CHECK_BYTES = 64 * 1024 * 1024
_LEAVE_LIMIT_S = 10.0
_MILLISECOND = timedelta(milliseconds=1)
_SPACE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class DataFiles:
    """See the top of this file. ``open`` first.

    Args:
        settings: Those that begin with ``data_``, and ``blob_reserve_bytes`` of the disk.
        now: The time, with a zone.
    """

    def __init__(self, settings: Settings, *, now: Callable[[], datetime] | None = None) -> None:
        self._settings = settings
        self._now = now or (lambda: datetime.now(UTC).astimezone())
        self._folder = _Folder(settings.data_dir / FOLDER, sync=settings.sync == "full")
        self._threads = trio.CapacityLimiter(settings.thread_limit_count)
        self._lock = trio.Lock()  # of what is in the folder
        self._coming_count = 0
        self._coming_bytes = 0
        self._kept_bytes = 0  # when somebody looked, and what was kept since

    async def open(self) -> None:
        """Make the folder, and remove what a crash left half done.

        Raises:
            OSError: It cannot be made.
        """
        await trio.to_thread.run_sync(self._folder.open, limiter=self._threads)

    async def list(self) -> list[str]:
        """The full paths of all files, in order.

        Raises:
            StoreError: The disk failed.
        """
        return [self._folder.shown(name) for name in sorted(await self._look())]

    async def store(self, prefix: str, body: AsyncIterable[bytes], *, expected_bytes: int | None = None) -> str:
        """Keep bytes; durable when this returns.

        Args:
            prefix: With what the name begins.
            body: The bytes.
            expected_bytes: How many there will be, if that is known.

        Returns:
            The full path.

        Raises:
            BadRequestError: The prefix cannot be the begin of a name.
            TooLargeError: There may not be so much in one file, or in all.
            NoSpaceError: There is no room left, here or on the disk.
            CapacityError: Too many come at the same time.
            StoreError: The disk failed.
        """
        name_of(prefix, self._now())  # before anything is read
        if self._coming_count >= self._settings.data_upload_limit_count:
            raise CapacityError("Too many data files come at the same time; try again later.")
        self._coming_count += 1
        coming = _Coming(self._folder)
        try:
            if len(await self._look()) + self._coming_count > self._settings.data_limit_count:
                raise NoSpaceError(f"There may be {self._settings.data_limit_count} data files, and there are.")
            self._check_room(coming, expected_bytes or 0)
            await self._fill(coming, body)
            async with self._lock:
                name = await self._aside(lambda: coming.keep(prefix, self._now()))
                self._kept_bytes += coming.size_bytes
            return self._folder.shown(name)
        finally:
            self._coming_count -= 1
            self._coming_bytes -= coming.size_bytes
            with trio.CancelScope(shield=True, deadline=trio.current_time() + _LEAVE_LIMIT_S):
                await trio.to_thread.run_sync(coming.leave, limiter=self._threads)

    async def delete(self, path: str) -> None:
        """Remove a file.

        Args:
            path: As it was answered.

        Raises:
            UnknownDataFileError: There is none of this path.
            StoreError: The disk failed.
        """
        shown = {self._folder.shown(name): name for name in await self._look()}
        if path not in shown:
            raise UnknownDataFileError(path)
        async with self._lock:
            await self._aside(lambda: self._folder.remove([shown[path]]))

    async def reset(self) -> None:
        """Remove all files.

        Raises:
            StoreError: The disk failed.
        """
        async with self._lock:
            await self._aside(lambda: self._folder.remove(self._folder.look()))

    async def _look(self) -> dict[str, int]:
        async with self._lock:
            found = await self._aside(self._folder.look)
            self._kept_bytes = sum(found.values())
        return found

    async def _fill(self, coming: _Coming, body: AsyncIterable[bytes]) -> None:
        gathered = bytearray()
        async for piece in body:
            gathered += piece
            if len(gathered) >= _PIECE_BYTES:
                await self._write(coming, bytes(gathered))
                gathered.clear()
        await self._write(coming, bytes(gathered))

    async def _write(self, coming: _Coming, data: bytes) -> None:
        self._check_room(coming, len(data))
        self._coming_bytes += len(data)
        coming.size_bytes += len(data)
        await self._aside(lambda: coming.write(data, reserve_bytes=self._settings.blob_reserve_bytes))

    async def _aside(self, work: Callable[[], T]) -> T:
        """Do what blocks in a thread, and tell what the disk says in words of the core."""
        try:
            return await trio.to_thread.run_sync(work, limiter=self._threads)
        except OSError as error:
            if error.errno in _SPACE_ERRORS:
                raise NoSpaceError from error
            raise StoreError(f"data files: {error.strerror}") from error

    def _check_room(self, coming: _Coming, more_bytes: int) -> None:
        limit_bytes = self._settings.data_limit_bytes
        if coming.size_bytes + more_bytes > limit_bytes:
            raise TooLargeError("The data file", limit_bytes)
        if self._kept_bytes + self._coming_bytes + more_bytes > limit_bytes:
            raise NoSpaceError(f"There is no room left for it: data files may have {limit_bytes} bytes together.")


def name_of(prefix: str, now: datetime) -> str:
    """``in.txt-2016-07-04T09_09_57.928+05_30.dat``; in UTC with ``Z``, as the original does.

    Raises:
        BadRequestError: The prefix is no begin of a name on disk, or would show as another one.
    """
    if prefix in ("", ".", "..") or any(c == "/" or unicodedata.category(c) in ("Cc", "Cs") for c in prefix):
        raise BadRequestError(f"{prefix!r} cannot be the begin of a file's name.")
    time = now.isoformat(timespec="milliseconds").replace(":", "_")
    name = f"{prefix}-{time.removesuffix('+00_00') + 'Z' if time.endswith('+00_00') else time}{_END}"
    if len(name.encode()) > _NAME_LIMIT_BYTES:
        raise BadRequestError(f"The name is too long: with time and ending it may have {_NAME_LIMIT_BYTES} bytes.")
    return name


class _Folder:
    """The folder itself. Blocks."""

    def __init__(self, path: Path, *, sync: bool) -> None:
        self.path = path
        self.sync = sync

    def shown(self, name: str) -> str:
        return f"{self.path}/{name}"

    def open(self) -> None:
        coming = self.path / _COMING
        coming.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in coming.iterdir():
            left.unlink()

    def look(self) -> dict[str, int]:
        """The files, by name, with their sizes in bytes. What is no file of ours is none."""
        found = {}
        with os.scandir(self.path) as entries:
            for entry in entries:
                with suppress(FileNotFoundError):
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISREG(status.st_mode) and entry.name.endswith(_END):
                        found[entry.name] = status.st_size
        return found

    def remove(self, names: list[str] | dict[str, int]) -> None:
        for name in names:
            (self.path / name).unlink(missing_ok=True)
        self.sync_names()

    def sync_names(self) -> None:
        if self.sync:
            fd = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)


class _Coming:
    """A file on its way in. Blocks; ``leave`` comes last, in any case."""

    def __init__(self, folder: _Folder) -> None:
        self._folder = folder
        self._path = folder.path / _COMING / secrets.token_hex(16)
        self._fd = -1
        self._check_at_bytes = 0
        self._written_bytes = 0
        self.size_bytes = 0  # of what was given to be written

    def write(self, data: bytes, *, reserve_bytes: int) -> None:
        if self._fd < 0:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if self._written_bytes >= self._check_at_bytes:
            found = os.statvfs(self._folder.path)
            if found.f_bavail * found.f_frsize - len(data) < reserve_bytes:
                raise NoSpaceError
            self._check_at_bytes += _SPACE_CHECK_BYTES
        left = memoryview(data)
        while left:
            left = left[os.write(self._fd, left) :]
        self._written_bytes += len(data)

    def keep(self, prefix: str, now: datetime) -> str:
        """Give it its name; the next one if another has come at the same time."""
        if self._folder.sync:
            os.fsync(self._fd)
        while True:
            name = name_of(prefix, now)
            try:
                os.link(self._path, self._folder.path / name)
            except FileExistsError:
                now += _MILLISECOND
                continue
            self._folder.sync_names()
            return name

    def leave(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._path.unlink(missing_ok=True)
