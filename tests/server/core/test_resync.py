"""What happens between a question and its answer: the core must not believe what has gone out of date meanwhile."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from jobdeck_protocol.job import JobState
from jobdeck_server.core.listing import JobFilter
from jobdeck_server.engines.base import Ended, Report, Started
from tests.server.core.harness import FakeEngine, bench, shell, until

STARTED = Started(started_us=5, step=0)


@dataclass
class SlowEngine(FakeEngine):
    """Things happen between its looking and its answering."""

    meanwhile: Callable[[], None] = lambda: None

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        found = await super().status(job_ids)
        await trio.lowlevel.checkpoint()
        self.meanwhile()
        return found


async def test_a_job_that_starts_while_the_engine_looks_is_not_lost(tmp_path: Path) -> None:
    engine = SlowEngine(tmp_path / "jobs")
    async with bench(tmp_path, engine=engine) as b:
        job = await b.core.submit(shell("true"))
        engine.meanwhile = lambda: b.core.report(job.id, STARTED)
        await b.core.resync()
        assert (await b.core.get(job.id)).state is JobState.RUNNING


async def test_a_running_job_without_a_record_is_lost(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        b.core.report(job.id, STARTED)
        await b.core.resync()
        assert (await b.core.get(job.id)).state is JobState.LOST


async def test_a_starting_job_that_is_not_known_is_asked_for_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        await trio.testing.wait_all_tasks_blocked(0.05)
        await b.core.resync()
        await trio.testing.wait_all_tasks_blocked(0.05)
        assert b.engine.launched == [job.id, job.id]


async def test_a_slot_that_becomes_free_is_given_away_after_all_is_found(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=1) as b:
        running, waiting = [(await b.core.submit(shell("true"))).id for _ in range(2)]
        b.core.report(running, STARTED)
        await trio.testing.wait_all_tasks_blocked(0.05)
    launched: list[str] = []

    class Looking(FakeEngine):
        async def kept(self) -> Collection[str]:
            await trio.testing.wait_all_tasks_blocked(0.05)  # time for whatever would be started
            launched.extend(self.launched)
            return ()

    ended = Ended(how="exit", code=0, started_us=5, finished_us=9)
    looking = Looking(tmp_path / "jobs", known={running: ended})
    async with bench(tmp_path, engine=looking, running_limit_count=1) as b:
        assert launched == []
        assert (b.recovery.ended_count, b.recovery.queued_count) == (1, 1)
        await until(lambda: looking.launched == [waiting])


async def test_a_list_read_before_an_end_was_committed_tells_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        b.core.report(job.id, STARTED)
        read = b.store.read

        async def slow(work: Callable[[sqlite3.Connection], Any]) -> Any:
            found = await read(work)
            b.core.report(job.id, Ended(how="exit", code=0, finished_us=9))
            await until(lambda: b.core.live(job.id) is None)
            return found

        monkeypatch.setattr(b.store, "read", slow)
        (found,) = (await b.core.page(JobFilter())).jobs
        assert found.state is JobState.SUCCEEDED
