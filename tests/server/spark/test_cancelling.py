"""Cancelling a job's work goes on until nothing of it is seen, with a Spark that is none and a clock that is ours."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.spark.test_masters import PROCESSPATH


@pytest.fixture
def jobs_module(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(PROCESSPATH), *sys.path])
    return importlib.import_module("sparkprocess.jobs")


class Now:
    """Threads and timers in one: what would run elsewhere or later is run when the test says so."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], None]] = []
        self.delays_s: list[float] = []

    def do(self, call: Callable[[], object], then: Callable[[object], None]) -> None:
        def run() -> None:
            try:
                came: object = call()
            except RuntimeError as error:
                came = error
            then(came)

        self.calls.append(run)

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        self.delays_s.append(delay_s)
        self.calls.append(call)

    def step(self) -> None:
        self.calls.pop(0)()

    def run(self) -> None:
        while self.calls:
            self.step()


class Spark:
    def __init__(self, *found: bool | Exception) -> None:
        self.found = list(found)
        self.cancelled: list[str] = []

    def cancel(self, job_id: str) -> bool:
        self.cancelled.append(job_id)
        found = self.found.pop(0) if self.found else False
        if isinstance(found, Exception):
            raise found
        return found

    def forget(self, job_id: str) -> None:
        pass


def cancelling(module: Any, *found: bool | Exception) -> tuple[Any, Now, Spark]:
    now, spark = Now(), Spark(*found)
    jobs = module.Jobs(now, now, SimpleNamespace(sample_s=0.0), 0)
    jobs.has_spark(spark)
    return jobs, now, spark


def test_two_quiet_rounds_are_the_end(jobs_module: Any) -> None:
    jobs, now, spark = cancelling(jobs_module)
    jobs.cancel("j")
    now.run()
    assert spark.cancelled == ["j", "j"]


def test_it_goes_on_while_something_is_found_or_java_does_not_say(jobs_module: Any) -> None:
    jobs, now, spark = cancelling(jobs_module, True, True, False, RuntimeError("busy"), False, True)
    jobs.cancel("j")
    now.run()
    assert len(spark.cancelled) == 8
    assert now.delays_s == [0.2, 0.4, 0.8, 1.6, 1.6, 1.6, 1.6]


def test_a_second_wish_begins_anew_and_is_no_second_loop(jobs_module: Any) -> None:
    jobs, now, spark = cancelling(jobs_module)
    jobs.cancel("j")
    now.step()
    jobs.cancel("j")
    now.run()
    assert len(spark.cancelled) == 3
    jobs.cancel("j")
    now.run()
    assert len(spark.cancelled) == 5


def test_it_is_given_up_some_day(
    jobs_module: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs, now, spark = cancelling(jobs_module, *[True] * 100)
    clock_s = iter(range(0, 10_000, 10))
    monkeypatch.setattr(jobs_module.time, "monotonic", lambda: next(clock_s))
    jobs.cancel("j")
    now.run()
    assert len(spark.cancelled) == 6
    assert "Job j is cancelled, and Java still works for it" in capsys.readouterr().err


def test_the_last_lifeline_cancels(jobs_module: Any) -> None:
    jobs, now, spark = cancelling(jobs_module)
    jobs.attach("j")
    jobs.attach("j")
    jobs.detach("j")
    now.run()
    assert spark.cancelled == []
    jobs.detach("j")
    now.run()
    assert spark.cancelled == ["j", "j"]
    assert jobs.counts() == {}
