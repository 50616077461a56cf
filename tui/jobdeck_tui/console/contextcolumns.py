"""The columns of the list of contexts: which fit a width, and what stands in them for a context. Pure.

As in ``columns``, foreign text goes through the sanitiser here, and each cell is filled up to its column's width.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from rich.cells import cell_len

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_tui.console.columns import MARKED, Cell, Column, filled, fit, fitted
from jobdeck_tui.console.marks import Mark
from jobdeck_tui.console.workercolumns import bar
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_tui.console.contextlist import ContextList, ContextQuery

__all__ = ["CONTEXT_MARKS", "age_text", "cells_of", "columns_for", "head_of", "kind_text"]

CONTEXT_MARKS: Mapping[ContextState, Mark] = MappingProxyType(
    {
        ContextState.STARTING: Mark("◔", "text-accent"),
        ContextState.RUNNING: Mark("●", "text-success"),
        ContextState.RESTARTING: Mark("◑", "text-warning"),
        ContextState.STOPPING: Mark("◐", "text-warning"),
        ContextState.FINISHED: Mark("○", "text-muted"),
        ContextState.ERROR: Mark("✗", "text-error"),
        ContextState.KILLED: Mark("■", "text-muted"),
    }
)
"""How a state is told: the sign, one cell wide, tells it without its colour."""

_NAME_LEAST = 24
_NAME_MOST = 60
_MASTER_WIDE, _MASTER = 28, 16
_MASTER_WIDE_FROM = 150
_BAR_CELLS = 8
_TEXT_LIMIT_COUNT = 1000
"""Characters that are looked at; no terminal is as wide."""
_TITLES = {
    "mark": "",
    "state": "STATE",
    "sign": "",
    "name": "NAME",
    "kind": "KIND",
    "brief": "KIND",
    "master": "MASTER",
    "slots": "SLOTS",
    "count": "SLOTS",
    "waits": "WAIT",
    "memory": "MEMORY",
    "age": "AGE",
    "id": "ID",
}
_WIDTHS = {
    "mark": 1,
    "state": 12,
    "sign": 1,
    "kind": 12,
    "brief": 5,
    "slots": _BAR_CELLS + 8,
    "count": 7,
    "waits": 5,
    "memory": 8,
    "age": 5,
    "id": 8,
}
_RIGHT = frozenset({"count", "waits", "memory", "age"})
_SORTED = {"name": "name", "state": "state", "used": "slots", "created": "age", "memory": "memory"}
_FALLING = {
    "id": "",
    "slots": "count",
    "kind": "brief",
    "master": "",
    "age": "",
    "state": "sign",
    "memory": "",
    "brief": "",
    "waits": "",
}
"""What makes room in a narrow terminal, in this order.

Slots lose their bar, the kind does not say any more whether it is of one job alone, and the state loses its word,
never its sign.
"""


def columns_for(width: int, shown: ContextList) -> tuple[Column, ...]:
    """The columns that fit, the name taking what is left; masters and memory are told where any context has them."""
    names = ["mark", "state", "name", "kind", "master", "slots", "waits", "memory", "age", "id"]
    if not any(context.master for context in shown.rows):
        names.remove("master")
    if not any(context.memory_bytes is not None for context in shown.rows):
        names.remove("memory")
    widths = {**_WIDTHS, "master": _MASTER_WIDE if width >= _MASTER_WIDE_FROM else _MASTER, "name": 0}
    names, room = fit(width, names, widths, least=_NAME_LEAST, falling=_FALLING)
    widths["name"] = max(1, min(_NAME_MOST, room))
    return tuple(Column(name, widths[name]) for name in names)


def head_of(columns: Sequence[Column], query: ContextQuery) -> list[Cell]:
    """The titles, with an arrow where the list is sorted."""
    arrow = "▼" if query.descending else "▲"
    by = {_SORTED[query.by]} | ({"count"} if query.by == "used" else set())
    cells = []
    for column in columns:
        title = f"{_TITLES[column.name]} {arrow}" if column.name in by else _TITLES[column.name]
        cells.append(Cell(filled(title.strip(), column, _RIGHT), "sorted" if column.name in by else ""))
    return cells


def age_text(context: ContextInfo, now_us: int) -> str:
    """How long ago it was made; whole seconds, since it is told each second."""
    seconds = (now_us - context.created_us) / 1e6
    return f"{max(0, int(seconds))}s" if seconds < 120 else span(seconds)


def kind_text(context: ContextInfo) -> str:
    """``plain``, or ``plain ad-hoc`` for one that goes with its job; foreign."""
    return f"{context.kind} ad-hoc" if context.adhoc else context.kind


def cells_of(context: ContextInfo, columns: Sequence[Column], age: str, *, marked: bool) -> list[Cell]:
    """A row; ``age`` is how long ago it was made."""
    cells = [_cell(context, column, age, marked=marked) for column in columns]
    if not context.ended:
        return cells
    return [Cell(cell.text, cell.ink if cell.ink in ("mark", ContextState.ERROR.value) else "dim") for cell in cells]


def _cell(context: ContextInfo, column: Column, age: str, *, marked: bool) -> Cell:
    sign, used = CONTEXT_MARKS[context.state].sign, "used" if context.running_count else "dim"
    count = "" if context.ended else f"{context.running_count}/{context.slots_count}"
    match column.name:
        case "mark":
            text, ink = MARKED if marked else "", "mark"
        case "state":
            text, ink = f"{sign} {context.state.value}", context.state.value
        case "sign":
            text, ink = sign, context.state.value
        case "name":
            return Cell(_named(context, column.width), "dim" if context.adhoc else "")
        case "kind":
            text, ink = clean_line(kind_text(context)[:_TEXT_LIMIT_COUNT]), "dim"
        case "brief":
            text, ink = clean_line(context.kind[:_TEXT_LIMIT_COUNT]), "dim"
        case "master":
            text, ink = clean_line((context.master or "")[:_TEXT_LIMIT_COUNT]), "dim"
        case "slots":
            text, ink = f"{bar(context, _BAR_CELLS)} {count:>7}" if count else "", used
        case "count":
            text, ink = count, used
        case "waits":
            text, ink = str(context.queued_count or ""), ContextState.STOPPING.value
        case "memory":
            text, ink = "" if context.memory_bytes is None else bytes_text(context.memory_bytes), "dim"
        case "age":
            text, ink = age, "dim"
        case _:
            text, ink = clean_line(context.id[: column.width]), "dim"
    return Cell(filled(text, column, _RIGHT), ink)


def _named(context: ContextInfo, width: int) -> str:
    """The name, and what it waits for; of a long name at least so much stays as tells it from others."""
    name = clean_line(context.name[:_TEXT_LIMIT_COUNT])
    if not context.note:
        return fitted(name, width)
    note = f"  ({clean_line(context.note[:_TEXT_LIMIT_COUNT])})"
    least = min(cell_len(name), width * 2 // 3)
    return fitted(fitted(name, max(least, min(cell_len(name), width - cell_len(note)))) + note, width)
