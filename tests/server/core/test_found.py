"""Jobs of workers elsewhere: lost and found again, taken in without a record, out of reach for a while."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from jobdeck_protocol.job import JobState
from jobdeck_server.core.live import Live
from jobdeck_server.core.requests import WORKERS_POOL, JobRequest
from jobdeck_server.engines.base import WORKER, Ended, Started
from tests.server.core.harness import Bench, bench, shell, until

LOST = Ended(how="lost", text="worker w was not heard of for 5 s", finished_us=9)
DONE = Ended(how="exit", code=0, started_us=5, finished_us=11, output_bytes=3, step=0)


async def placed(b: Bench, request: JobRequest | None = None) -> str:
    waiting: list[Live] = []
    b.core.pools[WORKERS_POOL] = waiting.append
    job = await b.core.submit(request or shell("true", engine=WORKER, worker="w"))
    assert job.state is JobState.QUEUED
    await b.core.place(waiting[0], engine=WORKER, worker="w")
    return job.id


async def test_a_job_for_a_worker_waits_and_takes_no_slot_here(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=1) as b:
        job_id = await placed(b)
        job = await b.core.get(job_id)
        assert (job.engine, job.worker, job.state) == (WORKER, "w", JobState.STARTING)
        assert b.core.slots_in_use == 0
        await until(lambda: b.engine.launched == [job_id])


async def test_a_job_that_asks_for_labels_waits_in_the_pool_and_keeps_them_when_run_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job_id = await placed(b, shell("true", worker_labels=("gpu",)))
        again = await b.core.rerun(job_id)
        assert (again.worker, again.worker_labels, again.state) == (None, ("gpu",), JobState.QUEUED)


async def test_a_lost_job_is_given_the_end_that_it_truly_had(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job_id = await placed(b)
        b.core.report(job_id, Started(started_us=5, step=0))
        b.core.report(job_id, LOST)
        assert await b.core.correct(job_id, DONE)
        job = await b.core.get(job_id)
        assert (job.state, job.exit_code, job.finished_us, job.error) == (JobState.SUCCEEDED, 0, 11, None)
        assert b.core.counts[JobState.LOST] == 0
        assert b.core.counts[JobState.SUCCEEDED] == 1
        assert not await b.core.correct(job_id, DONE)
    async with bench(tmp_path) as b:
        assert (await b.core.get(job_id)).state is JobState.SUCCEEDED
        assert sum(b.core.counts.values()) == 1


@pytest.mark.parametrize("end", [LOST, DONE])
async def test_nothing_else_is_corrected(tmp_path: Path, end: Ended) -> None:
    async with bench(tmp_path) as b:
        job_id = await placed(b)
        b.core.report(job_id, DONE if end is LOST else LOST)
        assert await b.core.correct(job_id, end) == (end is DONE)
        assert not await b.core.correct(str(uuid.uuid4()), end)
        assert (await b.core.get(job_id)).state is JobState.SUCCEEDED


async def test_a_job_without_a_record_is_taken_in_as_its_workers(tmp_path: Path) -> None:
    job_id = str(uuid.uuid4())
    async with bench(tmp_path) as b:
        await b.core.import_job(job_id, worker="w")
        job = await b.core.get(job_id)
        assert (job.dialect, job.labels, job.worker, job.engine) == ("unknown", ("imported",), "w", WORKER)
        launch = b.core.launch_of(job_id)
        assert launch is not None
        assert launch.job == job
        b.core.report(job_id, DONE)
        await b.core.committed(job_id)
        assert (await b.core.get(job_id)).state is JobState.SUCCEEDED
        assert b.core.launch_of(job_id) is None


async def test_a_worker_out_of_reach_is_said_on_its_jobs_and_taken_back(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job_id = await placed(b)
        other = await b.core.submit(shell("true"))
        b.core.report(job_id, Started(started_us=5, step=0))
        b.core.reach("w", unreachable=True)
        assert (await b.core.get(job_id)).unreachable
        assert not (await b.core.get(other.id)).unreachable
        b.core.report(job_id, DONE)
        assert not (await b.core.wait(job_id)).unreachable
