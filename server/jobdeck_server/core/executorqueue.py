"""Jobs that wait for somebody to run them, by what they ask of a worker.

A worker may take a job if it has all of its labels. Jobs with the same labels stand in one row, in their order; a
worker is shown the rows that it fits, merged, so that what others wait for costs it nothing.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from jobdeck_server.core.executorrows import Row
    from jobdeck_server.core.live import Live


class Entry:
    """A job that has not ended, as the executor knows it.

    Attributes:
        live: The core's.
        row: What the API knows beyond the record.
        number: Its place in the order of all that came.
        labels: That its worker must have.
        admitted: The built-in executor may take it, too.
        missing_s: Since when its worker has not named it, on trio's clock; None while it does.
        tail_bytes: Where its last noted segment of output ends; None before that was looked up.
    """

    __slots__ = ("admitted", "labels", "live", "missing_s", "number", "row", "tail_bytes")

    def __init__(self, live: Live, row: Row, number: int) -> None:
        self.live = live
        self.row = row
        self.number = number
        self.labels = frozenset(live.job.labels)
        self.admitted = False
        self.missing_s: float | None = None
        self.tail_bytes: int | None = None

    @property
    def key(self) -> str:
        """The API's name for the job."""
        return self.live.job.key or ""


class Queue:
    """Jobs that may be handed out, and so not those that are held."""

    def __init__(self) -> None:
        self._rows: dict[frozenset[str], dict[str, Entry]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._rows.values()))

    def __iter__(self) -> Iterator[Entry]:
        return heapq.merge(*(tuple(row.values()) for row in self._rows.values()), key=_number)

    def add(self, entry: Entry) -> None:
        """Put a job where its number says: mostly at the end."""
        row = self._rows.setdefault(entry.labels, {})
        late = bool(row) and row[next(reversed(row))].number > entry.number
        row[entry.live.job.id] = entry
        if late:
            ordered = sorted(row.items(), key=lambda item: item[1].number)
            row.clear()
            row.update(ordered)

    def discard(self, entry: Entry) -> None:
        """Take a job out, if it is there."""
        row = self._rows.get(entry.labels)
        if row is not None and row.pop(entry.live.job.id, None) is not None and not row:
            del self._rows[entry.labels]

    def take(self, labels: Collection[str], count: int, *, but: Collection[str]) -> list[Entry]:
        """The first jobs that a worker with these labels may have; they wait no more.

        Args:
            labels: Of the worker.
            count: The most that it takes.
            but: Keys that it must not be given.
        """
        found: list[Entry] = []
        fitting = [row.values() for wanted, row in self._rows.items() if wanted.issubset(labels)]
        for entry in heapq.merge(*fitting, key=_number):
            if len(found) >= count:
                break
            if entry.key not in but:
                found.append(entry)
        for entry in found:
            self.discard(entry)
        return found


def _number(entry: Entry) -> int:
    return entry.number
