"""Pages of a list: where they go, how they are asked for, and what they bring. Values only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["HIGHEST", "LOWEST", "Ask", "Key", "Page", "Place", "flipped"]

Key = tuple[float, float]
"""Where a row stands: a list is in ascending order of its rows' keys, whatever it is sorted by."""

LOWEST: Key = (-math.inf, -math.inf)
HIGHEST: Key = (math.inf, math.inf)


def flipped(sort: str) -> str:
    """The same sort the other way round."""
    return sort[1:] if sort.startswith("-") else "-" + sort


class Place(StrEnum):
    """Where a page of the list goes."""

    START = "start"
    """The first rows: what was held before is replaced."""
    END = "end"
    """The last rows: what was held before is replaced."""
    AGAIN = "again"
    """The same rows as before, read anew: what was held before is replaced."""
    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """How a page is asked for.

    Attributes:
        sort: As the query's, or flipped: pages above the window are read upwards.
        limit_count: Rows wanted.
        after: The row whose followers are wanted, None for the first ones.
        cursor: Where the page before stopped; ``after`` is None then.
        neighbour: The row that must come first, since it is held already; None where none is known.
        void: The window is not what it was: the page has no place any more.
    """

    sort: str
    limit_count: int
    after: str | None = None
    cursor: str | None = None
    neighbour: str | None = None
    void: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows as they came; see ``state.PageCame``."""

    rows: tuple[Any, ...]
    more: bool
    cursor: str | None
