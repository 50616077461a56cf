"""What screens share that act on the rows of a list: which keys are there, and what is told when it is done."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Generic, TypeVar

from textual.reactive import reactive

from jobdeck_tui.console.screens.base import DeckScreen

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ListActs", "count_of"]

T = TypeVar("T")


class ListActs(DeckScreen, Generic[T]):
    """Keys that act on things of a list; whoever shows the list says on which (``chosen``).

    Attributes:
        NOUN: One of the things.
        CHANGES: Actions that change something.
        NEEDS: Actions that need a thing.
        NAME_CELLS: How much is told of that by which one is known: of an id or a hash the beginning is enough.
        changeable: Whether anything may be changed from here; without it those keys are not there.
        any_chosen: Whether there is a thing to act on.
    """

    NOUN: ClassVar[str]
    CHANGES: ClassVar[frozenset[str]]
    NEEDS: ClassVar[frozenset[str]]
    NAME_CELLS: ClassVar[int] = 8

    changeable = reactive(True, bindings=True)
    any_chosen = reactive(False, bindings=True)

    def chosen(self) -> Sequence[T]:
        """What is done is done to these."""
        raise NotImplementedError

    def told_new(self, new: T) -> None:
        """One was made from here."""
        raise NotImplementedError

    def done_with(self) -> None:
        """What was chosen was done."""
        raise NotImplementedError

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Keys that change something are there only for those who may; some need a thing."""
        del parameters
        if action in self.CHANGES and not self.changeable:
            return False
        return self.any_chosen or action not in self.NEEDS

    def tell_done(self, count: int, refused: Sequence[tuple[str, str]] | None, what: str) -> None:
        """What came of it: for so many, but for those that were refused; None if nobody answered."""
        if refused is not None:
            done = count_of(count - len(refused), self.NOUN)
            self.deck_app.tell_done(done, refused, what, name_cells=self.NAME_CELLS)
            self.done_with()

    def copy(self, lines: Sequence[str], told: str) -> None:
        """Put a line for each on the clipboard."""
        self.app.copy_to_clipboard("\n".join(lines))
        self.deck_app.tell(told)


def count_of(count: int, noun: str) -> str:
    """So many of them, in words; empty for none."""
    return "" if count <= 0 else f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
