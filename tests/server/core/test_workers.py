"""The registry of workers, the id that the machine's own keeps, and whose jobs the scheduler API tells of."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState, from_wire, to_wire
from jobdeck_server.core.datadir import DataDirError
from jobdeck_server.core.errors import ConflictError, UnavailableError, UnknownJobError, UnknownWorkerError
from jobdeck_server.core.localworker import LocalWorker, load_id
from jobdeck_server.core.scheduler import Scheduler
from jobdeck_server.core.workers import Workers
from jobdeck_server.engines.base import Started, Stop
from tests.server.core.harness import BOOT, Bench, bench, shell

LOCAL = "11111111-1111-4111-8111-111111111111"
OTHER = WorkerInfo(id="22222222-2222-4222-8222-222222222222", name="other", labels=("gpu",), slots_count=2)


# -- the id --


def test_an_id_is_made_once_and_kept(tmp_path: Path) -> None:
    made = load_id(tmp_path)
    assert str(uuid.UUID(made, version=4)) == made
    assert load_id(tmp_path) == made
    assert stat.S_IMODE((tmp_path / "worker.id").stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["worker.id"]


def test_what_a_kill_left_half_made_is_no_id(tmp_path: Path) -> None:
    (tmp_path / "worker.id.new").write_text("1234")
    made = load_id(tmp_path)
    assert load_id(tmp_path) == made


@pytest.mark.parametrize("data", [b"", b"worker", b"\xff\xfe", LOCAL.encode() * 2, LOCAL.encode().replace(b"-", b"")])
def test_a_file_that_holds_no_id_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "worker.id").write_bytes(data)
    with pytest.raises(DataDirError, match=r"worker\.id holds no id of a worker"):
        load_id(tmp_path)
    assert (tmp_path / "worker.id").read_bytes() == data


# -- the record --


def test_a_worker_on_the_wire() -> None:
    worker = replace(OTHER, state=WorkerState.DRAINING, running_count=1, address="[::1]:1", started_us=1, seen_us=2)
    wire = to_wire(worker)
    assert (wire["state"], wire["labels"], wire["started"]) == ("draining", ["gpu"], "1970-01-01T00:00:00.000001Z")
    assert from_wire(wire) == worker
    assert from_wire({**wire, "of a later version": 1}) == worker
    assert from_wire({"id": "a", "name": "b"}) == WorkerInfo(id="a", name="b")
    for broken in ({"id": "a"}, {"id": "a", "name": "b", "state": "odd"}, {"id": "a", "name": "b", "seen": "soon"}):
        with pytest.raises((KeyError, ValueError)):
            from_wire(broken)


# -- the registry --


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


@asynccontextmanager
async def deck(folder: Path, **changes: object) -> AsyncIterator[tuple[Bench, Workers, Scheduler]]:
    async with bench(folder, engine=None, boot=BOOT, start_dir=str(folder), **changes) as made:
        local = LocalWorker(made.core, worker_id=LOCAL, name="here", address="127.0.0.1:8080")
        workers = Workers(made.core, local)
        yield made, workers, Scheduler(made.core, workers)


async def test_the_local_worker_is_one_like_any_other(tmp_path: Path) -> None:
    async with deck(tmp_path, running_limit_count=2, executor_labels=("big",)) as (made, workers, _):
        first = await made.core.submit(shell("true"))
        for _ in range(2):
            await made.core.submit(shell("true"))
        made.core.report(first.id, Started(started_us=1, step=0))
        (told,) = workers.all()
        assert (told.id, told.name, told.engine, told.state) == (LOCAL, "here", "local", WorkerState.ONLINE)
        assert (told.slots_count, told.running_count, told.labels) == (2, 2, ("big",))
        assert told.seen_us >= told.started_us > 0
        assert [job.id for job in workers.jobs(LOCAL)] == [first.id]
        assert workers.jobs(OTHER.id) == []


async def test_workers_join_and_leave(tmp_path: Path) -> None:
    async with deck(tmp_path) as (_, workers, _):
        with pytest.raises(UnknownWorkerError):
            workers.find(OTHER.id)
        first, second = Fixed(OTHER), Fixed(replace(OTHER, slots_count=5))
        workers.join(first)
        workers.join(second)
        workers.leave(first)
        assert [worker.name for worker in workers.all()] == ["here", "other"]
        assert workers.find(OTHER.id).slots_count == 5
        workers.leave(second)
        workers.leave(second)
        with pytest.raises(ConflictError):
            workers.join(Fixed(replace(OTHER, id=LOCAL)))
        assert [worker.id for worker in workers.all()] == [workers.local_id]


async def test_workers_by_what_people_call_them(tmp_path: Path) -> None:
    async with deck(tmp_path) as (_, workers, _):
        workers.join(Fixed(OTHER))
        for text in (OTHER.id, OTHER.id[:8], "other"):
            assert workers.resolve(text).id == OTHER.id
        workers.join(Fixed(replace(OTHER, id="22222222-3333-4222-8222-222222222222")))
        for text in ("", "2222222", "22222222", "other", "nobody", LOCAL.upper()[:7]):
            with pytest.raises(UnknownWorkerError):
                workers.resolve(text)
        assert workers.resolve("22222222-3").id.startswith("22222222-3333")


# -- the scheduler --


async def test_jobs_belong_to_the_worker_that_was_named(tmp_path: Path) -> None:
    async with deck(tmp_path) as (made, workers, scheduler):
        workers.join(Fixed(OTHER))
        job = await scheduler.start(LOCAL, "sh", "")
        assert (job.dialect, job.worker, job.steps[0].argv) == ("scheduler", LOCAL, ("sh", ""))
        assert await scheduler.query(LOCAL, job.id) == job
        for worker_id, job_id in ((OTHER.id, job.id), (LOCAL, (await made.core.submit(shell("true"))).id)):
            with pytest.raises(UnknownJobError):
                await scheduler.query(worker_id, job_id)
            with pytest.raises(UnknownJobError):
                await scheduler.stop(worker_id, job_id)
        assert made.engine.stops == []


async def test_a_worker_out_of_reach_is_told_so(tmp_path: Path) -> None:
    async with deck(tmp_path) as (_, workers, scheduler):
        workers.join(Fixed(replace(OTHER, state=WorkerState.UNREACHABLE)))
        for ask in (scheduler.start(OTHER.id, "sh", ""), scheduler.stop(OTHER.id, "x"), scheduler.query(OTHER.id, "x")):
            with pytest.raises(UnavailableError, match=r"^worker unreachable$"):
                await ask


async def test_jobs_wait_for_a_slot_and_may_be_stopped_there(tmp_path: Path) -> None:
    async with deck(tmp_path, running_limit_count=1) as (made, _, scheduler):
        first, second = [await scheduler.start(LOCAL, "sh", "") for _ in range(2)]
        assert second.state is JobState.QUEUED
        await scheduler.stop(LOCAL, second.id)
        assert (await scheduler.query(LOCAL, second.id)).state is JobState.STOPPED
        await scheduler.stop(LOCAL, first.id)
        await made.core.get(first.id)
        with pytest.raises(UnknownJobError):
            await scheduler.stop(LOCAL, "x")
        assert made.engine.stops in ([], [(first.id, Stop(signal=9, grace_s=0))])
