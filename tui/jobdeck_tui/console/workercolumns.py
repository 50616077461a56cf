"""The columns of the list of workers: which fit a width, and what stands in them for a worker. Pure.

As in ``columns``, foreign text goes through the sanitiser here, and each cell is filled up to its column's width.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_tui.console.columns import MARKED, Cell, Column, filled, fit
from jobdeck_tui.console.marks import Mark
from jobdeck_tui.console.settings import SKEW_TOLD_S
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text, span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.workerlist import WorkerList, WorkerQuery

__all__ = ["WORKER_MARKS", "bar", "cells_of", "columns_for", "head_of", "seen_text", "skew_text"]

WORKER_MARKS: Mapping[WorkerState, Mark] = MappingProxyType(
    {
        WorkerState.ONLINE: Mark("●", "text-success"),
        WorkerState.DRAINING: Mark("◐", "text-warning"),
        WorkerState.UNREACHABLE: Mark("!", "text-error"),
        WorkerState.OFFLINE: Mark("○", "text-muted"),
    }
)
"""How a state is told: the sign, one cell wide, tells it without its colour."""

_NAME_LEAST = 12
_NAME_MOST = 40
_LABELS_WIDE, _LABELS = 28, 16
_LABELS_WIDE_FROM = 170
_BAR_CELLS = 8
_TEXT_LIMIT_COUNT = 1000
"""Characters that are looked at; no terminal is as wide."""
_TITLES = {
    "mark": "",
    "state": "STATE",
    "sign": "",
    "name": "NAME",
    "slots": "SLOTS",
    "count": "SLOTS",
    "waits": "WAIT",
    "load": "LOAD",
    "disk": "FREE",
    "labels": "LABELS",
    "seen": "SEEN",
    "clock": "CLOCK",
    "software": "VERSION",
    "address": "ADDRESS",
    "id": "ID",
}
_WIDTHS = {
    "mark": 1,
    "state": 13,
    "sign": 1,
    "slots": _BAR_CELLS + 8,
    "count": 7,
    "waits": 6,
    "load": 6,
    "disk": 9,
    "seen": 6,
    "clock": 7,
    "software": 16,
    "address": 21,
    "id": 8,
}
_RIGHT = frozenset({"count", "waits", "load", "disk", "seen", "clock"})
_SORTED = {"name": "name", "state": "state", "used": "slots", "load": "load", "seen": "seen"}
_FALLING = {
    "id": "",
    "software": "",
    "address": "",
    "labels": "",
    "disk": "",
    "load": "",
    "slots": "count",
    "waits": "",
    "seen": "",
    "state": "sign",
    "clock": "",
}
"""What makes room in a narrow terminal, in this order; slots lose their bar, and the state its word, never its sign."""


class Slots(Protocol):
    """What runs jobs, so many at the same time: a worker, or a context."""

    @property
    def slots_count(self) -> int:
        """Jobs that it runs at the same time."""

    @property
    def running_count(self) -> int:
        """Of these, how many are in use."""


def columns_for(width: int, shown: WorkerList) -> tuple[Column, ...]:
    """The columns that fit, the name taking what is left; clocks are told where one is wrong."""
    names = ["mark", "state", "name", "slots", "waits", "load", "disk", "labels", "seen", "address", "software", "id"]
    if any(skew_text(worker) for worker in shown.rows):
        names.insert(names.index("seen") + 1, "clock")
    widths = {**_WIDTHS, "labels": _LABELS_WIDE if width >= _LABELS_WIDE_FROM else _LABELS, "name": 0}
    names, room = fit(width, names, widths, least=_NAME_LEAST, falling=_FALLING)
    widths["name"] = max(1, min(_NAME_MOST, room))
    if "labels" in names:
        widths["labels"] += max(0, room - _NAME_MOST)
    return tuple(Column(name, widths[name]) for name in names)


def head_of(columns: Sequence[Column], query: WorkerQuery) -> list[Cell]:
    """The titles, with an arrow where the list is sorted."""
    arrow = "▼" if query.descending else "▲"
    by = {_SORTED[query.by]}
    by |= {"count"} if query.by == "used" else set()
    cells = []
    for column in columns:
        title = f"{_TITLES[column.name]} {arrow}" if column.name in by else _TITLES[column.name]
        cells.append(Cell(filled(title, column, _RIGHT), "sorted" if column.name in by else ""))
    return cells


def seen_text(worker: WorkerInfo, now_us: int) -> str:
    """How long ago it was heard of; whole seconds, since it is told each second."""
    if not worker.seen_us:
        return "never"
    seconds = (now_us - worker.seen_us) / 1e6
    return f"{max(0, int(seconds))}s" if seconds < 120 else span(seconds)


def skew_text(worker: WorkerInfo) -> str:
    """By how much its clock is off, with its sign; empty while that does not matter."""
    seconds = worker.clock_skew_us / 1e6
    if abs(seconds) <= SKEW_TOLD_S:
        return ""
    return ("+" if seconds > 0 else "-") + span(abs(seconds))


def bar(place: Slots, cells: int) -> str:
    """How much of its slots is in use, as a bar: full only if all are, empty only if none is."""
    if place.slots_count <= 0:
        return "·" * cells
    part = min(1.0, place.running_count / place.slots_count)
    full = round(part * cells)
    if 0 < part < 1:
        full = min(max(full, 1), cells - 1)
    return "■" * full + "·" * (cells - full)


def cells_of(worker: WorkerInfo, columns: Sequence[Column], seen: str, *, marked: bool) -> list[Cell]:
    """A row; ``seen`` is how long ago it was heard of."""
    return [_cell(worker, column, seen, marked=marked) for column in columns]


def _cell(worker: WorkerInfo, column: Column, seen: str, *, marked: bool) -> Cell:
    sign = WORKER_MARKS[worker.state].sign
    count = f"{worker.running_count}/{worker.slots_count}"
    match column.name:
        case "mark":
            text, ink = MARKED if marked else "", "mark"
        case "state":
            text, ink = f"{sign} {worker.state.value}", worker.state.value
        case "sign":
            text, ink = sign, worker.state.value
        case "name":
            text, ink = clean_line(worker.name[:_TEXT_LIMIT_COUNT]), ""
        case "slots":
            text, ink = f"{bar(worker, _BAR_CELLS)} {count:>7}", "used" if worker.running_count else "dim"
        case "count":
            text, ink = count, "used" if worker.running_count else "dim"
        case "waits":
            text, ink = str(worker.queued_count or ""), "draining"
        case "load":
            text, ink = "" if worker.load is None else f"{worker.load:.2f}", ""
        case "disk":
            text, ink = "" if worker.free_bytes is None else bytes_text(worker.free_bytes), "dim"
        case "labels":
            text, ink = clean_line(" ".join(worker.labels)[:_TEXT_LIMIT_COUNT]), "label"
        case "seen":
            text, ink = seen, "unreachable" if worker.state is WorkerState.UNREACHABLE else "dim"
        case "clock":
            text, ink = skew_text(worker), "unreachable"
        case "software":
            text, ink = clean_line(worker.software[:_TEXT_LIMIT_COUNT]), "dim"
        case "address":
            text, ink = clean_line(worker.address[:_TEXT_LIMIT_COUNT]), "dim"
        case _:
            text, ink = clean_line(worker.id[: column.width]), "dim"
    return Cell(filled(text, column, _RIGHT), ink)
