"""A console on contexts that live in the test: no server, no trio; answers come at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from jobdeck_client import ConfigCheck
from jobdeck_client.errors import ClientError
from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_protocol.job import Job, JobState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.few import FewCame, FewJobsCame, Kind
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.screens.contexts import ContextsScreen
from tests.tui.console.fewstage import FewStage
from tests.tui.console.harness import until
from tests.tui.console.lists import FakeDeck, ListApp, with_jobs
from tests.tui.console.server_list import ServerList

if TYPE_CHECKING:
    pass


def uid(number: int) -> str:
    return f"{number:08x}-0000-4000-8000-000000000000"


def context(number: int, name: str, **fields: Any) -> ContextInfo:
    """A context that was made some time ago."""
    now_us = time.time_ns() // 1000
    return ContextInfo(id=uid(number), name=name, **{"slots_count": 8, "created_us": now_us - 300_000_000, **fields})


def some() -> list[ContextInfo]:
    """One of each kind."""
    settings = {"spark": {"cores": {"max": 4}}, "python": {"packages": ["numpy-1.26"]}}
    return [
        context(1, "main", running_count=3, queued_count=0, settings=settings, python="/srv/venvs/3f/bin/python"),
        context(2, "reports", running_count=8, queued_count=5),
        context(3, "fresh", state=ContextState.STARTING),
        context(4, "old", state=ContextState.STOPPING, running_count=1),
        context(5, "3c1f09aa-jobs.WordCount", adhoc=True, slots_count=1, running_count=1),
        context(6, "broken", state=ContextState.ERROR, error="no wheel numpy", ended_us=time.time_ns() // 1000),
    ]


def on_spark() -> list[ContextInfo]:
    """Contexts that are processes of their own, in each state."""
    process = {"kind": "spark", "process": uid(2001), "application": "local-1732300000000"}
    settings = {"spark": {"master": "local[2]"}, "max-jobs-per-context": 4}
    return [
        context(
            11,
            "wordcount",
            running_count=2,
            slots_count=4,
            queued_count=3,
            master="local[2]",
            memory_bytes=734_003_200,
            settings=settings,
            **process,
        ),
        context(
            12,
            "warehouse",
            master="spark://10.20.30.40:7077",
            memory_bytes=1_610_612_736,
            ui="http://127.0.0.1:4040",
            restarts_count=2,
            **process,
        ),
        context(13, "coming", kind="spark", state=ContextState.STARTING, master="local[*]", note="starting Java"),
        context(
            14,
            "again",
            kind="spark",
            state=ContextState.RESTARTING,
            master="spark://far:7077",
            restarts_count=1,
            queued_count=1,
            note="connecting to spark://far:7077",
        ),
        context(
            15,
            "going",
            kind="spark",
            state=ContextState.STOPPING,
            master="local[2]",
            running_count=1,
            memory_bytes=500_000_000,
            note="waiting for 1 job",
        ),
        context(
            16,
            "dead",
            kind="spark",
            state=ContextState.ERROR,
            ended_us=time.time_ns() // 1000,
            error="Unexpected termination of context 00000010: its Java process was killed (SIGKILL)",
        ),
        context(17, "3c1f09aa-jobs.Pi", kind="spark", adhoc=True, slots_count=1, running_count=1, master="local[2]"),
        context(18, "plain-one"),
    ]


def jobs_on_spark(place: ContextInfo) -> list[Job]:
    """Two that run, and those that wait."""
    running = [
        job_in(place, 1, "com.example.jobs.WordCount", progress=0.37, progress_text="stage 2 of 3, 14 of 200 tasks"),
        job_in(place, 2, "jobs.Pi"),
    ]
    waiting = [
        replace(job_in(place, number, f"jobs.Waits{number}"), state=JobState.QUEUED, started_us=None)
        for number in (3, 4, 5)
    ]
    return [*running, *waiting]


def job_in(place: ContextInfo, number: int, main_class: str, **fields: Any) -> Job:
    """A job of a context."""
    now_us = time.time_ns() // 1000
    return Job(
        id=uid(1000 + number),
        dialect="v1",
        main_class=main_class,
        packages=("counting",),
        context=place.name,
        state=JobState.RUNNING,
        created_us=now_us - 100_000_000 * number,
        started_us=now_us - 95_000_000 * number,
        **fields,
    )


@dataclass
class FakeWatch:
    """The trio side's watch over the contexts; ``looks`` is what was looked at, in order."""

    deck: FakeDeck
    contexts: list[ContextInfo]
    jobs: list[Job] = field(default_factory=list)
    looks: list[tuple[str | None, bool]] = field(default_factory=list)
    reads: int = 0

    def look(self, item_id: str | None, *, seen: bool = True) -> None:
        if not self.looks or self.looks[-1] != (item_id, seen):
            self.looks.append((item_id, seen))
            place = self.deck.state.contexts.items.get(item_id or "")
            if place is not None:
                jobs = tuple(job for job in self.jobs if job.context == place.name)
                self.deck.tell(FewJobsCame(kind=Kind.CONTEXTS, id=place.id, jobs=jobs))

    def read(self) -> None:
        self.reads += 1


@dataclass
class FakeContexts:
    """What is asked of the server's contexts, and of its packages.

    Attributes:
        pause: Making one waits for it.
    """

    asked: list[tuple[Any, ...]] = field(default_factory=list)
    failure: ClientError | None = None
    refused: list[tuple[str, str]] = field(default_factory=list)
    pause: asyncio.Event | None = None

    async def create(self, name: str, settings: str) -> ContextInfo:
        self.asked.append(("create", name, settings))
        if self.pause is not None:
            await self.pause.wait()
        if self.failure is not None:
            raise self.failure
        return context(77, name)

    async def stop(self, names: Sequence[str], *, force: bool) -> list[tuple[str, str]]:
        self.asked.append(("kill" if force else "stop", *names))
        if self.failure is not None:
            raise self.failure
        return self.refused

    async def restart(self, names: Sequence[str]) -> list[tuple[str, str]]:
        self.asked.append(("restart", *names))
        if self.failure is not None:
            raise self.failure
        return self.refused

    async def check(self, text: str) -> ConfigCheck:
        if "[" in text and "]" not in text:
            return ConfigCheck(ok=False, error="a list that does not end", line=text.count("\n") + 1, column=1)
        return ConfigCheck(ok=True, config=dict.fromkeys(text.split(), 1))


class ContextApp(ListApp):
    """The console, on contexts in memory."""

    def __init__(self, server: ServerList, contexts: list[ContextInfo], *, read_only: bool = False) -> None:
        super().__init__(server, read_only=read_only)
        self.fake.few[Kind.CONTEXTS] = self.watch_over = FakeWatch(self.fake, contexts)
        self.asking.contexts = self.asking.packages = self.acts = FakeContexts()
        self.fake.tell(FewCame(kind=Kind.CONTEXTS, items=tuple(contexts)))


@dataclass
class Stage(FewStage[ContextApp, ContextsScreen]):
    """What a test has in its hands."""

    KIND = Kind.CONTEXTS
    SCREEN = ContextsScreen

    def asked(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.app.acts.asked if each[0] == kind]

    def tell_gone(self, number: int) -> None:
        self.tell_left(uid(number))


@asynccontextmanager
async def stage(
    contexts: list[ContextInfo],
    jobs: Sequence[Job] = (),
    *,
    server: ServerList | None = None,
    size: tuple[int, int] = (100, 24),
    read_only: bool = False,
) -> AsyncIterator[Stage]:
    """A console that shows the list of contexts."""
    app = ContextApp(server or with_jobs(3), contexts, read_only=read_only)
    app.watch_over.jobs = list(jobs)
    async with app.run_test(size=size) as pilot:
        it = Stage(app, pilot)
        app.fake.tell(told.LinkTold(up=True, at_us=0))
        app.fake.load(Place.START)
        await it.press("5")
        await it.on(ContextsScreen)
        await until(pilot, lambda: len(it.screen.table.rows) == len(contexts))
        yield it


def changed(before: ContextInfo, **changes: Any) -> ContextInfo:
    """The same context, changed."""
    return replace(before, **changes)
