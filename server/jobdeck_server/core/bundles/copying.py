"""Bytes from file to file, in the kernel where it can; blocks that a file system shares are shared by the kernel."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from jobdeck_server.core.bundles.errors import StoppedError, UnpackError

if TYPE_CHECKING:
    from collections.abc import Callable

_STEP_BYTES = 1024 * 1024
_READ_BYTES = 256 * 1024
# What a kernel or a file system answers that cannot do it; the same is then tried in the next way
_CANNOT = frozenset({errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EBADF})


def copy(source: int, target: int, offset: int, length: int, cancelled: Callable[[], bool]) -> None:
    """Copy a part of a file to where another one is being written.

    Args:
        source: Its position is not used.
        target: Open for writing, at its end.
        offset: Of the first byte in the source.
        length: In bytes.
        cancelled: Asked at each MiB.

    Raises:
        UnpackError: The source is shorter than that.
        StoppedError: ``cancelled`` said so.
        OSError: The disk failed, or is full.
    """
    ways = [_by_range, _by_sendfile, _by_hand]
    end = offset + length
    while offset < end:
        if cancelled():
            raise StoppedError
        try:
            count = ways[0](source, target, offset, min(_STEP_BYTES, end - offset))
        except OSError as error:
            if error.errno not in _CANNOT or len(ways) == 1:
                raise
            del ways[0]
            continue
        if count == 0 and len(ways) > 1:
            del ways[0]  # some file systems say so where they mean that they cannot
        elif count == 0:
            raise UnpackError("A file ends too early.")
        offset += count


def write(fd: int, data: bytes) -> None:
    """Write all of it."""
    left = memoryview(data)
    while left:
        left = left[os.write(fd, left) :]


def _by_range(source: int, target: int, offset: int, count: int) -> int:
    return os.copy_file_range(source, target, count, offset_src=offset)


def _by_sendfile(source: int, target: int, offset: int, count: int) -> int:
    return os.sendfile(target, source, offset, count)


def _by_hand(source: int, target: int, offset: int, count: int) -> int:
    data = os.pread(source, min(count, _READ_BYTES), offset)
    write(target, data)
    return len(data)
