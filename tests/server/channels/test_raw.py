from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from jobdeck_server.channels.attach import AttachChannel
from jobdeck_server.core.errors import BadRequestError, OffsetError
from jobdeck_server.core.output import Kind
from tests.server.channels.helpers import FakeSocket, Scene, handshake, running, scene
from tests.server.core.harness import bench


@asynccontextmanager
async def poured(place: Scene, query: str = "") -> AsyncIterator[FakeSocket]:
    found = await AttachChannel(place.core).answer(handshake(query=query), place.job_id)
    assert found.subprotocol is None
    async with running(found) as socket:
        yield socket


async def everything(socket: FakeSocket) -> bytes:
    got = b""
    try:
        while True:
            data = await socket.get()
            assert isinstance(data, bytes)
            got += data
    except trio.EndOfChannel:
        return got


async def test_bytes_and_the_exit_in_the_close(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found, start=False) as place:
        async with poured(place) as socket, trio.open_nursery() as nursery:

            async def work() -> None:
                place.start()
                for i in range(300):
                    place.files.write(Kind.STDERR if i % 2 else Kind.STDOUT, bytes([i % 256]) * 100)
                    await trio.lowlevel.checkpoint()
                place.files.write(Kind.STDOUT, bytes(700_000))
                place.end(code=7)

            nursery.start_soon(work)
            socket.to_server.send_nowait("ignored")
            assert await everything(socket) == place.files.data
            assert socket.said == (1000, "exit 7")
        for query, wanted in (
            ("", place.files.data),
            ("offset=15", place.files.data[15:]),
            ("offset=-9", place.files.data[-9:]),
            ("stream=stderr", place.files.of(Kind.STDERR)),
            ("stream=stdout&offset=101", place.files.of(Kind.STDOUT)[101:]),
            ("stream=stderr&offset=-7&follow=false", place.files.of(Kind.STDERR)[-7:]),
        ):
            async with poured(place, query) as socket:
                assert await everything(socket) == wanted
                assert socket.said == (1000, "exit 7")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ({"how": "exit", "code": None, "signal": 9}, (1000, "signal 9")),
        ({"how": "lost", "code": None, "text": "gone"}, (1000, "lost")),
        ({"how": "error", "code": None, "text": "no such program"}, (4000, "failed")),
    ],
)
async def test_how_it_ended(tmp_path: Path, end: dict[str, object], said: tuple[int, str]) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.end(**end)
        async with poured(place) as socket:
            await everything(socket)
            assert socket.said == said


async def test_without_following(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, b"abc")
        async with poured(place, "follow=false") as socket:
            assert await everything(socket) == b"abc"
            assert socket.said == (4000, "running")


async def test_offsets_beyond_the_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, b"abc")
        async with poured(place, "offset=9") as socket:
            await trio.testing.wait_all_tasks_blocked()
            place.end()
            assert await everything(socket) == b""
            assert socket.said == (4416, "offset 9 is beyond the end at 3")
        with pytest.raises(OffsetError):
            await AttachChannel(place.core).answer(handshake(query="offset=4"), place.job_id)


@pytest.mark.parametrize("query", ["offset=x", "stream=both", "follow=maybe", "offset=1e3"])
async def test_bad_queries(tmp_path: Path, query: str) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        with pytest.raises(BadRequestError):
            await AttachChannel(place.core).answer(handshake(query=query), place.job_id)


async def test_a_client_that_leaves_or_stops_reading(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as place:
        place.files.write(Kind.STDOUT, bytes(2_000_000))
        async with poured(place) as socket:
            socket.reading = trio.Event()
            await trio.testing.wait_all_tasks_blocked(0.01)
            held = len(socket.sent)
            assert held <= 1
            socket.reading.set()
            got = 0
            while got < 2_000_000:
                got += len(await socket.get())
