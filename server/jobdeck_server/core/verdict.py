"""What becomes of a job's record, and how the job ended: from what the engine saw to state and words. Pure.

STOPPED is an end after a stop request, whatever the code or signal; both are recorded. Time limit, output limit, a
program that could not be started and a signal that nobody here sent are FAILED, and ``error`` says which.
"""

from __future__ import annotations

import signal
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState, move
from jobdeck_server.engines.base import Given, Noted, Planned, Progressed, Started

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.engines.base import Ended

_CUT = "the end of its output may be missing"

__all__ = ["meanwhile", "signal_name", "verdict"]


def verdict(job: Job, end: Ended) -> Job:
    """The record of a job that has ended.

    Args:
        job: STARTING or RUNNING (or QUEUED, for an end that says it was never started).
        end: What the engine tells.
    """
    if end.started_us is not None and job.state is JobState.STARTING:
        job = move(job, JobState.RUNNING, started_us=end.started_us)
    state, error = _judge(job, end)
    job = replace(
        job,
        finished_us=end.finished_us,
        exit_code=end.code,
        signal=end.signal,
        core_dumped=end.core,
        error=error,
        step=job.step if end.step is None else end.step,
        stop_requested=job.stop_requested or end.stop_reason == "requested",
        output_bytes=end.output_bytes,
        dropped_bytes=end.dropped_bytes,
        note=_CUT if end.cut else None,
        unreachable=job.unreachable and end.how == "lost",
        results=MappingProxyType(dict(end.results)),
    )
    return move(job, state)


def meanwhile(job: Job, report: Planned | Started | Noted | Progressed | Given) -> Job:
    """The record of a job that goes on, with what the engine tells of it."""
    match report:
        case Started():
            changed = replace(job, started_us=job.started_us or report.started_us, step=report.step, note=None)
            return move(changed, JobState.RUNNING) if job.state is JobState.STARTING else changed
        case Planned():
            return replace(job, steps=report.steps)
        case Noted():
            return replace(job, note=report.note)
        case Progressed():
            return replace(job, progress=report.fraction, progress_text=report.text or None)
        case Given():
            return replace(job, context=report.context)


def signal_name(number: int) -> str:
    """``SIGKILL`` for 9; ``signal 35`` for a number without a name of its own."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _judge(job: Job, end: Ended) -> tuple[JobState, str | None]:
    if end.how == "lost":
        return JobState.LOST, end.text
    if end.how == "never":
        return JobState.STOPPED, None
    if end.how == "error":
        return (JobState.STOPPED if end.stop_reason == "requested" else JobState.FAILED), end.text
    if end.stop_reason == "requested":
        return JobState.STOPPED, None
    if end.stop_reason == "time limit":
        return JobState.FAILED, f"time limit of {job.time_limit_s:g} s reached"
    if end.stop_reason is not None:
        return JobState.FAILED, f"{end.stop_reason} reached"
    if end.code == 0:
        return JobState.SUCCEEDED, None
    if end.code is not None and end.text:
        return JobState.FAILED, end.text
    where = f" in step {(end.step or 0) + 1} of {len(job.steps)}" if len(job.steps) > 1 else ""
    if end.code is not None:
        return JobState.FAILED, f"exit code {end.code}{where}" if where else None
    return JobState.FAILED, f"ended by {signal_name(end.signal or 0)}{where}"
