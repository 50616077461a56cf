"""The connection itself: who is let in, who is sent away, and what is told of a worker."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_protocol import codec
from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_server.channels.worker import WorkerChannel
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.http.message import Response, Upgrade
from tests.server.channels.helpers import FakeSocket, handshake
from tests.server.remote.deck import LOCAL, Deck, deck, until
from tests.server.remote.hand import Hand, uid


def hello(hand: Hand, **changes: object) -> bytes:
    hand.agent.connected(0.0, hand.clock_us)
    return codec.encode({**hand.agent._hello().to_map(), **changes})


async def refused(found: Deck, hand: Hand, *messages: bytes | str) -> tuple[int, str]:
    """How a connection is closed on which this is said."""
    hand.agent.disconnected(hand.link)
    async with found.link(hand, ready=False) as socket:
        for message in messages:
            socket.to_server.send_nowait(message)
        with trio.fail_after(10):
            await socket.closed.wait()
    assert socket.said is not None
    return socket.said


class Mute(Hand):
    """It says nothing by itself."""

    def flush(self) -> None:
        pass


FLOOD: list[Any] = [
    (b"\xff", 1007),
    (b"", 1007),
    ("text", 1003),
    (codec.encode({"kind": "beat"}), 1002),
    (b"\xa1" * 100_000, 1007),
]


@pytest.mark.parametrize(("data", "code"), FLOOD)
async def test_what_is_no_hello_ends_the_connection(tmp_path: Path, data: bytes | str, code: int) -> None:
    async with deck(tmp_path) as found:
        assert (await refused(found, Mute(), data))[0] == code
        assert len(found.workers.all()) == 1


async def test_hellos_that_are_refused(tmp_path: Path) -> None:
    async with deck(tmp_path, worker_limit_count=1, head_timeout_s=1.0) as found:
        hand = Mute()
        assert (await refused(found, hand, hello(hand, version=2)))[0] == 4426
        assert (await refused(found, hand, hello(hand, worker=LOCAL)))[0] == 4423
        assert (await refused(found, hand, hello(hand, worker="../../etc")))[0] == 1007
        assert (await refused(found, hand, hello(hand, name="x" * 10_000)))[0] == 1007
        assert (await refused(found, hand))[0] == 4408
        assert len(found.workers.all()) == 1
        assert (await refused(found, hand, hello(hand), hello(hand)))[0] == 1002
        assert (await refused(found, hand, hello(hand), b"\x00"))[0] in (1002, 1007)
        code, reason = await refused(found, hand, hello(hand, worker=uid(2)))
        assert (code, reason) == (1013, "this server knows as many workers as it may")


async def test_a_copy_of_a_worker_is_refused_and_of_two_connections_the_newer_counts(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            copy = Hand()
            copy.lives = hand.lives
        hand.restart()
        async with found.link(hand):
            copy.restart()
            copy.lives = copy.agent.lives = (*copy.lives[:-1], uid(77))
            assert (await refused(found, copy))[0] == 4423
        async with found.link(hand) as old, found.link(hand):
            await old.closed.wait()
            assert old.said == (4409, "a newer connection of this worker has come")
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)


async def test_a_token_that_is_revoked_ends_the_connection(tmp_path: Path) -> None:
    hand, allowed = Hand(), True
    async with deck(tmp_path, worker_token_look_s=0.01) as found:
        async with found.link(hand, allowed=lambda: allowed) as socket:
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            allowed = False
            with trio.fail_after(10):
                await socket.closed.wait()
            assert socket.said is not None
            assert socket.said[0] == 4401
        assert (await found.core.get(job_id)).state is JobState.RUNNING


async def test_what_a_request_gets(tmp_path: Path) -> None:
    async with deck(tmp_path) as found:
        channel = WorkerChannel(found.remote, found.settings, holds=lambda _identity: True)
        plain = await channel.answer(replace(handshake(), headers=()))
        assert isinstance(plain, Response)
        assert plain.status == 426
        with pytest.raises(BadRequestError, match=r"jobdeck\.worker\.v1"):
            await channel.answer(handshake("jobdeck.events.v1"))
        upgrade = await channel.answer(handshake("jobdeck.worker.v1"))
        assert isinstance(upgrade, Upgrade)
        assert upgrade.subprotocol == "jobdeck.worker.v1"


async def test_what_is_told_of_a_worker_over_its_life(tmp_path: Path) -> None:
    hand = Hand(labels=("gpu", "big"), slots=7)
    async with deck(tmp_path, worker_beat_s=0.5) as found:
        async with found.link(hand):
            told = found.workers.find(hand.id)
            assert (told.name, told.labels, told.slots_count, told.engine) == ("w1", ("gpu", "big"), 7, "worker")
            assert (told.address, told.software) == ("10.0.0.1:5", "hand 1")
            await until(lambda: found.workers.find(hand.id).state is WorkerState.ONLINE)
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            hand.agent.beat = replace(hand.agent.beat, load=1.5, free_bytes=77)
            await until(lambda: found.workers.find(hand.id).load == 1.5)
            await found.workers.rename(hand.id, "big one")
            await found.workers.drain(hand.id, on=True)
            await until(lambda: hand.agent.draining)
            await until(lambda: found.workers.find(hand.id).state is WorkerState.DRAINING)
        await until(lambda: found.workers.find(hand.id).state is WorkerState.UNREACHABLE)
        await until(lambda: found.core.active()[0].unreachable)
        async with found.link(hand):
            await until(lambda: found.workers.find(hand.id).state is WorkerState.DRAINING)  # so it was told
            await until(lambda: not found.core.active()[0].unreachable)
            await found.workers.drain(hand.id, on=False)
            await until(lambda: not hand.agent.draining)
            hand.leave()
            await until(lambda: found.workers.find(hand.id).state is WorkerState.OFFLINE)
        await found.workers.drain(hand.id, on=True)
    async with deck(tmp_path) as found:
        told = found.workers.find(hand.id)
        assert (told.name, told.state, told.labels) == ("big one", WorkerState.OFFLINE, ("gpu", "big"))
        async with found.link(hand):
            assert found.workers.find(hand.id).state is WorkerState.DRAINING
            assert found.core.active()[0].id == job_id
            assert not found.core.active()[0].unreachable
    async with deck(tmp_path) as found:
        assert found.workers.find(hand.id).state is WorkerState.UNREACHABLE, "it did not say goodbye"


async def test_a_worker_that_does_not_read_holds_up_nobody(tmp_path: Path) -> None:
    frozen, hand = Hand(), Hand(2, name="w2")
    async with deck(tmp_path) as found, found.link(frozen) as socket, found.link(hand):
        socket.reading = trio.Event()
        stuck = [await found.submit(frozen, stdin=True) for _ in range(5)]
        await found.core.stdin.write(stuck[0], 0, bytes(1_000_000))
        job_id = await found.submit(hand)
        await found.state(job_id, JobState.RUNNING)
        hand.write(job_id, b"x" * 3_000_000)
        hand.end(job_id)
        assert (await found.ended(job_id)).output_bytes == 3_000_000
        await found.core.stop(stuck[1])
        assert {(await found.core.get(each)).state for each in stuck} == {JobState.STARTING}
        socket.reading.set()
        assert (await found.ended(stuck[1])).state is JobState.STOPPED
        await found.state(stuck[4], JobState.RUNNING)


def test_the_socket_of_these_tests_is_one() -> None:
    assert {"receive", "send_many", "close"} <= set(dir(FakeSocket))
