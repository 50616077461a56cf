"""The engine of jobs on other machines: workers that have dialled this server and run what it gives them.

Each known worker is a ``RemoteWorker``, connected or not, since this server or an earlier one heard of it for the first
time. The record of a job names its worker; the verbs of an engine go there. What is asked for is remembered by the
worker's host until it has come about, so only a signal needs a worker that can be reached.

**Lives.** Each start of the server is a new life, in the database before anybody hears of it. A worker that knows a
later one shows that the database is a restored backup: then nothing is started anywhere, by this server or by workers,
until an admin agrees (``resume``), and workers tell of all jobs that they have a record of.

How a job's output comes here is told in ``mirror``; its folder belongs to the engine of this machine.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.errors import CLOSE_IDENTITY, CLOSE_TRY_LATER, RemoteWireError
from jobdeck_protocol.job import JobState
from jobdeck_protocol.workermirror import Sizes
from jobdeck_server.core import workerrows
from jobdeck_server.core.errors import ConflictError
from jobdeck_server.core.live import now_us
from jobdeck_server.engines import copies
from jobdeck_server.engines.base import WORKER, Ended, Launch, Noted, Records, Report
from jobdeck_server.engines.remotebundles import NoBundles
from jobdeck_server.engines.remotecommon import Surroundings
from jobdeck_server.engines.remoteworker import RemoteWorker

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jobdeck_protocol.worker import Hello
    from jobdeck_server.core.store import Store
    from jobdeck_server.core.workerrows import WorkerRow
    from jobdeck_server.engines.base import Stop
    from jobdeck_server.engines.remotecommon import Bundles, Registry, Session
    from jobdeck_server.settings import Settings

_log = logging.getLogger("jobdeck.workers")
_RESTORED = "the server was restored from a backup"


class RemoteEngine:
    """See ``engines.base.Engine``. ``load`` comes before ``run``, ``open`` before the first connection.

    Attributes:
        restored: The server was restored from a backup, and nobody has agreed yet that it starts jobs.
        hold: Called when that changes, before anything else happens.
        bundles: What is done for jobs with one; to be set before ``open``.
    """

    name = WORKER
    capacity_count = 1 << 30  # the workers know theirs

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings = settings
        self._store = store
        self._jobs_dir = settings.data_dir / "jobs"
        self._workers: dict[str, RemoteWorker] = {}
        self._rows: list[WorkerRow] = []
        self._life = str(uuid.uuid4())
        self._lives: frozenset[str] = frozenset()
        self._sink: Records | None = None
        self._around: Surroundings | None = None
        self._nursery: trio.Nursery | None = None
        self._agreed = False  # by an admin, in this life of the server
        self._limiter = trio.CapacityLimiter(1)
        self.restored = False
        self.hold: Callable[[bool], None] = lambda _on: None
        self.bundles: Bundles = NoBundles()

    async def load(self) -> None:
        """Begin a life of the server, durably, and read who is known.

        Raises:
            StoreError: The database would not take it.
        """

        def begin(connection: sqlite3.Connection) -> frozenset[str]:
            if self._settings.restored:
                workerrows.set_restored(connection, on=True)
            return workerrows.begin_life(connection, self._life, keep_count=self._settings.server_life_limit_count)

        self._lives = await self._store.write(begin)
        self.restored = await self._store.read(workerrows.is_restored)
        self._rows = await self._store.read(workerrows.workers)

    def open(self, registry: Registry, place: Callable[[str, str], Awaitable[None]]) -> None:
        """Have all known workers listed; ``run`` must be running.

        Args:
            registry: Who lists them.
            place: See ``RemoteJobs``.
        """
        assert self._sink is not None, "run comes first"
        self._around = Surroundings(
            settings=self._settings,
            store=self._store,
            sink=self._sink,
            registry=registry,
            life=self._life,
            lives=self._lives,
            place=place,
            found_restored=self._found_restored,
            agreed=lambda: self._agreed,
            bundles=self.bundles,
            forgotten=self._forget,
        )
        for row in self._rows:
            worker = self._add(row, known=True)
            try:
                worker.join()
            except ConflictError as error:
                _log.error("worker %s: %s", row.id, error)
        if self.restored:
            _log.error("%s: no job is started until an admin agrees", _RESTORED)
            self.hold(True)

    async def run(self, sink: Records, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of all workers, until cancelled."""
        self._sink = sink
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    # -- workers --

    async def connect(self, hello: Hello, address: str, session: Session) -> tuple[RemoteWorker, int]:
        """Take in a connection that has said who it is.

        Args:
            hello: What it said.
            address: Host and port from which it comes.
            session: The connection.

        Returns:
            The worker, and the number of the connection there.

        Raises:
            RemoteWireError: It is refused.
            StoreError: The database would not take it now.
        """
        assert self._around is not None, "open comes first"
        if hello.worker == self._around.registry.local_id:
            raise RemoteWireError("this is the id of the server's own worker", close_code=CLOSE_IDENTITY)
        worker = self._workers.get(hello.worker) or self._new(hello, address)
        try:
            return worker, await worker.connect(hello, address, session)
        finally:
            if worker.idle:
                self._forget(worker)
                worker.end()

    def _new(self, hello: Hello, address: str) -> RemoteWorker:
        if len(self._workers) >= self._settings.worker_limit_count:
            raise RemoteWireError("this server knows as many workers as it may", close_code=CLOSE_TRY_LATER)
        row = workerrows.WorkerRow(
            id=hello.worker, name=hello.name, last_life=hello.life, address=address, created_us=now_us()
        )
        return self._add(row, known=False)

    def _add(self, row: WorkerRow, *, known: bool) -> RemoteWorker:
        assert self._around is not None, "open comes first"
        assert self._nursery is not None, "run comes first"
        worker = self._workers[row.id] = RemoteWorker(row, self._around, known=known, restored=self.restored)
        self._nursery.start_soon(worker.run)
        return worker

    def _forget(self, worker: RemoteWorker) -> None:
        if self._workers.get(worker.id) is worker:
            del self._workers[worker.id]

    # -- a server that was restored --

    async def resume(self) -> None:
        """An admin agrees that jobs are started again; returns once that is durable.

        Raises:
            StoreError: The database would not take it.
        """
        await self._store.write(lambda connection: workerrows.set_restored(connection, on=False))
        self._agreed = True
        if self.restored:
            self.restored = False
            _log.warning("an admin agrees: jobs are started again")
            for worker in self._workers.values():
                worker.resume()
            self.hold(False)

    async def _found_restored(self, worker: str) -> None:
        """A worker knows a life of this server that is not in its database.

        That an admin has agreed counts for this life: only between two lives a database can be replaced.
        """
        if self._agreed:
            _log.warning("worker %s comes from before the server was restored; an admin knows", worker)
            return
        if not self.restored:
            self.restored = True
            text = "%s: worker %s knows a later one. No job is started until an admin agrees"
            _log.error(text, _RESTORED, worker)
            for each in self._workers.values():
                each.host.restored = True
            self.hold(True)
        # each time, since it may have failed before: once it is welcomed, the worker knows no other life than this
        await self._store.write(lambda connection: workerrows.set_restored(connection, on=True))

    # -- as an engine --

    def submit(self, launch: Launch) -> None:
        """Have the worker that is on the job's record start it."""
        worker = self._of(launch)
        if worker is None:
            self._report(launch.job_id, self._nobody(launch))
        elif launch.job_id not in worker.host.jobs:
            worker.jobs.start(launch, copies.measure(self.follow(launch.job_id)))

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Remember that it is to be stopped; its worker is told as soon as that can be."""
        worker = self._having(job_id)
        if worker is not None:
            worker.jobs.stop(job_id, stop)

    async def signal(self, job_id: str, signum: int) -> bool:
        """Send a signal, and wait for the answer.

        Raises:
            UnavailableError: The worker cannot be reached.
        """
        worker = self._having(job_id)
        return False if worker is None else await worker.jobs.signals.send(job_id, signum)

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """Its ``input`` file has grown, or is complete: what the worker lacks is sent as it takes it."""
        worker = self._having(job_id)
        if worker is not None:
            worker.jobs.input(job_id)

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """Have each asked about at its worker: what became of it is told later. Jobs without a worker are LOST."""
        fresh = [job_id for job_id in job_ids if not self._asked(job_id)]
        sizes = await trio.to_thread.run_sync(self._measure_all, fresh, limiter=self._limiter)
        return {job_id: self._ask(job_id, sizes.get(job_id)) for job_id in job_ids}

    def _asked(self, job_id: str) -> bool:
        """Whether its worker's host has it: then nobody but the mirror touches its files."""
        worker = self._having(job_id)
        return worker is not None and job_id in worker.host.jobs

    def _measure_all(self, job_ids: list[str]) -> dict[str, Sizes]:
        return {job_id: copies.measure(self.follow(job_id)) for job_id in job_ids}

    def _ask(self, job_id: str, sizes: Sizes | None) -> Report:
        launch = None if self._sink is None else self._sink.launch_of(job_id)
        if launch is None or launch.job is None:
            return Noted(note=None)  # it has ended meanwhile
        worker = self._of(launch)
        if worker is None:
            return self._nobody(launch)
        if sizes is None:
            pass  # it has it
        elif launch.job.state is JobState.STARTING:
            worker.jobs.start(launch, sizes)
        else:
            worker.jobs.follow(launch.job, sizes)
        return Noted(note=launch.job.note)

    async def forget(self, job_id: str) -> None:
        """Nothing is kept here."""

    async def forget_output(self, job_id: str) -> None:
        """Nothing is kept here."""

    async def kept(self) -> Collection[str]:
        """Nothing is kept here."""
        return ()

    def follow(self, job_id: str) -> Path:
        """The job's folder."""
        return self._jobs_dir / job_id

    # -- parts --

    def _of(self, launch: Launch) -> RemoteWorker | None:
        name = None if launch.job is None else launch.job.worker
        return self._workers.get(name or "")

    def _having(self, job_id: str) -> RemoteWorker | None:
        launch = None if self._sink is None else self._sink.launch_of(job_id)
        return None if launch is None else self._of(launch)

    def _nobody(self, launch: Launch) -> Ended:
        name = None if launch.job is None else launch.job.worker
        return Ended(how="lost", text=f"worker {name} is not known here any more", finished_us=now_us())

    def _report(self, job_id: str, report: Report) -> None:
        if self._sink is not None:
            self._sink.report(job_id, report)
