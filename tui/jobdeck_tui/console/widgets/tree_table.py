"""The table of files in folders: see ``fold_table`` for the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from jobdeck_tui.console.columns import Cell, Column, fitted
from jobdeck_tui.console.tree import FILE, FOLDER, TreeList
from jobdeck_tui.console.widgets.fold_table import FoldTable, fold_sign
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from jobdeck_tui.console.tree import TreeRow

__all__ = ["TreeTable"]

_NAME_LIMIT_COUNT = 1000
_SIZE_CELLS, _COUNT_CELLS = 9, 12
_COUNT_FROM = 56
_DEEPEST = 20
"""What is deeper is not moved further to the right."""


class TreeTable(FoldTable):
    """See the top of this file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"row-list--folder", "row-list--artifact"}
    DEFAULT_CSS = """
    TreeTable {
        & > .row-list--folder { color: $text-primary; }
        & > .row-list--artifact { color: $text-primary; text-style: bold; }
    }
    """

    def empty(self) -> TreeList:
        """No rows."""
        return TreeList()

    def fit(self, width: int) -> tuple[Column, ...]:
        """Name and size, and the number of files where there is room."""
        counts = width >= _COUNT_FROM
        room = width - 3 - 2 - _SIZE_CELLS - (_COUNT_CELLS + 2 if counts else 0)
        columns = [Column("mark", 1), Column("name", max(1, room)), Column("size", _SIZE_CELLS)]
        return tuple([*columns, Column("count", _COUNT_CELLS)] if counts else columns)

    def head(self) -> list[Cell]:
        """The titles."""
        titles = {"mark": "", "name": "NAME", "size": f"{'SIZE':>{_SIZE_CELLS}}", "count": f"{'FILES':>{_COUNT_CELLS}}"}
        return [Cell(fitted(titles[column.name], column.width)) for column in self.columns]

    def times(self, row: TreeRow, now_us: int) -> None:
        """Nothing changes by itself."""

    def cells(self, row: TreeRow, times: None, *, marked: bool) -> list[Cell]:
        """A row."""
        return [_cell(row, column) for column in self.columns]


def _cell(row: TreeRow, column: Column) -> Cell:
    match column.name:
        case "name":
            name = clean_line(row.name[:_NAME_LIMIT_COUNT]) or "(no name)"
            text = f"{'  ' * min(row.depth, _DEEPEST)}{fold_sign(row)} {name}{'/' if row.kind == FOLDER else ''}"
            return Cell(fitted(text, column.width), row.kind if row.folds else "")
        case "size":
            known = "" if row.size_bytes is None else bytes_text(row.size_bytes)
            text = known or ("?" if row.kind == FILE else "")
        case "count":
            text = f"{row.file_count:,}" if row.folds and row.file_count else ""
        case _:
            return Cell(" ")
    return Cell(f"{text:>{column.width}}"[: column.width], "dim")
