"""Jobs of the executor by their key: found, accepted, changed one at a time. What its parts have in common."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import executoroutput, executorrows
from jobdeck_server.core.errors import UnknownJobError
from jobdeck_server.core.executorrows import Row
from jobdeck_server.core.executorstatus import may_try_again
from jobdeck_server.core.live import now_us
from jobdeck_server.core.requests import JobRequest
from jobdeck_server.engines.base import OUTSIDE

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from jobdeck_server.core.executordesk import Desk
    from jobdeck_server.core.executorqueue import Entry
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.engines.base import Ended

POOL = "executor"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a client or a worker says of a job; None for what it does not say.

    Attributes:
        status: Any text; see ``executorstatus``.
        labels: That its worker must have.
        results: Artifact to hash.
        start: When it was started, any text.
        finish: When it ended, any text.
        worker: Who runs it.
        super_set: Hash of the artifact of all results.
        output_number: Of the newest segment.
    """

    status: str | None = None
    labels: tuple[str, ...] | None = None
    results: Mapping[str, object] | None = None
    start: str | None = None
    finish: str | None = None
    worker: str | None = None
    super_set: str | None = None
    output_number: int | None = None

    def added_to(self, row: Row) -> Row:
        """A row with what is said here."""
        said = {
            name: value
            for name in ("results", "start", "finish", "worker", "super_set", "output_number")
            if (value := getattr(self, name)) is not None
        }
        return replace(row, **said)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """A job as it stands, and its secret in the one answer that tells it."""

    job: Job
    row: Row
    secret: str | None = None


class Keys:
    """See the top of this file.

    Attributes:
        core: See there.
        desk: See there.
        limiter: For threads that read and write output.
    """

    def __init__(self, core: JobCore, desk: Desk) -> None:
        self.core = core
        self.desk = desk
        self.limiter = trio.CapacityLimiter(core.settings.thread_limit_count)
        self._locks: dict[str, trio.Lock] = {}

    @asynccontextmanager
    async def alone(self, key: str) -> AsyncGenerator[None, None]:
        """For as long as the block lasts nobody else changes what a key stands for, but for workers that get it."""
        lock = self._locks.setdefault(key, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and not lock.statistics().tasks_waiting:
                self._locks.pop(key, None)

    async def find(self, key: str) -> Told | None:
        """The newest job with a key."""
        entry = self.desk.newest.get(key)
        if entry is not None:
            return Told(job=entry.live.job, row=entry.row)
        while True:
            found = await self.core.store.read(lambda connection: executorrows.find(connection, key))
            if found is None:
                return None
            live = self.core.live(found.job.id)
            if live is not None or found.job.ended:
                return Told(job=found.job if live is None else live.job, row=found.row)
            # Its end was committed while it was being read

    async def standing(self, key: str) -> Told:
        """The same.

        Raises:
            UnknownJobError: There is none.
        """
        found = await self.find(key)
        if found is None:
            raise UnknownJobError(key)
        return found

    async def submit(self, request: JobRequest, row: Row) -> Job:
        """Have the core accept a job, together with its row."""
        assert request.key is not None
        self.desk.expected[request.key] = row  # whoever else may be handed the job before we hear of it
        try:
            return await self.core.submit(
                request, also=lambda connection, job: executorrows.save(connection, job.id, row)
            )
        except Exception:
            self.desk.expected.pop(request.key, None)
            raise

    async def save(self, entry: Entry, row: Row) -> None:
        """Store a job's row, and only then show it."""
        if row != entry.row:
            await self.core.store.write(
                lambda connection: executorrows.save(connection, entry.live.job.id, row), durable=True
            )
            entry.row = row

    async def ended(self, job_id: str, make: Callable[..., Ended]) -> Ended:
        """An end, with the sizes of the job's output."""
        folder = self.core.engine.follow(job_id)
        sizes = await trio.to_thread.run_sync(executoroutput.sizes, folder, limiter=self.limiter)
        return make(output_bytes=sizes.kept_bytes, dropped_bytes=sizes.dropped_bytes, now_us=now_us())

    def is_pending(self, job: Job) -> bool:
        """Whether a job was lost and is about to be made anew."""
        return job.state is JobState.LOST and may_try_again(job, self.core.settings.executor_attempt_limit_count)


def is_of(job: Job, worker: str | None) -> bool:
    """Whether a job runs outside, at this worker (None: at any)."""
    running = job.engine == OUTSIDE and job.state in (JobState.STARTING, JobState.RUNNING)
    return running and worker in (None, job.worker)
