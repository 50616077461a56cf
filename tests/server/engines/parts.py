"""Stand-ins around the built-in executor: the engine that runs programs, the work before and after, and the core."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from jobdeck_protocol.job import Step
from jobdeck_server.core.bundles.errors import StoppedError
from jobdeck_server.engines.base import BUNDLES, Ended, Engine, Launch, Report, Sink, Stop
from jobdeck_server.engines.builtin import BuiltinExecutor
from jobdeck_server.engines.shop import Made

STEP = Step(argv=("true",))


@dataclass
class Local:
    """An engine that starts nothing; the test tells what its jobs do."""

    name: str = "local"
    capacity_count: int = 7
    submitted: list[Launch] = field(default_factory=list)
    done: list[str] = field(default_factory=list)  # verbs and ids, in order
    known: dict[str, Report | None] = field(default_factory=dict)
    sink: Sink | None = None

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.sink = sink
        task_status.started()
        await trio.sleep_forever()

    def submit(self, launch: Launch) -> None:
        self.submitted.append(launch)

    async def stop(self, job_id: str, stop: Stop) -> None:
        self.done.append(f"stop {job_id}")

    async def signal(self, job_id: str, signum: int) -> bool:
        self.done.append(f"signal {job_id}")
        return True

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        self.done.append(f"input {job_id}")

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        return {job_id: self.known.get(job_id) for job_id in job_ids}

    async def forget(self, job_id: str) -> None:
        self.done.append(f"forget {job_id}")

    async def forget_output(self, job_id: str) -> None:
        self.done.append(f"forget output {job_id}")

    async def kept(self) -> Collection[str]:
        return list(self.known)

    def follow(self, job_id: str) -> Path:
        return Path(self.name) / job_id


@dataclass
class Bench:
    """A shop that takes as long as the test wants, and fails as it wants; ``done`` is what it was asked for."""

    unready: str = "FAILED_SOURCE_COULD_NOT_BE_OBTAINED"
    unkept: str = "FAILED_TO_SAVE_ARTIFACT"
    unfollowed: str = "not told any more"
    pause_s: float = 0.0
    clearing_s: float = 0.0
    failures: list[Exception] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    left: set[str] = field(default_factory=set)
    following: set[str] = field(default_factory=set)

    async def prepare(self, launch: Launch, *, cancelled: Callable[[], bool]) -> Made:
        self.done.append(f"prepare {launch.job_id}")
        self.left.add(launch.job_id)
        await self._work(cancelled)
        return Made(spec={**launch.spec, "steps": ["made"]}, steps=(STEP,))

    async def follow(self, job_id: str, over: trio.Event, tell: Callable[[Report], None]) -> None:
        self.done.append(f"follow {job_id}")
        self.following.add(job_id)
        await over.wait()
        self.following.discard(job_id)

    async def collect(self, job_id: str, ended: Ended, *, cancelled: Callable[[], bool]) -> Ended:
        self.done.append(f"collect {job_id}")
        await self._work(cancelled)
        return replace(ended, results={"all": f"{ended.output_bytes} bytes"})

    async def clear(self, job_id: str) -> None:
        self.done.append(f"clear {job_id}")
        await trio.sleep(self.clearing_s)
        self.left.discard(job_id)

    async def kept(self) -> list[str]:
        return sorted(self.left)

    async def _work(self, cancelled: Callable[[], bool]) -> None:
        with trio.CancelScope(shield=True):  # as a thread, which no cancellation reaches
            for _ in range(10):
                await trio.sleep(self.pause_s / 10)
                if cancelled():
                    raise StoppedError
        if self.failures:
            raise self.failures.pop(0)


@dataclass
class Core:
    """A sink; jobs in ``engines`` are those that it knows."""

    engines: dict[str, str] = field(default_factory=dict)
    told: list[tuple[str, Report]] = field(default_factory=list)
    resyncs_count: int = 0

    def report(self, job_id: str, report: Report) -> None:
        self.told.append((job_id, report))

    async def resync(self) -> None:
        self.resyncs_count += 1

    def engine_of(self, job_id: str) -> str | None:
        return self.engines.get(job_id)

    async def committed(self, job_id: str) -> None:
        while job_id in self.engines:  # noqa: ASYNC110  # the tests take jobs out of a plain dict
            await trio.sleep(0.01)

    def ends(self, job_id: str) -> list[Ended]:
        return [report for each, report in self.told if each == job_id and isinstance(report, Ended)]


@dataclass
class Parts:
    """What a test has at hand."""

    engine: BuiltinExecutor
    local: Local
    bench: Bench
    core: Core

    def submit(self, job_id: str) -> None:
        """A bundle that the core gives to the engine."""
        self.core.engines[job_id] = BUNDLES
        self.engine.submit(Launch(job_id=job_id, spec={"id": job_id, "bundle": "0" * 40}, engine=BUNDLES))


@asynccontextmanager
async def running(*, patience_s: float = 60.0, pause_s: float = 0.0) -> AsyncIterator[Parts]:
    """The executor among stand-ins; left, it is cancelled."""
    local, bench, core = Local(), Bench(pause_s=pause_s), Core()
    engine = BuiltinExecutor(local, {BUNDLES: bench}, patience_s=patience_s)
    async with run(engine, core):
        yield Parts(engine, local, bench, core)


@asynccontextmanager
async def run(engine: Engine, core: Core) -> AsyncIterator[None]:
    """An engine that runs; left, it is cancelled."""
    async with trio.open_nursery() as nursery:
        await nursery.start(engine.run, core)
        yield
        nursery.cancel_scope.cancel()
