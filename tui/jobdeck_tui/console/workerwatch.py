"""What changes of workers all the time, read again and again while somebody looks; and once whenever the link is new.

The list of workers is small and read whole. With it come the jobs of the worker that is looked at.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import trio

from jobdeck_client import ClientError
from jobdeck_protocol import workerinfo
from jobdeck_protocol.job import ENDED, JobState
from jobdeck_tui.console import workerbook as told
from jobdeck_tui.console.settings import WORKER_JOBS_COUNT, WORKERS_EVERY_S

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_client import Client
    from jobdeck_tui.console.state import State

__all__ = ["WorkerWatch", "worker_of"]

_ACTIVE = tuple(sorted(state for state in JobState if state not in ENDED))


class WorkerWatch:
    """See the top of this file.

    Args:
        client: Asks.
        tell: Takes a message into the state.
        state: The state as it stands.
    """

    def __init__(self, client: Client, tell: Callable[[told.WorkerMessage], None], state: Callable[[], State]) -> None:
        self._client = client
        self._tell = tell
        self._state = state
        self._seen = False
        self._looked_at: str | None = None
        self._bell = trio.Event()

    def look(self, worker_id: str | None, *, seen: bool = True) -> None:
        """Somebody sees the list of workers, and the jobs of one of them; or, without ``seen``, nobody any more."""
        if (seen, worker_id) != (self._seen, self._looked_at):
            self._seen, self._looked_at = seen, worker_id
            self.read()

    def read(self) -> None:
        """Read all of it at once."""
        self._bell.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            with trio.move_on_after(WORKERS_EVERY_S if self._seen else math.inf):
                await self._bell.wait()
            self._bell = trio.Event()
            if self._state().live:
                await self._read()

    async def _read(self) -> None:
        self._tell(told.WorkersAsked())
        try:
            self._tell(told.WorkersCame(workers=tuple(await self._client.workers.all())))
            if self._seen and self._looked_at is not None:
                await self._read_jobs(self._looked_at)
        except ClientError as error:
            if self._state().live:  # else the link tells more of it
                self._tell(told.WorkersFailed(error=str(error)))

    async def _read_jobs(self, worker_id: str) -> None:
        page = await self._client.jobs(worker=worker_id, states=_ACTIVE, limit=WORKER_JOBS_COUNT)
        places = self._state().workers.places(worker_id)
        # A server that does not know this filter lists jobs of others, too.
        jobs = tuple(job for job in page.items if job.place in places)
        self._tell(told.WorkerJobsCame(id=worker_id, jobs=jobs, more=page.next is not None))


def worker_of(data: Mapping[str, object]) -> told.WorkerTold | None:
    """What an event tells of a worker; None where this console does not understand it."""
    try:
        return told.WorkerTold(worker=workerinfo.from_wire(data))
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
