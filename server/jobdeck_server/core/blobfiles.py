"""Content on disk: files under the SHA-1 of what is in them, whole or not there.

    blobs/1a/1a05d6ba885624eac51de0fd66cc12a2c4159837    never changed; the time says when it was last sent or needed
    blobs/tmp/<random>                                   on its way in, or on its way out; removed at the next start

Bytes are written to a temporary file and hashed on the way; the file is synced, given its name by a rename, and the
folder is synced: so a crash at any moment leaves a temporary file or the whole, and what was acknowledged survives the
loss of power (``sync`` off: a crash of the server, not that). What is here already is kept once, and its time renewed.

A path is only ever made of a hash that has been checked to be one. Everything here blocks and belongs into threads; a
lock keeps renewing and removing the same file apart.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
import shutil
import stat
import threading
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.blobrecord import is_hash
from jobdeck_server.core.blobtypes import BlobFile, Content
from jobdeck_server.core.errors import MissingContentError, NoSpaceError
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

_TEMPORARY = "tmp"
_SPACE_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# The free space is asked for again after so many bytes; writing on a full disk fails by itself in any case.
_SPACE_CHECK_BYTES = 64 * 1024 * 1024
_PUSH_BYTES = 16 * 1024 * 1024
_BRING_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is there: its hash, its size in bytes, and when it was last sent or needed (seconds since 1970)."""

    hash: str
    size_bytes: int
    time_s: float


class BlobFiles:
    """The folder. ``open`` first.

    Args:
        folder: Of the store, made if missing.
        sync: Sync files and folders before anything is acknowledged.
        reserve_bytes: Of the disk that must stay free.
    """

    def __init__(self, folder: Path, *, sync: bool = True, reserve_bytes: int = 0) -> None:
        self.folder = folder
        self.sync = sync
        self.reserve_bytes = reserve_bytes
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()

    def open(self) -> int:
        """Make the folder and remove what a crash left half done; returns how many files that were.

        Raises:
            OSError: It cannot be made.
        """
        temporary = self.folder / _TEMPORARY
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.mkdir(mode=0o700, exist_ok=True)
        left = list(temporary.iterdir())
        for path in left:
            path.unlink(missing_ok=True)
        return len(left)

    def incoming(self) -> Incoming:
        """Where new bytes go; makes nothing yet."""
        return Incoming(self)

    def path(self, content_hash: str) -> Path:
        """Where content is, or would be.

        Raises:
            ValueError: This is no hash, and so must not become a path.
        """
        if not is_hash(content_hash):
            raise ValueError(f"not a content hash: {content_hash!r}")
        return self.folder / content_hash[:2] / content_hash

    def size(self, content_hash: str) -> int | None:
        """Bytes of content; None if it is not here."""
        if not is_hash(content_hash):
            return None
        try:
            found = os.stat(self.path(content_hash), follow_symlinks=False)
        except FileNotFoundError:
            return None
        return found.st_size if stat.S_ISREG(found.st_mode) else None

    def read(self, content_hash: str) -> BlobFile:
        """Open content.

        Raises:
            MissingContentError: It is not here.
        """
        if not is_hash(content_hash):
            raise MissingContentError(content_hash)
        try:
            fd = os.open(self.path(content_hash), os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            raise MissingContentError(content_hash) from None
        with suppress(OSError):
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)  # read ahead further: sendfile waits for the disk
        return BlobFile(fd, content_hash, os.fstat(fd).st_size)

    def check_space(self, wanted_bytes: int = 0) -> None:
        """Refuse early what will not fit.

        Raises:
            NoSpaceError: With so many bytes more, less than the reserve would be free.
        """
        found = os.statvfs(self.folder)
        if found.f_bavail * found.f_frsize - wanted_bytes < self.reserve_bytes:
            raise NoSpaceError

    # -- what must not be collected --

    def use(self, hashes: Iterable[str]) -> Callable[[], None]:
        """Keep these from being collected until the returned function is called, once."""
        mine = list(hashes)
        with self._lock:
            self._used.update(mine)

        def release() -> None:
            with self._lock:
                self._used.subtract(mine)
                for each in mine:
                    if not self._used[each]:
                        del self._used[each]

        return release

    def groups(self) -> list[str]:
        """The folders in which content is."""
        return sorted(path.name for path in self.folder.iterdir() if path.name != _TEMPORARY and path.is_dir())

    def group(self, name: str) -> list[Found]:
        """The content of one folder; what comes meanwhile may be missing."""
        with os.scandir(self.folder / name) as entries:
            return [found for entry in entries if (found := _found(entry)) is not None]

    def take_away(self, found: Iterable[Found], before_s: float) -> list[Found]:
        """Move away those that are neither used nor newer than a time; ``clear`` frees their bytes.

        Quick, so that it can be done in the transaction that has made sure that no record refers to them.
        """
        gone = []
        for each in found:
            path = self.path(each.hash)
            with self._lock, suppress(FileNotFoundError):
                if not self._used[each.hash] and os.stat(path).st_mtime < before_s:
                    path.rename(self.folder / _TEMPORARY / f"gone-{each.hash}")
                    gone.append(each)
        return gone

    def clear(self, gone: Iterable[Found]) -> None:
        """Free the bytes of what was taken away."""
        for each in gone:
            (self.folder / _TEMPORARY / f"gone-{each.hash}").unlink(missing_ok=True)

    # -- keeping --

    def make_temporary(self) -> tuple[int, Path]:
        """A new temporary file, open for writing."""
        path = self.folder / _TEMPORARY / secrets.token_hex(16)
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), path

    def keep(self, temporary: Path, content: Content) -> None:
        """Give a whole and synced temporary file its name; durable afterwards."""
        path = self.path(content.hash)
        try:
            temporary.rename(path)
        except FileNotFoundError:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            self._sync_folder(self.folder)
            temporary.rename(path)
        self._sync_folder(path.parent)

    def renew(self, content: Content) -> bool:
        """Say that content is needed from now on; whether it is here at all, and then durable."""
        path = self.path(content.hash)
        with self._lock:
            try:
                if os.stat(path).st_size != content.size_bytes:
                    return False  # damaged from outside: what came now takes its place
                now_ns = time.time_ns()
                os.utime(path, ns=(now_ns, now_ns))
            except FileNotFoundError:
                return False
        if self.sync:  # it may have been written with sync off, or a moment ago by somebody who is not done yet
            _sync(path, os.O_RDONLY)
            self._sync_folder(path.parent)
        return True

    def _sync_folder(self, folder: Path) -> None:
        if self.sync:
            _sync(folder, os.O_RDONLY | os.O_DIRECTORY)


class Incoming:
    """Bytes on their way in. One thread at a time; ``finish`` or ``discard`` comes last."""

    def __init__(self, files: BlobFiles) -> None:
        self._files = files
        self._sha1 = hashlib.sha1(usedforsecurity=False)
        self._fd = -1
        self._path: Path | None = None
        self._size_bytes = 0
        self._check_at_bytes = 0
        self._pushed_bytes = 0

    def take(self, piece: bytes | memoryview) -> None:
        """Hash and write.

        Raises:
            NoSpaceError: The disk is full.
            StoreError: The disk failed.
        """
        try:
            self._begin()
            if self._size_bytes >= self._check_at_bytes:
                self._files.check_space()
                self._check_at_bytes += _SPACE_CHECK_BYTES
            self._sha1.update(piece)
            _write(self._fd, piece)
        except OSError as error:
            raise _told(error) from error
        self._size_bytes += len(piece)
        if self._files.sync and self._size_bytes - self._pushed_bytes >= _PUSH_BYTES:
            self._push()

    def finish(self) -> Content:
        """Keep the whole; durable when this returns.

        Raises:
            NoSpaceError, StoreError: See ``take``; nothing is kept.
        """
        content = Content(hash=self._sha1.hexdigest(), size_bytes=self._size_bytes)
        try:
            if not self._files.renew(content):
                path = self._begin()
                if self._files.sync:
                    os.fsync(self._fd)
                self._files.keep(path, content)
                self._path = None
        except OSError as error:
            raise _told(error) from error
        finally:
            self.discard()
        return content

    def _push(self) -> None:
        """Have what was written sent to the disk while more comes: the sync at the end then has little left to do.

        Linux starts writing dirty pages when it is told that they are not needed, and drops those only that are clean
        (mm/fadvise.c); these are not, so that they stay for who reads next. Elsewhere it does no harm.
        """
        with suppress(OSError):
            count = self._size_bytes - self._pushed_bytes
            os.posix_fadvise(self._fd, self._pushed_bytes, count, os.POSIX_FADV_DONTNEED)
        self._pushed_bytes = self._size_bytes

    def _begin(self) -> Path:
        if self._path is None:
            self._fd, self._path = self._files.make_temporary()
        return self._path

    def discard(self) -> None:
        """Leave nothing behind. May be called again, and after ``finish``."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)
            self._path = None
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


def _write(fd: int, piece: bytes | memoryview) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(fd, left) :]


def _sync(path: Path, flags: int) -> None:
    fd = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _found(entry: os.DirEntry[str]) -> Found | None:
    if not is_hash(entry.name) or not entry.is_file(follow_symlinks=False):
        return None
    try:
        found = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    return Found(entry.name, found.st_size, found.st_mtime)


def _told(error: OSError) -> NoSpaceError | StoreError:
    if error.errno in _SPACE_ERRORS:
        return NoSpaceError()
    return StoreError(f"the blob could not be written: {error.strerror}")


def bring(file: BlobFile, where: Path, path: Path) -> None:
    """Have a content of the store in another place, too: linked if the disk can do that, so that it costs nothing.

    Blocks: for threads.

    Args:
        file: It, opened.
        where: Its path in the store.
        path: Where nothing is yet.

    Raises:
        OSError: The disk failed, or is full.
    """
    try:
        os.link(where, path)
    except OSError:
        with path.open("xb") as copy, os.fdopen(os.dup(file.fd), "rb") as source:
            shutil.copyfileobj(source, copy, _BRING_BYTES)
