"""A console on one job that is a class out of a package: no server, no trio; answers come at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from jobdeck_client import ClassOutcome, ClientError
from jobdeck_protocol.job import Job, JobState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.screens.outcome import OutcomeScreen
from jobdeck_tui.console.screens.results import screen_of
from tests.tui.console.blobs import BlobApp, Stage, Store
from tests.tui.console.harness import until

JOB_ID = "0000aaaa-0000-4000-8000-000000000000"


@dataclass
class FakeClasses:
    """What is asked of the job.

    Attributes:
        pause: Parts of the result wait for it.
    """

    came: ClassOutcome = field(default_factory=lambda: ClassOutcome(kind=None))
    result: bytes = b""
    told: bytes = b"{}"
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    failure: ClientError | None = None
    pause: asyncio.Event | None = None

    def _take(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.failure is not None:
            raise self.failure

    async def outcome(self, job_id: str) -> ClassOutcome:
        self._take("outcome")
        return self.came

    async def part(self, job_id: str, start: int, end: int) -> bytes:
        self._take("part", start, end)
        if self.pause is not None:
            await self.pause.wait()
        return self.result[start:end]

    async def read(self, start: int, end: int) -> bytes:
        """As a pane asks for it."""
        return await self.part(JOB_ID, start, end)

    async def config(self, job_id: str) -> bytes:
        self._take("config")
        return self.told


@dataclass
class Opened(Stage):
    """What a test has in its hands."""

    classes: FakeClasses

    @property
    def outcome(self) -> OutcomeScreen:
        return next(each for each in self.app.screen_stack if isinstance(each, OutcomeScreen))


def job(state: JobState = JobState.SUCCEEDED, **fields: Any) -> Job:
    """A class out of a package."""
    usual = {"main_class": "jobs.WordCount", "packages": ("counting",), "context": "main", "dialect": "v1"}
    return Job(id=JOB_ID, state=state, created_us=1_000_000, **{**usual, **fields})


@asynccontextmanager
async def opened(
    shown: Job,
    outcome: ClassOutcome | None = None,
    *,
    result: bytes = b"",
    config: bytes = b"{}",
    size: tuple[int, int] = (100, 24),
) -> AsyncIterator[Opened]:
    """The result of a job, as the key for it shows it."""
    store = Store()
    classes = FakeClasses(outcome or ClassOutcome(kind=None), result, config)
    app = BlobApp(store)
    app.asking.classes = classes
    blob = store.put("result", result)
    if outcome is not None and outcome.result_kind is not None:
        shown = Job(**{**_fields(shown), "results": MappingProxyType({"result": blob.hash})})
    async with app.run_test(size=size) as pilot:
        it = Opened(app, pilot, [], classes)

        async def open_it(_: str) -> Job:
            it.tell(told.JobOpened(job=shown))
            return shown

        app.asking.open = open_it  # type: ignore[method-assign,assignment]  # the double of a double
        app.push_screen(screen_of(shown))
        await until(pilot, lambda: any(isinstance(each, OutcomeScreen) for each in app.screen_stack))
        yield it


def json_outcome(result: bytes) -> ClassOutcome:
    """It has ended well, with this result."""
    return ClassOutcome(kind="finished", result_kind="json", result_bytes=len(result))


def _fields(job: Job) -> dict[str, Any]:
    return {name: getattr(job, name) for name in Job.__slots__}
