"""A list that is made of few things, all of which are held: filter and order are the console's own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from jobdeck_tui.console.pages import HIGHEST, LOWEST, Sorted
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_tui.console.few import Few
    from jobdeck_tui.console.pages import Key

__all__ = ["FewQuery", "listed"]

L = TypeVar("L", bound=RowList)


class FewQuery(Sorted):
    """What the queries of such lists have in common: all of a thing is known, so it may be looked at again."""

    __slots__ = ()
    text: str | None

    @property
    def narrow(self) -> bool:
        """Whether it leaves anything out."""
        raise NotImplementedError

    def matches(self, item: Any, /) -> bool:  # noqa: ANN401  # each query knows its own things
        """Whether a thing belongs on the list."""
        raise NotImplementedError

    def number(self, item: Any, /) -> float:  # noqa: ANN401  # as above
        """What it is sorted by, as far as that is a number; things with the same go by their names."""
        raise NotImplementedError

    def still_matches(self, item: Any, /) -> bool:  # noqa: ANN401  # as above
        """The same for one that did before."""
        return self.matches(item)

    def key_of(self) -> Callable[[Any], Key]:
        """Where a thing stands, as far as numbers tell."""
        return lambda item: (self.number(item), 0)


def listed(kind: type[L], few: Few[Any], query: FewQuery) -> L:
    """The list that a query makes of what is known; it is always whole.

    Args:
        kind: Of the list.
        few: What is known.
        query: What of it is shown, and whether the greatest comes first.
    """

    def order(item: Any) -> tuple[float, str, str]:  # noqa: ANN401  # as above
        return query.number(item), item.name.casefold(), item.id

    rows = sorted((item for item in few.items.values() if query.matches(item)), key=order)
    if query.descending:
        rows.reverse()
    held = {item.id: LOWEST for item in rows}
    known = few.known or bool(few.items)
    return kind(query=query, rows=tuple(rows), first=LOWEST, last=HIGHEST, known=known, error=few.error, held=held)
