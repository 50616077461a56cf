"""The jobs in a context, as they stand beside it: each with how far it says it has come. Pure.

The context goes without saying here, so the room that it has on the list of jobs is the progress's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

from jobdeck_protocol.job import JobState
from jobdeck_tui.console import columns
from jobdeck_tui.console.columns import Cell, Column, Times, filled, fit, fitted
from jobdeck_tui.console.outcomewords import progress_words
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.few import FewJobsCame

__all__ = ["cells_of", "columns_for", "head_of", "words_below"]

_CLASS_MOST = 40
_PROGRESS_LEAST = 34
_PROGRESS_WANTED = 46
"""Room for a bar, a percentage and words of the usual length; only what is more is the class's."""
_BAR_LEAST, _BAR_MOST = 4, 10
_TEXT_LIMIT_COUNT = 1000
_WIDTHS = {"mark": 1, "state": 11, "sign": 1, "class": 22, "took": 5, "id": 8, "progress": 0}
_FALLING = {"id": "", "state": "sign", "took": ""}
"""What makes room in a narrow terminal, in this order."""
_TITLES = {
    "mark": "",
    "state": "STATE",
    "sign": "",
    "class": "JOB",
    "progress": "PROGRESS",
    "took": "TOOK",
    "id": "ID",
}
_RIGHT = frozenset({"took"})


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns that fit; what is left is for the progress, and some of much of it for the class."""
    names = ["mark", "state", "class", "progress", "took", "id"]
    names, room = fit(width, names, _WIDTHS, least=_PROGRESS_LEAST, falling=_FALLING)
    more = max(0, min(_CLASS_MOST - _WIDTHS["class"], room - _PROGRESS_WANTED))
    less = max(0, min(_WIDTHS["class"] // 2, _PROGRESS_LEAST - room))
    widths = {**_WIDTHS, "class": _WIDTHS["class"] + more - less, "progress": max(1, room - more + less)}
    return tuple(Column(name, widths[name]) for name in names)


def head_of(shown: Sequence[Column]) -> list[Cell]:
    """The titles; nothing is sorted here."""
    return [Cell(filled(_TITLES[column.name], column, _RIGHT)) for column in shown]


def cells_of(job: Job, shown: Sequence[Column], times: Times, *, marked: bool) -> list[Cell]:
    """A row."""
    usual = columns.cells_of(job, shown, times, marked=marked)
    return [_own(job, column) or cell for column, cell in zip(shown, usual, strict=True)]


def _own(job: Job, column: Column) -> Cell | None:
    match column.name:
        case "class":
            return Cell(fitted(_class(job, column.width), column.width))
        case "progress":
            text = _progress(job, column.width)
            return Cell(fitted(text, column.width), "dim" if job.state is JobState.QUEUED else "")
    return None


def _class(job: Job, width: int) -> str:
    """The class; of a name that has no room, its last part."""
    whole = clean_line(job.command[:_TEXT_LIMIT_COUNT])
    if job.main_class is None or cell_len(whole) <= width or "." not in whole:
        return whole
    return "…" + whole.rpartition(".")[2]


def _progress(job: Job, width: int) -> str:
    """How far it has come, with as much of a bar as the words leave room for; or what it waits for."""
    words = progress_words(job, 0)
    room = width - cell_len(words) - 1
    if words and room >= _BAR_LEAST:
        words = progress_words(job, min(_BAR_MOST, room))
    note = clean_line(job.note or "") or ("waits" if job.state is JobState.QUEUED else "")
    return "; ".join(filter(None, (words, note)))


def words_below(context: ContextInfo | None, jobs: FewJobsCame | None) -> tuple[str, ...]:
    """What stands below the jobs, or where there are none."""
    if context is None:
        return ()
    if jobs is None or jobs.id != context.id:
        return ("Loading…",)
    if not jobs.jobs:
        return ("It has no jobs now.",)
    waiting = sum(job.state is JobState.QUEUED for job in jobs.jobs)
    more = context.queued_count - waiting
    return (f"and {more:,} more that {'wait' if more > 1 else 'waits'}",) if jobs.more and more > 0 else ()
