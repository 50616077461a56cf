"""A console on workers that live in the test: no server, no trio; answers come at once."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from textual.message import Message

from jobdeck_client.errors import ClientError
from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import FewCame, FewJobsCame, Kind
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.screens.workers import WorkersScreen
from tests.tui.console.fewstage import FewStage
from tests.tui.console.harness import until
from tests.tui.console.lists import FakeDeck, ListApp, with_jobs
from tests.tui.console.server_list import ServerList

if TYPE_CHECKING:
    pass

GIB = 1 << 30


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def worker(number: int, name: str, **fields: Any) -> WorkerInfo:
    """A worker that was heard of just now."""
    now_us = time.time_ns() // 1000
    usual = {"engine": "worker", "slots_count": 8, "started_us": now_us - 3_600_000_000, "seen_us": now_us}
    return WorkerInfo(id=uid(number), name=name, **{**usual, **fields})


def own(**fields: Any) -> WorkerInfo:
    """The server's own machine."""
    return worker(1, "deck", **{"engine": "local", "slots_count": 64, "address": "127.0.0.1:8080", **fields})


def some() -> list[WorkerInfo]:
    """One of each kind."""
    now_us = time.time_ns() // 1000
    far = {"software": "jobdeck 0.1.0"}
    return [
        own(running_count=3, load=1.2, free_bytes=120 * GIB, **far),
        worker(
            2,
            "gpu-a",
            running_count=8,
            queued_count=4,
            load=11.25,
            free_bytes=800 * GIB,
            labels=("gpu", "linux", "big"),
            address="10.0.0.12:51234",
            **far,
        ),
        worker(
            3,
            "gpu-b",
            state=WorkerState.UNREACHABLE,
            running_count=2,
            labels=("gpu", "linux"),
            address="10.0.0.13:40112",
            seen_us=now_us - 754_000_000,
            load=3.5,
            free_bytes=31 * GIB,
            clock_skew_us=4_700_000,
            **far,
        ),
        worker(4, "mac-mini", state=WorkerState.DRAINING, running_count=1, slots_count=4, labels=("mac",), **far),
        worker(5, "old-box", state=WorkerState.OFFLINE, seen_us=now_us - 90_000_000_000, slots_count=2),
        worker(6, "arm-builder", load=0.08, free_bytes=9 * GIB, labels=("arm", "linux"), **far),
    ]


def job_on(place: WorkerInfo, number: int, command: str, state: JobState = JobState.RUNNING, **fields: Any) -> Job:
    """A job of a worker."""
    now_us = time.time_ns() // 1000
    return Job(
        id=uid(1000 + number),
        dialect="v1",
        engine="worker",
        worker=place.id,
        state=state,
        steps=(Step(command_line=command),),
        created_us=now_us - 100_000_000 * number,
        started_us=None if state is JobState.QUEUED else now_us - 95_000_000 * number,
        **fields,
    )


@dataclass
class FakeWatch:
    """The trio side's watch over the workers.

    Attributes:
        looks: What was looked at, in order.
    """

    deck: FakeDeck
    workers: list[WorkerInfo]
    jobs: list[Job] = field(default_factory=list)
    looks: list[tuple[str | None, bool]] = field(default_factory=list)
    reads: int = 0

    def look(self, worker_id: str | None, *, seen: bool = True) -> None:
        if not self.looks or self.looks[-1] != (worker_id, seen):
            self.looks.append((worker_id, seen))
            if worker_id is not None:
                jobs = tuple(job for job in self.jobs if job.worker == worker_id)
                self.deck.tell(FewJobsCame(kind=Kind.WORKERS, id=worker_id, jobs=jobs))

    def read(self) -> None:
        self.reads += 1
        self.deck.tell(FewCame(kind=Kind.WORKERS, items=tuple(self.workers)))


@dataclass
class FakeWorkers:
    """What is asked of the server's workers."""

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    failure: ClientError | None = None
    refused: list[tuple[str, str]] = field(default_factory=list)

    def _take(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure

    async def drain(self, worker_ids: Sequence[str], *, on: bool) -> list[tuple[str, str]]:
        self._take("drain" if on else "undrain", *worker_ids)
        return self.refused

    async def rename(self, worker_id: str, name: str) -> None:
        self._take("rename", worker_id, name)

    async def forget(self, worker_ids: Sequence[str]) -> list[tuple[str, str]]:
        self._take("forget", *worker_ids)
        return self.refused


class WorkerApp(ListApp):
    """The console, on workers in memory."""

    def __init__(self, server: ServerList, workers: list[WorkerInfo], *, read_only: bool = False) -> None:
        super().__init__(server, read_only=read_only)
        self.fake.few[Kind.WORKERS] = self.watch_over = FakeWatch(self.fake, workers)
        self.asking.workers = self.acts = FakeWorkers()
        self.fake.tell(FewCame(kind=Kind.WORKERS, items=tuple(workers)))


@dataclass
class Stage(FewStage[WorkerApp, WorkersScreen]):
    """What a test has in its hands."""

    KIND = Kind.WORKERS
    SCREEN = WorkersScreen

    def asked(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.app.acts.asked if each[0] == kind]

    def tell_gone(self, number: int) -> None:
        self.tell_left(uid(number))


@asynccontextmanager
async def stage(
    workers: list[WorkerInfo],
    jobs: Sequence[Job] = (),
    *,
    server: ServerList | None = None,
    size: tuple[int, int] = (100, 24),
    read_only: bool = False,
    pane: str = "3",
) -> AsyncIterator[Stage]:
    """A console that shows the list of workers, or another pane."""
    app = WorkerApp(server or with_jobs(3), workers, read_only=read_only)
    app.watch_over.jobs = list(jobs)
    messages: list[Message] = []
    async with app.run_test(size=size, message_hook=messages.append) as pilot:
        it = Stage(app, pilot, messages)
        app.fake.tell(told.LinkTold(up=True, at_us=0))
        app.fake.load(Place.START)
        if pane == "3":
            await it.press("3")
            await it.on(WorkersScreen)
            await until(pilot, lambda: len(it.screen.table.rows) == len(workers))
        yield it


def renamed(before: WorkerInfo, **changes: Any) -> WorkerInfo:
    """The same worker, changed."""
    return replace(before, **changes)
