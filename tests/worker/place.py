"""A worker in the test's own process, over a real keeper, and the model of its server."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import trio

from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError
from jobdeck_server.core.datadir import DataDir
from jobdeck_server.core.growth import Growth
from jobdeck_server.core.orders import order_of
from jobdeck_server.core.requests import JobRequest, StepRequest, plan
from jobdeck_server.settings import Settings
from jobdeck_server.worker.program import Parts, assemble
from jobdeck_server.worker.settings import WorkerSettings
from tests.worker.hostend import HostEnd, Relay


def order(*steps: StepRequest | str, dialect: str = "v1", **fields: Any) -> bytes:
    """What a server says of a job; steps given as text are command lines."""
    asked = tuple(StepRequest(command_line=each) if isinstance(each, str) else each for each in steps)
    job_id = str(uuid.uuid4())
    request = JobRequest(dialect=dialect, steps=asked, **fields)
    job, spec = plan(request, Settings(data_dir=Path("/nowhere")), job_id=job_id, now_us=1)
    return order_of(job, spec)


def end_jobs(data_dir: Path) -> None:
    """End all jobs of a keeper, and the keeper."""
    with suppress(NoKeeperError, OSError), KeeperLink(data_dir) as link:
        for job_id in link.ask("list")["jobs"]:
            link.ask("stop", id=job_id, signal=9, grace_s=0, reason="requested")
        link.ask("retire")


class Place:
    """A worker's machine, a relay and a server."""

    def __init__(self, folder: Path, nursery: trio.Nursery, host: HostEnd, **changes: object) -> None:
        self.data_dir = folder / "data"
        self.folder = folder
        self.host = host
        self.relay = Relay()
        self.nursery = nursery
        self.token_file = folder / "token"
        self.token_file.write_text("secret\n")
        self.settings = replace(Settings(data_dir=self.data_dir, start_dir=str(folder), cgroups=False))
        self._changes = changes
        self._scope: trio.CancelScope | None = None
        self._gone = trio.Event()
        self.errors: list[BaseException] = []
        self.parts: Parts | None = None

    @property
    def own(self) -> WorkerSettings:
        settings = WorkerSettings(
            server=f"http://127.0.0.1:{self.relay.port}",
            token_file=self.token_file,
            name="w",
            slots_count=4,
            labels=("a",),
            retry_first_s=0.01,
            retry_limit_s=0.05,
            refused_retry_s=0.05,
            forgotten_retry_s=0.05,
        )
        return replace(settings, **self._changes)  # type: ignore[arg-type]  # a test's own

    async def boot(self) -> None:
        """A life of the worker's program."""
        await self.nursery.start(self._live)

    async def end(self) -> None:
        """Its end, without a word."""
        if self._scope is not None:
            self._scope.cancel()
            await self._gone.wait()

    async def dismissed(self) -> BaseException:
        """What it has ended with."""
        with trio.fail_after(30):
            await self._gone.wait()
        return self.errors[-1]

    async def _live(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        data_dir, growth = DataDir(self.data_dir), Growth()
        self._gone = trio.Event()
        try:
            with trio.CancelScope() as self._scope:
                async with trio.open_nursery() as nursery:
                    self.parts = await assemble(self.settings, self.own, growth, nursery)
                    task_status.started()
        except* Exception as group:  # noqa: BLE001  # judged by the test
            error: BaseException = group
            while isinstance(error, BaseExceptionGroup):
                error = error.exceptions[0]
            self.errors.append(error)
        finally:
            data_dir.close()
            growth.close()
            self._gone.set()

    def job_file(self, job_id: str, name: str) -> Path:
        return self.data_dir / "jobs" / job_id / name

    def submit(self, *steps: StepRequest | str, **fields: Any) -> str:
        job_id = str(uuid.uuid4())
        self.host.start(job_id, order(*steps, **fields))
        return job_id

    def check(self, job_id: str) -> None:
        """What the server has of a job is what the worker has, byte for byte."""
        copy = self.host.copy(job_id)
        assert bytes(copy.output) == self.job_file(job_id, "output").read_bytes()
        assert bytes(copy.runs).hex(" ", 32) == self.job_file(job_id, "runs").read_bytes().hex(" ", 32)
        assert (copy.ends[0].output_bytes, copy.ends[0].runs_bytes) == (len(copy.output), len(copy.runs))
        assert len(copy.ends) == 1


@asynccontextmanager
async def place(folder: Path, *, boot: bool = True, beat_s: float = 5.0, **changes: object) -> AsyncIterator[Place]:
    host = HostEnd(beat_s=beat_s)
    async with trio.open_nursery() as nursery:
        await nursery.start(host.run)
        here = Place(folder, nursery, host, **changes)
        await nursery.start(here.relay.run, host.port)
        try:
            if boot:
                await here.boot()
            yield here
        finally:
            with trio.CancelScope(shield=True, deadline=trio.current_time() + 20):
                await here.end()
                await trio.to_thread.run_sync(end_jobs, here.data_dir)
            nursery.cancel_scope.cancel()
    assert host.faults == []
