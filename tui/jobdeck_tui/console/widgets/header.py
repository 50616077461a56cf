"""The top line: which server, who we are to it, how many jobs stand in each state, and how the link is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.marks import mark
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from jobdeck_tui.console.state import State

_ORDER = (
    JobState.RUNNING,
    JobState.STARTING,
    JobState.QUEUED,
    JobState.FAILED,
    JobState.LOST,
    JobState.STOPPED,
    JobState.SUCCEEDED,
)


class Header(Widget):
    """One line. What does not fit falls away from the middle: the counts of what needs no care first."""

    DEFAULT_CSS = """
    Header { height: 1; padding: 0 1; background: $panel; color: $text; }
    """

    state: reactive[State | None] = reactive(None, repaint=True)

    def render(self) -> Content:
        """Fitted to the width."""
        if self.state is None:
            return Content("jobdeck")
        width = self.size.width
        left, right = self._left(self.state), self._right(self.state)
        counts: list[Content] = []
        room = width - left.cell_length - right.cell_length - 2
        for each in _ORDER:
            count = self.state.counts.get(each, 0)
            if not count:
                continue
            word = Content.assemble((f"{mark(each).sign} {count:,}", f"${mark(each).colour}"), f" {each.value}")
            if word.cell_length + 2 > room:
                break
            counts.append(word)
            room -= word.cell_length + 2
        middle = Content("  ").join(counts)
        gap = max(1, width - left.cell_length - middle.cell_length - right.cell_length - 2)
        return Content.assemble(left, "  ", middle, " " * gap, right)

    def _left(self, state: State) -> Content:
        url = clean_line(state.url.removeprefix("http://"))
        role = "read-only" if state.read_only else state.server.role if state.server is not None else ""
        return Content.assemble(("jobdeck", "bold"), f" {url}", (f" {clean_line(role)}" if role else "", "dim"))

    def _right(self, state: State) -> Content:
        if state.link is None:
            return Content.styled("… connecting", "$warning")
        return Content.styled("● live", "$success") if state.link.up else Content.styled("○ no link", "$error")
