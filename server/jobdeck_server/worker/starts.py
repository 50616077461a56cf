"""Starts that were about to be asked for, in the file ``starts``: what a power cut may have taken the claims of.

A keeper's claim is safe from the end of any program, but for some seconds not from the power. A job whose claim is gone
may have run all the same; were it started again, it would have run twice. So each start is written down and synced
before the keeper is asked. After a restart of the machine a job that stands there and has no claim is suspect: it is
told as lost, and never runs.

A line is ``<job> <boot id> <microseconds UTC>``. Starts that come at the same time are synced together.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, NamedTuple

import trio

from jobdeck_server.core.ends import syncfs
from jobdeck_server.worker.lives import write_durably

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_server.worker.jobfiles import JobFiles

_FILE = "starts"
_S = 1_000_000  # microseconds
_LONG_BYTES = 1024 * 1024


class Starts:
    """Making it reads and clears the file. Blocks.

    Args:
        data_dir: Held by this process.
        files: Tell which jobs are claimed.
        boot_id: Of the machine's present life.
        keep_s: How long a suspect stays one.

    Raises:
        OSError: The file cannot be read or written.
    """

    def __init__(self, data_dir: Path, files: JobFiles, *, boot_id: str, keep_s: float) -> None:
        self._path = data_dir / _FILE
        self._files = files
        self._boot_id = boot_id
        self._keep_s = keep_s
        self._waiting: list[str] = []
        self._lock = trio.Lock()
        self._suspects = {start.job_id for start in self._clear() if start.boot_id != boot_id}

    def suspect(self, job_id: str) -> bool:
        """Whether a job without a claim may have run before the machine was restarted."""
        return job_id in self._suspects

    async def note(self, job_id: str) -> None:
        """Write down that a job is about to be started; it is on disk on return.

        Raises:
            OSError: There is no room for it.
        """
        line = str(_Start(job_id, self._boot_id, _now_us()))
        self._waiting.append(line)
        async with self._lock:
            if line not in self._waiting:
                return  # somebody has taken it along
            lines, self._waiting = self._waiting, []
            try:
                await trio.to_thread.run_sync(_append, self._path, "".join(lines).encode())
            except OSError:
                lines.remove(line)
                self._waiting = lines + self._waiting  # whose they are tries again
                raise

    async def trim(self) -> None:
        """Clear the file if it has grown long.

        Raises:
            OSError: It cannot be read or written.
        """
        async with self._lock:
            if self._path.stat().st_size > _LONG_BYTES:
                await trio.to_thread.run_sync(self._clear)

    def _clear(self) -> list[_Start]:
        """Leave out what is claimed, for good: in the file stays what has no claim. Blocks."""
        oldest_us = _now_us() - int(self._keep_s * _S)
        found = [start for start in _read(self._path) if start.time_us >= oldest_us]
        kept = [start for start in found if not self._files.claimed(start.job_id)]
        syncfs(self._path.parent)
        write_durably(self._path, "".join(map(str, kept)).encode())
        return kept


class _Start(NamedTuple):
    job_id: str
    boot_id: str
    time_us: int

    def __str__(self) -> str:
        # the line break before it ends what a full disk has left of the line before
        return f"\n{self.job_id} {self.boot_id} {self.time_us}\n"


def _append(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        while data:
            data = data[os.write(fd, data) :]
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _read(path: Path) -> list[_Start]:
    try:
        lines = path.read_text("ascii", "replace").splitlines()
    except FileNotFoundError:
        return []
    words = (line.split() for line in lines)
    return [_Start(each[0], each[1], int(each[2])) for each in words if len(each) == 3 and each[2].isdecimal()]


def _now_us() -> int:
    return time.time_ns() // 1000
