"""Admission: a bounded number of jobs at once, the rest in order. Nobody is refused for being early.

Jobs that take no slot (``engines.base.takes_slot``) begin at once, whoever waits.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from jobdeck_server.engines.base import takes_slot

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.live import Live
    from jobdeck_server.engines.base import Engine
    from jobdeck_server.settings import Settings

RESTORED = "restored"
"""Why nothing is started here or elsewhere: the server was restored from a backup, and no admin has agreed."""


class Admission:
    """The queue and the slots of this machine.

    Attributes:
        pauses: Why nothing may leave the queue just now, empty most of the time. See ``pause``.
    """

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._limit_count = min(settings.running_limit_count, engine.capacity_count)
        self._start: Callable[[Live], None] | None = None
        self._queue: OrderedDict[str, Live] = OrderedDict()  # whoever is first may leave often, and anybody at any time
        self._slotless: OrderedDict[str, Live] = OrderedDict()  # those wait only while nothing may leave
        self._held: set[str] = set()
        self.pauses: set[str] = set()

    def attach(self, start: Callable[[Live], None]) -> None:
        """Have ``start`` called with each job that leaves the queue, its slot held."""
        self._start = start

    @property
    def held_count(self) -> int:
        """Slots in use."""
        return len(self._held)

    @property
    def queued_count(self) -> int:
        """Jobs in the queue."""
        return len(self._queue)

    @property
    def free_count(self) -> int:
        """How many jobs that came now would run at once."""
        return 0 if self._queue else self._room_count

    @property
    def _room_count(self) -> int:
        return 0 if self.pauses else max(0, self._limit_count - len(self._held))

    def pause(self, why: str, *, on: bool) -> None:
        """Let nothing leave the queue as long as there is this reason, or it has gone; what has a slot keeps it."""
        (self.pauses.add if on else self.pauses.discard)(why)
        self.fill_slots()

    def enqueue(self, live: Live) -> None:
        """Put a job at the end of the queue, if it is not there; ``fill_slots`` lets it leave."""
        queue = self._queue if takes_slot(live.job.engine) else self._slotless
        queue.setdefault(live.job.id, live)

    def leave(self, live: Live) -> None:
        """Take a job out of the queue, if it is there."""
        self._queue.pop(live.job.id, None)
        self._slotless.pop(live.job.id, None)

    def begin(self, job: Job) -> bool:
        """Whether a new job may begin at once: it has a slot then, if it needs one, and nobody waits before it."""
        if not takes_slot(job.engine):
            return not self.pauses
        if not self.free_count:
            return False
        self._held.add(job.id)
        return True

    def hold_slot(self, job_id: str) -> None:
        """A job runs, whatever the limit is now."""
        self._held.add(job_id)

    def free_slot(self, job_id: str) -> None:
        """A job needs its slot no more; harmless if it has none."""
        if job_id in self._held:
            self._held.remove(job_id)
            self.fill_slots()

    def fill_slots(self) -> None:
        """Let jobs leave the queue while there are free slots."""
        assert self._start is not None
        while self._slotless and not self.pauses:
            _, live = self._slotless.popitem(last=False)
            self._start(live)
        while self._queue and self._room_count:
            _, live = self._queue.popitem(last=False)
            self._held.add(live.job.id)
            self._start(live)
