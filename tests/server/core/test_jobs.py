from __future__ import annotations

import sqlite3
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol.job import MOVES, Job, JobState, from_wire, to_wire
from jobdeck_server.core import retention
from jobdeck_server.core.errors import (
    BadRequestError,
    BusyError,
    CapacityError,
    ConflictError,
    IdempotencyError,
    TooLargeError,
    UnknownJobError,
)
from jobdeck_server.core.events import Event
from jobdeck_server.core.listing import JobFilter
from jobdeck_server.core.live import now_us
from jobdeck_server.core.requests import Idempotency, JobRequest, StepRequest
from jobdeck_server.core.store import Store, StoreError
from jobdeck_server.core.verdict import verdict
from jobdeck_server.engines.base import Ended, Started
from tests.server.core.harness import FakeEngine, bench, shell, take, until

DONE = Ended(how="exit", code=0, started_us=5, finished_us=9, output_bytes=3, step=0)


async def test_a_job_is_committed_before_its_id_is_known_and_launched_after(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        assert job.state is JobState.STARTING
        stored = await b.store.read(lambda c: c.execute("select state, boot_id from job").fetchall())
        assert stored == [("starting", b.core.boot_id)]
        await trio.testing.wait_all_tasks_blocked()
        assert b.engine.launched == [job.id]


async def test_reports_move_a_job_and_may_be_repeated(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        for _ in range(2):
            b.core.report(job.id, Started(started_us=5, step=0))
        assert (await b.core.get(job.id)).state is JobState.RUNNING
        for _ in range(2):
            b.core.report(job.id, DONE)
        b.core.report(job.id, Ended(how="lost", finished_us=11, text="no"))
        ended = await b.core.wait(job.id)
        assert (ended.state, ended.exit_code, ended.finished_us, ended.output_bytes) == (JobState.SUCCEEDED, 0, 9, 3)
        await until(lambda: b.core.live(job.id) is None)
        assert await b.core.get(job.id) == ended
        assert b.core.counts[JobState.SUCCEEDED] == 1
        assert sum(b.core.counts.values()) == 1


async def test_a_job_that_ends_at_once_is_committed_once_as_ended(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        short, long = [await b.core.submit(shell("true")) for _ in range(2)]
        for job in (short, long):
            b.core.report(job.id, Started(started_us=5, step=0))
        b.core.report(short.id, DONE)
        await until(lambda: b.core.events.last == 4)
        told = await take(b.core.events, 0, 4)
        states = [(event.data["id"], event.data["state"]) for event in told if isinstance(event, Event)]
        assert states[2:] == [(short.id, "succeeded"), (long.id, "running")]


async def test_more_jobs_than_slots_wait_in_order(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=2) as b:
        jobs = [await b.core.submit(shell(f"echo {n}")) for n in range(5)]
        assert [job.state.value for job in jobs] == ["starting"] * 2 + ["queued"] * 3
        for job in jobs:
            await until(partial(lambda job: job.id in b.engine.launched, job))
            b.core.report(job.id, DONE)
        assert b.engine.launched[2:] == [job.id for job in jobs[2:]]


async def test_a_full_queue_refuses_and_changes_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=1, queued_limit_count=1) as b:
        for _ in range(2):
            await b.core.submit(shell("true"))
        with pytest.raises(CapacityError):
            await b.core.submit(shell("true"))
        assert len(b.core.active()) == 2


async def test_stopping_a_queued_job_ends_it_at_once_and_it_never_starts(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=1) as b:
        first, second = [await b.core.submit(shell("true")) for _ in range(2)]
        stopped = await b.core.stop(second.id)
        assert stopped.state is JobState.STOPPED
        assert stopped.stop_requested
        b.core.report(first.id, DONE)
        await trio.testing.wait_all_tasks_blocked()
        assert b.engine.launched == [first.id]


async def test_a_stop_is_durable_and_told_and_a_kill_hastens_it(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("sleep 9"))
        b.core.report(job.id, Started(started_us=5, step=0))
        await b.core.stop(job.id, grace_s=30)
        assert await b.store.read(lambda c: c.execute("select stop from job").fetchone()[0]) == "[15,30]"
        await b.core.stop(job.id, signal=9)
        await b.core.stop(job.id)  # a softer word after the kill does not take it back
        await trio.testing.wait_all_tasks_blocked()
        assert [stop.signal for _, stop in b.engine.stops] == [15, 9, 9]
        b.core.report(job.id, replace(DONE, code=None, signal=9, stop_reason="requested"))
        assert (await b.core.stop(job.id)).state is JobState.STOPPED


async def test_the_same_key_gives_the_same_job_and_another_body_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        key = Idempotency(token_id="t", key="k", digest=b"1")
        first = await b.core.submit(shell("true"), idempotency=key)
        assert (await b.core.submit(shell("true"), idempotency=key)).id == first.id
        with pytest.raises(IdempotencyError):
            await b.core.submit(shell("false"), idempotency=replace(key, digest=b"2"))
        other = await b.core.submit(shell("true"), idempotency=replace(key, token_id="u"))
        assert other.id != first.id
        assert len(b.core.active()) == 2
        assert b.core.admission.held_count == 2


async def test_a_full_disk_refuses_new_jobs_and_holds_back_those_in_the_queue_until_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with bench(tmp_path, running_limit_count=1) as b:
        first, second = [await b.core.submit(shell("true")) for _ in range(2)]
        await trio.testing.wait_all_tasks_blocked()
        with monkeypatch.context() as patch:
            patch.setattr(Store, "_run_item", _disk_full)
            with pytest.raises(StoreError):
                await b.core.submit(shell("true"))
            b.core.report(first.id, DONE)
            await trio.sleep(0.1)
            assert b.engine.launched == [first.id]
        await until(lambda: b.engine.launched == [first.id, second.id])
        await until(lambda: b.core.live(first.id) is None)
        assert (await b.core.get(first.id)).state is JobState.SUCCEEDED
        assert sum(b.core.counts.values()) == 2


def _disk_full(*_: object) -> None:
    raise sqlite3.OperationalError("database or disk is full")


async def test_a_submitter_that_goes_away_leaves_an_accepted_job(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        with trio.CancelScope() as scope:
            scope.cancel()
            await b.core.submit(shell("true"))
        await until(lambda: bool(b.engine.launched))
        assert len(b.core.active()) == 1


async def test_after_a_crash_each_job_is_where_it_should_be(tmp_path: Path) -> None:
    engine = FakeEngine(tmp_path / "jobs")
    async with bench(tmp_path, engine=engine, running_limit_count=5) as b:
        names = ["asked_again", "runs", "ended", "gone", "stopping", "queued"]
        jobs = dict(zip(names, [await b.core.submit(shell(name)) for name in names], strict=True))
        told = b.core.events.last
        b.core.report(jobs["gone"].id, Started(started_us=4, step=0))
        await until(lambda: b.core.events.last > told)  # the move to RUNNING is committed in a moment
        await b.core.stop(jobs["stopping"].id, signal=9, grace_s=0)
        await trio.testing.wait_all_tasks_blocked()
    engine = FakeEngine(tmp_path / "jobs", folders=["stranger", "empty"])
    started = Started(started_us=5, step=0)
    engine.known = {jobs["runs"].id: started, jobs["ended"].id: DONE, jobs["stopping"].id: started, "stranger": DONE}
    async with bench(tmp_path, engine=engine, running_limit_count=5) as b:
        await until(lambda: jobs["queued"].id in engine.launched)
        states = {name: (await b.core.get(job.id)).state.value for name, job in jobs.items()}
        assert states == {
            "asked_again": "starting",
            "runs": "running",
            "ended": "succeeded",
            "gone": "lost",
            "stopping": "running",
            "queued": "starting",
        }
        assert engine.launched == [jobs["asked_again"].id, jobs["queued"].id]
        assert [stop[0] for stop in engine.stops] == [jobs["stopping"].id]
        assert engine.forgotten == ["empty"]
        assert (await b.core.get("stranger")).labels == ("imported",)
        assert b.recovery.imported_count == 1
        assert sum(b.core.counts.values()) == 7


async def test_a_start_asked_for_before_the_machine_went_down_is_never_made_up_for(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
    async with bench(tmp_path, boot="another") as b:
        found = await b.core.get(job.id)
        assert found.state is JobState.LOST
        assert found.error == "the machine was restarted while it ran"
        assert b.engine.launched == []


async def test_removing_needs_an_end_and_takes_row_and_folder(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        with pytest.raises(ConflictError):
            await b.core.remove(job.id)
        b.core.report(job.id, DONE)
        await until(lambda: b.core.live(job.id) is None)
        await b.core.remove(job.id)
        assert b.engine.forgotten == [job.id]
        with pytest.raises(UnknownJobError):
            await b.core.get(job.id)
        assert await b.store.read(lambda c: c.execute("select count(*) from doomed").fetchone()[0]) == 0
        assert sum(b.core.counts.values()) == 0


async def test_retention_removes_the_longest_ended_and_never_what_runs(tmp_path: Path) -> None:
    async with bench(tmp_path, retention_jobs_count=3, retention_output_bytes=5) as b:
        running = await b.core.submit(shell("sleep"))
        ended = [await b.core.submit(shell(f"echo {n}")) for n in range(5)]
        for n, job in enumerate(ended):
            (b.engine.follow(job.id)).mkdir(parents=True)
            b.core.report(job.id, replace(DONE, finished_us=now_us() + n))
        await until(lambda: len(b.core._live) == 1)
        await retention.sweep(b.core)
        left = (await b.core.page(JobFilter())).jobs
        assert [job.id for job in left] == [ended[4].id, ended[3].id, running.id]
        assert [job.output_removed for job in left] == [False, True, False]
        assert b.engine.forgotten == [job.id for job in ended[:3]]


async def test_pages_follow_each_other_without_gap_or_repeat(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=1) as b:
        jobs = [await b.core.submit(shell(f"echo {n}", labels=("odd",) if n % 2 else ())) for n in range(11)]
        for wanted, expected in (
            (JobFilter(limit_count=3), [job.id for job in reversed(jobs)]),
            (JobFilter(limit_count=4, sort="created"), [job.id for job in jobs]),
            (JobFilter(limit_count=2, label="odd"), [job.id for job in reversed(jobs[1::2])]),
            (JobFilter(limit_count=2, text="ECHO 1"), [jobs[10].id, jobs[1].id]),
            (JobFilter(limit_count=2, states=(JobState.STARTING,)), [jobs[0].id]),
            (JobFilter(limit_count=3, sort="state"), [job.id for job in (*jobs[1:], jobs[0])]),
        ):
            found: list[str] = []
            cursor = None
            while True:
                page = await b.core.page(replace(wanted, cursor=cursor))
                found += [job.id for job in page.items]
                cursor = page.next
                if cursor is None:
                    break
            assert found == expected
        for bad in (JobFilter(sort="size"), JobFilter(cursor="x"), JobFilter(cursor="bm8")):
            with pytest.raises(BadRequestError):
                await b.core.page(bad)


async def test_a_text_filter_looks_at_a_bounded_slice_and_says_where_to_go_on(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=1, text_scan_limit_count=4) as b:
        jobs = [await b.core.submit(shell(f"echo {n}")) for n in range(6)]
        page = await b.core.page(JobFilter(text="echo 0"))
        assert (page.items, page.next is None) == ((), False)
        page = await b.core.page(JobFilter(text="echo 0", cursor=page.next))
        assert [job.id for job in page.items] == [jobs[0].id]
        assert page.next is None


async def test_stdin_has_one_writer_and_no_holes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("cat", stdin=True))
        (tmp_path / "jobs").mkdir()
        with b.core.stdin.claim(job.id):
            with pytest.raises(BusyError), b.core.stdin.claim(job.id):
                pass
            assert await b.core.stdin.write(job.id, 0, b"abc") == 3
            assert await b.core.stdin.write(job.id, 1, b"bcd") == 4
            assert await b.core.stdin.write(job.id, 0, b"a") == 4
            with pytest.raises(ConflictError):
                await b.core.stdin.write(job.id, 9, b"x")
        assert (b.engine.follow(job.id) / "input").read_bytes() == b"abcd"
        plain = await b.core.submit(shell("cat"))
        with pytest.raises(ConflictError), b.core.stdin.claim(plain.id):
            pass


@pytest.mark.parametrize(
    ("request_", "error"),
    [
        (JobRequest(dialect="v1", steps=()), BadRequestError),
        (shell(""), BadRequestError),
        (shell("a\0b"), BadRequestError),
        (shell("\ud800"), BadRequestError),
        (shell("x" * (128 * 1024)), TooLargeError),
        (shell("x", labels=("a", "a")), BadRequestError),
        (shell("x", labels=("\x1b[2J",)), BadRequestError),
        (shell("x", time_limit_s=0), BadRequestError),
        (shell("x", time_limit_s=float("nan")), BadRequestError),
        (shell("x", linger_s=-1), BadRequestError),
        (shell("x", on_limit="explode"), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x", argv=("x",)),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(argv=()),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x", env={"A=B": "1"}),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x", env={"": "1"}),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x", env={"A": "\0"}),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x", cwd="relative"),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x", cwd="/nowhere/at/all"),)), BadRequestError),
        (JobRequest(dialect="v1", steps=(StepRequest(command_line="x"),) * 65), TooLargeError),
    ],
)
async def test_what_cannot_run_is_refused_and_changes_nothing(
    tmp_path: Path, request_: JobRequest, error: type[Exception]
) -> None:
    async with bench(tmp_path) as b:
        with pytest.raises(error):
            await b.core.submit(request_)
        assert b.core.active() == []
        assert b.core.admission.held_count == 0
        assert await b.store.read(lambda c: c.execute("select count(*) from job").fetchone()[0]) == 0


async def test_nothing_runs_outside_the_work_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "in").mkdir()
    (root / "out").symlink_to(tmp_path)
    (tmp_path / "data").mkdir()
    async with bench(tmp_path / "data", work_root=str(root)) as b:
        inside = StepRequest(command_line="x", cwd=str(root / "in"))
        assert (await b.core.submit(JobRequest(dialect="v1", steps=(inside,)))).state is JobState.STARTING
        for outside in (tmp_path, root / "out", root / ".."):
            with pytest.raises(BadRequestError):
                await b.core.submit(JobRequest(dialect="v1", steps=(replace(inside, cwd=str(outside)),)))


def test_every_ending_has_its_state_and_its_words() -> None:
    job = Job(id="x", dialect="v1", state=JobState.RUNNING, time_limit_s=3)
    for end, state, error in (
        (DONE, JobState.SUCCEEDED, None),
        (replace(DONE, code=3), JobState.FAILED, None),
        (replace(DONE, code=None, signal=11), JobState.FAILED, "ended by SIGSEGV"),
        (replace(DONE, stop_reason="requested"), JobState.STOPPED, None),
        (replace(DONE, code=None, signal=15, stop_reason="time limit"), JobState.FAILED, "time limit of 3 s reached"),
        (replace(DONE, code=None, signal=15, stop_reason="output limit"), JobState.FAILED, "output limit reached"),
        (Ended(how="error", text="command not found: x", finished_us=1), JobState.FAILED, "command not found: x"),
        (Ended(how="lost", text="why", finished_us=1), JobState.LOST, "why"),
    ):
        ended = verdict(job, end)
        assert (ended.state, ended.error) == (state, error)
    never = verdict(replace(job, state=JobState.STARTING), Ended(how="never", finished_us=1))
    assert never.state is JobState.STOPPED


@given(
    st.builds(
        Job,
        id=st.uuids().map(str),
        dialect=st.sampled_from(["v1", "jobrunner"]),
        state=st.sampled_from(list(MOVES)),
        labels=st.lists(st.text(), unique=True).map(tuple),
        created_us=st.integers(0, 4 * 10**15),
        started_us=st.none() | st.integers(0, 4 * 10**15),
        exit_code=st.none() | st.integers(0, 255),
    )
)
def test_a_record_survives_the_wire(job: Job) -> None:
    assert from_wire(to_wire(job)) == job
    assert from_wire({**to_wire(job), "a field of tomorrow": 1}) == job
