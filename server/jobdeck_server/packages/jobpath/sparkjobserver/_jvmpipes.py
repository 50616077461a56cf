"""Bytes that the JVM of a context writes for a job: named pipes in the job's folder, which have a name for a moment.

What goes through is what was written, byte for byte; a writer waits for a reader that is slow, and is told when there
is none any more. When the job's process dies, its end of the pipe is closed, and nothing in the JVM waits for it.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from ._jvmhandles import Handles

__all__ = ["Pipe"]

_PIECE_BYTES = 256 * 1024


class Pipe:
    """One pipe, open at both ends.

    Attributes:
        stream: The JVM's end, a ``java.io.FileOutputStream``.

    Raises:
        OSError: It cannot be made.
    """

    def __init__(self, handles: Handles, folder: str, name: str) -> None:
        path = os.path.join(folder, name)
        os.mkfifo(path, 0o600)
        try:
            # Opening one end waits for the other; not so this one, so that the other does not wait either
            self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            self.stream = handles.static("java.io.FileOutputStream")(path)
        finally:
            os.unlink(path)
        os.set_blocking(self._fd, True)

    def read(self) -> bytes:
        """Some bytes, as soon as there are any; none at the end."""
        return os.read(self._fd, _PIECE_BYTES)

    def close(self) -> None:
        """Read no more."""
        os.close(self._fd)
