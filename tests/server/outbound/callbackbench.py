"""Callbacks on a real database, with jobs that only exist there."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import trio

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import journal
from jobdeck_server.core.callbackbody import Body
from jobdeck_server.core.callbacks import SCHEMES, Callbacks
from jobdeck_server.core.events import Event, EventLog
from jobdeck_server.core.outbound.classes import IPAddress
from jobdeck_server.core.store import Store
from tests.server.outbound.receivers import door_of, settings_of

QUICK: dict[str, Any] = {"callback_delays_s": (0.01,) * 5, "callback_timeout_s": 5.0}


def body_of(job_id: str) -> bytes:
    return b'{"jobId":"%s","result":{"a":2}}' % job_id.encode()


async def plain_source(job_id: str) -> Body | None:
    return (body_of(job_id),)


@dataclass
class CallbackBench:
    """What a test has at hand."""

    store: Store
    events: EventLog
    callbacks: Callbacks
    over: dict[str, dict[str, Any]] = field(default_factory=dict)
    bell: trio.Event = field(default_factory=trio.Event)

    def heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "callback":
                assert event.data["id"] not in self.over, "told twice"
                self.over[event.data["id"]] = dict(event.data)
                self.bell.set()
                self.bell = trio.Event()

    async def accept(self, url: str, *, job_id: str | None = None) -> str:
        """A job with a callback."""
        job = Job(id=job_id or str(uuid.uuid4()), dialect="spark", key=None, state=JobState.RUNNING, started_us=1)
        checked = self.callbacks.check(url)

        def work(connection: Any) -> list[Event]:
            events = journal.insert_job(connection, job, {}, boot_id=None, idempotency=None)
            self.callbacks.note(connection, job.id, checked)
            assert isinstance(events, list)
            return events

        await self.events.commit(work)
        return job.id

    async def end(self, job_id: str, state: JobState = JobState.SUCCEEDED) -> None:
        job = await self.store.read(lambda connection: journal.find_job(connection, job_id))
        assert job is not None
        ended = replace(job, state=state, finished_us=2)
        await self.events.commit(lambda connection: journal.update_job(connection, ended))

    async def call(self, url: str) -> str:
        """A job that has ended, with a callback."""
        job_id = await self.accept(url)
        await self.end(job_id)
        return job_id

    async def until_over(self, count: int, *, limit_s: float = 20.0) -> None:
        with trio.fail_after(limit_s):
            while len(self.over) < count:
                await self.bell.wait()


@asynccontextmanager
async def callbackbench(
    folder: Path,
    *,
    source: Callable[[str], Awaitable[Body | None]] = plain_source,
    patterns: Sequence[str] | None = None,
    names: Callable[[str, int], list[IPAddress]] | None = None,
    running: bool = True,
    **changes: object,
) -> AsyncIterator[CallbackBench]:
    settings = settings_of(folder, **{**QUICK, **changes})
    store = Store(folder / "jobdeck.sqlite3", sync=settings.sync)
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        door = door_of(settings, patterns, schemes=SCHEMES, names=names)
        bench = CallbackBench(store, events, Callbacks(settings, store=store, events=events, door=door, source=source))
        events.listeners.append(bench.heard)
        async with trio.open_nursery() as nursery:
            if running:
                await nursery.start(bench.callbacks.run)
            yield bench
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)
