"""The line that says that the link is down, since when, and that what stands below is as of that time."""

from __future__ import annotations

import time
from datetime import datetime
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import reactive
from textual.widget import Widget

from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import span

if TYPE_CHECKING:
    from jobdeck_tui.console.state import State


class Banner(Widget):
    """Hidden while the link is up."""

    DEFAULT_CSS = """
    Banner { height: 1; padding: 0 1; background: $error; color: $text; text-style: bold; display: none; }
    Banner.-down { display: block; }
    """

    state: reactive[State | None] = reactive(None, repaint=True)

    def on_mount(self) -> None:
        """Tell the passing of time."""
        self.set_interval(1.0, self._tick)

    def _tick(self) -> None:
        if self.has_class("-down"):
            self.refresh()

    def watch_state(self, state: State | None) -> None:
        """Show or hide."""
        self.set_class(state is not None and state.link is not None and not state.link.up, "-down")

    def render(self) -> Content:
        """The words, those that count most first, since the end may be cut off."""
        if self.state is None or self.state.link is None:
            return Content("")
        link = self.state.link
        since = datetime.fromtimestamp(link.at_us / 1e6).strftime("%H:%M:%S")
        gone_s = time.time() - link.at_us / 1e6
        words = f"NO LINK since {since} ({span(gone_s)}); shown as of then; trying again"
        return Content(f"{words}: {clean_line(link.error)}" if link.error else words)
