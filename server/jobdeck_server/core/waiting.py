"""Jobs that wait for somebody to run them, by what they ask of a worker.

A worker may take a job if it has all of its labels. Jobs with the same labels stand in one row, in their order; a
worker is shown the rows that it fits, merged, so that what others wait for costs it nothing. Rows are found by one of
their labels each: of those that nobody has, nobody comes across the row.
"""

from __future__ import annotations

import heapq
from collections import OrderedDict
from itertools import chain
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

__all__ = ["Queue", "Waiter"]

_ANYBODY = ""


class Waiter(Protocol):
    """A job that waits.

    Attributes:
        number: Its place in the order of all that came.
        labels: That its worker must have; they stay what they are.
    """

    number: int
    labels: frozenset[str]


W = TypeVar("W", bound=Waiter)
# Ordered by links: of a plain dict, whose first entry is taken again and again, ever more gaps are to be passed
Row = OrderedDict[int, W]


class Queue(Generic[W]):
    """See the top of this file."""

    def __init__(self) -> None:
        self._rows: dict[str, dict[frozenset[str], Row[W]]] = {}

    def __len__(self) -> int:
        return sum(len(row) for rows in self._rows.values() for row in rows.values())

    def __iter__(self) -> Iterator[W]:
        rows = (tuple(row.values()) for rows in self._rows.values() for row in rows.values())
        return heapq.merge(*rows, key=_number)

    def __contains__(self, waiter: W) -> bool:
        return waiter.number in self._rows.get(_key(waiter), {}).get(waiter.labels, ())

    def add(self, waiter: W) -> None:
        """Put a job where its number says: mostly at the end."""
        row = self._rows.setdefault(_key(waiter), {}).setdefault(waiter.labels, OrderedDict())
        late = bool(row) and next(reversed(row)) > waiter.number
        row[waiter.number] = waiter
        if late:
            for number in sorted(row):
                row.move_to_end(number)

    def discard(self, waiter: W) -> None:
        """Take a job out, if it is there."""
        rows = self._rows.get(_key(waiter), {})
        row = rows.get(waiter.labels)
        if row is None or row.pop(waiter.number, None) is None or row:
            return
        del rows[waiter.labels]
        if not rows:
            del self._rows[_key(waiter)]

    def fitting(self, labels: Collection[str]) -> Iterator[W]:
        """The jobs that a worker with these labels may have, in their order; nothing may change meanwhile."""
        rows = chain.from_iterable(self._rows.get(label, {}).items() for label in {_ANYBODY, *labels})
        return heapq.merge(*(row.values() for wanted, row in rows if wanted.issubset(labels)), key=_number)

    def take(self, labels: Collection[str], count: int, *, skip: Callable[[W], bool] | None = None) -> list[W]:
        """The first jobs that a worker with these labels may have; they wait no more.

        Args:
            labels: Of the worker.
            count: The most that it takes.
            skip: Whether it must not be given a job.
        """
        found: list[W] = []
        waiters: Iterable[W] = self.fitting(labels) if count > 0 else ()
        for waiter in waiters:
            if skip is None or not skip(waiter):
                found.append(waiter)
                if len(found) >= count:
                    break
        for waiter in found:
            self.discard(waiter)
        return found

    def count(self, label: str) -> int:
        """How many jobs wait whose first label, in the order of characters, is this one."""
        return sum(map(len, self._rows.get(label, {}).values()))


def _key(waiter: Waiter) -> str:
    return min(waiter.labels, default=_ANYBODY)


def _number(waiter: Waiter) -> int:
    return waiter.number
