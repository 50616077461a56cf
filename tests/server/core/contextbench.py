"""Contexts on a core with a real database; what runs their jobs is the test's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

from jobdeck_protocol.contextinfo import ContextInfo
from jobdeck_protocol.job import Job
from jobdeck_server.core import contextsettings, recovery
from jobdeck_server.core.blobs import Blobs
from jobdeck_server.core.contextdefaults import Defaults
from jobdeck_server.core.contextkinds import Facts
from jobdeck_server.core.contexts import Contexts
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.growth import Growth
from jobdeck_server.core.hocon import EMPTY, JobConfig
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.requests import CONTEXTS_POOL, JobRequest
from jobdeck_server.core.store import Store
from jobdeck_server.core.venvs import Venvs
from jobdeck_server.engines.base import PACKAGES, Ended, Started
from jobdeck_server.settings import Settings
from tests.server.core.harness import BOOT, FakeEngine, until

NO_DEFAULTS = Defaults()


@dataclass
class Gate:
    """A kind of context that comes up, and goes, when a test says so."""

    name: str = "plain"
    opened: trio.Event = field(default_factory=trio.Event)
    released: trio.Event = field(default_factory=trio.Event)
    refusal: Exception | None = None
    started: list[str] = field(default_factory=list)
    stopped: list[tuple[str, bool]] = field(default_factory=list)
    killed: list[str] = field(default_factory=list)
    answer: bool = True

    def check(self, settings: Mapping[str, Any]) -> None:
        pass

    async def look(self) -> None:
        pass

    def turn(self, context: ContextInfo) -> AbstractAsyncContextManager[None]:
        return nullcontext()

    async def start(self, context: ContextInfo) -> Facts:
        self.started.append(context.name)
        await self.opened.wait()
        if self.refusal is not None:
            raise self.refusal
        return Facts(python="/usr/bin/python-of-a-gate")

    async def stop(self, context: ContextInfo, *, force: bool) -> None:
        await self.released.wait()
        self.stopped.append((context.name, force))

    async def kill(self, context: ContextInfo) -> None:
        self.killed.append(context.name)

    async def alive(self, context: ContextInfo) -> bool:
        return self.answer

    def link(self, context: ContextInfo) -> Path | None:
        return None


@dataclass
class ContextBench:
    """What a test has at hand."""

    core: JobCore
    contexts: Contexts
    engine: FakeEngine
    store: Store

    async def create(self, name: str, **query: str) -> ContextInfo:
        return await self.contexts.create(name, query=query, body=EMPTY)

    async def job(self, context: ContextInfo | str | None = None, **fields: Any) -> Job:
        """A job that is accepted for a context: one by its name, a value, or None for one of its own."""
        if context is None:
            context = self.contexts.adhoc("a.B", query={}, config=EMPTY)
        elif isinstance(context, str):
            context = self.contexts.choose(context)
        spec = {"packages": [], "context": contextsettings.job_spec(context)}
        request = JobRequest(
            dialect="spark",
            main_class="a.B",
            context=context.name,
            package=spec,
            engine=PACKAGES,
            pool=CONTEXTS_POOL,
            **fields,
        )
        return await self.core.submit(request)

    async def begin(self, job: Job) -> None:
        """It runs, as soon as it was asked to."""
        await until(lambda: job.id in self.engine.launched)
        self.core.report(job.id, Started(started_us=1, step=0))

    def end(self, job: Job, *, how: str = "exit", **fields: Any) -> None:
        self.core.report(job.id, Ended(how=how, started_us=1, finished_us=2, **({"code": 0} | fields)))

    def stopped(self, job: Job) -> None:
        """The engine has done what it was asked."""
        self.end(job, code=None, signal=15, stop_reason="requested")

    def names(self) -> list[str]:
        return [context.name for context in self.contexts.live()]


@asynccontextmanager
async def context_bench(
    folder: Path,
    *,
    defaults: Defaults = NO_DEFAULTS,
    kind: Gate | None = None,
    engine: FakeEngine | None = None,
    **changes: Any,
) -> AsyncIterator[ContextBench]:
    settings = replace(Settings(data_dir=folder, sync="normal"), **changes)
    engine = engine or FakeEngine(folder / "jobs")
    store, growth = Store(folder / "jobdeck.sqlite3", sync=settings.sync), Growth()
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        core = JobCore(settings, store=store, events=events, growth=growth, engine=engine, boot_id=BOOT)
        blobs = Blobs(settings, store=store, events=events, folder=folder / "blobs")
        contexts = Contexts(core, settings, venvs=Venvs(settings, blobs=blobs), defaults=defaults)
        if kind is not None:
            contexts.kinds[kind.name] = kind
        await contexts.load()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(growth.run)
            await nursery.start(core.run)
            await nursery.start(contexts.run)
            await recovery.recover(core)
            contexts.open()
            yield ContextBench(core, contexts, engine, store)
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)
        growth.close()


def body(**settings: Any) -> JobConfig:
    """Settings as a body brings them."""
    return contextsettings.as_config(settings)
