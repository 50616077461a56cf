"""Lists as they are read: what stands on one, which page goes where, how it is asked for. Values only."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["HIGHEST", "LOWEST", "Ask", "Asked", "Key", "Page", "Place", "Row", "Sorted", "flipped"]

Key = tuple[float, float]
"""Where a row stands: a list is in ascending order of its rows' keys, whatever it is sorted by."""

LOWEST: Key = (-math.inf, -math.inf)
HIGHEST: Key = (math.inf, math.inf)


class Row(Protocol):
    """What stands on a list."""

    @property
    def id(self) -> str:
        """By which it is known; no two rows have the same."""


class Sorted:
    """What every query knows by its ``sort``."""

    __slots__ = ()
    sort: str

    @property
    def by(self) -> str:
        """What it is sorted by, without the direction."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.sort.startswith("-")


class Asked(Protocol):
    """Which rows a list shows, and in which order, by the server's own rules. A value: two are equal or not."""

    @property
    def sort(self) -> str:
        """As the server takes it; ``-`` before it for the greatest first."""

    @property
    def by(self) -> str:
        """The same without the direction; ``created`` is the order in which the server took rows in."""

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""

    @property
    def text(self) -> str | None:
        """What is searched for; a search reads far and finds little."""

    @property
    def narrow(self) -> bool:
        """Whether it leaves any row out."""

    def matches(self, row: Any, /) -> bool:  # noqa: ANN401  # each query knows its own rows
        """Whether a row belongs on the list."""

    def still_matches(self, row: Any, /) -> bool:  # noqa: ANN401  # as above
        """The same for a row that did before it changed."""

    def key_of(self) -> Callable[[Any], Key]:
        """The function that tells where a row stands."""


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
