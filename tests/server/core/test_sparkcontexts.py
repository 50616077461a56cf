"""Contexts on Spark: what is told of one whose process dies while it is being made."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest
import trio

from jobdeck_server.core.errors import ContextInitError
from jobdeck_server.core.sparkcontexts import SparkContexts
from jobdeck_server.spark.control import GoneError


class _Dying:
    """A process that is gone when it is asked, and of whose end one hears a moment later."""

    def __init__(self, why: str) -> None:
        self.over = trio.Event()
        self.why = ""
        self.control = self
        self._told = why

    async def make(self, *asked: object, limit_s: float) -> None:
        del asked, limit_s
        raise GoneError("The process of the Spark context is not there: No such file or directory")

    async def end(self) -> None:
        self.why = self._told
        self.over.set()


@pytest.mark.parametrize(("why", "told"), [("Java has ended: exit code 1", "Java has ended"), ("", "not there")])
async def test_the_end_of_a_process_says_more_than_that_nobody_answers(why: str, told: str) -> None:
    kind = SimpleNamespace(_settings=SimpleNamespace(context_start_s=5.0))
    wish, context, process = SimpleNamespace(name="n", conf={}), SimpleNamespace(id="c", name="n"), _Dying(why)
    make = cast(Any, SparkContexts._make)  # the one place where two ends meet
    async with trio.open_nursery() as nursery:
        nursery.start_soon(process.end)
        with pytest.raises(ContextInitError, match=told):
            await make(kind, process, context, wish, [])
