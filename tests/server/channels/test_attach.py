from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from jobdeck_protocol import ClientSession, JobState, Stream, attach, codec
from jobdeck_server.channels.attach import AttachChannel
from jobdeck_server.core.errors import CapacityError, UnknownJobError
from jobdeck_server.core.output import Kind
from jobdeck_server.engines.base import Noted
from jobdeck_server.http.message import Role
from tests.server.channels.helpers import Scene, Wire, handshake, running, scene
from tests.server.core.harness import bench

KINDS = {Stream.STDOUT: Kind.STDOUT, Stream.STDERR: Kind.STDERR}


@asynccontextmanager
async def attached(place: Scene, *, role: Role = Role.RUN, begin: bool = True, **given: Any) -> AsyncIterator[Wire]:
    found = await AttachChannel(place.core).answer(handshake(attach.SUBPROTOCOL, role=role), place.job_id)
    assert found.subprotocol == attach.SUBPROTOCOL
    async with running(found) as socket:
        wire = Wire(socket, ClientSession(**given))
        if begin:
            wire.begin()
        yield wire


async def test_before_during_and_after(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found, start=False) as place:
        async with attached(place) as wire:
            hello = await wire.next()
            assert isinstance(hello, attach.Hello)
            assert (hello.first, hello.size, hello.offset) == (0, 0, 0)
            assert hello.job.state is JobState.STARTING
            place.start()
            state = await wire.next()
            assert isinstance(state, attach.State)
            assert state.job.state is JobState.RUNNING
            place.files.write(Kind.STDOUT, b"one\n")
            first = await wire.next()
            assert isinstance(first, attach.Output)
            assert [run.stream for run in first.runs] == [Stream.STDOUT]
            place.files.write(Kind.STDERR, b"two\n")
            await wire.next()
            place.end(code=3)
            await wire.drain()
            assert wire.got == b"one\ntwo\n"
            *_, state, end = wire.messages
            assert isinstance(state, attach.State)
            assert end == attach.Exit(
                code=3, signal=None, state=JobState.FAILED, output_bytes=8, dropped_bytes=0, offset=8
            )
            assert wire.socket.said == (1000, "")
        async with attached(place, offset=-4) as late:
            await late.drain()
            assert late.got == b"two\n"
            assert late.socket.said == (1000, "")
        assert place.core.readers.open_count == 0


async def test_a_job_stopped_before_its_start_has_an_exit_too(tmp_path: Path) -> None:
    queued = bench(tmp_path, running_limit_count=0)
    async with queued as found, scene(found, start=False) as place, attached(place) as wire:
        await wire.next()
        await place.core.stop(place.job_id)
        end = await wire.until(attach.Exit)
        assert isinstance(end, attach.Exit)
        assert (end.code, end.signal, end.state) == (None, None, JobState.STOPPED)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_chunks_cuts_filters_and_credits(tmp_path: Path, seed: int) -> None:
    """Clients that come, leave and come back while the job writes: each gets every byte it asked for, once."""
    rng = random.Random(seed)
    limits: dict[str, Any] = {
        "output_message_limit_bytes": rng.choice([7, 300, 262144]),
        "output_runs_limit_count": rng.choice([2, 9, 512]),
    }
    results: list[tuple[frozenset[Stream] | None, bytes]] = []
    async with bench(tmp_path, **limits) as found, scene(found) as place, trio.open_nursery() as nursery:

        async def client(streams: frozenset[Stream] | None, window: int) -> None:
            session = ClientSession(streams=streams, window_bytes=window)
            got, over = b"", False
            while not over:
                async with attached(place, begin=False) as wire:
                    wire.session, lives = session, rng.randrange(1, 60)
                    wire.begin()
                    try:
                        for _ in range(lives):
                            over = isinstance(await wire.next(), attach.Exit)
                    except trio.EndOfChannel:
                        assert over
                    got += wire.got
            results.append((streams, got))

        for streams in (None, frozenset({Stream.STDOUT}), frozenset({Stream.STDERR}), frozenset(KINDS)):
            nursery.start_soon(client, streams, rng.choice([9, 200, 5000, 1 << 20]))
        for _ in range(120):
            stream = rng.choice(list(KINDS))
            place.files.write(KINDS[stream], rng.randbytes(rng.choice([1, 3, 40])))
            await trio.sleep(0.0005 if rng.random() < 0.3 else 0)
        place.end()
    assert len(results) == 4
    for streams, got in results:
        wanted = place.files.data if streams is None or len(streams) == 2 else place.files.of(KINDS[min(streams)])
        assert got == wanted


async def test_large_output_goes_by_file_and_has_all_its_runs(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        for i in range(2000):
            place.files.write(Kind.STDERR if i % 3 else Kind.STDOUT, bytes([i % 256]) * 1000)
        place.end()
        async with attached(place) as wire:
            await wire.drain()
            assert wire.got == place.files.data
            assert wire.socket.files >= 8
            outputs = wire.of(attach.Output)
            assert all(len(output.data) <= 256 * 1024 and len(output.runs) <= 512 for output in outputs)
            pieces = [(run.stream, data) for output in outputs for _, run, data in output.pieces()]
            for stream, kind in KINDS.items():
                assert b"".join(data for each, data in pieces if each is stream) == place.files.of(kind)


async def test_no_more_than_the_granted_bytes_are_under_way(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, bytes(100_000))
        place.end()
        async with attached(place, window_bytes=1000) as wire:
            await wire.next(take=False)
            while len(wire.got) < 1000:
                await wire.next(take=False)
            # The end is told at once, output waits for credit, and so does the exit.
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(b"".join(m for m in wire.socket.sent if isinstance(m, bytes))) < 3000
            assert wire.got == bytes(1000)
            for message in list(wire.messages):
                wire.session.taken(message)
            credit = wire.session.credit()
            assert credit is not None
            wire.socket.to_server.send_nowait(credit)
            await wire.drain()
            assert wire.got == bytes(100_000)
            assert wire.socket.said == (1000, "")


async def test_state_overtakes_output_and_exit_does_not(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, bytes(5000))
        async with attached(place, window_bytes=1000) as wire:
            while len(wire.got) < 1000:
                await wire.next(take=False)
            place.core.report(place.job_id, Noted(note="waiting for disk space"))
            assert await wire.next(take=False) == attach.Note(note="waiting for disk space")
            place.end()
            state = await wire.next(take=False)
            assert isinstance(state, attach.State)
            assert state.job.ended
            for message in list(wire.messages):
                wire.session.taken(message)
            wire.say(attach.Credit(upto=10_000))
            wire.session._granted = 10_000
            await wire.drain()
            assert wire.got == bytes(5000)
            assert isinstance(wire.messages[-1], attach.Exit)


async def test_a_client_that_waits_for_the_other_stream_is_told_how_far(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, bytes(5_000_000))
        only = frozenset({Stream.STDERR})
        async with attached(place, streams=only, window_bytes=1000) as wire:
            await wire.next()
            progress = await wire.next()
            assert isinstance(progress, attach.Output)
            assert (progress.data, progress.end) == (b"", 5_000_000)
            place.files.write(Kind.STDERR, b"x" * 3000)
            place.files.write(Kind.STDOUT, bytes(10))
            place.end()
            await wire.drain()
            assert wire.got == b"x" * 3000
            assert wire.session.position == 5_003_010


async def test_dropped_output_is_one_gap_before_the_exit(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, b"kept")
        place.end(dropped_bytes=1000)
        async with attached(place) as wire:
            await wire.drain()
            assert wire.messages[-2] == attach.Gap(start=4, to=1004, why=attach.Why.LIMIT)
            assert isinstance(wire.messages[-1], attach.Exit)


async def test_follow_false_ends_after_what_is_there(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, b"so far")
        async with attached(place, follow=False) as wire:
            await wire.drain()
            assert wire.got == b"so far"
            assert wire.of(attach.Exit) == []
            assert wire.socket.said == (4000, "running")
        place.end()
        async with attached(place, follow=False) as wire:
            await wire.drain()
            assert wire.socket.said == (1000, "")
            assert len(wire.of(attach.Exit)) == 1


async def test_an_offset_beyond_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, b"abc")
        async with attached(place, offset=10) as waiting:
            await waiting.next()
            place.end()
            await waiting.drain()
            assert waiting.socket.said is not None
            assert waiting.socket.said[0] == 4416
        async with attached(place, offset=4) as late:
            await late.drain()
            assert late.socket.said == (4416, "offset 4 is beyond the end at 3")


async def test_limits_in_number(tmp_path: Path) -> None:
    async with bench(tmp_path, attach_limit_count=1) as found, scene(found) as place:
        request = handshake(attach.SUBPROTOCOL)
        both = [await AttachChannel(place.core).answer(request, place.job_id) for _ in range(2)]
        async with running(both[0]) as first:
            await trio.testing.wait_all_tasks_blocked()
            async with running(both[1]) as second:
                with pytest.raises(trio.EndOfChannel):
                    await second.get()
                assert second.said == (1013, "too many attaches")
            with pytest.raises(CapacityError):
                await AttachChannel(place.core).answer(request, place.job_id)
            assert first.said is None
        with pytest.raises(UnknownJobError):
            await AttachChannel(place.core).answer(request, "nobody")


async def test_a_client_that_says_nothing(tmp_path: Path) -> None:
    hasty = bench(tmp_path, head_timeout_s=0.02)
    async with hasty as found, scene(found) as place, attached(place, begin=False) as wire:
        await wire.drain()
        assert wire.socket.said == (4408, "no attach message came")


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ("text", 1003),
        (b"", 1007),
        (b"\xa0", 1007),
        (codec.encode({"kind": "credit", "upto": -1}), 1007),
        (codec.encode({"kind": "attach"}), 1002),
        (codec.encode({"kind": "stdin", "offset": 0, "data": bytes(70_000)}), 1007),
    ],
)
async def test_a_client_that_breaks_the_protocol(tmp_path: Path, data: bytes | str, code: int) -> None:
    async with bench(tmp_path) as found, scene(found) as place, attached(place) as wire:
        await wire.next()
        wire.socket.to_server.send_nowait(data)
        await wire.drain()
        assert wire.socket.said is not None
        assert wire.socket.said[0] == code


async def test_mutated_messages_close_with_a_code_or_do_nothing(tmp_path: Path) -> None:
    rng = random.Random(5)
    seeds = [
        codec.encode(m.to_map()) for m in (attach.Attach(offset=1, upto=9), attach.Credit(upto=7), attach.Eof(offset=0))
    ]
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, b"abc")
        for _ in range(300):
            async with attached(place, begin=False) as wire:
                for _ in range(3):
                    data = bytearray(rng.choice(seeds))
                    data[rng.randrange(len(data))] = rng.randrange(256)
                    wire.socket.to_server.send_nowait(bytes(data))
                await trio.testing.wait_all_tasks_blocked()
            assert wire.socket.said is None or wire.socket.said[0] in (1002, 1007, 1000)


async def test_standard_input(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found, stdin=True) as place:
        window = place.core.settings.stdin_window_bytes
        async with attached(place) as wire:
            assert await wire.until(attach.StdinAck) == attach.StdinAck(upto=0, window=window)
            wire.say(attach.Stdin(offset=0, data=b"abc"))
            assert await wire.until(attach.StdinAck) == attach.StdinAck(upto=3, window=window)
            async with attached(place) as other:
                assert await other.until(attach.StdinAck) == attach.StdinAck(upto=3, window=window)
                other.say(attach.Stdin(offset=3, data=b"x"))
                refused = await other.until(attach.Error)
                assert isinstance(refused, attach.Error)
                assert (refused.error, refused.about) == (attach.Refusal.BUSY, "stdin")
            wire.say(attach.Stdin(offset=9, data=b"hole"))
            refused = await wire.until(attach.Error)
            assert isinstance(refused, attach.Error)
            assert refused.error is attach.Refusal.CONFLICT
            wire.say(attach.Stdin(offset=1, data=b"bcd"))
            assert await wire.until(attach.StdinAck) == attach.StdinAck(upto=4, window=window)
            wire.say(attach.Eof(offset=4))
        async with attached(place) as later:  # the writer has gone, its place is free
            later.say(attach.Stdin(offset=4, data=b"e"))
            await later.until(attach.StdinAck)
            await later.until(attach.StdinAck)
        assert (place.engine.follow(place.job_id) / "input").read_bytes() == b"abcde"


async def test_what_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:

        async def refusal(wire: Wire, message: Any) -> attach.Refusal:
            wire.say(message)
            error = await wire.until(attach.Error)
            assert isinstance(error, attach.Error)
            assert error.about == message.kind
            return error.error

        async with attached(place) as wire:
            await wire.next()
            assert await refusal(wire, attach.Stdin(offset=0, data=b"x")) is attach.Refusal.CONFLICT
            assert await refusal(wire, attach.Resize(rows=24, columns=80)) is attach.Refusal.UNSUPPORTED
            wire.say(attach.Signal(signal=2))
            await trio.testing.wait_all_tasks_blocked()
            assert place.engine.signals == [(place.job_id, 2)]
        async with attached(place, role=Role.VIEW) as wire:
            await wire.next()
            for message in (attach.Signal(signal=9), attach.Stdin(offset=0, data=b"x"), attach.Eof(offset=0)):
                assert await refusal(wire, message) is attach.Refusal.FORBIDDEN
            assert len(place.engine.signals) == 1


async def test_a_client_that_does_not_read_or_leaves(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, bytes(3_000_000))
        async with attached(place, window_bytes=1 << 30) as wire:
            await wire.next()
            wire.socket.reading = trio.Event()
            await trio.testing.wait_all_tasks_blocked(0.01)
            held = len(wire.socket.sent)
            place.files.write(Kind.STDOUT, bytes(3_000_000))
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(wire.socket.sent) == held
            wire.socket.reading.set()
            place.end()
            await wire.drain()
            assert wire.got == bytes(6_000_000)
        async with attached(place) as gone:
            await gone.next()
        assert place.core.readers.open_count == 0


async def test_many_small_writes_share_messages(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place, attached(place) as wire:
        await wire.next()
        for _ in range(2000):
            place.files.write(Kind.STDOUT, b"line\n")
            await trio.lowlevel.checkpoint()
        place.end()
        await wire.drain()
        assert wire.got == place.files.data
        assert len(wire.of(attach.Output)) < 1000
