"""Contexts whose process dies, and those that are made anew: what becomes of their jobs."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core.admission import RESTORED
from jobdeck_server.core.contextdefaults import Defaults
from jobdeck_server.core.errors import (
    ConflictError,
    ContextInitError,
    ContextLostError,
    ContextStoppingError,
    UnknownContextError,
)
from jobdeck_server.core.requests import JobRequest
from jobdeck_server.engines.base import CONTEXT, Given
from tests.server.core.contextbench import ContextBench, Gate, context_bench
from tests.server.core.harness import FakeEngine, shell, until

ALWAYS = Defaults(settings={"context-restart": "always", "max-jobs-per-context": "1"})
ONE = Defaults(settings={"max-jobs-per-context": "1"})


def gate() -> Gate:
    found = Gate()
    found.opened.set()
    found.released.set()
    return found


async def state(bench: ContextBench, name: str, wanted: ContextState) -> ContextInfo:
    found: ContextInfo | None = None
    with trio.fail_after(30):
        while found is None or found.state is not wanted:
            await trio.sleep(0.001)
            found = await bench.contexts.find(name)
    return found


async def ended(bench: ContextBench, job: Job) -> Job:
    with trio.fail_after(30):
        return await bench.core.wait(job.id)


def lose(bench: ContextBench, context: ContextInfo, *, stopped: bool = False) -> None:
    bench.contexts.losses.lost(context.id, "Java has ended", stopped=stopped)


async def two_jobs(bench: ContextBench) -> tuple[ContextInfo, Job, Job]:
    """One context with a slot, a job that has it, and one that waits."""
    made = await bench.create("c1")
    runs, waits = await bench.job("c1"), await bench.job("c1")
    await bench.begin(runs)
    return made, runs, waits


async def test_jobs_of_one_that_has_died_end_by_themselves_and_those_that_wait_fail(tmp_path: Path) -> None:
    async with context_bench(tmp_path, defaults=ONE, kind=gate()) as bench:
        made, runs, waits = await two_jobs(bench)
        lose(bench, made)
        words = f"Unexpected termination of context {made.id}: Java has ended"
        failed = await ended(bench, waits)
        assert (failed.state, failed.error) == (JobState.FAILED, words)
        assert bench.engine.stops == []  # it is given the time to notice
        with pytest.raises(ContextStoppingError):
            bench.contexts.choose("c1")
        bench.end(runs, code=2, text=f"Unexpected termination of context {made.id}")
        found = await state(bench, "c1", ContextState.ERROR)
        assert (found.error, found.note) == (words, None)
        lose(bench, made)  # it is known
        assert bench.engine.launched == [runs.id]


async def test_jobs_that_do_not_notice_are_stopped(tmp_path: Path) -> None:
    async with context_bench(tmp_path, defaults=ONE, kind=gate(), context_lost_s=0.05) as bench:
        made, runs, _ = await two_jobs(bench)
        lose(bench, made)
        await until(lambda: [job_id for job_id, _ in bench.engine.stops] == [runs.id])
        bench.stopped(runs)
        await state(bench, "c1", ContextState.ERROR)
        assert bench.contexts.ended_with(runs.id) == f"Unexpected termination of context {made.id}: Java has ended"


async def test_one_is_made_anew_and_what_waits_waits_on(tmp_path: Path) -> None:
    kind = gate()
    async with context_bench(tmp_path, defaults=ALWAYS, kind=kind) as bench:
        made, runs, waits = await two_jobs(bench)
        lose(bench, made)
        again = await state(bench, "c1", ContextState.RESTARTING)
        assert (again.id, again.restarts_count, again.queued_count) == (made.id, 1, 1)
        bench.end(runs, code=2, text=f"Unexpected termination of context {made.id}")
        await state(bench, "c1", ContextState.RUNNING)
        await bench.begin(waits)
        assert (kind.started, kind.stopped) == (["c1", "c1"], [("c1", False)])
        assert bench.engine.launched == [runs.id, waits.id]
        assert bench.engine.stops == []


async def test_one_that_somebody_has_stopped_is_not_made_anew(tmp_path: Path) -> None:
    async with context_bench(tmp_path, defaults=ALWAYS, kind=gate()) as bench:
        lose(bench, await bench.create("c1"), stopped=True)
        await state(bench, "c1", ContextState.ERROR)


async def test_one_is_made_anew_so_often_and_no_more(tmp_path: Path) -> None:
    kind = gate()
    async with context_bench(tmp_path, defaults=ALWAYS, kind=kind) as bench:
        made = await bench.create("c1")
        for _ in range(3):
            lose(bench, made)
            await state(bench, "c1", ContextState.RUNNING)
        lose(bench, made)
        assert (await state(bench, "c1", ContextState.ERROR)).restarts_count == 3


async def test_one_that_cannot_be_made_anew_is_tried_again_within_the_bound(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    del autojump_clock
    kind = gate()
    async with context_bench(tmp_path, defaults=ALWAYS, kind=kind) as bench:
        made = await bench.create("c1")
        kind.refusal = ContextInitError("no master")
        lose(bench, made)
        found = await state(bench, "c1", ContextState.ERROR)
        assert "no master" in (found.error or "")
        assert len(kind.started) == 1 + 3


async def test_a_server_that_ends_takes_no_death_for_one(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "jobs")
    async with context_bench(tmp_path, kind=gate(), engine=engine) as bench:
        made = await bench.create("c1")
        bench.contexts.leave()
        lose(bench, made)
        assert (await bench.contexts.find("c1")).state is ContextState.RUNNING
    async with context_bench(tmp_path, kind=gate(), engine=engine) as bench:
        assert (await state(bench, "c1", ContextState.RUNNING)).id == made.id


# -- asked for --


async def test_a_restart_that_was_asked_for_stops_what_runs(tmp_path: Path) -> None:
    kind = gate()
    async with context_bench(tmp_path, defaults=ONE, kind=kind) as bench:
        made, runs, waits = await two_jobs(bench)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.contexts.restart, "c1")
            await until(lambda: [job_id for job_id, _ in bench.engine.stops] == [runs.id])
            bench.stopped(runs)
        assert (await bench.contexts.find("c1")).restarts_count == 1
        assert bench.contexts.ended_with(runs.id) == "Context (c1) for this job was terminated"
        await bench.begin(waits)
        assert await bench.contexts.stop("c1", force=True, timeout_s=0) is False
        bench.end(waits, code=None, signal=9, stop_reason="requested")
        await state(bench, "c1", ContextState.KILLED)
        assert kind.killed == ["c1"]
        again = await bench.contexts.restart("c1")
        assert (again.state, again.settings) == (ContextState.RUNNING, made.settings)
        assert again.id != made.id


async def test_what_cannot_be_restarted(tmp_path: Path) -> None:
    kind = gate()
    async with context_bench(tmp_path, kind=kind) as bench:
        with pytest.raises(UnknownContextError):
            await bench.contexts.restart("c1")
        adhoc = await bench.job()
        with pytest.raises(ConflictError):
            await bench.contexts.restart(adhoc.context or "")
        await bench.create("c1")
        kind.released = trio.Event()
        assert await bench.contexts.stop("c1", timeout_s=0) is False
        with pytest.raises(ContextStoppingError):
            await bench.contexts.restart("c1")
        kind.released.set()


async def test_one_that_is_being_made_anew_can_be_stopped(tmp_path: Path) -> None:
    kind = gate()
    async with context_bench(tmp_path, kind=kind, defaults=ALWAYS) as bench:
        made = await bench.create("c1")
        kind.opened = trio.Event()
        lose(bench, made)
        await until(lambda: len(kind.started) == 2)
        assert await bench.contexts.stop("c1", timeout_s=30)
        assert (await bench.contexts.find("c1")).state is ContextState.FINISHED


async def test_a_restart_goes_on_after_the_server_was_killed(tmp_path: Path) -> None:
    kind, engine = gate(), FakeEngine(tmp_path / "jobs")
    async with context_bench(tmp_path, kind=kind, engine=engine) as bench:
        made = await bench.create("c1")
        kind.released = trio.Event()
        bench.contexts.losses.restart(bench.contexts._named["c1"])
        await state(bench, "c1", ContextState.RESTARTING)
        await bench.store.write(lambda connection: None)  # what was written before is on disk
    kind = gate()
    async with context_bench(tmp_path, kind=kind, engine=engine) as bench:
        found = await state(bench, "c1", ContextState.RUNNING)
        assert (found.id, found.restarts_count) == (made.id, 1)
        assert (kind.started, kind.stopped) == (["c1"], [("c1", False)])  # what there was of it ended first


# -- doubts --


async def test_after_a_job_that_says_so_no_other_begins_before_it_is_known(tmp_path: Path) -> None:
    kind = gate()
    asked, go = trio.Event(), trio.Event()

    async def alive(context: ContextInfo) -> bool:
        asked.set()
        await go.wait()
        return kind.answer

    kind.alive = alive  # type: ignore[method-assign]  # a gate of its own
    async with context_bench(tmp_path, defaults=ONE, kind=kind) as bench:
        made, runs, waits = await two_jobs(bench)
        lost = partial(bench.end, code=2, text=f"Unexpected termination of context {made.id}")
        lost(runs)
        await asked.wait()
        await ended(bench, runs)
        assert waits.id not in bench.engine.launched
        go.set()
        await bench.begin(waits)  # it was the job alone
        third = await bench.job("c1")
        kind.answer = False
        lost(waits)
        assert (await ended(bench, third)).error == str(ContextLostError(made.id))
        await state(bench, "c1", ContextState.ERROR)


# -- for jobs that start, and processes --


async def test_where_a_job_finds_its_context(tmp_path: Path) -> None:
    kind = gate()
    kind.opened = trio.Event()
    kind.link = lambda context: tmp_path / "control.sock"  # type: ignore[method-assign]  # of this test
    async with context_bench(tmp_path, kind=kind) as bench:
        links: list[Path | None] = []

        async def look(context_id: str) -> None:
            links.append(await bench.contexts.link(context_id))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.create, "c1")
            await until(lambda: bool(kind.started))
            (context,) = bench.contexts.live()
            nursery.start_soon(look, context.id)
            await trio.testing.wait_all_tasks_blocked()
            assert links == []
            kind.opened.set()
        assert links == [tmp_path / "control.sock"]
        lose(bench, context)
        with pytest.raises(ContextLostError):
            await bench.contexts.link(context.id)


async def test_a_process_begins_at_once_whoever_waits(tmp_path: Path) -> None:
    request = JobRequest(dialect="spark", engine=CONTEXT, package={})
    async with context_bench(tmp_path, running_limit_count=0, queued_limit_count=1) as bench:
        waits = await bench.core.submit(shell("true"))
        process = await bench.core.submit(request)
        assert process.state is JobState.STARTING
        await until(lambda: bench.engine.launched == [process.id])
        assert bench.core.slots_in_use == 0
        bench.core.report(process.id, Given(context="c1"))
        assert bench.core.live(process.id).job.command == "context c1"  # type: ignore[union-attr]  # it lives
        bench.core.admission.pause(RESTORED, on=True)
        held = await bench.core.submit(request)
        assert held.state is JobState.QUEUED
        bench.core.admission.pause(RESTORED, on=False)
        await until(lambda: bench.engine.launched == [process.id, held.id])
        assert waits.state is JobState.QUEUED


async def test_what_is_known_of_a_process_is_kept(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "jobs")
    async with context_bench(tmp_path, kind=gate(), engine=engine) as bench:
        made = await bench.create("c1")
        bench.contexts.losses.tell(made.id, process="p", master="local[1]", application="a", note="Java", ui="http://u")
        told = await bench.contexts.find("c1")
        assert replace(told, process=None, master=None, application=None, note=None, ui=None) == made
        bench.contexts.losses.tell("gone", note="x")
        await bench.contexts.stop("c1", timeout_s=30)
    async with context_bench(tmp_path, kind=gate(), engine=engine) as bench:
        found = await bench.contexts.find("c1")
        assert (found.process, found.master, found.application, found.ui) == ("p", "local[1]", "a", "http://u")
        assert (found.note, found.memory_bytes) == (None, None)
