"""JobCore: the one owner of all job state.

The life of a job here:
1. It comes in and waits until there is a place for it (``intake``).
2. The engine tells what happens by ``report``. A report moves the job by the table of states; one that says nothing new
   is ignored, so reports may be repeated.
3. Ends are committed after a sync of the file system (with ``sync="full"``), so that no record claims output that a
   power cut can take; they are visible in memory at once.

trio runs one task at a time: a check and a change without an ``await`` between them cannot be torn, so state changes
are plain ``def`` methods and there are no locks. Jobs that have not ended are held in memory, ended ones in the
database, and in memory for a while once somebody asks for them. The core knows no HTTP, and no engine but by its
interface.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import JobState, move
from jobdeck_server.core import journal, looking, recovery, removal, requests
from jobdeck_server.core.admission import Admission
from jobdeck_server.core.ended import EndedJobs
from jobdeck_server.core.errors import ConflictError, UnknownJobError
from jobdeck_server.core.intake import Intake
from jobdeck_server.core.lines import Lines
from jobdeck_server.core.live import Live, Register, now_us
from jobdeck_server.core.output import OutputReader
from jobdeck_server.core.readers import Readers
from jobdeck_server.core.saver import Saver
from jobdeck_server.core.stdin import Stdin
from jobdeck_server.core.stopper import Stopper
from jobdeck_server.core.verdict import meanwhile, verdict
from jobdeck_server.engines.base import WORKER, Ended, Report, Stop, leaves_files

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.growth import Growth
    from jobdeck_server.core.intake import Also
    from jobdeck_server.core.listing import JobFilter, Page
    from jobdeck_server.core.requests import Idempotency, JobRequest
    from jobdeck_server.core.store import Store
    from jobdeck_server.engines.base import Engine, Launch
    from jobdeck_server.settings import Settings

    Rerun = Callable[[Job, Idempotency | None], Awaitable[Job]]


class JobCore:
    """Submit, list, follow, stop. ``run`` must be running; ``recovery.recover`` comes before the first request."""

    def __init__(
        self, settings: Settings, *, store: Store, events: EventLog, growth: Growth, engine: Engine, boot_id: str
    ) -> None:
        self.settings = settings
        self.events = events
        self.engine = engine
        self.store = store
        self.boot_id = boot_id
        self.growth = growth
        self._register = Register(growth)
        self.counts = self._register.counts
        self._live = self._register.jobs
        self._ended = EndedJobs(store, events, limit_bytes=settings.ended_memory_bytes)
        self._saver = Saver(store, events, self._live, settings)
        self._stopper = Stopper(engine)
        self.admission = Admission(engine, settings)
        self._intake = Intake(
            settings,
            store=store,
            events=events,
            engine=engine,
            register=self._register,
            saver=self._saver,
            admission=self.admission,
            boot_id=boot_id,
        )
        self.pools = self._intake.pools
        self.observers = self._register.observers
        self.reruns: dict[str, Rerun] = {}  # by the name of a dialect, or of an engine, that does it its own way
        self.stdin = Stdin(self._live, engine, settings)
        self.readers = Readers(settings.attach_limit_count)
        self.lines = Lines(settings, folder=engine.follow, running=self._running)
        self._thread_limiter = trio.CapacityLimiter(settings.thread_limit_count)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks that talk to the engine, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._saver.run)
            await nursery.start(self._stopper.run)
            await nursery.start(self.lines.run)
            task_status.started()
            await trio.sleep_forever()

    # -- coming in --

    async def submit(
        self, request: JobRequest, *, idempotency: Idempotency | None = None, also: Also | None = None
    ) -> Job:
        """Accept a job; see ``Intake.submit``."""
        return await self._intake.submit(request, idempotency=idempotency, also=also)

    async def rerun(self, job_id: str, *, idempotency: Idempotency | None = None) -> Job:
        """Accept a new job that is what another one was when it was submitted; see ``submit``.

        Raises:
            UnknownJobError: There is no such job.
            ConflictError: It cannot be run again.
        """
        job = await self.get(job_id)
        again = self.reruns.get(job.dialect) or self.reruns.get(job.engine)
        if again is not None:
            return await again(job, idempotency)
        live = self._live.get(job_id)
        spec = live.spec if live is not None else await self.store.read(lambda c: journal.find_spec(c, job_id))
        return await self.submit(requests.again(job, spec, self.settings), idempotency=idempotency)

    def admit(self, live: Live) -> None:
        """Let a job that waits in a pool run here as soon as there is a slot; see ``Intake.admit``."""
        self._intake.admit(live)

    async def place(self, live: Live, *, engine: str, worker: str) -> None:
        """Give a waiting job to a worker; see ``Intake.place``."""
        await self._intake.place(live, engine=engine, worker=worker)

    async def hold(self, live: Live, *, held: bool) -> None:
        """Keep a waiting job from being started, or no longer; see ``Intake.hold``."""
        await self._intake.hold(live, held=held)

    def adopt(self, live: Live) -> None:
        """Take a job that is in the database into memory."""
        self._intake.adopt(live)

    def enqueue(self, live: Live) -> None:
        """Put a queued job, as found at start, where it waits."""
        self._intake.adopt(live)
        self._intake.enqueue(live)

    def resume(self, live: Live, *, launch: bool) -> None:
        """Go on with a job that was found at start: ask for its start again, tell its stop again."""
        if launch:
            self._intake.launch(live)
        self._stopper.resume(live)

    # -- looking --

    def active(self) -> list[Job]:
        """All jobs that were accepted and have not ended, in the order of their acceptance."""
        return [live.job for live in self._live.values() if not live.job.ended]

    def ahead(self) -> list[Job]:
        """Jobs in memory that have left the queue: what the database says of their states may be a moment old."""
        return [live.job for live in self._live.values() if live.job.state is not JobState.QUEUED]

    @property
    def slots_in_use(self) -> int:
        """How many of this machine's slots have a job."""
        return self.admission.held_count

    def _running(self) -> list[str]:
        return [live.job.id for live in self._live.values() if live.job.state is JobState.RUNNING]

    def live(self, job_id: str) -> Live | None:
        """A job that is still in memory."""
        return self._live.get(job_id)

    async def get(self, job_id: str) -> Job:
        """A job by its id.

        Raises:
            UnknownJobError: There is none.
        """
        live = self._live.get(job_id)
        if live is not None:
            return live.job
        job = await self._ended.get(job_id)
        live = self._live.get(job_id)  # it may have been accepted while the thread was looking
        if live is not None:
            return live.job
        if job is None:
            raise UnknownJobError(job_id)
        return job

    async def lookup(self, name: str) -> Job:
        """A job by any name that a dialect handed out: its id, or the newest with this key.

        Raises:
            UnknownJobError: There is none.
        """
        return await looking.lookup(self, name)

    async def resolve(self, name: str) -> Job:
        """A job by its id, or by the beginning of one that only it has (at least 8 characters).

        Raises:
            UnknownJobError: None, or more than one.
        """
        return await looking.resolve(self, name)

    async def page(self, wanted: JobFilter) -> Page:
        """One page of the list of jobs, ended ones included.

        Raises:
            BadRequestError: The sort or the cursor is none.
        """
        return await looking.page(self, self._live, wanted)

    async def wait(self, job_id: str) -> Job:
        """Wait for a job's end and return its final record.

        Raises:
            UnknownJobError: There is no such job.
        """
        live = self._live.get(job_id)
        if live is None:
            return await self.get(job_id)
        while not live.job.ended:
            await live.changed.wait()
        return live.job

    async def watch(self, job_id: str) -> AsyncGenerator[Job, None]:
        """A job's record now and at each change, the ended one last. A slow reader skips to the newest.

        Raises:
            UnknownJobError: There is no such job.
        """
        live = self._live.get(job_id)
        job = live.job if live is not None else await self.get(job_id)
        yield job
        while live is not None and not job.ended:
            changed = live.changed
            if live.job is job:
                await changed.wait()
                continue
            job = live.job
            yield job

    async def output(self, job_id: str) -> OutputReader:
        """Open a job's output for reading, whatever the job's state.

        Raises:
            UnknownJobError: There is no such job.
        """
        job = await self.get(job_id)
        live = self._live.get(job_id)
        return OutputReader(
            self.engine.follow(job_id), self.growth, (lambda: job) if live is None else (lambda: live.job)
        )

    # -- stopping and signals --

    async def stop(self, job_id: str, *, signal: int = 15, grace_s: float | None = None) -> Job:
        """Ask for a job's end, in any state; returns once that is durable. An ended job stays as it is.

        Args:
            job_id: As handed out.
            signal: Sent first to everything the job started; 9 ends it at once.
            grace_s: Seconds until SIGKILL; None for the job's own.

        Raises:
            UnknownJobError: There is no such job.
            StoreError: The database would not take it; the job is being stopped all the same.
        """
        live = self._live.get(job_id)
        if live is None:
            return await self.get(job_id)
        if live.job.ended:
            return live.job
        if live.job.state is JobState.QUEUED:
            self.admission.leave(live)
            self._register.set(live, move(live.job, JobState.STOPPED, stop_requested=True, finished_us=now_us()))
        else:
            if not live.job.stop_requested:
                self._register.set(live, replace(live.job, stop_requested=True))
            self._stopper.ask(live, Stop(signal=signal, grace_s=live.job.grace_s if grace_s is None else grace_s))
        await self._saver.save_now(live)
        return live.job

    async def signal(self, job_id: str, signum: int) -> None:
        """Send a signal to everything a running job started; no stop is implied. One that is starting is waited for.

        Raises:
            UnknownJobError: There is no such job.
            ConflictError: It is not running.
        """
        job = await self.get(job_id)
        live = self._live.get(job_id)
        while live is not None and live.job.state is JobState.STARTING:
            await live.changed.wait()
        if live is not None:
            job = live.job
        if job.state is not JobState.RUNNING or not await self.engine.signal(job_id, signum):
            raise ConflictError(f"Job {job_id} is not running.")

    async def remove(self, job_id: str) -> None:
        """Remove an ended job's record and output.

        Raises:
            UnknownJobError: There is no such job.
            ConflictError: It has not ended.
        """
        await removal.remove(self, job_id)

    # -- what the engine tells --

    def report(self, job_id: str, report: Report) -> None:
        """Move a job by what its engine tells; nothing new is nothing done. See ``engines.base.Sink``."""
        live = self._live.get(job_id)
        if live is None or live.job.ended:
            return
        job = live.job
        if isinstance(report, Ended):
            changed = verdict(job, recovery.counted(report, self.engine.follow(job_id)))
        else:
            changed = meanwhile(job, report)
        if changed != job:
            self._register.set(live, changed)
            if changed.ended:
                self._saver.save(live, durable=leaves_files(changed))
            else:
                self._saver.save_later(live)
        if changed.ended:
            self.admission.free_slot(job_id)
            self.lines.ended(changed)

    def engine_of(self, job_id: str) -> str | None:
        """The name of the engine that has a job; None for a job that is not in memory."""
        live = self._live.get(job_id)
        return None if live is None else live.job.engine

    def launch_of(self, job_id: str) -> Launch | None:
        """What an engine needs of a job that it has and that has not ended. See ``engines.base.Sink``."""
        live = self._live.get(job_id)
        if live is None or live.job.ended or live.job.state is JobState.QUEUED:
            return None
        return live.launch()

    async def find(self, job_id: str) -> Job | None:
        """A job by its id; None if there is none."""
        try:
            return await self.get(job_id)
        except UnknownJobError:
            return None

    async def committed(self, job_id: str) -> None:
        """Wait until the end of a job is in the database."""
        while (live := self._live.get(job_id)) is not None:
            await live.changed.wait()

    async def correct(self, job_id: str, ended: Ended) -> bool:
        """Give a LOST job the end that it truly had. See ``engines.base.Sink``."""
        return await recovery.correct(self, job_id, ended)

    def amend(self, job: Job) -> None:
        """Save another end of a job that had ended, and tell it."""
        live = Live(replace(job, state=JobState.LOST), {})
        self._live[job.id] = live
        self._register.set(live, job)
        self._saver.save(live, durable=True)
        self.lines.ended(job)

    async def import_job(self, job_id: str, *, worker: str) -> None:
        """Take in a job of a worker of which there is no record. See ``engines.base.Sink``."""
        await recovery.import_job(self, job_id, worker=worker)

    def reach(self, worker: str, *, unreachable: bool) -> None:
        """Say on the records of a worker's jobs whether it can be reached."""
        for live in list(self._live.values()):
            job = live.job
            if job.worker == worker and job.engine == WORKER and not job.ended and job.unreachable != unreachable:
                self._register.set(live, replace(job, unreachable=unreachable))
                self._saver.save_later(live)

    async def resync(self) -> None:
        """Ask the engine about each job that it should know, and go on from what it says."""
        await recovery.resync(self)

    # -- changing and saving --
