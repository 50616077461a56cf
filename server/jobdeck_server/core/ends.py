"""Syncs the file system before ends of jobs are committed, many ends at a time.

Output and exit records are not synced while jobs run. Before the database says that a job has ended with so and so many
bytes, everything must be on disk, or a power cut could leave a record that lies. One ``syncfs`` serves all ends that
have gathered; it runs in a thread of its own and never holds up the writer of the database.
"""

from __future__ import annotations

import ctypes
import logging
import os
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_log = logging.getLogger("jobdeck.store")
_PACE_S = 0.1
_libc = ctypes.CDLL(None, use_errno=True)


class Syncer:
    """Calls back after a sync. ``enabled`` off: calls back at once."""

    def __init__(self, folder: Path, *, enabled: bool) -> None:
        self._folder = folder
        self._enabled = enabled
        self._waiting: list[Callable[[], None]] = []
        self._bell = trio.Event()
        self._limiter = trio.CapacityLimiter(1)

    def after_sync(self, call: Callable[[], None]) -> None:
        """Call ``call`` on the trio thread once all that was written so far is on disk."""
        if not self._enabled:
            call()
            return
        self._waiting.append(call)
        self._bell.set()

    async def run(self) -> None:
        """Sync when there is need, at most every ``_PACE_S``; what still waits when cancelled is called back."""
        try:
            while True:
                await self._bell.wait()
                self._bell = trio.Event()
                calls, self._waiting = self._waiting, []
                try:
                    await trio.to_thread.run_sync(syncfs, self._folder, limiter=self._limiter, abandon_on_cancel=False)
                finally:
                    for call in calls:
                        call()
                await trio.sleep(_PACE_S)
        finally:
            self._enabled = False
            for call in self._waiting:
                call()


def syncfs(folder: Path) -> None:
    """Bring all that was written to a folder's file system to its disk. Blocks."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _libc.syncfs(fd):
            _log.warning("syncfs: %s", os.strerror(ctypes.get_errno()))
    finally:
        os.close(fd)
