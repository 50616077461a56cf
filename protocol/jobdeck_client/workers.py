"""The workers that a server knows: ``/v1/workers``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

from jobdeck_client.errors import ServerFaultError
from jobdeck_protocol.workerinfo import WorkerInfo, from_wire

if TYPE_CHECKING:
    from jobdeck_client.requests import Requests

__all__ = ["WorkerJobs", "Workers"]


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerJobs:
    """A worker, and the ids of the jobs that run on it."""

    worker: WorkerInfo
    jobs: tuple[str, ...]


class Workers:
    """See the top of this file."""

    def __init__(self, requests: Requests) -> None:
        self._requests = requests

    async def all(self) -> list[WorkerInfo]:
        """All of them, the server's own first."""
        wire = await self._requests.ask("GET", "/v1/workers")
        items = wire.get("items") if isinstance(wire, dict) else None
        if not isinstance(items, list):
            raise ServerFaultError("The server's list of workers has no items.")
        return [_worker(item) for item in items]

    async def show(self, worker: str) -> WorkerJobs:
        """One of them.

        Args:
            worker: Its id, 8 characters or more with which only its id starts, or a name that only it has.

        Raises:
            NotFoundError: There is none.
        """
        wire = await self._requests.ask("GET", _path(worker))
        found = _worker(wire)
        jobs = wire.get("jobs") if isinstance(wire, dict) else None
        if not isinstance(jobs, list):
            raise ServerFaultError("The server does not say what the worker runs.")
        return WorkerJobs(worker=found, jobs=tuple(map(str, jobs)))

    async def drain(self, worker: str, *, on: bool = True) -> WorkerInfo:
        """Have a worker take no new jobs, or take them again; returns once that is durable.

        Args:
            worker: See ``show``.
            on: False to undo it.

        Raises:
            NotFoundError: There is none.
        """
        return _worker(await self._requests.ask("POST", _path(worker, "/drain"), body={"on": on}))

    async def rename(self, worker: str, name: str) -> WorkerInfo:
        """Give a worker another name, whatever it calls itself.

        Args:
            worker: See ``show``.
            name: The new one.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is the server's own.
        """
        return _worker(await self._requests.ask("POST", _path(worker, "/rename"), body={"name": name}))

    async def forget(self, worker: str, *, force: bool = False) -> None:
        """Have the server know a worker no more.

        Args:
            worker: See ``show``.
            force: Even if it is connected or has jobs: what it runs is lost, what waits for it fails.

        Raises:
            NotFoundError: There is none.
            ConflictError: It is the server's own, or still needed.
        """
        query = {"force": "true"} if force else None
        await self._requests.ask("DELETE", _path(worker), query=query)

    async def resume(self) -> None:
        """Let a server that was restored from a backup start jobs; nothing happens to another."""
        await self._requests.ask("POST", "/v1/workers/resume")


def _path(worker: str, rest: str = "") -> str:
    return f"/v1/workers/{quote(worker, safe='')}{rest}"


def _worker(wire: object) -> WorkerInfo:
    try:
        return from_wire(wire)  # type: ignore[arg-type]  # what is no map raises
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ServerFaultError(f"The server's answer is no worker: {error}.") from error
