"""All that is known of a worker, in names and values for people. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_tui.console.workercolumns import WORKER_MARKS, bar, seen_text, skew_text
from jobdeck_tui.words import bytes_text, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.workerbook import Book

__all__ = ["facts", "place_words", "state_words"]

_BAR_CELLS = 16
_SHORT_ID_LENGTH = 8


def facts(worker: WorkerInfo, now_us: int) -> Iterator[tuple[str, str]]:
    """Names and values, foreign text as it came; what is not known is left out, and so is the name."""
    yield "state", f"{WORKER_MARKS[worker.state].sign} {state_words(worker, now_us)}"
    waiting = f", {worker.queued_count} waiting for it" if worker.queued_count else ""
    yield "slots", f"{bar(worker, _BAR_CELLS)} {worker.running_count} of {worker.slots_count} in use{waiting}"
    load = "" if worker.load is None else f"load {worker.load:.2f}"
    free = "" if worker.free_bytes is None else f"{bytes_text(worker.free_bytes)} free on its disk"
    if load or free:
        yield "machine", ", ".join(filter(None, (load, free)))
    if worker.labels:
        yield "labels", " ".join(worker.labels)
    if worker.address:
        yield "address", worker.address
    if worker.software:
        yield "version", worker.software
    if skew_text(worker):
        yield "clock", f"{skew_text(worker)} against the server's"
    if worker.started_us:
        yield "since", f"{time_text(worker.started_us)[:19]}Z  ({span((now_us - worker.started_us) / 1e6)} ago)"
    yield "seen", f"{seen_text(worker, now_us)} ago" if worker.seen_us else "never"
    yield "engine", worker.engine
    yield "id", worker.id


def state_words(worker: WorkerInfo, now_us: int) -> str:
    """``online``; of one that is not there, for how long."""
    away = worker.state in (WorkerState.UNREACHABLE, WorkerState.OFFLINE)
    if not (away and worker.seen_us):
        return worker.state.value
    return f"{worker.state.value} since {time_text(worker.seen_us)[11:19]}Z ({seen_text(worker, now_us)} ago)"


def place_words(job: Job, book: Book, now_us: int) -> str:
    """On which worker a job is or was, and how that one stands."""
    if job.place is None:
        return "no worker has it yet" if not job.ended else "no worker had it"
    worker = book.of(job.place)
    if worker is None:
        return f"{job.worker} ({job.engine}), not known to the server" if job.worker else job.engine
    name = worker.name or worker.id[:_SHORT_ID_LENGTH]
    return f"{name} {worker.id[:_SHORT_ID_LENGTH]} ({job.engine}), {state_words(worker, now_us)}"
