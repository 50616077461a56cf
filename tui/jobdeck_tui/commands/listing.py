"""The table of jobs that ``jobdeck ls`` prints: fitted to a terminal, unshortened into a pipe. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
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
_WORKER, _LABELS = 5, 6  # columns that are left out where nobody has any

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


def table(
    jobs: Sequence[Job], *, now_us: int, limit: int | None, workers: Mapping[str, str] = MappingProxyType({})
) -> list[Line]:
    """The table, its head first, cells padded.

    Args:
        jobs: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: the last column is cut to the room that is left. None for a pipe: nothing is cut.
        workers: Names by the ids of workers; of others the beginning of the id is shown.
    """
    ids = short_ids(jobs)
    head: Row = ("ID", "STATE", "END", "AGE", "TOOK", "WORKER", "LABELS", "COMMAND")
    rows = [head, *(_row(job, short, now_us, workers) for job, short in zip(jobs, ids, strict=True))]
    for column in (_LABELS, _WORKER):
        if not any(row[column] for row in rows[1:]):
            rows = [row[:column] + row[column + 1 :] for row in rows]
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


def _row(job: Job, short: str, now_us: int, workers: Mapping[str, str]) -> Row:
    took = ""
    if job.started_us is not None:
        took = span(((job.finished_us or now_us) - job.started_us) / 1e6)
    command = shown(job.command) + (f"  ({shown(job.note)})" if job.note else "")
    labels = ",".join(shown(label) for label in job.labels)
    worker = "" if job.worker is None else shown(workers.get(job.worker, job.worker[:_ID_LENGTH]))
    return (short, job.state.value, ending(job), age(job.created_us, now_us), took, worker, labels, command)


def _fitted(rows: list[Row], limit: int) -> list[Row]:
    """Cut the last column to the room that is left, and before that labels and workers."""

    def room(rows: list[Row]) -> int:
        return limit - sum(max(width(row[n]) for row in rows) + len(_GAP) for n in range(len(rows[0]) - 1))

    for name in ("LABELS", "WORKER"):
        if name in rows[0] and room(rows) < _COMMAND_LEAST:
            column = rows[0].index(name)
            wide = max(width(row[column]) for row in rows)
            rows = [_cut(row, column, max(len(name), wide - (_COMMAND_LEAST - room(rows)))) for row in rows]
    most = max(room(rows), len("COMMAND"))
    return [_cut(row, len(row) - 1, most) for row in rows]


def _cut(row: Row, column: int, most: int) -> Row:
    return (*row[:column], fit(row[column], most), *row[column + 1 :])


def _pad(cell: str, wide: int) -> str:
    return cell + " " * (wide - width(cell))
