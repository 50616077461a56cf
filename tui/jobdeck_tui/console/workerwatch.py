"""What is read of workers while somebody looks: load and last sign of life are no events; see ``watch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import ENDED, JobState
from jobdeck_tui.console.few import FewJobsCame, Kind
from jobdeck_tui.console.settings import FEW_JOBS_COUNT
from jobdeck_tui.console.watch import Watch

if TYPE_CHECKING:
    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = ["ACTIVE", "WorkerWatch"]

ACTIVE = tuple(sorted(state for state in JobState if state not in ENDED))


class WorkerWatch(Watch):
    """See the top of this file."""

    KIND = Kind.WORKERS

    async def every(self) -> list[WorkerInfo]:
        """All workers."""
        return await self.client.workers.all()

    async def jobs_of(self, item_id: str) -> FewJobsCame:
        """What a worker has."""
        page = await self.client.jobs(worker=item_id, states=ACTIVE, limit=FEW_JOBS_COUNT)
        places = self.state().workers.places(item_id)
        # A server that does not know this filter lists jobs of others, too.
        jobs = tuple(job for job in page.items if job.place in places)
        return FewJobsCame(kind=self.KIND, id=item_id, jobs=jobs, more=page.next is not None)
