"""The columns of the list of jobs: which fit a width, and what stands in them for a job. Pure.

Text that comes from a server is foreign and goes through the sanitiser here; what leaves this file may be drawn as it
is. Each cell is filled up to its column's width, so that a row is its cells one after the other.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.cells import cell_len, set_cell_size

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.marks import cut_off, mark_of
from jobdeck_tui.console.outcomewords import progress_words
from jobdeck_tui.console.workerbook import LOCAL, NOBODY
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import ending, span

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping, Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.query import Query
    from jobdeck_tui.console.workerbook import Book

__all__ = [
    "Cell",
    "Column",
    "Times",
    "cells_of",
    "columns_for",
    "filled",
    "fit",
    "fitted",
    "head_of",
    "in_own_context",
    "times_of",
]

MARKED = "◆"
_GAP = 2
_RUNS_LEAST = 24
_LABELS_WIDE, _LABELS = 24, 16
_LABELS_WIDE_FROM = 150
_ID_CELLS = 8
_COMMAND_LIMIT_COUNT = 1000
"""Characters of a command that are looked at; no terminal is as wide."""
_BAR_CELLS, _BAR_FROM_CELLS = 8, 56
_TENTHS_BELOW_S = 10
_MILLISECONDS_BELOW_S = 0.1

_OWN_CONTEXT = re.compile(r"[0-9a-f]{8}-")
"""How the name of a context begins that was made for one job; what follows is the class."""
_TITLES = {
    "mark": "",
    "state": "STATE",
    "sign": "",
    "dialect": "VIA",
    "runs": "RUNS",
    "labels": "LABELS",
    "worker": "WORKER",
    "age": "AGE",
    "ended": "ENDED",
    "took": "TOOK",
    "exit": "EXIT",
    "id": "ID",
}
_WIDTHS = {
    "mark": 1,
    "state": 11,
    "sign": 1,
    "dialect": 9,
    "worker": 12,
    "age": 5,
    "ended": 7,
    "took": 5,
    "exit": 7,
    "id": _ID_CELLS,
}
_RIGHT = frozenset({"age", "ended", "took"})
_SORTED = {"created": "age", "ended": "ended", "state": "state"}
_FALLING = {"labels": "", "dialect": "", "id": "", "worker": "", "took": "", "exit": "", "state": "sign"}
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
    worker: Cell = Cell("")


def columns_for(width: int, query: Query, *, worker: bool = False, brief: bool = False) -> tuple[Column, ...]:
    """The columns that fit, what runs taking what is left.

    Args:
        width: In cells.
        query: What is listed.
        worker: There are several workers.
        brief: Jobs of one worker, which have not ended: the list stands beside another one.
    """
    age = "ended" if query.by == "ended" else "age"
    labels = _LABELS_WIDE if width >= _LABELS_WIDE_FROM else _LABELS
    place = ("worker",) if worker else ()
    names = ["mark", "state", "dialect", "runs", "labels", *place, age, "took", "exit", "id"]
    if brief:
        names = ["mark", "state", "runs", age, "took", "id"]
    widths = {**_WIDTHS, "labels": labels, "runs": 0}
    names, room = fit(width, names, widths, least=_RUNS_LEAST, falling=_FALLING)
    widths["runs"] = max(1, room)
    return tuple(Column(name, widths[name]) for name in names)


def fit(
    width: int, names: Sequence[str], widths: Mapping[str, int], *, least: int, falling: Mapping[str, str]
) -> tuple[list[str], int]:
    """The columns that fit, and the room that they leave to the one which takes it.

    After the mark, and before the edge, there is a gap of one.

    Args:
        width: In cells.
        names: All columns.
        widths: Of each; 0 for the one that takes what is left.
        least: Room that this one should have.
        falling: What makes room for it, in this order, each with what stands in its place, empty for nothing.
    """

    def room() -> int:
        return width - sum(widths[name] for name in left) - _GAP * (len(left) - 2) - 2

    left = list(names)
    for name, instead in falling.items():
        if room() >= least:
            break
        if name in left:
            at = left.index(name)
            left[at : at + 1] = [instead] if instead else []
    return left, room()


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
        cells.append(Cell(filled(title, column, _RIGHT), "sorted" if arrow in title else ""))
    return cells


def times_of(job: Job, query: Query, now_us: int, book: Book = NOBODY) -> Times:
    """How long ago a job was accepted (ended, in a list by that), how long it ran or has run, and what has it."""
    since_us = (job.finished_us or job.created_us) if query.by == "ended" else job.created_us
    took = ""
    if job.started_us is not None:
        took_s = ((job.finished_us or now_us) - job.started_us) / 1e6
        took = _length(took_s) if job.ended else _seconds(took_s)
    return Times(_seconds((now_us - since_us) / 1e6), took, _worker(job, book))


def _worker(job: Job, book: Book) -> Cell:
    """The name of a job's worker; the server's own machine goes without saying where there is no other."""
    worker = book.of(job.place)
    own = worker is not None and worker.engine == LOCAL
    name = worker.name if worker is not None else (job.worker or "")[:_ID_CELLS]
    return Cell(clean_line(name), "dim" if own or worker is None else JobState.STOPPED.value if cut_off(job) else "")


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
    sign = mark_of(job).sign
    state = JobState.STOPPED.value if cut_off(job) else job.state.value
    match column.name:
        case "mark":
            text, ink = MARKED if marked else "", "mark"
        case "state":
            text, ink = f"{sign} {_standing(job)}", state
        case "sign":
            text, ink = sign, state
        case "runs":
            return Cell(_runs(job, column.width), "")
        case "worker":
            text, ink = times.worker.text, times.worker.ink
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
    return Cell(filled(text, column, _RIGHT), ink)


def _standing(job: Job) -> str:
    """The state, or what is more than it."""
    if job.stop_requested and not job.ended:
        return "stopping"
    return "held" if job.held and not job.ended else job.state.value


def _runs(job: Job, width: int) -> str:
    """What runs, and what is the matter with it: of a long command so much that there is room for that."""
    matter = "; ".join(filter(None, ("unreachable" if cut_off(job) else "", _progress(job, width), job.note)))
    note = f"  ({clean_line(matter)})" if matter else ""
    command = _command(job, width - cell_len(note))
    if not note:
        return fitted(command, width)
    least = min(cell_len(command), width - min(cell_len(note), width * 2 // 3))
    room = max(least, width - cell_len(note))
    return fitted((command if cell_len(command) <= room else fitted(command, room)) + note, width)


def _command(job: Job, width: int) -> str:
    """What runs; of a class whose full name leaves no room for where it comes from, the last part."""
    named = job.command[:_COMMAND_LIMIT_COUNT]
    whole = clean_line(" · ".join((named, *_origin(job))))
    if job.main_class is None or cell_len(whole) <= width or "." not in named:
        return whole
    return clean_line(" · ".join(("…" + named.rpartition(".")[2], *_origin(job))))


def _origin(job: Job) -> Iterator[str]:
    """Of a class out of packages, which ones, and what it runs in."""
    if job.main_class is None:
        return
    if job.packages:
        yield ", ".join(job.packages)[:_COMMAND_LIMIT_COUNT]
    if job.context:
        yield "ad-hoc" if in_own_context(job) else job.context[:_COMMAND_LIMIT_COUNT]


def in_own_context(job: Job) -> bool:
    """Whether the context of a class is one of its own, as its name tells."""
    name, main_class = job.context or "", job.main_class or ""
    return _OWN_CONTEXT.match(name) is not None and name.endswith(main_class)


def _progress(job: Job, width: int) -> str:
    """How far a job that runs says it has come: ``42 % counting words``, with a bar before it where there is room."""
    return progress_words(job, _BAR_CELLS if width >= _BAR_FROM_CELLS else 0)


def _exit(job: Job) -> str:
    end = ending(job)
    return "never" if end == "not started" else end


def filled(text: str, column: Column, right: Container[str]) -> str:
    """Text of its column's width; ``right`` are the names of columns that stand at the right."""
    if column.name in right:
        return " " * max(0, column.width - cell_len(text)) + fitted(text, min(column.width, cell_len(text)))
    return fitted(text, column.width)


def fitted(text: str, width: int) -> str:
    """Text of exactly this many cells, an ellipsis where it is cut."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…" if width > 1 else "…"[:width]
    return set_cell_size(text, width)
