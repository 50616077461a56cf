"""How far Spark is with a job: Spark's own numbers, of a tracker that is none."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from tests.server.spark.test_masters import PROCESSPATH


@pytest.fixture
def spark(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, as the process of a context imports it."""
    monkeypatch.setattr(sys, "path", [str(PROCESSPATH), *sys.path])
    return importlib.import_module("sparkprocess.spark")


class Tracker:
    """Jobs to their state and stages; stages to tasks, active and completed ones."""

    def __init__(self) -> None:
        self.jobs: dict[int, tuple[str, list[int]]] = {}
        self.stages: dict[int, tuple[int, int, int]] = {}
        self.asked: list[int] = []

    def getJobInfo(self, number: int) -> Any:
        self.asked.append(number)
        if number not in self.jobs:
            return None
        state, stages = self.jobs[number]
        return SimpleNamespace(status=lambda: SimpleNamespace(name=lambda: state), stageIds=lambda: stages)

    def getStageInfo(self, number: int) -> Any:
        if number not in self.stages:
            return None
        tasks, active, done = self.stages[number]
        return SimpleNamespace(numTasks=lambda: tasks, numActiveTasks=lambda: active, numCompletedTasks=lambda: done)


GATEWAY = SimpleNamespace(
    jvm=SimpleNamespace(java=SimpleNamespace(util=SimpleNamespace(Arrays=SimpleNamespace(toString=str))))
)


def test_running_and_ended_ones_are_added(spark: Any) -> None:
    tracker, progress = Tracker(), spark.Progress()
    tracker.jobs = {1: ("SUCCEEDED", [1, 2]), 2: ("RUNNING", [3, 4])}
    tracker.stages = {1: (5, 0, 5), 2: (7, 0, 0), 3: (4, 1, 2)}  # 2 was not needed, 4 has not begun
    expected = {"stages_done": 1, "stages": 3, "tasks_done": 7, "tasks_active": 1, "tasks": 9}
    assert progress.take(GATEWAY, tracker, [1, 2, 3]) == expected
    tracker.asked.clear()
    assert progress.take(GATEWAY, tracker, [1, 2, 3]) == expected
    assert tracker.asked == [2, 3]  # what has ended stays as it was


def test_what_spark_has_forgotten_still_counts(spark: Any) -> None:
    tracker, progress = Tracker(), spark.Progress()
    tracker.jobs = {number: ("SUCCEEDED", [number]) for number in range(600)}
    tracker.stages = dict.fromkeys(range(600), (2, 0, 2))
    for _ in range(3):
        progress.take(GATEWAY, tracker, range(600))
    assert progress.take(GATEWAY, tracker, range(500, 600))["tasks_done"] == 1200
    assert progress.take(GATEWAY, tracker, [])["tasks"] == 1200
