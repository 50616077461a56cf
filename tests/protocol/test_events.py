from __future__ import annotations

import json
from collections import deque
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from jobdeck_protocol import RemoteWireError, Step, Stream, codec, events, from_wire, to_wire
from jobdeck_protocol.events import (
    Counts,
    Event,
    EventsClient,
    EventsServer,
    Growth,
    Hello,
    Since,
    Snapshot,
    Watch,
    Watched,
)
from jobdeck_protocol.message import Message, parse
from tests.protocol.helpers import job

EVERY: list[Message] = [
    Hello(store="s", first=1, last=9),
    Snapshot(n=5, jobs=(to_wire(job()),)),
    Snapshot(n=5, part=1, more=True, jobs=()),
    Event(n=6, event="job", data=to_wire(job())),
    Event(n=7, event="job_removed", data={"id": "x"}),
    Since(since=3, store="s"),
    Since(),
    Watch(),
    Watch(counts=True, jobs=(Watched("a"), Watched("b", Stream.STDERR))),
    Growth(id="a", size=3, lines=1, indexed=2, ended=False),
    Growth(id="a", stream=Stream.STDOUT, size=3, lines=1, indexed=3, ended=True),
    Counts(states={"running": 3, "failed": 0}),
]
KINDS: dict[str, type[Message]] = {**events.SERVER_KINDS, **events.CLIENT_KINDS}


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("text", [True, False])
def test_round_trip_in_both_forms(message: Message, text: bool) -> None:
    data = events.encode(message, text=text)
    assert isinstance(data, str) is text
    assert parse(KINDS, {**events.decode(data), "later": 1}) == message


@pytest.mark.parametrize(
    "data",
    [
        *("", "[]", "3", "{", b"\xa0", "[" * 100_000),
        '{"kind":"event","n":-1,"event":"job","data":{}}',
        '{"kind":"watch","jobs":["a"]}',
        '{"kind":"watch","jobs":{}}',
        '{"kind":"watch","jobs":[{"stream":"stdout"}]}',
        '{"kind":"watch","jobs":[{"id":7}]}',
        '{"kind":"watch","jobs":[{"id":"a","stream":"terminal"}]}',
        '{"kind":"watch","jobs":[{"id":"a","stream":"both"}]}',
        '{"kind":"watch","counts":1}',
        '{"kind":"watch","jobs":null}',
        '{"kind":"growth","id":"a","size":-1,"lines":0,"indexed":0,"ended":false}',
        '{"kind":"growth","id":"a","size":1,"lines":0,"indexed":0}',
        '{"kind":"counts","states":{"running":"3"}}',
        '{"kind":"counts","states":[]}',
    ],
)
def test_what_makes_no_message(data: bytes | str) -> None:
    with pytest.raises(RemoteWireError):
        parse(KINDS, events.decode(data))


def test_a_server_takes_since_once_and_knows_its_store() -> None:
    server = EventsServer("mine")
    assert server.receive(codec.encode({"kind": "later"})) is None
    asked = server.receive(codec.encode(Since(since=4, store="mine").to_map()))
    assert isinstance(asked, Since)
    assert server.start(asked) == 4
    assert server.start(Since(since=4, store="other")) is None
    assert server.start(Since(since=4)) == 4
    with pytest.raises(RemoteWireError) as caught:
        server.receive(codec.encode(Since().to_map()))
    assert caught.value.close_code == 1002
    with pytest.raises(RemoteWireError):
        server.receive("{}")


def test_a_server_takes_watch_after_since_as_often_as_it_comes() -> None:
    watch = codec.encode(Watch(counts=True).to_map())
    with pytest.raises(RemoteWireError) as caught:
        EventsServer("mine").receive(watch)
    assert caught.value.close_code == 1002
    server = EventsServer("mine")
    server.receive(codec.encode(Since().to_map()))
    assert [server.receive(watch) for _ in range(3)] == [Watch(counts=True)] * 3


def _say(client: EventsClient, message: Message) -> Message | None:
    data = events.encode(message)
    return client.receive(data)


def _asked(client: EventsClient) -> dict[str, Any]:
    return codec.decode(client.begin())


def test_a_client_goes_on_where_it_was() -> None:
    client = EventsClient()
    assert _asked(client) == {"kind": "since", "since": None, "store": None}
    _say(client, Hello(store="s", first=1, last=4))
    _say(client, Snapshot(n=4, more=True, jobs=()))
    assert client.last is None
    _say(client, Snapshot(n=4, part=1, jobs=()))
    assert _say(client, Event(n=5, event="job", data={})) is not None
    assert _asked(client) == {"kind": "since", "since": 5, "store": "s"}
    _say(client, Hello(store="s", first=1, last=6))
    assert _say(client, Event(n=5, event="job", data={})) is None  # seen before
    assert _say(client, Event(n=6, event="job", data={})) is not None
    assert client.receive(codec.encode({"kind": "later"})) is None


def test_another_store_numbers_anew() -> None:
    client = EventsClient(since=100, store="old")
    client.begin()
    _say(client, Hello(store="new", first=1, last=2))
    _say(client, Snapshot(n=2, jobs=()))
    assert _say(client, Event(n=3, event="job", data={})) is not None
    assert (client.store, client.last) == ("new", 3)


def test_order_is_kept() -> None:
    def refused(*messages: Message) -> None:
        client = EventsClient()
        client.begin()
        for message in messages[:-1]:
            _say(client, message)
        with pytest.raises(RemoteWireError):
            _say(client, messages[-1])

    hello = Hello(store="s", first=1, last=4)
    refused(Event(n=1, event="job", data={}))
    refused(hello, hello)
    refused(hello, Snapshot(n=4, part=1, jobs=()))
    refused(hello, Snapshot(n=4, more=True, jobs=()), Event(n=5, event="job", data={}))
    refused(hello, Snapshot(n=4, more=True, jobs=()), Snapshot(n=5, part=1, jobs=()))


def test_long_snapshots_come_in_parts_that_fit() -> None:
    records = [to_wire(job(steps=(Step(command_line="x" * 100_000),))) for _ in range(30)]
    records += [to_wire(job()) for _ in range(470)]
    records.append(to_wire(job(steps=(Step(command_line="y" * 3_000_000),))))
    parts = list(events.snapshot_parts(9, records))
    assert [part.part for part in parts] == list(range(len(parts)))
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert sum(len(part.jobs) for part in parts) == 501
    for part in parts:
        for text in (True, False):
            assert len(events.encode(part, text=text)) <= codec.MESSAGE_LIMIT_BYTES
    assert list(events.snapshot_parts(9, ())) == [Snapshot(n=9, jobs=())]


def test_a_long_record_in_an_event_is_cut() -> None:
    event = events.event_of(1, "job", to_wire(job(steps=(Step(command_line="y\udcff" * 1_000_000),))))
    assert from_wire(event.data).command.startswith("y")
    assert len(events.encode(event)) < codec.MESSAGE_LIMIT_BYTES
    assert json.loads(events.encode(event, text=True))["data"]["trimmed"] is True


def test_a_client_hands_on_what_it_watches_now_and_says_it_again_on_a_new_link() -> None:
    client = EventsClient()
    client.begin()
    assert client.watching() is None
    growth = Growth(id="a", size=1, lines=0, indexed=0, ended=False)
    counts = Counts(states={"running": 1})
    with pytest.raises(RemoteWireError):
        _say(client, counts)  # before hello
    client.begin()
    _say(client, Hello(store="s", first=1, last=4))
    assert _say(client, growth) is None
    client.watch(Watch(jobs=(Watched("a"),)))
    _say(client, Snapshot(n=4, more=True, jobs=()))
    assert _say(client, growth) == growth  # also between the parts of a snapshot
    assert _say(client, counts) is None
    _say(client, Snapshot(n=4, part=1, jobs=()))
    client.watch(Watch(counts=True, jobs=(Watched("a", Stream.STDERR),)))
    assert (_say(client, growth), _say(client, counts)) == (None, counts)
    again = client.watching()
    assert again is not None
    wanted = {"kind": "watch", "counts": True, "jobs": [{"id": "a", "stream": "stderr"}]}
    assert codec.decode(again) == wanted
    client.begin()
    assert client.watching() == again


class Watching(RuleBasedStateMachine):
    """Two ends on links that break at any moment, losing what is under way; the server pushes what it was asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.client = EventsClient()
        self.changes = 0  # events that the server has numbered
        self.seen: list[int] = []
        self.told: dict[Watched, int] = {}
        self.sizes = dict.fromkeys(_JOBS, 0)
        self.link()

    def link(self) -> None:
        self.server = EventsServer("s")
        self.asked: Watch | None = None
        self.at: int | None = None  # the server has told events up to here, None before since came
        self.pushed: dict[Watched, int] = {}
        self.to_server: deque[bytes] = deque([self.client.begin()])
        if (again := self.client.watching()) is not None:
            self.to_server.append(again)
        self.to_client: deque[bytes | str] = deque()

    @rule()
    def breaks(self) -> None:
        self.link()

    @rule(jobs=st.sets(st.sampled_from([Watched(i, s) for i in "abc" for s in (None, Stream.STDERR)]), max_size=3))
    def watch(self, jobs: set[Watched]) -> None:
        self.client.watch(Watch(jobs=tuple(jobs)))
        self.told = {each: size for each, size in self.told.items() if each in jobs}
        message = self.client.watching()
        assert message is not None
        self.to_server.append(message)

    @rule(job=st.sampled_from("abc"))
    def grows(self, job: str) -> None:
        self.sizes[job] += 1

    @rule()
    def changes_a_job(self) -> None:
        self.changes += 1

    @rule()
    def server_hears(self) -> None:
        if not self.to_server:
            return
        message = self.server.receive(self.to_server.popleft())
        if isinstance(message, Since):
            start = self.server.start(message)
            self.at = self.changes if start is None else start
            self._send(Hello(store="s", first=1, last=self.changes))
            if start is None:
                self._send(Snapshot(n=self.at, jobs=()))
        elif isinstance(message, Watch):
            self.asked, self.pushed = message, {}

    @rule()
    def server_tells(self) -> None:
        if self.at is None:
            return
        while self.at < self.changes:
            self.at += 1
            self._send(Event(n=self.at, event="job", data={}))
        for each in self.asked.jobs if self.asked is not None else ():
            size = self.sizes[each.id]
            if self.pushed.get(each) != size:
                self.pushed[each] = size
                self._send(Growth(id=each.id, stream=each.stream, size=size, lines=0, indexed=0, ended=False))

    def _send(self, message: Message) -> None:
        self.to_client.append(events.encode(message))

    @rule()
    def client_hears(self) -> None:
        if not self.to_client:
            return
        message = self.client.receive(self.to_client.popleft())
        if isinstance(message, Event):
            self.seen.append(message.n)
        elif isinstance(message, Growth):
            self.told[Watched(message.id, message.stream)] = message.size

    @invariant()
    def numbers_have_no_gap_and_no_repeat(self) -> None:
        assert self.seen == list(range(self.seen[0], self.seen[-1] + 1)) if self.seen else True

    @invariant()
    def only_what_is_wanted_is_handed_on(self) -> None:
        assert set(self.told) <= set(self.client.wanted.jobs if self.client.wanted is not None else ())

    def teardown(self) -> None:
        """Once nothing is under way any more, the client knows how all that it watches stands."""
        while self.to_server:
            self.server_hears()
        self.server_tells()
        while self.to_client:
            self.client_hears()
        assert self.client.last == self.changes
        wanted = self.client.wanted.jobs if self.client.wanted is not None else ()
        assert self.told == {each: self.sizes[each.id] for each in wanted}


_JOBS = "abc"
TestWatching = Watching.TestCase
TestWatching.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
