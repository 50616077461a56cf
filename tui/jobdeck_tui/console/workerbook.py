"""The workers that the server knows, as far as the console was told, and the jobs of the one that is looked at. Pure.

There are few of them: all are held. Events tell what changed for longer than a moment; the list is asked for again and
again while somebody looks, for what changes all the time. An answer may be older than an event that came while it was
under way: what was told meanwhile is told again on top of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = [
    "LOCAL",
    "NOBODY",
    "Book",
    "WorkerGone",
    "WorkerJobsCame",
    "WorkerMessage",
    "WorkerTold",
    "WorkersAsked",
    "WorkersCame",
    "WorkersFailed",
    "after",
    "job_told",
]

LOCAL = "local"
"""The engine of the server's own machine."""
_SHORT_ID_LENGTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersAsked:
    """The list of workers is under way."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersCame:
    """All workers, in the server's order."""

    workers: tuple[WorkerInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkersFailed:
    """They could not be had."""

    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerTold:
    """A worker as it stands now."""

    worker: WorkerInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerGone:
    """A worker was forgotten."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJobsCame:
    """Jobs of the worker that is looked at which have not ended; ``more`` if there are others."""

    id: str
    jobs: tuple[Job, ...]
    more: bool = False


WorkerMessage = WorkersAsked | WorkersCame | WorkersFailed | WorkerTold | WorkerGone | WorkerJobsCame


@dataclass(frozen=True, slots=True, kw_only=True)
class Book:
    """See the top of this file.

    Attributes:
        workers: By id, in the server's order.
        known: An answer has come.
        error: Why the last one could not be had.
        jobs: Of the worker that is looked at, None before the first answer.
        fresh: What was told since the list was asked for, None for what was forgotten.
    """

    workers: Mapping[str, WorkerInfo] = field(default_factory=lambda: MappingProxyType({}))
    known: bool = False
    error: str | None = None
    jobs: WorkerJobsCame | None = None
    fresh: Mapping[str, WorkerInfo | None] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def several(self) -> bool:
        """There are others than the server's own machine."""
        return len(self.workers) > 1

    @property
    def own(self) -> WorkerInfo | None:
        """The server's own machine."""
        return next((each for each in self.workers.values() if each.engine == LOCAL), None)

    def of(self, place: str | None) -> WorkerInfo | None:
        """The worker that a job's ``place`` means; None if it has none, or one that is not known."""
        return None if place is None else self.own if place == "" else self.workers.get(place)

    def places(self, worker_id: str) -> frozenset[str]:
        """How jobs of a worker tell their ``place``: most of those of the server's own machine do not name it."""
        own = self.own
        return frozenset({worker_id, ""} if own is not None and own.id == worker_id else {worker_id})

    def called(self, text: str) -> list[WorkerInfo]:
        """Those that a word means: the one with this id, those of this name, or whose id or name begins with it."""
        everyone, word = list(self.workers.values()), text.casefold()
        short = len(text) >= _SHORT_ID_LENGTH
        return (
            [each for each in everyone if each.id == text]
            or [each for each in everyone if each.name == text]
            or [each for each in everyone if short and each.id.startswith(text)]
            or [each for each in everyone if each.name.casefold().startswith(word)]
        )

    def word_for(self, worker: WorkerInfo) -> str:
        """A word that means this worker alone: its name, or where others are called the same its id."""
        return worker.name if worker.name and self.called(worker.name) == [worker] else worker.id


NOBODY = Book()
"""Nothing is known of workers."""


def after(book: Book, message: WorkerMessage) -> Book:
    """The book after what was told."""
    match message:
        case WorkersAsked():
            return replace(book, fresh=MappingProxyType({}))
        case WorkersCame(workers=workers):
            known = {worker.id: worker for worker in workers}
            for worker_id, worker in book.fresh.items():
                _take(known, worker_id, worker)
            return replace(book, workers=MappingProxyType(known), known=True, error=None)
        case WorkersFailed(error=error):
            return replace(book, error=error)
        case WorkerTold(worker=worker):
            return _changed(book, worker.id, worker)
        case WorkerGone(id=worker_id):
            return _changed(book, worker_id, None)
        case WorkerJobsCame():
            return replace(book, jobs=message)


def job_told(book: Book, job: Job) -> Book:
    """A job as it stands now; one that has ended is seen until its worker's jobs are read anew."""
    jobs = book.jobs
    if jobs is None or all(each.id != job.id for each in jobs.jobs):
        return book
    return replace(book, jobs=replace(jobs, jobs=tuple(job if each.id == job.id else each for each in jobs.jobs)))


def _changed(book: Book, worker_id: str, worker: WorkerInfo | None) -> Book:
    known = dict(book.workers)
    _take(known, worker_id, worker)
    fresh = {**book.fresh, worker_id: worker}
    return replace(book, workers=MappingProxyType(known), fresh=MappingProxyType(fresh))


def _take(known: dict[str, WorkerInfo], worker_id: str, worker: WorkerInfo | None) -> None:
    if worker is None:
        known.pop(worker_id, None)
    else:
        known[worker_id] = worker
