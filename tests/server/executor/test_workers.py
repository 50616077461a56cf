"""Workers: who gets which job, when they are answered, and what becomes of the jobs of those who vanish."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio
import trio.testing

from jobdeck_protocol.job import JobState
from jobdeck_server.core.admission import RESTORED
from jobdeck_server.core.errors import CapacityError
from jobdeck_server.core.executor import Given
from jobdeck_server.core.executorworkers import Beat, Call
from tests.server.core.harness import FakeEngine
from tests.server.executor.deck import Deck, asked, deck

if TYPE_CHECKING:
    from trio.testing import MockClock


async def held(it: Deck, nursery: trio.Nursery, call: Call, **more: trio.Event) -> trio.MemoryReceiveChannel[Beat]:
    """A request that is being held; its answer comes out of the channel."""
    if call.client_id not in {worker.client_id for worker in it.executor.workers()}:
        await it.executor.beat(Call(client_id=call.client_id))  # the first one is not held
    send, receive = trio.open_memory_channel[Beat](1)

    async def beat() -> None:
        gone = more.get("gone")
        await send.send(await it.executor.beat(call, None if gone is None else gone.wait))

    nursery.start_soon(beat)
    await trio.testing.wait_all_tasks_blocked(0.01)
    return receive


async def test_a_held_request_is_answered_when_a_job_comes(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60) as it, trio.open_nursery() as nursery:
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1, labels=("gpu",)))
        await it.make("other", labels=("fpga",))
        await it.make("mine", labels=("gpu",))
        with trio.fail_after(20):
            beat = await answer.receive()
        assert beat.start == ("mine",)
        assert beat.refresh_ms == 20
        assert await it.status("other") == "CREATED"


async def test_the_first_that_fits_gets_the_job(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60) as it, trio.open_nursery() as nursery:
        none = await held(it, nursery, Call(client_id="w_0", available_count=1))
        first = await held(it, nursery, Call(client_id="w_1", available_count=1, labels=("a", "b")))
        second = await held(it, nursery, Call(client_id="w_2", available_count=1, labels=("a",)))
        await it.make("k1", labels=("a",))
        await it.make("k2", labels=("a",))
        with trio.fail_after(20):
            assert (await first.receive()).start == ("k1",)
            assert (await second.receive()).start == ("k2",)
        await it.make("k3")
        with trio.fail_after(20):
            assert (await none.receive()).start == ("k3",)


async def test_nothing_comes_of_a_request_in_time(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with deck(tmp_path) as it:
        before_s = trio.current_time()
        beat = await it.beat()
        assert (beat.start, beat.refresh_ms) == ((), 100)
        assert trio.current_time() - before_s < 1  # the first one: so a worker knows that it has reached the server
        before_s = trio.current_time()
        beat = await it.beat()
        assert (beat.start, beat.refresh_ms) == ((), 100)
        assert 5 <= trio.current_time() - before_s < 6
        before_s = trio.current_time()
        beat = await it.beat(available=0)
        assert (beat.start, beat.refresh_ms) == ((), 100)
        assert trio.current_time() - before_s < 1


async def test_without_holding_the_pace_is_the_setting(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=0, executor_refresh_s=2) as it:
        for available in (0, 1):
            beat = await it.beat(available=available)
            assert (beat.start, beat.refresh_ms) == ((), 2000)


async def test_a_second_request_ends_the_first(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60) as it, trio.open_nursery() as nursery:
        call = Call(client_id="w_1", available_count=1)
        older, newer = await held(it, nursery, call), await held(it, nursery, call)
        with trio.fail_after(20):
            assert (await older.receive()).start == ()
        await it.make("k")
        with trio.fail_after(20):
            assert (await newer.receive()).start == ("k",)


async def test_a_client_that_has_gone_gets_nothing(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60) as it, trio.open_nursery() as nursery:
        gone = trio.Event()
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1), gone=gone)
        gone.set()
        with trio.fail_after(20):
            assert (await answer.receive()).start == ()
        await it.make("k")
        assert await it.status("k") == "CREATED"
        assert (await it.beat("w_2")).start == ("k",)


async def test_a_stop_and_an_update_wake_the_worker(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60) as it, trio.open_nursery() as nursery:
        secret = await it.make("k1")
        await it.make("k2")
        assert (await it.beat(available=2)).start == ("k1", "k2")
        running = frozenset({"k1", "k2"})
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1, running=running))
        await it.executor.cancel("k1", secret)
        with trio.fail_after(20):
            assert (await answer.receive()).cancel == ("k1",)
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1, running=running))
        await it.executor.update("k2", Given(status="SUCCESS"))
        with trio.fail_after(20):  # told again, and not the reason to answer
            assert (await answer.receive()).cancel == ("k1",)


async def test_the_end_of_the_server_wakes_all(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60) as it, trio.open_nursery() as nursery:
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1))
        it.executor.close()
        with trio.fail_after(20):
            assert (await answer.receive()).start == ()
            assert (await it.beat()).start == ()


async def test_no_job_is_given_twice(tmp_path: Path) -> None:
    keys = [f"k{number}" for number in range(60)]
    got: Counter[str] = Counter()
    async with deck(tmp_path, executor_hold_s=0.05) as it:

        async def work(name: str) -> None:
            running: frozenset[str] = frozenset()
            while sum(got.values()) < len(keys):
                beat = await it.beat(name, 3, running=running)
                got.update(beat.start)
                running |= frozenset(beat.start)
                for key in beat.start:
                    assert (await it.info(key))["worker"] == name

        async def make() -> None:
            for key in keys:
                await it.make(key)

        with trio.fail_after(30):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(make)
                for number in range(5):
                    nursery.start_soon(work, f"w_{number}")
    assert got == Counter(keys)


async def test_workers_are_bounded_in_number(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=0, executor_worker_limit_count=2) as it:
        for name in ("w_1", "w_2", "w_1"):
            await it.beat(name)
        with pytest.raises(CapacityError):
            await it.beat("w_3")


async def test_own_jobs_and_those_it_runs_are_not_given(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=0) as it:
        await it.make("k")
        assert (await it.beat(running=frozenset({"k"}))).start == ()
        assert (await it.beat("", available=9)).start == ()
        assert (await it.beat()).start == ("k",)


async def test_the_built_in_executor_comes_second(tmp_path: Path) -> None:
    async with (
        deck(
            tmp_path, executor_builtin=True, executor_labels=("here",), executor_hold_s=60, running_limit_count=1
        ) as it,
        trio.open_nursery() as nursery,
    ):
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1))
        await it.make("theirs")
        with trio.fail_after(20):
            assert (await answer.receive()).start == ("theirs",)
        await it.make("ours", labels=("here",))
        await it.make("nobodys", labels=("moon",))
        await it.make("waits")
        ours = (await it.executor.info("ours")).job
        assert it.here.launched == [ours.id]
        assert ours.state is JobState.STARTING
        assert str((await it.info("ours"))["worker"]).endswith("_jobdeck")
        assert (await it.beat("w_2", 5)).start == ("waits",)  # admitted here, and not begun
        assert await it.status("nobodys") == "CREATED"


async def test_workers_are_listed_without_secrets(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat(labels=("a",), user="ann")
        (seen,) = it.executor.workers()
        assert (seen.client_id, seen.labels, seen.user) == ("w_1", ("a",), "ann")
        (told,) = it.executor.run_by(seen)
        assert (told.job.key, told.secret) == ("k", None)


# A clock that is moved by hand: under one that jumps by itself, time runs while a thread writes


async def test_a_job_whose_worker_is_gone_is_made_anew_thrice(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path) as it:
        secret = await it.make("k", labels=("a",))
        ids = []
        for attempt in (1, 2, 3):
            job = (await it.executor.info("k")).job
            ids.append(job.id)
            assert job.attempt == attempt
            assert (await it.beat(f"w_{attempt}", labels=("a",))).start == ("k",)
            mock_clock.jump(24)
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert await it.status("k") == "RUNNING"
            mock_clock.jump(20)
            await asked(
                it, "k", *(("CREATED",) if attempt < 3 else ("FAILED_TO_EXECUTE",)), attempt=min(attempt + 1, 3)
            )
        job = (await it.executor.info("k")).job
        assert (job.state, job.id) == (JobState.LOST, ids[-1])
        assert "worker w_3 was not heard of for 44 s" in str(job.error)
        assert "last of 3 attempts" in str(job.error)
        assert [(await it.core.get(each)).state for each in ids] == [JobState.LOST] * 3
        assert it.executor.workers() == []
        await it.executor.cancel("k", secret)  # the secret has stayed the same


async def test_a_job_that_its_worker_does_not_name_is_made_anew(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path, executor_hold_s=0) as it:
        await it.make("k")
        await it.make("named")
        assert (await it.beat(available=2)).start == ("k", "named")
        for _ in range(8):
            assert await it.status("k") == "RUNNING"
            await it.beat(available=1, running=frozenset({"named"}))
            mock_clock.jump(4)
        await it.beat(available=1, running=frozenset({"named"}))
        await asked(it, "k", "CREATED", attempt=2)
        assert (await it.beat(available=1, running=frozenset({"named"}))).start == ("k",)
        assert await it.status("named") == "RUNNING"


async def test_a_job_for_which_its_worker_has_taken_a_slot_is_not_missing(
    tmp_path: Path, mock_clock: MockClock
) -> None:
    """The original names a job only when it has fetched what the job needs."""
    async with deck(tmp_path, executor_hold_s=0) as it:
        await it.make("k")
        await it.make("named")
        assert (await it.beat(available=3)).start == ("k", "named")
        for _ in range(8):
            await it.beat(available=1, running=frozenset({"named"}))
            mock_clock.jump(20)
        assert await it.status("k") == "RUNNING"
        await it.beat(available=2, running=frozenset({"named"}))  # so it had to do with something else
        mock_clock.jump(20)
        assert await it.status("k") == "RUNNING"
        await it.beat(available=2, running=frozenset({"named"}))
        mock_clock.jump(20)
        await it.beat(available=2, running=frozenset({"named"}))
        await asked(it, "k", "CREATED", attempt=2)


async def test_a_worker_that_has_not_taken_note_of_its_jobs_gets_no_more(tmp_path: Path, mock_clock: MockClock) -> None:
    """The original says that its slot is free until it has asked what the job is."""
    async with deck(tmp_path, executor_hold_s=0) as it:
        for key in ("k1", "k2", "k3", "k4"):
            await it.make(key)
        assert (await it.beat(available=2)).start == ("k1", "k2")
        assert (await it.beat(available=2)).start == ()
        assert (await it.beat(available=1, running=frozenset({"k1"}))).start == ()
        await it.executor.update("k2", Given(status="SUCCESS"))
        assert (await it.beat(available=1, running=frozenset({"k1"}))).start == ("k3",)
        mock_clock.jump(6)  # the answer never came, it seems
        assert (await it.beat(available=1, running=frozenset({"k1"}))).start == ()
        mock_clock.jump(6)
        assert (await it.beat(available=1, running=frozenset({"k1"}))).start == ("k4",)


async def test_a_job_that_its_worker_does_not_stop_is_given_up(tmp_path: Path, mock_clock: MockClock) -> None:
    """The original worker names a job for ever whose results it could not send."""
    async with deck(tmp_path, executor_hold_s=0) as it:
        secret = await it.make("k")
        assert (await it.beat()).start == ("k",)
        running = frozenset({"k"})
        await it.executor.cancel("k", secret)
        for _ in range(6):
            assert (await it.beat(available=0, running=running)).cancel == ("k",)
            assert (await it.info("k"))["cancelRequested"] is True
            mock_clock.jump(20)
        assert await it.status("k") == "RUNNING"
        await it.beat(available=0, running=running)
        await asked(it, "k", "CANCELED")
        assert (await it.beat(available=0, running=running)).cancel == ()


async def test_label_jobs_are_told_at_once(tmp_path: Path, mock_clock: MockClock) -> None:
    told = tmp_path / "labels.json"
    told.write_text('{"a": "1", "b": "2"}')
    async with deck(tmp_path, executor_label_jobs_file=told) as it, trio.open_nursery() as nursery:
        with trio.fail_after(1):  # no request is held
            assert (await it.beat()).label_jobs == {"a": "1", "b": "2"}
            assert (await it.beat(labels=("a",))).refresh_ms == 100
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1, labels=("a",)))
        await it.make("k", labels=("a",))
        assert (await answer.receive()).start == ("k",)


async def gone(it: Deck, key: str, clock: MockClock) -> None:
    """The worker of a job is silent until it is given up."""
    clock.jump(60)
    await asked(it, key, "CREATED", attempt=2)


async def test_a_worker_that_comes_back_in_time_keeps_its_job(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path, executor_hold_s=0) as it:
        await it.make("k")
        await it.beat()
        first = (await it.executor.info("k")).job
        await gone(it, "k", mock_clock)
        beat = await it.beat(running=frozenset({"k"}))  # it has run it all the time: nobody else needs to
        assert (beat.start, beat.cancel) == ((), ())
        info = await it.info("k")
        assert (info["status"], info["worker"]) == ("RUNNING", "w_1")
        await it.executor.update("k", Given(status="SUCCESS", worker="w_1"))
        assert await it.status("k") == "SUCCESS"
        assert (await it.core.get(first.id)).state is JobState.LOST


async def test_a_late_result_counts_while_the_job_waits(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        await gone(it, "k", mock_clock)
        await it.executor.update("k", Given(status="SUCCESS", worker="w_1", results={"a": "b"}))
        info = await it.info("k")
        assert (info["status"], info["worker"], info["resultHashes"]) == ("SUCCESS", "w_1", {"a": "b"})


async def test_a_late_result_does_not_count_when_the_job_runs_elsewhere(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path, executor_hold_s=0) as it:
        await it.make("k")
        await it.beat()
        await gone(it, "k", mock_clock)
        assert (await it.beat("w_2")).start == ("k",)
        assert (await it.beat("w_1", 0, running=frozenset({"k"}))).cancel == ("k",)
        await it.executor.update("k", Given(status="SUCCESS", worker="w_1"))
        info = await it.info("k")
        assert (info["status"], info["worker"]) == ("RUNNING", "w_2")


async def test_a_stop_outlives_the_worker(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path) as it:
        secret = await it.make("k")
        await it.beat()
        await it.executor.cancel("k", secret)
        mock_clock.jump(60)
        await asked(it, "k", "CANCELED")


async def test_workers_are_not_given_up_in_the_first_moments_of_a_server(tmp_path: Path, mock_clock: MockClock) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
    mock_clock.jump(1000)
    async with deck(tmp_path) as it:
        mock_clock.jump(20)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert await it.status("k") == "RUNNING"
        await gone(it, "k", mock_clock)


async def test_what_the_server_itself_lost_is_made_anew(tmp_path: Path) -> None:
    here = FakeEngine(tmp_path / "jobs", name="local")
    async with deck(tmp_path, executor_builtin=True, here=here) as it:
        await it.make("k")
        first = (await it.executor.info("k")).job
        assert first.state is JobState.STARTING
    # The machine was restarted: the engine knows nothing of it
    async with deck(tmp_path, executor_builtin=True, here=here, boot="another") as it:
        await asked(it, "k", "RUNNING", attempt=2)
        assert (await it.core.get(first.id)).state is JobState.LOST


@pytest.mark.parametrize("times", [3])
async def test_waiting_running_and_ended_jobs_outlive_the_server(tmp_path: Path, times: int) -> None:
    async with deck(tmp_path, executor_hold_s=0) as it:
        secrets = {key: await it.make(key, labels=(key,)) for key in ("waits", "runs", "ended", "paused")}
        await it.executor.update("paused", Given(status="PAUSED"))
        await it.beat("w_1", 5, labels=("runs", "ended"))
        await it.executor.segments.post("runs", 1, "one\n")
        await it.executor.update("ended", Given(status="FAILED_UNZIP"))
    for _ in range(times):
        async with deck(tmp_path, executor_hold_s=0) as it:
            found = {str(told.job.key): it.executor.status(told) async for told in it.executor.every()}
            assert found == {"waits": "CREATED", "runs": "RUNNING", "ended": "FAILED_UNZIP", "paused": "PAUSED"}
            (seen,) = it.executor.workers()
            assert [entry.key for entry in seen.jobs] == ["runs"]
            assert seen.labels == ("runs", "ended")
            assert (await it.info("runs"))["outputNumber"] == 1
    async with deck(tmp_path, executor_hold_s=0) as it:
        assert (await it.beat("w_2", 5, labels=("waits", "runs", "paused"))).start == ("waits",)
        await it.executor.cancel("runs", secrets["runs"])
        assert (await it.beat(running=frozenset({"runs"}))).cancel == ("runs",)
        await it.executor.update("runs", Given(status="SUCCESS", worker="w_1"))
        assert await it.status("runs") == "SUCCESS"


async def test_a_stop_outlives_the_server(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        secret = await it.make("k")
        await it.beat()
        await it.executor.cancel("k", secret)
    async with deck(tmp_path) as it:
        assert (await it.info("k"))["cancelRequested"] is True
        assert (await it.beat(running=frozenset({"k"}))).cancel == ("k",)


async def test_a_restored_server_gives_nothing_to_anybody_until_an_admin_agrees(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_hold_s=60, executor_busy_hold_s=0) as it, trio.open_nursery() as nursery:
        answer = await held(it, nursery, Call(client_id="w_1", available_count=1))
        it.core.admission.pause(RESTORED, on=True)
        await it.make("k1")
        for _ in range(2):  # the first request is never held
            assert (await it.beat("w_2")).start == ()
        with pytest.raises(trio.WouldBlock):
            answer.receive_nowait()
        it.core.admission.pause(RESTORED, on=False)
        assert (await it.beat("w_2")).start == ("k1",)
        nursery.cancel_scope.cancel()
