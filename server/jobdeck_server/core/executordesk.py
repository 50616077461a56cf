"""Who runs what: the desk at which jobs of the executor wait and workers ask for them.

A job waits here from the moment it is accepted (it is the core's pool ``executor``) until somebody has it. On each
change the first that fits gets it: a worker whose request is being held, in the order of their coming; else whoever
has a slot for it first, this server's own executor or a worker elsewhere (``elsewhere``). Until then it can still be
given to a worker that asks.

The hand-out is atomic: a job leaves the queue here and is placed by the core, which commits it, before the worker is
answered; of two who ask at the same moment one finds it gone. All changes are plain calls on the trio thread.

What a worker was given and does not name for a while, and what a worker has that is not heard of any more, is lost:
``lost`` says so, and whoever owns the desk makes it anew.
"""

from __future__ import annotations

import logging
from functools import partial
from itertools import count
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core import executorrows
from jobdeck_server.core.admission import RESTORED
from jobdeck_server.core.errors import CapacityError, ConflictError
from jobdeck_server.core.executorqueue import Entry
from jobdeck_server.core.executorrows import Row, WorkerRow
from jobdeck_server.core.executorworkers import Beat, Call, Hold, Seen, Worker
from jobdeck_server.core.live import now_us
from jobdeck_server.core.store import StoreError
from jobdeck_server.core.waiting import Queue
from jobdeck_server.engines.base import BUNDLES, OUTSIDE, WORKER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from jobdeck_server.core.executorfiles import LabelJobs
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.live import Live

_log = logging.getLogger("jobdeck.executor")
_UNSEEN_COUNT = 5  # beats after which a silent worker is given up
# When a worker is to ask again; it does so until it hears otherwise, also while there is no server to answer
_AT_ONCE_MS = 1  # one of its jobs is over; a falsy value makes the original worker wait a minute
_STARTING_MS = 20  # it was given jobs, and asks first what they are
_SOON_MS = 100
_ENDING_MS = 1000
_SAVE_US = 5_000_000  # between two notes that a worker was seen


class Desk:
    """See the top of this file.

    Attributes:
        newest: Jobs that have not ended, the newest of each key.
        expected: Rows of jobs that are about to be accepted, by key.
        lost: Jobs that were lost and are to be made anew: id -> what is known of it, and why.
        bell: Set when ``lost`` has grown; then replaced by whoever looks.
        elsewhere: Told of each job that waits and that no program which asks has got, maybe more than once: has it run
            here or by a worker elsewhere. None: only here.
    """

    def __init__(self, core: JobCore, label_jobs: LabelJobs) -> None:
        self._core = core
        self._settings = core.settings
        self._label_jobs = label_jobs
        self._numbers = count()
        self._entries: dict[str, Entry] = {}
        self._queue: Queue[Entry] = Queue()
        self._workers: dict[str, Worker] = {}
        self._opened = False
        self._closing = False
        self._stored: Mapping[str, Row] = {}
        self.newest: dict[str, Entry] = {}
        self.expected: dict[str, Row] = {}
        self.lost: dict[str, tuple[Entry, str]] = {}
        self.bell = trio.Event()
        self.elsewhere: Callable[[Live], None] | None = None

    # -- coming in --

    def load(self, rows: Mapping[str, Row], workers: Iterable[WorkerRow]) -> None:
        """Before the core's recovery: what was stored of jobs that have not ended, and of workers."""
        self._stored = rows
        now_s = trio.current_time()
        for row in workers:
            self._workers[row.client_id] = Worker(
                client_id=row.client_id, labels=row.labels, user=row.user, seen_us=row.seen_us, seen_s=now_s
            )

    def open(self) -> None:
        """After the core's recovery: take in the jobs that run, and let those that wait be taken."""
        for job in self._core.active():
            live = self._core.live(job.id)
            if job.dialect == executorrows.DIALECT and live is not None and job.id not in self._entries:
                self._settle(self._enter(live))
        self._opened = True
        self._stored = {}
        for entry in self._entries.values():
            if self.newest[entry.key] is not entry:  # the server was killed between making it anew and giving it up
                self._lose(entry, "another run of it was begun")
        for entry in tuple(self._queue):
            self._dispatch(entry)

    def close(self) -> None:
        """Answer all who are being held, and hold nobody any more: the server is to end."""
        self._closing = True
        for worker in self._workers.values():
            worker.release()

    def take(self, live: Live) -> None:
        """A job has come that waits (the core's pool)."""
        self._settle(self._enter(live))

    def _enter(self, live: Live) -> Entry:
        key = live.job.key or ""
        row = self.expected.pop(key, None) or self._stored.get(live.job.id) or Row()
        entry = Entry(live, row, next(self._numbers))
        self._entries[live.job.id] = entry
        newest = self.newest.get(key)
        # Those that were found at start come in no order; what comes later is always the newest
        if newest is None or self._opened or newest.live.job.created_us <= live.job.created_us:
            self.newest[key] = entry
        return entry

    def entry(self, job_id: str) -> Entry | None:
        """A job that has not ended."""
        return self._entries.get(job_id)

    # -- what becomes of jobs --

    def changed(self, live: Live) -> None:
        """A job's record has changed (an observer of the core)."""
        entry = self._entries.get(live.job.id)
        if entry is None and not self._opened and live.job.dialect == executorrows.DIALECT:
            entry = self._enter(live)  # what recovery finds out must not be missed
        if entry is not None:
            self._settle(entry)

    def _settle(self, entry: Entry) -> None:
        """Put a job where its record says that it belongs."""
        job = entry.live.job
        if job.state is JobState.QUEUED:
            self._queue.discard(entry)
            if job.held:
                entry.admitted = False
            else:
                self._queue.add(entry)
                self._dispatch(entry)
            return
        self._queue.discard(entry)
        if job.ended:
            self._forget(entry)
        elif job.engine == OUTSIDE and job.worker:
            worker = self._worker(job.worker)
            worker.jobs[job.id] = entry
            if job.stop_requested and worker.hold is not None and entry.key in worker.hold.call.running:
                worker.release()

    @property
    def _waits(self) -> bool:
        """Whether nothing is given to anybody who asks."""
        return RESTORED in self._core.admission.pauses

    def _dispatch(self, entry: Entry) -> None:
        """Give a job that waits to the first who fits."""
        if not self._opened:
            return
        for worker in () if self._waits else self._workers.values():
            if worker.hold is not None and worker.hold.takes(entry):
                self._queue.discard(entry)
                worker.hold.give(entry)
                return
        if self.elsewhere is not None:
            self.elsewhere(entry.live)
        elif not entry.admitted and self._fits_here(entry):
            entry.admitted = True
            self._core.admit(entry.live)

    def _fits_here(self, entry: Entry) -> bool:
        return self._settings.executor_builtin and entry.labels.issubset(self._settings.executor_labels)

    def _forget(self, entry: Entry) -> None:
        job = entry.live.job
        self._entries.pop(job.id, None)
        if self.newest.get(entry.key) is entry:
            del self.newest[entry.key]
        worker = self._workers.get(job.worker or "")
        if worker is not None and worker.jobs.pop(job.id, None) is not None:
            worker.told.pop(job.id, None)
            worker.release()
        if job.state is JobState.LOST and job.engine in (BUNDLES, WORKER):
            self._lose(entry, job.error or "it was lost")

    def _lose(self, entry: Entry, why: str) -> None:
        self.lost.setdefault(entry.live.job.id, (entry, why))
        self.bell.set()

    # -- workers --

    def workers(self) -> list[Seen]:
        """All workers, with the jobs that they run."""
        return [
            Seen(
                client_id=worker.client_id,
                labels=worker.labels,
                user=worker.user,
                seen_us=worker.seen_us,
                jobs=tuple(sorted(worker.jobs.values(), key=lambda entry: entry.live.job.created_us)),
            )
            for worker in self._workers.values()
        ]

    async def beat(self, call: Call, gone: Callable[[], Awaitable[None]] | None = None) -> Beat:
        """Answer a worker that asks for jobs, late if there is nothing for it yet.

        Args:
            call: What it says.
            gone: Returns when it is no longer there; None if nobody can tell.

        Raises:
            CapacityError: There are as many workers as there may be, and this is another one.
        """
        if not call.client_id:
            return self._answer((), (), _SOON_MS)
        if call.client_id not in self._workers and len(self._workers) >= self._settings.executor_worker_limit_count:
            raise CapacityError("There are too many workers.")
        worker = self._heard(call)
        worker.release()  # of two requests of one worker the older one is answered, with nothing
        mine: Sequence[Entry] = self._still_its_own(call)
        hold = Hold(call, 0 if self._waits else worker.free_count(call, trio.current_time()))
        mine = mine or self._queue.take(call.labels, hold.free_count, skip=lambda entry: entry.key in call.running)
        has_news = self._has_news(worker, call)
        if not (mine or has_news or worker.stopping().keys() - worker.told.keys()):
            mine = await self._held(worker, hold, gone)
        placed = await self._place(mine, worker)
        stopping, now_s = worker.stopping(), trio.current_time()
        worker.told = {job_id: worker.told.get(job_id, now_s) for job_id in stopping}
        cancel = (*stopping.values(), *self._elsewhere(worker, call))
        start = tuple(entry.key for entry in placed if entry.key not in call.running)
        again_ms = _STARTING_MS if start else _AT_ONCE_MS if hold.bell.is_set() else _SOON_MS
        return self._answer(start, cancel, again_ms)

    def _answer(self, start: tuple[str, ...], cancel: tuple[str, ...], again_ms: int) -> Beat:
        if not self._settings.executor_hold_s:
            again_ms = int(self._settings.executor_refresh_s * 1000)
        elif self._closing:
            again_ms = _ENDING_MS
        return Beat(start=start, refresh_ms=again_ms, label_jobs=self._label_jobs.get(), cancel=cancel)

    def _has_news(self, worker: Worker, call: Call) -> bool:
        """Whether a worker is to be answered even if there is no job for it.

        So it is at its first request: the original tells its user that it is connected when that is answered. And when
        there are label jobs that it has not heard of since it has the labels that it has: it begins as many as it has
        slots for, and with the next ones when it has earned a label.
        """
        label_jobs = self._label_jobs.get()
        news = (call.labels, label_jobs)
        is_first, told = not worker.answered, worker.offered
        worker.answered = True
        if call.available_count and label_jobs:
            worker.offered = news
        return is_first or worker.offered != told

    def _heard(self, call: Call) -> Worker:
        worker = self._worker(call.client_id)
        known = (worker.labels, worker.user)
        worker.labels, worker.user = call.labels, call.user
        worker.seen_us, worker.seen_s = now_us(), trio.current_time()
        worker.note(call, worker.seen_s)
        for entry in worker.jobs.values():
            since_s = worker.seen_s if entry.missing_s is None else entry.missing_s
            if worker.seen_s - since_s >= self._settings.executor_missing_s:
                self._lose(entry, f"worker {worker.client_id} has not named it for {worker.seen_s - since_s:.0f} s")
            # The original goes on naming a job for ever whose results it could not send
            told_s = worker.told.get(entry.live.job.id, worker.seen_s)
            if worker.seen_s - told_s >= self._settings.executor_stop_s:
                self._lose(entry, f"worker {worker.client_id} was to stop it {worker.seen_s - told_s:.0f} s ago")
        if known != (worker.labels, worker.user) or worker.seen_us - worker.saved_us >= _SAVE_US:
            self._save(worker)
        return worker

    def _worker(self, client_id: str) -> Worker:
        worker = self._workers.get(client_id)
        if worker is None:
            worker = Worker(client_id=client_id, seen_us=now_us(), seen_s=trio.current_time())
            self._workers[client_id] = worker
        return worker

    def _save(self, worker: Worker) -> None:
        worker.saved_us = worker.seen_us
        row = WorkerRow(worker.client_id, worker.labels, worker.user, worker.seen_us)
        self._core.store.write_soon(
            lambda connection: executorrows.put_worker(connection, row), _told_if_failed, durable=False
        )

    def _still_its_own(self, call: Call) -> list[Entry]:
        """Jobs that were taken for lost, wait to be run again, and are still run by this worker."""
        found = [entry for key in call.running if (entry := self.newest.get(key)) is not None]
        found = [each for each in found if each.live.job.attempt > 1 and each.live.job.state is JobState.QUEUED]
        found = [each for each in found if not each.live.job.held]
        for entry in found:
            self._queue.discard(entry)
        return found

    def _elsewhere(self, worker: Worker, call: Call) -> list[str]:
        """What this worker runs and somebody else was given since: it need not go on."""
        found = []
        for key in sorted(call.running):
            entry = self.newest.get(key)
            if entry is not None and entry.live.job.id not in worker.jobs and entry.live.job.state is JobState.RUNNING:
                found.append(key)
        return found

    async def _held(self, worker: Worker, hold: Hold, gone: Callable[[], Awaitable[None]] | None) -> Sequence[Entry]:
        """Wait until there is something to say; the jobs that it was given meanwhile."""
        settings = self._settings
        limit_s = settings.executor_hold_s
        # One of its slots may become free without our knowing; and a job can be stopped only when it was named
        if not hold.free_count or worker.unnamed():
            limit_s = min(limit_s, settings.executor_busy_hold_s)
        if self._closing or limit_s <= 0:
            return ()
        worker.hold = hold
        try:
            with trio.move_on_after(limit_s):
                await _wait(hold, gone)
        except BaseException:
            hold.gone = True
            raise
        finally:
            if worker.hold is hold:
                worker.hold = None
            if hold.gone:
                self._give_back(hold)
        return () if hold.gone else hold.chosen

    def _give_back(self, hold: Hold) -> None:
        for entry in hold.chosen:
            if entry.live.job.state is JobState.QUEUED:
                self._settle(entry)

    async def _place(self, entries: Sequence[Entry], worker: Worker) -> list[Entry]:
        """Have the core note that jobs are this worker's; those of which it has done so."""
        placed: set[str] = set()

        async def place(entry: Entry) -> None:
            if entry.live.job.held:
                return
            try:
                await self._core.place(entry.live, engine=OUTSIDE, worker=worker.client_id)
            except ConflictError:
                return  # it was stopped, or taken by this server, a moment ago
            except StoreError as error:
                _log.error("job %s: %s", entry.live.job.id, error)
                return  # it will be the worker's; as the worker does not know, it will be missing there
            placed.add(entry.live.job.id)

        async with trio.open_nursery() as nursery:
            for entry in entries:
                nursery.start_soon(place, entry)
        return [entry for entry in entries if entry.live.job.id in placed]

    # -- who is missing --

    def sweep(self) -> None:
        """Give up workers that were not heard of for too long."""
        now_s, limit_s = trio.current_time(), _UNSEEN_COUNT * self._settings.executor_refresh_s
        for worker in tuple(self._workers.values()):
            silent_s = now_s - worker.seen_s
            if worker.hold is not None or silent_s < limit_s:
                continue
            for entry in worker.jobs.values():
                self._lose(entry, f"worker {worker.client_id} was not heard of for {silent_s:.0f} s")
            del self._workers[worker.client_id]
            drop = partial(executorrows.drop_worker, client_id=worker.client_id)
            self._core.store.write_soon(drop, _told_if_failed, durable=False)


async def _wait(hold: Hold, gone: Callable[[], Awaitable[None]] | None) -> None:
    """Until the bell rings, or nobody is there any more."""
    async with trio.open_nursery() as nursery:

        async def watch(left: Callable[[], Awaitable[None]]) -> None:
            await left()
            hold.gone = True
            nursery.cancel_scope.cancel()

        if gone is not None:
            nursery.start_soon(watch, gone)
        await hold.bell.wait()
        nursery.cancel_scope.cancel()


def _told_if_failed(_result: None, error: Exception | None) -> None:
    if error is not None:
        _log.error("a worker could not be noted: %s", error)
