"""What is read of workers, and when: against a client that lives in the test, and a real server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import trio
import trio.testing

from jobdeck_client import Client
from jobdeck_client.errors import ClientError, NotFoundError
from jobdeck_client.pages import Page
from jobdeck_protocol.job import Job
from jobdeck_protocol.workerinfo import WorkerInfo, to_wire
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import FewGone, FewTold, Kind
from jobdeck_tui.console.fewevents import few_message
from jobdeck_tui.console.settings import FEW_EVERY_S
from jobdeck_tui.console.state import LinkTold, State, apply
from jobdeck_tui.console.workerwatch import WorkerWatch
from tests.tui.conftest import Server
from tests.tui.console.test_deck import running
from tests.tui.console.workers import job_on, own, worker

FAR = worker(2, "far")


@dataclass
class FakeClient:
    """Answers at once; ``failure`` is raised instead."""

    known: list[WorkerInfo]
    listed: list[Job] = field(default_factory=list)
    failure: ClientError | None = None
    asked: list[Any] = field(default_factory=list)

    @property
    def workers(self) -> FakeClient:
        return self

    async def all(self) -> list[WorkerInfo]:
        self.asked.append("all")
        if self.failure is not None:
            raise self.failure
        return self.known

    async def jobs(self, **wanted: Any) -> Page:
        self.asked.append(wanted["worker"])
        return Page(tuple(self.listed), None)


@dataclass
class Bench:
    """What a test has at hand."""

    client: FakeClient
    state: State
    watch: WorkerWatch

    def tell(self, message: told.Message) -> None:
        self.state = apply(self.state, message)

    def jobs(self) -> list[Job]:
        """Of the worker that is looked at."""
        return list(self.state.workers.jobs.jobs) if self.state.workers.jobs is not None else []

    def error(self) -> str | None:
        return self.state.workers.error


@asynccontextmanager
async def bench(*workers: WorkerInfo, up: bool = True) -> AsyncIterator[Bench]:
    client = FakeClient(list(workers))
    b = Bench(client, State(url="http://h"), cast("WorkerWatch", None))
    b.watch = WorkerWatch(cast("Client", client), b.tell, lambda: b.state)
    b.tell(LinkTold(up=up, at_us=0))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(b.watch.run)
        yield b
        nursery.cancel_scope.cancel()


async def test_it_is_read_once_when_asked_and_again_while_it_is_seen(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(own(), FAR) as b:
        await trio.sleep(100)
        assert b.client.asked == []
        b.watch.read()
        await trio.sleep(100)
        assert b.client.asked == ["all"]
        assert list(b.state.workers.workers) == [own().id, FAR.id]
        b.watch.look(None)
        await trio.sleep(4.5 * FEW_EVERY_S)
        assert b.client.asked == ["all"] * 6
        b.watch.look(None, seen=False)
        await trio.sleep(100)
        assert len(b.client.asked) <= 7


async def test_nothing_is_asked_without_a_link(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(own(), up=False) as b:
        b.watch.look(FAR.id)
        await trio.sleep(20)
        assert b.client.asked == []
        b.tell(LinkTold(up=True, at_us=1))
        b.watch.read()
        await trio.testing.wait_all_tasks_blocked()
        assert b.client.asked == ["all", FAR.id]


async def test_jobs_of_others_are_left_out_of_what_an_older_server_lists(
    autojump_clock: trio.testing.MockClock,
) -> None:
    here, far = job_on(own(), 1, "here"), job_on(FAR, 2, "far")
    local = replace(here, worker=None)
    async with bench(own(), FAR) as b:
        b.client.listed = [here, far, local]
        b.watch.look(FAR.id)
        await trio.testing.wait_all_tasks_blocked()
        assert b.jobs() == [far]
        b.watch.look(own().id)
        await trio.testing.wait_all_tasks_blocked()
        assert b.jobs() == [here, local]


async def test_a_refusal_is_told_and_over_when_there_is_an_answer(autojump_clock: trio.testing.MockClock) -> None:
    async with bench(own()) as b:
        b.client.failure = NotFoundError(404, "no", "No such page.")
        b.watch.look(None)
        await trio.testing.wait_all_tasks_blocked()
        assert b.error() is not None
        b.client.failure = None
        await trio.sleep(FEW_EVERY_S + 1)
        assert b.error() is None
        assert b.state.workers.known


def test_an_event_that_is_not_understood_is_left() -> None:
    assert few_message("worker", to_wire(FAR)) == FewTold(kind=Kind.WORKERS, item=FAR)
    assert few_message("worker_removed", {"id": FAR.id}) == FewGone(kind=Kind.WORKERS, id=FAR.id)
    assert few_message("worker_removed", {}) is None
    assert few_message("something", {"id": FAR.id}) is None
    for odd in ({}, {**to_wire(FAR), "state": "asleep"}, {**to_wire(FAR), "seen": 5}):
        assert few_message("worker", odd) is None


async def test_a_real_server_tells_its_own_machine_and_its_jobs(server: Server) -> None:
    async with running(server) as (deck, seen):
        state = await seen.until(lambda state: state.workers.known)
        here = state.workers.own
        assert here is not None
        job = await deck.client.submit(command="sleep 60")
        deck.few[Kind.WORKERS].look(here.id)
        state = await seen.until(lambda s: s.workers.jobs and job.id in [each.id for each in s.workers.jobs.jobs])
        await deck.client.workers.drain(here.id)
        await seen.until(lambda s: s.workers.workers[here.id].state == "draining")
        await deck.client.workers.drain(here.id, on=False)
        await seen.until(lambda s: s.workers.workers[here.id].state == "online")
        listed = await deck.client.jobs(worker=here.name)
        assert job.id in [each.id for each in listed.items]
        await deck.client.stop(job.id, signal=9)
