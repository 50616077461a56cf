"""A core with a real database and real files, over an engine whose reports the test makes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import trio

from jobdeck_server.core import recovery
from jobdeck_server.core.events import Event, EventLog, Snapshot
from jobdeck_server.core.growth import Growth
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.recovery import Recovery
from jobdeck_server.core.requests import JobRequest, StepRequest
from jobdeck_server.core.store import Store
from jobdeck_server.engines.base import Launch, Report, Sink, Stop
from jobdeck_server.settings import Settings

BOOT = "11111111-2222-3333-4444-555555555555"


@dataclass
class FakeEngine:
    """Remembers what it was asked; ``known`` is what ``status`` answers."""

    jobs_dir: Path
    name: str = "fake"
    capacity_count: int = 1000
    launched: list[str] = field(default_factory=list)
    stops: list[tuple[str, Stop]] = field(default_factory=list)
    signals: list[tuple[str, int]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    known: dict[str, Report | None] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        task_status.started()

    def submit(self, launch: Launch) -> None:
        self.launched.append(launch.job_id)

    async def stop(self, job_id: str, stop: Stop) -> None:
        self.stops.append((job_id, stop))

    async def signal(self, job_id: str, signum: int) -> bool:
        self.signals.append((job_id, signum))
        return True

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        pass

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        return {job_id: self.known.get(job_id) for job_id in job_ids}

    async def forget(self, job_id: str) -> None:
        self.forgotten.append(job_id)

    async def forget_output(self, job_id: str) -> None:
        (self.jobs_dir / job_id / "output").unlink(missing_ok=True)

    async def kept(self) -> Collection[str]:
        return self.folders

    def follow(self, job_id: str) -> Path:
        return self.jobs_dir / job_id


@dataclass
class Bench:
    """What a test has at hand."""

    core: JobCore
    engine: FakeEngine
    store: Store
    recovery: Recovery


@asynccontextmanager
async def bench(
    folder: Path, *, engine: FakeEngine | None = None, boot: str = BOOT, **changes: object
) -> AsyncIterator[Bench]:
    settings = replace(Settings(data_dir=folder, sync="normal"), **changes)  # type: ignore[arg-type]  # a test's own
    engine = engine or FakeEngine(folder / "jobs")
    store, growth = Store(folder / "jobdeck.sqlite3", sync=settings.sync), Growth()
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        core = JobCore(settings, store=store, events=events, growth=growth, engine=engine, boot_id=boot)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(growth.run)
            await nursery.start(core.run)
            found = await recovery.recover(core)
            yield Bench(core, engine, store, found)
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)
        growth.close()


def shell(line: str, **fields: object) -> JobRequest:
    return JobRequest(dialect="v1", steps=(StepRequest(command_line=line),), **fields)  # type: ignore[arg-type]


async def take(events: EventLog, since: int | None, count: int) -> list[Event | Snapshot]:
    """The first so many of what is told after a number, one by one."""
    taken: list[Event | Snapshot] = []
    async with aclosing(events.subscribe(since)) as stream:
        while len(taken) < count:
            found = await anext(stream)
            taken += [found] if isinstance(found, Snapshot) else found
    return taken[:count]


async def until(true: Callable[[], bool], limit_s: float = 5.0) -> None:
    """Wait for what a thread brings about, of which nobody tells."""
    with trio.fail_after(limit_s):
        while not true():  # noqa: ASYNC110  # see above
            await trio.sleep(0.001)
