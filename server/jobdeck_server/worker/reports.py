"""What becomes of a worker's jobs, told to the server: what the engine says, and what is found on record.

``Reports`` is the engine's ``Sink`` at a worker, which has no core: what the engine tells becomes the state, the growth
and the end that the agent says. A bundle's end is told once the server has all its results; that is noted beside the
record, so that it is told again after a restart.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from jobdeck_keeper.records import wall_us
from jobdeck_protocol.errors import WireError
from jobdeck_protocol.worker import encode
from jobdeck_protocol.workerreports import Ended as EndedThere
from jobdeck_protocol.workerreports import State
from jobdeck_protocol.workerwords import How
from jobdeck_server.engines.base import BUNDLES, LOCAL, Ended, Noted, Planned, Started
from jobdeck_server.engines.workfiles import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_protocol.workeragent import WorkerAgent
    from jobdeck_server.core.growth import Growth
    from jobdeck_server.engines.base import Engine, Report
    from jobdeck_server.worker.jobfiles import Final, JobFiles

T = TypeVar("T")

_DEAF_LOOK_S = 1.0
_NOTE_LIMIT_COUNT = 4096
_PLAN_LIMIT_COUNT = 256 * 1024  # characters of a plan that are told


@dataclass(slots=True)
class Running:
    """A job that was claimed to run and has not ended; ``bundle``: its results are to be kept after that."""

    state: State
    bundle: bool
    ended: trio.Event = field(default_factory=trio.Event)


@dataclass(slots=True)
class Decision:
    """A start that the keeper has not answered.

    Attributes:
        engine: What is to run it.
        answered: It was, or is to be waited for no longer: what comes next in the lane stops it.
        refusal: The job cannot be started.
    """

    engine: str
    answered: trio.Event = field(default_factory=trio.Event)
    refusal: Ended | None = None


class Reports:
    """See the top of this file. ``run`` must be running.

    Args:
        agent: Tells the server.
        engine: Runs the jobs.
        files: What is on disk of them.
        growth: Tells of their output.
        changed: Called when there may be something to say to the server.
        thread_limit_count: Threads at a time.

    Attributes:
        running: Jobs that were claimed to run and have not ended.
        deciding: Starts that the keeper has not answered.
        making: Bundles, from when they were submitted until they are claimed.
    """

    def __init__(
        self,
        agent: WorkerAgent,
        engine: Engine,
        files: JobFiles,
        growth: Growth,
        *,
        changed: Callable[[], None],
        thread_limit_count: int,
    ) -> None:
        self._agent = agent
        self._engine = engine
        self._files = files
        self._growth = growth
        self._changed = changed
        self.running: dict[str, Running] = {}
        self.deciding: dict[str, Decision] = {}
        self.making: set[str] = set()
        self._unsafe: dict[str, trio.Event] = {}  # set when the server has all of a job
        self._limiter = trio.CapacityLimiter(thread_limit_count)
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks that watch jobs grow, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    # -- what the engine says --

    def report(self, job_id: str, report: Report) -> None:
        """See ``engines.base.Ear``."""
        if isinstance(report, Planned):
            return  # it stands in the bundle's folder
        decision = self.deciding.get(job_id)
        if decision is not None:
            if isinstance(report, Ended) and report.how == "error" and not self._files.claimed(job_id):
                decision.refusal = report
                decision.answered.set()
                return
            decision.answered.set()
        elif job_id in self.making and isinstance(report, Ended) and not self._files.claimed(job_id):
            return  # whoever stops it claims it
        self.making.discard(job_id)
        if isinstance(report, Ended):
            self._end(job_id, report)
        else:
            self._go_on(job_id, report)
        self._changed()

    def engine_of(self, job_id: str) -> str | None:
        """What runs, or has run, a job: ``BUNDLES`` until its results are kept. See ``engines.base.Sink``."""
        decision = self.deciding.get(job_id)
        if decision is not None:
            return decision.engine
        running = self.running.get(job_id)
        if job_id in self.making or (running is not None and running.bundle):
            return BUNDLES
        if not self._files.is_bundle(job_id):
            return None if running is None else LOCAL
        return self._kind_on_disk(job_id)

    def _kind_on_disk(self, job_id: str) -> str | None:
        if not self._files.claimed(job_id) or self._files.released(job_id) is not None:
            return None
        to_collect = self._files.is_bundle(job_id) and self._files.results(job_id) is None
        return BUNDLES if to_collect else LOCAL

    async def committed(self, job_id: str) -> None:
        """Wait until the server has all of a job. See ``engines.base.Sink``."""
        if self._files.released(job_id) is None:
            await self._unsafe.setdefault(job_id, trio.Event()).wait()

    async def note_results(self, job_id: str, results: Mapping[str, str], super_set: str | None) -> None:
        """See ``engines.workshop.ResultLedger``.

        Raises:
            StatusError: They cannot be told: the job has changed what was beside its files.
            OSError: There is no room.
        """
        try:
            encode(EndedThere(job_id=job_id, how=How.EXIT, finished_us=0, results=results, super_set=super_set))
        except (WireError, ValueError) as error:
            raise StatusError("FAILED_TO_SAVE_ARTIFACT", f"the results cannot be told: {error}") from error
        await self._in_thread(self._files.keep_results, job_id, results, super_set)

    async def resync(self) -> None:
        """See ``engines.base.Ear``."""
        for job_id, report in (await self._engine.status(list(self.running))).items():
            self.report(job_id, report or lost())

    def _end(self, job_id: str, report: Ended) -> None:
        final = self._files.final(job_id, report)
        if final.gone:
            self._agent.jobs.lost(job_id)
        self._agent.jobs.ended(final.end)
        running = self.running.pop(job_id, None)
        if running is not None:
            running.ended.set()
            self._growth.poke(job_id)

    def _go_on(self, job_id: str, report: Report) -> None:
        task = self._agent.jobs.find(job_id)
        running = self.running.get(job_id)
        if running is None:
            if job_id not in self.deciding and (task is None or task.end is not None):
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
        try:
            state = State(
                job_id=job_id,
                plan=(plan.step,) if plan.step is not None and fits else None,
                segment_lines=max(0, plan.segment_lines),
                segment_interval_ms=max(0, plan.interval_ms),
            )
            encode(state)
        except (WireError, ValueError):  # the job can reach the file
            return State(job_id=job_id)
        return state

    def _follow(self, job_id: str, state: State) -> Running:
        decision = self.deciding.get(job_id)
        kind = self._kind_on_disk(job_id) if decision is None else decision.engine
        running = self.running[job_id] = Running(state, kind == BUNDLES)
        assert self._nursery is not None
        self._nursery.start_soon(self._tell_growth, job_id, running)
        return running

    async def _tell_growth(self, job_id: str, running: Running) -> None:
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

    def released(self, job_id: str) -> None:
        """The server has all of a job, and that is noted."""
        safe = self._unsafe.pop(job_id, None)
        if safe is not None:
            safe.set()

    # -- what is on record --

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
            if isinstance(report, Ended) and job_id not in self.running:
                ended[job_id] = report
            elif report is not None or job_id in self.running:
                self._keep_running(job_id)  # its results are to be collected
                self.report(job_id, report or lost())
        for final in await self._in_thread(self._finals, ended):
            self._keep_ended(final)
        self._changed()

    def _on_record(self, released: bool) -> dict[str, bool]:
        """Each claimed job, and whether it is over. Blocks."""
        ids = self._files.ids(released=released)
        return {job_id: self._files.over(job_id) for job_id in ids if self._files.claimed(job_id)}

    def _finals(self, ended: Mapping[str, Ended]) -> list[Final]:
        """How each of these jobs is told. Blocks."""
        return [self._files.final(job_id, report) for job_id, report in ended.items()]

    def _keep_running(self, job_id: str) -> None:
        if job_id in self._agent.jobs or job_id in self.running:
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


def lost() -> Ended:
    """Of a job with a claim of which nothing more can be known."""
    return Ended(how="lost", text="its record is gone, or cannot be read", finished_us=wall_us())
