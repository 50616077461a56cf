"""Which worker runs what: by name, by labels, by room; and what waits, where, and why."""

from __future__ import annotations

import random
import tempfile
import uuid
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, JobState
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_server.core.executor import Given
from jobdeck_server.core.executorworkers import Call
from jobdeck_server.core.live import Live
from jobdeck_server.core.requests import JobRequest
from jobdeck_server.engines.base import BUNDLES, WORKER, Ended, Started
from tests.server.core.harness import shell, until
from tests.server.core.workerbench import LOCAL, Fixed, Yard, worker, worker_id, yard

W0, W1 = worker_id(0), worker_id(1)


def named(number: int, **fields: object) -> JobRequest:
    return shell("true", engine=WORKER, worker=worker_id(number), **fields)


async def submit(made: Yard, request: JobRequest) -> str:
    return (await made.core.submit(request)).id


async def bundled(made: Yard, *labels: str) -> str:
    """The id of a new job of the executor."""
    told = await made.executor.create(uuid.uuid4().hex, Given(labels=labels))
    return told.job.id


def offered(source: Fixed) -> frozenset[str]:
    """What jobs may ask of a worker."""
    return frozenset((*source.info.labels, *((BUNDLES,) if source.info.bundles else ())))


def wanted(job: Job) -> set[str]:
    """What a job asks of its worker."""
    return set(job.worker_labels) if job.bundle is None else {*job.labels, BUNDLES}


async def settled(made: Yard) -> None:
    """All that is under way has come to rest."""
    await trio.testing.wait_all_tasks_blocked(0.001)
    await made.store.write(lambda connection: None, durable=False)
    await trio.testing.wait_all_tasks_blocked(0.001)


def place(made: Yard, job_id: str) -> str | None:
    """The worker that has a job, "" for this machine, None while it waits."""
    live = made.core.live(job_id)
    assert live is not None
    return None if live.job.state is JobState.QUEUED else live.job.worker or ""


def note(made: Yard, job_id: str) -> str | None:
    live = made.core.live(job_id)
    assert live is not None
    return live.job.note


def end(made: Yard, job_id: str) -> None:
    made.core.report(job_id, Started(started_us=1, step=0))
    made.core.report(job_id, Ended(how="exit", code=0, finished_us=2))


# -- by name --


async def test_a_named_worker_gets_its_jobs_and_no_more_than_it_has_slots(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0, slots_count=2), worker(1)) as made:
        jobs = [await submit(made, named(0)) for _ in range(4)]
        await until(lambda: len(made.engine.placed) == 2)
        assert [place(made, job) for job in jobs] == [W0, W0, None, None]
        assert made.engine.placed == [(jobs[0], W0), (jobs[1], W0)]
        told = made.workers.find(W0)
        assert (told.running_count, told.queued_count) == (2, 2)
        assert note(made, jobs[2]) is None
        end(made, jobs[1])
        await until(lambda: place(made, jobs[2]) == W0)
        assert place(made, jobs[3]) is None


@pytest.mark.parametrize("state", [WorkerState.UNREACHABLE, WorkerState.OFFLINE, WorkerState.DRAINING])
async def test_a_worker_that_takes_nothing_is_waited_for_and_the_record_says_so(
    tmp_path: Path, state: WorkerState
) -> None:
    gone = worker(0, state=state)
    async with yard(tmp_path, gone) as made:
        job = await submit(made, named(0))
        assert (place(made, job), note(made, job)) == (None, f"waits for worker w0, which is {state}")
        gone.info = replace(gone.info, state=WorkerState.ONLINE)
        made.workers.changed(gone)
        await until(lambda: place(made, job) == W0)
        assert note(made, job) is None
        assert (await made.core.get(job)).engine == WORKER


async def test_jobs_wait_over_a_restart(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0, slots_count=1)) as made:
        jobs = [await submit(made, named(0)) for _ in range(2)]
        await until(lambda: len(made.engine.placed) == 1)
        tagged = await submit(made, shell("true", worker_labels=("gpu",)))
        await settled(made)
    async with yard(tmp_path) as made:
        made.core.report(jobs[0], Started(started_us=1, step=0))
        assert place(made, jobs[1]) is None
        source = worker(0, "gpu", slots_count=2)
        made.join(source)
        await until(lambda: place(made, jobs[1]) == W0)
        assert place(made, tagged) is None
        end(made, jobs[0])
        await until(lambda: place(made, tagged) == W0)


async def test_a_forgotten_worker_is_not_known(tmp_path: Path) -> None:
    async with yard(tmp_path) as made:
        job = await submit(made, named(0))
        assert note(made, job) == f"waits for worker {W0[:8]}, which is not known"


# -- by labels --


async def test_labels_choose_and_room_decides(tmp_path: Path) -> None:
    crowd = (worker(0, "gpu", slots_count=1), worker(1, "gpu", "big", slots_count=3), worker(2, "big", slots_count=9))
    async with yard(tmp_path, *crowd, running_limit_count=1) as made:
        jobs = [await submit(made, shell("true", worker_labels=("gpu",))) for _ in range(5)]
        await until(lambda: len(made.engine.placed) == 4)
        assert Counter(place(made, job) for job in jobs) == {W1: 3, W0: 1, None: 1}
        assert place(made, jobs[0]) == W1
        both = await submit(made, shell("true", worker_labels=("big", "gpu")))
        assert (place(made, both), note(made, both)) == (None, None)
        nobody = await submit(made, shell("true", worker_labels=("big", "cpu")))
        assert note(made, nobody) == "waits for a worker with labels big, cpu"
        made.join(worker(3, "cpu", "big"))
        await until(lambda: place(made, nobody) == worker_id(3))


async def test_this_machine_is_one_of_those_that_fit(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0, "big", slots_count=1), running_limit_count=2, executor_labels=("big",)) as made:
        jobs = [await submit(made, shell("true", worker_labels=("big",))) for _ in range(5)]
        await until(lambda: len(made.engine.placed) == 3)
        assert [place(made, job) for job in jobs] == ["", "", W0, None, None]
        end(made, jobs[0])
        assert place(made, jobs[3]) == ""
        end(made, jobs[2])
        await until(lambda: place(made, jobs[4]) == W0)


# -- all others --


async def test_what_asks_for_nothing_stays_here(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0), running_limit_count=1) as made:
        jobs = [await submit(made, shell("true")) for _ in range(2)]
        await settled(made)
        assert [place(made, job) for job in jobs] == ["", None]


async def test_but_may_be_spread(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0, slots_count=1), running_limit_count=1, spread_jobs=True) as made:
        here = await made.core.submit(shell("true", worker=LOCAL))
        jobs = [await submit(made, shell("true")) for _ in range(3)]
        pinned = await submit(made, shell("true", worker=LOCAL))
        await until(lambda: len(made.engine.placed) == 2)
        assert [place(made, job) for job in jobs] == [W0, None, None]
        end(made, here.id)
        assert place(made, jobs[1]) == ""
        end(made, jobs[0])
        await until(lambda: place(made, jobs[2]) == W0)
        end(made, jobs[2])
        await settled(made)
        assert place(made, pinned) is None
        end(made, jobs[1])
        assert place(made, pinned) == LOCAL


async def test_a_machine_without_slots_leaves_all_to_others(tmp_path: Path) -> None:
    async with yard(tmp_path, running_limit_count=0, spread_jobs=True) as made:
        job = await submit(made, shell("true"))
        assert place(made, job) is None
        assert made.workers.find(LOCAL).slots_count == 0
        made.join(worker(0))
        await until(lambda: place(made, job) == W0)


# -- what comes between --


async def test_a_job_that_is_stopped_leaves_its_slot(tmp_path: Path) -> None:
    source = worker(0, "gpu", slots_count=1, state=WorkerState.UNREACHABLE)
    async with yard(tmp_path, source) as made:
        jobs = [await submit(made, shell("true", worker_labels=("gpu",))) for _ in range(2)]
        jobs += [await submit(made, named(0))]
        source.info = replace(source.info, state=WorkerState.ONLINE)
        made.workers.changed(source)  # the first is about to be placed
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.core.stop, jobs[0])
            nursery.start_soon(made.core.stop, jobs[2])
        await until(lambda: made.core.live(jobs[1]) is None or place(made, jobs[1]) == W0 or place(made, jobs[0]) == W0)
        first = await made.core.get(jobs[0])
        if first.state is not JobState.STOPPED:
            end(made, jobs[0])
        await until(lambda: place(made, jobs[1]) == W0)
        assert (await made.core.get(jobs[2])).state is JobState.STOPPED
        assert made.workers.find(W0).running_count == 1


async def test_a_held_job_is_not_placed(tmp_path: Path) -> None:
    source = worker(0, slots_count=1, state=WorkerState.UNREACHABLE)
    async with yard(tmp_path, source) as made:
        first, second = [await submit(made, named(0)) for _ in range(2)]
        live = made.core.live(first)
        assert live is not None
        await made.core.hold(live, held=True)
        source.info = replace(source.info, state=WorkerState.ONLINE)
        made.workers.changed(source)
        await until(lambda: place(made, second) == W0)
        end(made, second)
        await settled(made)
        assert place(made, first) is None
        await made.core.hold(live, held=False)
        await until(lambda: place(made, first) == W0)


async def test_a_drained_machine_starts_nothing_also_after_a_restart(tmp_path: Path) -> None:
    async with yard(tmp_path, running_limit_count=2) as made:
        runs = await submit(made, shell("true"))
        told = await made.workers.drain("here", on=True)
        assert (told.state, told.running_count) == (WorkerState.DRAINING, 1)
        waits = await submit(made, shell("true"))
        assert (place(made, runs), place(made, waits)) == ("", None)
        assert made.workers.find(LOCAL).queued_count == 1
    async with yard(tmp_path, running_limit_count=2) as made:
        assert (made.workers.find(LOCAL).state, place(made, waits)) == (WorkerState.DRAINING, None)
        await made.workers.drain("here", on=False)
        assert place(made, waits) == ""
    async with yard(tmp_path) as made:
        assert made.workers.find(LOCAL).state is WorkerState.ONLINE


async def test_a_drained_machine_does_not_hold_others(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0, "big"), executor_labels=("big",)) as made:
        await made.workers.drain("here", on=True)
        job = await submit(made, shell("true", worker_labels=("big",)))
        await until(lambda: place(made, job) == W0)


async def test_a_server_that_was_restored_places_nothing(tmp_path: Path) -> None:
    source = worker(0)
    async with yard(tmp_path, source) as made:
        made.core.admission.pause("restored", on=True)
        job = await submit(made, named(0))
        await settled(made)
        assert place(made, job) is None
        made.core.admission.pause("restored", on=False)
        made.workers.changed(source)
        await until(lambda: place(made, job) == W0)


# -- anything at all --


class _Chance:
    """Random jobs and workers, and the rules that must hold whenever nothing is under way."""

    LABELS = ("a", "b")

    def __init__(self, made: Yard, dice: random.Random) -> None:
        self.made = made
        self.dice = dice
        self.sources: dict[int, Fixed] = {}
        self.room: dict[str, int] = {}  # the most that each may have: more only if it had more before it shrank
        self.lately: dict[str, list[frozenset[str]]] = {}  # what each has offered since all was at rest
        self.faults: list[Job] = []
        self.begun: list[str] = []  # keys that programs which ask were given
        made.core.observers.append(self.look)

    def look(self, live: Live) -> None:
        """A job that has just been given to a worker fits it, or did a moment ago."""
        job = live.job
        if job.state is JobState.STARTING and job.engine == WORKER:
            offers = self.lately.get(job.worker or "", [])
            if not any(wanted(job) <= offer for offer in offers):
                self.faults.append(job)

    def labels(self) -> tuple[str, ...]:
        return tuple(label for label in self.LABELS if self.dice.random() < 0.5)

    async def come(self) -> None:
        kind = self.dice.randrange(4)
        if kind == 3:
            await bundled(self.made, *self.labels())
            return
        if kind == 0:
            request = shell("true")
        elif kind == 1:
            request = shell("true", worker_labels=self.labels())
        else:
            request = named(self.dice.randrange(3), worker_labels=self.labels() if self.dice.random() < 0.3 else ())
        await submit(self.made, request)

    async def finish(self) -> None:
        running = [job for job in self.made.core.active() if job.state is not JobState.QUEUED]
        if running:
            end(self.made, self.dice.choice(running).id)

    async def stop(self) -> None:
        waiting = [job for job in self.made.core.active() if job.state is JobState.QUEUED]
        if waiting:
            await self.made.core.stop(self.dice.choice(waiting).id)

    async def change(self) -> None:
        number = self.dice.randrange(3)
        states = [WorkerState.ONLINE] * 3 + list(WorkerState)
        fresh = worker(
            number,
            *self.labels(),
            slots_count=self.dice.randrange(4),
            state=self.dice.choice(states),
            bundles=self.dice.random() < 0.6,
        )
        source, info = self.sources.get(number), fresh.info
        had_count = self.made.placement.tally(info.id)[0]
        self.room[info.id] = max(had_count, info.slots_count if info.state is WorkerState.ONLINE else 0)
        self.lately.setdefault(info.id, []).append(offered(fresh))
        if source is None:
            self.sources[number] = fresh
            self.made.join(fresh)
        elif self.dice.random() < 0.2:
            del self.sources[number]
            self.made.workers.leave(source)
        else:
            source.info = info
            self.made.workers.changed(source)

    async def beat(self) -> None:
        """A program asks for jobs of the executor."""
        call = Call(
            client_id=f"c{self.dice.randrange(2)}", available_count=self.dice.randrange(3), labels=self.labels()
        )
        for key in (await self.made.executor.beat(call)).start:
            self.begun.append(key)

    async def drain(self) -> None:
        await self.made.local.drain(on=self.dice.random() < 0.5)

    async def step(self) -> None:
        acts = [self.come, self.finish, self.stop, self.change, self.drain, self.beat]
        await self.dice.choices(acts, [8, 5, 1, 3, 1, 2])[0]()

    def fits(self, job: Job, source: Fixed) -> bool:
        return job.worker in (None, source.info.id) and wanted(job) <= offered(source)

    def check_room(self) -> None:
        """At any time: nobody has more than there is room for, what is under way counted too."""
        for source in self.sources.values():
            assert self.made.placement.tally(source.info.id)[0] <= self.room[source.info.id]

    def check(self, *, spread: bool, slots_here_count: int) -> None:
        assert not self.faults
        assert len(self.begun) == len(set(self.begun)), "given out twice"
        self.lately = {source.info.id: [offered(source)] for source in self.sources.values()}
        placed = Counter(job_id for job_id, _ in self.made.engine.placed)
        assert max(placed.values(), default=1) == 1, "placed twice"
        jobs = self.made.core.active()
        free = {}
        for source in self.sources.values():
            mine = [job for job in jobs if job.engine == WORKER and job.worker == source.info.id]
            mine = [job for job in mine if job.state is not JobState.QUEUED]
            assert self.made.workers.find(source.info.id).running_count == len(mine)
            if source.info.state is WorkerState.ONLINE:
                free[source.info.id] = source.info.slots_count - len(mine)
        drained = bool(self.made.core.admission.pauses)
        here_count = 0 if drained else slots_here_count - self.made.core.slots_in_use
        assert here_count >= 0 or drained
        for job in jobs:
            if job.state is not JobState.QUEUED:
                continue
            here = {"a", BUNDLES} if self.made.core.settings.executor_builtin else {"a"}
            assert not (here_count > 0 and job.worker is None and wanted(job) <= here), "it fits here"
            if spread or job.worker is not None or job.worker_labels or job.bundle:
                for source in self.sources.values():
                    assert free.get(source.info.id, 0) <= 0 or not self.fits(job, source), "it fits there"


# -- bundles --


async def test_bundles_go_here_first_then_to_workers_that_take_them(tmp_path: Path) -> None:
    crowd = (worker(0, slots_count=9), worker(1, slots_count=1, bundles=True))
    async with yard(tmp_path, *crowd, running_limit_count=1) as made:
        jobs = [await bundled(made) for _ in range(4)]
        await until(lambda: place(made, jobs[1]) == W1)
        await settled(made)
        assert [place(made, job) for job in jobs] == ["", W1, None, None]
        assert (await made.core.get(jobs[1])).engine == WORKER
        asked = await made.executor.beat(Call(client_id="c", available_count=1))
        assert asked.start == (made.core.live(jobs[2]).job.key,)  # type: ignore[union-attr]  # it waits
        end(made, jobs[1])
        await until(lambda: place(made, jobs[3]) == W1)


async def test_without_an_executor_of_its_own_and_with_labels(tmp_path: Path) -> None:
    crowd = (worker(0, "gpu", bundles=True), worker(1, bundles=True, slots_count=9))
    async with yard(tmp_path, *crowd, executor_builtin=False, executor_labels=("gpu",)) as made:
        chosen, nobody = await bundled(made, "gpu"), await bundled(made, "cpu")
        await until(lambda: place(made, chosen) == W0)
        await settled(made)
        assert place(made, nobody) is None
        made.join(worker(2, "cpu"), worker(3, "cpu", bundles=True))
        await until(lambda: place(made, nobody) == worker_id(3))


async def test_a_bundle_that_is_lost_with_its_worker_is_made_anew(tmp_path: Path) -> None:
    async with yard(tmp_path, worker(0, bundles=True, slots_count=1), executor_builtin=False) as made:
        first = await bundled(made)
        key = made.core.live(first).job.key or ""  # type: ignore[union-attr]  # it was accepted just now
        await until(lambda: place(made, first) == W0)
        made.core.report(first, Started(started_us=1, step=0))
        made.core.report(first, Ended(how="lost", text="gone", finished_us=2))

        def again() -> Job | None:
            newest = [job for job in made.core.active() if job.key == key and job.id != first]
            return newest[0] if newest and newest[0].worker == W0 else None

        await until(lambda: again() is not None)
        assert (await made.core.get(first)).state is JobState.LOST
        job = again()
        assert job is not None
        assert (job.attempt, job.engine) == (2, WORKER)


@given(st.integers(0, 1 << 32), st.booleans(), st.integers(0, 2))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_happens_nobody_waits_while_a_slot_that_fits_is_free(
    seed: int, spread: bool, slots_here_count: int
) -> None:
    # what can be chosen depends on threads: hypothesis must not watch each throw
    dice = random.Random(seed)

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            changes = {
                "spread_jobs": spread,
                "running_limit_count": slots_here_count,
                "executor_labels": ("a",),
                "executor_builtin": dice.random() < 0.5,
                "executor_hold_s": 0.0,
            }
            async with yard(Path(folder), **changes) as made:
                chance = _Chance(made, dice)
                for _ in range(40):
                    await chance.step()
                    chance.check_room()
                    if dice.random() < 0.5:
                        await settled(made)
                        chance.check(spread=spread, slots_here_count=slots_here_count)
                await settled(made)
                chance.check(spread=spread, slots_here_count=slots_here_count)

    trio.run(main)


async def test_no_note_says_what_is_over(tmp_path: Path) -> None:
    """Of very many that wait not all are told why: what is told is true."""
    source = worker(0, state=WorkerState.UNREACHABLE)
    async with yard(tmp_path, source) as made:
        job_ids = [await submit(made, named(0)) for _ in range(130)]
        await settled(made)
        assert note(made, job_ids[0]) == "waits for worker w0, which is unreachable"
        source.info = replace(source.info, state=WorkerState.ONLINE, slots_count=0)
        made.workers.changed(source)
        await settled(made)
        assert {note(made, job_id) for job_id in job_ids} == {None}
