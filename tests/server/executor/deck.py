"""A core with the executor over it: its own engine is a fake one, that of outside workers is the real one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import trio

from jobdeck_server.core import recovery
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.executor import Executor, Given, Told
from jobdeck_server.core.executorworkers import Beat, Call
from jobdeck_server.core.growth import Growth
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.store import Store
from jobdeck_server.dialects.webgme.jobinfo import job_info
from jobdeck_server.engines.outside import OutsideEngine
from jobdeck_server.engines.several import Engines
from jobdeck_server.settings import Settings
from tests.server.core.harness import BOOT, FakeEngine


@dataclass
class Deck:
    """What a test has at hand."""

    core: JobCore
    executor: Executor
    here: FakeEngine
    store: Store

    async def make(self, key: str, **fields: object) -> str:
        """A new job; its secret."""
        told = await self.executor.create(key, Given(**fields))  # type: ignore[arg-type]  # a test's own
        assert told.secret is not None
        return told.secret

    async def beat(self, name: str = "w_1", available: int = 1, **fields: object) -> Beat:
        call = Call(client_id=name, available_count=available, **fields)  # type: ignore[arg-type]  # a test's own
        return await self.executor.beat(call)

    async def info(self, key: str) -> dict[str, object]:
        told = await self.executor.info(key)
        return self.told(told)

    def told(self, told: Told) -> dict[str, object]:
        return job_info(told, self.executor.status(told))

    async def status(self, key: str) -> object:
        return (await self.info(key))["status"]


@asynccontextmanager
async def deck(
    folder: Path, *, here: FakeEngine | None = None, boot: str = BOOT, **changes: object
) -> AsyncIterator[Deck]:
    """Left, it is as if the server had been killed: nothing is said to anybody."""
    fields = {"executor_builtin": False, **changes}
    settings = replace(Settings(data_dir=folder, sync="normal"), **fields)  # type: ignore[arg-type]  # a test's own
    here = here or FakeEngine(folder / "jobs", name="local")
    (folder / "jobs").mkdir(exist_ok=True)
    outside = OutsideEngine(folder / "jobs")
    engine = Engines(here, outside)
    store, growth = Store(folder / "jobdeck.sqlite3", sync=settings.sync), Growth()
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        core = JobCore(settings, store=store, events=events, growth=growth, engine=engine, boot_id=boot)
        executor = Executor(core)
        outside.ends = executor.ends
        await executor.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(growth.run)
            await nursery.start(core.run)
            await nursery.start(engine.run, core)
            await recovery.recover(core)
            await nursery.start(executor.run)
            yield Deck(core, executor, here, store)
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)
        growth.close()


async def asked(it: Deck, key: str, status: str, *, attempt: int = 1, limit_s: float = 20.0) -> None:
    """Ask for a job until it stands so. Works under a clock that stands still, too: threads do not."""
    until_s = time.monotonic() + limit_s
    while True:
        told = await it.executor.info(key)
        if (it.executor.status(told), told.job.attempt) == (status, attempt):
            return
        assert time.monotonic() < until_s, f"{key} is {it.executor.status(told)}, attempt {told.job.attempt}"
        await trio.to_thread.run_sync(time.sleep, 0.002)
