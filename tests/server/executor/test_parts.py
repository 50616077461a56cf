"""The executor's parts without a server: statuses, files of the operator."""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import pytest

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core.executorfiles import LabelJobs, Nonce
from jobdeck_server.core.executorrows import Row
from jobdeck_server.core.executorstatus import FINISHED, end_of, status_of
from jobdeck_server.core.verdict import verdict
from jobdeck_server.engines.base import OUTSIDE

_JOB = Job(id="1", dialect="webgme", key="k", state=JobState.QUEUED)
_S = JobState


@pytest.mark.parametrize(
    ("state", "changes", "row", "status"),
    [
        (_S.QUEUED, {}, {}, "CREATED"),
        (_S.QUEUED, {"held": True}, {}, "PAUSED"),
        (_S.QUEUED, {"held": True}, {"status": "MINE"}, "MINE"),
        (_S.QUEUED, {"held": True}, {"status": "SUCCESS"}, "PAUSED"),
        (_S.QUEUED, {}, {"status": "SUCCESS"}, "CREATED"),
        (_S.STARTING, {}, {}, "RUNNING"),
        (_S.RUNNING, {}, {}, "RUNNING"),
        (_S.RUNNING, {}, {"status": "UPLOADING"}, "UPLOADING"),
        (_S.RUNNING, {}, {"status": "FAILED_UNZIP"}, "RUNNING"),
        (_S.SUCCEEDED, {}, {}, "SUCCESS"),
        (_S.SUCCEEDED, {}, {"status": "FAILED_UNZIP"}, "SUCCESS"),
        (_S.STOPPED, {}, {}, "CANCELED"),
        (_S.STOPPED, {}, {"status": "UPLOADING"}, "CANCELED"),
        (_S.FAILED, {}, {}, "FAILED_TO_EXECUTE"),
        (_S.FAILED, {}, {"status": "FAILED_UNZIP"}, "FAILED_UNZIP"),
        (_S.FAILED, {}, {"status": "SUCCESS"}, "FAILED_TO_EXECUTE"),
        (_S.FAILED, {"error": "FAILED_EXECUTOR_CONFIG: no cmd"}, {}, "FAILED_EXECUTOR_CONFIG"),
        (_S.FAILED, {"error": "exit code 3"}, {}, "FAILED_TO_EXECUTE"),
        (_S.LOST, {"attempt": 1}, {}, "CREATED"),
        (_S.LOST, {"attempt": 3}, {}, "FAILED_TO_EXECUTE"),
        (_S.LOST, {"attempt": 1, "stop_requested": True}, {}, "FAILED_TO_EXECUTE"),
    ],
)
def test_each_state_has_its_word(state: JobState, changes: dict[str, object], row: dict[str, str], status: str) -> None:
    job = replace(_JOB, state=state, **changes)  # type: ignore[arg-type]  # a test's own
    assert status_of(job, Row(**row), attempt_limit_count=3) == status  # type: ignore[arg-type]  # the same


def test_no_state_is_forgotten() -> None:
    for state in JobState:
        assert status_of(replace(_JOB, state=state), Row(), attempt_limit_count=3)


@pytest.mark.parametrize("status", sorted(FINISHED))
@pytest.mark.parametrize("state", [JobState.STARTING, JobState.RUNNING])
def test_each_finished_status_survives_the_core(status: str, state: JobState) -> None:
    running = replace(_JOB, state=state, engine=OUTSIDE)
    row = Row(status=status, results={"a": "b", "odd": 3})
    job = verdict(running, end_of(status, row, output_bytes=5, dropped_bytes=1, now_us=9))
    assert status_of(job, row, attempt_limit_count=3) == status
    assert dict(job.results) == {"a": "b"}
    assert (job.output_bytes, job.dropped_bytes, job.finished_us) == (5, 1, 9)


def test_the_nonce_is_the_files_and_the_file_private(tmp_path: Path) -> None:
    assert Nonce(None).is_known(None)
    file = tmp_path / "nonce"
    file.write_text("s3cret-μ\n")
    file.chmod(0o600)
    nonce = Nonce(file)
    assert nonce.is_known("s3cret-μ".encode().decode("latin-1"))  # as a header comes
    assert [nonce.is_known(each) for each in (None, "", "s3cret", "s3cret-μ ")] == [False] * 4
    file.chmod(0o640)
    with pytest.raises(OSError, match="chmod 600"):
        Nonce(file)
    file.write_text("\n")
    file.chmod(0o600)
    with pytest.raises(OSError, match="empty"):
        Nonce(file)
    with pytest.raises(OSError, match="No such file"):
        Nonce(tmp_path / "none")


def test_label_jobs_are_read_again_and_a_broken_file_changes_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert LabelJobs(None).get() == {}
    file = tmp_path / "labels.json"
    jobs = LabelJobs(file)
    assert jobs.get() == {}
    _replace(file, '{"gpu": "abc"}')
    assert jobs.get() == {"gpu": "abc"}
    caplog.clear()
    for broken in ("{", "[]", '{"gpu": 1}', "[" * 100_000):
        _replace(file, broken)
        with caplog.at_level(logging.ERROR):
            assert jobs.get() == jobs.get() == {"gpu": "abc"}
    assert len(caplog.records) == 4
    _replace(file, "{}")
    assert jobs.get() == {}


def _replace(file: Path, text: str) -> None:
    fresh = file.with_suffix(".new")
    fresh.write_text(text)
    os.replace(fresh, file)
