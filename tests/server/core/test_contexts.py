"""Contexts: made, chosen, filled, stopped; over restarts of the server, and kills of it."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from jobdeck_protocol.contextinfo import ContextInfo, ContextState, from_wire, to_wire
from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core.contextdefaults import Defaults, DefaultsError
from jobdeck_server.core.errors import (
    BadContextNameError,
    CapacityError,
    ContextExistsError,
    ContextInitError,
    ContextStoppingError,
    NoSlotsError,
    UnknownContextError,
)
from jobdeck_server.core.events import Event
from jobdeck_server.core.hocon import EMPTY
from jobdeck_server.core.outbound.errors import RefusedError
from jobdeck_server.engines.base import Started
from tests.server.core.contextbench import ContextBench, Gate, body, context_bench
from tests.server.core.harness import FakeEngine, take, until

TERMINATED = "Context (c1) for this job was terminated"


def states(bench: ContextBench, jobs: Sequence[Job]) -> list[JobState | None]:
    found = [bench.core.live(job.id) for job in jobs]
    return [None if live is None else live.job.state for live in found]


def counts(bench: ContextBench, name: str) -> tuple[int, int]:
    (found,) = [context for context in bench.contexts.live() if context.name == name]
    return found.running_count, found.queued_count


async def told_until(bench: ContextBench, kind: str, *, since: int = 0) -> list[Event]:
    """All events after a number, up to the first of a kind."""
    told: list[Event] = []
    while not any(event.kind == kind for event in told):
        (event,) = await take(bench.core.events, told[-1].n if told else since, 1)
        assert isinstance(event, Event)
        told.append(event)
    return told


# -- the record --


def test_a_context_on_the_wire() -> None:
    context = ContextInfo(
        id="i", name="n", state=ContextState.ERROR, settings={"a": {"b": 1}}, created_us=1, ended_us=2, error="no"
    )
    wire = json.loads(json.dumps(to_wire(context)))
    assert (wire["state"], wire["created"], wire["ended"]) == (
        "error",
        "1970-01-01T00:00:00.000001Z",
        "1970-01-01T00:00:00.000002Z",
    )
    assert from_wire(wire) == context
    assert context.ended
    assert from_wire({"id": "i", "name": "n", "of a later version": 1}) == ContextInfo(id="i", name="n")
    for broken in ({"id": "i"}, {"id": "i", "name": "n", "state": "odd"}, {"id": "i", "name": "n", "created": "soon"}):
        with pytest.raises((KeyError, ValueError)):
            from_wire(broken)


# -- making and looking --


async def test_a_context_is_made_found_stopped_and_remembered(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        made = await bench.contexts.create(
            "c1", query={"a.b": "q", "x": "q"}, body=body(a={"b": 1}, db={"password": "p"})
        )
        assert made.state is ContextState.RUNNING
        assert made.settings == {"a": {"b": 1}, "x": "q", "db": {"password": "(hidden)"}}
        assert (made.slots_count, made.kind, made.adhoc, made.ended_us) == (8, "plain", False, None)
        assert made.python
        assert bench.contexts.live() == [made] == [await bench.contexts.find("c1")]
        assert bench.contexts.choose("c1").settings["db"] == {"password": "p"}
        with pytest.raises(ContextExistsError):
            await bench.create("c1")
        assert await bench.contexts.stop("c1", timeout_s=60)
        assert bench.names() == []
        found = await bench.contexts.find("c1")
        assert (found.state, found.id, found.settings) == (ContextState.FINISHED, made.id, made.settings)
        assert found.ended_us is not None
        for attempt in (bench.contexts.choose, lambda name: bench.contexts.jobs(name) or bench.contexts.choose(name)):
            with pytest.raises(UnknownContextError):
                attempt("c1")
        with pytest.raises(UnknownContextError):
            await bench.contexts.stop("c1", timeout_s=60)
        with pytest.raises(UnknownContextError):
            await bench.contexts.find("c2")
        again = await bench.create("c1")
        assert (await bench.contexts.find("c1")).id == again.id != made.id


async def test_what_can_be_a_name_and_what_cannot(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        for name in ("", "1c", "_c", " c", "c/d", "c\0", "c\n", "c" * 256):
            with pytest.raises(BadContextNameError):
                await bench.create(name)
        assert (await bench.create("ä b%2F" + "c" * 240)).state is ContextState.RUNNING


async def test_contexts_are_bounded_in_number_but_those_of_jobs_by_jobs(tmp_path: Path) -> None:
    async with context_bench(tmp_path, context_limit_count=1) as bench:
        await bench.job()
        await bench.create("c1")
        with pytest.raises(CapacityError):
            await bench.create("c2")
        await bench.job()
        assert await bench.contexts.stop("c1", timeout_s=60)
        await bench.create("c2")


async def test_a_context_that_cannot_be_made_says_why_and_is_remembered(tmp_path: Path) -> None:
    gate = Gate(refusal=ContextInitError("pip says no"))
    gate.opened.set()
    gate.released.set()
    async with context_bench(tmp_path, kind=gate) as bench:
        with pytest.raises(ContextInitError, match="Context c1 cannot be made: pip says no"):
            await bench.create("c1")
        await until(lambda: bench.names() == [])
        found = await bench.contexts.find("c1")
        assert (found.state, found.error) == (ContextState.ERROR, "Context c1 cannot be made: pip says no")
        gate.refusal = RuntimeError("a bug, with a secret")
        with pytest.raises(ContextInitError, match="internal error"):
            await bench.create("c2")


async def test_a_context_that_takes_too_long_is_none(tmp_path: Path) -> None:
    gate = Gate()
    gate.released.set()
    async with context_bench(tmp_path, kind=gate, context_start_s=0.02) as bench:
        early = await bench.contexts.create("c1", query={}, body=EMPTY, wait_s=0)
        assert early.state is ContextState.STARTING
        with pytest.raises(ContextInitError, match=r"not up within 0\.02 s"):
            await bench.create("c2")


async def test_whoever_asked_may_go(tmp_path: Path) -> None:
    gate = Gate()
    async with context_bench(tmp_path, kind=gate) as bench:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(bench.create, "c1")
            await until(lambda: gate.started == ["c1"])
            nursery.cancel_scope.cancel()
        gate.opened.set()
        await until(lambda: bench.contexts.choose("c1").state is ContextState.RUNNING)
        assert bench.contexts.choose("c1").python == "/usr/bin/python-of-a-gate"


async def test_a_context_that_is_stopped_while_it_comes_up(tmp_path: Path) -> None:
    gate = Gate()
    gate.released.set()
    async with context_bench(tmp_path, kind=gate) as bench, trio.open_nursery() as nursery:
        failures: list[Exception] = []

        async def create() -> None:
            try:
                await bench.create("c1")
            except ContextInitError as error:
                failures.append(error)

        nursery.start_soon(create)
        await until(lambda: gate.started == ["c1"])
        job = await bench.job("c1")
        assert await bench.contexts.stop("c1", timeout_s=60)
        await until(lambda: len(failures) == 1)
        assert (await bench.core.wait(job.id)).state is JobState.STOPPED
        assert bench.contexts.ended_with(job.id) == TERMINATED
        assert (await bench.contexts.find("c1")).state is ContextState.FINISHED


# -- jobs --


async def test_jobs_have_the_slots_of_their_context_in_order(tmp_path: Path) -> None:
    async with context_bench(tmp_path, context_slots_count=2) as bench:
        await bench.create("c1")
        await bench.create("c2", **{"max-jobs-per-context": "1"})
        jobs = [await bench.job("c1") for _ in range(5)]
        other = await bench.job("c2")
        starting, queued = JobState.STARTING, JobState.QUEUED
        assert states(bench, jobs) == [starting, starting, queued, queued, queued]
        assert states(bench, [other]) == [starting]
        assert counts(bench, "c1") == (2, 3)
        assert bench.contexts.jobs("c1") == [job.id for job in jobs]
        await bench.begin(jobs[0])
        bench.end(jobs[1])
        assert states(bench, jobs[2:]) == [starting, queued, queued]
        await bench.core.stop(jobs[3].id)
        bench.end(jobs[0], code=3)
        assert states(bench, jobs[4:]) == [starting]
        assert counts(bench, "c1") == (2, 0)
        await until(lambda: sorted(bench.engine.launched) == sorted(job.id for job in (*jobs[:3], jobs[4], other)))


async def test_all_that_waited_for_a_context_have_their_slots_at_once(tmp_path: Path) -> None:
    """Each that leaves changes its record, which has the slots filled again."""
    gate = Gate()
    gate.released.set()
    async with context_bench(tmp_path, kind=gate, context_slots_count=3, running_limit_count=5000) as bench:
        chosen = await bench.contexts.create("c1", query={}, body=EMPTY, wait_s=0)
        jobs = [await bench.job(chosen) for _ in range(5)]
        assert states(bench, jobs) == [JobState.QUEUED] * 5
        gate.opened.set()
        await until(lambda: bench.contexts.choose("c1").state is ContextState.RUNNING)
        assert states(bench, jobs) == [*[JobState.STARTING] * 3, JobState.QUEUED, JobState.QUEUED]
        bench.end(jobs[1])
        assert states(bench, jobs[2:]) == [JobState.STARTING, JobState.STARTING, JobState.QUEUED]
        gate.opened = trio.Event()
        many = await bench.contexts.create("c2", query={"max-jobs-per-context": "2000"}, body=EMPTY, wait_s=0)
        crowd = [await bench.job(many) for _ in range(400)]
        gate.opened.set()
        await until(lambda: bench.contexts.choose("c2").state is ContextState.RUNNING)
        assert states(bench, crowd) == [JobState.STARTING] * len(crowd)


async def test_the_machines_own_limit_holds_too(tmp_path: Path) -> None:
    async with context_bench(tmp_path, running_limit_count=1) as bench:
        await bench.create("c1")
        jobs = [await bench.job("c1") for _ in range(2)]
        assert states(bench, jobs) == [JobState.STARTING, JobState.QUEUED]
        assert counts(bench, "c1") == (1, 1)
        bench.end(jobs[0])
        assert states(bench, jobs[1:]) == [JobState.STARTING]


async def test_a_job_that_is_held_waits_and_is_the_next_one(tmp_path: Path) -> None:
    async with context_bench(tmp_path, context_slots_count=1) as bench:
        await bench.create("c1")
        first, held, last = [await bench.job("c1") for _ in range(3)]
        live = bench.core.live(held.id)
        assert live is not None
        await bench.core.hold(live, held=True)
        bench.end(first)
        assert states(bench, [held, last]) == [JobState.QUEUED, JobState.STARTING]
        await bench.core.hold(live, held=False)
        assert states(bench, [held]) == [JobState.QUEUED]
        bench.end(last)
        assert states(bench, [held]) == [JobState.STARTING]


async def test_a_full_context_may_refuse(tmp_path: Path) -> None:
    async with context_bench(tmp_path, context_full="refuse", context_slots_count=1) as bench:
        await bench.create("c1")
        job = await bench.job("c1")
        with pytest.raises(NoSlotsError, match=r"Too many running jobs \(1\) for job context 'c1'"):
            bench.contexts.choose("c1")
        bench.end(job)
        bench.contexts.choose("c1")


async def test_a_context_of_one_job_lives_as_long_as_it(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        context = bench.contexts.adhoc("jobs.Count", query={"spark.proxy.user": "u"}, config=EMPTY)
        assert context.name == f"{context.id[:8]}-jobs.Count"
        assert bench.names() == []
        job = await bench.job(context)
        await until(lambda: states(bench, [job]) == [JobState.STARTING])
        (found,) = bench.contexts.live()
        assert (found.id, found.adhoc, found.slots_count, found.running_count) == (context.id, True, 1, 1)
        assert found.settings == {"spark": {"proxy": {"user": "u"}}}
        with pytest.raises(UnknownContextError):
            bench.contexts.choose(context.name)
        with pytest.raises(ContextExistsError):
            await bench.create(context.name) if context.name[0].isalpha() else _exists(context.name)
        bench.end(job)
        assert bench.names() == []
        with pytest.raises(UnknownContextError):
            await bench.contexts.find(context.name)


def _exists(name: str) -> None:
    raise ContextExistsError(name)  # most of these begin with a digit, and so cannot be asked for


async def test_a_package_that_may_not_be_fetched_is_no_fault_of_the_server(tmp_path: Path) -> None:
    gate = Gate(refusal=RefusedError("not for you"))
    gate.opened.set()
    gate.released.set()
    async with context_bench(tmp_path, kind=gate) as bench:
        with pytest.raises(ContextInitError, match="Context c1 cannot be made: not for you"):
            await bench.create("c1")


async def test_a_job_waits_for_its_context_and_ends_with_it(tmp_path: Path) -> None:
    gate = Gate(refusal=ContextInitError("pip says no"))
    gate.released.set()
    async with context_bench(tmp_path, kind=gate) as bench:
        job = await bench.job()
        await until(lambda: len(gate.started) == 1)
        assert states(bench, [job]) == [JobState.QUEUED]
        gate.opened.set()
        ended = await bench.core.wait(job.id)
        assert (ended.state, ended.error) == (JobState.FAILED, f"Context {job.context} cannot be made: pip says no")
        await until(lambda: bench.names() == [])


# -- stopping --


async def test_stopping_ends_all_jobs_and_says_why(tmp_path: Path) -> None:
    async with context_bench(tmp_path, context_slots_count=2) as bench:
        await bench.create("c1")
        done, runs, users, waits = [await bench.job("c1") for _ in range(4)]
        bench.end(done)
        await bench.begin(runs)
        await bench.begin(users)
        await bench.core.stop(users.id)
        assert not await bench.contexts.stop("c1", timeout_s=0.05)
        with pytest.raises(ContextStoppingError):
            bench.contexts.choose("c1")
        assert [context.state for context in bench.contexts.live()] == [ContextState.STOPPING]
        await until(lambda: {job_id for job_id, _ in bench.engine.stops} == {runs.id, users.id})
        bench.stopped(users)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: bench.contexts.stop("c1", timeout_s=60))
            await trio.testing.wait_all_tasks_blocked()
            bench.stopped(runs)
        assert bench.names() == []
        assert [bench.contexts.ended_with(job.id) for job in (done, runs, users, waits)] == [
            None,
            TERMINATED,
            None,
            TERMINATED,
        ]
        assert (await bench.core.get(waits.id)).state is JobState.STOPPED
        assert (await bench.contexts.find("c1")).state is ContextState.FINISHED


async def test_force_kills_also_what_was_asked_before(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        await bench.create("c1")
        job = await bench.job("c1")
        await bench.begin(job)
        assert not await bench.contexts.stop("c1", timeout_s=0.05)
        assert not await bench.contexts.stop("c1", force=True, timeout_s=0.05)
        await until(lambda: [stop.signal for _, stop in bench.engine.stops] == [15, 9])
        bench.end(job, code=None, signal=9, stop_reason="requested")
        await until(lambda: bench.names() == [])
        assert (await bench.contexts.find("c1")).state is ContextState.KILLED


async def test_a_job_that_comes_when_its_context_goes_is_stopped(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        await bench.create("c1")
        chosen = bench.contexts.choose("c1")
        first = await bench.job(chosen)
        await bench.begin(first)
        assert not await bench.contexts.stop("c1", timeout_s=0)
        late = await bench.job(chosen)
        assert (await bench.core.wait(late.id)).state is JobState.STOPPED
        bench.stopped(first)
        await until(lambda: bench.names() == [])
        later = await bench.job(chosen)
        assert (await bench.core.wait(later.id)).state is JobState.STOPPED
        assert [bench.contexts.ended_with(job.id) for job in (late, later)] == [TERMINATED] * 2


async def test_an_adhoc_context_can_be_stopped_by_its_name(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        job = await bench.job()
        await until(lambda: states(bench, [job]) == [JobState.STARTING])
        assert not await bench.contexts.stop(job.context or "", timeout_s=0)
        await until(lambda: len(bench.engine.stops) == 1)
        bench.stopped(job)
        await until(lambda: bench.names() == [])
        assert bench.contexts.ended_with(job.id) == f"Context ({job.context}) for this job was terminated"


async def test_a_context_may_end_with_the_first_failure(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        await bench.create("c1", **{"stop-context-on-job-error": "true"})
        good, bad, other = [await bench.job("c1") for _ in range(3)]
        bench.end(good)
        assert bench.names() == ["c1"]
        bench.end(bad, code=4)
        await until(lambda: len(bench.engine.stops) == 1)
        bench.stopped(other)
        await until(lambda: bench.names() == [])
        found = await bench.contexts.find("c1")
        assert (found.state, found.error) == (ContextState.ERROR, f"job {bad.id} failed")
        assert bench.contexts.ended_with(other.id) == TERMINATED
        assert bench.contexts.ended_with(bad.id) is None


async def test_reset_makes_the_configured_ones_anew(tmp_path: Path) -> None:
    defaults = Defaults(settings={"x": 1, "y": 1}, contexts={"set": {"y": 2}})
    async with context_bench(tmp_path, defaults=defaults) as bench:
        await until(lambda: [context.state for context in bench.contexts.live()] == [ContextState.RUNNING])
        before = await bench.contexts.find("set")
        assert before.settings == {"x": 1, "y": 2}
        await bench.create("c1")
        await bench.contexts.reset()
        assert bench.names() == ["set"]
        assert (await bench.contexts.find("set")).id != before.id
        assert (await bench.contexts.find("c1")).state is ContextState.FINISHED


async def test_a_file_that_asks_for_what_cannot_be_is_refused(tmp_path: Path) -> None:
    factory = {"context-factory": "my.Factory"}
    for settings in (factory, {"max-jobs-per-context": 0}, {"python": {"executable": "/bin/sh"}}):
        with pytest.raises(DefaultsError, match=r"^context set: "):
            async with context_bench(tmp_path, defaults=Defaults(contexts={"set": settings})):
                raise AssertionError


# -- over a restart --


async def test_contexts_and_their_queues_survive_the_server(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "jobs")
    defaults = Defaults(contexts={"set": {"x": 1}})
    async with context_bench(tmp_path, defaults=defaults, engine=engine, context_slots_count=1) as bench:
        made = await bench.create("c1", secret="s")
        jobs = [await bench.job("c1") for _ in range(3)]
        own = await bench.job()
        await bench.begin(jobs[0])
        await bench.begin(own)
    engine.known = dict.fromkeys([jobs[0].id, own.id], Started(started_us=1, step=0))
    defaults = Defaults(contexts={"set": {"x": 2}})
    async with context_bench(tmp_path, defaults=defaults, engine=engine, context_slots_count=5) as bench:
        await until(lambda: {c.state for c in bench.contexts.live()} == {ContextState.RUNNING})
        found = await bench.contexts.find("c1")
        assert (found.id, found.slots_count, found.created_us) == (made.id, 1, made.created_us)
        assert bench.contexts.choose("c1").settings == {"secret": "s"}
        assert (await bench.contexts.find("set")).settings == {"x": 2}
        assert sorted(bench.names()) == sorted(["set", "c1", own.context or ""])
        assert counts(bench, "c1") == (1, 2)
        bench.end(jobs[0])
        assert states(bench, jobs[1:]) == [JobState.STARTING, JobState.QUEUED]
        bench.end(own)
        assert sorted(bench.names()) == ["c1", "set"]


async def test_a_stop_that_was_cut_is_done_by_the_next_server(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "jobs")
    async with context_bench(tmp_path, engine=engine) as bench:
        await bench.create("c1")
        job, other = await bench.job("c1"), await bench.job("c1")
        await bench.begin(job)
        await bench.begin(other)
        assert not await bench.contexts.stop("c1", timeout_s=0)
        await until(lambda: len(engine.stops) == 2)
        bench.stopped(other)
        await bench.core.committed(other.id)
    engine.stops.clear()
    engine.known = {job.id: Started(started_us=1, step=0)}
    async with context_bench(tmp_path, engine=engine) as bench:
        assert [context.state for context in bench.contexts.live()] == [ContextState.STOPPING]
        await until(lambda: {job_id for job_id, _ in engine.stops} == {job.id})
        with pytest.raises(ContextStoppingError):
            bench.contexts.choose("c1")
        bench.stopped(job)
        await until(lambda: bench.names() == [])
        assert (await bench.contexts.find("c1")).state is ContextState.FINISHED
        assert [bench.contexts.ended_with(each.id) for each in (job, other)] == [TERMINATED] * 2
    async with context_bench(tmp_path, engine=engine) as bench:
        assert [bench.contexts.ended_with(each.id) for each in (job, other)] == [TERMINATED] * 2
        assert bench.names() == []


async def test_a_context_that_ends_with_a_failure_does_so_after_a_restart_too(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "jobs")
    async with context_bench(tmp_path, engine=engine) as bench:
        await bench.create("c1", **{"stop-context-on-job-error": "true"})
        bad, other = await bench.job("c1"), await bench.job("c1")
        late = bench.contexts.choose("c1")
        await bench.begin(other)
        bench.end(bad, code=4)
        await until(lambda: len(engine.stops) == 1)
        waits = await bench.job(late)
    engine.known = {other.id: Started(started_us=1, step=0)}
    async with context_bench(tmp_path, engine=engine) as bench:
        bench.stopped(other)
        await until(lambda: bench.names() == [])
        found = await bench.contexts.find("c1")
        assert (found.state, found.error) == (ContextState.ERROR, f"job {bad.id} failed")
        assert (await bench.core.get(waits.id)).state is JobState.STOPPED
        assert [bench.contexts.ended_with(job.id) for job in (other, waits)] == [TERMINATED] * 2


async def test_a_job_that_waits_for_a_context_that_is_gone_is_stopped(tmp_path: Path) -> None:
    async with context_bench(tmp_path, running_limit_count=0) as bench:
        await bench.create("c1")
        job = await bench.job("c1")
    connection = sqlite3.connect(tmp_path / "jobdeck.sqlite3")
    connection.execute("delete from context")
    connection.commit()
    connection.close()
    async with context_bench(tmp_path) as bench:
        assert (await bench.core.wait(job.id)).state is JobState.STOPPED
        assert bench.contexts.ended_with(job.id) == TERMINATED


# -- forgetting, and news --


async def test_ended_contexts_are_forgotten_in_number_and_age(tmp_path: Path) -> None:
    async with context_bench(tmp_path, context_retention_count=2, context_sweep_s=0.02) as bench:
        for name in ("c1", "c2", "c3", "c4"):
            await bench.create(name)
        for name in ("c1", "c2", "c3"):
            assert await bench.contexts.stop(name, timeout_s=60)
        told = await told_until(bench, "context_removed")
        with pytest.raises(UnknownContextError):
            await bench.contexts.find("c1")
        for name in ("c2", "c3", "c4"):
            await bench.contexts.find(name)
    async with context_bench(tmp_path, context_retention_s=-1.0, context_sweep_s=0.02) as bench:
        await told_until(bench, "context_removed", since=told[-1].n)
        with pytest.raises(UnknownContextError):
            await bench.contexts.find("c3")
        await bench.contexts.find("c4")


async def test_changes_are_told_and_secrets_are_not(tmp_path: Path) -> None:
    async with context_bench(tmp_path) as bench:
        gone = await bench.create("c1", api_token="s")
        assert await bench.contexts.stop("c1", timeout_s=60)
        job = await bench.job()
        await until(lambda: states(bench, [job]) == [JobState.STARTING])
        bench.end(job)
        told = await told_until(bench, "context_removed")
        contexts = [event.data for event in told if event.kind == "context" and event.data["name"] == "c1"]
        assert contexts[-1]["state"] == "finished"
        assert contexts[-1]["id"] == gone.id
        assert {context["settings"]["api_token"] for context in contexts} == {"(hidden)"}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_slots_are_never_exceeded_and_nobody_waits_for_nothing(
    tmp_path: Path, seed: int
) -> None:
    """Jobs come, are held, stopped, end, and contexts with them, in any order; now and then the server, too."""
    rng = random.Random(seed)
    engine = FakeEngine(tmp_path / "jobs")
    slots = {"c0": 1, "c1": 2, "c2": 5}
    jobs: list[Job] = []

    def check(bench: ContextBench) -> None:
        for context in bench.contexts.live():
            found = [bench.core.live(job_id) for job_id in bench.contexts.jobs(context.name)]
            lives = [live for live in found if live is not None]
            begun = sum(live.job.state in (JobState.STARTING, JobState.RUNNING) for live in lives)
            ready = sum(live.job.state is JobState.QUEUED and not live.job.held for live in lives)
            assert begun == context.running_count <= context.slots_count
            assert len(lives) == context.running_count + context.queued_count
            if context.state is ContextState.RUNNING:
                assert begun == context.slots_count or not ready

    async def act(bench: ContextBench) -> None:
        choice = rng.random()
        alive = [live for job in jobs if (live := bench.core.live(job.id)) is not None and not live.job.ended]
        if choice < 0.5 or not alive:
            name = rng.choice([*slots, ""])
            if name and name not in bench.names():
                await bench.create(name, **{"max-jobs-per-context": str(slots[name])})
            if not name or bench.contexts.choose(name).state is ContextState.RUNNING:
                jobs.append(await bench.job(name or None))
            return
        live = rng.choice(alive)
        if live.job.state is JobState.QUEUED and choice < 0.65:
            await bench.core.hold(live, held=not live.job.held)
        elif choice < 0.7:
            await bench.core.stop(live.job.id)
        elif choice < 0.97 and live.job.state in (JobState.STARTING, JobState.RUNNING):
            bench.end(live.job, code=rng.choice([0, 1]))
        elif choice > 0.97:
            name = rng.choice(bench.names())
            async with trio.open_nursery() as nursery:
                nursery.start_soon(partial(bench.contexts.stop, name, timeout_s=60))
                await trio.testing.wait_all_tasks_blocked()
                for job_id in bench.contexts.jobs(name):
                    stopped = bench.core.live(job_id)
                    if stopped is not None and stopped.job.state in (JobState.STARTING, JobState.RUNNING):
                        bench.stopped(stopped.job)

    for _ in range(3):
        async with context_bench(tmp_path, engine=engine) as bench:
            await until(lambda: {context.state for context in bench.contexts.live()} <= {ContextState.RUNNING}, 60)
            for _ in range(60):
                await act(bench)
                await trio.testing.wait_all_tasks_blocked()
                check(bench)
            running = [job.id for job in bench.core.active() if job.state is not JobState.QUEUED]
            engine.known = dict.fromkeys(running, Started(started_us=1, step=0))
