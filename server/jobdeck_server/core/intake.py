"""How jobs come in, where they wait, and how they leave for an engine. Part of ``JobCore``.

``submit`` checks the request and commits the record with all that is needed to run it. Only then is its id handed out,
and only after that an engine is asked. The database is the only acknowledged truth: a server killed between commit and
asking asks again when it comes back (``recovery``).

A job waits in the queue of this machine, which it leaves in its turn when a slot is free. One that others may take
waits in a **pool**, of which the core knows nothing but its name: whoever owns the pool is handed the job, and calls
``admit`` (it joins this machine's queue, and is still anybody's), or ``place`` (it goes to a worker elsewhere). Both
may lose it meanwhile: a job that is asked to stop leaves every queue by its state.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import Job, JobState, move
from jobdeck_server.core import journal, requests
from jobdeck_server.core.errors import CapacityError, ConflictError
from jobdeck_server.core.live import Live, now_us
from jobdeck_server.engines.base import takes_slot

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from jobdeck_server.core.admission import Admission
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.journal import Event
    from jobdeck_server.core.live import Register
    from jobdeck_server.core.requests import Idempotency, JobRequest
    from jobdeck_server.core.saver import Saver
    from jobdeck_server.core.store import Store
    from jobdeck_server.engines.base import Engine
    from jobdeck_server.settings import Settings

Also = Callable[["sqlite3.Connection", Job], "Sequence[Event] | None"]
"""What a dialect adds to the transaction that accepts its job, and the events of that; runs on the store's thread."""


class Intake:
    """See the top of this file.

    Attributes:
        pools: By name, who is handed the jobs that wait there: new ones, and at start those that were found waiting.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        store: Store,
        events: EventLog,
        engine: Engine,
        register: Register,
        saver: Saver,
        admission: Admission,
        boot_id: str,
    ) -> None:
        self._settings = settings
        self._store = store
        self._events = events
        self._engine = engine
        self._register = register
        self._saver = saver
        self._admission = admission
        self._boot_id = boot_id
        self.pools: dict[str, Callable[[Live], None]] = {}
        self._thread_limiter = trio.CapacityLimiter(settings.thread_limit_count)
        admission.attach(self._start)

    async def submit(
        self, request: JobRequest, *, idempotency: Idempotency | None = None, also: Also | None = None
    ) -> Job:
        """Accept a job: when this returns, it is committed, and it will run even if the server dies now.

        Cancelled while the commit is under way, the job is accepted all the same.

        Raises:
            BadRequestError, TooLargeError: See ``requests.plan``.
            CapacityError: The queue is full.
            IdempotencyError: The key was used with another body.
            StoreError: The database would not take it; nothing was accepted.
        """
        job, spec = requests.plan(request, self._settings, job_id=str(uuid.uuid4()), now_us=now_us())
        if any(step.cwd is not None for step in request.steps) and not requests.elsewhere(request):
            await trio.to_thread.run_sync(requests.check_folders, request, self._settings, limiter=self._thread_limiter)
        waits = takes_slot(request.engine)
        if waits and self._register.counts[JobState.QUEUED] >= self._settings.queued_limit_count:
            raise CapacityError("The queue of jobs is full; try again later.")
        live = Live(job, spec)
        if spec["pool"] is None and self._admission.begin(job):
            live.job, live.boot_id = move(job, JobState.STARTING), self._boot_id
        earlier = await self._insert(live, idempotency, also)
        if earlier is None:
            return live.job
        found = self._register.jobs.get(earlier)
        return found.job if found is not None else await self._stored(earlier)

    async def _stored(self, job_id: str) -> Job:
        job = await self._store.read(lambda connection: journal.find_job(connection, job_id))
        assert job is not None, "an idempotency key goes together with its job"
        return job

    async def _insert(self, live: Live, idempotency: Idempotency | None, also: Also | None) -> str | None:
        """Commit a new job and set it going; the id of an earlier one if the key was used before."""
        finished = trio.Event()
        outcome: list[str | Exception | None] = []
        job, boot_id = live.job, live.boot_id

        def insert(connection: sqlite3.Connection) -> str | list[Event]:
            result = journal.insert_job(connection, job, live.spec, boot_id=boot_id, idempotency=idempotency)
            if also is not None and isinstance(result, list):
                result += also(connection, job) or ()
            return result

        def done(result: str | list[Event] | None, error: Exception | None) -> None:
            # Runs also when the submitter has gone: what was committed must be set going.
            if isinstance(result, list):
                self._accept(live, result)
                outcome.append(None)
            else:
                self._admission.free_slot(job.id)
                outcome.append(error if error is not None else result)
            finished.set()

        self._store.write_soon(insert, done)
        await finished.wait()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def _accept(self, live: Live, events: list[Event]) -> None:
        self.adopt(live)
        self._events.publish(events)
        if live.job.state is JobState.STARTING:
            self.launch(live)
        else:
            self.enqueue(live)
            self._admission.fill_slots()

    def adopt(self, live: Live) -> None:
        """Take a job that is in the database into memory."""
        self._register.add(live)
        if live.job.state in (JobState.STARTING, JobState.RUNNING) and takes_slot(live.job.engine):
            self._admission.hold_slot(live.job.id)

    def enqueue(self, live: Live) -> None:
        """Put a job where it waits."""
        pool = self.pools.get(live.spec.get("pool") or "")
        if pool is not None:
            pool(live)
        else:
            self._admission.enqueue(live)

    def launch(self, live: Live) -> None:
        """Ask a job's engine to start it."""
        self._engine.submit(live.launch())

    def admit(self, live: Live) -> None:
        """Let a job that waits in a pool run here as soon as there is a slot. Once is enough."""
        if live.job.state is JobState.QUEUED:
            self._admission.enqueue(live)
            self._admission.fill_slots()

    async def place(self, live: Live, *, engine: str, worker: str) -> None:
        """Give a waiting job to a worker elsewhere: it is that worker's once this returns, and nobody else's.

        Raises:
            ConflictError: It does not wait any more.
            StoreError: The database would not take it now; the job goes there all the same, once it does.
        """
        if live.job.state is not JobState.QUEUED:
            raise ConflictError(f"Job {live.job.id} does not wait any more.")
        self._admission.leave(live)
        committed = trio.Event()
        failed: list[Exception] = []
        starting = move(live.job, JobState.STARTING, engine=engine, worker=worker, note=None)
        self._leave_for(live, starting, committed, failed)
        await committed.wait()
        if failed:
            raise failed[0]

    async def hold(self, live: Live, *, held: bool) -> None:
        """Note that a waiting job is not to be started, or no longer; whoever owns its pool heeds it.

        Raises:
            ConflictError: It does not wait any more.
            StoreError: The database would not take it now.
        """
        if live.job.state is not JobState.QUEUED:
            raise ConflictError(f"Job {live.job.id} does not wait any more.")
        if held:
            self._admission.leave(live)
        self._register.set(live, replace(live.job, held=held))
        await self._saver.save_now(live)

    def _start(self, live: Live) -> None:
        """A queued job was given a slot."""
        self._leave_for(live, move(live.job, JobState.STARTING, note=None), trio.Event(), [])

    def _leave_for(self, live: Live, job: Job, settled: trio.Event, failed: list[Exception]) -> None:
        """Commit that a job leaves the queue, then ask for its start; a commit that fails is tried again."""
        live.boot_id = self._boot_id
        self._register.set(live, job)

        def done(events: list[Event] | None, error: Exception | None) -> None:
            self._saver.saved(live, events, error)
            if error is None and live.job.state is JobState.STARTING:
                self.launch(live)
            failed.extend([] if error is None else [error])
            settled.set()

        self._saver.save(live, durable=True, done=done)
