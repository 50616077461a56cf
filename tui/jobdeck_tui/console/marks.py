"""How a state of a job is told everywhere in the console: a sign, so that colour is not needed, and a theme colour."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job

__all__ = ["CUT_OFF", "MARKS", "Mark", "cut_off", "mark", "mark_of"]


@dataclass(frozen=True, slots=True)
class Mark:
    """``sign`` is one cell wide in every font; ``colour`` is a variable of the theme, without its dollar sign."""

    sign: str
    colour: str


MARKS: Mapping[JobState, Mark] = MappingProxyType(
    {
        JobState.QUEUED: Mark("·", "text-muted"),
        JobState.STARTING: Mark("◦", "text-accent"),
        JobState.RUNNING: Mark("▶", "text-primary"),
        JobState.SUCCEEDED: Mark("✓", "text-success"),
        JobState.FAILED: Mark("✗", "text-error"),
        JobState.STOPPED: Mark("■", "text-warning"),
        JobState.LOST: Mark("?", "text-secondary"),
    }
)


def mark(state: JobState) -> Mark:
    """The mark of a state."""
    return MARKS[state]


CUT_OFF = Mark("!", "text-warning")
"""Of a job whose worker has not been heard of for too long: what is told of it is as of then."""


def cut_off(job: Job) -> bool:
    """Whether that is so of a job."""
    return job.unreachable and not job.ended


def mark_of(job: Job) -> Mark:
    """The mark of a job as it stands."""
    return CUT_OFF if cut_off(job) else mark(job.state)
