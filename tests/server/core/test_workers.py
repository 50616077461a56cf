"""The registry of workers, the id that the machine's own keeps, and whose jobs the scheduler API tells of."""

from __future__ import annotations

import os
import stat
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.testing

from jobdeck_protocol.job import Job, JobState
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState, from_wire, to_wire
from jobdeck_server.core import news
from jobdeck_server.core.datadir import DataDirError
from jobdeck_server.core.errors import (
    BadRequestError,
    ConflictError,
    UnavailableError,
    UnknownJobError,
    UnknownWorkerError,
)
from jobdeck_server.core.events import Snapshot
from jobdeck_server.core.localworker import LocalWorker, load_id
from jobdeck_server.core.scheduler import Scheduler
from jobdeck_server.core.store import StoreError
from jobdeck_server.core.workers import Workers
from jobdeck_server.engines.base import WORKER, Ended, Report, Started, Stop
from tests.server.core.harness import BOOT, Bench, bench, shell, take, until
from tests.server.core.workerbench import LOCAL, Fixed, Yard, worker, worker_id, yard

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


# -- what is told of them --


async def told(made: Yard, since: int, count: int) -> list[tuple[str, str, str]]:
    """The next events of workers: kind, id and name or state."""
    with trio.fail_after(5):
        events = await take(made.core.events, since, count)
    return [
        (each.kind, each.data["id"], each.data.get("state", "")) for each in events if not isinstance(each, Snapshot)
    ]


async def test_changes_are_told_as_events_and_what_passes_is_not(tmp_path: Path) -> None:
    source = worker(0)
    async with yard(tmp_path) as made:
        since = made.core.events.last
        made.join(source)
        assert await told(made, since, 1) == [("worker", worker_id(0), "online")]
        source.info = replace(source.info, load=3.0, seen_us=5, free_bytes=7, clock_skew_us=9, running_count=1)
        made.workers.changed(source)
        source.info = replace(source.info, state=WorkerState.UNREACHABLE)
        made.workers.changed(source)
        made.workers.changed(worker(1))  # who never came
        assert await told(made, since + 1, 1) == [("worker", worker_id(0), "unreachable")]
        made.workers.leave(source)
        assert await told(made, since + 2, 1) == [("worker_removed", worker_id(0), "")]
        await made.workers.drain("here", on=True)
        assert await told(made, since + 3, 1) == [("worker", LOCAL, "draining")]


async def test_of_several_changes_at_once_the_last_is_told(tmp_path: Path) -> None:
    source = worker(0)
    async with yard(tmp_path) as made:
        since = made.core.events.last
        made.join(source)
        for state in (WorkerState.UNREACHABLE, WorkerState.ONLINE, WorkerState.DRAINING):
            source.info = replace(source.info, state=state)
            made.workers.changed(source)
        await made.workers.drain("here", on=True)
        assert await told(made, since, 2) == [("worker", worker_id(0), "draining"), ("worker", LOCAL, "draining")]


async def test_news_that_the_database_would_not_take_come_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(news, "_RETRY_S", 0.01)
    async with yard(tmp_path) as made:
        since, commit = made.core.events.last, made.core.events.commit
        refused = trio.Event()

        async def refuse(*_: object, **__: object) -> object:
            refused.set()
            raise StoreError("disk full")

        monkeypatch.setattr(made.core.events, "commit", refuse)
        first, second = worker(0), worker(1)
        made.join(first, second)
        await refused.wait()
        made.workers.leave(first)
        monkeypatch.setattr(made.core.events, "commit", commit)
        assert {each[:2] for each in await told(made, since, 2)} == {
            ("worker", worker_id(1)),
            ("worker_removed", worker_id(0)),
        }


# -- what an admin does --


async def test_drain_and_rename(tmp_path: Path) -> None:
    source = worker(0)
    async with yard(tmp_path, source) as made:
        assert (await made.workers.drain("w0", on=True)).state is WorkerState.DRAINING
        assert (await made.workers.drain("w0", on=False)).state is WorkerState.ONLINE
        assert (await made.workers.rename("w0", "far away")).name == "far away"
        for name in ("", " x", "x\n", "x" * 101, "a\0b"):
            with pytest.raises(BadRequestError) as caught:
                await made.workers.rename("far away", name)
            assert caught.value.field == "name"
        with pytest.raises(UnknownWorkerError):
            await made.workers.drain("w0", on=True)
        with pytest.raises(ConflictError, match="--worker-name"):
            await made.workers.rename("here", "x")
        for force in (False, True):
            with pytest.raises(ConflictError, match="cannot be forgotten"):
                await made.workers.forget("here", force=force)


async def test_a_worker_that_is_needed_is_only_forgotten_by_force(tmp_path: Path) -> None:
    source = worker(0, slots_count=1)
    async with yard(tmp_path, source) as made:
        with pytest.raises(ConflictError, match="is connected"):
            await made.workers.forget("w0", force=False)
        request = shell("true", engine=WORKER, worker=worker_id(0))
        runs, waits = [(await made.core.submit(request)).id for _ in range(2)]
        await until(lambda: made.workers.find(worker_id(0)).running_count == 1)
        made.core.report(runs, Started(started_us=1, step=0))
        source.info = replace(source.info, state=WorkerState.UNREACHABLE)
        made.workers.changed(source)
        with pytest.raises(ConflictError, match="has 2 jobs"):
            await made.workers.forget("w0", force=False)
        await made.workers.forget("w0", force=True)
        assert source.forgotten
        lost, failed = await made.core.wait(runs), await made.core.wait(waits)
        assert (lost.state, lost.error) == (JobState.LOST, "worker w0 was forgotten")
        assert (failed.state, failed.error, failed.started_us) == (JobState.FAILED, "worker w0 was forgotten", None)
        with pytest.raises(UnknownWorkerError):
            made.workers.find(worker_id(0))


async def test_a_worker_that_nobody_needs_is_forgotten(tmp_path: Path) -> None:
    source = worker(0, state=WorkerState.OFFLINE)
    async with yard(tmp_path, source) as made:
        await made.workers.forget("w0", force=False)
        assert [each.name for each in made.workers.all()] == ["here"]


async def test_an_admin_lets_a_restored_server_go_on(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0)) as made:
        await made.workers.resume()  # nobody knows of any restoring

        class Restored:
            restored = True

            async def resume(self) -> None:
                self.restored = False
                made.core.admission.pause("restored", on=False)

        made.workers.restoration = Restored()
        made.core.admission.pause("restored", on=True)
        assert made.workers.restored
        far = (await made.core.submit(shell("true", engine=WORKER, worker=worker_id(0)))).id
        here = (await made.core.submit(shell("true"))).id
        await made.workers.resume()
        await until(lambda: {job_id for job_id, _ in made.engine.placed} == {far, here})
        assert not made.workers.restored


# -- which one a job asks for --


async def test_a_job_may_ask_for_a_worker_by_any_of_its_names(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0), worker(1)) as made:
        for text in ("w0", worker_id(0), worker_id(0)[:8]):
            placed = made.workers.placed(shell("true", worker=text))
            assert (placed.worker, placed.engine) == (worker_id(0), WORKER)
        placed = made.workers.placed(shell("true", worker="here"))
        assert (placed.worker, placed.engine) == (LOCAL, "local")
        assert made.workers.placed(shell("true")) == shell("true")
        for text in ("", "nobody", worker_id(0)[:7]):
            with pytest.raises(BadRequestError) as caught:
                made.workers.placed(shell("true", worker=text))
            assert caught.value.field == "worker"


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


# -- the scheduler, elsewhere --


@asynccontextmanager
async def far(folder: Path, **changes: object) -> AsyncIterator[tuple[Yard, Fixed, Scheduler]]:
    source = worker(0, slots_count=1)
    async with yard(folder, source, **changes) as made:
        yield made, source, Scheduler(made.core, made.workers)


async def answer_of(made: Yard, scheduler: Scheduler, *reports: Report) -> Job:
    """What ``start`` returns, its worker saying this about the job."""
    found: list[Job] = []

    async def start() -> None:
        found.append(await scheduler.start(worker_id(0), "sh", "x.sh"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(start)
        await until(lambda: bool(made.engine.placed))
        await trio.testing.wait_all_tasks_blocked()
        assert found == []
        for report in reports:
            made.core.report(made.engine.placed[-1][0], report)
    return found[0]


async def test_a_start_elsewhere_is_answered_when_the_worker_has_started_it(tmp_path: Path) -> None:
    async with far(tmp_path) as (made, _, scheduler):
        job = await answer_of(made, scheduler, Started(started_us=1, step=0))
        assert (job.state, job.worker, job.engine, job.steps[0].argv) == (
            JobState.RUNNING,
            worker_id(0),
            WORKER,
            ("sh", "x.sh"),
        )
        assert await scheduler.query(worker_id(0), job.id) == job


async def test_what_a_worker_cannot_start_is_refused_in_its_words(tmp_path: Path) -> None:
    text = 'exec: "sh": executable file not found in $PATH'
    async with far(tmp_path) as (made, _, scheduler):
        with pytest.RaisesGroup(pytest.RaisesExc(BadRequestError, check=lambda error: str(error) == text)):
            await answer_of(made, scheduler, Ended(how="error", text=text, finished_us=2))


async def test_a_job_that_has_failed_by_itself_was_started(tmp_path: Path) -> None:
    async with far(tmp_path) as (made, _, scheduler):
        job = await answer_of(made, scheduler, Ended(how="exit", code=3, started_us=1, finished_us=2))
        assert (job.state, job.exit_code) == (JobState.FAILED, 3)


async def test_a_worker_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async with far(tmp_path, scheduler_start_wait_s=0.05) as (_, _, scheduler):
        with trio.fail_after(5):
            assert (await scheduler.start(worker_id(0), "sh", "")).state is JobState.STARTING


async def test_a_job_that_waits_for_a_slot_elsewhere_is_accepted_at_once(tmp_path: Path) -> None:
    async with far(tmp_path, scheduler_start_wait_s=60) as (made, source, scheduler):
        await made.core.submit(shell("true", engine=WORKER, worker=worker_id(0)))
        with trio.fail_after(5):
            assert (await scheduler.start(worker_id(0), "sh", "")).state is JobState.QUEUED
            source.info = replace(source.info, state=WorkerState.DRAINING, slots_count=9)
            made.workers.changed(source)
            job = await scheduler.start(worker_id(0), "sh", "")
        assert job.state is JobState.QUEUED
        await scheduler.stop(worker_id(0), job.id)
        assert (await scheduler.query(worker_id(0), job.id)).state is JobState.STOPPED


@pytest.mark.parametrize(
    ("command", "text"),
    [
        ("", "exec: no command"),
        ("a\0b", 'exec: "a\\x00b": executable file not found in $PATH'),
        ("./\0", "fork/exec ./\0: invalid argument"),
        ("\ud800", 'exec: "\\ud800": executable file not found in $PATH'),
    ],
)
async def test_what_nobody_could_run_is_refused_before_it_is_sent(tmp_path: Path, command: str, text: str) -> None:
    async with far(tmp_path) as (made, _, scheduler):
        for each in (worker_id(0), LOCAL):
            with pytest.raises(BadRequestError) as caught:
                await scheduler.start(each, command, "x")
            assert str(caught.value) == text
        assert made.engine.launched == []


@pytest.mark.parametrize("state", [WorkerState.UNREACHABLE, WorkerState.OFFLINE])
async def test_a_worker_that_is_away_refuses_everything(tmp_path: Path, state: WorkerState) -> None:
    async with far(tmp_path) as (made, source, scheduler):
        source.info = replace(source.info, state=state)
        me = worker_id(0)
        for ask in (scheduler.start(me, "sh", ""), scheduler.stop(me, "x"), scheduler.query(me, "x")):
            with pytest.raises(UnavailableError, match=r"^worker unreachable$"):
                await ask
        assert made.core.active() == []
