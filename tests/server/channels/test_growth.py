"""What is watched beside the events: told at once, when it changes, in the end truly, and never piled up."""

from __future__ import annotations

import errno
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from jobdeck_protocol import Stream, codec, events
from jobdeck_protocol.events import Counts, Growth, Watch, Watched
from jobdeck_server.channels import growth
from jobdeck_server.channels.events import EventsChannel
from jobdeck_server.core import output
from jobdeck_server.core.errors import BadRequestError, UnavailableError
from jobdeck_server.core.growth import Growth as Bells
from jobdeck_server.core.lines import LineExtent, Lines
from jobdeck_server.core.output import Kind
from jobdeck_server.http.message import Upgrade
from tests.server.channels.helpers import FakeSocket, handshake, running, scene
from tests.server.core.harness import Bench, bench, shell


class Watcher:
    """A client's machine on a socket in memory, which has had its snapshot."""

    def __init__(self, socket: FakeSocket) -> None:
        self.socket = socket
        self.client = events.EventsClient()

    def watch(self, *jobs: Watched, counts: bool = False) -> None:
        self.client.watch(Watch(counts=counts, jobs=jobs))
        message = self.client.watching()
        assert message is not None
        self.socket.to_server.send_nowait(message)

    async def next(self) -> Growth | Counts:
        """The next push; events are passed over."""
        while True:
            message = self.client.receive(await self.socket.get())
            if isinstance(message, Growth | Counts):
                return message

    async def growth(self) -> Growth:
        message = await self.next()
        assert isinstance(message, Growth)
        return message

    async def until(self, size: int) -> list[Growth]:
        """Growths up to one that tells a size, all of it indexed."""
        found = [await self.growth()]
        while (found[-1].size, found[-1].indexed) != (size, size):
            found.append(await self.growth())
        return found


@asynccontextmanager
async def watching(found: Bench) -> AsyncIterator[Watcher]:
    answer = await EventsChannel(found.core).answer(handshake(events.SUBPROTOCOL))
    assert isinstance(answer, Upgrade)
    async with running(answer) as socket:
        watcher = Watcher(socket)
        socket.to_server.send_nowait(watcher.client.begin())
        while watcher.client.last is None:
            watcher.client.receive(await socket.get())
        yield watcher


async def test_an_output_is_told_at_once_when_it_grows_and_at_its_end(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found, start=False) as job, watching(found) as watcher:
        watcher.watch(Watched(job.job_id), Watched("00000000-0000-4000-8000-000000000000"))
        assert await watcher.growth() == Growth(id=job.job_id, size=0, lines=0, indexed=0, ended=False)
        job.start()
        job.files.write(Kind.STDOUT, b"one\ntwo")
        assert (await watcher.until(7))[-1].lines == 2
        job.files.write(Kind.STDERR, b"!\n")
        assert (await watcher.until(9))[-1] == Growth(id=job.job_id, size=9, lines=2, indexed=9, ended=False)
        job.end()
        assert await watcher.growth() == Growth(id=job.job_id, size=9, lines=2, indexed=9, ended=True)
        watcher.watch(Watched(job.job_id))  # said again, it is told again
        assert await watcher.growth() == Growth(id=job.job_id, size=9, lines=2, indexed=9, ended=True)


async def test_one_stream_is_told_of_by_itself(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as job, watching(found) as watcher:
        watcher.watch(Watched(job.job_id, Stream.STDERR))
        await watcher.until(0)
        job.files.write(Kind.STDOUT, b"a\nb\n")
        job.files.write(Kind.STDERR, b"c\n")
        told = await watcher.until(2)
        assert (told[-1].stream, told[-1].lines) == (Stream.STDERR, 1)
        job.files.write(Kind.STDOUT, b"d\n")
        job.end()
        last = await watcher.growth()
        assert (last.size, last.ended) == (2, True)


async def test_a_new_watch_takes_the_place_of_the_former(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as one, scene(found) as two, watching(found) as watcher:
        watcher.watch(Watched(one.job_id))
        await watcher.until(0)
        watcher.watch(Watched(two.job_id))
        assert (await watcher.growth()).id == two.job_id
        one.files.write(Kind.STDOUT, b"not told\n")
        two.files.write(Kind.STDOUT, b"told\n")
        await watcher.until(5)
        watcher.watch(Watched(two.job_id), Watched(one.job_id), Watched(two.job_id))
        assert {(told.id, told.size) for told in [await watcher.growth(), await watcher.growth()]} == {
            (one.job_id, 9),
            (two.job_id, 5),
        }
        watcher.watch()
        await trio.testing.wait_all_tasks_blocked()
        sent = len(watcher.socket.sent)
        one.files.write(Kind.STDOUT, b"not told\n")
        two.end()
        await found.core.events.beyond(found.core.events.last)
        await trio.sleep(0.1)
        assert all(codec.decode(each)["kind"] != "growth" for each in watcher.socket.sent[sent:])  # type: ignore[arg-type]  # binary


async def test_growth_comes_at_most_so_often_and_a_slow_client_gets_the_newest(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as job, watching(found) as slow, watching(found) as watcher:
        for each in (slow, watcher):
            each.watch(Watched(job.job_id))
            await each.until(0)
        slow.socket.reading = trio.Event()  # it does not read any more
        began = trio.current_time()
        for _ in range(300):
            job.files.write(Kind.STDOUT, b"line\n")
            await trio.sleep(0.001)
        told = await watcher.until(1500)
        assert len(told) <= (trio.current_time() - began) / 0.05 + 1
        slow.socket.reading.set()
        late = await slow.until(1500)
        assert len(late) <= 3  # what was under way, what lay there, and how it stands
        assert late[-1].lines == 300


async def test_what_nobody_changes_is_not_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looks = _count_looks(monkeypatch)
    async with bench(tmp_path) as found, scene(found) as job, watching(found) as watcher:
        watcher.watch(Watched(job.job_id), counts=True)
        assert {type(await watcher.next()), type(await watcher.next())} == {Growth, Counts}
        await trio.sleep(0.15)  # past the pace of looks
        before = len(looks)
        await trio.sleep(0.3)
        assert len(looks) == before


def _count_looks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    looks: list[str] = []
    extent = Lines.extent

    async def counted(self: Lines, job_id: str, stream: Kind | None = None) -> LineExtent:
        looks.append(job_id)
        return await extent(self, job_id, stream)

    monkeypatch.setattr(Lines, "extent", counted)
    return looks


async def test_an_index_that_is_behind_is_told_until_it_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = [
        *(LineExtent(100, 30, 3), LineExtent(100, 60, 6)),
        *(LineExtent(100, 10, 1), LineExtent(120, 20, 2)),  # made anew: what was told before stays true
        *(LineExtent(120, 90, 9), LineExtent(120, 120, 12)),
        LineExtent(7, 7, 1),  # cut short by a loss of power
    ]

    async def extent(self: Lines, job_id: str, stream: Kind | None = None) -> LineExtent:
        await trio.lowlevel.checkpoint()
        return script.pop(0) if len(script) > 1 else script[0]

    monkeypatch.setattr(Lines, "extent", extent)
    async with bench(tmp_path) as found, scene(found) as job, watching(found) as watcher:
        watcher.watch(Watched(job.job_id))
        told = [await watcher.growth() for _ in range(5)]
        assert [(each.size, each.indexed, each.lines) for each in told] == [
            *((100, 30, 3), (100, 60, 6), (120, 60, 6)),
            *((120, 90, 9), (120, 120, 12)),
        ]
        job.files.write(Kind.STDOUT, b"x")
        assert (await watcher.growth()).size == 7


async def test_a_log_that_cannot_be_read_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(growth, "_UNREADABLE_PACE_S", 0.01)
    extent, failures = Lines.extent, [UnavailableError("no descriptor is left")] * 3

    async def failing(self: Lines, job_id: str, stream: Kind | None = None) -> LineExtent:
        if failures:
            raise failures.pop()
        return await extent(self, job_id, stream)

    monkeypatch.setattr(Lines, "extent", failing)
    async with bench(tmp_path) as found, scene(found) as job, watching(found) as watcher:
        job.files.write(Kind.STDOUT, b"x")
        watcher.watch(Watched(job.job_id))
        assert (await watcher.growth()).size == 1


async def test_where_inotify_has_no_room_an_output_is_looked_at_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left on device")

    monkeypatch.setattr(Bells, "attach", full)
    monkeypatch.setattr(output, "_DEAF_LOOK_S", 0.01)
    async with bench(tmp_path) as found, scene(found) as job, watching(found) as watcher:
        watcher.watch(Watched(job.job_id))
        await watcher.until(0)
        for size in (1, 2, 3):
            job.files.write(Kind.STDOUT, b"x")
            await watcher.until(size)


async def test_counts_are_told_at_once_and_when_they_change(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, watching(found) as watcher:
        watcher.watch(counts=True)
        first = await watcher.next()
        assert isinstance(first, Counts)
        assert set(first.states.values()) == {0}
        assert "running" in first.states
        began = trio.current_time()
        for _ in range(20):
            await found.core.submit(shell("true"))
            await trio.sleep(0.02)
        told = 0
        while (message := await watcher.next()).states["starting"] < 20:  # type: ignore[union-attr]  # nothing else is watched
            told += 1
        assert told <= (trio.current_time() - began) / 0.2 + 1
        assert isinstance(message, Counts)


async def test_in_json_the_query_says_what_is_watched(tmp_path: Path) -> None:
    async with bench(tmp_path) as found, scene(found) as one, scene(found) as two:
        query = f"since={found.core.events.last}&watch={one.job_id},{two.job_id},&counts=true"
        answer = await EventsChannel(found.core).answer(handshake(query=query))
        assert isinstance(answer, Upgrade)
        async with running(answer) as socket:
            assert json.loads(await socket.get())["kind"] == "hello"
            told: dict[str, dict[str, Any]] = {}
            while len(told) < 3:
                message = json.loads(await socket.get())
                if message["kind"] != "event":
                    told[message.get("id", message["kind"])] = message
            states = told["counts"]["states"]
            assert states["starting"] + states["running"] == 2
            size = {"stream": None, "size": 0, "lines": 0, "indexed": 0, "ended": False}
            for job in (one, two):
                assert told[job.job_id] == {"kind": "growth", "id": job.job_id, **size}


async def test_more_than_may_be_watched_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, watch_limit_count=2) as found:
        for query in ("watch=a,b,c", "watch=a&counts=maybe", f"watch={'a' * 300}"):
            with pytest.raises(BadRequestError):
                await EventsChannel(found.core).answer(handshake(query=query))
        async with watching(found) as watcher:
            watcher.watch(Watched("a"), Watched("b"), Watched("c"))
            with trio.fail_after(5):
                await watcher.socket.closed.wait()
            assert watcher.socket.said == (1007, "at most 2 outputs can be watched")
