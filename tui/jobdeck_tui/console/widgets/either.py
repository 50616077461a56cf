"""One of a few things, all of which are seen: ``● plain  ○ Spark``."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.content import Content
from textual.message import Message
from textual.reactive import Reactive
from textual.widget import Widget

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual import events
    from textual.binding import BindingType

__all__ = ["Either"]

_CHOSEN, _OTHER = "●", "○"
_GAP = 2


class Either(Widget, can_focus=True):
    """See the top of this file. Arrows and space choose, and so does a click.

    Attributes:
        value: The one that is chosen.
    """

    DEFAULT_CSS = """
    Either { height: 1; width: auto; color: $text-muted; }
    Either:focus { background: $foreground 10%; color: $foreground; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "step(-1)", show=False),
        Binding("right,space", "step(1)", show=False),
    ]

    value: Reactive[str] = Reactive("", init=False)

    class Changed(Message):
        """Another one was chosen by who sees it."""

        def __init__(self, either: Either) -> None:
            super().__init__()
            self.either = either

        @property
        def control(self) -> Either:
            """Where."""
            return self.either

    def __init__(self, choices: Sequence[tuple[str, str]], *, id: str) -> None:  # noqa: A002  # as widgets call it
        super().__init__(id=id)
        self._choices = choices
        self.set_reactive(Either.value, choices[0][0])

    def _words(self) -> list[str]:
        return [f"{_CHOSEN if value == self.value else _OTHER} {label}" for value, label in self._choices]

    def render(self) -> Content:
        """All of them, a sign before the one."""
        parts = [
            Content.styled(words, "bold $text-accent" if value == self.value else "")
            for (value, _), words in zip(self._choices, self._words(), strict=True)
        ]
        return Content(" " * _GAP).join(parts)

    def choose(self, value: str) -> None:
        """Show this as chosen, if it is one of them; nobody is told."""
        if value in {each for each, _ in self._choices}:
            self.value = value

    def action_step(self, step: int) -> None:
        """The next one, or the one before."""
        at = [value for value, _ in self._choices].index(self.value)
        self._choose((at + step) % len(self._choices))

    def on_click(self, event: events.Click) -> None:
        """The one that was clicked."""
        x = event.x
        for at, words in enumerate(self._words()):
            if 0 <= x < len(words):
                self._choose(at)
            x -= len(words) + _GAP

    def _choose(self, at: int) -> None:
        if self.value != self._choices[at][0]:
            self.value = self._choices[at][0]
            self.post_message(self.Changed(self))
