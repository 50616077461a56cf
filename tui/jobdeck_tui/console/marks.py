"""How a state of a job is told everywhere in the console: a sign, so that colour is not needed, and a theme colour."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MARKS", "Mark", "mark"]


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
