"""The columns of the list of packages: which fit a width, and what stands in them for a package. Pure.

As in ``columns``, foreign text goes through the sanitiser here, and each cell is filled up to its column's width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.columns import MARKED, Cell, Column, filled, fit
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text, span

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.packageinfo import PackageInfo
    from jobdeck_tui.console.packagelist import PackageQuery

__all__ = ["age_text", "cells_of", "columns_for", "head_of"]

_NAME_LEAST = 20
_NAME_MOST = 60
_TEXT_LIMIT_COUNT = 1000
"""Characters that are looked at; no terminal is as wide."""
_TITLES = {
    "mark": "",
    "name": "NAME",
    "kind": "KIND",
    "size": "SIZE",
    "versions": "VERSIONS",
    "age": "UPLOADED",
    "hash": "HASH",
}
_WIDTHS = {"mark": 1, "kind": 5, "size": 9, "versions": 10, "age": 10, "hash": 8}
_RIGHT = frozenset({"size", "versions", "age"})
_SORTED = {"name": "name", "size": "size", "uploaded": "age", "versions": "versions"}
_FALLING = {"hash": "", "versions": "", "size": ""}
"""What makes room in a narrow terminal, in this order."""


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns that fit, the name taking what is left; in a wide terminal the hash is longer."""
    widths = {**_WIDTHS, "name": 0}
    names, room = fit(
        width, ("mark", "name", "kind", "size", "versions", "age", "hash"), widths, least=_NAME_LEAST, falling=_FALLING
    )
    widths["name"] = max(1, min(_NAME_MOST, room))
    if "hash" in names:
        widths["hash"] += min(40 - _WIDTHS["hash"], max(0, room - _NAME_MOST))
    return tuple(Column(name, widths[name]) for name in names)


def head_of(columns: Sequence[Column], query: PackageQuery) -> list[Cell]:
    """The titles, with an arrow where the list is sorted."""
    arrow = "▼" if query.descending else "▲"
    cells = []
    for column in columns:
        by = column.name == _SORTED[query.by]
        title = f"{_TITLES[column.name]} {arrow}" if by else _TITLES[column.name]
        cells.append(Cell(filled(title, column, _RIGHT), "sorted" if by else ""))
    return cells


def age_text(package: PackageInfo, now_us: int) -> str:
    """How long ago it came; whole seconds, since it is told each second."""
    seconds = (now_us - package.uploaded_us) / 1e6
    return f"{max(0, int(seconds))}s ago" if seconds < 120 else f"{span(seconds)} ago"


def cells_of(package: PackageInfo, columns: Sequence[Column], old: str, *, marked: bool) -> list[Cell]:
    """A row; ``old`` is how long ago it came."""
    return [_cell(package, column, old, marked=marked) for column in columns]


def _cell(package: PackageInfo, column: Column, old: str, *, marked: bool) -> Cell:
    match column.name:
        case "mark":
            text, ink = MARKED if marked else "", "mark"
        case "name":
            text, ink = clean_line(package.name[:_TEXT_LIMIT_COUNT]), ""
        case "kind":
            text, ink = clean_line(package.kind[:_TEXT_LIMIT_COUNT]), "kind"
        case "size":
            text, ink = bytes_text(package.size_bytes), ""
        case "versions":
            text, ink = f"{package.versions_count:,}", "dim" if package.versions_count == 1 else ""
        case "age":
            text, ink = old, "dim"
        case _:
            text, ink = clean_line(package.hash[: column.width]), "dim"
    return Cell(filled(text, column, _RIGHT), ink)
