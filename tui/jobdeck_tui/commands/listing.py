"""The table of jobs that ``jobdeck ls`` prints: fitted to a terminal, unshortened into a pipe. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState
from jobdeck_tui.terminal import fit, shown, width
from jobdeck_tui.words import age, ending, span

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job

__all__ = ["COLOURS", "Line", "short_ids", "table"]

_ID_LENGTH = 8  # the least that the server takes as the beginning of an id
_GAP = "  "
_COMMAND_LEAST = 20

COLOURS = {
    JobState.QUEUED: "cyan",
    JobState.STARTING: "cyan",
    JobState.RUNNING: "blue",
    JobState.SUCCEEDED: "green",
    JobState.FAILED: "red",
    JobState.STOPPED: "yellow",
    JobState.LOST: "magenta",
}
"""The colour of each state, wherever one is shown."""

Row = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table: what stands in it, and the state by whose colour it is told."""

    cells: Row
    state: JobState | None


def table(jobs: Sequence[Job], *, now_us: int, limit: int | None) -> list[Line]:
    """The table, its head first, cells padded.

    Args:
        jobs: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: the last column is cut to the room that is left. None for a pipe: nothing is cut.
    """
    ids = short_ids(jobs)
    head: Row = ("ID", "STATE", "END", "AGE", "TOOK", "LABELS", "COMMAND")
    rows = [head, *(_row(job, short, now_us) for job, short in zip(jobs, ids, strict=True))]
    if not any(row[5] for row in rows[1:]):
        rows = [row[:5] + row[6:] for row in rows]
    if limit is not None:
        rows = _fitted(rows, limit)
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]))]
    padded = [tuple(_pad(cell, wide) for cell, wide in zip(row, widths, strict=True)) for row in rows]
    return [Line(cells, state) for cells, state in zip(padded, [None, *(job.state for job in jobs)], strict=True)]


def short_ids(jobs: Sequence[Job]) -> list[str]:
    """The beginning of each id, long enough to tell these jobs apart."""
    lengths = range(_ID_LENGTH, 37)
    length = next((n for n in lengths if len({job.id[:n] for job in jobs}) == len(jobs)), lengths[-1])
    return [shown(job.id[:length]) for job in jobs]


def _row(job: Job, short: str, now_us: int) -> Row:
    took = ""
    if job.started_us is not None:
        took = span(((job.finished_us or now_us) - job.started_us) / 1e6)
    command = shown(job.command) + (f"  ({shown(job.note)})" if job.note else "")
    labels = ",".join(shown(label) for label in job.labels)
    return (short, job.state.value, ending(job), age(job.created_us, now_us), took, labels, command)


def _fitted(rows: list[Row], limit: int) -> list[Row]:
    """Cut the last column to the room that is left, and before that the labels."""

    def room(rows: list[Row]) -> int:
        return limit - sum(max(width(row[n]) for row in rows) + len(_GAP) for n in range(len(rows[0]) - 1))

    if len(rows[0]) == 7 and room(rows) < _COMMAND_LEAST:
        labels = max(width(row[5]) for row in rows)
        rows = [_cut(row, 5, max(len("LABELS"), labels - (_COMMAND_LEAST - room(rows)))) for row in rows]
    most = max(room(rows), len("COMMAND"))
    return [_cut(row, len(row) - 1, most) for row in rows]


def _cut(row: Row, column: int, most: int) -> Row:
    return (*row[:column], fit(row[column], most), *row[column + 1 :])


def _pad(cell: str, wide: int) -> str:
    return cell + " " * (wide - width(cell))
