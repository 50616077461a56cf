"""Jobs that were lost with their worker are made anew, a few times.

The new job is accepted first, with the old one's key, secret and labels; then the old one ends as LOST and is history.
So nobody ever sees a key whose job has failed and is about to be tried again. A server that is killed in between finds
two and ends the older one.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import executorrows
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.executorkeys import POOL
from jobdeck_server.core.executorrows import DIALECT, Row
from jobdeck_server.core.executorstatus import may_try_again
from jobdeck_server.core.requests import JobRequest
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import BUNDLES, Ended

if TYPE_CHECKING:
    from jobdeck_server.core.executorkeys import Keys

_log = logging.getLogger("jobdeck.executor")


class Mender:
    """See the top of this file."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._core = keys.core
        self._desk = keys.desk
        self._limit_count = keys.core.settings.executor_attempt_limit_count

    async def find(self) -> None:
        """At start: look for jobs that were lost with nobody to make them anew."""
        for found in await self._core.store.read(executorrows.lost):
            if self._keys.is_pending(found.job) and found.job.key not in self._desk.newest:
                await self._try_again(found.job, found.row, found.job.error or "it was lost")

    async def mend(self) -> None:
        """Make anew what was lost; what does not succeed now is tried again."""
        for job_id, (entry, why) in tuple(self._desk.lost.items()):
            if await self._try_again(entry.live.job, entry.row, why):
                self._desk.lost.pop(job_id, None)

    async def _try_again(self, job: Job, row: Row, why: str) -> bool:
        try:
            await self._again(job, row, why)
        except (JobdeckError, StoreError, OSError) as error:
            _log.error("job %s was lost (%s) and cannot be made anew now: %s", job.id, why, error)
            return False
        return True

    async def _again(self, job: Job, row: Row, why: str) -> None:
        """End a job that was lost, after a new one has taken its key, if it may be tried once more."""
        key = job.key
        assert key is not None, "jobs of the executor have keys"
        async with self._keys.alone(key):
            live = self._core.live(job.id)
            job = job if live is None else live.job
            if job.ended and job.state is not JobState.LOST:
                return  # its worker has brought the end after all
            newest = self._desk.newest.get(key)  # none if it was this server that lost it: then it has ended
            is_newest = newest is None or newest.live.job.id == job.id
            again = is_newest and may_try_again(job, self._limit_count)
            made = await self._next(job, row) if again else None
            if made is None and is_newest and not job.stop_requested:
                why = f"{why}; this was the last of {self._limit_count} attempts"
            if not job.ended:
                self._core.report(job.id, await self._keys.ended(job.id, partial(_lost, job, why)))
            _log.warning("job %s is lost: %s", job.id, why if made is None else f"{why}; it is now job {made.id}")
            if made is not None and live is not None and live.job.stop_requested:
                await self._core.stop(made.id)  # asked for a moment ago

    async def _next(self, job: Job, row: Row) -> Job:
        """Accept the next attempt."""
        request = JobRequest(
            dialect=DIALECT,
            key=job.key,
            bundle=job.bundle,
            engine=BUNDLES,
            pool=POOL,
            labels=job.labels,
            attempt=job.attempt + 1,
            rerun_of=job.rerun_of,
        )
        return await self._keys.submit(request, Row(secret_digest=row.secret_digest, user=row.user))


def _lost(job: Job, why: str, *, output_bytes: int, dropped_bytes: int, now_us: int) -> Ended:
    """The end of a job whose worker is gone: stopped, if that was asked for."""
    return Ended(
        how="exit" if job.stop_requested else "lost",
        stop_reason="requested" if job.stop_requested else None,
        text=why,
        finished_us=now_us,
        output_bytes=output_bytes,
        dropped_bytes=dropped_bytes,
    )
