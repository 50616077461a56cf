from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol import (
    ClientSession,
    JobState,
    LocalWireError,
    RemoteWireError,
    Role,
    Run,
    ServerSession,
    Stage,
    Stream,
    attach,
    codec,
)
from jobdeck_protocol.message import Message
from jobdeck_protocol.session import TABLE
from tests.protocol.helpers import Log, Pair, job

STREAMS = [None, frozenset({Stream.STDOUT}), frozenset({Stream.STDERR}), frozenset(Stream) - {Stream.SKIPPED}]
WRITE = st.tuples(st.just("write"), st.sampled_from([Stream.STDOUT, Stream.STDERR, Stream.UNKNOWN]), st.integers(1, 90))
STEP = st.one_of(
    WRITE,
    st.tuples(st.just("serve"), st.integers(1, 200), st.none()),
    *(st.tuples(st.just(name), st.none(), st.none()) for name in ("server", "client", "take", "cut", "end")),
)


@settings(max_examples=300, deadline=None)
@given(
    steps=st.lists(STEP, max_size=120),
    offset=st.integers(-60, 60),
    streams=st.sampled_from(STREAMS),
    window=st.integers(1, 150),
)
def test_whatever_happens_each_byte_comes_once(
    steps: list[tuple[str, object, object]], offset: int, streams: frozenset[Stream] | None, window: int
) -> None:
    log = Log()
    log.write(Stream.STDOUT, bytes(range(60)))
    client = ClientSession(offset=offset, streams=streams, window_bytes=window)
    pair = Pair(log, client, streams)
    start = None
    for name, first, second in steps:
        if name == "write" and not log.ended:
            assert isinstance(first, Stream)
            assert isinstance(second, int)
            log.write(first, bytes((len(log.runs) + i) % 256 for i in range(second)))
        elif name == "serve":
            assert isinstance(first, int)
            pair.serve(first)
        elif name == "server":
            pair.step_server()
        elif name == "client":
            pair.step_client()
        elif name == "take":
            pair.take()
        elif name == "cut" and client.stage is not Stage.DONE:
            pair.connect()
        elif name == "end":
            log.ended = True
        if offset >= 0:  # a negative offset is granted by the server, which does not know the window
            assert pair.under_way() <= window
        if start is None and client.stage is Stage.OPEN:
            assert pair.greeted is not None
            start = pair.greeted
    pair.finish()
    if offset >= 0:
        assert pair.got == log.wanted(offset, streams)
    else:
        assert pair.greeted is not None
        assert pair.got == log.wanted(pair.greeted if start is None else start, streams)
    assert pair.exits == 1
    assert client.position == len(log.data)


def open_pair(**given: object) -> tuple[ServerSession, ClientSession]:
    client = ClientSession(**given)  # type: ignore[arg-type]  # a test says what it means by name
    server = ServerSession()
    server.receive(client.begin())
    client.receive(server.hello(job(), first=0, size=0))
    return server, client


def say(message: Message) -> bytes:
    return codec.encode(message.to_map())


STDOUT = (Run(3, Stream.STDOUT, 0),)
EXIT = attach.Exit(code=0, state=JobState.SUCCEEDED, output_bytes=0, dropped_bytes=0, offset=0)


def test_the_table_is_whole() -> None:
    for role in Role:
        assert set(TABLE[role]) == set(Stage)
    kinds = {kind for row in TABLE[Role.SERVER].values() for kind in row}
    assert kinds == set(attach.SERVER_KINDS.values())
    kinds = {kind for row in TABLE[Role.CLIENT].values() for kind in row}
    assert kinds == set(attach.CLIENT_KINDS.values())


def test_order_is_kept_by_both_ends() -> None:
    server, client = ServerSession(), ClientSession()
    with pytest.raises(RemoteWireError) as caught:
        server.receive(say(attach.Credit(upto=1)))
    assert caught.value.close_code == 1002
    with pytest.raises(LocalWireError):
        server.hello(job(), first=0, size=0)
    with pytest.raises(LocalWireError):
        client.send(attach.Credit(upto=1))
    with pytest.raises(RemoteWireError):
        client.receive(say(attach.Note(note="x")))
    server.receive(client.begin())
    with pytest.raises(RemoteWireError):
        server.receive(say(attach.Attach()))
    with pytest.raises(LocalWireError):
        server.send(attach.Note(note="x"))
    client.receive(server.hello(job(), first=0, size=0))
    client.receive(server.send(EXIT))
    assert server.stage is client.stage is Stage.DONE
    assert server.receive(client.send(attach.Signal(signal=9))) is None
    with pytest.raises(LocalWireError):
        server.send(attach.Note(note="late"))
    with pytest.raises(RemoteWireError):
        client.receive(say(attach.Note(note="late")))


def test_texts_are_refused() -> None:
    for end in (ServerSession(), ClientSession()):
        with pytest.raises(RemoteWireError) as caught:
            end.receive("hello")
        assert caught.value.close_code == 1003


def test_no_byte_without_credit() -> None:
    server, _client = open_pair(window_bytes=5)
    server.output(STDOUT)
    assert server.room() == 2
    with pytest.raises(LocalWireError):
        server.output(STDOUT)
    server.receive(say(attach.Credit(upto=2)))  # less than before: harmless
    assert server.room() == 2
    server.receive(say(attach.Credit(upto=6)))
    server.output(STDOUT)
    assert server.room() == 0


def test_a_client_sees_what_a_server_may_not_do() -> None:
    def refused(*messages: Message, **given: object) -> None:
        _server, client = open_pair(**given)
        for message in messages[:-1]:
            client.receive(say(message))
        with pytest.raises(RemoteWireError):
            client.receive(say(messages[-1]))

    one = attach.Output(offset=0, runs=STDOUT, data=b"abc")
    refused(one, one)  # doubled
    refused(attach.Output(offset=1, runs=STDOUT, data=b"abc"))  # a hole
    refused(attach.Output(offset=0, runs=(Run(1, Stream.SKIPPED, 0),), data=b""))
    refused(one, window_bytes=2)
    refused(one, EXIT)  # exit before the end
    refused(attach.Gap(start=4, to=9, why=attach.Why.LIMIT))
    only = frozenset({Stream.STDERR})
    refused(one, attach.Output(offset=2, runs=STDOUT, data=b"abc"), streams=only)


def test_a_jump_is_no_gap_with_a_filter() -> None:
    _server, client = open_pair(streams=frozenset({Stream.STDOUT}))
    client.receive(say(attach.Output(offset=7, runs=STDOUT, data=b"abc")))
    assert client.position == 10


def test_a_negative_offset_counts_from_the_end_once() -> None:
    client, server = ClientSession(offset=-4, window_bytes=100), ServerSession(credit_bytes=50)
    server.receive(client.begin())
    client.receive(server.hello(job(), first=0, size=10))
    assert client.position == server.position == 6
    assert server.room() == 50
    credit = client.credit()
    assert credit is not None
    server.receive(credit)
    assert server.room() == 100
    again = ServerSession()
    again.receive(client.begin())
    client.receive(again.hello(job(), first=0, size=1000))
    assert again.position == 6


def test_an_offset_beyond_an_ended_job_closes_4416() -> None:
    ended = job(state=JobState.SUCCEEDED)
    server = ServerSession()
    server.receive(ClientSession(offset=11).begin())
    with pytest.raises(RemoteWireError) as caught:
        server.hello(ended, first=0, size=10)
    assert caught.value.close_code == 4416
    server = ServerSession()
    server.receive(ClientSession(offset=10).begin())
    server.hello(ended, first=0, size=10)
    server = ServerSession()
    server.receive(ClientSession(offset=11).begin())
    server.hello(job(), first=0, size=10)  # a running job may still come there


def test_gaps_are_told_once_and_only_removed_ones_move_on() -> None:
    server, client = open_pair()
    limit = attach.Gap(start=0, to=5, why=attach.Why.LIMIT)
    assert client.receive(server.send(limit)) == limit
    server = ServerSession()
    server.receive(client.begin())
    client.receive(server.hello(job(), first=0, size=0))
    assert client.receive(server.send(limit)) is None
    removed = attach.Gap(start=0, to=7, why=attach.Why.REMOVED)
    assert client.receive(server.send(removed)) == removed
    assert client.position == server.position == 7


def test_the_server_says_nothing_wrong() -> None:
    server, _client = open_pair()
    with pytest.raises(LocalWireError):
        server.send(attach.Gap(start=1, to=2, why=attach.Why.LIMIT))
    with pytest.raises(LocalWireError):
        server.send(attach.Output(offset=0, runs=STDOUT, data=b"abc"))
    with pytest.raises(LocalWireError):
        server.output((Run(1, Stream.SKIPPED, 0),))
    server.output(STDOUT)
    with pytest.raises(LocalWireError):
        server.send(EXIT)
    assert "open" in repr(server)


def test_unknown_kinds_are_passed_over() -> None:
    server, client = open_pair()
    assert server.receive(codec.encode({"kind": "dance"})) is None
    assert client.receive(codec.encode({"kind": "dance"})) is None
