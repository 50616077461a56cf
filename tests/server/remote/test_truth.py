"""Who has which job: jobs that are lost and found, jobs of which only a worker knows, and restored servers."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_server.core import workerrows
from jobdeck_server.core.requests import WORKERS_POOL
from tests.server.core.harness import shell
from tests.server.remote.deck import Deck, deck, until
from tests.server.remote.hand import Hand, Task, uid

STRANGE = "abcdefab-cdef-4abc-8def-abcdefabcdef"
SILENT: dict[str, Any] = {"worker_beat_s": 0.5, "worker_lost_s": 2.5}


def ended_there(hand: Hand, job_id: str, data: bytes = b"") -> None:
    """A job that ran on the worker and that no server gave to it, as far as anybody remembers."""
    task = hand.tasks[job_id] = Task(runs_it=True, started_us=hand.clock_us)
    if data:
        task.write(data)
    hand.agent.jobs.keep(
        job_id, state=hand._state(job_id, task), end=None, output=len(task.output), runs=len(task.runs)
    )
    hand.end(job_id)


async def test_jobs_of_a_silent_worker_are_lost_and_corrected_when_it_comes_back(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path, **SILENT) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
        never = await found.submit(hand)
        await until(lambda: found.workers.find(hand.id).state is WorkerState.UNREACHABLE)
        await until(lambda: found.core.live(job_id) is None or found.core.live(job_id).job.unreachable)  # type: ignore[union-attr]
        lost = await found.ended(job_id)
        assert (lost.state, lost.error) == (JobState.LOST, "worker w1 was not heard of for 2.5 s")
        assert (await found.ended(never)).state is JobState.LOST
        hand.write(job_id, b"still at it\n")
        async with found.link(hand):
            await until(lambda: found.workers.find(hand.id).state is WorkerState.ONLINE)
            hand.end(job_id, 0)
            true = await found.state(job_id, JobState.SUCCEEDED)
            assert (await found.state(never, JobState.FAILED)).error == "worker w1 has not started it and will not"
            await until(lambda: hand.tasks[job_id].released)
        assert true.output_bytes == len(b"still at it\n") == len(found.file(job_id))
        assert hand.starts == {job_id: 1}


async def test_a_lost_job_is_corrected_by_another_life_of_the_server(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path, **SILENT) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            hand.write(job_id, b"first\n")
            await until(lambda: found.file(job_id) == b"first\n")
        await found.ended(job_id)
    hand.write(job_id, b"second\n")
    async with deck(tmp_path) as found, found.link(hand):
        hand.end(job_id, 7)
        job = await found.state(job_id, JobState.FAILED)
        assert (job.exit_code, found.file(job_id)) == (7, b"first\nsecond\n")


async def test_a_lost_job_that_was_removed_leaves_nothing_behind(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path, **SILENT) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
        await found.ended(job_id)
        await found.core.remove(job_id)
        shutil.rmtree(tmp_path / "jobs" / job_id)
        hand.write(job_id, b"nobody reads this\n")
        hand.end(job_id)
        async with found.link(hand):
            await until(lambda: hand.forgotten == [job_id])
        assert not (tmp_path / "jobs" / job_id).exists()


async def test_a_worker_that_knows_nothing_of_its_job(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
        hand.tasks.clear()
        hand.restart()
        async with found.link(hand):
            job = await found.ended(job_id)
            assert (job.state, job.error) == (JobState.LOST, "worker w1 knows nothing of it any more")


async def test_jobs_that_nobody_gave_it_are_forgotten_and_known_ends_are_released(tmp_path: Path) -> None:
    hand, other = Hand(), Hand(2, name="w2")
    async with deck(tmp_path) as found:
        async with found.link(hand), found.link(other):
            mine, theirs = await found.submit(hand), await found.submit(other)
            await found.state(mine, JobState.RUNNING)
            await found.state(theirs, JobState.RUNNING)
            hand.end(mine)
            await until(lambda: hand.tasks[mine].released)
        hand.tasks[mine].released = False  # the word was lost
        hand.restart()
        ended_there(hand, STRANGE)
        ended_there(hand, theirs, b"lies\n")
        async with found.link(hand):
            await until(lambda: set(hand.forgotten) == {STRANGE, theirs})
            await until(lambda: hand.tasks[mine].released)
        assert (await found.core.get(theirs)).state is JobState.RUNNING
        assert found.file(theirs) == b""


async def test_more_strange_jobs_than_anybody_can_have_given_it(tmp_path: Path) -> None:
    hand = Hand()
    for number in range(5):
        ended_there(hand, uid(number))
    async with deck(tmp_path, worker_strange_limit_count=4) as found, found.link(hand, ready=False) as socket:
        await socket.closed.wait()
        assert socket.said == (1009, "too many jobs that are not known here")


async def test_a_worker_that_says_the_same_twice_or_of_others_changes_nothing(tmp_path: Path) -> None:
    hand, other = Hand(), Hand(2, name="w2")
    async with deck(tmp_path) as found, found.link(hand), found.link(other) as theirs_socket:
        theirs = await found.submit(other)
        await found.state(theirs, JobState.RUNNING)
        own = await found.submit(hand)
        await found.state(own, JobState.RUNNING)
        hand.end(own, 1)
        first = await found.ended(own)
        hand.tasks[own].end = None
        ended_there(hand, own)
        ended_there(hand, theirs, b"lies\n")  # nobody wants it, and so it is not even told
        other.write(theirs, b"true\n")
        await until(lambda: found.file(theirs) == b"true\n")
        assert await found.core.get(own) == first
        assert theirs_socket.said is None


async def restore(folder: Path, backup: bytes) -> None:
    """Put an older database back."""
    for each in folder.glob("jobdeck.sqlite3*"):
        each.unlink()
    (folder / "jobdeck.sqlite3").write_bytes(backup)


def copy_of(folder: Path) -> bytes:
    with sqlite3.connect(folder / "jobdeck.sqlite3") as connection:
        connection.execute("pragma wal_checkpoint(truncate)")
    return (folder / "jobdeck.sqlite3").read_bytes()


async def waiting(found: Deck, hand: Hand) -> str:
    return (await found.core.submit(shell("true", worker=hand.id, pool=WORKERS_POOL))).id


async def test_a_server_that_was_restored_takes_in_what_it_does_not_know_and_starts_nothing(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found, found.link(hand):
        queued = await waiting(found, hand)
    backup = copy_of(tmp_path)
    async with deck(tmp_path) as found, found.link(hand):
        live = found.waiting[0]
        await found.core.place(live, engine="worker", worker=hand.id)
        later = await found.submit(hand)
        for job_id in (queued, later):
            await found.state(job_id, JobState.RUNNING)
            hand.write(job_id, b"so far\n")
    await restore(tmp_path, backup)
    async with deck(tmp_path) as found, found.link(hand):
        await until(lambda: found.core.live(later) is not None)
        assert found.remote.restored
        assert (await found.state(later, JobState.RUNNING)).labels == ("imported",)
        assert "restored" in found.core.admission.pauses
        fresh = await found.submit(hand)
    async with deck(tmp_path) as found:
        assert found.remote.restored, "nobody has agreed"
        async with found.link(hand):
            await found.state(queued, JobState.RUNNING)  # it had been given there after the backup was made
            for job_id in (queued, later):
                hand.end(job_id)
                await found.ended(job_id)
                assert found.file(job_id) == b"so far\n"
            assert (await found.core.get(fresh)).state is JobState.STARTING
            await found.remote.resume()
            await found.state(fresh, JobState.RUNNING)
            assert not found.core.admission.pauses
        assert hand.starts == {queued: 1, later: 1, fresh: 1}
        late = Hand(2, name="w2")
        late.server_life = uid(99)
        late.restart()
        ended_there(late, STRANGE, b"kept\n")
        async with found.link(late):  # the agreement holds for workers that come later
            await until(lambda: late.tasks[STRANGE].released)
            assert (await found.state(STRANGE, JobState.SUCCEEDED)).worker == late.id
            await found.state(await found.submit(late), JobState.RUNNING)
        assert "restored" not in found.core.admission.pauses
    async with deck(tmp_path) as found:
        assert not found.remote.restored


async def test_to_say_that_it_was_restored(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path, restored=True) as found:
        assert found.remote.restored
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.remote.resume()
            await found.state(job_id, JobState.RUNNING)
    async with deck(tmp_path) as found:
        assert not await found.store.read(workerrows.is_restored)


async def test_that_it_was_restored_is_written_down_though_the_disk_was_full_at_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that is welcomed knows this life from then on, and would not show it again."""
    hand, write = Hand(), workerrows.set_restored
    failed: list[bool] = []
    hand.server_life = uid(99)
    hand.restart()

    def full(connection: sqlite3.Connection, *, on: bool) -> None:
        if not failed:
            failed.append(on)
            raise sqlite3.OperationalError("database or disk is full")
        write(connection, on=on)

    monkeypatch.setattr(workerrows, "set_restored", full)
    async with deck(tmp_path) as found:
        async with found.link(hand, ready=False) as socket:
            await socket.closed.wait()
        assert failed == [True]
        async with found.link(hand):
            assert found.remote.restored
    async with deck(tmp_path) as found:
        assert found.remote.restored


async def test_what_was_being_started_here_waits_too_when_the_server_was_restored(tmp_path: Path) -> None:
    """It may have run, and have been removed, after the backup was made."""
    async with deck(tmp_path) as found:
        job_id = (await found.core.submit(shell("true"))).id
    async with deck(tmp_path, restored=True) as found:
        found.workers.restoration = found.remote
        here = found.core.engine._here  # type: ignore[attr-defined]  # of several
        assert here.launched == []
        await found.core.resync()  # as after the keeper was started again
        assert here.launched == []
        assert (await found.core.get(job_id)).state is JobState.STARTING
        await found.workers.resume()
        assert here.launched == [job_id]


@pytest.mark.parametrize("force_end", [False, True])
async def test_a_worker_is_forgotten(tmp_path: Path, force_end: bool) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand) as socket:
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            await found.workers.forget(hand.id, force=True)
            await socket.closed.wait()
            assert socket.said == (4410, "an admin has forgotten this worker")
        assert (await found.ended(job_id)).error == "worker w1 was forgotten"
        assert await found.store.read(workerrows.workers) == []
        if force_end:
            return
        async with found.link(hand):  # it is a new one, and tells what became of its job
            hand.end(job_id)
            await found.state(job_id, JobState.SUCCEEDED)
