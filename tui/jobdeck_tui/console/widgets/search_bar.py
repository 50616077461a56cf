"""The line in which a pattern is typed, with its two toggles and what was found so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.containers import Horizontal
from textual.message import Message
from textual.reactive import Reactive
from textual.widget import Widget
from textual.widgets import Input, Static

from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual import events
    from textual.app import ComposeResult
    from textual.binding import BindingType
    from textual.timer import Timer

from jobdeck_tui.console.settings import FILTER_LIMIT_LENGTH, SEARCH_WAIT_S

__all__ = ["SearchBar"]


class _Toggle(Static):
    """A word that can be on or off; a click turns it."""

    on: Reactive[bool] = Reactive(False, toggle_class="-on", init=False)

    class Turned(Message):
        """It is the other way round now."""

    def on_click(self, event: events.Click) -> None:
        """Turn it."""
        event.stop()
        self.turn()

    def turn(self) -> None:
        """The other way round."""
        self.on = not self.on
        self.post_message(self.Turned())


class SearchBar(Widget):
    """One line at the bottom of a log.

    Attributes:
        told: What was found, in words.
        wrong: ``told`` says what is wrong with the pattern.
    """

    DEFAULT_CSS = """
    SearchBar {
        height: 1; background: $panel; display: none;
        & > Horizontal { height: 1; }
        & .sign { width: 3; padding-left: 1; color: $text-accent; text-style: bold; }
        & Input { width: 1fr; background: $panel; }
        & _Toggle { width: auto; padding: 0 1; color: $text-muted; }
        & _Toggle:hover { background: $boost; }
        & _Toggle.-on { color: $text-primary; background: $primary-muted; text-style: bold; }
        & .told { width: auto; max-width: 50%; padding: 0 1; color: $text-muted; text-wrap: nowrap; }
        & .told.-wrong { color: $text-error; }
    }
    SearchBar.-open { display: block; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+r,ctrl+r", "regex", "Regex", id="log.search_regex", tooltip="Words, or a regular expression"),
        Binding("alt+c", "case", "Case", id="log.search_case", tooltip="Tell upper and lower case apart, or not"),
    ]

    told: Reactive[str] = Reactive("", init=False)
    wrong: Reactive[bool] = Reactive(False, init=False)

    class Asked(Message):
        """Another pattern, or other toggles."""

        def __init__(self, pattern: str, *, regex: bool, case: bool) -> None:
            super().__init__()
            self.pattern = pattern
            self.regex = regex
            self.case = case

    def __init__(self) -> None:
        super().__init__()
        self._waiting: Timer | None = None

    def compose(self) -> ComposeResult:
        """Sign, pattern, toggles, what was found."""
        self._input = Input(compact=True, placeholder="search all of the log", max_length=FILTER_LIMIT_LENGTH)
        self._regex = _Toggle(".*")
        self._case = _Toggle("Aa")
        self._regex.tooltip = "Regular expression (Alt-R)"
        self._case.tooltip = "Upper and lower case (Alt-C)"
        self._told = Static("", classes="told", markup=False)
        with Horizontal():
            yield Static("/", classes="sign")
            yield self._input
            yield self._regex
            yield self._case
            yield self._told

    @property
    def pattern(self) -> str:
        """What was typed."""
        return self._input.value

    @property
    def typing(self) -> bool:
        """Keys go into the pattern."""
        return self._input.has_focus

    def open(self) -> None:
        """Show it, and type into it."""
        self.add_class("-open")
        self.screen.set_focus(self._input)  # at once: what is typed next is typed here

    def flush(self) -> None:
        """Search now for what was typed a moment ago."""
        if self._waiting is not None:
            self._ask()

    def ask_again(self) -> None:
        """Search for what stands there, if it is open."""
        if self.has_class("-open") and self.pattern:
            self._ask()

    def close(self) -> None:
        """Hide it."""
        self._stop_waiting()
        self.remove_class("-open")

    def watch_told(self, told: str) -> None:
        """Show it."""
        self._told.update(clean_line(told))

    def watch_wrong(self, wrong: bool) -> None:
        """Show it."""
        self._told.set_class(wrong, "-wrong")

    # -- what is typed --

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search when nothing more is typed for a moment."""
        event.stop()
        self._stop_waiting()
        self._waiting = self.set_timer(SEARCH_WAIT_S, self._ask)

    def on__toggle_turned(self) -> None:
        """Search at once."""
        self._ask()

    def _ask(self) -> None:
        self._stop_waiting()
        self.post_message(self.Asked(self.pattern, regex=self._regex.on, case=self._case.on))

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.stop()
            self._waiting = None

    def action_regex(self) -> None:
        """Turn the toggle."""
        self._regex.turn()

    def action_case(self) -> None:
        """Turn the toggle."""
        self._case.turn()
