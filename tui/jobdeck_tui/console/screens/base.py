"""What all screens share: the frame (header, banner, footer) around a body, and the state that they draw."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from textual.screen import Screen

from jobdeck_tui.console.widgets.banner import Banner
from jobdeck_tui.console.widgets.header import Header
from jobdeck_tui.console.widgets.key_bar import KeyBar

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from jobdeck_tui.console.app import ConsoleApp
    from jobdeck_tui.console.state import State


class DeckScreen(Screen[None]):
    """A screen that draws the state. Subclasses give ``body`` and ``draw``."""

    TITLE = ""
    AUTO_FOCUS = ""  # each screen knows where its keys go; the first widget that can have them may be a hidden one

    @property
    def deck_app(self) -> ConsoleApp:
        """The app, with its own type."""
        return cast("ConsoleApp", self.app)

    def compose(self) -> ComposeResult:
        """The frame around the body."""
        self._header = Header()
        self._banner = Banner()
        yield self._header
        yield self._banner
        yield from self.body()
        yield KeyBar()

    def body(self) -> ComposeResult:
        """What stands between banner and footer."""
        raise NotImplementedError

    def draw(self, state: State) -> None:
        """Show a state. Called on each change while the screen is active, and when it becomes so."""
        raise NotImplementedError

    def show_state(self, state: State) -> None:
        """Hand a state to frame and body."""
        if not self.is_mounted:
            return
        self._header.state = state
        self._banner.state = state
        self.draw(state)

    def on_mount(self) -> None:
        """Draw what is known already."""
        self.show_state(self.deck_app.state)

    def on_screen_resume(self) -> None:
        """Catch up with what happened while another screen was active."""
        self.show_state(self.deck_app.state)
