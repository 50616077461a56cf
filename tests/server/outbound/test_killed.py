"""The process that makes the calls is killed between two tries: the callback is delivered once it is back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from tests.server.outbound.callbackbench import body_of, callbackbench
from tests.server.outbound.receivers import Got, fine, receiver

ROOT = Path(__file__).parents[3]
LIMIT_S = 40.0


@asynccontextmanager
async def queue_of(folder: Path, delay_s: float) -> AsyncIterator[trio.Process]:
    """The program at work; killed at the end."""
    path = os.pathsep.join(str(ROOT / part) for part in ("", "protocol", "server"))
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "tests.server.outbound.queue_program", str(folder), str(delay_s)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
    )
    assert process.stdout is not None
    try:
        with trio.fail_after(LIMIT_S):
            assert await process.stdout.receive_some(1) == b"r"
        yield process
    finally:
        with trio.CancelScope(shield=True):
            process.send_signal(signal.SIGKILL)
            await process.wait()
            await process.stdout.aclose()


async def accepted(folder: Path, url: str, count: int) -> list[str]:
    async with callbackbench(folder, running=False) as bench:
        return [await bench.call(url) for _ in range(count)]


async def until_tried(seen: list[Got], count: int) -> None:
    with trio.fail_after(LIMIT_S):
        while len(seen) < count:  # noqa: ASYNC110  # another process brings it about
            await trio.sleep(0.01)


async def test_killed_between_tries(tmp_path: Path) -> None:
    async def fault(got: Got, stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")

    async with receiver(fault) as other:
        [job_id] = await accepted(tmp_path, other.url(), 1)
        async with queue_of(tmp_path, 3600.0):
            await until_tried(other.got, 1)
        other.say = fine
        async with callbackbench(tmp_path, callback_delays_s=(0.01,) * 5) as bench:
            await bench.until_over(1)
            assert bench.over[job_id]["state"] == "delivered"
        assert [got.body for got in other.got] == [body_of(job_id)] * 2
        assert len({got.headers["x-jobdeck-delivery"] for got in other.got}) == 1


@pytest.mark.slow
async def test_killed_again_and_again(tmp_path: Path) -> None:
    """Whatever the moment: each of 40 is delivered, the same bytes and id each time, and none comes after its end."""
    left = {"fail": 60}

    async def moody(got: Got, stream: trio.abc.Stream) -> None:
        left["fail"] -= 1
        if left["fail"] > 0:
            await stream.send_all(b"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n")
        else:
            await fine(got, stream)

    async with receiver(moody) as other:
        job_ids = await accepted(tmp_path, other.url(), 40)
        for round_number in range(1, 6):
            before = len(other.got)
            async with queue_of(tmp_path, 0.5):
                await until_tried(other.got, before + 3 * round_number)
        async with callbackbench(tmp_path) as bench:
            with trio.fail_after(LIMIT_S):
                while await bench.store.read(  # noqa: ASYNC110  # some were over before anybody listened
                    lambda c: c.execute("select count(*) from callback where state = 'due'").fetchone()[0]
                ):
                    await trio.sleep(0.01)
            states = [row.state for job_id in job_ids if (row := await bench.callbacks.show(job_id)) is not None]
        assert states == ["delivered"] * 40
        ids = {(got.body, got.headers["x-jobdeck-delivery"]) for got in other.got}
        assert len(ids) == 40
        assert {body for body, _ in ids} == {body_of(job_id) for job_id in job_ids}
