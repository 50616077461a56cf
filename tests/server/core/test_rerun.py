"""The same again: what a client said is kept, what the server decides is decided anew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import requests
from jobdeck_server.core.errors import BadRequestError, ConflictError, UnknownJobError
from jobdeck_server.core.requests import Idempotency, JobRequest, StepRequest
from jobdeck_server.engines.base import Ended, Started
from jobdeck_server.settings import Settings
from tests.server.core.harness import bench, shell, until

DONE = Ended(how="exit", code=3, started_us=5, finished_us=9, output_bytes=3, step=0)
SETTINGS = Settings(data_dir=Path("/nowhere"), start_dir="/srv")

WORDS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8)
STEPS = st.builds(
    lambda argv, line, env, cwd: StepRequest(command_line=line, argv=None if line else argv, env=env, cwd=cwd),
    st.lists(WORDS, min_size=1, max_size=3).map(tuple),
    st.none() | WORDS,
    st.dictionaries(WORDS.filter(lambda name: "=" not in name) | st.just("PATH"), WORDS, max_size=3),
    st.sampled_from([None, "/tmp", "/srv"]),
)
REQUESTS = st.builds(
    JobRequest,
    dialect=st.sampled_from(["v1", "jobrunner"]),
    steps=st.lists(STEPS, min_size=1, max_size=3).map(tuple),
    labels=st.sampled_from([(), ("nightly",), ("b", "a")]),
    stdin=st.booleans(),
    time_limit_s=st.sampled_from([None, 1.5]),
    linger_s=st.sampled_from([None, 0.0, 3.0]),
    grace_s=st.sampled_from([None, 7.0]),
    on_limit=st.sampled_from(["drop", "stop"]),
    order=st.sampled_from(["exact", "bulk"]),
)


def planned(request: JobRequest, settings: Settings, job_id: str) -> tuple[Job, dict[str, Any]]:
    return requests.plan(request, settings, job_id=job_id, now_us=1)


@given(REQUESTS)
def test_the_same_request_makes_the_same_job(request: JobRequest) -> None:
    job, spec = planned(request, SETTINGS, "one")
    again, again_spec = planned(requests.again(job, spec, SETTINGS), SETTINGS, "two")
    assert again == replace(job, id="two", rerun_of="one")
    assert again_spec == {**spec, "id": "two"}


@given(REQUESTS)
def test_a_server_that_was_set_up_anew_keeps_what_the_client_said(request: JobRequest) -> None:
    job, spec = planned(request, SETTINGS, "one")
    moved = replace(
        SETTINGS, start_dir="/elsewhere", default_path="/other/bin", output_limit_bytes=77, linger_default_s=1
    )
    _, again = planned(requests.again(job, spec, moved), moved, "two")
    assert [step["cwd"] for step in again["steps"]] == [step["cwd"] for step in spec["steps"]]
    for asked, step in zip(request.steps, again["steps"], strict=True):
        assert step["env"] == {"PATH": "/other/bin", **asked.env}
    assert (again["output_limit_bytes"], again["linger_s"]) == (77, spec["linger_s"])


async def test_a_job_is_run_again_in_any_state_and_from_the_database_alike(tmp_path: Path) -> None:
    async with bench(tmp_path, start_dir="/") as b:
        steps = (StepRequest(command_line="echo $SECRET", env={"SECRET": "once"}),)
        first = await b.core.submit(JobRequest(dialect="jobrunner", steps=steps, labels=("again",), time_limit_s=9))
        second = await b.core.rerun(first.id)  # it has not even started
        b.core.report(first.id, Started(started_us=5, step=0))
        b.core.report(first.id, DONE)
        await until(lambda: b.core.live(first.id) is None)
        third = await b.core.rerun(first.id)
        fourth = await b.core.rerun(third.id)
        specs = [live.spec for job in (second, third, fourth) if (live := b.core.live(job.id)) is not None]
        assert [spec["steps"][0]["env"]["SECRET"] for spec in specs] == ["once"] * 3
        assert b.engine.launched == [job.id for job in (first, second, third, fourth)]
    for job, former in ((second, first), (third, first), (fourth, third)):
        expected = replace(first, id=job.id, created_us=job.created_us, rerun_of=former.id)
        assert replace(job, state=first.state) == expected
    async with bench(tmp_path, start_dir="/") as b:
        assert (await b.core.get(fourth.id)).rerun_of == third.id


async def test_what_is_refused_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        keyed = await b.core.submit(shell("true", key="hash"))
        inside = tmp_path / "inside"
        inside.mkdir()
        placed = await b.core.submit(
            JobRequest(dialect="v1", steps=(StepRequest(command_line="true", cwd=str(inside)),))
        )
        unknown = Job(id="00000000-0000-4000-8000-000000000000", dialect="unknown", state=JobState.LOST)
        last = b.core.events.last
        with pytest.raises(UnknownJobError):
            await b.core.rerun(unknown.id)
        with pytest.raises(ConflictError, match="through the API"):
            await b.core.rerun(keyed.id)
        with pytest.raises(ConflictError, match="not known"):
            requests.again(unknown, {}, b.core.settings)
        inside.rmdir()
        with pytest.raises(BadRequestError, match="does not exist"):
            await b.core.rerun(placed.id)
        inside.mkdir()
        assert b.core.events.last == last
    async with bench(tmp_path, work_root="/usr") as b:
        with pytest.raises(BadRequestError, match="work root"):
            await b.core.rerun(placed.id)


async def test_the_same_key_gives_the_same_new_job(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.core.submit(shell("true"))
        key = Idempotency(token_id="t", key="k", digest=b"d")
        again = [await b.core.rerun(first.id, idempotency=key) for _ in range(2)]
        assert again[0].id == again[1].id != first.id
