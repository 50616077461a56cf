"""The numbered stream of changes, for everybody who wants to see them live and none twice.

Events get their numbers in the transaction of the change that they tell, and come here after its commit, in order. A
subscriber pulls: the newest events lie in memory, older ones in the table, and one who asks for a number that is no
longer kept gets a snapshot instead and goes on from there. So a slow subscriber costs nothing, and none can be passed
by. The ``store_id`` tells one database's numbers from another's.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_server.core import journal
from jobdeck_server.core.journal import Event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Mapping, Sequence

    from jobdeck_server.core.store import Store

__all__ = ["Event", "EventLog", "Snapshot"]

_MEMORY_COUNT = 4096
_PAGE_COUNT = 500
_SNAPSHOT_COUNT = 500


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The newest jobs' records as they stood at event number ``n``; what follows are the events after it."""

    n: int
    jobs: Sequence[Mapping[str, Any]]


class EventLog:
    """See the top of this file. ``load`` first."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: deque[Event] = deque(maxlen=_MEMORY_COUNT)
        self._bell = trio.Event()
        self.store_id = ""
        self.first = 1
        self.last = 0

    async def load(self) -> None:
        """Read where the numbers stand."""
        self.first, self.last = await self._store.read(journal.event_range)
        self.store_id = await self._store.read(journal.store_id)

    def publish(self, events: Sequence[Event]) -> None:
        """Tell events whose transaction has been committed; called in order of their numbers."""
        if events:
            self._recent.extend(events)
            self.last = events[-1].n
            self._bell.set()
            self._bell = trio.Event()

    def trimmed(self, first: int) -> None:
        """Events before ``first`` are no longer in the table."""
        self.first = max(self.first, first)

    async def subscribe(self, since: int | None = None) -> AsyncGenerator[Event | Snapshot, None]:
        """All events after number ``since``, then what comes, without end.

        Args:
            since: The last number that was seen; None, an unknown or a too old one starts with a ``Snapshot``.
        """
        at = since
        while True:
            if at is None or not self.first - 1 <= at <= self.last:
                snapshot = await self._snapshot()
                at = snapshot.n
                yield snapshot
            bell = self._bell
            if at == self.last:
                await bell.wait()
                continue
            for event in await self._after(at):
                at = event.n
                yield event

    async def _after(self, n: int) -> Sequence[Event]:
        if self._recent and self._recent[0].n <= n + 1:
            return [event for event in self._recent if event.n > n]
        return await self._store.read(lambda connection: journal.events_after(connection, n, _PAGE_COUNT))

    async def _snapshot(self) -> Snapshot:
        def read(connection: sqlite3.Connection) -> Snapshot:
            connection.execute("begin")
            try:
                last = journal.event_range(connection)[1]
                return Snapshot(last, journal.newest(connection, _SNAPSHOT_COUNT))
            finally:
                connection.execute("commit")

        return await self._store.read(read)
