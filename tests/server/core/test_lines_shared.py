"""The lines of all logs of a server: shared by all who ask, bounded in memory, forgotten in time."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import lineindex, retention
from jobdeck_server.core.errors import OutputGoneError, UnavailableError
from jobdeck_server.core.linelog import LineExtent, Log
from jobdeck_server.core.linepage import LinePage, PageQuery
from jobdeck_server.core.live import now_us
from jobdeck_server.core.runs import Kind
from jobdeck_server.engines.base import Ended, Started
from tests.server.core.harness import Bench, bench, shell, until
from tests.server.core.logs import ENDED, RUNNING, LogWriter, shelf


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Looks wait for it, at most 30 s."""
    event = threading.Event()
    look = Log.look

    def slow(self: Log, **arguments: Any) -> None:
        assert event.wait(30)
        look(self, **arguments)

    monkeypatch.setattr(Log, "look", slow)
    yield event
    event.set()


async def test_a_job_that_is_not_known_or_has_not_started(tmp_path: Path) -> None:
    async with shelf(tmp_path) as each:
        assert await each.lines.extent("j") == LineExtent(0, 0, 0)
        assert await each.lines.extent("j", Kind.STDERR) == LineExtent(0, 0, 0)
        found = await each.page(RUNNING)
        assert found == LinePage(start=0, total=0, size_bytes=0, indexed_bytes=0, ended=False, lines=())
        assert (await each.page(RUNNING, start=-5)).start == 0
        each.write("j", b"now\n")
        assert await each.lines.extent("j") == LineExtent(4, 4, 1)
        assert [line.data for line in (await each.page(ENDED, start=-1)).lines] == [b"now"]


async def test_what_is_told_is_never_older_than_the_question(tmp_path: Path) -> None:
    async with shelf(tmp_path) as each:
        written = 0

        async def ask() -> None:
            for _ in range(50):
                before = written
                assert (await each.lines.extent("j")).line_count >= before

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
            for _ in range(100):
                each.write("j", b"x\n")
                written += 1
                await trio.lowlevel.checkpoint()


async def test_all_who_ask_share_one_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobdeck_server.core.linelog._LOOK_S", 0.0)  # a build has many looks
    monkeypatch.setattr("jobdeck_server.core.linelog._PIECE_BYTES", 1000)
    look, looking, most = Log.look, 0, 0

    def counted(self: Log, **arguments: Any) -> None:
        nonlocal looking, most
        looking += 1
        most = max(most, looking)
        monkeypatch.setattr("jobdeck_server.core.linelog._LOOK_S", 0.001)
        look(self, **arguments)
        looking -= 1

    monkeypatch.setattr(Log, "look", counted)
    async with shelf(tmp_path, line_thread_limit_count=8, lines_wait_s=60.0) as each:
        each.write("j", b"line\n" * 20_000)
        found: list[LinePage] = []

        async def ask(start: int) -> None:
            found.append(await each.page(RUNNING, start=start))

        async with trio.open_nursery() as nursery:
            for start in range(-10, 10):
                nursery.start_soon(ask, start)
        assert {each.total for each in found} == {20_000}
        assert most == 1


async def test_a_page_beyond_the_index_waits_for_a_while(tmp_path: Path, gate: threading.Event) -> None:
    async with shelf(tmp_path, lines_wait_s=0.01) as each:
        each.write("j", b"a\nb\n")
        found = await each.page(RUNNING, start=1)
        assert (found.total, found.indexed_bytes, found.lines) == (0, 0, ())
        gate.set()
    async with shelf(tmp_path, lines_wait_s=60.0) as each:
        assert (await each.page(RUNNING, start=1)).lines[0].data == b"b"


async def test_a_log_that_cannot_be_read(tmp_path: Path) -> None:
    async with shelf(tmp_path) as each:
        (tmp_path / "j" / "output").mkdir(parents=True)
        with pytest.raises(UnavailableError):
            await each.lines.extent("j")
        (tmp_path / "j" / "output").rmdir()
        each.write("j", b"a\n")
        assert (await each.lines.extent("j")).line_count == 1


async def test_growth_is_indexed_while_nobody_asks(tmp_path: Path) -> None:
    limits = {"line_sweep_s": 0.01, "line_sweep_bytes": 1000, "line_file_least_bytes": 1}
    async with shelf(tmp_path, **limits) as each:
        each.write("j", b"x" * 2000)
        each.write("small", b"x" * 10)
        each.running = ["j", "small", "nothing yet"]
        await until(lambda: len(each.lines) == 1)
        job = replace(ENDED, output_bytes=2000)
        each.running = []
        each.lines.ended(job)
        await until((tmp_path / "j" / "lines").exists)
        assert len(each.lines) == 1


async def test_what_was_not_used_for_long_is_dropped(tmp_path: Path) -> None:
    async with shelf(tmp_path, line_sweep_s=0.01, line_idle_s=0.0) as each:
        each.write("j", b"x")
        await each.lines.extent("j")
        await until(lambda: len(each.lines) == 0)


async def test_memory_holds_the_ones_used_last(tmp_path: Path) -> None:
    async with shelf(tmp_path, line_index_limit_count=3) as each:
        for name in "abcda":
            await each.lines.extent(name)
        assert len(each.lines) == 3
    async with shelf(tmp_path, line_memory_limit_bytes=30 * 8) as each:
        for name in "abc":
            each.write(name, b"x" * 16 * lineindex.BLOCK_BYTES)
            await each.lines.extent(name)
        assert len(each.lines) == 2  # the newest was opened before it had any


async def test_what_is_forgotten_leaves_no_file(tmp_path: Path, gate: threading.Event) -> None:
    async with shelf(tmp_path, line_file_least_bytes=1) as each:
        each.write("j", b"a\n")
        each.lines.ended(replace(ENDED, output_bytes=2))
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(each.lines.forget, "j")
            await trio.testing.wait_all_tasks_blocked()
            assert nursery.child_tasks  # it waits for the look that is under way
            gate.set()
        assert len(each.lines) == 0
        assert os.listdir(tmp_path / "j") == ["output"]


# -- with jobs --


async def ended_job(bench: Bench, text: bytes) -> Job:
    job = await bench.core.submit(shell("true"))
    LogWriter(bench.engine.follow(job.id)).write(Kind.STDOUT, text)
    bench.core.report(job.id, Started(started_us=1, step=0))
    bench.core.report(job.id, Ended(how="exit", code=0, started_us=1, finished_us=now_us(), output_bytes=len(text)))
    await until(lambda: bench.core.live(job.id) is None)
    return await bench.core.get(job.id)


async def test_the_end_of_a_job_is_indexed_and_its_removal_forgets(tmp_path: Path) -> None:
    async with bench(tmp_path, line_file_least_bytes=1) as each:
        job = await ended_job(each, b"a\nb\n")
        folder = each.engine.follow(job.id)
        await until((folder / "lines").exists)
        assert len(each.core.lines) == 1
        await each.core.remove(job.id)
        assert len(each.core.lines) == 0
        assert each.engine.forgotten == [job.id]


async def test_output_removed_by_retention(tmp_path: Path) -> None:
    query = PageQuery(limit_count=10, cap_bytes=10)
    async with bench(tmp_path, retention_output_bytes=5, line_file_least_bytes=1) as each:
        jobs = [await ended_job(each, b"a\nb\n") for _ in range(2)]
        for job in jobs:
            assert (await each.core.lines.page(job, query)).total == 2
        await retention.sweep(each.core)
        assert len(each.core.lines) == 1
        old, new = [await each.core.get(job.id) for job in jobs]
        assert (old.output_removed, new.output_removed) == (True, False)
        with pytest.raises(OutputGoneError):
            await each.core.lines.page(old, query)
        with pytest.raises(OutputGoneError):
            await each.core.lines.page(jobs[0], query)  # read before it was removed
        assert (await each.core.lines.page(new, query)).total == 2


async def test_a_job_that_was_lost_without_a_byte(tmp_path: Path) -> None:
    async with bench(tmp_path) as each:
        job = Job(id="x", dialect="v1", state=JobState.LOST, output_removed=True)
        found = await each.core.lines.page(job, PageQuery(limit_count=10, cap_bytes=10))
        assert (found.ended, found.total) == (True, 0)
