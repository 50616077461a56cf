"""Files that ``file:`` and ``local:`` addresses name: regular ones below the folders of ``Settings.fetch_folders``.

Each step down is from the open folder above it and follows no link, so nothing outside can be reached, whatever is
changed in there meanwhile. The folders themselves are the operator's, and may be links. Blocks: for threads.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.outbound.errors import FailedError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FILE_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


@dataclass(frozen=True, slots=True)
class Seen:
    """What a file was when somebody looked; the same again means the same bytes, but see ``is_settled``."""

    device: int
    inode: int
    size_bytes: int
    modified_ns: int
    changed_ns: int

    def is_settled(self, now_ns: int) -> bool:
        """Whether it was changed so long ago that a change after the look must show in its times."""
        return now_ns - max(self.modified_ns, self.changed_ns) > _SETTLED_NS


_SETTLED_NS = 2_000_000_000  # some file systems keep times in whole seconds, or two


def folder_of(folders: Iterable[str], parts: Sequence[bytes]) -> tuple[str, Sequence[bytes]]:
    """Below which folder a file is, and its path from there; the disk is not asked.

    Args:
        folders: Absolute paths.
        parts: Of the file's absolute path, plain names.

    Raises:
        RefusedError: It is below none of them.
    """
    for folder in sorted(folders, key=len, reverse=True):
        above = tuple(part for part in os.fsencode(folder).split(b"/") if part)
        if len(above) < len(parts) and tuple(parts[: len(above)]) == above:
            return folder, parts[len(above) :]
    raise RefusedError("This file is not below a folder that this server may read for others (fetch_folders).")


def open_below(folders: Iterable[str], parts: Sequence[bytes]) -> tuple[int, Seen]:
    """Open a file for reading.

    Args:
        folders: See ``folder_of``.
        parts: See there.

    Returns:
        A file descriptor, the caller's to close, and what the file was.

    Raises:
        RefusedError: It is not below any of these folders, or no regular file, or a link leads there.
        FailedError: It is not there, or cannot be read.
    """
    folder, rest = folder_of(folders, parts)
    return _walk(folder, rest)


def _walk(folder: str, parts: Sequence[bytes]) -> tuple[int, Seen]:
    try:
        fd = os.open(folder, _FOLDER_FLAGS)
        for part in parts[:-1]:
            fd = _step(fd, part, _FOLDER_FLAGS | os.O_NOFOLLOW)
        fd = _step(fd, parts[-1], _FILE_FLAGS)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR, errno.ENXIO):  # a link, no folder, a socket
            raise RefusedError("This is no regular file, or a link is on the way to it.") from error
        raise FailedError(f"This file cannot be read: {os.strerror(error.errno or 0)}.") from error
    status = os.fstat(fd)
    if not stat.S_ISREG(status.st_mode):
        os.close(fd)
        raise RefusedError("This is no regular file, or a link is on the way to it.")
    return fd, _seen(status)


def _step(above: int, part: bytes, flags: int) -> int:
    try:
        return os.open(part, flags, dir_fd=above)
    finally:
        os.close(above)


def look(fd: int) -> Seen:
    """What an open file is now."""
    return _seen(os.fstat(fd))


def _seen(status: os.stat_result) -> Seen:
    return Seen(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
