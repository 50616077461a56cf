"""One job's output on the whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.widgets import Static

from jobdeck_tui.console.screens.base import DeckScreen

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from jobdeck_tui.console.state import State


class OutputScreen(DeckScreen):
    """Shows the job with this id, or the beginning of one."""

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id

    def body(self) -> ComposeResult:
        """The log."""
        yield Static()

    def draw(self, state: State) -> None:
        """Nothing yet."""
