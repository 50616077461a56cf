"""Events of workers: told when what is known of one has changed for longer than a moment.

Whoever has news leaves it here and goes on: of several about one worker only the newest counts, and what the database
would not take is offered again.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.workerinfo import WorkerInfo, to_wire
from jobdeck_server.core import journal
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping, Sequence

    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.journal import Event

_log = logging.getLogger("jobdeck.workers")
_RETRY_S = 1.0

Durable = tuple[object, ...]


class WorkerNews:
    """See the top of this file. ``run`` must be running for events to come."""

    def __init__(self, events: EventLog) -> None:
        self._events = events
        self._known: dict[str, Durable] = {}
        self._untold: dict[str, WorkerInfo | None] = {}
        self._bell = trio.Event()

    def know(self, worker: WorkerInfo) -> None:
        """A worker is as everybody knows already: no news."""
        self._known[worker.id] = durable(worker)

    def tell(self, worker: WorkerInfo) -> None:
        """A worker as it is now; nothing happens if that is known."""
        if self._known.get(worker.id) != durable(worker):
            self.know(worker)
            self._untold[worker.id] = worker
            self._bell.set()

    def gone(self, worker_id: str) -> None:
        """A worker is known no more."""
        self._known.pop(worker_id, None)
        self._untold[worker_id] = None
        self._bell.set()

    async def run(self) -> None:
        """Bring news into the stream of events, until cancelled."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            news, self._untold = self._untold, {}
            try:
                await self._events.commit(partial(_insert, news=news), durable=False)
            except StoreError as error:
                _log.error("news of workers could not be told yet: %s", error)
                self._untold = {**news, **self._untold}
                self._bell.set()
                await trio.sleep(_RETRY_S)


def durable(worker: WorkerInfo) -> Durable:
    """What of a worker is news when it is another than before."""
    return (
        *(worker.id, worker.name, worker.state, worker.engine, worker.labels),
        *(worker.slots_count, worker.address, worker.software),
    )


def _insert(connection: sqlite3.Connection, news: Mapping[str, WorkerInfo | None]) -> Sequence[Event]:
    return [
        journal.insert_event(connection, "worker_removed", {"id": worker_id})
        if worker is None
        else journal.insert_event(connection, "worker", to_wire(worker))
        for worker_id, worker in news.items()
    ]
