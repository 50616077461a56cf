from __future__ import annotations

from pathlib import Path

import pytest
import trio

from jobdeck_client import (
    Client,
    EndedError,
    LinkClosed,
    LinkState,
    NotFoundError,
    OffsetError,
    RefusedError,
    UnreachableError,
    find_server,
    link,
)
from jobdeck_protocol import JobState, attach
from tests.client.helpers import breaking, collect, ended
from tests.e2e.program import server

SEQ = b"".join(b"%d\n" % i for i in range(1, 60_001))


@pytest.fixture(autouse=True)
def _soon_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "DELAY_FIRST_S", 0.002)
    monkeypatch.setattr(link, "DELAY_LIMIT_S", 0.05)


@pytest.mark.parametrize("seed", range(3))
async def test_a_wire_that_breaks_at_random_loses_and_doubles_nothing(url: str, seed: int) -> None:
    async with breaking(url, seed=seed, least=300, most=60_000) as wire, Client(url) as direct:
        job = await direct.submit(command="seq 1 20000; sleep 0.1; seq 20001 60000; seq 1 5 >&2; exit 7")
        states: list[LinkState] = []
        async with Client(wire.url) as client:
            with trio.fail_after(40):
                async with client.attach(
                    job.id, window_bytes=100_000, on_link=states.append, patient=True
                ) as all_of_it:
                    got = await collect(all_of_it)
                async with client.attach(job.id, stream="stderr", patient=True) as errors:
                    got_errors = await collect(errors)
                async with client.attach(job.id, offset=-30, patient=True) as tail:
                    got_tail = await collect(tail)
        assert got == SEQ + b"1\n2\n3\n4\n5\n"
        assert got_errors == b"1\n2\n3\n4\n5\n"
        assert got_tail == got[-30:]
        assert all_of_it.exit is not None
        assert (all_of_it.exit.code, all_of_it.exit.offset) == (7, len(got))
        assert wire.cuts > 3
        assert any(state.up for state in states)
        assert any(not state.up and state.error and state.retry_s is not None for state in states)


async def test_standard_input_arrives_once_through_a_wire_that_breaks(url: str) -> None:
    async with breaking(url, seed=9, least=1000, most=150_000) as wire, Client(url) as direct:
        job = await direct.submit(argv=["cat"], stdin=True)
        async with Client(wire.url) as client, client.attach(job.id, patient=True) as following:
            got: list[bytes] = []
            async with trio.open_nursery() as nursery:

                async def read() -> None:
                    got.append(await collect(following))

                nursery.start_soon(read)
                with trio.fail_after(40):
                    for start in range(0, len(SEQ), 10_007):
                        await following.send_stdin(SEQ[start : start + 10_007])
                    await following.send_eof()
        assert got == [SEQ]
        assert wire.cuts > 1
        with pytest.raises(EndedError):
            await following.send_stdin(b"late")


@pytest.mark.slow
async def test_a_server_killed_and_started_again(tmp_path: Path) -> None:
    """kill -9 in the middle: the job goes on, and so does the attach, at the exact byte."""
    with server(tmp_path / "data") as running:
        async with Client(find_server(data_dir=tmp_path / "data", environ={})) as client:
            job = await client.submit(command="for i in $(seq 1 20); do echo line $i; sleep 0.1; done; exit 4")
            async with client.attach(job.id) as following:
                got = b""
                with trio.fail_after(30):
                    async for message in following:
                        if isinstance(message, attach.Output):
                            got += message.data
                            if got.count(b"\n") == 5:
                                running.kill()
                                running.launch()
                assert got == b"".join(b"line %d\n" % i for i in range(1, 21))
                assert following.exit is not None
                assert following.exit.code == 4


async def test_a_program_that_stops_asking_holds_one_window(url: str) -> None:
    async with Client(url) as client:
        job = await client.submit(command="head -c 3000000 /dev/zero")
        await ended(client, job.id)
        async with client.attach(job.id, window_bytes=200_000) as following:
            first = await anext(following)
            assert isinstance(first, attach.Hello)
            await trio.sleep(0.2)
            assert following.position == 200_000
            assert sum(len(m.data) for m in following._queue if isinstance(m, attach.Output)) == 200_000
            assert await collect(following) == bytes(3_000_000)


async def test_refusals_and_ends(url: str) -> None:
    async with Client(url) as client:
        with pytest.raises(NotFoundError):
            async with client.attach("nobody") as following:
                await collect(following)
        job = await client.submit(command="echo abc; sleep 30")
        async with client.attach(job.id) as following:
            async for message in following:
                if isinstance(message, attach.Output):
                    break
            async with client.attach(job.id, follow=False) as short:
                assert await collect(short) == b"abc\n"
                assert short.exit is None
            await following.signal(9)
            assert await collect(following) == b""
            assert following.exit is not None
            assert following.exit.signal == 9
            with pytest.raises(EndedError):
                await following.signal(9)
        with pytest.raises(OffsetError):
            async with client.attach(job.id, offset=99) as following:
                await collect(following)


async def test_input_that_is_refused(url: str) -> None:
    async with Client(url) as client:
        job = await client.submit(command="sleep 30")
        async with client.attach(job.id) as following:
            await following.send_stdin(b"x")  # no acknowledgement comes for a job that has no input
            await following.send_eof()
            async for message in following:
                if isinstance(message, attach.Error):
                    assert message.error is attach.Refusal.CONFLICT
                    break
                if isinstance(message, attach.State | attach.Hello) and message.job.state is JobState.RUNNING:
                    following._stdin.acked(attach.StdinAck(upto=0, window=10))
                    following._wake()
            with pytest.raises(RefusedError):
                await following.send_stdin(b"y")


async def test_two_writers_take_turns(url: str) -> None:
    async with Client(url) as client:
        job = await client.submit(argv=["cat"], stdin=True)
        async with client.attach(job.id) as second:
            async with client.attach(job.id) as first:
                await first.send_stdin(b"one\n")
                async for message in first:
                    if isinstance(message, attach.Output):
                        break
            # The first has gone; the second, which stood at the same place, may write.
            await second.send_stdin(b"two\n")
            await second.send_eof()
            with trio.fail_after(20):
                got = await collect(second)
            assert got.startswith(b"one\n")


async def test_errors_of_the_block_come_out_as_they_are(url: str) -> None:
    async with Client(url) as client:
        job = await client.submit(command="sleep 30")
        with pytest.raises(KeyError):
            await _fail_in_the_block(client, job.id)
        with trio.move_on_after(0.1) as scope:
            async with client.attach(job.id) as following:
                await collect(following)
        assert scope.cancelled_caught


async def _fail_in_the_block(client: Client, job_id: str) -> None:
    async with client.attach(job_id) as following:
        await anext(following)
        raise KeyError("mine")


async def test_without_reconnect_the_break_is_told(url: str) -> None:
    async with breaking(url, seed=1, least=3000, most=3001) as wire, Client(url) as direct:
        job = await direct.submit(command="seq 1 60000; sleep 30")
        async with Client(wire.url) as client:
            with pytest.raises((LinkClosed, UnreachableError)):
                async with client.attach(job.id, reconnect=False) as following:
                    await collect(following)
            assert not following.linked
            assert "not linked" in repr(following)
            with pytest.raises((LinkClosed, UnreachableError)):
                await following.signal(2)
