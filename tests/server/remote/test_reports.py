"""What a worker may say of a job, however wrong, as reports that the core can take."""

from __future__ import annotations

import pytest

from jobdeck_protocol.job import Job, JobState, Step, to_wire
from jobdeck_protocol.workerevents import Gap
from jobdeck_protocol.workerreports import Ended, State
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.verdict import verdict
from jobdeck_server.engines.base import Noted, Planned, Started
from jobdeck_server.engines.remotereports import Clock, ended, reports

ID = "abcdefab-cdef-4abc-8def-abcdefabcdef"
NOW_US = 2_000_000_000_000_000
JOB = Job(id=ID, dialect="v1", steps=(Step(command_line="true"),), state=JobState.STARTING, created_us=NOW_US - 10)
CLOCK = Clock(skew_us=0, now_us=NOW_US)


@pytest.mark.parametrize("time_us", [0, NOW_US - 5, NOW_US * 2, 2**53 - 1])
@pytest.mark.parametrize("skew_us", [0, -(2**53), 2**53])
@pytest.mark.parametrize("reason", [None, "time limit", "output limit", "requested", "nonsense"])
@pytest.mark.parametrize("how", list(How))
def test_any_end_is_one_that_can_be_told(how: How, reason: str | None, skew_us: int, time_us: int) -> None:
    said = Ended(job_id=ID, how=how, stop_reason=reason, started_us=time_us, finished_us=time_us, step=2**40)
    job = verdict(JOB, ended(JOB, said, Clock(skew_us=skew_us, now_us=NOW_US), worker="w1", gap=None))
    assert job.ended
    assert to_wire(job)["finished"]
    assert JOB.created_us <= (job.finished_us or 0) <= NOW_US
    assert (job.step or 0) < 64


def test_only_what_is_new_is_told() -> None:
    assert reports(JOB, State(job_id=ID), CLOCK) == []
    assert reports(JOB, State(job_id=ID, note="slow"), CLOCK) == [Noted(note="slow")]
    both = reports(JOB, State(job_id=ID, started_us=NOW_US + 99, step=0, note="slow"), CLOCK)
    assert both == [Started(started_us=NOW_US, step=0), Noted(note="slow")]


def test_what_runs_is_told_by_bundles_alone() -> None:
    plan = (Step(command_line="rm -rf /"),)
    assert reports(JOB, State(job_id=ID, plan=plan), CLOCK) == []
    bundle = Job(id=ID, dialect="webgme", bundle="b", created_us=1)
    assert reports(bundle, State(job_id=ID, plan=plan), CLOCK) == [Planned(steps=plan)]


def test_a_gap_is_counted() -> None:
    said = Ended(job_id=ID, how=How.EXIT, code=0, finished_us=NOW_US, output_bytes=100, dropped_bytes=7)
    found = ended(JOB, said, CLOCK, worker="w1", gap=Gap(ID, 60, 100))
    assert (found.output_bytes, found.dropped_bytes, found.cut) == (60, 47, True)
