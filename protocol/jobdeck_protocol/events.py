"""The messages of the events channel, ``jobdeck.events.v1``, and its two small state machines.

A server numbers every change of its jobs, blobs, packages, contexts and workers without end; this channel tells
them live, each once. The client says first from where on (``since``), the server answers ``hello``, and then:

    event       one change and its number
    snapshot    the number asked for is not known here (too old, or of another store): the newest jobs and those
                that have not ended, as of number ``n``, in one or more parts; what follows are the events after it

What changes too often to be numbered is told to those who ask for it: ``watch``, and the pushes that it brings, are in
the module of that name.

With the subprotocol a message is one CBOR map (see ``codec``), without it the same map as one JSON text, and ``since``
and ``watch`` come in the query. Numbers are only comparable within one ``store``.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from jobdeck_protocol import codec
from jobdeck_protocol.errors import CLOSE_BAD_ORDER, CLOSE_BAD_TYPE, CLOSE_TOO_BIG, LocalWireError, RemoteWireError
from jobdeck_protocol.message import Message, check, check_number, check_text, fitted, parse, wired
from jobdeck_protocol.watch import Counts, Growth, Watch, Watched

__all__ = [
    "CLIENT_KINDS",
    "SERVER_KINDS",
    "SUBPROTOCOL",
    "VERSION",
    "ClientMessage",
    "Counts",
    "Event",
    "EventsClient",
    "EventsServer",
    "Growth",
    "Hello",
    "ServerMessage",
    "Since",
    "Snapshot",
    "Watch",
    "Watched",
    "decode",
    "encode",
    "event_of",
    "snapshot_parts",
]

SUBPROTOCOL = "jobdeck.events.v1"
VERSION = 1
SNAPSHOT_PART_COUNT = 100
"""At most so many records in one part of a snapshot; fewer where they are long."""

_PART_BYTES = codec.MESSAGE_LIMIT_BYTES * 3 // 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Since(Message):
    """The client's first message, said once.

    Attributes:
        since: The last number it has seen; None for what comes, with a snapshot before it.
        store: The store that numbered it; None if it does not care.
    """

    kind: ClassVar[str] = "since"
    since: int | None = None
    store: str | None = None

    def __post_init__(self) -> None:
        if self.since is not None:
            check_number("since", self.since)
        if self.store is not None:
            check_text("store", self.store, limit_count=256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """The server's answer: which store this is, and which numbers it still knows.

    Attributes:
        version: Of the protocol.
        store: Identity of the store; another one numbers anew.
        first: Number of the oldest event still kept.
        last: Number of the newest event.
    """

    kind: ClassVar[str] = "hello"
    version: int = VERSION
    store: str
    first: int
    last: int

    def __post_init__(self) -> None:
        check_number("version", self.version, low=1)
        check_text("store", self.store, limit_count=256)
        check_number("first", self.first)
        check_number("last", self.last)


def _records_of(wire: object) -> tuple[Mapping[str, Any], ...]:
    check(isinstance(wire, list), "jobs must be a list")
    assert isinstance(wire, list)
    return tuple(wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot(Message):
    """Records of jobs as they stood at number ``n``, newest first, or a part of them.

    They are the newest jobs, and those that have not ended; but how many of either is bounded.

    Attributes:
        n: Number of the last event that they know of.
        jobs: Records as ``job.to_wire`` makes them.
        part: 0 for the first part.
        more: Another part follows.
    """

    kind: ClassVar[str] = "snapshot"
    n: int
    part: int = 0
    more: bool = False
    jobs: tuple[Mapping[str, Any], ...] = field(metadata=wired(out=list, into=_records_of))

    def __post_init__(self) -> None:
        check_number("n", self.n)
        check_number("part", self.part)
        check(isinstance(self.more, bool), "more must be true or false")
        check(isinstance(self.jobs, tuple) and all(isinstance(job, Mapping) for job in self.jobs), "jobs must be maps")


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Message):
    """One change.

    Attributes:
        n: Its number, greater than that of every event before it.
        event: What changed: ``job`` (``data`` is its record), ``job_removed`` (``data`` is ``{"id"}``), ``blob``
            (``data`` as ``blob.to_wire`` makes it), ``blob_removed`` (``{"hash"}``), ``context`` (as
            ``contextinfo.to_wire`` makes it; how many jobs it has is no change), ``context_removed`` (``{"id"}``: it
            was of one job, or ended long ago), ``callback`` (it is over: ``{"id", "delivery", "state", "tries",
            "text"}``), or a word of a newer server.
        data: See ``event``.
    """

    kind: ClassVar[str] = "event"
    n: int
    event: str
    data: Mapping[str, Any]

    def __post_init__(self) -> None:
        check_number("n", self.n)
        check_text("event", self.event, limit_count=64)
        check(isinstance(self.data, Mapping), "data must be a map")


ServerMessage = Hello | Snapshot | Event | Growth | Counts
ClientMessage = Since | Watch

SERVER_KINDS: Mapping[str, type[ServerMessage]] = MappingProxyType(
    {each.kind: each for each in (Hello, Snapshot, Event, Growth, Counts)}
)
CLIENT_KINDS: Mapping[str, type[ClientMessage]] = MappingProxyType({each.kind: each for each in (Since, Watch)})


def encode(message: Message, *, text: bool = False) -> bytes | str:
    """A message for the wire: CBOR, or with ``text`` the same map as JSON.

    Raises:
        LocalWireError: It is longer than a message may be.
    """
    wire = message.to_map()
    if not text:
        return codec.encode(wire)
    data = json.dumps(wire, separators=(",", ":"))
    if len(data) > codec.MESSAGE_LIMIT_BYTES:
        raise LocalWireError("a message is too long")
    return data


def decode(data: bytes | str) -> Mapping[str, Any]:
    """The map that one message of either form holds.

    Raises:
        RemoteWireError: It holds none.
    """
    if isinstance(data, bytes):
        return codec.decode(data)
    if len(data) > codec.MESSAGE_LIMIT_BYTES:
        raise RemoteWireError("a message is too long", close_code=CLOSE_TOO_BIG)
    try:
        wire = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise RemoteWireError("not JSON") from error
    if not isinstance(wire, dict):
        raise RemoteWireError("a message is a map")
    return wire


def event_of(n: int, event: str, data: Mapping[str, Any]) -> Event:
    """An event that fits a message: a job's record that is too long is cut (see ``message.fitted``)."""
    return Event(n=n, event=event, data=fitted(data) if event == "job" else data)


def snapshot_parts(n: int, jobs: Iterable[Mapping[str, Any]]) -> Iterator[Snapshot]:
    """A snapshot in parts that each fit a message; at least one, which may be empty."""
    part: list[Mapping[str, Any]] = []
    number, room = 0, _PART_BYTES
    for job in jobs:
        record = fitted(job)
        length = len(json.dumps(record))
        if part and (length > room or len(part) >= SNAPSHOT_PART_COUNT):
            yield Snapshot(n=n, part=number, more=True, jobs=tuple(part))
            part, number, room = [], number + 1, _PART_BYTES
        part.append(record)
        room -= length
    yield Snapshot(n=n, part=number, jobs=tuple(part))


class EventsServer:
    """The server's end: takes one ``since``, then tells ``hello`` and what follows, in order; ``watch`` at any time.

    Args:
        store: Identity of the store.
    """

    def __init__(self, store: str) -> None:
        self._store = store
        self._asked = False

    def receive(self, data: bytes | str) -> ClientMessage | None:
        """The client's message, a ``Since`` first; None for one of a kind that is not known.

        Raises:
            RemoteWireError: It is malformed, a text, or out of order.
        """
        if isinstance(data, str):
            raise RemoteWireError("a text on a channel of binary messages", close_code=CLOSE_BAD_TYPE)
        message = parse(CLIENT_KINDS, codec.decode(data))
        if message is None:
            return None
        if isinstance(message, Since) == self._asked:
            raise RemoteWireError("since comes first, and once", close_code=CLOSE_BAD_ORDER)
        self._asked = True
        return message

    def start(self, asked: Since) -> int | None:
        """The number after which to go on; None (a snapshot first) if it was another store's."""
        return asked.since if asked.store in (None, self._store) else None


class EventsClient:
    """The client's end: knows where it stands, so that each event is told once across any number of links.

    Attributes:
        store: The store that numbered ``last``, None before the first ``hello``.
        last: The last number that was seen; None before the first event or whole snapshot.
        wanted: What is watched beside the events, None before the first ``watch``.
    """

    def __init__(self, *, since: int | None = None, store: str | None = None) -> None:
        self.store = store
        self.last = since
        self.wanted: Watch | None = None
        self._greeted = False
        self._snapshot_n: int | None = None

    def begin(self) -> bytes:
        """The first message on a new link."""
        self._greeted = False
        self._snapshot_n = None
        return codec.encode(Since(since=self.last, store=self.store).to_map())

    def watch(self, wanted: Watch) -> None:
        """Ask for something else than before, from now on: ``watching`` is to be sent once more."""
        self.wanted = wanted

    def watching(self) -> bytes | None:
        """What follows ``begin`` on a new link, and each ``watch`` on an open one; None if nothing was ever asked for.

        Raises:
            LocalWireError: More is asked for than fits a message.
        """
        return None if self.wanted is None else codec.encode(self.wanted.to_map())

    def receive(self, data: bytes | str) -> ServerMessage | None:
        """The message to hand on.

        None for one of an unknown kind, an event that was seen before, and what is no longer watched.

        Raises:
            RemoteWireError: It is malformed or out of order.
        """
        message = parse(SERVER_KINDS, decode(data))
        if message is None:
            return None
        if isinstance(message, Hello) == self._greeted:
            raise RemoteWireError("hello comes first, and once", close_code=CLOSE_BAD_ORDER)
        match message:
            case Hello():
                self._hello(message)
            case Snapshot():
                self._snapshot(message)
            case Event():
                return message if self._is_new(message) else None
            case Growth() | Counts():
                return message if self._is_wanted(message) else None
        return message

    def _is_new(self, event: Event) -> bool:
        if self._snapshot_n is not None:
            raise RemoteWireError("an event within a snapshot", close_code=CLOSE_BAD_ORDER)
        if self.last is not None and event.n <= self.last:
            return False
        self.last = event.n
        return True

    def _is_wanted(self, message: Growth | Counts) -> bool:
        if self.wanted is None:
            return False
        if isinstance(message, Counts):
            return self.wanted.counts
        return Watched(message.id, message.stream) in self.wanted.jobs

    def _hello(self, hello: Hello) -> None:
        self._greeted = True
        if self.store not in (None, hello.store):
            self.last = None  # another store numbers anew; its snapshot follows
        self.store = hello.store

    def _snapshot(self, part: Snapshot) -> None:
        if (part.part > 0) != (self._snapshot_n is not None) or self._snapshot_n not in (None, part.n):
            raise RemoteWireError("parts of a snapshot out of order", close_code=CLOSE_BAD_ORDER)
        self._snapshot_n = part.n if part.more else None
        if not part.more:
            # Only a whole snapshot counts: after a break within one, the next link starts it again.
            self.last = part.n
