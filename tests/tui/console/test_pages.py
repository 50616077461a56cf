"""How the trio side reads pages of the list: by cursor and by row, again after failures, not for former questions."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

import trio
import trio.testing

from jobdeck_client import Client, Page, UnreachableError
from jobdeck_client.errors import ClientError, NotFoundError
from jobdeck_protocol.job import JobState
from jobdeck_tui.console import state as told
from jobdeck_tui.console.deck import Deck
from jobdeck_tui.console.pages import Ask, Place
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.settings import EMPTY_PAGES_LIMIT_COUNT, ROWS_LIMIT_COUNT, ROWS_PAGE_COUNT
from jobdeck_tui.console.state import State
from tests.tui.console.lists import with_jobs
from tests.tui.console.server_list import ServerList, check_run


@dataclass
class FakeClient:
    """The part of a client that reads lists; it takes ``delay_s`` for each answer."""

    server: ServerList
    delay_s: float = 0.0
    failure: ClientError | None = None
    asked: list[dict[str, Any]] = field(default_factory=list)
    base_url = "http://127.0.0.1:8080"

    async def jobs(self, **wanted: Any) -> Page:
        self.asked.append(wanted)
        query = Query(
            states=frozenset(wanted["states"]),
            dialect=wanted["dialect"],
            label=wanted["label"],
            text=wanted["text"],
            sort=wanted["sort"],
        )
        ask = Ask(sort=query.sort, limit_count=wanted["limit"], after=wanted["after"], cursor=wanted["cursor"])
        page = self.server.answer(query, ask)
        await trio.sleep(self.delay_s)
        if self.failure is not None:
            raise self.failure
        if page is None:
            raise NotFoundError(404, "no", f"There is no job {ask.after}.")
        return Page(page.rows, page.cursor)

    @asynccontextmanager
    async def events(self, **_: Any) -> AsyncIterator[FakeEvents]:
        yield FakeEvents()


class FakeEvents:
    """A link on which nothing comes."""

    def watch(self, **_: Any) -> None:
        pass

    def __aiter__(self) -> FakeEvents:
        return self

    async def __anext__(self) -> object:
        await trio.sleep_forever()


@asynccontextmanager
async def running(client: FakeClient) -> AsyncIterator[Deck]:
    deck = Deck(cast("Client", client), lambda _: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(deck.run)
        await until(deck, lambda state: state.list.known or state.list.error)
        yield deck
        nursery.cancel_scope.cancel()


async def until(deck: Deck, holds: Callable[[State], object]) -> None:
    """The clock of these tests jumps, so waiting costs nothing."""
    with trio.fail_after(60):
        while not holds(deck.state):  # noqa: ASYNC110  # each state in between is to be seen
            await trio.sleep(0.001)


async def loaded(deck: Deck, place: Place) -> None:
    deck.load(place)
    await until(deck, lambda state: not state.list.loading)


async def test_pages_go_by_cursor_and_by_row_where_there_is_none(autojump_clock: trio.testing.MockClock) -> None:
    client = FakeClient(with_jobs(4000))
    async with running(client) as deck:
        for _ in range(11):
            await loaded(deck, Place.BELOW)
        assert all(wanted["cursor"] for wanted in client.asked[1:])
        assert (len(deck.state.list.rows), deck.state.list.above) == (ROWS_LIMIT_COUNT, True)
        for _ in range(2):
            await loaded(deck, Place.ABOVE)
        assert not deck.state.list.above
        assert [(each["sort"], bool(each["after"])) for each in client.asked[12:]] == [
            ("created", True),
            ("created", False),
        ]
        check_run(deck.state.list, client.server)
        await loaded(deck, Place.END)
        check_run(deck.state.list, client.server)


async def test_what_is_held_is_read_anew_where_changes_may_have_been_missed(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client = FakeClient(with_jobs(3000))
    async with running(client) as deck:
        for _ in range(4):
            await loaded(deck, Place.BELOW)
        client.server.remove(2990)
        client.server.submit()
        rows = deck.state.list.rows
        client.delay_s = 0.01
        deck.tell(told.Listened())
        assert deck.state.list.rows is rows
        await until(deck, lambda state: not state.list.stale)
        assert len(deck.state.list.rows) == len(rows)
        check_run(deck.state.list, client.server)


async def test_the_row_to_go_on_from_may_be_gone(autojump_clock: trio.testing.MockClock) -> None:
    client = FakeClient(with_jobs(4000))
    async with running(client) as deck:
        for _ in range(11):
            await loaded(deck, Place.BELOW)
        second = deck.state.list.rows[1]
        client.server.remove(client.server.jobs.index(second))
        await loaded(deck, Place.ABOVE)
        await until(deck, lambda state: not state.list.stale and not state.list.loading)
        assert deck.state.list.error is None
        check_run(deck.state.list, client.server)


async def test_another_store_is_read_from_its_start(autojump_clock: trio.testing.MockClock) -> None:
    client = FakeClient(with_jobs(4000))
    async with running(client) as deck:
        for _ in range(11):
            await loaded(deck, Place.BELOW)
        client.server.jobs = [replace(job, id="b" + job.id) for job in client.server.jobs[:50]]
        client.asked.clear()
        deck.tell(told.Listened())
        await until(deck, lambda state: not state.list.stale and not state.list.loading)
        check_run(deck.state.list, client.server)
        assert (len(deck.state.list.rows), len(client.asked)) == (50, 2)


async def test_a_search_shows_what_it_found_while_it_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    client = FakeClient(with_jobs(1000))
    client.server.scan_count = 50
    async with running(client) as deck:
        client.delay_s = 0.1
        deck.query(Query(text="part-9"))
        found: list[int] = []
        while deck.state.list.stale or deck.state.list.loading:
            if deck.state.list.known:
                found.append(len(deck.state.list.rows))
            await trio.sleep(0.05)
        assert found == sorted(found)
        assert found[0] == 49  # of the first fifty jobs that were looked at, long before the end
        check_run(deck.state.list, client.server)
        assert (len(deck.state.list.rows), deck.state.list.below) == (111, False)


async def test_a_search_for_what_is_rare_gives_up_and_goes_on_when_asked(
    autojump_clock: trio.testing.MockClock,
) -> None:
    client = FakeClient(with_jobs(5000))
    client.server.scan_count = 100
    async with running(client) as deck:
        deck.query(Query(text="part-1 "))
        await until(deck, lambda state: not state.list.stale and not state.list.loading)
        assert (len(client.asked), deck.state.list.below) == (1 + EMPTY_PAGES_LIMIT_COUNT, True)
        await loaded(deck, Place.BELOW)
        assert not deck.state.list.below


async def test_answers_to_former_questions_never_come(autojump_clock: trio.testing.MockClock) -> None:
    client = FakeClient(with_jobs(50, JobState.FAILED, JobState.RUNNING), delay_s=1.0)
    async with running(client) as deck:
        deck.query(Query(text="part-1"))
        await trio.sleep(0.5)
        deck.query(Query())
        deck.query(Query(label="x"))
        deck.query(Query(states=frozenset({JobState.FAILED})))
        await until(deck, lambda state: not state.list.loading)
        assert deck.state.list.query.states == {JobState.FAILED}
        assert len(deck.state.list.rows) == 25


async def test_after_a_failure_it_is_tried_again(autojump_clock: trio.testing.MockClock) -> None:
    client = FakeClient(with_jobs(5), failure=UnreachableError("http://h", "refused"))
    async with running(client) as deck:
        failed = deck.state.list
        assert failed.error == "No server answers at http://h: refused."
        client.failure = None
        await until(deck, lambda state: state.list.known)
        jobs = deck.state.list
        assert (jobs.error, len(jobs.rows)) == (None, 5)
        assert len(client.asked) < ROWS_PAGE_COUNT
