"""Whose turn it is to have a JVM."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import trio
import trio.testing

from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_server.core.sparkturns import SparkTurns
from jobdeck_server.settings import Settings


def _context(name: str, *, adhoc: bool) -> ContextInfo:
    return ContextInfo(
        id=name, name=name, kind="spark", adhoc=adhoc, state=ContextState.STARTING, settings={}, created_us=1
    )


class _Bench:
    """Contexts that start when it is their turn."""

    def __init__(self, turns: SparkTurns) -> None:
        self.turns = turns
        self.begun: list[str] = []
        self.notes: dict[str, str | None] = {}
        self.scopes: dict[str, trio.CancelScope] = {}

    async def start(self, name: str, *, adhoc: bool = True, running: bool = False) -> None:
        def tell(note: str | None) -> None:
            self.notes[name] = note

        with trio.CancelScope() as self.scopes[name]:
            async with self.turns.turn(_context(name, adhoc=adhoc), running=running, tell=tell):
                self.begun.append(name)
                await trio.sleep_forever()


async def test_few_start_at_once_and_few_of_one_job_live_in_the_order_of_their_coming(
    autojump_clock: trio.testing.MockClock,
) -> None:
    settings = Settings(data_dir=Path(), spark_adhoc_limit_count=3, spark_start_limit_count=2)
    bench = _Bench(SparkTurns(settings))
    async with trio.open_nursery() as nursery:
        for name in "abcdef":
            nursery.start_soon(bench.start, name)
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(partial(bench.start, "p", adhoc=False))
        await trio.testing.wait_all_tasks_blocked()
        assert bench.begun == ["a", "b"]
        assert bench.notes["c"] == "its turn to start"
        assert bench.notes["d"] == "its turn: as many contexts of one job are there as may be"
        bench.turns.started("a")
        bench.turns.started("a")  # is told more than once
        await trio.testing.wait_all_tasks_blocked()
        assert bench.begun == ["a", "b", "c"]
        bench.scopes["b"].cancel()  # could not be made: others may start, and it lives until it was ended
        await trio.testing.wait_all_tasks_blocked()
        assert bench.begun == ["a", "b", "c", "p"]
        assert bench.notes["p"] is None
        bench.scopes["d"].cancel()  # nobody wants it any more
        await trio.testing.wait_all_tasks_blocked()
        for name in "dba":
            bench.turns.over(name)
        bench.turns.started("c")
        bench.turns.started("p")
        await trio.testing.wait_all_tasks_blocked()
        assert sorted(bench.begun[4:]) == ["e", "f"]  # were both let in at the same moment
        nursery.cancel_scope.cancel()


async def test_those_that_have_a_process_wait_for_nothing_and_count(autojump_clock: trio.testing.MockClock) -> None:
    bench = _Bench(SparkTurns(Settings(data_dir=Path(), spark_adhoc_limit_count=1, spark_start_limit_count=1)))
    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(partial(bench.start, name, running=True))
            await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(bench.start, "c")
        await trio.testing.wait_all_tasks_blocked()
        assert bench.begun == ["a", "b"]
        bench.turns.over("b")
        await trio.testing.wait_all_tasks_blocked()
        assert bench.begun == ["a", "b"]
        bench.turns.over("a")
        await trio.testing.wait_all_tasks_blocked()
        assert bench.begun == ["a", "b", "c"]
        nursery.cancel_scope.cancel()
