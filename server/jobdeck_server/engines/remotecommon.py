"""What a remote worker has around it: its server, whoever lists it, its connections."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerreports import State
    from jobdeck_server.core.store import Store
    from jobdeck_server.engines.base import Records
    from jobdeck_server.engines.remoteworker import RemoteWorker
    from jobdeck_server.settings import Settings


class Session(Protocol):
    """A connection, as a worker sees it."""

    def end(self, code: int, reason: str) -> None:
        """Close it with this code, and have nothing more to do with it. Never blocks."""


class Registry(Protocol):
    """Whoever lists the workers (``core.workers.Workers``).

    Attributes:
        local_id: The id of the machine's own.
    """

    local_id: str

    def join(self, source: RemoteWorker) -> None:
        """Take in a worker."""

    def leave(self, source: RemoteWorker) -> None:
        """Know a worker no more."""

    def changed(self, source: RemoteWorker) -> None:
        """Something that is told of a worker has changed."""


class Bundles(Protocol):
    """What is done for jobs with a bundle (``remotebundles``)."""

    def told(self, job: Job, state: State) -> None:
        """A worker has told of a job of its own that has not ended."""

    async def ended(self, job_id: str, super_set: str | None) -> None:
        """All of a job's output is here, and its end is about to be told."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What all workers of a server have in common.

    Attributes:
        settings: See there.
        store: Where they are kept.
        sink: The core.
        registry: Who lists them.
        life: The server's present life.
        lives: All that its database knows.
        place: See ``RemoteJobs``.
        found_restored: Called when a worker, by this name, knows a life of the server that the server does not.
            Durable when it returns.
        agreed: Whether an admin has agreed that a restored server starts jobs.
        bundles: What is done for jobs with one.
        forgotten: Called with a worker that is known no more.
    """

    settings: Settings
    store: Store
    sink: Records
    registry: Registry
    life: str
    lives: Collection[str]
    place: Callable[[str, str], Awaitable[None]]
    found_restored: Callable[[str], Awaitable[None]]
    agreed: Callable[[], bool]
    bundles: Bundles
    forgotten: Callable[[RemoteWorker], None]
