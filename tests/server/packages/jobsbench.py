"""Package jobs over a real database and real files, and an engine whose reports the test makes."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core.binaries import Binaries
from jobdeck_server.core.blobs import Blobs
from jobdeck_server.core.contexts import Contexts
from jobdeck_server.core.events import EventLog
from jobdeck_server.core.hocon import ConfigReader
from jobdeck_server.core.jobs import JobCore
from jobdeck_server.core.packagefinder import PackageFinder
from jobdeck_server.core.packagejobs import PackageJobs, PackageOrder
from jobdeck_server.core.packageledger import PackageLedger
from jobdeck_server.core.packagerows import PackageResult
from jobdeck_server.core.store import Store
from jobdeck_server.core.venvs import Venvs
from jobdeck_server.engines.base import Ended, Started
from jobdeck_server.engines.packageshop import PackageShop
from jobdeck_server.packages.outcome import FINISHED, JSON, Outcome
from jobdeck_server.settings import Settings
from tests.server.core.harness import Bench, bench
from tests.server.packages.kit import wheel


@dataclass
class JobsBench:
    """What a test has at hand."""

    jobs: PackageJobs
    core: JobCore
    bench: Bench
    blobs: Blobs
    binaries: Binaries
    contexts: Contexts
    ledger: PackageLedger
    shop: PackageShop
    settings: Settings
    folder: Path

    @property
    def store(self) -> Store:
        return self.bench.store

    @property
    def events(self) -> EventLog:
        return self.core.events

    async def upload(self, name: str, data: bytes, kind: str = "wheel") -> None:
        async with self.binaries.upload(name, kind) as upload:
            await upload.write(data)
            await upload.commit()

    async def submit(self, config: str = "", **more: Any) -> Job:
        """A job that has left the queue."""
        order = PackageOrder(main_class="jobs.job.Job", packages=("jobs",), config=await read(config))
        job = await self.jobs.submit(replace(order, **more))
        live = self.core.live(job.id)
        assert live is not None
        with trio.fail_after(10):
            while live.job.state is JobState.QUEUED:
                await live.changed.wait()
        return job

    async def result(self, data: bytes = b"[1]", kind: str = JSON) -> PackageResult:
        """Bytes in the blob store, as a result."""
        async with self.blobs.upload() as upload:
            await upload.write(data)
            content = await upload.commit()
        return PackageResult(kind=kind, content=content.hash, size_bytes=content.size_bytes)

    async def config(self, job_id: str) -> bytes:
        """What a job was told, wherever that is."""
        found = await self.jobs.config(job_id)
        if isinstance(found, bytes):
            return found
        with found as file:
            return os.pread(file.fd, file.size_bytes, 0)

    async def finish(self, job_id: str, data: bytes = b"[1]", kind: str = JSON) -> None:
        """What the engine does at the end of a job that has finished."""
        await self.ledger.keep(job_id, Outcome(kind=FINISHED, result_kind=kind), await self.result(data, kind))
        await self.end(job_id, Ended(how="exit", code=0, started_us=5, finished_us=6))

    async def end(self, job_id: str, ended: Ended) -> None:
        self.core.report(job_id, ended)
        with trio.fail_after(10):
            await self.core.committed(job_id)

    async def run(self, job: Job) -> None:
        self.core.report(job.id, Started(started_us=5, step=0))


async def read(text: str) -> Any:
    return await ConfigReader().read(text.encode())


@asynccontextmanager
async def jobsbench(folder: Path, **changes: object) -> AsyncIterator[JobsBench]:
    """With a package called ``jobs``."""
    async with bench(folder, **changes) as made:  # type: ignore[arg-type]  # of the settings alone
        core, settings = made.core, made.core.settings
        blobs = Blobs(settings, store=made.store, events=core.events, folder=folder / "blobs")
        ledger = PackageLedger(settings, store=made.store, events=core.events, blobs=blobs)
        venvs = Venvs(settings, blobs=blobs)
        shop = PackageShop(settings, blobs=blobs, ledger=ledger, venvs=venvs, folder=folder / "work")
        binaries = Binaries(settings, store=made.store, events=core.events, blobs=blobs, core=core)
        contexts = Contexts(core, settings, venvs=venvs)
        await contexts.load()
        async with trio.open_nursery() as nursery:
            await nursery.start(blobs.run)
            await nursery.start(contexts.run)
            contexts.open()
            finder = PackageFinder(settings, binaries=binaries, fetcher=None, blobs=blobs)
            jobs = PackageJobs(
                core, settings, finder=finder, contexts=contexts, callbacks=None, blobs=blobs, ledger=ledger
            )
            own = JobsBench(jobs, core, made, blobs, binaries, contexts, ledger, shop, settings, folder)
            await own.upload("jobs", wheel(folder / "jobs.whl", {"jobs/__init__.py": ""}).read_bytes())
            yield own
            nursery.cancel_scope.cancel()
