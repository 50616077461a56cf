"""Files written below a folder and nowhere else: each step down is from the open folder above it, and follows no link.

What is there already is never opened or overwritten. Names must have been checked (``names``).
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Self

from jobdeck_server.core.bundles.errors import UnpackError, shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType

_FOLDER_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER_MODE, _FILE_MODE, _PROGRAM_MODE = 0o755, 0o644, 0o755


class Place:
    """A folder that is being filled. Holds the folders open that lead to the last file, as neighbours follow it often.

    Raises:
        OSError: The folder cannot be opened, or is a link.
    """

    def __init__(self, folder: Path) -> None:
        self._open: list[tuple[str, int]] = [("", os.open(folder, _FOLDER_FLAGS))]

    @contextmanager
    def file(self, parts: Sequence[str], *, executable: bool = False) -> Iterator[int]:
        """A new file, open for writing.

        Raises:
            UnpackError: Something is there already, or a folder on the way is none.
            OSError: The disk failed.
        """
        mode = _PROGRAM_MODE if executable else _FILE_MODE
        above = self._folder(parts[:-1], parts)
        try:
            fd = os.open(parts[-1], _FILE_FLAGS, mode, dir_fd=above)
        except FileExistsError:
            raise UnpackError(f"{shown('/'.join(parts))} is there already.") from None
        try:
            os.fchmod(fd, mode)  # whatever the umask is
            yield fd
        finally:
            os.close(fd)

    def folder(self, parts: Sequence[str]) -> None:
        """Make a folder, if it is not there.

        Raises:
            UnpackError, OSError: See ``file``.
        """
        self._folder(parts, parts)

    def _folder(self, parts: Sequence[str], whole: Sequence[str]) -> int:
        same = 0
        while same < min(len(parts), len(self._open) - 1) and self._open[same + 1][0] == parts[same]:
            same += 1
        while len(self._open) > same + 1:
            os.close(self._open.pop()[1])
        for part in parts[same:]:
            self._open.append((part, _step(self._open[-1][1], part, whole)))
        return self._open[-1][1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._open:
            os.close(self._open.pop()[1])


def _step(above: int, part: str, whole: Sequence[str]) -> int:
    try:
        os.mkdir(part, _FOLDER_MODE, dir_fd=above)
        made = True
    except FileExistsError:
        made = False
    try:
        fd = os.open(part, _FOLDER_FLAGS, dir_fd=above)
    except OSError as error:
        if error.errno not in (errno.ENOTDIR, errno.ELOOP):
            raise
        raise UnpackError(f"{shown('/'.join(whole))} cannot be made: {shown(part)} is no folder.") from error
    if made:
        os.fchmod(fd, _FOLDER_MODE)
    return fd
