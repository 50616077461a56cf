"""Package jobs as the APIs see them: accepted or refused, told, listed, run again, and gone with all that is theirs."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core.errors import (
    BadRequestError,
    ConflictError,
    ContextInitError,
    IdempotencyError,
    MissingContentError,
    NoResultError,
    NoSlotsError,
    PackageError,
    TooLargeError,
    UnknownBinaryError,
    UnknownContextError,
    UnknownJobError,
)
from jobdeck_server.core.events import Snapshot
from jobdeck_server.core.hocon import EMPTY
from jobdeck_server.core.outbound.errors import RefusedError
from jobdeck_server.core.packagejobs import STATUS, PackageOrder
from jobdeck_server.core.packageledger import result_hash
from jobdeck_server.core.requests import Idempotency
from jobdeck_server.engines.base import PACKAGES, Ended
from jobdeck_server.packages.outcome import VALIDATION, JobError, Outcome
from tests.server.core.harness import shell, take
from tests.server.packages.jobsbench import JobsBench, jobsbench

FAILED = Ended(how="exit", code=4, started_us=5, finished_us=6)
JAR = b"PK\3\4 a jar"


async def test_a_job_is_accepted_with_its_configuration(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job = await own.submit("input.strings = [a, b]", labels=("x",), time_limit_s=5.0)
        assert (job.engine, job.dialect, job.main_class) == (PACKAGES, "spark", "jobs.job.Job")
        assert (job.packages, job.labels, job.time_limit_s) == (("jobs",), ("x",), 5.0)
        assert job.context is not None
        assert job.context.endswith("-jobs.job.Job")
        assert job.command == "jobs.job.Job"
        assert await own.config(job.id) == b'{"input":{"strings":["a","b"]}}'
        told = await own.jobs.told(job.id)
        assert (told.main_class, told.packages, told.context_name) == ("jobs.job.Job", ("jobs",), job.context)
        assert (told.outcome, told.result) == (None, None)
        live = own.core.live(job.id)
        assert live is not None
        (package,) = live.spec["package"]["packages"]
        assert (package["name"], package["kind"]) == ("jobs", "wheel")
        assert live.spec["package"]["context"]["id"] == told.context_id
        assert await own.config((await own.submit()).id) == b"{}"


async def test_a_large_configuration_goes_with_its_job(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, package_config_inline_bytes=100, blob_grace_s=0.0) as own:
        text = json.dumps({"a": "x" * 200})
        since = own.events.last
        job = await own.submit(text)
        told = await take(own.events, since, 2)
        assert [each.kind for each in told if not isinstance(each, Snapshot)] == ["job", "blob"], "in their order"
        assert json.loads(await own.config(job.id)) == {"a": "x" * 200}
        await own.blobs.collect()
        assert json.loads(await own.config(job.id)) == {"a": "x" * 200}
        live = own.core.live(job.id)
        assert live is not None
        await own.shop.prepare(live.launch(), cancelled=lambda: False)
        assert json.loads((tmp_path / "work" / job.id / "config.json").read_bytes()) == {"a": "x" * 200}
        await own.finish(job.id)
        again = await own.core.rerun(job.id)
        assert json.loads(await own.config(again.id)) == {"a": "x" * 200}
        await own.finish(again.id)
        await own.core.remove(again.id)
        assert (await own.blobs.collect()).content_count == 0
        await own.core.remove(job.id)
        with pytest.raises(UnknownJobError):
            await own.config(job.id)
        assert (await own.blobs.collect()).content_count == 2, "the configuration, and the result"


async def test_what_cannot_run_is_refused(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, package_limit_count=3) as own:
        await own.upload("jar", JAR, "jar")
        await own.upload("egg", b"PK\3\4 an egg", "egg")
        refused: tuple[tuple[dict[str, Any], type[Exception], str], ...] = (
            ({"packages": ("gone",)}, UnknownBinaryError, "gone"),
            ({"packages": ("gone", "jobs"), "context": "gone"}, UnknownBinaryError, "gone"),
            ({"context": "gone"}, UnknownContextError, "gone"),
            ({"packages": ()}, PackageError, r"exactly one package file! Found: 0"),
            ({"packages": ("jobs", "egg")}, PackageError, r"exactly one package file! Found: 2"),
            ({"packages": ("jobs", "jar")}, PackageError, "jars or of Python packages, not of both"),
            ({"packages": ("jar",)}, ContextInitError, "no engine for contexts on Spark"),
            ({"packages": ("jobs",) * 4}, TooLargeError, "packages"),
            ({"packages": ("http://127.0.0.1/x.whl",)}, RefusedError, "fetches no packages"),
            ({"packages": ("file:///etc/passwd",)}, RefusedError, "fetches no packages"),
            ({"main_class": "a\0b"}, BadRequestError, "NUL"),
            ({"labels": ("",)}, BadRequestError, "label"),
            ({"callback_url": "http://127.0.0.1/"}, ConflictError, "no callbacks"),
            ({"config": "spark.context-settings.cp = [gone]"}, UnknownBinaryError, "gone"),
            ({"config": "spark.context-settings.cp = [jar]"}, PackageError, "jar is a jar"),
            ({"config": "spark.context-settings.cp = {a = 1}"}, BadRequestError, "cp"),
            ({"config": "spark.context-settings.python.paths = 5"}, BadRequestError, "python.paths"),
            ({"config": "dependent-jar-uris = [[]]"}, BadRequestError, "dependent-jar-uris"),
        )
        for more, kind, text in refused:
            with pytest.raises(kind, match=text):
                await own.submit(**more)
        assert own.core.active() == []
        assert await own.jobs.page(limit_count=10) == []


async def test_what_a_job_stands_on_comes_behind_its_own_package(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        for name in ("one", "two", "three", "four"):
            await own.upload(name, b"PK\3\4" + name.encode(), "egg" if name == "two" else "wheel")
        await own.upload("same", b"PK\3\4" + b"one")
        job = await own.submit(
            'spark.context-settings { cp = "one,two,jobs", python.paths = [three], python.packages = [one, same] }\n'
            "dependent-jar-uris = four"
        )
        live = own.core.live(job.id)
        assert live is not None
        found = [each["name"] for each in live.spec["package"]["packages"]]
        assert found[0] == "jobs"
        assert sorted(found) == ["four", "jobs", "one", "three", "two"], "each but once"
        assert job.packages == ("jobs",), "what a client has named"


async def test_a_result_and_an_outcome_are_told_from_the_end_on(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job = await own.submit()
        await own.run(job)
        with pytest.raises(NoResultError):
            await own.jobs.open_result(await own.jobs.told(job.id))
        assert await own.jobs.callback_body(job.id) is None
        await own.finish(job.id, b'{"a":1}')
        told = await own.jobs.told(job.id)
        assert told.job.state is JobState.SUCCEEDED
        assert told.outcome is not None
        with await own.jobs.open_result(told) as file:
            assert os.pread(file.fd, 100, 0) == b'{"a":1}'
        failed = await own.submit()
        error = JobError(message="no", error_class="Bad", stack="here")
        await own.ledger.keep(failed.id, Outcome(kind="run_raised", error=error), None)
        assert (await own.jobs.told(failed.id)).outcome is None, "it has not ended for anybody yet"
        await own.end(failed.id, replace(FAILED, text="Bad: no"))
        told = await own.jobs.told(failed.id)
        assert told.outcome is not None
        assert told.outcome.error == error
        assert (told.job.state, told.job.exit_code, told.job.error) == (JobState.FAILED, 4, "Bad: no")


async def test_what_never_ran_has_an_outcome_all_the_same(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        ends = {
            "stopped": Ended(how="never", stop_reason="requested", finished_us=6),
            "not_started": Ended(how="error", text="no room", finished_us=6),
            "lost": Ended(how="lost", text="the machine was restarted", finished_us=6),
            "exited": Ended(how="error", text="The result could not be kept", started_us=5, finished_us=6),
        }
        for kind, ended in ends.items():
            job = await own.submit()
            await own.end(job.id, ended)
            outcome = (await own.jobs.told(job.id)).outcome
            assert outcome is not None
            assert outcome.kind == kind
            assert (outcome.error and outcome.error.message) == (None if kind == "stopped" else ended.text)
            body = await own.jobs.callback_body(job.id)
            assert body is not None
            assert b'"status":"ERROR"' in bytes(body[0])  # type: ignore[arg-type]  # no result is in it


async def test_callbacks_tell_results_in_the_words_of_the_api(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job, stream, nothing = await own.submit(), await own.submit(), await own.submit()
        await own.finish(job.id, b'{"a":1}')
        body = await own.jobs.callback_body(job.id)
        assert body is not None
        parts = [part if isinstance(part, bytes) else part.path.read_bytes() for part in body]
        assert b"".join(parts) == f'{{"jobId":"{job.id}","result":{{"a":1}}}}'.encode()
        await own.finish(stream.id, b"\xff", "stream")
        assert await own.jobs.callback_body(stream.id) == (
            f'{{"jobId":"{stream.id}","result":"<Stream result>"}}'.encode(),
        )
        await own.ledger.keep(nothing.id, Outcome(kind="finished"), None)
        await own.end(nothing.id, Ended(how="exit", code=0, started_us=5, finished_us=6))
        assert await own.jobs.callback_body(nothing.id) == (f'{{"jobId":"{nothing.id}","result":null}}'.encode(),)
        assert await own.jobs.callback_body("11111111-2222-4333-8444-555555555555") is None


async def test_jobs_that_are_no_classes_are_unknown_here(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        other = await own.core.submit(shell("true"))
        for job_id in (other.id, "nothing", ""):
            with pytest.raises(UnknownJobError):
                await own.jobs.told(job_id)
            with pytest.raises(UnknownJobError):
                await own.config(job_id)
        assert await own.jobs.page(limit_count=10) == []


async def test_a_page_has_the_newest_first_and_each_as_it_is(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        jobs = [await own.submit() for _ in range(6)]
        await own.core.submit(shell("true"))
        ids = [job.id for job in reversed(jobs)]
        assert [told.job.id for told in await own.jobs.page(limit_count=100)] == ids
        assert [told.job.id for told in await own.jobs.page(limit_count=2)] == ids[:2]
        assert await own.jobs.page(limit_count=0) == []
        await own.run(jobs[1])
        await own.finish(jobs[2].id)
        await own.end(jobs[3].id, FAILED)
        await own.end(jobs[4].id, Ended(how="lost", text="gone", finished_us=6))
        await own.end(jobs[5].id, Ended(how="never", stop_reason="requested", finished_us=6))
        found = await own.jobs.page(limit_count=100)
        assert [STATUS[told.job.state] for told in found] == [
            *("KILLED", "ERROR", "ERROR", "FINISHED", "RUNNING", "STARTED")
        ], "as they are, whatever is committed"
        assert [told.outcome is not None for told in found] == [True] * 4 + [False] * 2
        assert await own.jobs.page(limit_count=9, status="STARTED") == found[5:], "nor is it told as it was before"
        assert found[3].result is not None
        running = await own.jobs.page(limit_count=9, status="RUNNING")
        assert [told.job.id for told in running] == [jobs[1].id], "its start is committed a moment later"
        assert [told.job.id for told in await own.jobs.page(limit_count=9, status="ERROR")] == [ids[1], ids[2]]
        assert [told.job.id for told in await own.jobs.page(limit_count=1, status="ERROR")] == [ids[1]]
        assert await own.jobs.page(limit_count=9, status="RESTARTING") == []
        plan = await own.store.read(
            lambda c: c.execute(
                "explain query plan select seq from package_job where state = 'x' order by seq desc limit 5"
            ).fetchall()
        )
        assert "package_job_state" in str(plan)
        assert "TEMP B-TREE" not in str(plan)


async def test_rows_go_with_their_jobs(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job = await own.submit()
        await own.finish(job.id)
        await own.core.remove(job.id)
        rows = await own.store.read(lambda c: c.execute("select count(*) from package_job").fetchone()[0])
        assert rows == 0
        with pytest.raises(UnknownJobError):
            await own.jobs.told(job.id)


async def test_a_key_that_was_used_is_the_first_job(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        key = Idempotency(token_id="t", key="k", digest=b"1")
        order = PackageOrder(main_class="jobs.One", packages=("jobs",))
        first = await own.jobs.submit(order, idempotency=key)
        assert (await own.jobs.submit(order, idempotency=key)).id == first.id
        assert len(await own.jobs.page(limit_count=10)) == 1


# -- validation --


async def test_the_word_of_validate_is_waited_for(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        job = await own.submit()
        folder = tmp_path / "work" / job.id
        assert await own.jobs.validated(job.id, timeout_s=0.01) is None
        said: list[object] = []

        async def wait() -> None:
            said.append(await own.jobs.validated(job.id, timeout_s=30))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            folder.mkdir(parents=True)
            (folder / "new").write_text('{"problems": ["no input"]}')
            (folder / "new").rename(folder / "validated.json")
        assert said == [("no input",)]
        (folder / "validated.json").write_text('{"ok": true}')
        assert await own.jobs.validated(job.id, timeout_s=30) == ()


async def test_of_a_job_that_has_ended_its_outcome_says_it(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        error = JobError(message="no; not", error_class="x")
        outcomes = {
            Outcome(kind=VALIDATION, error=error, problems=("no", "not")): ("no", "not"),
            Outcome(kind="run_raised", error=error): (),
            Outcome(kind="load_error", error=error): None,
        }
        for outcome, expected in outcomes.items():
            job = await own.submit()
            await own.ledger.keep(job.id, outcome, None)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(own.end, job.id, FAILED)
                assert await own.jobs.validated(job.id, timeout_s=30) == expected
            assert await own.jobs.validated(job.id, timeout_s=30) == expected
        never = await own.submit()
        await own.end(never.id, Ended(how="never", stop_reason="requested", finished_us=6))
        assert await own.jobs.validated(never.id, timeout_s=30) is None
        with pytest.raises(UnknownJobError):
            await own.jobs.validated("nothing", timeout_s=1)


# -- again --


async def test_run_again_it_is_what_it_was(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        await own.upload("dep", b"PK\3\4 dep")
        config = "a = 1, spark.context-settings { num-cpu-cores = 3, cp = [dep] }"
        job = await own.submit(config, labels=("x",), dialect="v1")
        await own.finish(job.id)
        await own.upload("jobs", b"PK\3\4 another version")
        again = await own.core.rerun(job.id)
        assert (again.rerun_of, again.labels, again.dialect, again.packages) == (job.id, ("x",), "v1", ("jobs",))
        assert await own.config(again.id) == await own.config(job.id)
        first, second = await _spec(own, job.id), await _spec(own, again.id)
        assert second["packages"] == first["packages"], "the very bytes"
        assert second["context"]["settings"] == first["context"]["settings"]
        assert second["context"]["id"] != first["context"]["id"]
        key = Idempotency(token_id="t", key="k", digest=b"1")
        once = await own.core.rerun(again.id, idempotency=key)
        assert (await own.core.rerun(again.id, idempotency=key)).id == once.id


async def test_what_is_gone_is_not_run_again(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, blob_grace_s=0.0) as own:
        job = await own.submit()
        await own.finish(job.id)
        result = (await own.jobs.told(job.id)).result
        assert result is not None
        await own.binaries.delete("jobs")
        await own.store.write(lambda c: c.execute("update blob set used_us = 0"))
        await own.blobs.collect()
        with pytest.raises(ConflictError, match="its package jobs is not here any more"):
            await own.core.rerun(job.id)
        told = await own.jobs.told(job.id)
        await own.blobs.delete(result_hash(result), force=True)
        await own.blobs.collect()
        with pytest.raises(MissingContentError):
            await own.jobs.open_result(told)


async def _spec(own: JobsBench, job_id: str) -> Any:
    sql = "select spec from job where id = ?"
    found = await own.store.read(lambda c: c.execute(sql, (job_id,)).fetchone()[0])
    return json.loads(found)["package"]


async def test_of_jobs_that_come_together_no_more_are_taken_than_a_context_has_room(tmp_path: Path) -> None:
    async with jobsbench(tmp_path, context_full="refuse", context_slots_count=2) as own:
        await own.contexts.create("c1", query={}, body=EMPTY)
        order = PackageOrder(main_class="jobs.job.Job", packages=("jobs",), context="c1")
        taken, refused = [], []

        async def one() -> None:
            try:
                taken.append(await own.jobs.submit(order))
            except NoSlotsError as error:
                refused.append(error)

        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(one)
        assert (len(taken), len(refused)) == (2, 6)
        await own.finish(taken[0].id)
        again = await own.jobs.submit(order)
        with pytest.raises(NoSlotsError):
            await own.core.rerun(again.id)


async def test_what_was_accepted_is_told_again_whatever_became_of_what_it_needed(tmp_path: Path) -> None:
    async with jobsbench(tmp_path) as own:
        await own.contexts.create("c1", query={}, body=EMPTY)
        order = PackageOrder(main_class="jobs.job.Job", packages=("jobs",), context="c1")
        key, other, third = (Idempotency(token_id="t", key=key, digest=b"1") for key in ("k", "o", "p"))
        job = await own.jobs.submit(order, idempotency=key)
        rerun = await own.core.rerun(job.id, idempotency=other)
        for each in (job, rerun):
            await own.finish(each.id)
        assert await own.contexts.stop("c1", timeout_s=60)
        await own.binaries.delete("jobs")
        assert (await own.jobs.submit(order, idempotency=key)).id == job.id
        assert (await own.core.rerun(job.id, idempotency=other)).id == rerun.id
        with pytest.raises(UnknownBinaryError):
            await own.jobs.submit(order, idempotency=third)
        with pytest.raises(IdempotencyError):
            await own.jobs.submit(order, idempotency=replace(key, digest=b"2"))
