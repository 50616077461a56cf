"""The numbered stream of changes, for everybody who wants to see them live and none twice.

Events get their numbers in the transaction of the change that they tell, and come here after its commit, in order. A
subscriber pulls, all that there is at once: the newest events lie in memory, older ones in the table, and one who asks
for a number that is no longer kept gets a snapshot instead and goes on from there. So a slow subscriber costs nothing,
and none can be passed by. The ``store_id`` tells one database's numbers from another's.
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
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from jobdeck_server.core.store import Store

__all__ = ["Event", "EventLog", "Snapshot"]

_MEMORY_COUNT = 4096
_PAGE_COUNT = 64
_SNAPSHOT_COUNT = 500
_SNAPSHOT_LIVE_COUNT = 2000


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Records of jobs as they stood at event number ``n``; what follows are the events after it.

    They are, newest first, the newest 500, and beside them jobs that have not ended, 2,000 at most: all that run or are
    about to, then those that wait, the next ones first.
    """

    n: int
    jobs: Sequence[Mapping[str, Any]]


class EventLog:
    """See the top of this file. ``load`` first.

    Attributes:
        listeners: Called with all events as they are told, before anybody else hears of them.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._recent: deque[Event] = deque(maxlen=_MEMORY_COUNT)
        self._bell = trio.Event()
        self.listeners: list[Callable[[Sequence[Event]], None]] = []
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
            for listener in self.listeners:
                listener(events)
            self._bell.set()
            self._bell = trio.Event()

    async def commit(
        self, work: Callable[[sqlite3.Connection], Sequence[Event]], *, durable: bool = True
    ) -> Sequence[Event]:
        """Run work that makes events, wait for its commit, and tell them in their order among all others.

        Cancelled while waiting, the work is still done and its events are told.

        Raises:
            StoreError: The database would not take it.
            Exception: What ``work`` raised; nothing of it was kept.
        """
        finished = trio.Event()
        outcome: list[Sequence[Event] | Exception] = []

        def done(events: Sequence[Event] | None, error: Exception | None) -> None:
            # Here, and not in the task that waits: tasks wake up in any order.
            if error is None:
                self.publish(events or ())
            outcome.append((events or ()) if error is None else error)
            finished.set()

        self._store.write_soon(work, done, durable=durable)
        await finished.wait()
        if isinstance(outcome[0], Exception):
            raise outcome[0]
        return outcome[0]

    def trimmed(self, first: int) -> None:
        """Events before ``first`` are no longer in the table."""
        self.first = max(self.first, first)

    async def subscribe(self, since: int | None = None) -> AsyncGenerator[Snapshot | Sequence[Event], None]:
        """All events after number ``since``, then what comes, without end; those that are there come together.

        Args:
            since: The last number that was seen; None, an unknown or a too old one starts with a ``Snapshot``.
        """
        at = since
        while True:
            if at is None or not self.first - 1 <= at <= self.last:
                snapshot = await self._snapshot()
                at = snapshot.n
                yield snapshot
            if at == self.last:
                await self.beyond(at)
                continue
            events = await self._after(at)
            if events and events[0].n == at + 1:
                at = events[-1].n
                yield events
            else:
                at = None  # retention was quicker: some are in the table no more

    async def beyond(self, n: int) -> None:
        """Wait until there is an event after number ``n``."""
        while self.last <= n:
            await self._bell.wait()

    async def _after(self, n: int) -> Sequence[Event]:
        """Some of the events that follow number ``n``: from memory, if those there follow it without a gap."""
        recent = self._recent
        at = len(recent) - (self.last - n)
        if 0 <= at < len(recent) and recent[at].n == n + 1:
            return [recent[i] for i in range(at, min(len(recent), at + _PAGE_COUNT))]
        return await self._store.read(lambda connection: journal.events_after(connection, n, _PAGE_COUNT))

    async def _snapshot(self) -> Snapshot:
        def read(connection: sqlite3.Connection) -> Snapshot:
            connection.execute("begin")
            try:
                last = journal.event_range(connection)[1]
                return Snapshot(
                    last, journal.shown(connection, newest_count=_SNAPSHOT_COUNT, live_count=_SNAPSHOT_LIVE_COUNT)
                )
            finally:
                connection.execute("commit")

        return await self._store.read(read)
