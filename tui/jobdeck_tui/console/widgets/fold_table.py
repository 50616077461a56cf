"""A table whose rows are those of a tree, folded and unfolded by keys and mouse."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol

from textual.binding import Binding
from textual.message import Message

from jobdeck_tui.console.widgets.row_table import RowTable, row_keys

if TYPE_CHECKING:
    from textual.binding import BindingType

__all__ = ["FoldRow", "FoldTable", "fold_sign"]


class FoldRow(Protocol):
    """What a row of a tree tells."""

    @property
    def id(self) -> str:
        """See ``pages.Row``."""

    @property
    def folds(self) -> bool:
        """It has something in it."""

    @property
    def open(self) -> bool:
        """That is seen."""

    @property
    def up(self) -> str | None:
        """The row that it is in."""


def fold_sign(row: FoldRow) -> str:
    """What stands before a row."""
    return ("▾" if row.open else "▸") if row.folds else " "


class FoldTable(RowTable):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(each for each in row_keys("tree", "row") if each.action not in ("mark", "mark_all", "unmark")),
        Binding("enter,space", "open", "Open", id="tree.open", tooltip="Look into it; unfold, or fold"),
        Binding("right,l", "fold(True)", id="tree.unfold", show=False, tooltip="Unfold"),
        Binding("left,h", "fold(False)", id="tree.fold", show=False, tooltip="Fold; or go to what it is in"),
    ]

    class Folded(Message):
        """A row is to be unfolded, or folded."""

        def __init__(self, row: FoldRow, *, on: bool) -> None:
            super().__init__()
            self.row = row
            self.on = on

    def action_fold(self, on: bool) -> None:
        """Unfold or fold what the cursor is on; folding what cannot be folded goes to what it is in."""
        row: FoldRow | None = self.cursor
        if row is None:
            return
        if row.folds and row.open != on:
            self.post_message(self.Folded(row, on=on))
        elif not on and row.up is not None:
            self.go_to(self.listed.index()[row.up])
