"""All jobs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from jobdeck_tui.console.screens.base import DeckScreen

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from jobdeck_tui.console.state import State


class JobsScreen(DeckScreen):
    """The list, and beside or below it the output of the selected job where there is room."""

    def body(self) -> ComposeResult:
        """The table."""
        self._table = Static()
        yield self._table

    def draw(self, state: State) -> None:
        """The table's rows."""
        self._table.update(str(len(state.list.rows)))
