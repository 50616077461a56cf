"""What stands on record of a job that has ended elsewhere, and that it stands there for good."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_protocol.workerreports import Ended
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.orders import order_of, parse_order
from jobdeck_server.core.store import Store
from tests.server.remote.deck import deck, until
from tests.server.remote.hand import Hand, uid


def tell_end(hand: Hand, job_id: str, **fields: Any) -> None:
    task = hand.tasks[job_id]
    told: dict[str, Any] = {"output_bytes": len(task.output), "runs_bytes": len(task.runs), **fields}
    task.end = Ended(job_id=job_id, **{"how": How.EXIT, "finished_us": hand.clock_us, **told})
    hand.agent.jobs.ended(task.end)
    hand.flush()


async def test_a_memory_image_is_on_record(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path) as found, found.link(hand):
        job_id = await found.submit(hand)
        await found.state(job_id, JobState.RUNNING)
        tell_end(hand, job_id, signal=11, core=True, started_us=hand.tasks[job_id].started_us)
        assert (await found.ended(job_id)).core_dumped


async def test_an_end_without_a_start_is_an_end(tmp_path: Path) -> None:
    hand = Hand()
    hand.claims = False
    async with deck(tmp_path) as found, found.link(hand):
        job_id = await found.submit(hand)
        await until(lambda: job_id in hand.tasks)
        tell_end(hand, job_id, code=0)
        job = await found.ended(job_id)
        assert job.state is JobState.SUCCEEDED
        assert job.started_us == job.finished_us


async def test_nothing_ends_before_it_starts(tmp_path: Path) -> None:
    """The worker's clock was set back meanwhile, and nobody has heard of the start before."""
    hand = Hand()
    hand.claims = False
    async with deck(tmp_path) as found, found.link(hand):
        job_id = await found.submit(hand)
        await until(lambda: job_id in hand.tasks)
        tell_end(hand, job_id, code=0, started_us=hand.clock_us, finished_us=1)
        job = await found.ended(job_id)
        assert job.started_us is not None
        assert job.finished_us is not None
        assert job.created_us <= job.started_us <= job.finished_us


async def test_an_end_is_durable_before_the_worker_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a power cut would leave a job that nobody knows anything of: the worker was told that it need not."""
    durable: dict[tuple[str, str], bool] = {}
    write_soon = Store.write_soon

    def watched(store: Store, work: Any, done: Callable[..., None], *, durable_: bool) -> None:
        def seen(connection: sqlite3.Connection) -> Any:
            result = work(connection)
            for event in result if isinstance(result, list) else []:
                if getattr(event, "kind", "") == "job":
                    durable[event.data["id"], event.data["state"]] = durable_
            return result

        write_soon(store, seen, done, durable=durable_)

    monkeypatch.setattr(
        Store, "write_soon", lambda store, work, done, *, durable=True: watched(store, work, done, durable_=durable)
    )
    hand = Hand()
    async with deck(tmp_path) as found, found.link(hand):
        job_id = await found.submit(hand)
        await found.state(job_id, JobState.RUNNING)
        hand.end(job_id)
        await until(lambda: hand.tasks[job_id].released)
    assert durable[job_id, JobState.SUCCEEDED.value]


async def test_what_is_kept_of_a_lost_job_is_what_is_on_record(tmp_path: Path) -> None:
    """A power cut has taken the end of the output at the worker, after it was sent."""
    hand = Hand()
    async with deck(tmp_path) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            hand.write(job_id, b"one\n")
            hand.write(job_id, b"two\n")
            await until(lambda: found.file(job_id) == b"one\ntwo\n")
        task = hand.tasks[job_id]
        del task.output[4:]
        del task.runs[-32:]
        task.end = Ended(
            job_id=job_id, how=How.LOST, finished_us=hand.clock_us, output_bytes=4, runs_bytes=len(task.runs)
        )
        hand.restart()
        async with found.link(hand):
            job = await found.ended(job_id)
        assert job.state is JobState.LOST
        assert job.output_bytes == len(found.file(job_id))


async def test_the_output_of_a_job_that_was_lost_sight_of_counts(tmp_path: Path) -> None:
    hand = Hand()
    async with deck(tmp_path, worker_beat_s=0.5, worker_lost_s=2.0) as found:
        async with found.link(hand):
            job_id = await found.submit(hand)
            await found.state(job_id, JobState.RUNNING)
            hand.write(job_id, b"so far\n")
            await until(lambda: found.file(job_id) == b"so far\n")
        job = await found.ended(job_id)
        assert (job.state, job.output_bytes) == (JobState.LOST, len(b"so far\n"))


def test_what_a_bundle_has_turned_out_to_run_needs_not_be_told_to_its_worker() -> None:
    """The server was started again before it heard of the start: it asks for that, whatever it knows of the steps."""
    job = Job(
        id=uid(1),
        dialect="executor",
        bundle="a" * 40,
        steps=(Step(argv=("make", "all"), env_names=("CC",)),),
        state=JobState.STARTING,
        created_us=1,
        engine="worker",
        worker=uid(2),
    )
    order = parse_order(order_of(job, {"steps": [], "standard_env": True}))
    assert (order.bundle, order.steps) == ("a" * 40, ())
