"""A list that is made of few things, all of which are held: filter and order are the console's own. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from jobdeck_tui.console.pages import HIGHEST, LOWEST
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_tui.console.few import Few
    from jobdeck_tui.console.pages import Asked

__all__ = ["listed"]

L = TypeVar("L", bound=RowList)


def listed(kind: type[L], few: Few[Any], query: Asked, order: Callable[[Any], Any]) -> L:
    """The list that a query makes of what is known; it is always whole.

    Args:
        kind: Of the list.
        few: What is known.
        query: What of it is shown, and whether the greatest comes first.
        order: A thing's place, which no other one has.
    """
    rows = sorted((item for item in few.items.values() if query.matches(item)), key=order)
    if query.sort.startswith("-"):
        rows.reverse()
    held = {item.id: LOWEST for item in rows}
    known = few.known or bool(few.items)
    return kind(query=query, rows=tuple(rows), first=LOWEST, last=HIGHEST, known=known, error=few.error, held=held)
