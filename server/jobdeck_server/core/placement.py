"""Which worker runs what: jobs that are not for this machine alone wait here until one that fits has a free slot.

A job may name its worker, or labels that it must have; then it is anybody's who has them, this machine's too. All
other jobs run here, but with ``spread_jobs`` also elsewhere while this machine has no free slot. Of several workers
the one with the most free slots gets it. First come, first served, among those that fit; what fits nobody delays
nobody.

What may run here stands in this machine's queue as well (``JobCore.admit``): whoever has a slot first gets it. A slot
elsewhere is taken in memory before the database is asked, and so never given twice, however long that takes; placing
is done by a task for each job, and none waits for another.

A worker's id stands among its labels, in a form that no label can have: jobs that name it ask for that. So does that
it runs bundles. Jobs with a bundle are the executor's. They stand at its desk too, where programs that come and ask get
them (``executordesk``), and are offered here: first this machine, with a free slot and its own executor, then others.
"""

from __future__ import annotations

import logging
from itertools import count, islice
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import JobState
from jobdeck_protocol.workerinfo import WorkerState
from jobdeck_server.core.errors import ConflictError
from jobdeck_server.core.localworker import DRAIN
from jobdeck_server.core.requests import WORKERS_POOL
from jobdeck_server.core.store import StoreError
from jobdeck_server.core.waiting import Queue
from jobdeck_server.engines.base import BUNDLES, LOCAL, WORKER, Noted, takes_slot

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.live import Live
    from jobdeck_server.core.workers import Workers

POOL = WORKERS_POOL

_log = logging.getLogger("jobdeck.placement")
_OWN = "\0"  # before a worker's id: labels are printable
_BUNDLES = _OWN + "~bundles"  # comes after every id in the order of characters: see ``Queue.count``
_ID_SHOWN = 8
_NOTED_COUNT = 100  # so many of those that wait are told why: who wonders, looks at the first ones


class Entry:
    """A job that waits here.

    Attributes:
        live: The core's.
        number: Its place in the order of all that came.
        labels: That its worker must have, its id among them if it is named.
        going: A slot elsewhere was taken for it, and the core does not know yet.
    """

    __slots__ = ("going", "labels", "live", "number")

    def __init__(self, live: Live, number: int) -> None:
        self.live = live
        self.number = number
        self.labels = _wish(live.job)
        self.going = False

    @property
    def travels(self) -> bool:
        """Whether it may run elsewhere, as far as its engine goes."""
        return self.live.job.engine in (LOCAL, BUNDLES, WORKER)

    @property
    def chooses(self) -> bool:
        """Whether it was asked for that some worker runs it."""
        job = self.live.job
        return job.worker is not None or bool(job.worker_labels)


class Site:
    """A worker elsewhere.

    Attributes:
        id: Of the worker.
        jobs: What it has, or is about to have.
        labels: What jobs may ask of it.
        online: It takes jobs.
    """

    def __init__(self, worker_id: str) -> None:
        self.id = worker_id
        self.jobs: set[str] = set()
        self.labels: frozenset[str] = frozenset()
        self.online = False
        self._slots_count = 0

    def learn(self, worker: WorkerInfo | None) -> None:
        """Take over what is told of it; None if it is known no more."""
        self.online = worker is not None and worker.state is WorkerState.ONLINE
        if worker is not None:
            self._slots_count = worker.slots_count
            self.labels = frozenset((*worker.labels, _OWN + self.id, *((_BUNDLES,) if worker.bundles else ())))

    @property
    def free_count(self) -> int:
        """Jobs that it can be given now."""
        return max(0, self._slots_count - len(self.jobs)) if self.online else 0


class Placement:
    """See the top of this file. To be made before the core's recovery, and opened after it while ``run`` is running."""

    def __init__(self, core: JobCore, workers: Workers) -> None:
        self._core = core
        self._workers = workers
        bundles = (_BUNDLES,) if core.settings.executor_builtin else ()
        self._here = frozenset((*core.settings.executor_labels, _OWN + workers.local_id, *bundles))
        self._numbers = count()
        self._queue: Queue[Entry] = Queue()
        self._entries: dict[str, Entry] = {}
        self._sites: dict[str, Site] = {}
        self._nursery: trio.Nursery | None = None
        self._opened = False
        core.pools[POOL] = self.take
        if core.settings.spread_jobs:
            core.pools[""] = self.take  # all that would wait for this machine
        core.observers.append(self._job_changed)
        workers.observers.append(self._worker_changed)
        workers.tally = self.tally
        workers.is_going = self.is_going

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks that place jobs, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def open(self) -> None:
        """After recovery: what was found elsewhere has its slot, and what waits may go."""
        for job in self._core.active():
            if job.engine == WORKER and job.worker is not None and job.state is not JobState.QUEUED:
                self._site(job.worker).jobs.add(job.id)
        for worker in self._workers.all():
            if worker.id != self._workers.local_id:
                self._site(worker.id).learn(worker)
        self._opened = True
        self.refresh()

    def refresh(self) -> None:
        """Look at all that waits, in its order: what kept everything back is over."""
        for entry in list(self._queue):
            self._dispatch(entry)
        for entry in list(islice(self._queue, _NOTED_COUNT)):
            self._explain(entry)

    def tally(self, worker_id: str) -> tuple[int, int]:
        """How many jobs a worker elsewhere has, and how many wait for it by its name."""
        site = self._sites.get(worker_id)
        return 0 if site is None else len(site.jobs), self._queue.count(_OWN + worker_id)

    def is_going(self, job_id: str) -> bool:
        """Whether a job that is still QUEUED has its slot elsewhere already."""
        entry = self._entries.get(job_id)
        return entry is not None and entry.going

    # -- jobs --

    def take(self, live: Live) -> None:
        """A job has come that waits (the core's pool, and the executor's desk, which may say it more than once)."""
        entry = self._entries.get(live.job.id)
        if entry is None:
            entry = self._entries[live.job.id] = Entry(live, next(self._numbers))
        self._settle(entry)

    def _job_changed(self, live: Live) -> None:
        """A job's record has changed (an observer of the core)."""
        job = live.job
        entry = self._entries.get(job.id)
        if job.state is JobState.QUEUED:
            if entry is not None:
                self._settle(entry)
            return
        if entry is not None:
            del self._entries[job.id]
            self._queue.discard(entry)
        if job.engine == WORKER and job.worker is not None:
            if job.ended:
                self._free(job.worker, job.id)
            else:
                self._site(job.worker).jobs.add(job.id)

    def _settle(self, entry: Entry) -> None:
        """Put a job that waits where it belongs."""
        if entry.live.job.held:
            self._queue.discard(entry)
        elif not entry.going and entry not in self._queue:
            self._queue.add(entry)
            self._dispatch(entry)

    def _dispatch(self, entry: Entry) -> None:
        """Give a job to the worker that has most room for it; if it may run here, it waits here as well."""
        if not self._opened or entry not in self._queue:
            return
        here = takes_slot(entry.live.job.engine) and entry.labels <= self._here
        room_count = self._core.admission.free_count if here else 0
        best = max(self._fitting(entry), key=lambda site: site.free_count, default=None)
        if best is not None and best.free_count > room_count and (entry.chooses or not room_count):
            self._send(entry, best)
            return
        if here:
            self._core.admit(entry.live)
        if len(self._entries) <= _NOTED_COUNT:  # later ones would not be looked at when that is over
            self._explain(entry)

    def _fitting(self, entry: Entry) -> list[Site]:
        """Workers elsewhere that may have a job, and have room for it."""
        if not (entry.travels and self._goes):
            return []
        return [site for site in self._sites.values() if site.free_count and entry.labels <= site.labels]

    @property
    def _goes(self) -> bool:
        """Whether jobs may go at all: what holds this machine back holds for all, unless it was drained."""
        return not set(self._core.admission.pauses) - {DRAIN}

    # -- workers --

    def _worker_changed(self, worker_id: str) -> None:
        """A worker has come, changed or gone (an observer of the registry)."""
        if not self._opened or worker_id == self._workers.local_id:
            return
        worker = self._workers.get(worker_id)
        site = self._site(worker_id)
        before = site.labels
        site.learn(worker)
        if worker is None and not site.jobs:
            del self._sites[worker_id]
        self._fill(site)
        for entry in list(islice(self._queue.fitting(before | site.labels), _NOTED_COUNT)):
            self._explain(entry)

    def _site(self, worker_id: str) -> Site:
        return self._sites.setdefault(worker_id, Site(worker_id))

    def _free(self, worker_id: str, job_id: str) -> None:
        """A job needs its slot elsewhere no more; harmless if it has none."""
        site = self._sites.get(worker_id)
        if site is not None and job_id in site.jobs:
            site.jobs.remove(job_id)
            if not site.jobs and self._workers.get(worker_id) is None:
                del self._sites[worker_id]
            self._fill(site)

    def _fill(self, site: Site) -> None:
        """Give the free slots of a worker to the first that fit it."""
        if self._opened and self._goes:
            for entry in self._queue.take(site.labels, site.free_count, skip=lambda entry: not entry.travels):
                self._send(entry, site)

    def _send(self, entry: Entry, site: Site) -> None:
        """Take a slot of a worker for a job, and set about placing it there."""
        assert self._nursery is not None, "it runs before it is opened"
        self._queue.discard(entry)
        site.jobs.add(entry.live.job.id)
        entry.going = True
        self._nursery.start_soon(self._place, entry, site)

    async def _place(self, entry: Entry, site: Site) -> None:
        job = entry.live.job
        try:
            if not job.held:
                await self._core.place(entry.live, engine=WORKER, worker=site.id)
        except ConflictError:
            pass  # it was stopped, or this machine had a slot, a moment ago
        except StoreError as error:
            _log.error("job %s: %s", job.id, error)  # it is that worker's all the same
        entry.going = False
        if entry.live.job.worker != site.id or entry.live.job.state is JobState.QUEUED:
            self._free(site.id, job.id)

    # -- why a job waits --

    def _explain(self, entry: Entry) -> None:
        """Note on the record what a job waits for, if that is more than a free slot."""
        job = entry.live.job
        if job.state is JobState.QUEUED and job.note != (note := self._why(job)):
            self._core.report(job.id, Noted(note=note))

    def _why(self, job: Job) -> str | None:
        if job.worker is not None:
            return self._why_named(job.worker, job.worker_labels)
        wanted = frozenset(job.worker_labels)
        here = wanted <= self._here and DRAIN not in self._core.admission.pauses
        if not wanted or here or any(site.online and wanted <= site.labels for site in self._sites.values()):
            return None
        return f"waits for a worker with labels {', '.join(job.worker_labels)}"

    def _why_named(self, worker_id: str, labels: Sequence[str]) -> str | None:
        worker = self._workers.get(worker_id)
        if worker is None:
            return f"waits for worker {worker_id[:_ID_SHOWN]}, which is not known"
        if worker.state is not WorkerState.ONLINE:
            return f"waits for worker {worker.name}, which is {worker.state.value}"
        if not frozenset(labels).issubset(worker.labels):
            return f"waits for worker {worker.name} to have labels {', '.join(labels)}"
        return None


def _wish(job: Job) -> frozenset[str]:
    if job.bundle is not None:
        return frozenset((*job.labels, _BUNDLES))
    return frozenset(job.worker_labels if job.worker is None else (*job.worker_labels, _OWN + job.worker))
