"""What a worker says of a job, as reports to the core. Pure.

A worker may be wrong, or lie; nothing that it says may harm more than its own jobs' records. So times are brought into
the life of the job (after its acceptance, not in the future), steps to where there can be any, and only what is not
known yet, or says what to run though nobody asked, is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.workerwords import STEP_LIMIT_COUNT, How
from jobdeck_server.engines.base import Ended, Noted, Planned, Report, Started

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerevents import Gap
    from jobdeck_protocol.workerreports import Ended as EndedThere
    from jobdeck_protocol.workerreports import State

_IMPORTED = "unknown"  # the dialect of a job of which a restored server has no record: it came before it was accepted


class Clock:
    """A worker's clock beside ours.

    Attributes:
        skew_us: How much it is ahead; 0 if that is too little to be corrected.
        now_us: What ours says.
    """

    def __init__(self, *, skew_us: int, now_us: int) -> None:
        self.skew_us = skew_us
        self.now_us = now_us

    def of(self, job: Job, time_us: int) -> int:
        """A time of a job, by our clock."""
        low_us = 0 if job.dialect == _IMPORTED else job.created_us
        return max(low_us, min(time_us - self.skew_us, self.now_us))


def reports(job: Job, state: State, clock: Clock) -> list[Report]:
    """What is new in a state.

    Args:
        job: Its record as it is.
        state: What the worker says.
        clock: The worker's.
    """
    found: list[Report] = []
    may_plan = job.bundle is not None or not job.steps
    if state.plan is not None and may_plan and job.steps != state.plan:
        found.append(Planned(steps=state.plan))
    note = job.note
    step = _step(state.step)
    if state.started_us is not None and (job.started_us is None or job.step != step):
        found.append(Started(started_us=clock.of(job, state.started_us), step=step))
        note = None  # as the core has it
    if state.note != note:
        found.append(Noted(note=state.note))
    return found


def ended(job: Job, end: EndedThere, clock: Clock, *, worker: str, gap: Gap | None) -> Ended:
    """The end of a job.

    Args:
        job: Its record as it is.
        end: What the worker says.
        clock: The worker's.
        worker: What it is called.
        gap: Output that could not be had any more.
    """
    how, text = end.how.value, end.text
    if end.how is How.NEVER and not job.stop_requested:
        how, text = "error", f"worker {worker} has not started it and will not"
    missing_bytes = 0 if gap is None else gap.to - gap.start
    started_us = None if end.started_us is None else clock.of(job, end.started_us)
    finished_us = max(clock.of(job, end.finished_us), job.started_us or 0, started_us or 0)
    if end.how is How.EXIT and started_us is None and job.started_us is None:
        started_us = finished_us  # what has exited was started
    return Ended(
        how=how,
        code=end.code,
        signal=end.signal,
        core=end.core,
        text=text,
        stop_reason=_stop_reason(job, end),
        started_us=started_us,
        finished_us=finished_us,
        output_bytes=end.output_bytes - missing_bytes,
        dropped_bytes=end.dropped_bytes + missing_bytes,
        step=None if end.step is None else _step(end.step),
        cut=end.cut or gap is not None,
        results=dict(end.results),
    )


def _stop_reason(job: Job, end: EndedThere) -> str | None:
    """Why it was stopped; of a limit that is not on record (it was imported) nobody can say how long it was."""
    unknown_limit = end.stop_reason == "time limit" and job.time_limit_s is None
    return "its time limit" if unknown_limit else end.stop_reason


def _step(step: int | None) -> int:
    return min(step or 0, STEP_LIMIT_COUNT - 1)
