"""A console on a list of jobs that lives in the test: no server, no trio; answers come at once, or when let through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from textual.message import Message

from jobdeck_client.errors import ClientError, NotFoundError
from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_tui import console
from jobdeck_tui.console import state as told
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.few import Kind
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.state import LogKey, State, apply
from tests.tui.console.harness import until
from tests.tui.console.server_list import ServerList, put

if TYPE_CHECKING:
    from textual.pilot import Pilot

    from jobdeck_tui.console.api import Api
    from jobdeck_tui.console.deck import Deck

URL = "http://127.0.0.1:8080"


@dataclass
class FakeDeck:
    """The trio side's part towards the app, on a list in memory.

    Attributes:
        held: Pages that were asked for and are not let through.
        holding: Hold them.
        queries: What was asked for, in order.
    """

    server: ServerList
    state: State
    show: Callable[[State], None] = lambda _: None
    held: list[tuple[Query, Place]] = field(default_factory=list)
    holding: bool = False
    error: str | None = None
    queries: list[Query] = field(default_factory=list)
    places: list[Place] = field(default_factory=list)
    blobs: Any = None
    few: dict[Kind, Any] = field(default_factory=dict)

    @property
    def client(self) -> FakeDeck:
        return self

    has_token = False

    def tell(self, message: told.Message) -> None:
        self.state = apply(self.state, message)
        self.show(self.state)

    def query(self, query: Query) -> None:
        self.queries.append(query)
        self.held.clear()
        self.tell(told.QueryAsked(query=query))
        self.load(Place.START)

    def load(self, place: Place) -> None:
        if place in self.state.list.loading:
            return
        self.places.append(place)
        query = self.state.list.query
        self.tell(told.PageAsked(query=query, place=place))
        self.held.append((query, place))
        if not self.holding:
            self.let()

    def let(self) -> None:
        """Answer what was asked for."""
        while self.held:
            query, place = self.held.pop(0)
            if self.error is not None:
                self.tell(told.PageFailed(query=query, place=place, error=self.error))
                continue
            page = self.server.answer(query, self.state.list.asks[place])
            assert page is not None
            page = put(page, place)
            self.tell(told.PageCame(query=query, place=place, rows=page.rows, more=page.more, cursor=page.cursor))

    def tell_changes(self) -> None:
        """Let the console hear of what changed on the server."""
        for change in self.server.untold:
            self.tell(told.JobTold(job=change) if isinstance(change, Job) else told.JobGone(id=change))
        self.server.untold.clear()

    def watch(self, owner: str, key: LogKey | None) -> None:
        pass

    def close(self, job_id: str) -> None:
        pass


@dataclass
class FakeApi:
    """What is asked of the server, and what it answers."""

    deck: FakeDeck
    asked: list[tuple[Any, ...]] = field(default_factory=list)
    refusal: ClientError | None = None
    refused: list[tuple[str, str]] = field(default_factory=list)
    blobs: Any = None
    workers: Any = None
    contexts: Any = None
    classes: Any = None
    packages: Any = None

    def _take(self, *asked: Any) -> None:
        self.asked.append(asked)
        if self.refusal is not None:
            raise self.refusal

    async def open(self, job_id: str) -> Job:
        raise NotFoundError(404, "no", f"There is no job {job_id}.")

    async def stop(self, job_ids: list[str], *, kill: bool) -> list[tuple[str, str]]:
        self._take("kill" if kill else "stop", *job_ids)
        return self.refused

    async def remove(self, job_ids: list[str]) -> list[tuple[str, str]]:
        self._take("remove", *job_ids)
        return self.refused

    async def rerun(self, job_id: str) -> Job:
        self._take("rerun", job_id)
        return self._new()

    async def submit(self, **request: Any) -> Job:
        self._take("submit", request)
        return self._new()

    async def write_stdin(self, job_id: str, data: bytes) -> None:
        self._take("stdin", job_id, data)

    def _new(self) -> Job:
        job = self.deck.server.submit()
        self.deck.tell_changes()
        return job


class ListApp(ConsoleApp):
    """The console, its messages written down."""

    CSS_PATH = str(Path(console.__file__).with_name("console.tcss"))

    def __init__(self, server: ServerList, *, read_only: bool = False) -> None:
        super().__init__(URL)
        self.fake = FakeDeck(server, State(url=URL, read_only=read_only))
        self.asking = FakeApi(self.fake)
        self.connect(cast("Deck", self.fake), cast("Api", self.asking))
        self.fake.show = self.take_state
        self.toasts: list[str] = []

    def notify(self, message: str, **how: Any) -> None:
        self.toasts.append(message)


@dataclass
class Stage:
    """What a test has in its hands."""

    app: ListApp
    pilot: Pilot[int]
    messages: list[Message]

    @property
    def deck(self) -> FakeDeck:
        return self.app.fake

    @property
    def server(self) -> ServerList:
        return self.deck.server

    @property
    def screen(self) -> JobsScreen:
        return next(each for each in self.app.screen_stack if isinstance(each, JobsScreen))

    @property
    def cursor(self) -> int | None:
        """Number of the job under the cursor."""
        job = self.screen.table.cursor
        return None if job is None else int(job.id, 16)

    @property
    def seen(self) -> list[int]:
        """Numbers of the jobs on the screen."""
        table = self.screen.table
        return [int(job.id, 16) for job in table.rows[table.first_seen : table.first_seen + table.seen_count]]

    async def settled(self) -> None:
        """Everything that was told is drawn."""
        await until(self.pilot, lambda: self.screen.table.jobs is self.deck.state.list)
        await self.pilot.pause()

    async def press(self, *keys: str) -> None:
        await self.pilot.press(*keys)
        await until(self.pilot, lambda: not self.app.keys_waiting)
        await self.settled()

    async def hear(self) -> None:
        """The console hears of all changes."""
        self.deck.tell_changes()
        await self.settled()

    def asked(self, kind: str) -> list[tuple[Any, ...]]:
        return [each for each in self.app.asking.asked if each[0] == kind]


def with_jobs(count: int, *states: JobState) -> ServerList:
    """So many jobs, newest last; ``states`` are those of the first ones, in turn; the others have succeeded."""
    server = ServerList(scan_count=1000)
    for number in range(count):
        state = states[number % len(states)] if states else JobState.SUCCEEDED
        job = server.submit()
        ended = state not in (JobState.QUEUED, JobState.STARTING, JobState.RUNNING)
        server.jobs[-1] = replace(
            job,
            state=state,
            finished_us=job.created_us + 5 if ended else None,
            steps=(Step(command_line=f"make part-{number + 1}"),),
        )
    server.untold.clear()
    return server


@asynccontextmanager
async def stage(
    server: ServerList, *, size: tuple[int, int] = (100, 24), holding: bool = False, read_only: bool = False
) -> AsyncIterator[Stage]:
    """A console that shows the list, its first page loaded unless pages are held."""
    app = ListApp(server, read_only=read_only)
    messages: list[Message] = []
    app.fake.holding = holding
    async with app.run_test(size=size, message_hook=messages.append) as pilot:
        stage = Stage(app, pilot, messages)
        app.fake.load(Place.START)
        await stage.settled()
        yield stage
