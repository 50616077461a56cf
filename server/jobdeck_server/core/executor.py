"""The WebGME executor: jobs by key, made, told of, changed by their workers, stopped; their output in segments.

A key is the name that the API gives a job (mostly the hash of its bundle). The newest job with a key is *the* job; when
it was stopped, or is to be run again, or was lost with its worker, a new job takes the key and the old one is history.
What the core's record does not say stands in a row beside it (``executorrows``). Who runs what is the business of the
desk (``executordesk``).

What is answered is committed: a job with its row before its secret is told, a worker's word for the end before the core
hears of it, so that a server that was killed in between finds it (``ends``).

The parts: ``executorkeys`` (what all have in common), ``executorsegments`` (output), ``executormend`` (lost jobs).
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import uuid
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import executorrows
from jobdeck_server.core.errors import BadRequestError, ConflictError, ForbiddenError
from jobdeck_server.core.executordesk import Desk
from jobdeck_server.core.executorfiles import LabelJobs
from jobdeck_server.core.executorkeys import POOL, Given, Keys, Told, is_of
from jobdeck_server.core.executormend import Mender
from jobdeck_server.core.executorrows import DIALECT, GUEST, Found, Row
from jobdeck_server.core.executorsegments import Segments
from jobdeck_server.core.executorstatus import CANCELED, CREATED, FINISHED, end_of, own_word, states_with, status_of
from jobdeck_server.core.requests import JobRequest
from jobdeck_server.engines.base import BUNDLES, OUTSIDE, Ended

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Collection

    from jobdeck_server.core.executorqueue import Entry
    from jobdeck_server.core.executorworkers import Beat, Call, Seen
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.live import Live
    from jobdeck_server.core.requests import Idempotency

_log = logging.getLogger("jobdeck.executor")
_SIGINT = 2
__all__ = ["Executor", "Given", "Told"]


class Executor:
    """See the top of this file. ``load`` comes before the core's recovery, ``run`` after it.

    Attributes:
        segments: Output in segments.
    """

    def __init__(self, core: JobCore) -> None:
        self.settings = core.settings
        self._core = core
        self._desk = Desk(core, LabelJobs(core.settings.executor_label_jobs_file))
        self._keys = Keys(core, self._desk)
        self._mender = Mender(self._keys)
        self.segments = Segments(self._keys)
        core.pools[POOL] = self._desk.take
        core.reruns[DIALECT] = self._rerun
        core.observers.append(self._desk.changed)

    def offer(self, elsewhere: Callable[[Live], None]) -> None:
        """Have what waits offered to workers elsewhere, too; see ``Desk.elsewhere``."""
        self._desk.elsewhere = elsewhere

    async def load(self) -> None:
        """Read what is stored of jobs that have not ended, and of workers."""
        self._desk.load(
            await self._core.store.read(executorrows.live_rows), await self._core.store.read(executorrows.workers)
        )

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Hand out jobs, and make those anew that were lost, until cancelled."""
        desk = self._desk
        desk.open()
        for entry in tuple(desk.newest.values()):
            if entry.row.status in FINISHED and entry.live.job.state is JobState.QUEUED:
                await self._finish(entry, entry.row)  # what the server was about to do when it was killed
        await self._mender.find()
        task_status.started()
        while True:
            bell = desk.bell
            await self._mender.mend()
            with trio.move_on_after(self.settings.executor_sweep_s):
                await bell.wait()
            if bell.is_set():
                desk.bell = trio.Event()
            desk.sweep()

    def close(self) -> None:
        """The server is to end: whoever is being held is answered."""
        self._desk.close()

    # -- making jobs --

    async def create(self, key: str, given: Given, *, user: str = GUEST, again: bool = False) -> Told:
        """A job with this key: the one there is, or a new one where there is none or the last was stopped.

        Args:
            key: Its name.
            given: What a new one begins with.
            user: Whose it is.
            again: Also a new one where the last has ended in any way; it has the last one's labels if none are given.

        Raises:
            BadRequestError, TooLargeError: The key or the labels are not fit for a job.
            CapacityError: As many jobs wait as may.
        """
        if not key or len(key.encode()) > self.settings.executor_key_limit_bytes or "\0" in key:
            raise BadRequestError("This is no name for a job.", field="hash")
        async with self._keys.alone(key):
            last = await self._keys.find(key)
            if last is not None and not (
                last.job.state is JobState.STOPPED or (again and last.job.ended and not self._keys.is_pending(last.job))
            ):
                return last
            if again and last is not None and given.labels is None:
                given = replace(given, labels=last.job.labels)
            return await self._make(key, given, user=user, rerun_of=last.job.id if again and last is not None else None)

    async def _make(self, key: str, given: Given, *, user: str, rerun_of: str | None) -> Told:
        secret = str(uuid.uuid4())
        row = given.added_to(Row(secret_digest=_digest(secret), user=user, status=own_word(given.status)))
        request = JobRequest(
            dialect=DIALECT,
            key=key,
            bundle=key,
            engine=BUNDLES,
            pool=POOL,
            labels=given.labels or (),
            held=given.status not in (None, CREATED),
            rerun_of=rerun_of,
        )
        job = await self._keys.submit(request, row)
        if row.status in FINISHED:
            entry = self._desk.entry(job.id)
            assert entry is not None, "a job that was just accepted and is held has not ended"
            await self._finish(entry, row)
            return replace(await self._keys.standing(key), secret=secret)
        # As it was accepted: it may have been taken since, but whoever made it has not seen it wait
        waiting = replace(job, state=JobState.QUEUED, engine=BUNDLES, worker=None, started_us=None, finished_us=None)
        return Told(job=waiting, row=row, secret=secret)

    async def _rerun(self, job: Job, idempotency: Idempotency | None = None) -> Job:
        """Run a job again that has ended (``JobCore.rerun``): once, as the job that was made anew has not ended.

        Raises:
            ConflictError: It, or a later one with its key, has not ended.
        """
        del idempotency
        told = await self.create(job.key or "", Given(labels=job.labels), user=await self._user_of(job.id), again=True)
        if told.secret is None:
            raise ConflictError(f"Job {told.job.id} of {job.key} has not ended.")
        return told.job

    async def _user_of(self, job_id: str) -> str:
        found = await self._core.store.read(lambda connection: executorrows.rows(connection, [job_id]))
        return found[job_id].user if job_id in found else GUEST

    # -- looking --

    async def info(self, key: str) -> Told:
        """The job with a key.

        Raises:
            UnknownJobError: There is none.
        """
        return await self._keys.standing(key)

    def status(self, told: Told) -> str:
        """Its status in the words of the API."""
        return status_of(told.job, told.row, attempt_limit_count=self.settings.executor_attempt_limit_count)

    async def every(self, status: str | None = None) -> AsyncGenerator[Told, None]:
        """The newest job of each key, in the order in which they came; one query for a page of them.

        Args:
            status: Only jobs with this status; None for all.
        """
        at, count = 0, self.settings.executor_page_count
        ended = None if status is None else states_with(status)
        while True:
            read = partial(executorrows.newest_after, seq=at, ended=ended, limit_count=count)
            page = await self._core.store.read(read)
            for found in page:
                at = found.seq
                told = await self._now(found)
                if told is not None and status in (None, self.status(told)):
                    yield told
            if len(page) < count:
                return

    async def _now(self, found: Found) -> Told | None:
        """A job that was read a moment ago, as it stands now."""
        live, entry = self._core.live(found.job.id), self._desk.entry(found.job.id)
        if live is None and not found.job.ended:  # its end was committed while it was being read
            return await self._keys.find(found.job.key or "")
        return Told(job=found.job if live is None else live.job, row=found.row if entry is None else entry.row)

    # -- changing --

    async def update(self, key: str, given: Given) -> None:
        """Take what is said of a job, mostly by its worker; what comes too late changes nothing.

        A worker that was given up may bring its result while the job waits to be run again: then it counts.

        Raises:
            UnknownJobError: There is no such job.
        """
        async with self._keys.alone(key):
            entry = self._desk.newest.get(key)
            if entry is None:
                told = await self._keys.standing(key)
                _log.info("job %s has ended: an update with status %s changes nothing", told.job.id, given.status)
                return
            job = entry.live.job
            if job.state is not JobState.QUEUED and not is_of(job, given.worker):
                _log.warning("job %s: an update by %s, which does not have it, is ignored", job.id, given.worker)
                return
            row = given.added_to(entry.row)
            if given.status in FINISHED:
                await self._finish(entry, replace(row, status=given.status))
            else:
                await self._adjust(entry, row, given.status)

    async def _adjust(self, entry: Entry, row: Row, status: str | None) -> None:
        """Note what was said of a job that goes on."""
        if status is not None:
            row = replace(row, status=own_word(status))
        await self._keys.save(entry, row)
        if status is not None and entry.live.job.state is JobState.QUEUED:
            held = status != CREATED
            if held is not entry.live.job.held:
                with suppress(ConflictError):  # a worker has got it a moment ago
                    await self._core.hold(entry.live, held=held)

    async def _finish(self, entry: Entry, row: Row) -> None:
        """End a job in somebody else's words, committed before it is seen."""
        job_id = entry.live.job.id
        if row.status == CANCELED and entry.live.job.state is JobState.QUEUED:
            await self._keys.save(entry, row)
            await self._core.stop(job_id)
            return
        if entry.live.job.state is JobState.QUEUED:
            try:
                await self._core.place(entry.live, engine=OUTSIDE, worker=row.worker or "")
            except ConflictError as error:
                _log.warning("%s Its result by %s came too late.", error, row.worker)
                return
        await self._keys.save(entry, row)
        for ended in (await self.ends([job_id])).values():
            self._core.report(job_id, ended)

    async def ends(self, job_ids: Collection[str]) -> dict[str, Ended]:
        """How jobs of outside workers have ended, of those that have, as their workers' words are stored."""
        rows = await self._core.store.read(lambda connection: executorrows.rows(connection, job_ids))
        found = {}
        for job_id, row in rows.items():
            if row.status in FINISHED:
                found[job_id] = await self._keys.ended(job_id, partial(end_of, row.status, row))
        return found

    # -- stopping --

    async def cancel(self, key: str, secret: str | None) -> None:
        """Ask for a job's end; one that waits is over at once, one that has ended stays as it is.

        Raises:
            UnknownJobError: There is no such job.
            ForbiddenError: The secret is not the one that was told when it was made.
        """
        async with self._keys.alone(key):
            told = await self._keys.standing(key)
            known = bool(told.row.secret_digest) and hmac.compare_digest(told.row.secret_digest, _digest(secret or ""))
            if not known:
                raise ForbiddenError("The secret of this job is needed.")
            await self._core.stop(told.job.id, signal=_SIGINT)

    # -- workers --

    def run_by(self, worker: Seen) -> list[Told]:
        """The jobs that a worker runs, in the order of their making."""
        return [Told(job=entry.live.job, row=entry.row) for entry in worker.jobs]

    def workers(self) -> list[Seen]:
        """All workers, with the jobs that they run."""
        return self._desk.workers()

    async def beat(self, call: Call, gone: Callable[[], Awaitable[None]] | None = None) -> Beat:
        """Answer a worker that asks for jobs; see ``Desk.beat``."""
        return await self._desk.beat(call, gone)


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
