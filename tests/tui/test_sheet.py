"""One job told to a person."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_tui.commands.sheet import sheet

NOW_US = 1_800_000_000_000_000
JOB = Job(id="12345678-0000-4000-8000-000000000000", dialect="v1", created_us=NOW_US - 60_000_000)


def test_a_job_of_two_steps_that_failed() -> None:
    job = replace(
        JOB,
        steps=(Step(command_line="make all", cwd="/src", env_names=("CC", "PATH")), Step(argv=("sh", "-c", "exit 3"))),
        state=JobState.FAILED,
        labels=("nightly", "x"),
        exit_code=3,
        step=1,
        error="exit code 3 in step 2 of 2",
        started_us=NOW_US - 59_000_000,
        finished_us=NOW_US - 1_000_000,
        output_bytes=2048,
        dropped_bytes=3,
        time_limit_s=90,
        rerun_of="87654321-0000-4000-8000-000000000000",
    )
    assert sheet(job, now_us=NOW_US) == [
        "id        12345678-0000-4000-8000-000000000000",
        "state     failed, exit code 3",
        "error     exit code 3 in step 2 of 2",
        "command   1 of 2: make all",
        "folder    /src",
        "variables CC PATH",
        "command   * 2 of 2: sh -c 'exit 3'",
        "labels    nightly, x",
        "made by   v1",
        "runs on   local",
        "created   2027-01-15T07:59:00.000000Z  (60s ago)",
        "started   2027-01-15T07:59:01.000000Z  (59s ago)",
        "finished  2027-01-15T07:59:59.000000Z  (1.0s ago)",
        "took      58s",
        "limit     90 s",
        "repeats   87654321-0000-4000-8000-000000000000",
        "output    2.0 KiB, and 3 B more over the limit",
    ]


def test_jobs_that_have_not_ended() -> None:
    far = replace(JOB, state=JobState.RUNNING, progress=0.429, progress_text="counting\x1b[2J")
    assert "progress  42 % counting␛[2J" in sheet(far, now_us=NOW_US)
    assert "progress  counting" in sheet(replace(far, progress=None, progress_text="counting"), now_us=NOW_US)
    assert not any("progress" in line for line in sheet(replace(far, state=JobState.FAILED), now_us=NOW_US))
    queued = sheet(JOB, now_us=NOW_US)
    assert "state     queued" in queued
    assert "output    jobdeck attach 12345678" in queued
    stopping = replace(
        JOB, state=JobState.RUNNING, stop_requested=True, started_us=NOW_US, note="waiting for disk space"
    )
    assert "state     running, being stopped" in sheet(stopping, now_us=NOW_US)
    assert "note      waiting for disk space" in sheet(stopping, now_us=NOW_US)


@given(text=st.text(min_size=1))
def test_every_value_is_safe(text: str) -> None:
    job = replace(
        JOB,
        id=text,
        dialect=text,
        key=text,
        engine=text,
        worker=text,
        labels=(text,),
        error=text,
        note=text,
        steps=(Step(command_line=text, cwd=text, env_names=(text,)),),
        results={text: text},
    )
    for line in sheet(job, now_us=NOW_US):
        assert not set("\x1b\x9b\x07\n\r\u202e") & set(line)
