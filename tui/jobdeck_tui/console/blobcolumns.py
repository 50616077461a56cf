"""The columns of the list of blobs: which fit a width, and what stands in them for a blob. Pure.

As in ``columns``, foreign text goes through the sanitiser here, and each cell is filled up to its column's width.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.blob import ARTIFACT, FILE, LINK
from jobdeck_tui.console.columns import MARKED, Cell, Column, filled, fit
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import KINDS, age, bytes_text

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.blob import Blob
    from jobdeck_tui.console.bloblist import BlobQuery

__all__ = ["PINNED", "age_of", "cells_of", "columns_for", "head_of", "sign_of", "type_word"]

PINNED = "●"
_NAME_LEAST = 24
_TAGS_WIDE, _TAGS = 28, 16
_TAGS_WIDE_FROM = 130
_TEXT_LIMIT_COUNT = 1000
"""Characters that are looked at; no terminal is as wide."""
_TITLES = {
    "mark": "",
    "sign": "",
    "name": "NAME",
    "type": "TYPE",
    "size": "SIZE",
    "tags": "TAGS",
    "pin": "",
    "age": "AGE",
    "hash": "HASH",
}
_WIDTHS = {"mark": 1, "sign": 1, "type": 15, "size": 9, "pin": 1, "age": 5, "hash": 8}
_RIGHT = frozenset({"size", "age"})
_SORTED = {"created": "age", "size": "size"}
_FALLING = {"tags": "", "type": "", "hash": ""}
"""What makes room in a narrow terminal, in this order; the sign tells the type, too."""
_SIGNS = {FILE: "·", ARTIFACT: "▤", LINK: "→"}
_WORDS = {kind: word for word, kind in KINDS.items()}


def sign_of(kind: str) -> str:
    """One cell for a type of blob."""
    return _SIGNS.get(kind, "?")


def type_word(blob: Blob) -> str:
    """``file``, ``artifact 12`` with the number of its files, ``link``."""
    word = _WORDS.get(blob.type, clean_line(blob.type))
    return f"{word} {blob.entry_count:,}" if blob.entry_count is not None else word


def columns_for(width: int) -> tuple[Column, ...]:
    """The columns that fit, the name taking what is left."""
    names = ["mark", "sign", "name", "size", "type", "tags", "pin", "age", "hash"]
    widths = {**_WIDTHS, "tags": _TAGS_WIDE if width >= _TAGS_WIDE_FROM else _TAGS, "name": 0}
    names, room = fit(width, names, widths, least=_NAME_LEAST, falling=_FALLING)
    widths["name"] = max(1, room)
    return tuple(Column(name, widths[name]) for name in names)


def head_of(columns: Sequence[Column], query: BlobQuery) -> list[Cell]:
    """The titles, with an arrow where the list is sorted."""
    arrow = "▼" if query.descending else "▲"
    cells = []
    for column in columns:
        by = column.name == _SORTED[query.by]
        title = f"{_TITLES[column.name]} {arrow}" if by else _TITLES[column.name]
        cells.append(Cell(filled(title, column, _RIGHT), "sorted" if by else ""))
    return cells


def cells_of(blob: Blob, columns: Sequence[Column], old: str, *, marked: bool) -> list[Cell]:
    """A row; ``old`` is how long ago it came."""
    return [_cell(blob, column, old, marked=marked) for column in columns]


def _cell(blob: Blob, column: Column, old: str, *, marked: bool) -> Cell:
    match column.name:
        case "mark":
            text, ink = MARKED if marked else "", "mark"
        case "sign":
            text, ink = sign_of(blob.type), "artifact" if blob.type == ARTIFACT else "dim"
        case "name":
            text = clean_line(blob.name[:_TEXT_LIMIT_COUNT])
            text, ink = (text, "") if text else ("(no name)", "dim")
        case "type":
            text, ink = type_word(blob), "artifact" if blob.type == ARTIFACT else "dim"
        case "size":
            text, ink = bytes_text(blob.size_bytes), ""
        case "tags":
            text, ink = clean_line(" ".join(blob.tags)[:_TEXT_LIMIT_COUNT]), "label"
        case "pin":
            text, ink = PINNED if blob.pinned else "", "pin"
        case "age":
            text, ink = old, "dim"
        case _:
            text, ink = clean_line(blob.hash[: column.width]), "dim"
    return Cell(filled(text, column, _RIGHT), ink)


def age_of(blob: Blob, now_us: int) -> str:
    """How long ago it came first."""
    seconds = (now_us - blob.created_us) / 1e6
    return f"{max(0, int(seconds))}s" if seconds < 120 else age(blob.created_us, now_us)
