"""The columns of the list of jobs: which fit a width, and what stands in them for a job. Pure.

Text that comes from a server is foreign and goes through the sanitiser here; what leaves this file may be drawn as it
is. Each cell is filled up to its column's width, so that a row is its cells one after the other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.marks import mark
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import ending, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.query import Query

__all__ = ["Cell", "Column", "Times", "cells_of", "columns_for", "fitted", "head_of", "times_of"]

MARKED = "◆"
_GAP = 2
_RUNS_LEAST = 24
_LABELS_WIDE, _LABELS = 24, 16
_LABELS_WIDE_FROM = 150
_ID_CELLS = 8
_COMMAND_LIMIT_COUNT = 1000
"""Characters of a command that are looked at; no terminal is as wide."""
_TENTHS_BELOW_S = 10
_MILLISECONDS_BELOW_S = 0.1

_TITLES = {
    "mark": "",
    "state": "STATE",
    "sign": "",
    "dialect": "VIA",
    "runs": "RUNS",
    "labels": "LABELS",
    "age": "AGE",
    "ended": "ENDED",
    "took": "TOOK",
    "exit": "EXIT",
    "id": "ID",
}
_WIDTHS = {"mark": 1, "state": 11, "sign": 1, "dialect": 9, "age": 5, "ended": 7, "took": 5, "exit": 7, "id": _ID_CELLS}
_RIGHT = frozenset({"age", "ended", "took"})
_SORTED = {"created": "age", "ended": "ended", "state": "state"}
_FALLING = ("labels", "dialect", "id", "took", "exit", "state")
"""What makes room in a narrow terminal, in this order; the state loses its word, never its sign."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: what it tells, and its width in cells without the gap after it."""

    name: str
    width: int


@dataclass(frozen=True, slots=True)
class Cell:
    """Text of its column's width, and how it is drawn: an ``ink`` of the table's, empty for the row's own."""

    text: str
    ink: str = ""


@dataclass(frozen=True, slots=True)
class Times:
    """What of a row changes by itself: how long ago, and how long so far."""

    age: str
    took: str


def columns_for(width: int, query: Query) -> tuple[Column, ...]:
    """The columns that fit, what runs taking what is left."""
    age = "ended" if query.by == "ended" else "age"
    labels = _LABELS_WIDE if width >= _LABELS_WIDE_FROM else _LABELS
    names = ["mark", "state", "dialect", "runs", "labels", age, "took", "exit", "id"]
    widths = {**_WIDTHS, "labels": labels, "runs": 0}
    for falling in _FALLING:
        if _room(width, names, widths) >= _RUNS_LEAST:
            break
        if falling == "state":
            names[names.index("state")] = "sign"
        else:
            names.remove(falling)
    widths["runs"] = max(1, _room(width, names, widths))
    return tuple(Column(name, widths[name]) for name in names)


def _room(width: int, names: Sequence[str], widths: dict[str, int]) -> int:
    """What is left for what runs; after the mark, and before the edge, there is a gap of one."""
    return width - sum(widths[name] for name in names) - _GAP * (len(names) - 2) - 2


def head_of(columns: Sequence[Column], query: Query) -> list[Cell]:
    """The titles, with an arrow where the list is sorted."""
    arrow = "▼" if query.descending else "▲"
    cells = []
    for column in columns:
        title = _TITLES[column.name]
        if column.name == _SORTED[query.by]:
            title = f"{title} {arrow}".strip()
        elif column.name == "sign" and query.by == "state":
            title = arrow
        cells.append(Cell(_filled(title, column), "sorted" if arrow in title else ""))
    return cells


def times_of(job: Job, query: Query, now_us: int) -> Times:
    """How long ago a job was accepted (ended, in a list by that), and how long it ran or has run."""
    since_us = (job.finished_us or job.created_us) if query.by == "ended" else job.created_us
    took = ""
    if job.started_us is not None:
        took_s = ((job.finished_us or now_us) - job.started_us) / 1e6
        took = _length(took_s) if job.ended else _seconds(took_s)
    return Times(_seconds((now_us - since_us) / 1e6), took)


def _seconds(seconds: float) -> str:
    """A span that goes on: whole seconds, since tenths would be out of date before they are read."""
    return f"{max(0, int(seconds))}s" if seconds < _TENTHS_BELOW_S else span(seconds)


def _length(seconds: float) -> str:
    """A span that is over."""
    return f"{max(0, int(seconds * 1000))}ms" if seconds < _MILLISECONDS_BELOW_S else span(seconds)


def cells_of(job: Job, columns: Sequence[Column], times: Times, *, marked: bool) -> list[Cell]:
    """A row."""
    return [_cell(job, column, times, marked=marked) for column in columns]


def _cell(job: Job, column: Column, times: Times, *, marked: bool) -> Cell:
    sign = mark(job.state)
    match column.name:
        case "mark":
            text, ink = MARKED if marked else "", "mark"
        case "state":
            text, ink = f"{sign.sign} {_standing(job)}", job.state.value
        case "sign":
            text, ink = sign.sign, job.state.value
        case "runs":
            return Cell(fitted(_runs(job), column.width), "")
        case "labels":
            text, ink = clean_line(" ".join(job.labels)), "label"
        case "age" | "ended":
            text, ink = times.age, "dim"
        case "took":
            text, ink = times.took, "" if not job.ended else "dim"
        case "exit":
            text = _exit(job)
            ink = job.state.value if job.state in (JobState.FAILED, JobState.LOST) else "dim"
        case "dialect":
            text, ink = clean_line(job.dialect), "dim"
        case _:
            text, ink = clean_line(job.id[:_ID_CELLS]), "dim"
    return Cell(_filled(text, column), ink)


def _standing(job: Job) -> str:
    """The state, or what is more than it."""
    if job.stop_requested and not job.ended:
        return "stopping"
    return "held" if job.held and not job.ended else job.state.value


def _runs(job: Job) -> str:
    command = clean_line(job.command[:_COMMAND_LIMIT_COUNT])
    return f"{command}  ({clean_line(job.note)})" if job.note else command


def _exit(job: Job) -> str:
    end = ending(job)
    return "never" if end == "not started" else end


def _filled(text: str, column: Column) -> str:
    if column.name in _RIGHT:
        return " " * max(0, column.width - cell_len(text)) + fitted(text, min(column.width, cell_len(text)))
    return fitted(text, column.width)


def fitted(text: str, width: int) -> str:
    """Text of exactly this many cells, an ellipsis where it is cut."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else "…"[:width]
    return set_cell_size(text, width)
