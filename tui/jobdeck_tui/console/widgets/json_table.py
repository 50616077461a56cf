"""The table of JSON values: rows of a tree (``jsontree``), see ``fold_table`` for the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len

from jobdeck_tui.console.columns import Cell, Column, fitted
from jobdeck_tui.console.jsontree import ROOT, JsonList
from jobdeck_tui.console.widgets.fold_table import FoldTable, fold_sign
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from jobdeck_tui.console.jsontree import JsonRow

__all__ = ["JsonTable"]

_DEEPEST = 20
"""What is deeper is not moved further to the right; its depth stands before it instead."""
_LABEL_PART = 0.6
_INKS = ("key", "place", "string", "number", "word", "hit")
_COUNTED = {"object": ("{", "}"), "array": ("[", "]")}


class JsonTable(FoldTable):
    """See the top of this file.

    Attributes:
        title: What it is; safe for a terminal.
        hits: Ids of the rows in which something was found.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row-list--{name}" for name in _INKS}
    DEFAULT_CSS = """
    JsonTable {
        & > .row-list--key { color: $text-primary; }
        & > .row-list--place { color: $foreground 65%; }
        & > .row-list--string { color: $text-success; }
        & > .row-list--number { color: $text-warning; }
        & > .row-list--word { color: $text-accent; }
        & > .row-list--hit { color: $text-error; text-style: bold; }
    }
    """

    def __init__(self) -> None:
        super().__init__()
        self.title = ""
        self.hits: frozenset[str] = frozenset()

    def empty(self) -> JsonList:
        """No rows."""
        return JsonList()

    def mark_hits(self, hits: frozenset[str]) -> None:
        """Show these as what was found."""
        self.hits = hits
        self._repaint_changes()

    def fit(self, width: int) -> tuple[Column, ...]:
        """One column after the mark's."""
        return (Column("mark", 1), Column("name", max(1, width - 3)))

    def head(self) -> list[Cell]:
        """The title."""
        return [Cell(" "), Cell(fitted(self.title, self._room))]

    @property
    def _room(self) -> int:
        return self.columns[1].width if self.columns else 1

    def times(self, row: JsonRow, now_us: int) -> bool:
        """Whether something was found in it: this changes while the row does not."""
        del now_us
        return row.id in self.hits

    def cells(self, row: JsonRow, times: bool, *, marked: bool) -> list[Cell]:
        """Its name, and its value in as much room as is left."""
        del marked
        room = self._room
        indent = "  " * min(row.depth, _DEEPEST) if room >= 2 * _DEEPEST else " " * min(row.depth, _DEEPEST // 2)
        deep = f"({row.depth}) " if row.depth > _DEEPEST else ""
        sign = f"{indent}{deep}{fold_sign(row)} "
        label = _label(row)
        label = fitted(label, min(cell_len(label), max(1, int((room - cell_len(sign)) * _LABEL_PART))))
        ink = "hit" if times else "key" if row.named else "place"
        cells = [Cell(sign + label, ink)]
        value, ink = _value(row)
        left = room - sum(cell_len(cell.text) for cell in cells) - 2
        if left > 0:
            cells.append(Cell(fitted(value, left), ink))
        return [Cell("•" if times else " ", "hit"), *cells]


def _label(row: JsonRow) -> str:
    """What stands before the value: its name, or its number, or the sign of the outermost one."""
    return ROOT if row.up is None else clean_line(row.label) or '""'


def _value(row: JsonRow) -> tuple[str, str]:
    """A value, and its ink; what is in an object or array is told while it is not seen."""
    text = clean_line(row.text)
    if row.kind in _COUNTED:
        begin, end = _COUNTED[row.kind]
        count = f"{begin}{row.count:,}{'+' if row.more else ''}{end}" if row.folds or row.more else begin + end
        return (count if row.open or not row.folds else f"{count}  {text}"), "dim"
    if row.kind == "string":
        return f'"{text}' + ("…" if row.cut else '"'), "string"
    return text + ("…" if row.cut else ""), row.kind
