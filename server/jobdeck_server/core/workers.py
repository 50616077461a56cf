"""The workers that this server knows: its own machine, and others that join it.

The machine's own worker is one like any other: it has an id that it keeps with the data directory, a name, slots and
labels. Each worker is told by a ``Source``, asked at each look, so that nothing here can be out of date.
"""

from __future__ import annotations

import os
import uuid
from typing import TYPE_CHECKING, Protocol

from jobdeck_protocol.workerinfo import WorkerInfo
from jobdeck_server.core.datadir import DataDirError
from jobdeck_server.core.errors import ConflictError, UnknownWorkerError
from jobdeck_server.core.live import now_us
from jobdeck_server.engines.base import LOCAL, takes_slot

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore

_FILE = "worker.id"
_PREFIX_LENGTH = 8


class Source(Protocol):
    """Whoever knows a worker; its id never changes."""

    def tell(self) -> WorkerInfo:
        """The worker as it is now. Never blocks."""


class LocalWorker:
    """This machine's own worker, whose jobs run by the local engine.

    Args:
        core: Whose jobs they are.
        worker_id: See ``load_id``.
        name: What people call it.
        address: Host and port of the server.
    """

    def __init__(self, core: JobCore, *, worker_id: str, name: str, address: str) -> None:
        self._core = core
        self._id = worker_id
        self._name = name
        self._address = address
        self._started_us = now_us()

    def tell(self) -> WorkerInfo:
        """See ``Source``. It is always there: who could ask otherwise."""
        settings = self._core.settings
        return WorkerInfo(
            id=self._id,
            name=self._name,
            engine=LOCAL,
            labels=settings.executor_labels,
            slots_count=settings.running_limit_count,
            running_count=self._core.slots_in_use,
            address=self._address,
            started_us=self._started_us,
            seen_us=now_us(),
        )


class Workers:
    """See the top of this file.

    Args:
        core: Whose jobs they run.
        local: The machine's own worker.
    """

    def __init__(self, core: JobCore, local: Source) -> None:
        self._core = core
        self.local_id = local.tell().id
        self._sources: dict[str, Source] = {self.local_id: local}

    def join(self, source: Source) -> None:
        """Take in a worker; one with the same id gives way to it.

        Raises:
            ConflictError: It has the id of the machine's own.
        """
        worker_id = source.tell().id
        if worker_id == self.local_id:
            raise ConflictError(f"Worker {worker_id} is this server's own.")
        self._sources[worker_id] = source

    def leave(self, source: Source) -> None:
        """Forget a worker; nothing happens if it is not known, or another has taken its place."""
        worker_id = source.tell().id
        if self._sources.get(worker_id) is source:
            del self._sources[worker_id]

    def all(self) -> list[WorkerInfo]:
        """All of them, the machine's own first, the others in the order of their coming."""
        return [source.tell() for source in self._sources.values()]

    def find(self, worker_id: str) -> WorkerInfo:
        """The worker with an id.

        Raises:
            UnknownWorkerError: There is none.
        """
        source = self._sources.get(worker_id)
        if source is None:
            raise UnknownWorkerError(worker_id)
        return source.tell()

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
        return job.worker or (self.local_id if takes_slot(job.engine) else None)


def load_id(data_dir: Path) -> str:
    """The id of the machine's own worker: made once, durable before it is told, kept with the data directory. Blocks.

    Raises:
        DataDirError: The file holds something else. It is not made anew: jobs on record belong to that id.
        OSError: It cannot be read or written.
    """
    path = data_dir / _FILE
    try:
        text = path.read_text("ascii", "replace").strip()
    except FileNotFoundError:
        return _make_id(data_dir)
    try:
        if str(uuid.UUID(text)) != text:
            raise ValueError
    except ValueError:
        raise DataDirError(
            f"{path} holds no id of a worker; put the old one back, or remove it for a new one"
        ) from None
    return text


def _make_id(data_dir: Path) -> str:
    worker_id = str(uuid.uuid4())
    fresh = data_dir / (_FILE + ".new")
    fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.fchmod(fd, 0o600)
        os.write(fd, worker_id.encode() + b"\n")
        os.fsync(fd)
    finally:
        os.close(fd)
    fresh.replace(data_dir / _FILE)
    folder = os.open(data_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
    return worker_id
