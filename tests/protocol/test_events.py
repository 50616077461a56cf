from __future__ import annotations

import json
from typing import Any

import pytest

from jobdeck_protocol import RemoteWireError, Step, codec, events, from_wire, to_wire
from jobdeck_protocol.events import Event, EventsClient, EventsServer, Hello, Since, Snapshot
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
]
KINDS: dict[str, type[Message]] = {**events.SERVER_KINDS, **events.CLIENT_KINDS}


@pytest.mark.parametrize("message", EVERY, ids=lambda message: type(message).__name__)
@pytest.mark.parametrize("text", [True, False])
def test_round_trip_in_both_forms(message: Message, text: bool) -> None:
    data = events.encode(message, text=text)
    assert isinstance(data, str) is text
    assert parse(KINDS, {**events.decode(data), "later": 1}) == message


@pytest.mark.parametrize(
    "data", ["", "[]", "3", "{", '{"kind":"event","n":-1,"event":"job","data":{}}', b"\xa0", "[" * 100_000]
)
def test_what_makes_no_message(data: bytes | str) -> None:
    with pytest.raises(RemoteWireError):
        parse(KINDS, events.decode(data))


def test_a_server_takes_since_once_and_knows_its_store() -> None:
    server = EventsServer("mine")
    assert server.receive(codec.encode({"kind": "later"})) is None
    asked = server.receive(codec.encode(Since(since=4, store="mine").to_map()))
    assert asked is not None
    assert server.start(asked) == 4
    assert server.start(Since(since=4, store="other")) is None
    assert server.start(Since(since=4)) == 4
    with pytest.raises(RemoteWireError) as caught:
        server.receive(codec.encode(Since().to_map()))
    assert caught.value.close_code == 1002
    with pytest.raises(RemoteWireError):
        server.receive("{}")


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
    parts = events.snapshot_parts(9, tuple(records))
    assert [part.part for part in parts] == list(range(len(parts)))
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert sum(len(part.jobs) for part in parts) == 501
    for part in parts:
        for text in (True, False):
            assert len(events.encode(part, text=text)) <= codec.MESSAGE_LIMIT_BYTES
    assert events.snapshot_parts(9, ()) == [Snapshot(n=9, jobs=())]


def test_a_long_record_in_an_event_is_cut() -> None:
    event = events.event_of(1, "job", to_wire(job(steps=(Step(command_line="y\udcff" * 1_000_000),))))
    assert from_wire(event.data).command.startswith("y")
    assert len(events.encode(event)) < codec.MESSAGE_LIMIT_BYTES
    assert json.loads(events.encode(event, text=True))["data"]["trimmed"] is True
