"""Ended jobs that were asked for a moment ago are kept in memory: who polls asks again, and a thread for each is dear.

Whatever changes a stored record (its output is removed, the job itself is, a lost one is found) is told as an event
after its commit, before whoever wanted it goes on; what an event names is dropped here. A record that was being read
meanwhile is answered, as it may be, and not kept.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from jobdeck_server.core import journal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.events import Event, EventLog
    from jobdeck_server.core.store import Store


class EndedJobs:
    """Reads jobs from the database, and keeps those that have ended.

    Args:
        store: Has them.
        events: Tells of each change.
        limit_bytes: Of the records that are kept, as they are stored; those that were not asked for longest go first.
    """

    def __init__(self, store: Store, events: EventLog, *, limit_bytes: int) -> None:
        self._store = store
        self._limit_bytes = limit_bytes
        self._kept: OrderedDict[str, tuple[Job, int]] = OrderedDict()
        self._kept_bytes = 0
        self._reading: dict[str, object] = {}
        events.listeners.append(self._told)

    async def get(self, job_id: str) -> Job | None:
        """A job as it is stored, None if there is none."""
        kept = self._kept.get(job_id)
        if kept is not None:
            self._kept.move_to_end(job_id)
            return kept[0]
        ticket = self._reading[job_id] = object()
        try:
            found = await self._store.read(lambda connection: journal.find_sized(connection, job_id))
            if found is not None and found[0].ended and self._reading.get(job_id) is ticket:
                self._keep(*found)
        finally:
            if self._reading.get(job_id) is ticket:
                del self._reading[job_id]
        return None if found is None else found[0]

    def _keep(self, job: Job, size_bytes: int) -> None:
        if size_bytes > self._limit_bytes:
            return
        self._drop(job.id)
        self._kept[job.id] = (job, size_bytes)
        self._kept_bytes += size_bytes
        while self._kept_bytes > self._limit_bytes:
            self._drop(next(iter(self._kept)))

    def _told(self, events: Sequence[Event]) -> None:
        for event in events:
            job_id = event.data.get("id", "")
            self._reading.pop(job_id, None)
            self._drop(job_id)

    def _drop(self, job_id: str) -> None:
        dropped = self._kept.pop(job_id, None)
        if dropped is not None:
            self._kept_bytes -= dropped[1]
