"""How the WebGME API tells a job's state, as one table; pure.

A status is a word of that API. ``CREATED`` and ``RUNNING`` are where a job stands, the twelve of ``FINISHED`` are how
one ends, and any other text, which a client may give a job, leaves it unfinished and out of every worker's reach.

    QUEUED               CREATED; one that is held: the text that it was given, else PAUSED
    STARTING, RUNNING    RUNNING, or the text that its worker gave it
    SUCCEEDED            SUCCESS
    STOPPED              CANCELED
    FAILED               the status that its worker ended it with, the built-in executor's at the head of its error,
                         else FAILED_TO_EXECUTE
    LOST                 CREATED while it is to be tried again, else FAILED_TO_EXECUTE

Source: reference of the WebGME executor, section 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jobdeck_protocol.job import JobState
from jobdeck_server.engines.base import Ended

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.executorrows import Row

CREATED: Final = "CREATED"
PAUSED: Final = "PAUSED"
RUNNING: Final = "RUNNING"
SUCCESS: Final = "SUCCESS"
CANCELED: Final = "CANCELED"
FAILED: Final = "FAILED_TO_EXECUTE"
FINISHED: Final = frozenset(
    {
        SUCCESS,
        CANCELED,
        FAILED,
        "FAILED_TO_GET_SOURCE_METADATA",
        "FAILED_SOURCE_COULD_NOT_BE_OBTAINED",
        "FAILED_CREATING_SOURCE_ZIP",
        "FAILED_UNZIP",
        "FAILED_EXECUTOR_CONFIG",
        "FAILED_TO_ARCHIVE_FILE",
        "FAILED_TO_SAVE_JOINT_ARTIFACT",
        "FAILED_TO_ADD_OBJECT_HASHES",
        "FAILED_TO_SAVE_ARTIFACT",
    }
)
_FAILURES = FINISHED - {SUCCESS, CANCELED}
_PLAIN = frozenset({CREATED, PAUSED})  # which the state and the flag say by themselves


def own_word(status: str | None) -> str | None:
    """What is kept of a status: None for one that the job's state says anyway."""
    return None if status in _PLAIN else status


def status_of(job: Job, row: Row, *, attempt_limit_count: int) -> str:
    """A job's status; see the top of the file."""
    given = row.status
    match job.state:
        case JobState.QUEUED:
            return CREATED if not job.held else PAUSED if given is None or given in FINISHED else given
        case JobState.STARTING | JobState.RUNNING:
            return RUNNING if given is None or given in FINISHED else given
        case JobState.SUCCEEDED:
            return SUCCESS
        case JobState.STOPPED:
            return CANCELED
        case JobState.LOST if may_try_again(job, attempt_limit_count):
            return CREATED
    for word in (given, (job.error or "").partition(":")[0]):
        if word in _FAILURES:
            return str(word)
    return FAILED


def states_with(status: str) -> frozenset[JobState]:
    """The states in which a job may have ended that is told with this status."""
    if status == SUCCESS:
        return frozenset({JobState.SUCCEEDED})
    if status == CANCELED:
        return frozenset({JobState.STOPPED})
    if status == CREATED:
        return frozenset({JobState.LOST})
    return frozenset({JobState.FAILED, JobState.LOST}) if status in _FAILURES else frozenset()


def may_try_again(job: Job, attempt_limit_count: int) -> bool:
    """Whether a job that was lost is made anew: not if it was to be stopped, and not without end."""
    return not job.stop_requested and job.attempt < attempt_limit_count


def end_of(status: str, row: Row, *, output_bytes: int, dropped_bytes: int, now_us: int) -> Ended:
    """What an outside worker's word for the end is to the core.

    Args:
        status: One of ``FINISHED``.
        row: With what the worker has told.
        output_bytes: Kept of its output.
        dropped_bytes: Counted and not kept.
        now_us: The time.
    """
    results = {name: value for name, value in (row.results or {}).items() if isinstance(value, str)}
    failed = status not in (SUCCESS, CANCELED)
    return Ended(
        how="error" if failed else "exit",
        code=0 if status == SUCCESS else None,
        text=f"its worker says {status}" if failed else None,
        stop_reason="requested" if status == CANCELED else None,
        started_us=now_us,  # for a record that has not heard of the start: a server was killed before it was noted
        finished_us=now_us,
        output_bytes=output_bytes,
        dropped_bytes=dropped_bytes,
        results=results,
    )
