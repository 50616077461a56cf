"""The workers that this server knows: its own machine, and others that join it.

The machine's own worker is one like any other: it has an id that it keeps with the data directory, a name, slots and
labels. Each worker is told by a ``Source``, asked at each look, so that nothing here can be out of date.

A source says when something about it has changed (``changed``): observers hear of it at once, and an event tells it to
everybody else. Load, free space and when it was last seen change all the time: they are no news, and who shows them
asks again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_server.core.errors import BadRequestError, ConflictError, UnknownWorkerError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.workernews import WorkerNews
from jobdeck_server.engines.base import Ended, runs_here

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.requests import JobRequest

_PREFIX_LENGTH = 8
_NAME_LIMIT_COUNT = 100


class Source(Protocol):
    """Whoever knows a worker; its id never changes."""

    def tell(self) -> WorkerInfo:
        """The worker as it is now. Never blocks."""

    async def drain(self, *, on: bool) -> None:
        """Have it take nothing new, or again; returns once that is durable.

        Raises:
            StoreError: The database would not take it.
        """

    async def rename(self, name: str) -> None:
        """Call it something else, whatever it calls itself; returns once that is durable.

        Raises:
            ConflictError: It cannot be renamed.
            StoreError: The database would not take it.
        """

    async def forget(self) -> None:
        """Remove all that is known of it; returns once that is durable.

        Raises:
            ConflictError: It cannot be forgotten.
            StoreError: The database would not take it.
        """


class Restoration(Protocol):
    """Whoever knows that this server was restored from a backup, so that it must not start jobs yet.

    Attributes:
        restored: It is so, and no admin has agreed.
    """

    restored: bool

    async def resume(self) -> None:
        """An admin agrees that jobs are started; returns once that is durable.

        Raises:
            StoreError: The database would not take it.
        """


class Workers:
    """See the top of this file.

    Args:
        core: Whose jobs they run.
        local: The machine's own worker.

    Attributes:
        observers: Called with the id of each worker that has come, changed or gone, at once.
        tally: How many jobs a worker that is not the machine's own runs, and how many wait for it by its name.
        is_going: Whether a job that is still QUEUED has its slot elsewhere already.
        restoration: See there; None if nobody knows.
    """

    def __init__(self, core: JobCore, local: Source) -> None:
        self._core = core
        self.local_id = local.tell().id
        self._sources: dict[str, Source] = {self.local_id: local}
        self._news = WorkerNews(core.events)
        self._news.know(self.local_id, local.tell())
        self.run = self._news.run
        self.observers: list[Callable[[str], None]] = []
        self.tally: Callable[[str], tuple[int, int]] | None = None
        self.is_going: Callable[[str], bool] = lambda _job_id: False
        self.restoration: Restoration | None = None

    def join(self, source: Source) -> None:
        """Take in a worker; one with the same id gives way to it.

        Raises:
            ConflictError: It has the id of the machine's own.
        """
        worker_id = source.tell().id
        if worker_id == self.local_id:
            raise ConflictError(f"Worker {worker_id} is this server's own.")
        self._sources[worker_id] = source
        self._tell(worker_id, source)

    def changed(self, source: Source) -> None:
        """Something that is told of a worker has changed; one that is not known is left alone. Never blocks."""
        worker_id = source.tell().id
        if self._sources.get(worker_id) is source:
            self._tell(worker_id, source)

    def leave(self, source: Source) -> None:
        """Know a worker no more; nothing happens if it is not known, or another has taken its place."""
        worker_id = source.tell().id
        if self._sources.get(worker_id) is source:
            del self._sources[worker_id]
            self._news.gone(worker_id)
            self._ring(worker_id)

    def _tell(self, worker_id: str, source: Source) -> None:
        self._news.tell(worker_id, self._told(source))
        self._ring(worker_id)

    def _ring(self, worker_id: str) -> None:
        for observer in self.observers:
            observer(worker_id)

    def _told(self, source: Source) -> WorkerInfo:
        """What a worker says of itself, and what only the server knows."""
        worker = source.tell()
        if self.tally is None or worker.id == self.local_id:
            return worker
        running_count, queued_count = self.tally(worker.id)
        return replace(worker, running_count=running_count, queued_count=queued_count)

    # -- looking --

    def all(self) -> list[WorkerInfo]:
        """All of them, the machine's own first, the others in the order of their coming."""
        return [self._told(source) for source in self._sources.values()]

    def get(self, worker_id: str) -> WorkerInfo | None:
        """The worker with an id, None if there is none."""
        source = self._sources.get(worker_id)
        return None if source is None else self._told(source)

    def find(self, worker_id: str) -> WorkerInfo:
        """The worker with an id.

        Raises:
            UnknownWorkerError: There is none.
        """
        worker = self.get(worker_id)
        if worker is None:
            raise UnknownWorkerError(worker_id)
        return worker

    def resolve(self, text: str) -> WorkerInfo:
        """A worker by its id, by 8 characters and more with which only its id starts, or by a name that only it has.

        Raises:
            UnknownWorkerError: There is none, or more than one.
        """
        if text in self._sources:
            return self.find(text)
        known = self.all()
        short = len(text) >= _PREFIX_LENGTH
        for found in (
            [worker for worker in known if short and worker.id.startswith(text)],
            [worker for worker in known if worker.name == text],
        ):
            if len(found) == 1:
                return found[0]
        raise UnknownWorkerError(text)

    def jobs(self, worker_id: str) -> list[Job]:
        """The jobs that run on a worker, in the order of their coming."""
        return [job for job in self._core.active() if job.started_us is not None and self._runs(job) == worker_id]

    def _runs(self, job: Job) -> str | None:
        """Which worker has a job: most jobs of this machine do not say so."""
        return job.worker or (self.local_id if runs_here(job.engine) else None)

    def placed(self, request: JobRequest) -> JobRequest:
        """A request whose worker stands there as a client wrote it (see ``resolve``), with that worker's id.

        Raises:
            BadRequestError: There is none, or more than one.
        """
        if request.worker is None:
            return request
        try:
            worker = self.resolve(request.worker)
        except UnknownWorkerError as error:
            raise BadRequestError(
                f"There is no worker {request.worker!r}, or more than one.", field="worker"
            ) from error
        return replace(request, worker=worker.id, engine=worker.engine)

    @property
    def restored(self) -> bool:
        """Whether this server was restored from a backup and must not start jobs yet."""
        return self.restoration is not None and self.restoration.restored

    # -- what an admin does --

    async def resume(self) -> None:
        """Let a restored server start jobs; nothing happens to another.

        Raises:
            StoreError: The database would not take it.
        """
        if self.restoration is not None:
            await self.restoration.resume()
            await self._core.resync()  # some were being started when the backup was made
            for worker_id in self._sources:
                self._ring(worker_id)  # who waited for them may go now

    async def drain(self, name: str, *, on: bool) -> WorkerInfo:
        """Have a worker take nothing new, or again.

        Raises:
            UnknownWorkerError: See ``resolve``.
            StoreError: The database would not take it.
        """
        source = self._source(name)
        await source.drain(on=on)
        self.changed(source)
        return self._told(source)

    async def rename(self, name: str, new: str) -> WorkerInfo:
        """Call a worker something else.

        Raises:
            UnknownWorkerError: See ``resolve``.
            BadRequestError: That is no name.
            ConflictError: It is the machine's own.
            StoreError: The database would not take it.
        """
        source = self._source(name)
        if not new or not new.isprintable() or len(new) > _NAME_LIMIT_COUNT or new != new.strip():
            raise BadRequestError(
                f"A name is 1 to {_NAME_LIMIT_COUNT} printable characters, no space around them.", field="name"
            )
        await source.rename(new)
        self.changed(source)
        return self._told(source)

    async def forget(self, name: str, *, force: bool) -> None:
        """Know a worker no more: what it runs is lost, and what waits for it by its name fails.

        Args:
            name: See ``resolve``.
            force: Even if it is there, or has jobs.

        Raises:
            UnknownWorkerError: See ``resolve``.
            ConflictError: It is the machine's own, or still needed.
            StoreError: The database would not take it.
        """
        source = self._source(name)
        worker = self._told(source)
        if worker.id != self.local_id and not force:
            _check_unneeded(worker)
        await source.forget()
        self.leave(source)
        for job in self._core.active():
            if job.worker == worker.id:
                self._core.report(job.id, _abandoned(job, worker.name))

    def _source(self, name: str) -> Source:
        return self._sources[self.resolve(name).id]


def _check_unneeded(worker: WorkerInfo) -> None:
    count = worker.running_count + worker.queued_count
    if count:
        jobs = "1 job" if count == 1 else f"{count} jobs"
        raise ConflictError(f"Worker {worker.name} has {jobs}: stop them, or force it, and they are lost.")
    if worker.state in (WorkerState.ONLINE, WorkerState.DRAINING):
        raise ConflictError(f"Worker {worker.name} is connected: end it there first, or force it.")


def _abandoned(job: Job, name: str) -> Ended:
    """The end of a job whose worker was forgotten."""
    how = "error" if job.state is JobState.QUEUED else "lost"
    return Ended(how=how, text=f"worker {name} was forgotten", started_us=job.started_us, finished_us=now_us())
