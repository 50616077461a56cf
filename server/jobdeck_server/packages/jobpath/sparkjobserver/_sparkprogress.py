"""How far Spark has come with a job, told for jobs that do not tell it themselves."""

# py4j's objects are whatever Java says they are.
# ruff: noqa: ANN401
from __future__ import annotations

from _thread import start_new_thread
from time import sleep

TYPE_CHECKING = False  # typing takes longer to load than all of this
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from ._gateway import Place
    from ._task import Task

__all__ = ["follow", "seen"]

_EVERY_S = 0.5
_JOBS_COUNT, _STAGES_COUNT = 16, 64  # that are looked at, at most: each is a question


def follow(task: Task, place: Place) -> None:
    """Tell it about twice a second, in a thread of its own, until the job itself says something."""
    own = task.tell
    silent = [True]

    def tell(fraction: float | None, text: str) -> None:
        silent.clear()
        own(fraction, text)

    task.tell = tell
    start_new_thread(_go, (own, silent, place, task.job_id))


def _go(tell: Callable[[float | None, str], None], silent: list[bool], place: Place, group: str) -> None:
    said = None
    try:
        tracker = place.jsc.statusTracker()
        while True:
            sleep(_EVERY_S)
            found = seen(place, tracker, group)
            if not silent:
                return
            if found is not None and found != said:
                said = found
                tell(*found)
    except Exception:  # noqa: BLE001  # it is not the job that has failed
        return


def seen(place: Place, tracker: Any, group: str) -> tuple[float, str] | None:
    """How far Spark is with what it runs for a group at the moment.

    Returns:
        From 0 to 1 and a text; None if nothing runs.
    """
    arrays = place.of("java.util.Arrays")
    active = set(_numbers(arrays.toString(tracker.getActiveJobIds())))
    if not active:
        return None
    active &= set(_numbers(arrays.toString(tracker.getJobIdsForGroup(group))))
    stages: set[int] = set()
    for number in sorted(active)[:_JOBS_COUNT]:
        info = tracker.getJobInfo(number)
        if info is not None:
            stages.update(_numbers(arrays.toString(info.stageIds())))
    done = stages_done = tasks = 0
    for number in sorted(stages)[:_STAGES_COUNT]:
        info = tracker.getStageInfo(number)
        if info is not None:
            count, finished = info.numTasks(), info.numCompletedTasks()
            tasks += count
            done += finished
            stages_done += finished >= count
    if not tasks:
        return None
    at = min(stages_done + 1, len(stages))
    return done / tasks, f"stage {at} of {len(stages)}, {done} of {tasks} tasks"


def _numbers(text: str) -> list[int]:
    """Of an array as Java writes it: one question, and not one for each number."""
    return [int(each) for each in text.strip("[]").split(",") if each.strip()]
