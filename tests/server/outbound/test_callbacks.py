"""Callbacks: delivered, tried again, dropped, silent, signed; over restarts, and beside receivers that misbehave."""

from __future__ import annotations

import hashlib
import hmac
import logging
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core import callbacks as module
from jobdeck_server.core.callbackbody import Body, Piece
from jobdeck_server.core.errors import CapacityError, TooLargeError
from jobdeck_server.core.journal import delete_jobs
from jobdeck_server.core.outbound.errors import RefusedError, SchemeError
from jobdeck_server.core.store import StoreError
from tests.server.outbound.callbackbench import body_of, callbackbench
from tests.server.outbound.receivers import OK, Got, fine, receiver, resolver, saying, talking

FAULT = saying(b"HTTP/1.1 500 x\r\nContent-Length: 0\r\n\r\n")


async def test_the_end_of_a_job_is_told(tmp_path: Path) -> None:
    async with receiver() as other, callbackbench(tmp_path) as bench:
        job_id = await bench.accept(other.url("/hook?key=1"))
        row = await bench.callbacks.show(job_id)
        assert row is not None
        assert (row.state, row.url) == ("waiting", other.url("/hook"))
        assert other.contacts == 0
        await bench.end(job_id)
        await bench.until_over(1)
        got = other.got[0]
        assert got.line == "POST /hook?key=1 HTTP/1.1"
        assert got.body == body_of(job_id)
        assert got.headers["content-type"] == "application/json"
        assert got.headers["content-length"] == str(len(got.body))
        assert "x-jobdeck-signature" not in got.headers
        told = bench.over[job_id]
        assert told == {
            "id": job_id,
            "delivery": got.headers["x-jobdeck-delivery"],
            "state": "delivered",
            "tries": 1,
            "text": "It was answered with 200.",
        }
        stored = await bench.store.read(lambda c: c.execute("select url, body, state from callback").fetchall())
        assert stored == [(other.url("/hook"), None, "delivered")]


async def test_a_stopped_job_is_silent(tmp_path: Path) -> None:
    async with receiver() as other, callbackbench(tmp_path) as bench:
        job_id = await bench.accept(other.url())
        await bench.end(job_id, JobState.STOPPED)
        failed = await bench.accept(other.url())
        await bench.end(failed, JobState.FAILED)
        await bench.until_over(1)
        assert [got.body for got in other.got] == [body_of(failed)]
        row = await bench.callbacks.show(job_id)
        assert row is not None
        assert row.state == "silent"


async def test_tries_are_counted_and_then_it_is_dropped(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with receiver(FAULT) as other, callbackbench(tmp_path) as bench:
        job_id = await bench.call(other.url("/hook?key=secret"))
        await bench.until_over(1)
        assert len(other.got) == 6
        assert {got.body for got in other.got} == {body_of(job_id)}
        assert len({got.headers["x-jobdeck-delivery"] for got in other.got}) == 1
        assert (bench.over[job_id]["state"], bench.over[job_id]["tries"]) == ("dropped", 6)
    assert f"callback of job {job_id} to {other.url('/hook')} dropped, try 6" in caplog.text
    assert "secret" not in caplog.text


async def test_the_delay_is_kept(tmp_path: Path) -> None:
    times: list[float] = []

    async def fault(got: Got, stream: trio.abc.Stream) -> None:
        times.append(trio.current_time())
        await FAULT(got, stream)

    async with receiver(fault) as other, callbackbench(tmp_path, callback_delays_s=(0.05, 0.15)) as bench:
        await bench.call(other.url())
        await bench.until_over(1)
    assert len(times) == 3
    assert times[1] - times[0] >= 0.05
    assert times[2] - times[1] >= 0.15


async def test_what_counts_as_delivered(tmp_path: Path) -> None:
    async with receiver() as other, callbackbench(tmp_path) as bench:
        for count, status in enumerate([100, 204, 301, 307, 399], start=1):
            first = f"HTTP/1.1 {status} x\r\nLocation: http://127.0.0.1:1/\r\n\r\n".encode()
            other.say = saying(first, *([OK] if status == 100 else []))
            job_id = await bench.call(other.url())
            await bench.until_over(count)
            assert (bench.over[job_id]["state"], len(other.got)) == ("delivered", count)


async def test_signed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"a word\n")
    secret.chmod(0o600)
    data = random.Random(1).randbytes(3_000_000)
    (tmp_path / "result").write_bytes(b"head" + data + b"tail")

    async def source(job_id: str) -> Body:
        return (b'{"x":', Piece(path=tmp_path / "result", offset=4, size_bytes=len(data)), b"", b"}")

    async with receiver() as other, callbackbench(tmp_path, source=source, callback_secret_file=secret) as bench:
        job_id = await bench.call(other.url())
        await bench.until_over(1)
        assert bench.over[job_id]["state"] == "delivered"
        assert other.got[0].body == b'{"x":' + data + b"}"
        wanted = hmac.new(b"a word", other.got[0].body, hashlib.sha256).hexdigest()
        assert other.got[0].headers["x-jobdeck-signature"] == f"sha256={wanted}"
    secret.chmod(0o644)
    with pytest.raises(PermissionError):
        async with callbackbench(tmp_path, callback_secret_file=secret):
            pass


async def test_bodies_that_cannot_be_sent(tmp_path: Path) -> None:
    (tmp_path / "short").write_bytes(b"123")
    bodies: dict[str, Body | None] = {}

    async def source(job_id: str) -> Body | None:
        if job_id not in bodies:
            raise ZeroDivisionError("a bug")
        return bodies[job_id]

    async with receiver() as other, callbackbench(tmp_path, source=source, callback_body_limit_bytes=100) as bench:
        for name, body in (
            ("short", (b"x", Piece(path=tmp_path / "short", offset=0, size_bytes=9))),
            ("missing", (Piece(path=tmp_path / "none", offset=0, size_bytes=9),)),
            ("long", (bytes(101),)),
            ("gone", None),
        ):
            bodies[name] = body
            await bench.accept(other.url(), job_id=name)
            await bench.end(name)
        await bench.accept(other.url(), job_id="bug")
        await bench.end("bug")
        await bench.until_over(5)
        assert other.got == []
        assert {name: (told["state"], told["tries"]) for name, told in bench.over.items()} == {
            **dict.fromkeys(("short", "missing", "bug"), ("dropped", 6)),
            **dict.fromkeys(("long", "gone"), ("dropped", 1)),
        }


async def test_a_body_that_is_given(tmp_path: Path) -> None:
    async def source(job_id: str) -> Body | None:
        return None

    async with receiver() as other, callbackbench(tmp_path, source=source) as bench:
        job_id = await bench.accept(other.url())
        with pytest.raises(TooLargeError):
            await bench.store.write(lambda c: bench.callbacks.due(c, job_id, bytes(1024 * 1024 + 1)))
        await bench.store.write(lambda c: bench.callbacks.due(c, job_id, b"given"))
        bench.callbacks.wake(job_id)
        await bench.until_over(1)
        await bench.end(job_id)  # nothing more comes of it
        assert [got.body for got in other.got] == [b"given"]


async def test_what_may_not_be_called(tmp_path: Path) -> None:
    async with receiver() as other:
        async with callbackbench(tmp_path, running=False) as bench:
            with pytest.raises(SchemeError):
                bench.callbacks.check("ftp://127.0.0.1/")
            with pytest.raises(RefusedError):
                bench.callbacks.check("http://example.org/")
            await bench.call(other.url())
        async with callbackbench(tmp_path, patterns=[]) as bench:  # the list has changed meanwhile
            await bench.until_over(1)
        names = resolver(a_example_org=["127.0.0.1"])
        async with callbackbench(tmp_path, patterns=["http://*.example.org:*"], names=names) as bench:
            job_id = await bench.call(other.url(host="a.example.org"))
            await bench.until_over(1)
            assert (bench.over[job_id]["state"], bench.over[job_id]["tries"]) == ("dropped", 1)
        assert other.contacts == 0


async def test_too_many(tmp_path: Path) -> None:
    async with receiver() as other, callbackbench(tmp_path, callback_limit_count=2) as bench:
        job_id = await bench.accept(other.url())
        await bench.accept(other.url())
        with pytest.raises(CapacityError):
            await bench.accept(other.url())
        assert await bench.store.read(lambda c: c.execute("select count(*) from job").fetchone()[0]) == 2
        await bench.end(job_id)
        await bench.until_over(1)
        await bench.accept(other.url())


async def test_those_that_are_over_are_forgotten(tmp_path: Path) -> None:
    async with receiver() as other, callbackbench(tmp_path, callback_retention_count=3) as bench:
        for count in range(1, 6):
            await bench.call(other.url())
            await bench.until_over(count)
        assert await bench.store.read(lambda c: c.execute("select count(*) from callback").fetchone()[0]) == 3


# -- restarts and clocks --


async def test_jobs_that_ended_while_nobody_looked(tmp_path: Path) -> None:
    async with receiver() as other:
        async with callbackbench(tmp_path, running=False) as bench:
            ended = [await bench.call(other.url()) for _ in range(3)]
            running = await bench.accept(other.url())
            stopped, gone = await bench.accept(other.url()), await bench.call(other.url())
            await bench.end(stopped, JobState.STOPPED)
            await bench.store.write(lambda c: delete_jobs(c, [gone]))
        async with callbackbench(tmp_path) as bench:
            await bench.until_over(3)
            await bench.end(running)
            await bench.until_over(4)
            assert sorted(got.body for got in other.got) == sorted(map(body_of, [*ended, running]))
            for job_id, state in ((stopped, "silent"), (gone, "dropped")):
                row = await bench.callbacks.show(job_id)
                assert row is not None
                assert row.state == state


@pytest.mark.parametrize("shift_s", [-1e9, 1e9])
async def test_a_clock_that_was_set(shift_s: float, tmp_path: Path) -> None:
    async with receiver(FAULT) as other:
        async with callbackbench(tmp_path, callback_delays_s=(3600.0,)) as bench:
            job_id = await bench.call(other.url())
            with trio.fail_after(10):
                while (row := await bench.callbacks.show(job_id)) is None or not row.tries:  # noqa: ASYNC110
                    await trio.sleep(0.005)
            await bench.store.write(
                lambda c: c.execute("update callback set next_us = next_us + ?", (int(shift_s * 1e6),))
            )
        other.say = fine
        async with callbackbench(tmp_path, callback_delays_s=(0.05,)) as bench:
            await bench.until_over(1)
            assert (bench.over[job_id]["state"], bench.over[job_id]["tries"]) == ("delivered", 2)
            assert len({got.headers["x-jobdeck-delivery"] for got in other.got}) == 1
            assert len(other.got) == 2


async def test_a_database_that_takes_nothing_for_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRY_S", 0.01)
    async with receiver() as other, callbackbench(tmp_path) as bench:
        job_id = await bench.accept(other.url())
        await bench.end(await bench.accept(other.url()), JobState.STOPPED)
        commit, failures = bench.events.commit, iter(range(3))

        async def failing(work: Any, **given: Any) -> Any:
            if next(failures, None) is not None:
                raise StoreError("full")
            return await commit(work, **given)

        await bench.store.write(lambda c: bench.callbacks.due(c, job_id, b"x"))
        monkeypatch.setattr(bench.events, "commit", failing)
        bench.callbacks.wake(job_id)
        await bench.until_over(1)
        assert next(failures, None) is None
        assert len(other.got) == 1


# -- many, and beside one another --


async def test_a_slow_receiver_holds_up_nobody_else(tmp_path: Path) -> None:
    async def stuck(got: Got, stream: trio.abc.Stream) -> None:
        await trio.sleep_forever()

    limits: dict[str, Any] = {"callback_parallel_count": 4, "callback_parallel_per_host_count": 2}
    async with receiver(stuck) as slow, receiver() as quick, callbackbench(tmp_path, **limits) as bench:
        for _ in range(10):
            await bench.call(slow.url())
        for _ in range(20):
            await bench.call(quick.url())
        await bench.until_over(20)
        assert len({got.headers["x-jobdeck-delivery"] for got in quick.got}) == len(quick.got) == 20
        assert slow.contacts == 2


async def test_answers_that_come_before_the_body_is_sent(tmp_path: Path) -> None:
    """The receiver reads nothing more than the head; the buffers of the kernel are smaller than the body."""

    async def source(job_id: str) -> Body:
        return (bytes(50_000_000),)

    async def early(stream: trio.SocketStream) -> None:
        await stream.receive_some(100)
        await stream.send_all(OK)
        await trio.sleep_forever()

    async with talking(early) as port, callbackbench(tmp_path, source=source) as bench:
        job_id = await bench.call(f"http://127.0.0.1:{port}/")
        await bench.until_over(1)
        assert bench.over[job_id]["state"] == "delivered"


async def test_a_hundred_beside_every_fault(tmp_path: Path) -> None:
    """Each callback has its own number of faults, of all kinds; tries and bodies are exact."""
    dice = random.Random(42)
    faults = {f"job-{i:03}": [dice.choice("ecrhl5") for _ in range(dice.randrange(8))] for i in range(100)}
    faults |= {f"job-{i:03}": ["s"] for i in range(0, 100, 20)}  # each costs the time limit
    left = {job_id: list(kinds) for job_id, kinds in faults.items()}
    counts: Counter[str] = Counter()

    async def say(got: Got, stream: trio.abc.Stream) -> None:
        job_id = got.line.split("/")[1].split()[0]
        counts[job_id] += 1
        assert got.body == body_of(job_id) * 50
        kind = left[job_id].pop(0) if left[job_id] else dice.choice("kt")
        match kind:
            case "s":
                await trio.sleep_forever()
            case "c":
                return  # closes
            case "r":
                stream.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")  # type: ignore[attr-defined]  # SO_LINGER: a reset
            case "h":
                await stream.send_all(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 50_000)
            case "l":
                await stream.send_all(b"no http\r\n\r\n")
            case "e":
                await stream.send_all(b"HTTP/1.1 429 x\r\nContent-Length: 5\r\n\r\n")
            case "5":
                await FAULT(got, stream)
            case "t":
                await stream.send_all(b"HTTP/1.1 302 x\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
            case _:
                await fine(got, stream)

    async def source(job_id: str) -> Body:
        return (body_of(job_id) * 49, body_of(job_id))

    limits: dict[str, Any] = {"callback_timeout_s": 4.0, "callback_parallel_per_host_count": 16}
    async with receiver(say) as other, callbackbench(tmp_path, source=source, **limits) as bench:
        for job_id in faults:
            await bench.accept(other.url(f"/{job_id}"), job_id=job_id)
        for job_id in faults:
            await bench.end(job_id)
        await bench.until_over(100, limit_s=50)
        for job_id, kinds in faults.items():
            told = bench.over[job_id]
            wanted = ("delivered", len(kinds) + 1) if len(kinds) < 6 else ("dropped", 6)
            assert (told["state"], told["tries"], counts[job_id]) == (*wanted, wanted[1])
