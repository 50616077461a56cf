"""Calls that block, each in a thread of its own, and what comes of them back in the one loop.

The threads are daemons: one that hangs in a call into Java keeps nobody from ending.
"""

from __future__ import annotations

import os
import queue
import threading
from contextlib import suppress

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["Threads"]


class Threads:
    """The way out of the loop and back.

    Attributes:
        bell: Can be read when something has come back, or a signal has come: for ``signal.set_wakeup_fd`` too.
        ring: Its other end.
    """

    def __init__(self) -> None:
        self.bell, self.ring = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._back: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def do(self, call: Callable[[], T], then: Callable[[T | Exception], None]) -> None:
        """Call ``call`` in a thread, and ``then`` in the loop with what it returned or raised."""

        def run() -> None:
            try:
                came: T | Exception = call()
            except Exception as error:  # noqa: BLE001  # it is told to the one who asked
                came = error
            self._back.put(lambda: then(came))
            with suppress(BlockingIOError):  # it rings already
                os.write(self.ring, b"\0")

        threading.Thread(target=run, daemon=True).start()

    def take(self) -> None:
        """In the loop, at the bell: go on with what has come back."""
        with suppress(BlockingIOError):
            while os.read(self.bell, 4096):
                pass
        with suppress(queue.Empty):
            while True:
                self._back.get_nowait()()
