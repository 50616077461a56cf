"""A worker's jobs: the engine carries out the server's orders, and the server is told what the engine says.

For each order of the worker channel there is a method here, ``heed`` gives it its turn. Whether a job runs is decided
by the keeper's claim, once and for all: nothing of it is told to the server before the claim is there. What cannot run
is claimed as a job that never does, with the reason beside the record, so that the same is told after a restart.

A bundle is claimed when it is ready to run, and not decided about before: a worker that was restarted in between is
given it anew. Its end is told once the server has all results; that is noted beside the record, too.
"""

from __future__ import annotations

import logging
import math
import signal
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_keeper.records import wall_us
from jobdeck_protocol.workerevents import InputJob, StartJob
from jobdeck_protocol.workerorders import Eof, Forget, Release, Signal, Withdraw
from jobdeck_protocol.workerorders import Stop as StopOrder
from jobdeck_protocol.workerreports import State
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.errors import JobdeckError
from jobdeck_server.core.orders import plan_order
from jobdeck_server.core.stdin import put
from jobdeck_server.engines.base import BUNDLES, LOCAL, Ended, Launch, Noted, Planned, Started, Stop
from jobdeck_server.worker.lanes import Lanes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping

    from jobdeck_protocol.workeragent import WorkerAgent
    from jobdeck_server.core.growth import Growth
    from jobdeck_server.engines.base import Engine, Report
    from jobdeck_server.settings import Settings
    from jobdeck_server.worker.jobfiles import Final, JobFiles
    from jobdeck_server.worker.starts import Starts

T = TypeVar("T")
Order = StartJob | Withdraw | StopOrder | Signal | InputJob | Eof | Release | Forget

_log = logging.getLogger("jobdeck.worker")
_DEAF_LOOK_S = 1.0
_NOTE_LIMIT_COUNT = 4096
_PLAN_LIMIT_COUNT = 256 * 1024  # characters of a plan that are told
_HALTS = (Withdraw, StopOrder, Forget)
_KILL = Stop(signal=signal.SIGKILL, grace_s=0.0)


@dataclass(slots=True)
class _Running:
    """A job that was claimed to run and has not ended."""

    state: State
    ended: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True)
class _Decision:
    """A start that the keeper has not answered.

    Attributes:
        engine: What is to run it.
        answered: It was, or is to be waited for no longer: what comes next in the lane stops it.
        refusal: The job cannot be started.
    """

    engine: str
    answered: trio.Event = field(default_factory=trio.Event)
    refusal: Ended | None = None


class WorkerJobs:
    """See the top of this file; it is the engine's ``Sink``.

    Args:
        agent: Whose jobs they are.
        engine: Runs them.
        files: What is on disk of them.
        starts: Written before each start.
        growth: Tells of their output.
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
        starts: Starts,
        growth: Growth,
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
        self._growth = growth
        self._settings = settings
        self._changed = changed
        self._kinds = kinds
        self._full_disk_retry_s = full_disk_retry_s
        self._running: dict[str, _Running] = {}
        self._deciding: dict[str, _Decision] = {}
        self._making: set[str] = set()  # bundles, from when they were submitted until they are claimed
        self._halting: Counter[str] = Counter()  # orders in the lanes that are to stop something
        self._unsafe: dict[str, trio.Event] = {}  # set when the server has all of a job
        self._limiter = trio.CapacityLimiter(settings.thread_limit_count)
        self._nursery: trio.Nursery | None = None
        self._lanes: Lanes[Order] | None = None

    @property
    def running_count(self) -> int:
        """Jobs that run, or are about to."""
        return len(self._running.keys() | self._deciding.keys())

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks of all jobs, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            self._lanes = Lanes(self._obey, nursery)
            task_status.started()
            await trio.sleep_forever()

    async def recover(self, *, released: bool = False) -> None:
        """Tell the agent of each job on record that it does not know.

        Args:
            released: Also of those of which the server has said that it has all.
        """
        found = await self._in_thread(self._on_record, released)
        for job_id, over in found.items():
            if not over:  # known before it is asked about, so that no end is missed meanwhile
                self._keep_running(job_id)
        ended: dict[str, Ended] = {}
        for job_id, report in (await self._engine.status(found)).items():
            if isinstance(report, Ended) and job_id not in self._running:
                ended[job_id] = report
            elif report is not None or job_id in self._running:
                self._keep_running(job_id)  # its results are to be collected
                self.report(job_id, report or _lost())
        for final in await self._in_thread(self._finals, ended):
            self._keep_ended(final)
        self._changed()

    # -- what the engine says --

    def report(self, job_id: str, report: Report) -> None:
        """See ``engines.base.Ear``."""
        if isinstance(report, Planned):
            return  # it stands in the bundle's folder
        decision = self._deciding.get(job_id)
        if decision is not None:
            if isinstance(report, Ended) and report.how == "error" and not self._files.claimed(job_id):
                decision.refusal = report
                decision.answered.set()
                return
            decision.answered.set()
        self._making.discard(job_id)
        if isinstance(report, Ended):
            self._end(job_id, report)
        else:
            self._go_on(job_id, report)
        self._changed()

    def engine_of(self, job_id: str) -> str | None:
        """What runs, or has run, a job: ``BUNDLES`` until its results are kept. See ``engines.base.Sink``."""
        decision = self._deciding.get(job_id)
        if decision is not None:
            return decision.engine
        if not self._files.is_bundle(job_id):
            return LOCAL if job_id in self._running else None
        if job_id in self._making:
            return BUNDLES
        if not self._files.claimed(job_id) or self._files.released(job_id) is not None:
            return None
        return BUNDLES if self._files.results(job_id) is None else LOCAL

    async def committed(self, job_id: str) -> None:
        """Wait until the server has all of a job. See ``engines.base.Sink``."""
        if self._files.released(job_id) is None:
            await self._unsafe.setdefault(job_id, trio.Event()).wait()

    async def note_results(self, job_id: str, results: Mapping[str, str], super_set: str | None) -> None:
        """See ``engines.workshop.ResultLedger``."""
        await self._in_thread(self._files.keep_results, job_id, results, super_set)

    async def resync(self) -> None:
        """See ``engines.base.Ear``."""
        for job_id, report in (await self._engine.status(list(self._running))).items():
            self.report(job_id, report or _lost())

    def _end(self, job_id: str, report: Ended) -> None:
        final = self._files.final(job_id, report)
        if final.gone:
            self._agent.jobs.lost(job_id)
        self._agent.jobs.ended(final.end)
        running = self._running.pop(job_id, None)
        if running is not None:
            running.ended.set()
            self._growth.poke(job_id)

    def _go_on(self, job_id: str, report: Report) -> None:
        task = self._agent.jobs.find(job_id)
        running = self._running.get(job_id)
        if running is None:
            if job_id not in self._deciding and (task is None or task.end is not None):
                return
            running = self._follow(job_id, self._first_state(job_id))
        match report:
            case Started():
                running.state = replace(running.state, started_us=report.started_us, step=report.step, note=None)
            case Noted():
                note = None if report.note is None else report.note[:_NOTE_LIMIT_COUNT]
                running.state = replace(running.state, note=note)
        self._agent.jobs.state(running.state)

    def _first_state(self, job_id: str) -> State:
        """What is known of a job that was claimed."""
        plan = self._files.plan(job_id) if self._files.is_bundle(job_id) else None
        if plan is None:
            return State(job_id=job_id)
        fits = plan.step is not None and sum(map(len, plan.step.argv or ())) <= _PLAN_LIMIT_COUNT
        return State(
            job_id=job_id,
            plan=(plan.step,) if plan.step is not None and fits else None,
            segment_lines=max(0, plan.segment_lines),
            segment_interval_ms=max(0, plan.interval_ms),
        )

    def _follow(self, job_id: str, state: State) -> _Running:
        running = self._running[job_id] = _Running(state)
        assert self._nursery is not None
        self._nursery.start_soon(self._tell_growth, job_id, running)
        return running

    async def _tell_growth(self, job_id: str, running: _Running) -> None:
        """Tell how a job's files grow, until its end, which has the last word."""
        path = self._files.folder(job_id) / "output"
        with self._growth.watch(job_id) as watch:
            while not running.ended.is_set():
                event, limit_s = watch.event, math.inf  # taken before the look
                try:
                    self._growth.attach(watch, path)
                except OSError:
                    limit_s = _DEAF_LOOK_S  # the user's limit of inotify watches is reached
                self._agent.jobs.grew(job_id, *self._files.grown(job_id))
                self._changed()
                with trio.move_on_after(limit_s):
                    await event.wait()

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
            decision = self._deciding.get(order.job_id)
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
            self._making.discard(job_id)
            await self._refuse(job_id, How.ERROR, refusal.text or "the keeper could not take it", refusal.started_us)

    async def _submit(self, launch: Launch) -> Ended | None:
        """Have a job started; returns once it is claimed, or a bundle is to be stopped, or why it cannot be."""
        decision = self._deciding[launch.job_id] = _Decision(launch.engine)
        try:
            await self._until_room(partial(self._starts.note, launch.job_id))
            if launch.engine == BUNDLES:
                if self._halting[launch.job_id]:
                    return None
                self._making.add(launch.job_id)
            self._engine.submit(launch)
            await decision.answered.wait()
        finally:
            del self._deciding[launch.job_id]
        return decision.refusal

    async def _is_decided(self, job_id: str) -> bool:
        """Whether a job has a claim; then what holds is told again. One that may have run is claimed as lost."""
        if not self._claimed(job_id):
            if not self._starts.suspect(job_id):
                return False
            await self._refuse(job_id, How.LOST, "the machine was restarted while it was being started")
            return True
        report = (await self._engine.status([job_id]))[job_id]
        self.report(job_id, report or _lost())
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
        if job_id not in self._running:  # it was over, and the server asks what became of it
            await self._is_decided(job_id)

    async def _input(self, order: InputJob) -> None:
        path = self._files.folder(order.job_id) / "input"
        while (running := self._running.get(order.job_id)) is not None:
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
        running = self._running.get(job_id)
        if running is not None:
            await self._engine.stop(job_id, _KILL)
            await running.ended.wait()
        elif job_id in self._making:
            await self._claim_never(job_id)
        await self._release(job_id)
        await self._in_thread(self._files.remove_files, job_id)

    async def _release(self, job_id: str) -> None:
        """The server has all of a job."""
        await self._in_thread(self._files.release, job_id, wall_us())
        safe = self._unsafe.pop(job_id, None)
        if safe is not None:
            safe.set()

    # -- what is on record --

    def _claimed(self, job_id: str) -> bool:
        """Whether there is a claim; if not, a reason that was written down for one holds no more."""
        if self._files.claimed(job_id):
            return True
        self._files.accept(job_id)
        return False

    def _on_record(self, released: bool) -> dict[str, bool]:
        """Each claimed job, and whether it is over. Blocks."""
        ids = self._files.ids(released=released)
        return {job_id: self._files.over(job_id) for job_id in ids if self._files.claimed(job_id)}

    def _finals(self, ended: Mapping[str, Ended]) -> list[Final]:
        """How each of these jobs is told. Blocks."""
        return [self._files.final(job_id, report) for job_id, report in ended.items()]

    def _keep_running(self, job_id: str) -> None:
        if job_id in self._agent.jobs or job_id in self._running:
            return
        state, sizes = self._first_state(job_id), self._files.grown(job_id)
        kept = self._files.input_bytes(job_id)
        self._agent.jobs.keep(job_id, state=state, end=None, output=sizes.output, runs=sizes.runs, input_kept=kept)
        self._follow(job_id, state)

    def _keep_ended(self, final: Final) -> None:
        end = final.end
        self._agent.jobs.keep(
            end.job_id,
            state=self._first_state(end.job_id) if self._files.is_bundle(end.job_id) else None,
            end=end,
            output=end.output_bytes,
            runs=end.runs_bytes,
            input_kept=final.input_bytes,
            gone=final.gone,
        )

    async def _in_thread(self, function: Callable[..., T], *args: object) -> T:
        return await trio.to_thread.run_sync(partial(function, *args), limiter=self._limiter)


def _error(text: str) -> Ended:
    return Ended(how="error", text=text, finished_us=wall_us())


def _lost() -> Ended:
    return Ended(how="lost", text="its record is gone, or cannot be read", finished_us=wall_us())
