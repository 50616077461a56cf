"""The trio side against a real server: the state becomes what the server knows, and stays so across its deaths."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
import trio

from jobdeck_client import Client
from jobdeck_protocol.job import JobState
from jobdeck_tui.console.deck import Deck
from jobdeck_tui.console.state import State
from tests.tui.conftest import Server

LIMIT_S = 30.0


class Seen:
    """Every state that was shown."""

    def __init__(self) -> None:
        self.states: list[State] = []
        self._bell = trio.Event()

    def __call__(self, state: State) -> None:
        self.states.append(state)
        self._bell.set()
        self._bell = trio.Event()

    async def until(self, holds: Callable[[State], object]) -> State:
        with trio.fail_after(LIMIT_S):
            while not (self.states and holds(self.states[-1])):
                await self._bell.wait()
        return self.states[-1]


@asynccontextmanager
async def running(server: Server) -> AsyncIterator[tuple[Deck, Seen]]:
    seen = Seen()
    async with Client(server.url) as client, trio.open_nursery() as nursery:
        deck = Deck(client, seen)
        nursery.start_soon(deck.run)
        yield deck, seen
        nursery.cancel_scope.cancel()


def rows(state: State) -> dict[str, JobState]:
    return {job.id: job.state for job in state.list.rows}


async def test_what_runs_is_listed_and_told_live(server: Server) -> None:
    async with running(server) as (deck, seen):
        state = await seen.until(lambda state: state.live and state.server and not state.list.loading)
        assert state.server is not None
        assert (state.server.role, state.may_change) == ("admin", True)
        before = state.counts[JobState.SUCCEEDED]
        job = await deck.client.submit(command="echo hello")
        state = await seen.until(lambda state: rows(state).get(job.id) is JobState.SUCCEEDED)
        assert state.list.rows[0].id == job.id
        await seen.until(lambda state: state.counts[JobState.SUCCEEDED] == before + 1)
        await deck.client.remove(job.id)
        await seen.until(lambda state: job.id not in rows(state))


async def test_the_size_of_a_watched_log_is_told_until_it_is_watched_no_more(server: Server) -> None:
    async with running(server) as (deck, seen):
        job = await deck.client.submit(command="seq 1000; echo no newline at the end | tr -d '\\n'; echo no >&2")
        deck.watch("pane", (job.id, None))
        deck.watch("other pane", (job.id, "stderr"))
        state = await seen.until(lambda s: len(s.logs) == 2 and all(size.ended for size in s.logs.values()))
        both, stderr = state.logs[job.id, None], state.logs[job.id, "stderr"]
        assert (both.line_count, both.size_bytes, both.indexed_bytes) == (1001, 3917, 3917)
        assert (stderr.line_count, stderr.size_bytes) == (1, 3)
        deck.watch("pane", None)
        state = await seen.until(lambda state: (job.id, None) not in state.logs)
        assert set(state.logs) == {(job.id, "stderr")}


@pytest.mark.slow
async def test_a_dead_server_is_told_and_nothing_is_missed_when_it_is_back(own_server: Server) -> None:
    async with running(own_server) as (deck, seen):
        await seen.until(lambda state: state.live)
        job = await deck.client.submit(
            command="until [ -e go ]; do sleep 0.02; done; echo done", cwd=str(own_server.data)
        )
        await seen.until(lambda state: rows(state).get(job.id) is JobState.RUNNING)
        opened = await deck.open(job.id)
        assert opened.id == job.id
        before_us = time.time_ns() // 1000
        await trio.to_thread.run_sync(own_server.kill)
        state = await seen.until(lambda state: not state.live)
        assert state.link is not None
        assert before_us <= state.link.at_us <= time.time_ns() // 1000
        assert state.link.error
        assert rows(state)[job.id] is JobState.RUNNING  # as of then
        await trio.to_thread.run_sync((own_server.data / "go").touch)
        await trio.to_thread.run_sync(own_server.start)
        state = await seen.until(lambda state: state.live and rows(state).get(job.id) is JobState.SUCCEEDED)
        await seen.until(lambda state: (found := state.open[job.id]) and found.state is JobState.SUCCEEDED)


async def test_states_are_shown_far_less_often_than_they_change(server: Server) -> None:
    async with running(server) as (deck, seen):
        await seen.until(lambda state: state.live and not state.list.loading)
        shown = len(seen.states)
        jobs = [await deck.client.submit(command="true") for _ in range(30)]
        last = jobs[-1].id
        await seen.until(lambda state: rows(state).get(last) is JobState.SUCCEEDED)
        assert len(seen.states) - shown < 3 * len(jobs)
