"""The jobs of one worker: what the core wants of them, and what the worker tells of them.

Orders go to the worker's ``Ledger``, which remembers them until they have come about. What the worker tells stands in
the one line of the ``Mirror`` with the bytes that it sent before: the core hears of a start when the files are there,
and of an end when the last byte is written. The core's records say whose a job is; nothing that is told of another
worker's job changes anything.

An end is told to the core, or, if the job was LOST meanwhile, corrects its record. Once that is in the database, the
worker is told that all is safe here.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.errors import CLOSE_TOO_BIG, RemoteWireError, WireError
from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerevents import Append, Gap, HostEvent, Missing, SignalDone, Stranger, Unreachable
from jobdeck_protocol.workermirror import Sizes
from jobdeck_protocol.workerreports import Ended as EndedThere
from jobdeck_protocol.workerreports import State
from jobdeck_server.core.errors import TooLargeError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.orders import order_of
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines import copies, remotereports
from jobdeck_server.engines.base import Ended, Noted
from jobdeck_server.engines.mirror import Mirror
from jobdeck_server.engines.remotesignals import RemoteSignals

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.worker import Kept
    from jobdeck_protocol.workerhost import WorkerHost
    from jobdeck_server.engines.base import Launch, Records, Stop
    from jobdeck_server.engines.remoteclock import WorkerClock
    from jobdeck_server.engines.remotecommon import Bundles

_log = logging.getLogger("jobdeck.workers")
_RETRY_S = 1.0
_SAID_COUNT = 100


class RemoteJobs:
    """See the top of this file. ``run`` must be running.

    Args:
        host: Of the worker.
        sink: The core.
        jobs_dir: Where the folders of jobs are.
        name: What the worker is called now.
        ring: Has what there is to say to the worker said.
        clock: The worker's.
        place: Has a job that waits given to a worker: a restored server does not know that it was.
        bundles: What is done for those with a bundle.
        strange_limit_count: Jobs that the worker may tell of on one connection and that were not given to it.

    Attributes:
        signals: To them.
    """

    def __init__(
        self,
        host: WorkerHost,
        sink: Records,
        *,
        jobs_dir: Path,
        name: Callable[[], str],
        ring: Callable[[], None],
        clock: WorkerClock,
        place: Callable[[str, str], Awaitable[None]],
        bundles: Bundles,
        strange_limit_count: int,
    ) -> None:
        self._host = host
        self._ledger = host.jobs
        self._sink = sink
        self._jobs_dir = jobs_dir
        self._name = name
        self._ring = ring
        self._clock = clock
        self._place = place
        self._bundles = bundles
        self._strange_limit_count = strange_limit_count
        self._given: set[str] = set()  # that the core thinks are there
        self._halts: dict[str, Stop] = {}  # stops of jobs that were not given yet
        self._strange_count = 0  # told on this connection
        self.signals = RemoteSignals(host, name=name, ring=ring)
        self._states: dict[str, State] = {}  # that stand in the line, the newest of each job
        self._stalled: frozenset[str] = frozenset()
        self._limiter = trio.CapacityLimiter(1)
        self._nursery: trio.Nursery | None = None
        self._mirror = Mirror(jobs_dir, name=name(), taken=self._taken, synced=self._synced, stalled=self._stall)

    @property
    def count(self) -> int:
        """How many the core has given to the worker that have not ended."""
        return len(self._given)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Write, and bring ends to the core, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            nursery.start_soon(self._mirror.run)
            task_status.started()
            await trio.sleep_forever()

    # -- what the core wants --

    def start(self, launch: Launch, sizes: Sizes) -> None:
        """Have a job started, unless the worker has decided about it before.

        Args:
            launch: With its record.
            sizes: Of its files here.
        """
        assert launch.job is not None, "the core's launches have the record"
        try:
            order = order_of(launch.job, launch.spec)
            self._ledger.start(launch.job_id, order, output=sizes.output, runs=sizes.runs)
        except (TooLargeError, WireError) as error:
            self._sink.report(launch.job_id, Ended(how="error", text=str(error), finished_us=now_us()))
            return
        self._give(launch.job)

    def follow(self, job: Job, sizes: Sizes, *, input_kept: int = 0) -> None:
        """Hear of a job that the worker has decided about."""
        self._ledger.follow(job.id, output=sizes.output, runs=sizes.runs, input_kept=input_kept)
        self._give(job)

    def _give(self, job: Job) -> None:
        if not job.ended:
            self._given.add(job.id)
        halt = self._halts.pop(job.id, None)
        if halt is not None:
            self._ledger.stop(job.id, halt.signal, halt.grace_s)
        if job.stdin:
            self.input(job.id)
        self._ring()

    def stop(self, job_id: str, stop: Stop) -> None:
        """Have a job stopped, as soon as the worker can be told."""
        if job_id in self._ledger:
            self._ledger.stop(job_id, stop.signal, stop.grace_s)
            self._ring()
        else:
            self._halts[job_id] = stop

    def input(self, job_id: str) -> None:
        """A job's standard input has grown, or has ended."""
        folder = self._jobs_dir / job_id
        end = copies.input_end(folder)
        self._ledger.input(job_id, copies.input_size(folder) if end is None else end, eof_bytes=end)
        self._ring()

    async def read_input(self, job_id: str, offset: int, length: int) -> bytes:
        """A piece of a job's standard input."""
        work = partial(copies.read_input, self._jobs_dir / job_id, offset, length)
        return await trio.to_thread.run_sync(work, limiter=self._limiter)

    def lose(self, reason: str) -> None:
        """All that has not ended is LOST; what was not started is not to be any more."""
        for job_id in list(self._given):
            self._ledger.withdraw(job_id)
            if self._own(job_id) is not None:
                self._sink.report(job_id, Ended(how="lost", text=reason, finished_us=now_us()))
        self._given.clear()
        self._ring()

    # -- what the worker tells --

    def begin(self) -> None:
        """A new connection has come."""
        self._strange_count = 0

    async def take(self, event: HostEvent) -> None:
        """Do what an event asks for; what can wait for the database is waited for, so that a worker cannot flood it.

        Raises:
            RemoteWireError: The worker tells of more jobs than anybody can have given to it.
        """
        if isinstance(event, Stranger):
            await self._stranger(event.kept)
        else:
            self.heed(event)

    def heed(self, event: HostEvent) -> None:
        """Do what an event about jobs asks for, any but ``Stranger``; what is not about jobs is none of this."""
        match event:
            case Append():
                self._mirror.put(event, skew_us=self._clock.correction_us)
            case State():
                self._state(event)
            case Missing():
                self._later(partial(self._missing, event.job_id))
            case SignalDone():
                self.signals.answered(event.number, done=event.done)
            case Unreachable():
                self.signals.give_up()

    def ended(self, end: EndedThere, gap: Gap | None) -> None:
        """A job has ended, and all of its output has come; ``gap`` is what of it does not exist any more."""
        if self._own(end.job_id) is not None:
            self._mirror.make(end.job_id)
        self._mirror.after(end.job_id, partial(self._later, partial(self._end, end, gap, self._times())))

    def _own(self, job_id: str) -> Job | None:
        """A job's record, if it is this worker's and has not ended."""
        launch = self._sink.launch_of(job_id)
        job = None if launch is None else launch.job
        return job if job is not None and job.worker == self._host.worker else None

    def _times(self) -> remotereports.Clock:
        return remotereports.Clock(skew_us=self._clock.correction_us, now_us=now_us())

    def _state(self, state: State) -> None:
        if self._own(state.job_id) is None:
            return
        if state.job_id not in self._states:
            self._mirror.make(state.job_id)
            self._mirror.after(state.job_id, partial(self._tell_state, state.job_id))
        self._states[state.job_id] = state

    def _tell_state(self, job_id: str) -> None:
        state, job = self._states.pop(job_id), self._own(job_id)
        if job is None:
            return
        try:
            for report in remotereports.reports(job, state, self._times()):
                self._sink.report(job_id, report)
            self._bundles.told(job, state)
        except Exception:  # noqa: BLE001  # the boundary to what others send
            _log.exception("bug: a state of worker %s", self._name())

    def _later(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do something that takes a while, in a task of its own; a bug there must not end the server."""

        async def guarded() -> None:
            try:
                await work()
            except Exception:  # noqa: BLE001  # the boundary to what others send
                _log.exception("bug: a report of worker %s", self._name())

        if self._nursery is not None:
            self._nursery.start_soon(guarded)

    async def _end(self, end: EndedThere, gap: Gap | None, clock: remotereports.Clock) -> None:
        """Bring an end into the database, then tell the worker."""
        job_id = end.job_id
        if self._own(job_id) is not None:
            await self._bundles.ended(job_id, end.super_set)
        job = self._own(job_id)
        if job is not None:
            self._sink.report(job_id, remotereports.ended(job, end, clock, worker=self._name(), gap=gap))
            await self._sink.committed(job_id)
        elif not await self._correct(end, gap, clock):
            _log.warning("worker %s: the end of job %s, which is not there to end", self._name(), job_id)
            self._drop(job_id)
            return
        sizes = Sizes(end.output_bytes, end.runs_bytes)
        if gap is not None:
            sizes = await trio.to_thread.run_sync(copies.measure, self._jobs_dir / job_id, limiter=self._limiter)
        self._settle(job_id, sizes)

    async def _correct(self, end: EndedThere, gap: Gap | None, clock: remotereports.Clock) -> bool:
        """The truth about a job that is on record as ended; whether it is this worker's."""
        while True:
            try:
                job = await self._sink.find(end.job_id)
                if job is None or job.output_removed:
                    await self._clear(end.job_id)
                if job is None or job.worker != self._host.worker:
                    return False
                if job.state is JobState.LOST:
                    await self._mirror.sync(end.job_id)
                    await self._bundles.ended(end.job_id, end.super_set)
                    told = remotereports.ended(job, end, clock, worker=self._name(), gap=gap)
                    if await self._sink.correct(end.job_id, told):
                        _log.info("job %s was lost, and worker %s has told how it ended", end.job_id, self._name())
                return True
            except StoreError as error:
                _log.error("job %s: its end could not be saved: %s", end.job_id, error)
                await trio.sleep(_RETRY_S)

    async def _clear(self, job_id: str) -> None:
        """Remove what has come for a job whose output is not kept any more: it was removed while it was LOST."""
        await trio.to_thread.run_sync(copies.remove, self._jobs_dir / job_id, limiter=self._limiter)

    def _settle(self, job_id: str, sizes: Sizes) -> None:
        """The end of a job, and all of its files, are safe here."""
        self._given.discard(job_id)
        self._halts.pop(job_id, None)
        self._mirror.drop(job_id)
        self._ledger.synced(job_id, output=sizes.output, runs=sizes.runs)
        self._ledger.recorded(job_id)
        self._ring()

    def _drop(self, job_id: str) -> None:
        """Nothing of a job is wanted, or known."""
        self._given.discard(job_id)
        self._halts.pop(job_id, None)
        self._mirror.drop(job_id)
        self._ledger.forget(job_id)
        self._ring()

    async def _missing(self, job_id: str) -> None:
        """The worker has nothing of a job that it had decided to run."""
        if self._own(job_id) is not None:
            text = f"worker {self._name()} knows nothing of it any more"
            self._sink.report(job_id, Ended(how="lost", text=text, finished_us=now_us()))
            await self._sink.committed(job_id)
        self._drop(job_id)

    # -- jobs of which only the worker speaks --

    async def _stranger(self, kept: Kept) -> None:
        """Follow, release or forget a job that the worker has and that was not given to it by this server's life."""
        job_id = kept.job_id
        self._strange_count += 1
        if self._strange_count > self._strange_limit_count:
            raise RemoteWireError("too many jobs that are not known here", close_code=CLOSE_TOO_BIG)
        try:
            job = await self._sink.find(job_id)
            if job is None and self._host.restored:
                self._complain("job %s of worker %s has no record: taken in", job_id)
                await self._sink.import_job(job_id, worker=self._host.worker)
                job = await self._sink.find(job_id)
            await self._judge(kept, job)
        except StoreError as error:
            _log.error("job %s of worker %s: %s", job_id, self._name(), error)  # it is asked for at the next connection

    async def _judge(self, kept: Kept, job: Job | None) -> None:
        job_id = kept.job_id
        if job_id in self._ledger:
            return  # it was given while we looked
        # a job that waits may name this worker, and is not given to it by that
        own = job is not None and job.worker == self._host.worker and job.state is not JobState.QUEUED
        if job is not None and own and (not job.ended or job.state is JobState.LOST):
            sizes = await trio.to_thread.run_sync(copies.measure, self._jobs_dir / job_id, limiter=self._limiter)
            self.follow(job, sizes, input_kept=kept.input)
        elif own:
            self._ledger.release(job_id)
        elif self._host.restored:
            await self._older(job_id, job)
        else:
            self._complain("job %s of worker %s is not its own: it is to forget it", job_id)
            self._ledger.forget(job_id)

    async def _older(self, job_id: str, job: Job | None) -> None:
        """A job that was given to the worker after the backup was made: what is on record of it is out of date."""
        if job is not None and job.state is JobState.QUEUED:
            self._complain("job %s waits, but worker %s was given it: it is its own", job_id)
            await self._place(job_id, self._host.worker)
        else:
            self._complain("job %s of worker %s is on record elsewhere: left alone", job_id)

    def _complain(self, text: str, job_id: str) -> None:
        """Log something about a strange job; of very many the first ones will do."""
        if self._strange_count <= _SAID_COUNT:
            _log.warning(text, job_id, self._name())

    # -- what the mirror tells --

    def _taken(self, append: Append) -> None:
        self._ledger.taken(append)
        self._ring()

    def _synced(self, job_id: str, sizes: Sizes) -> None:
        self._ledger.synced(job_id, output=sizes.output, runs=sizes.runs)
        self._ring()

    def _stall(self, job_ids: frozenset[str], note: str) -> None:
        for job_id in job_ids - self._stalled:
            if self._own(job_id) is not None:
                self._sink.report(job_id, Noted(note=note))
        for job_id in self._stalled - job_ids:
            if self._own(job_id) is not None:
                self._sink.report(job_id, Noted(note=None))
        self._stalled = job_ids
