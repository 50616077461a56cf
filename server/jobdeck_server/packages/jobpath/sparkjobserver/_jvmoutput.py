"""What a JVM job prints, as the output of its own process: standard output and error, byte for byte.

Scala keeps where ``println`` goes for each thread, and for those that a thread has started. Java has one System.out for
all of the JVM: where a job is alone in it, it is the job's, else it stays the context's.
"""

from __future__ import annotations

import os
from contextlib import suppress
from threading import Thread

from ._jvmpipes import Pipe

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from ._jvmhandles import Handles

__all__ = ["Outputs"]


class Outputs:
    """Both, from now on until ``end``.

    Args:
        handles: Of the gateway.
        folder: The job's own.
        alone: Whether nobody else is in the JVM.
    """

    def __init__(self, handles: Handles, folder: str, *, alone: bool) -> None:
        self._system = handles.static("java.lang.System") if alone else None
        self._out = _Output(handles, folder, "out.pipe", 1)
        self._error = _Output(handles, folder, "error.pipe", 2)
        console = handles.named("scala.Console$").getField("MODULE$").get(None)
        console.setOut(self._out.stream)
        console.setErr(self._error.stream)
        if self._system is not None:
            self._system.setOut(self._out.stream)
            self._system.setErr(self._error.stream)

    def end(self) -> None:
        """Close them, and wait until all is copied. Must not raise."""
        for each in (self._out, self._error):
            with suppress(Exception):  # the JVM has died, and has closed them
                each.end()


class _Output:
    """One of them, copied to a descriptor of this process."""

    def __init__(self, handles: Handles, folder: str, name: str, fd: int) -> None:
        self._pipe = Pipe(handles, folder, name)
        self._fd = fd
        self.stream = handles.static("java.io.PrintStream")(self._pipe.stream, True, "UTF-8")
        self._thread = Thread(target=self._copy, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Close it, and wait until all is copied."""
        self.stream.close()
        self._thread.join()

    def _copy(self) -> None:
        while True:
            piece = self._pipe.read()
            if not piece:
                return
            left = memoryview(piece)
            with suppress(OSError):  # nobody may read what the job prints; it may go on printing
                while left:
                    left = left[os.write(self._fd, left) :]
