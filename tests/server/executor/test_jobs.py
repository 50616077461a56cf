"""Jobs by key: made, told, changed, stopped."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core.errors import BadRequestError, ConflictError, ForbiddenError, UnknownJobError
from jobdeck_server.core.executor import Given
from tests.server.executor.deck import deck


async def test_a_job_is_made_once_and_its_secret_told_once(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        first = await it.executor.create("k", Given(labels=("gpu",)), user="ann")
        assert first.secret is not None
        again = await it.executor.create("k", Given(labels=("other",)))
        assert again.secret is None
        info = it.told(again)
        assert list(info) == [
            *("hash", "resultHashes", "resultSuperSet", "userId", "status", "createTime", "startTime", "finishTime"),
            *("worker", "labels", "outputNumber"),
        ]
        assert {**info, "createTime": ""} == {
            "hash": "k",
            "resultHashes": [],
            "resultSuperSet": None,
            "userId": ["ann"],
            "status": "CREATED",
            "createTime": "",
            "startTime": None,
            "finishTime": None,
            "worker": None,
            "labels": ["gpu"],
            "outputNumber": None,
        }
        assert list(it.told(first)) == [*info, "secret"]


async def test_many_ask_for_one_job_at_once_and_one_is_made(tmp_path: Path) -> None:
    secrets: list[str | None] = []
    async with deck(tmp_path) as it:

        async def make() -> None:
            secrets.append((await it.executor.create("k", Given())).secret)

        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(make)
        assert len([each for each in secrets if each]) == 1


async def test_a_worker_takes_a_job_and_ends_it(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        beat = await it.beat()
        assert beat.start == ("k",)
        assert beat.refresh_ms == 20
        info = await it.info("k")
        assert (info["status"], info["worker"], info["startTime"]) == ("RUNNING", "w_1", None)
        assert [job.state for job in it.core.active()] == [JobState.RUNNING]
        said = Given(
            status="SUCCESS",
            worker="w_1",
            results={"all": "a" * 40},
            start="2026-11-22T00:00:01.000Z",
            finish="2026-11-22T00:00:02.000Z",
            super_set="b" * 40,
        )
        await it.executor.update("k", said)
        info = await it.info("k")
        assert info["status"] == "SUCCESS"
        assert info["resultHashes"] == {"all": "a" * 40}
        assert info["resultSuperSet"] == "b" * 40
        assert (info["startTime"], info["finishTime"]) == (said.start, said.finish)
        job = (await it.executor.info("k")).job
        assert (job.state, job.exit_code, dict(job.results)) == (JobState.SUCCEEDED, 0, {"all": "a" * 40})
        await it.executor.update("k", Given(status="FAILED_TO_EXECUTE", worker="w_1"))
        assert await it.status("k") == "SUCCESS"


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("FAILED_UNZIP", JobState.FAILED),
        ("FAILED_TO_EXECUTE", JobState.FAILED),
        ("CANCELED", JobState.STOPPED),
        ("SUCCESS", JobState.SUCCEEDED),
    ],
)
async def test_the_word_of_a_worker_is_the_end(tmp_path: Path, status: str, state: JobState) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        await it.executor.update("k", Given(status=status, results={}))
        info = await it.info("k")
        assert (info["status"], info["resultHashes"]) == (status, {})
        assert (info["startTime"], info["finishTime"]) == (None, None)
        assert (await it.executor.info("k")).job.state is state


async def test_a_status_of_ones_own_holds_a_job_and_is_shown(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=0) as it:
        await it.make("paused", status="PAUSED")
        await it.make("odd", status="WAITING_FOR_GODOT")
        await it.make("elsewhere", status="RUNNING", worker="mine")
        assert (await it.beat(available=5)).start == ()
        info = await it.info("elsewhere")
        assert (info["status"], info["worker"]) == ("RUNNING", "mine")
        assert [await it.status(key) for key in ("paused", "odd")] == ["PAUSED", "WAITING_FOR_GODOT"]
        await it.executor.update("paused", Given(status="CREATED"))
        assert (await it.beat(available=5)).start == ("paused",)
        await it.executor.update("paused", Given(status="UPLOADING"))
        assert await it.status("paused") == "UPLOADING"
        await it.executor.update("odd", Given(status="PAUSED"))
        assert await it.status("odd") == "PAUSED"


@pytest.mark.parametrize("status", ["SUCCESS", "FAILED_UNZIP", "CANCELED"])
async def test_a_job_may_be_made_as_it_has_ended(tmp_path: Path, status: str) -> None:
    async with deck(tmp_path) as it:
        told = await it.executor.create("k", Given(status=status, results={"a": "b"}, worker="w_9", finish="then"))
        info = it.told(told)
        assert (info["status"], info["resultHashes"], info["worker"]) == (status, {"a": "b"}, "w_9")
        assert info["finishTime"] == "then"
        assert told.secret is not None
        assert it.core.active() == []


async def test_a_stopped_job_is_made_anew_and_the_old_one_kept(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        secret = await it.make("k")
        with pytest.raises(ForbiddenError):
            await it.executor.cancel("k", "wrong")
        with pytest.raises(ForbiddenError):
            await it.executor.cancel("k", None)
        await it.executor.cancel("k", secret)
        old = (await it.executor.info("k")).job
        assert (await it.info("k"))["status"] == "CANCELED"
        await it.executor.cancel("k", secret)
        assert await it.make("k") != secret
        assert await it.status("k") == "CREATED"
        assert (await it.core.get(old.id)).state is JobState.STOPPED


async def test_a_failed_job_is_run_again_only_when_asked(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k", labels=("gpu",))
        with pytest.raises(ConflictError):
            await it.core.rerun((await it.executor.info("k")).job.id)
        await it.beat(labels=("gpu",))
        await it.executor.update("k", Given(status="FAILED_TO_EXECUTE"))
        old = (await it.executor.info("k")).job
        assert (await it.executor.create("k", Given())).secret is None
        told = await it.executor.create("k", Given(), again=True)
        assert told.secret is not None
        assert (told.job.rerun_of, told.job.labels, told.job.attempt) == (old.id, ("gpu",), 1)
        assert (await it.executor.create("k", Given(), again=True)).secret is None
        await it.beat(labels=("gpu",))
        await it.executor.update("k", Given(status="SUCCESS"))
        job = await it.core.rerun(told.job.id)
        assert (job.rerun_of, await it.status("k")) == (told.job.id, "CREATED")


async def test_a_stop_is_told_to_the_worker_and_survives_updates(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        secret = await it.make("k")
        await it.beat()
        await it.executor.cancel("k", secret)
        assert (await it.info("k"))["cancelRequested"] is True
        await it.executor.update("k", Given(output_number=3))
        assert (await it.info("k"))["cancelRequested"] is True
        assert (await it.info("k"))["outputNumber"] == 3
        beat = await it.beat(available=0, running=frozenset({"k"}))
        assert beat.cancel == ("k",)
        await it.executor.update("k", Given(status="CANCELED"))
        info = await it.info("k")
        assert info["status"] == "CANCELED"
        assert "cancelRequested" not in info


async def test_anybodys_stop_reaches_the_worker(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        await it.core.stop((await it.core.lookup("k")).id, signal=9)
        assert (await it.beat(available=0, running=frozenset({"k"}))).cancel == ("k",)


async def test_what_nobody_knows_is_refused(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        for call in (
            it.executor.info("no"),
            it.executor.update("no", Given(status="SUCCESS")),
            it.executor.cancel("no", "x"),
            it.executor.segments.post("no", 1, "text"),
        ):
            with pytest.raises(UnknownJobError):
                await call
        for key in ("", "k" * 600, "a\0b"):
            with pytest.raises(BadRequestError):
                await it.executor.create(key, Given())
        with pytest.raises(BadRequestError):
            await it.executor.create("k", Given(labels=("a\nb",)))
        assert (await it.executor.create("k", Given())).secret is not None


async def test_removed_jobs_leave_no_rows(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        secret = await it.make("k")
        await it.beat()
        await it.executor.segments.post("k", 1, "text")
        await it.executor.update("k", Given(status="SUCCESS"))
        await it.core.remove((await it.executor.info("k")).job.id)
        count = await it.store.read(
            lambda c: c.execute(
                "select (select count(*) from executor_job) + (select count(*) from executor_segment)"
            ).fetchone()[0]
        )
        assert count == 0
        with pytest.raises(UnknownJobError):
            await it.executor.cancel("k", secret)


async def test_the_list_has_the_newest_of_each_key(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_page_count=3) as it:
        for number in range(7):
            await it.make(f"k{number}")
        for key in ("k2", "k5"):
            told = await it.executor.info(key)
            await it.core.stop(told.job.id)
        await it.make("k2")
        found = [(told.job.key, it.executor.status(told)) async for told in it.executor.every()]
        assert found == [
            *(("k0", "CREATED"), ("k1", "CREATED"), ("k3", "CREATED"), ("k4", "CREATED")),
            *(("k5", "CANCELED"), ("k6", "CREATED"), ("k2", "CREATED")),
        ]
