"""Events of things of which there are few: told when what is known of one has changed for longer than a moment.

Whoever has news leaves it here and goes on: of several about one thing only the newest counts, and what the database
would not take is offered again.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import trio

from jobdeck_server.core import journal
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence

    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.journal import Event

__all__ = ["News", "Words"]

T = TypeVar("T")

_log = logging.getLogger("jobdeck.news")
_RETRY_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Generic[T]):
    """How things of one sort are told.

    Attributes:
        event: The word for one that has come or changed; with ``_removed`` behind it, for one that is gone.
        wire: What is told of one.
        durable: What of it is news when it is another than before.
    """

    event: str
    wire: Callable[[T], Mapping[str, Any]]
    durable: Callable[[T], object]


class News(Generic[T]):
    """See the top of this file. ``run`` must be running for events to come."""

    def __init__(self, events: EventLog, words: Words[T]) -> None:
        self._events = events
        self._words = words
        self._known: dict[str, object] = {}
        self._untold: dict[str, T | None] = {}
        self._bell = trio.Event()

    def know(self, name: str, thing: T) -> None:
        """A thing, by its id, is as everybody knows already: no news."""
        self._known[name] = self._words.durable(thing)

    def tell(self, name: str, thing: T) -> None:
        """A thing as it is now; nothing happens if that is known."""
        if self._known.get(name) != self._words.durable(thing):
            self.know(name, thing)
            self._untold[name] = thing
            self._bell.set()

    def gone(self, name: str) -> None:
        """A thing is known no more."""
        self._known.pop(name, None)
        self._untold[name] = None
        self._bell.set()

    async def run(self) -> None:
        """Bring news into the stream of events, until cancelled."""
        while True:
            await self._bell.wait()
            self._bell = trio.Event()
            news, self._untold = self._untold, {}
            try:
                await self._events.commit(partial(self._insert, news=news), durable=False)
            except StoreError as error:
                _log.error("news (%s) could not be told yet: %s", self._words.event, error)
                self._untold = {**news, **self._untold}
                self._bell.set()
                await trio.sleep(_RETRY_S)

    def _insert(self, connection: sqlite3.Connection, news: Mapping[str, T | None]) -> Sequence[Event]:
        event, wire = self._words.event, self._words.wire
        return [
            journal.insert_event(connection, f"{event}_removed", {"id": name})
            if thing is None
            else journal.insert_event(connection, event, wire(thing))
            for name, thing in news.items()
        ]
