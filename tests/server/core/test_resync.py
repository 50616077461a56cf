"""What the core makes of an engine that lost sight of its jobs for a while."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import trio
import trio.testing

from jobdeck_protocol.job import JobState
from jobdeck_server.engines.base import Report, Started
from tests.server.core.harness import FakeEngine, bench, shell

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
