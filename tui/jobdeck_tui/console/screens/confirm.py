"""A question before something is ended or removed: it lists what, and the safe answer is the one that Enter gives."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Button, Static

from jobdeck_tui.console.settings import CONFIRM_WAIT_S
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.app import ComposeResult
    from textual.binding import BindingType

__all__ = ["ConfirmScreen"]

_AROUND_ROWS = 6


class ConfirmScreen(ModalScreen[bool]):
    """True if it was confirmed.

    Args:
        title: The question: ``Stop 3 jobs?``.
        lines: What it is about, a line each, foreign text as it came.
        verb: On the button that does it; the key ``y`` presses it.
        note: What else there is to know, such as what is left out.
    """

    DEFAULT_CSS = """
    ConfirmScreen { align: center middle; }
    ConfirmScreen > #box {
        width: 90%; max-width: 100; min-width: 50; height: auto; max-height: 100%;
        padding: 0 1; border: round $error; border-title-color: $text-error; background: $surface;
    }
    ConfirmScreen #list { height: auto; }
    ConfirmScreen #list Static { text-wrap: nowrap; text-overflow: ellipsis; width: 100%; }
    ConfirmScreen #note { color: $text-muted; }
    ConfirmScreen #buttons { height: auto; align-horizontal: right; padding-top: 1; }
    ConfirmScreen Button { margin-left: 2; min-width: 12; }
    ConfirmScreen.-short #buttons { padding-top: 0; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
        Binding("left,right,h,l", "app.focus_next", show=False),
        Binding("down,j", "scroll(1)", show=False),
        Binding("up,k", "scroll(-1)", show=False),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, verb: str, note: str = "") -> None:
        super().__init__()
        self._title = title
        self._lines = lines
        self._verb = verb
        self._note = note
        self._readable_at_s = math.inf

    def compose(self) -> ComposeResult:
        """The list scrolls when it is long; the buttons are always seen."""
        with Vertical(id="box") as box:
            box.border_title = self._title
            text = Content("\n").join(Content(clean_line(line)) for line in self._lines)
            self._list = VerticalScroll(Static(text), id="list", can_focus=False)
            yield self._list
            if self._note:
                yield Static(Content(clean_line(self._note)), id="note")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                yield Button(f"{self._verb} (y)", id="confirm", variant="error", compact=True)

    def on_mount(self) -> None:
        """A stray Enter must not do it, nor keys that were typed before the question could be read."""
        self.query_one("#cancel", Button).focus()
        self._readable_at_s = time.monotonic() + CONFIRM_WAIT_S

    def on_resize(self) -> None:
        """The list has what title, note and buttons leave of the screen."""
        self._list.styles.max_height = max(1, self.size.height - _AROUND_ROWS)

    def action_answer(self, yes: bool) -> None:
        """End with an answer."""
        if not yes or time.monotonic() >= self._readable_at_s:
            self.dismiss(yes)

    def action_scroll(self, lines: int) -> None:
        """Scroll the list."""
        self._list.scroll_relative(y=lines, animate=False)

    @on(Button.Pressed)
    def _pressed(self, event: Button.Pressed) -> None:
        self.action_answer(event.button.id == "confirm")
