"""A line to type in, with things to choose from: up and down go through them, and what is typed is completed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.reactive import Reactive
from textual.suggester import SuggestFromList
from textual.widgets import Input

from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from textual.binding import BindingType

__all__ = ["ChoiceInput", "choice_words", "choosable"]


def choosable(names: Iterable[str]) -> tuple[str, ...]:
    """Those that can stand in a line as they are; one with control characters could not be told from another."""
    return tuple(name for name in names if clean_line(name) == name)


def choice_words(choices: Sequence[str], chosen: str) -> str:
    """Which of the choices stands there, and those that come next: ``2 of 3, then c · a``; without what all share."""
    shared = min((_parents(each) for each in choices), key=len, default=())
    while shared and any(_parents(each)[: len(shared)] != shared for each in choices):
        shared = shared[:-1]
    short = [".".join(each.split(".")[len(shared) :]) for each in choices]
    if chosen not in choices:
        return f"{len(choices):,} found: {' · '.join(short)}"
    at = choices.index(chosen)
    following = " · ".join(short[at + 1 :] + short[:at])
    return f"{at + 1:,} of {len(choices):,}" + (f", then {following}" if following else "")


def _parents(name: str) -> tuple[str, ...]:
    return tuple(name.split(".")[:-1])


class ChoiceInput(Input):
    """See the top of this file. Anything may be typed; choices are foreign text and go through ``choosable``.

    Attributes:
        choices: In their order; an empty one stands for none.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "choose(-1)", "Earlier", show=False),
        Binding("down", "choose(1)", "Choose", key_display="↑↓"),
    ]

    choices: Reactive[tuple[str, ...]] = Reactive((), init=False)

    def __init__(self, *, placeholder: str = "", id: str | None = None) -> None:  # noqa: A002  # as widgets call it
        super().__init__(placeholder=placeholder, id=id, compact=True, select_on_focus=False)

    def watch_choices(self) -> None:
        """Complete by these; the arrows are there while there are any."""
        self.suggester = SuggestFromList(self.choices, case_sensitive=False) if self.choices else None
        self.refresh_bindings()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without choices the arrows choose nothing."""
        return bool(self.choices) if action == "choose" else super().check_action(action, parameters)

    def action_choose(self, step: int) -> None:
        """The next choice, or the one before; from a word that is none, one that it begins."""
        found = self._at()
        if found is None:
            begun = [n for n, each in enumerate(self.choices) if each.startswith(self.value) and each]
            at = begun[0 if step > 0 else -1] if begun else 0
        else:
            at = (found + step) % len(self.choices)
        self.value = self.choices[at]
        self.action_end()

    def _at(self) -> int | None:
        return self.choices.index(self.value) if self.value in self.choices else None
