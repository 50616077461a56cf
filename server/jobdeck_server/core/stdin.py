"""Standard input of jobs that asked for it: bytes at explicit offsets in a file that the job's shim reads from.

Writing the same piece twice is harmless, so a client that lost its link sends again what was not acknowledged. What was
stored survives the server; the disk is the buffer, up to ``stdin_limit_bytes``. So does the end of it, in a file of its
own: it may come while the job still waits, and nobody has it yet who could be told.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from jobdeck_keeper.feeder import END_FILE
from jobdeck_server.core.errors import BusyError, ConflictError, TooLargeError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from jobdeck_server.core.live import Live
    from jobdeck_server.engines.base import Engine
    from jobdeck_server.settings import Settings


class Stdin:
    """Writes the standard input of ``jobs``."""

    def __init__(self, jobs: Mapping[str, Live], engine: Engine, settings: Settings) -> None:
        self._jobs = jobs
        self._engine = engine
        self._settings = settings
        self._limiter = trio.CapacityLimiter(settings.thread_limit_count)

    @contextmanager
    def claim(self, job_id: str) -> Iterator[None]:
        """Be the one writer of a job's standard input for as long as the block lasts.

        Raises:
            ConflictError: The job did not ask for standard input, or has ended.
            BusyError: Somebody else writes.
        """
        live = self._live(job_id)
        if not live.job.stdin:
            raise ConflictError(f"Job {job_id} did not ask for standard input.")
        if live.stdin_taken:
            raise BusyError(f"Somebody else writes the standard input of job {job_id}.")
        live.stdin_taken = True
        try:
            yield
        finally:
            live.stdin_taken = False

    async def write(self, job_id: str, offset: int, data: bytes) -> int:
        """Store bytes at an offset.

        Returns:
            Up to where all bytes are stored.

        Raises:
            ConflictError: The job has ended, or ``offset`` leaves a hole.
            TooLargeError: More than ``stdin_limit_bytes``.
        """
        if offset + len(data) > self._settings.stdin_limit_bytes:
            raise TooLargeError("Standard input", self._settings.stdin_limit_bytes)
        size = await self._store(job_id, offset, data)
        await self._engine.input(job_id, eof_bytes=None)
        return size

    async def eof(self, job_id: str, offset: int) -> None:
        """Standard input ends at ``offset`` bytes; repeating it is harmless.

        Raises:
            ConflictError: The job has ended, or bytes before ``offset`` are missing.
        """
        await self._store(job_id, offset, b"")
        folder = self._engine.follow(job_id)
        # first: who starts the job meanwhile finds it there, who had it before is told
        await trio.to_thread.run_sync(end, folder, offset, limiter=self._limiter)
        await self._engine.input(job_id, eof_bytes=offset)

    async def _store(self, job_id: str, offset: int, data: bytes) -> int:
        self._live(job_id)
        path = self._engine.follow(job_id) / "input"
        return await trio.to_thread.run_sync(put, path, offset, data, limiter=self._limiter)

    def _live(self, job_id: str) -> Live:
        live = self._jobs.get(job_id)
        if live is None or live.job.ended:
            raise ConflictError(f"Job {job_id} has ended.")
        return live


def put(path: Path, offset: int, data: bytes) -> int:
    """Put a piece at its place in a file; returns the file's size. Blocks.

    Raises:
        ConflictError: ``offset`` leaves a hole.
    """
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("r+b", buffering=0) as file:
        size = file.seek(0, 2)
        if offset > size:
            raise ConflictError(f"Standard input has {size} bytes so far; a piece at {offset} leaves a hole.")
        rest = memoryview(data)[size - offset :]
        while rest:
            rest = rest[file.write(rest) :]
        return file.seek(0, 2)


def end(folder: Path, size: int) -> None:
    """Write down where a job's standard input ends; the first word holds. Blocks."""
    path = folder / END_FILE
    if not path.exists():
        fresh = folder / f"{END_FILE}.new"
        fresh.write_text(str(size), "ascii")
        fresh.chmod(0o600)
        fresh.replace(path)
