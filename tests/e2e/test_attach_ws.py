"""Attach over WebSocket against the real program, with a client that knows nothing of the server's insides."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, ConnectionRejected, WebSocketConnection

from jobdeck_protocol import attach as wire
from jobdeck_protocol.runs import Stream
from jobdeck_protocol.session import ClientSession
from tests.e2e.attachers import Exact, closed_with, over_cbor, over_raw, websocket
from tests.e2e.program import Server
from tests.e2e.wire import ask


async def blocking(call: Callable[..., Any], *words: Any, **more: Any) -> Any:
    return await trio.to_thread.run_sync(partial(call, *words, **more))


async def submitted(deck: Server, **fields: object) -> str:
    answer = await blocking(ask, deck.port, "POST", "/v1/jobs", json.dumps(fields).encode())
    assert answer.status == 201, answer.text
    return str(json.loads(answer.body)["id"])


class Talk:
    """One attach, message by message."""

    def __init__(self, opened: WebSocketConnection, session: ClientSession) -> None:
        self.opened = opened
        self.session = session

    async def say(self, message: wire.ClientMessage) -> None:
        await self.opened.send_message(self.session.send(message))

    async def hear(self, *kinds: type[wire.ServerMessage]) -> Any:
        """The next message of these kinds; others are passed by."""
        with trio.fail_after(10):
            while True:
                message = self.session.receive(await self.opened.get_message())
                if message is not None:
                    self.session.taken(message)
                if isinstance(message, kinds):
                    return message

    async def hear_all(self) -> bytes:
        """All output that follows, to the exit."""
        parts = []
        while isinstance(message := await self.hear(wire.Output, wire.Exit), wire.Output):
            parts.append(message.data)
            if (credit := self.session.credit()) is not None:
                await self.opened.send_message(credit)
        return b"".join(parts)

    async def close_reason(self) -> tuple[int, str]:
        with trio.fail_after(10), contextlib.suppress(ConnectionClosed):
            while True:
                await self.opened.get_message()
        return closed_with(self.opened)


@contextlib.asynccontextmanager
async def talking(deck: Server, job_id: str, session: ClientSession | None = None) -> Any:
    session = session or ClientSession()
    async with websocket(f"{deck.url}/{job_id}/attach", wire.SUBPROTOCOL) as opened:
        await opened.send_message(session.begin())
        yield Talk(opened, session)


# -- raw --


@pytest.mark.parametrize(
    ("script", "close"),
    [
        ("echo x", (1000, "exit 0")),
        ("echo x; exit 42", (1000, "exit 42")),
        ("echo x; kill -KILL $$", (1000, "signal 9")),
        ("echo x; kill -USR1 $$; sleep 5", (1000, "signal 10")),
    ],
)
async def test_raw_closes_with_how_the_job_ended(deck: Server, script: str, close: tuple[int, str]) -> None:
    job_id = await blocking(deck.submit, script)
    for _ in range(2):  # live, and from what is kept
        exact = Exact(b"x\n")
        assert await over_raw(deck.url, job_id, exact) == close
        assert exact.whole


async def test_raw_of_what_never_started_has_no_status(deck: Server) -> None:
    job_id = await submitted(deck, argv=["/no/such/program"])
    assert await over_raw(deck.url, job_id, Exact(b"")) == (4000, "failed")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?offset=2", b"t\nerr\n"),
        ("?offset=-4", b"err\n"),
        ("?stream=stderr", b"err\n"),
        ("?stream=stdout&offset=1", b"ut\n"),
    ],
)
async def test_raw_takes_the_same_query(deck: Server, query: str, expected: bytes) -> None:
    job_id = await blocking(deck.submit, "echo out; echo err >&2")
    await blocking(deck.wait, job_id)
    exact = Exact(expected)
    assert await over_raw(deck.url, job_id, exact, query) == (1000, "exit 0")
    assert exact.whole


async def test_raw_without_following(deck: Server) -> None:
    job_id = await blocking(deck.submit, "sleep 20")
    assert (await over_raw(deck.url, job_id, Exact(b""), "?follow=false"))[0] == 4000
    await blocking(ask, deck.port, "DELETE", f"/{job_id}")


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/nope/attach", 404, b"Job nope not found."),
        ("/{id}/attach?offset=3", 416, b"Offset 3 is beyond the end of the output, which has 2 bytes."),
        ("/{id}/attach?offset=x", 400, b"offset must be a number of bytes, not 'x'."),
        ("/{id}/attached", 404, b"404 page not found"),
    ],
)
async def test_handshakes_that_are_refused(deck: Server, path: str, status: int, words: bytes) -> None:
    job_id = await blocking(deck.submit, "echo x")
    await blocking(deck.wait, job_id)
    with pytest.raises(ExceptionGroup) as caught:
        async with websocket(deck.url + path.format(id=job_id)) as opened:
            await opened.get_message()
    error = leaf(caught.value)
    assert isinstance(error, ConnectionRejected)
    assert (error.status_code, error.body) == (status, words + b"\n")


def leaf(error: BaseException) -> BaseException:
    """The one error in nurseries' groups."""
    return leaf(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error


# -- with the subprotocol --


async def test_binary_output_is_exact(deck: Server) -> None:
    expected = bytes(range(256)) * 20_000
    job_id = await blocking(deck.submit, "p=$(printf '\\\\x%02x' {0..255}); for i in {1..200}; do printf \"$p\"; done")
    await over_cbor(deck.url, job_id, Exact(expected[: 256 * 200]))
    exact = Exact(expected[: 256 * 200])
    assert (await over_cbor(deck.url, job_id, exact))[0] is not None
    assert exact.whole


async def test_hello_tells_where_it_stands(deck: Server) -> None:
    job_id = await blocking(deck.submit, "echo 12345; exit 3")
    await blocking(deck.wait, job_id)
    async with talking(deck, job_id, ClientSession(offset=2)) as talk:
        hello = await talk.hear(wire.Hello)
        assert (hello.job.id, hello.first, hello.size, hello.offset) == (job_id, 0, 6, 2)
        output = await talk.hear(wire.Output)
        assert (output.offset, output.data, output.runs[0].stream) == (2, b"345\n", Stream.STDOUT)
        assert abs(output.runs[0].time_us / 1e6 - time.time()) < 60
        ended = await talk.hear(wire.Exit)
        assert (ended.code, ended.signal, ended.state, ended.output_bytes, ended.offset) == (3, None, "failed", 6, 6)
        assert await talk.close_reason() == (1000, "")


async def test_streams_are_told_apart_and_in_order(deck: Server) -> None:
    job_id = await blocking(deck.submit, "for i in {1..50}; do echo out$i; echo err$i >&2; done")
    pieces = []
    async with talking(deck, job_id) as talk:
        while isinstance(message := await talk.hear(wire.Output, wire.Exit), wire.Output):
            pieces += [(run.stream, data) for _, run, data in message.pieces()]
    lines = [(stream, line) for stream, data in pieces for line in data.splitlines()]
    words = ((Stream.STDOUT, b"out%d"), (Stream.STDERR, b"err%d"))
    assert lines == [(stream, word % n) for n in range(1, 51) for stream, word in words]


async def test_one_stream_alone(deck: Server) -> None:
    job_id = await blocking(deck.submit, "for i in {1..50}; do echo out$i; echo err$i >&2; done")
    async with talking(deck, job_id, ClientSession(streams=frozenset({Stream.STDERR}))) as talk:
        assert await talk.hear_all() == b"".join(b"err%d\n" % n for n in range(1, 51))


async def test_attach_before_during_and_after(deck: Server) -> None:
    job_id = await blocking(deck.submit, "sleep 0.3; echo one; sleep 0.3; echo two; exit 1")
    async with talking(deck, job_id) as early:
        hello = await early.hear(wire.Hello)
        assert (hello.size, hello.job.ended) == (0, False)
        assert (await early.hear(wire.Output)).data == b"one\n"
        async with talking(deck, job_id, ClientSession(offset=2)) as late:
            assert await late.hear_all() == b"e\ntwo\n"
        assert await early.hear_all() == b"two\n"
    async with talking(deck, job_id) as after:
        assert await after.hear_all() == b"one\ntwo\n"


async def test_nothing_is_sent_without_credit(deck: Server) -> None:
    job_id = await blocking(deck.submit, "head -c 20000 /dev/zero")
    await blocking(deck.wait, job_id)
    async with talking(deck, job_id, ClientSession(window_bytes=1000)) as talk:
        await talk.hear(wire.Hello)
        for _ in range(3):
            assert len((await talk.hear(wire.Output)).data) == 1000
            with trio.move_on_after(0.1) as scope:
                await talk.hear(wire.Output, wire.Exit)
            assert scope.cancelled_caught
            credit = talk.session.credit()
            assert credit is not None
            await talk.opened.send_message(credit)
        assert len(await talk.hear_all()) == 20_000 - 3000


async def test_breaking_and_coming_back_loses_and_doubles_nothing(deck: Server) -> None:
    job_id = await blocking(deck.submit, "seq 1 300000")
    expected = b"".join(b"%d\n" % n for n in range(1, 300_001))
    session, exact, links = ClientSession(window_bytes=100_000), Exact(expected), 0
    ended = None
    while ended is None:
        links += 1
        with trio.move_on_after(0.02 + links * 0.005):
            ended, _ = await over_cbor(deck.url, job_id, exact, session)
    assert exact.whole
    assert links > 1


# -- the other way --


async def test_stdin_to_the_job_and_its_end(deck: Server) -> None:
    job_id = await submitted(deck, command="tr a-z A-Z; echo done", stdin=True)
    data = b"one two\n" * 40_000
    async with talking(deck, job_id) as talk:
        ack = await talk.hear(wire.StdinAck)
        assert ack.upto == 0
        sent = 0
        while sent < len(data):
            piece = data[sent : min(sent + 65536, ack.upto + ack.window)]
            await talk.say(wire.Stdin(offset=sent, data=piece))
            sent += len(piece)
            ack = await talk.hear(wire.StdinAck)
        await talk.say(wire.Stdin(offset=0, data=data[:8]))  # again: harmless
        await talk.say(wire.Eof(offset=len(data)))
        assert (await talk.hear(wire.Exit)).code == 0
    async with talking(deck, job_id) as talk:
        assert await talk.hear_all() == data.upper() + b"done\n"


async def test_stdin_that_was_said_before_leaving_arrives(deck: Server) -> None:
    for _ in range(20):
        job_id = await submitted(deck, command="cat", stdin=True)
        async with talking(deck, job_id) as talk:
            await talk.hear(wire.StdinAck)
            await talk.say(wire.Stdin(offset=0, data=b"said and gone"))
            await talk.hear(wire.StdinAck)
            await talk.say(wire.Eof(offset=13))
        with trio.fail_after(5):
            assert await blocking(deck.attach, job_id) == b"said and gone"


async def test_a_signal_to_a_job_that_is_starting_waits_for_its_start(deck: Server) -> None:
    for _ in range(10):
        job_id = await submitted(deck, argv=["sleep", "20"])
        answer = await blocking(ask, deck.port, "POST", f"/v1/jobs/{job_id}/signal", b'{"signal":"INT"}')
        assert answer.status == 202
        job = await blocking(deck.wait, job_id)
        assert (job["state"], job["signal"], job["error"]) == ("failed", 2, "ended by SIGINT")


async def test_stdin_has_one_writer(deck: Server) -> None:
    job_id = await submitted(deck, command="cat", stdin=True)
    async with talking(deck, job_id) as first, talking(deck, job_id) as second:
        await first.say(wire.Stdin(offset=0, data=b"mine"))
        await first.hear(wire.Output)
        await second.say(wire.Stdin(offset=4, data=b"yours"))
        assert (await second.hear(wire.Error)).error is wire.Refusal.BUSY
        await first.say(wire.Eof(offset=4))
        assert (await second.hear(wire.Exit)).code == 0
    assert await blocking(deck.attach, job_id) == b"mine"


async def test_stdin_of_a_job_that_did_not_ask_for_it(deck: Server) -> None:
    job_id = await submitted(deck, command="sleep 20")
    async with talking(deck, job_id) as talk:
        await talk.say(wire.Stdin(offset=0, data=b"x"))
        refused = await talk.hear(wire.Error)
        assert (refused.error, refused.about) == (wire.Refusal.CONFLICT, "stdin")
        assert "did not ask for standard input" in refused.text
        await talk.say(wire.Resize(rows=20, columns=80))
        assert (await talk.hear(wire.Error)).error is wire.Refusal.UNSUPPORTED
        await talk.say(wire.Signal(signal=15))
        ended = await talk.hear(wire.Exit, wire.Error)
        assert (ended.code, ended.signal, ended.state) == (None, 15, "failed")
