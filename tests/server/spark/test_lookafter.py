"""What threads begin that jobs have left behind is cancelled; that of jobs that are there is not."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tests.server.spark.test_masters import PROCESSPATH


class Spark:
    """Works for those that a test names."""

    def __init__(self) -> None:
        self.works_for: list[str] = []
        self.cancelled: list[str] = []
        self.asked: list[list[str]] = []

    def cancel(self, job_id: str) -> bool:
        self.cancelled.append(job_id)
        return False

    def forget(self, job_id: str) -> None:
        pass

    def working(self, job_ids: Sequence[str]) -> list[str]:
        self.asked.append(list(job_ids))
        return [each for each in job_ids if each in self.works_for]


class Now:
    """Threads and timers that wait for nothing."""

    def do(self, call: Callable[[], Any], then: Callable[[Any], None]) -> None:
        then(call())

    def later(self, delay_s: float, call: Callable[[], None]) -> None:
        del delay_s
        call()


@pytest.fixture
def jobs(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "path", [str(PROCESSPATH), *sys.path])
    now = Now()
    limits = importlib.import_module("sparkprocess.limits").Limits()
    return importlib.import_module("sparkprocess.jobs").Jobs(now, now, limits, 1)


def test_jobs_that_have_ended_are_looked_after(jobs: Any) -> None:
    spark = Spark()
    jobs.has_spark(spark)
    jobs.look_after()
    assert spark.asked == []
    for each in ("a", "b", "c"):
        jobs.attach(each)
    jobs.detach("a")
    jobs.detach("b")
    spark.cancelled.clear()
    jobs.look_after()
    assert (spark.asked, spark.cancelled) == ([["a", "b"]], [])
    spark.works_for = ["b", "c"]
    jobs.look_after()
    assert set(spark.cancelled) == {"b"}
    for number in range(100):
        jobs.attach(f"n{number}")
        jobs.detach(f"n{number}")
    jobs.look_after()
    assert len(spark.asked[-1]) == 64
    assert spark.asked[-1][-1] == "n99"
