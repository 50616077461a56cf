"""What a job left in its folder, as files that may be read: its own, plain ones, whatever it made of the folder.

A job may leave links to files of others, pipes on which a reader would wait, devices, other file systems mounted there,
and a process that exchanges all these while we look. So:

- Each step down is from the open folder above it and follows no link; the folder must lie on the device of the first.
- What is found is told with its device and number, and only that very file is opened again, by the same steps, without
  waiting; it must still be a plain file, with one name. A file with two names is left out, since the other one may be
  that of a file of somebody else, to which the job had no right but to name it.
- Names that are no UTF-8 are left out: results are told in JSON.

What is left out is listed with the reason. The order is that of the names' code points, folder by folder.

Source: CWE-59 and CWE-367; open(2) on ``O_NOFOLLOW`` and ``O_NONBLOCK``.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.bundles.errors import LeftOutError, StoppedError, WalkError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from jobdeck_server.core.bundles.limits import WalkLimits

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_LISTED_LIMIT_COUNT = 1000  # reasons that are kept
_KINDS = {
    stat.S_IFLNK: "a link",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}
_Identity = tuple[int, int]


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Something that is no result; ``path`` is escaped and quoted, for people."""

    path: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundFile:
    """A file of the job's own.

    Attributes:
        path: Relative to the folder, parts separated by ``/``; valid UTF-8.
        size_bytes: When it was found. It may have grown or shrunk since: read no more than this, and be ready for less.
        folder: In which the walk began.
        root: Device and number of that folder.
        identity: Device and number of the file.
    """

    path: str
    size_bytes: int
    folder: Path
    root: _Identity
    identity: _Identity

    def open(self) -> int:
        """Open it for reading; the descriptor is the caller's.

        Raises:
            LeftOutError: It is gone, or something else stands there now.
        """
        fd = -1
        try:
            *above, name = self.path.split("/")
            fd = os.open(self.folder, _FOLDER_FLAGS)
            if _identity(os.fstat(fd)) != self.root:
                raise LeftOutError(f"{shown(self.path)} is gone: the job's folder is another one.")
            for part in above:
                fd = _exchange(fd, os.open(part, _FOLDER_FLAGS, dir_fd=fd))
            fd = _exchange(fd, os.open(name, _FILE_FLAGS, dir_fd=fd))
            why = _objection(found := os.fstat(fd), self.root[0])
            if why is None and _identity(found) != self.identity:
                why = "was exchanged for another file"
            if why is not None:
                raise LeftOutError(f"{shown(self.path)} {why}.")
        except OSError as error:
            _close(fd)
            raise LeftOutError(f"{shown(self.path)} cannot be read: {error.strerror}.") from error
        except LeftOutError:
            _close(fd)
            raise
        return fd


def walk(
    folder: Path,
    limits: WalkLimits,
    *,
    cancelled: Callable[[], bool],
    left_out: list[LeftOut] | None = None,
) -> Iterator[FoundFile]:
    """Find the files. Nothing stays open between two of them but the folders that lead there.

    Args:
        folder: Of the job. It may be read by whoever owns the server; what lies in it is the job's.
        limits: Of all of it.
        cancelled: Asked at each entry.
        left_out: Gets what is no result, at most 1000 of them.

    Raises:
        WalkError: There is more than is taken, or the folder is gone.
        StoppedError: ``cancelled`` said so.
    """
    yield from _Walk(folder, limits, cancelled, [] if left_out is None else left_out).files()


class _Walk:
    def __init__(
        self, folder: Path, limits: WalkLimits, cancelled: Callable[[], bool], left_out: list[LeftOut]
    ) -> None:
        self._folder = folder
        self._limits = limits
        self._cancelled = cancelled
        self._left_out = left_out
        self._root: _Identity = (0, 0)
        self._count = 0
        self._total_bytes = 0

    def files(self) -> Iterator[FoundFile]:
        try:
            fd = os.open(self._folder, _FOLDER_FLAGS)
        except OSError as error:
            raise WalkError(f"The job's folder cannot be read: {error.strerror}.") from error
        self._root = _identity(os.fstat(fd))
        yield from self._below(fd, "", 1)

    def _below(self, fd: int, above: str, depth: int) -> Iterator[FoundFile]:
        """What lies in an open folder, which is closed in the end."""
        try:
            for name in self._names(fd, above):
                if self._cancelled():
                    raise StoppedError
                path = above + name
                found = self._look(fd, name, path)
                if found is None:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    inner = self._enter(fd, name, path, depth)
                    if inner is not None:
                        yield from self._below(inner, f"{path}/", depth + 1)
                else:
                    yield self._file(path, found)
        finally:
            os.close(fd)

    def _names(self, fd: int, above: str) -> list[str]:
        """Sorted, those that are text. Counted as they come: a folder may hold millions."""
        names = []
        try:
            with os.scandir(fd) as entries:
                for entry in entries:
                    self._count += 1
                    if self._count > self._limits.entry_count:
                        raise WalkError(f"The job left more than {self._limits.entry_count} files and folders.")
                    if _is_text(entry.name):
                        names.append(entry.name)
                    else:
                        self._leave(os.fsencode(above + entry.name), "its name is no UTF-8")
        except OSError as error:
            self._leave(above, f"it cannot be read: {error.strerror}")
        return sorted(names)

    def _look(self, fd: int, name: str, path: str) -> os.stat_result | None:
        """What a plain file or a folder is like; None for what is left out, or gone."""
        try:
            found = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except FileNotFoundError:
            return None
        except OSError as error:
            self._leave(path, f"it cannot be read: {error.strerror}")
            return None
        why = _objection(found, self._root[0], folders=True)
        if why is not None:
            self._leave(path, f"it {why}")
        return found if why is None else None

    def _enter(self, fd: int, name: str, path: str, depth: int) -> int | None:
        if depth >= self._limits.depth_count:
            raise WalkError(f"{shown(path)} lies more than {self._limits.depth_count} folders deep.")
        try:
            inner = os.open(name, _FOLDER_FLAGS, dir_fd=fd)
        except OSError as error:
            self._leave(path, "it is a link" if error.errno in (errno.ELOOP, errno.ENOTDIR) else str(error.strerror))
            return None
        if os.fstat(inner).st_dev != self._root[0]:
            os.close(inner)
            self._leave(path, "it is on another file system")
            return None
        return inner

    def _file(self, path: str, found: os.stat_result) -> FoundFile:
        self._total_bytes += found.st_size
        if self._total_bytes > self._limits.total_bytes:
            raise WalkError(f"The job left more than {self._limits.total_bytes} bytes.")
        return FoundFile(
            path=path, size_bytes=found.st_size, folder=self._folder, root=self._root, identity=_identity(found)
        )

    def _leave(self, path: str | bytes, why: str) -> None:
        if len(self._left_out) < _LISTED_LIMIT_COUNT:
            self._left_out.append(LeftOut(shown(path), why))


def _objection(found: os.stat_result, device: int, *, folders: bool = False) -> str | None:
    """Why something is no result, as the end of a sentence; None if it may be one."""
    if found.st_dev != device:
        return "is on another file system"
    if stat.S_ISDIR(found.st_mode):
        return None if folders else "is a folder"
    if not stat.S_ISREG(found.st_mode):
        return f"is {_KINDS.get(stat.S_IFMT(found.st_mode), 'no plain file')}"
    return None if found.st_nlink == 1 else "has more than one name (hard links)"


def _identity(found: os.stat_result) -> _Identity:
    return found.st_dev, found.st_ino


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _exchange(old: int, new: int) -> int:
    os.close(old)
    return new


def _close(fd: int) -> None:
    if fd >= 0:
        os.close(fd)
