"""Ended jobs in memory: asked for again they come without a read, and are never older than what was told."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core import journal, retention
from jobdeck_server.core.errors import UnknownJobError
from jobdeck_server.core.live import now_us
from jobdeck_server.engines.base import Ended, Started
from tests.server.core.harness import Bench, bench, shell

DONE = Ended(how="exit", code=0, started_us=5, finished_us=now_us(), output_bytes=10, step=0)


async def ended(b: Bench, line: str = "true", how: Ended = DONE) -> str:
    job = await b.core.submit(shell(line))
    b.core.report(job.id, Started(started_us=5, step=0))
    b.core.report(job.id, how)
    await b.core.committed(job.id)
    return job.id


class Reads:
    """Counts what is read from the database; ``hold`` keeps a finished read back until it is set."""

    def __init__(self, b: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        self.begun = trio.Event()
        self.hold: trio.Event | None = None
        self._read = b.store.read
        monkeypatch.setattr(b.store, "read", self.read)

    async def read(self, work: Callable[[sqlite3.Connection], Any]) -> Any:
        self.count += 1
        found = await self._read(work)
        self.begun.set()
        if self.hold is not None:
            await self.hold.wait()
        return found


async def test_an_ended_job_is_read_once_for_all_who_ask_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path) as b:
        job_id = await ended(b)
        reads = Reads(b, monkeypatch)
        first = await b.core.get(job_id)
        assert first.state is JobState.SUCCEEDED
        assert reads.count == 1
        assert await b.core.get(job_id) is first
        assert reads.count == 1


async def test_a_removed_job_is_unknown_at_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job_id = await ended(b)
        await b.core.get(job_id)
        await b.core.remove(job_id)
        with pytest.raises(UnknownJobError):
            await b.core.get(job_id)


async def test_an_output_that_was_removed_is_told_as_removed(tmp_path: Path) -> None:
    async with bench(tmp_path, retention_output_bytes=5) as b:
        job_id = await ended(b)
        assert not (await b.core.get(job_id)).output_removed
        await retention.sweep(b.core)
        assert (await b.core.get(job_id)).output_removed


async def test_a_lost_job_that_was_found_is_told_as_found(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job_id = await ended(b, how=Ended(how="lost", text="gone", finished_us=9))
        assert (await b.core.get(job_id)).state is JobState.LOST
        assert await b.core.correct(job_id, DONE)
        await b.core.committed(job_id)
        assert (await b.core.get(job_id)).state is JobState.SUCCEEDED


async def test_a_record_that_changes_while_it_is_read_is_not_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path) as b:
        job_id = await ended(b)
        reads = Reads(b, monkeypatch)
        reads.hold = trio.Event()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(b.core.get, job_id)
            await reads.begun.wait()
            job = await b.store.write(lambda connection: journal.find_job(connection, job_id))
            assert job is not None
            changed = replace(job, output_removed=True)
            await b.core.events.commit(lambda connection: journal.update_job(connection, changed))
            reads.hold.set()
        assert await b.core.get(job_id) == changed


async def test_what_is_kept_is_bounded_by_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(tmp_path, ended_memory_bytes=70_000) as b:
        one, two, three = [await ended(b, line=str(number) * 15_000) for number in range(3)]
        too_large = await ended(b, line="x" * 60_000)
        reads = Reads(b, monkeypatch)
        for job_id, count in ((one, 1), (two, 2), (one, 2), (too_large, 3), (too_large, 4), (three, 5), (one, 5)):
            await b.core.get(job_id)
            assert reads.count == count
        await b.core.get(two)  # nobody had asked for it for longest
        assert reads.count == 6
