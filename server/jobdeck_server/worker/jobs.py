"""A worker's jobs: the engine carries out the server's orders. What becomes of them, ``reports`` tells the server.

For each order of the worker channel there is a method here, ``heed`` gives it its turn. Whether a job runs is decided
by the keeper's claim, once and for all: nothing of it is told to the server before the claim is there. What cannot run
is claimed as a job that never does, with the reason beside the record, so that the same is told after a restart.

A bundle is claimed when it is ready to run, and not decided about before: a worker that was restarted in between is
given it anew.
"""

from __future__ import annotations

import logging
import signal
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_keeper.records import wall_us
from jobdeck_protocol.workerevents import InputJob, StartJob
from jobdeck_protocol.workerorders import Eof, Forget, Release, Signal, Withdraw
from jobdeck_protocol.workerorders import Stop as StopOrder
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.orders import plan_order
from jobdeck_server.core.stdin import put
from jobdeck_server.engines.base import BUNDLES, LOCAL, Ended, Launch, Stop
from jobdeck_server.worker.lanes import Lanes
from jobdeck_server.worker.reports import Decision, lost

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection

    from jobdeck_protocol.workeragent import WorkerAgent
    from jobdeck_server.engines.base import Engine
    from jobdeck_server.settings import Settings
    from jobdeck_server.worker.jobfiles import JobFiles
    from jobdeck_server.worker.reports import Reports
    from jobdeck_server.worker.starts import Starts

T = TypeVar("T")
Order = StartJob | Withdraw | StopOrder | Signal | InputJob | Eof | Release | Forget

_log = logging.getLogger("jobdeck.worker")
_HALTS = (Withdraw, StopOrder, Forget)
_KILL = Stop(signal=signal.SIGKILL, grace_s=0.0)


class WorkerJobs:
    """See the top of this file.

    Args:
        agent: Whose jobs they are.
        engine: Runs them.
        files: What is on disk of them.
        reports: What becomes of them.
        starts: Written before each start.
        settings: Of this machine.
        changed: Called when there may be something to say to the server.
        kinds: What the engine runs: ``engines.base.LOCAL``, and ``BUNDLES`` if it can.
        full_disk_retry_s: How long to wait when there is no room.
    """

    def __init__(
        self,
        agent: WorkerAgent,
        engine: Engine,
        files: JobFiles,
        reports: Reports,
        starts: Starts,
        settings: Settings,
        *,
        changed: Callable[[], None],
        kinds: Collection[str] = (LOCAL,),
        full_disk_retry_s: float = 1.0,
    ) -> None:
        self._agent = agent
        self._engine = engine
        self._files = files
        self._starts = starts
        self._reports = reports
        self._settings = settings
        self._changed = changed
        self._kinds = kinds
        self._full_disk_retry_s = full_disk_retry_s
        self._halting: Counter[str] = Counter()  # orders in the lanes that are to stop something
        self._limiter = trio.CapacityLimiter(settings.thread_limit_count)
        self._lanes: Lanes[Order] | None = None

    @property
    def running_count(self) -> int:
        """Jobs that run, or are about to."""
        return len(self._reports.running.keys() | self._reports.deciding.keys())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of all jobs, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._lanes = Lanes(self._obey, nursery)
            task_status.started()
            await trio.sleep_forever()

    # -- what the server says --

    def heed(self, order: Order) -> None:
        """Carry out an order, after those that were given before for the same job.

        Raises:
            RemoteWireError: Too many wait.
        """
        assert self._lanes is not None
        # Input waits for room on the disk; a stop of the same job is not to wait for that
        lane = order.job_id + "/input" if isinstance(order, InputJob | Eof) else order.job_id
        self._lanes.put(lane, order)
        if isinstance(order, _HALTS):
            self._halting[order.job_id] += 1
            decision = self._reports.deciding.get(order.job_id)
            if decision is not None and decision.engine == BUNDLES:
                decision.answered.set()  # it may take long to make it ready

    async def _obey(self, order: Order) -> None:
        try:
            await self._carry_out(order)
        except (OSError, JobdeckError) as error:
            _log.error("job %s: %s: %s", order.job_id, type(order).__name__, error)
        except Exception:  # noqa: BLE001  # a bug: one order is not carried out, and all others are
            _log.exception("job %s: %s", order.job_id, type(order).__name__)
        finally:
            if isinstance(order, _HALTS):
                self._halting -= Counter((order.job_id,))
        self._changed()

    async def _carry_out(self, order: Order) -> None:
        job_id = order.job_id
        match order:
            case StartJob():
                await self._start(job_id, order.spec)
            case Withdraw():
                await self._never(job_id)
            case StopOrder():
                await self._stop(job_id, Stop(signal=order.signal, grace_s=order.grace_s))
            case Signal():
                done = await self._engine.signal(job_id, order.signal)
                self._agent.signalled(order.number, done=done)
            case InputJob():
                await self._input(order)
            case Eof():
                await self._engine.input(job_id, eof_bytes=order.offset)
            case Release():
                await self._release(job_id)
            case Forget():
                await self._forget(job_id)

    async def _start(self, job_id: str, spec: bytes) -> None:
        if await self._is_decided(job_id):
            return
        refusal: Ended | None = _error("this worker runs no bundles")
        try:
            planned = await self._in_thread(partial(plan_order, spec, self._settings, job_id=job_id))
            kind = LOCAL if planned.get("bundle") is None else BUNDLES
            if kind in self._kinds:
                refusal = await self._submit(Launch(job_id=job_id, spec=planned, engine=kind))
        except JobdeckError as error:
            refusal = _error(str(error))
        if refusal is not None:
            self._reports.making.discard(job_id)
            await self._refuse(job_id, How.ERROR, refusal.text or "the keeper could not take it", refusal.started_us)

    async def _submit(self, launch: Launch) -> Ended | None:
        """Have a job started; returns once it is claimed, or a bundle is to be stopped, or why it cannot be."""
        decision = self._reports.deciding[launch.job_id] = Decision(launch.engine)
        try:
            await self._until_room(partial(self._starts.note, launch.job_id))
            if launch.engine == BUNDLES:
                if self._halting[launch.job_id]:
                    return None
                self._reports.making.add(launch.job_id)
            self._engine.submit(launch)
            await decision.answered.wait()
        finally:
            del self._reports.deciding[launch.job_id]
        return decision.refusal

    async def _is_decided(self, job_id: str) -> bool:
        """Whether a job has a claim; then what holds is told again. One that may have run is claimed as lost."""
        if not self._claimed(job_id):
            if not self._starts.suspect(job_id):
                return False
            await self._refuse(job_id, How.LOST, "the machine was restarted while it was being started")
            return True
        report = (await self._engine.status([job_id]))[job_id]
        self._reports.report(job_id, report or lost())
        return True

    async def _refuse(self, job_id: str, how: How, reason: str, started_us: int | None = None) -> None:
        """Claim a job as one that never runs, and keep the reason; without room for that it stays undecided."""
        _log.warning("job %s does not run here: %s", job_id, reason)
        await self._until_room(partial(self._in_thread, self._files.refuse, job_id, how, reason, started_us))
        await self._claim_never(job_id)

    async def _claim_never(self, job_id: str) -> None:
        await self._engine.stop(job_id, _KILL)
        while not self._files.claimed(job_id):  # there was no room for the claim
            await trio.sleep(self._full_disk_retry_s)
            await self._engine.stop(job_id, _KILL)

    async def _until_room(self, write: Callable[[], Awaitable[object]]) -> None:
        """Write something down, again and again while there is no room for it."""
        while True:
            try:
                await write()
            except OSError as error:
                _log.warning("cannot write to the data directory: %s", error)
                await trio.sleep(self._full_disk_retry_s)
            else:
                return

    async def _never(self, job_id: str) -> None:
        """Claim a job as one that never runs, unless it is decided about."""
        if not await self._is_decided(job_id):
            await self._claim_never(job_id)

    async def _stop(self, job_id: str, stop: Stop) -> None:
        if not self._claimed(job_id):
            await self._never(job_id)
            return
        await self._engine.stop(job_id, stop)
        if job_id not in self._reports.running:  # it was over, and the server asks what became of it
            await self._is_decided(job_id)

    async def _input(self, order: InputJob) -> None:
        path = self._files.folder(order.job_id) / "input"
        while (running := self._reports.running.get(order.job_id)) is not None:
            try:
                size = await self._in_thread(put, path, order.offset, order.data)
            except OSError as error:
                _log.warning("job %s: standard input: %s", order.job_id, error)
                with trio.move_on_after(self._full_disk_retry_s):
                    await running.ended.wait()
                continue
            await self._engine.input(order.job_id, eof_bytes=None)
            self._agent.jobs.input_kept(order.job_id, size)
            return

    async def _forget(self, job_id: str) -> None:
        running = self._reports.running.get(job_id)
        if running is not None:
            await self._engine.stop(job_id, _KILL)
            await running.ended.wait()
        elif job_id in self._reports.making:
            await self._claim_never(job_id)
        await self._release(job_id)
        await self._in_thread(self._files.remove_files, job_id)

    async def _release(self, job_id: str) -> None:
        """The server has all of a job."""
        await self._in_thread(self._files.release, job_id, wall_us())
        self._reports.released(job_id)

    # -- what is on record --

    def _claimed(self, job_id: str) -> bool:
        """Whether there is a claim; if not, a reason that was written down for one holds no more."""
        if self._files.claimed(job_id):
            return True
        self._files.accept(job_id)
        return False

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await trio.to_thread.run_sync(partial(function, *args), limiter=self._limiter)


def _error(text: str) -> Ended:
    return Ended(how="error", text=text, finished_us=wall_us())
