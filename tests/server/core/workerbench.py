"""Workers that a test decides about, and a core that places jobs on them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_server.core import recovery
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.executor import Executor
from jobdeck_server.core.growth import Growth
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.localworker import LocalWorker
from jobdeck_server.core.placement import Placement
from jobdeck_server.core.store import Store
from jobdeck_server.core.workers import Workers
from jobdeck_server.engines.base import WORKER, Launch
from jobdeck_server.settings import Settings
from tests.server.core.harness import BOOT, FakeEngine

LOCAL = "11111111-1111-4111-8111-111111111111"


@dataclass
class Fixed:
    """A worker that the test decides about."""

    info: WorkerInfo
    forgotten: bool = False

    def tell(self) -> WorkerInfo:
        return self.info

    async def drain(self, *, on: bool) -> None:
        self.info = replace(self.info, state=WorkerState.DRAINING if on else WorkerState.ONLINE)

    async def rename(self, name: str) -> None:
        self.info = replace(self.info, name=name)

    async def forget(self) -> None:
        self.forgotten = True


def worker_id(number: int) -> str:
    """The id of the worker with a number from 0."""
    return f"{number:08x}-2222-4222-8222-222222222222"


def worker(number: int = 0, *labels: str, slots_count: int = 2, **fields: object) -> Fixed:
    """A worker elsewhere, online."""
    info = WorkerInfo(
        id=worker_id(number), name=f"w{number}", engine=WORKER, labels=labels, slots_count=slots_count, seen_us=1
    )
    return Fixed(replace(info, **fields))  # type: ignore[arg-type]  # a test's own


@dataclass
class PlacingEngine(FakeEngine):
    """Remembers where each job was launched."""

    placed: list[tuple[str, str | None]] = field(default_factory=list)

    def submit(self, launch: Launch) -> None:
        super().submit(launch)
        assert launch.job is not None
        self.placed.append((launch.job_id, launch.job.worker if launch.engine == WORKER else None))


@dataclass
class Yard:
    """What a test has at hand."""

    core: JobCore
    engine: PlacingEngine
    store: Store
    workers: Workers
    placement: Placement
    local: LocalWorker
    executor: Executor

    def join(self, *sources: Fixed) -> None:
        for source in sources:
            self.workers.join(source)


@asynccontextmanager
async def yard(folder: Path, *sources: Fixed, **changes: object) -> AsyncIterator[Yard]:
    """A core with a registry and placement, put together as the server does it; ``sources`` join before recovery."""
    settings = replace(Settings(data_dir=folder, sync="normal", start_dir=str(folder)), **changes)  # type: ignore[arg-type]  # a test's own
    engine = PlacingEngine(folder / "jobs")
    store, growth = Store(folder / "jobdeck.sqlite3", sync=settings.sync), Growth()
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        core = JobCore(settings, store=store, events=events, growth=growth, engine=engine, boot_id=BOOT)
        local = LocalWorker(core, worker_id=LOCAL, name="here", address="127.0.0.1:8080")
        await local.load()
        workers = Workers(core, local)
        executor = Executor(core)
        await executor.load()
        placement = Placement(core, workers)
        executor.offer(placement.take)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(growth.run)
            nursery.start_soon(workers.run)
            await nursery.start(core.run)
            await nursery.start(placement.run)
            for source in sources:
                workers.join(source)
            await recovery.recover(core)
            placement.open()
            await nursery.start(executor.run)
            yield Yard(core, engine, store, workers, placement, local, executor)
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)
        growth.close()
