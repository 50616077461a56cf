"""A server as far as workers elsewhere go: core, database and files are real, and so is a worker's connection but for
the socket, which is in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import trio

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.channels.worker import WorkerConnection
from jobdeck_server.core import recovery
from jobdeck_server.core.errors import ConflictError
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.growth import Growth
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.live import Live
from jobdeck_server.core.localworker import LocalWorker
from jobdeck_server.core.requests import WORKERS_POOL
from jobdeck_server.core.store import Store
from jobdeck_server.core.workers import Workers
from jobdeck_server.engines.base import WORKER
from jobdeck_server.engines.remote import RemoteEngine
from jobdeck_server.engines.several import Engines
from jobdeck_server.http.upgrade import Socket
from jobdeck_server.settings import Settings
from tests.server.channels.helpers import FakeSocket
from tests.server.core.harness import BOOT, FakeEngine, shell
from tests.server.remote.hand import Hand

LOCAL = "11111111-1111-4111-8111-111111111111"
LIMIT_S = 20.0


@dataclass
class Deck:
    """What a test has at hand."""

    settings: Settings
    core: JobCore
    store: Store
    workers: Workers
    remote: RemoteEngine
    waiting: list[Live]

    async def submit(self, hand: Hand, line: str = "true", **fields: object) -> str:
        """A job for a worker, which is given it."""
        job = await self.core.submit(shell(line, worker=hand.id, pool=WORKERS_POOL, **fields))
        live = self.core.live(job.id)
        assert live is not None
        await self.core.place(live, engine=WORKER, worker=hand.id)
        return job.id

    async def ended(self, job_id: str) -> Job:
        """A job's record, once it has ended and that is in the database."""
        with trio.fail_after(LIMIT_S):
            await self.core.wait(job_id)
            await self.core.committed(job_id)
            return await self.core.get(job_id)

    async def state(self, job_id: str, *states: JobState) -> Job:
        """A job's record, once it has one of these states."""
        job = await self.core.get(job_id)
        with trio.fail_after(LIMIT_S):
            while job.state not in states:
                await trio.sleep(0.005)  # a LOST job that is corrected has left memory
                job = await self.core.get(job_id)
        return job

    def file(self, job_id: str, name: str = "output") -> bytes:
        """A job's file here."""
        path = self.settings.data_dir / "jobs" / job_id / name
        return path.read_bytes() if path.exists() else b""

    @asynccontextmanager
    async def link(
        self, hand: Hand, *, allowed: Callable[[], bool] = lambda: True, ready: bool = True
    ) -> AsyncIterator[FakeSocket]:
        """A worker is connected while the block lasts; ``ready``: it has told what it has."""
        socket = FakeSocket()
        connection = WorkerConnection(self.remote, self.settings, peer="10.0.0.1:5", allowed=allowed)

        async def serve() -> None:
            await connection.run(cast("Socket", socket))
            await socket.close(1000)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve)
            nursery.start_soon(hand.talk, socket)
            if ready:
                await until(lambda: hand.agent.stage.value == "open")
            yield socket
            hand.cut()
            with trio.move_on_after(2):
                await socket.closed.wait()
            nursery.cancel_scope.cancel()


async def until(true: Callable[[], bool]) -> None:
    """Wait for what other tasks and threads bring about."""
    with trio.fail_after(LIMIT_S):
        while not true():  # noqa: ASYNC110  # of which nobody tells
            await trio.sleep(0.002)


@asynccontextmanager
async def deck(folder: Path, *, boot: str = BOOT, **changes: object) -> AsyncIterator[Deck]:
    """One life of a server."""
    settings = replace(Settings(data_dir=folder, sync="normal"), **changes)  # type: ignore[arg-type]  # a test's own
    (folder / "jobs").mkdir(exist_ok=True)
    store, growth = Store(folder / "jobdeck.sqlite3", sync=settings.sync), Growth()
    await trio.to_thread.run_sync(store.open, trio.lowlevel.current_trio_token())
    try:
        events = EventLog(store)
        await events.load()
        remote = RemoteEngine(settings, store)
        await remote.load()
        engine = Engines(FakeEngine(folder / "jobs"), remote)
        core = JobCore(settings, store=store, events=events, growth=growth, engine=engine, boot_id=boot)
        remote.hold = lambda on: core.admission.pause("restored", on=on)
        workers = Workers(core, LocalWorker(core, worker_id=LOCAL, name="here", address="127.0.0.1:1"))
        waiting: list[Live] = []
        core.pools[WORKERS_POOL] = waiting.append
        async with trio.open_nursery() as nursery:
            nursery.start_soon(workers.run)
            nursery.start_soon(growth.run)
            await nursery.start(core.run)
            await nursery.start(engine.run, core)
            remote.open(workers, partial(_place, core))
            await recovery.recover(core)
            yield Deck(settings, core, store, workers, remote, waiting)
            nursery.cancel_scope.cancel()
    finally:
        await trio.to_thread.run_sync(store.close)
        growth.close()


async def _place(core: JobCore, job_id: str, worker_id: str) -> None:
    live = core.live(job_id)
    assert live is not None
    try:
        await core.place(live, engine=WORKER, worker=worker_id)
    except ConflictError:
        return
