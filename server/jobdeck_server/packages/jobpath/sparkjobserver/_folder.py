"""The job's private folder: files that are complete once they have their name, whatever the job does to its process.

Nothing is kept open, since a job may close it; the folder is made again, since a job may remove it. In a process that
the job has forked nothing is written: what a child says is not asked for.
"""

# contextlib would be loaded for this alone
# ruff: noqa: SIM105
from __future__ import annotations

import os

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DiskError", "Folder"]

_FLAGS = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class DiskError(OSError):
    """A file cannot be written."""


class Folder:
    """A folder and the process that it belongs to.

    Args:
        path: Absolute.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._pid = os.getpid()

    @property
    def is_ours(self) -> bool:
        """False in a child that the job has forked."""
        return os.getpid() == self._pid

    def put(self, name: str, pieces: Iterable[bytes], *, durable: bool = True) -> int:
        """Write a file: under another name first, so that it is never seen in part.

        Args:
            name: Its name.
            pieces: What it has in it; must not raise OSError.
            durable: It is on the disk before it has its name.

        Returns:
            Its size in bytes.

        Raises:
            DiskError: It cannot be written.
        """
        new = f"{name}.new"
        try:
            size_bytes = self._write(new, pieces, durable)
            os.replace(self._in(new), self._in(name))
        except OSError as error:
            self.remove(new)
            raise DiskError(*error.args) from error
        except BaseException:
            self.remove(new)
            raise
        return size_bytes

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        try:
            os.unlink(self._in(name))
        except OSError:
            pass

    def _write(self, name: str, pieces: Iterable[bytes], durable: bool) -> int:
        os.makedirs(self._path, 0o700, exist_ok=True)
        self.remove(name)
        size_bytes = 0
        fd = os.open(self._in(name), _FLAGS, 0o600)
        try:
            for piece in pieces:
                size_bytes += len(piece)
                left = memoryview(piece)
                while left:
                    left = left[os.write(fd, left) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        return size_bytes

    def _in(self, name: str) -> str:
        return os.path.join(self._path, name)
