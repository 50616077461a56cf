"""What is read of contexts while somebody looks: the list, and the jobs in one of them; see ``watch``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_tui.console.few import FewJobsCame, Kind
from jobdeck_tui.console.settings import DEAD_CONTEXTS_COUNT, FEW_JOBS_COUNT
from jobdeck_tui.console.watch import Watch
from jobdeck_tui.console.workerwatch import ACTIVE

if TYPE_CHECKING:
    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["ContextWatch"]


class ContextWatch(Watch):
    """See the top of this file."""

    KIND = Kind.CONTEXTS

    async def every(self) -> list[ContextInfo]:
        """All that live; and what was seen to die, until its name is another's: it is told why, and it has a log."""
        live = await self.client.contexts()
        names = {context.name for context in live}
        known: list[ContextInfo] = list(self.state().contexts.items.values())
        dead = [
            each for each in known if each.state is ContextState.ERROR and not each.adhoc and each.name not in names
        ]
        return [*live, *dead[-DEAD_CONTEXTS_COUNT:]]

    async def jobs_of(self, item_id: str) -> FewJobsCame | None:
        """What runs in a context, then what waits there; None for one that went meanwhile.

        What runs comes first, however much waits. Its own process is none of its jobs.
        """
        context = self.state().contexts.items.get(item_id)
        if context is None:
            return None
        page = await self.client.jobs(context=context.name, states=ACTIVE, sort="-state", limit=FEW_JOBS_COUNT)
        # A server that does not know this filter lists jobs of others, too.
        jobs = tuple(job for job in page.items if job.context == context.name and not job.hosts_context)
        return FewJobsCame(kind=self.KIND, id=item_id, jobs=jobs, more=page.next is not None)
