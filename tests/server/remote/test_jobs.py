"""Jobs on a worker, over good and bad links."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core.errors import UnavailableError
from jobdeck_server.core.live import Live
from jobdeck_server.core.orders import parse_order
from jobdeck_server.engines.base import Stop
from tests.server.remote.deck import deck, until
from tests.server.remote.hand import Hand
from tests.server.remote.test_mirror import small_disk

BOOT_2 = "99999999-2222-3333-4444-555555555555"


async def test_a_job_is_started_once_and_all_of_it_comes(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand, "echo x")
            await found.state(job_id, JobState.RUNNING)
            assert (found.file(job_id), found.file(job_id, "runs")) == (b"", b""), "the files are there to be looked at"
            assert parse_order(hand.tasks[job_id].order).steps[0].command_line == "echo x"
            hand.write(job_id, b"one\n")
            await until(lambda: found.file(job_id) == b"one\n")
            hand.write(job_id, b"two\n" * 100_000)
            hand.end(job_id, 3)
            job = await found.ended(job_id)
            await until(lambda: hand.tasks[job_id].released)
        task = hand.tasks[job_id]
        assert (found.file(job_id), found.file(job_id, "runs")) == (bytes(task.output), bytes(task.runs))
        assert (job.state, job.exit_code, job.output_bytes) == (JobState.FAILED, 3, len(task.output))
        assert job.started_us is not None
        assert job.created_us <= job.started_us <= (job.finished_us or 0)
        assert hand.starts == {job_id: 1}
        folder = tmp_path / "jobs" / job_id
        assert [oct(each.stat().st_mode & 0o777) for each in (folder, folder / "output", folder / "runs")] == [
            "0o700", "0o600", "0o600",
        ]  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
async def test_links_that_break_and_servers_that_end_lose_nothing(tmp_path: Path, seed: int) -> None:
    dice, hand, written = random.Random(seed), Hand(), 0
    job_id = ""
    for life in range(3):
        async with deck(tmp_path, boot=f"{life}{BOOT_2[1:]}") as found:
            for _ in range(3):
                async with found.link(hand):
                    job_id = job_id or await found.submit(hand)
                    await found.state(job_id, JobState.RUNNING)
                    for _ in range(dice.randrange(1, 6)):
                        written += 1
                        hand.write(job_id, b"%d\n" % written * dice.choice((1, 10, 20_000)))
                        await trio.sleep(dice.choice((0, 0, 0.001, 0.01)))
                hand.write(job_id, b"while away\n")
                if dice.random() < 0.3:
                    hand.restart()
            if life == 1:  # the power fails: the last record is torn
                runs = tmp_path / "jobs" / job_id / "runs"
                with runs.open("ab") as file:
                    file.write(b"torn")
    async with deck(tmp_path) as found, found.link(hand):
        hand.end(job_id)
        job = await found.ended(job_id)
    assert (job.state, hand.starts[job_id]) == (JobState.SUCCEEDED, 1)
    assert found.file(job_id) == hand.tasks[job_id].output
    assert found.file(job_id, "runs") == hand.tasks[job_id].runs


async def test_a_job_waits_for_a_worker_that_is_away_and_may_be_stopped_before(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            pass
        stopped, started = await found.submit(hand), await found.submit(hand)
        await found.core.stop(stopped)
    async with deck(tmp_path, boot=BOOT_2) as found:  # over a restart, even of the machine
        assert (await found.core.get(started)).state is JobState.STARTING
        async with found.link(hand):
            assert (await found.ended(stopped)).state is JobState.STOPPED
            await found.state(started, JobState.RUNNING)
            await found.core.stop(started, signal=2)
            job = await found.ended(started)
            assert (job.state, job.signal) == (JobState.STOPPED, 2)
    assert hand.starts == {started: 1}


async def test_a_stop_that_comes_before_the_order_is_not_lost(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found, found.link(hand):

        def stop(live: Live) -> None:
            """Called while the database is still being told that the job goes to the worker."""
            if live.job.state is JobState.STARTING:
                with pytest.raises(StopIteration):
                    found.remote.stop(live.job.id, Stop(signal=15, grace_s=1)).send(None)

        found.core.observers.append(stop)
        job = await found.ended(await found.submit(hand))
    assert (job.error, hand.starts) == ("worker w1 has not started it and will not", {})


async def test_to_look_at_a_job_anew_leaves_its_files_alone(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found, found.link(hand):
        job_id = await found.submit(hand)
        await found.state(job_id, JobState.RUNNING)
        task = hand.tasks[job_id]
        task.write(b"first\n")
        task.write(b"second\n")
        hand.agent.jobs.grew(job_id, 0, len(task.runs))  # the records of bytes that are still on their way
        hand.flush()
        await until(lambda: len(found.file(job_id, "runs")) == len(task.runs))
        await found.core.resync()
        assert len(found.file(job_id, "runs")) == len(task.runs)
        hand.end(job_id)
        await found.ended(job_id)
        assert (found.file(job_id), found.file(job_id, "runs")) == (bytes(task.output), bytes(task.runs))


async def test_signals_are_answered_or_said_to_be_impossible(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.core.signal(job_id, 10)
            assert hand.signals == [(job_id, 10)]
            hand.answers = None
            async with trio.open_nursery() as nursery:

                async def ask() -> None:
                    with pytest.raises(UnavailableError, match="may have been sent"):
                        await found.core.signal(job_id, 12)

                nursery.start_soon(ask)
                await until(lambda: len(hand.signals) == 2)
                hand.cut()
        with pytest.raises(UnavailableError, match=r"Worker w1 is unreachable\."):
            await found.core.signal(job_id, 12)


async def test_standard_input_goes_to_the_worker_over_restarts(tmp_path: Path) -> None:
    hand, data = Hand(), bytes(range(256)) * 3000
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand, stdin=True)
            await found.state(job_id, JobState.RUNNING)
            await found.core.stdin.write(job_id, 0, data[:1000])
            await until(lambda: bytes(hand.tasks[job_id].input) == data[:1000])
        await found.core.stdin.write(job_id, 1000, data[1000:])
        await found.core.stdin.eof(job_id, len(data))
    async with deck(tmp_path, boot=BOOT_2) as found, found.link(hand):
        await until(lambda: hand.tasks[job_id].eof == len(data))
        assert bytes(hand.tasks[job_id].input) == data


async def test_output_that_a_worker_has_no_more_is_a_gap(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            hand.write(job_id, b"x" * 100)
            await until(lambda: len(found.file(job_id)) == 100)
        hand.write(job_id, b"y" * 50)
        hand.end(job_id)
        hand.remove(job_id)
        async with found.link(hand):
            job = await found.ended(job_id)
            await until(lambda: hand.tasks[job_id].released)
    assert (job.output_bytes, job.dropped_bytes, job.state) == (100, 50, JobState.SUCCEEDED)
    assert "may be missing" in (job.note or "")


@pytest.mark.parametrize("shift_s", [-3600, 86_400])
async def test_a_worker_whose_clock_is_wrong(tmp_path: Path, shift_s: int) -> None:
    hand = Hand()
    hand.shift_us = shift_s * 1_000_000
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            hand.write(job_id, b"line\n")
            hand.end(job_id)
            job = await found.ended(job_id)
            assert abs(found.workers.find(hand.id).clock_skew_us - hand.shift_us) < 2_000_000
        assert job.created_us <= (job.started_us or 0) <= (job.finished_us or 0) <= job.created_us + 60_000_000
        with await found.core.output(job_id) as reader:
            assert reader is not None
        header = found.file(job_id, "runs")[32:40]
        assert abs(int.from_bytes(header, "little") - job.created_us) < 60_000_000


async def test_a_full_disk_is_waited_for_and_said(tmp_path: Path) -> None:
    hand = Hand()
    with small_disk(tmp_path, "512k") as disk:
        (tmp_path / "jobs").symlink_to(disk)
        async with deck(tmp_path) as found, found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            (disk / "ballast").write_bytes(bytes(300 * 1024))
            hand.write(job_id, bytes(range(256)) * 1200)
            hand.end(job_id)
            await until(lambda: found.core.active()[0].note == "waiting for disk space")
            (disk / "ballast").unlink()
            job = await found.ended(job_id)
            assert (job.state, job.note) == (JobState.SUCCEEDED, None)
            assert found.file(job_id) == bytes(hand.tasks[job_id].output)
