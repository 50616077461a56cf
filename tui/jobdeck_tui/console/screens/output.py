"""One job's output on the whole screen."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.widgets.output_pane import OutputPane

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_tui.console.state import State


class OutputScreen(DeckScreen):
    """Shows the job with this id, or the beginning of one."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "jobs", "Jobs", id="log.back", tooltip="Back to the list of jobs"),
        Binding("backspace", "jobs", "Jobs", id="log.back_too", show=False, tooltip="Back to the list of jobs"),
    ]

    def __init__(self, job_id: str, *, stream: str | None = None) -> None:
        super().__init__()
        self.job_id = job_id
        self._stream = stream

    def body(self) -> ComposeResult:
        """The log."""
        self.pane = OutputPane(self.job_id, stream=self._stream)
        yield self.pane

    def on_mount(self) -> None:
        """Keys go to the log."""
        self.pane.view.focus()

    def draw(self, state: State) -> None:
        """Hand it on."""
        self.pane.draw(state)

    def action_jobs(self) -> None:
        """Back to the list."""
        self.dismiss()
