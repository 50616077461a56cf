"""Brings what one worker sends of its jobs' files onto this disk, in order, and tells what is written and what is safe.

What belongs to one job happens in order: appends, and calls that come after them (a job has ended only when its last
byte is written). There are two lines with a thread each. Much goes through one of them: whatever has gathered is
written together, so that bulk costs few changes of threads. A little, of a job that has nothing in that line, goes
through the other and never stands behind somebody's bulk. Another task syncs, a second after the first byte that is not
safe or when there are 4 MiB of them, in a thread of its own. All of these are one worker's, so a disk, or a worker,
that is slow delays nobody else's jobs.

A full disk loses nothing: the bytes stay here, which a window bounds (they are not ``taken``, so the worker's credit
ends), and are offered to the disk again and again.
"""

from __future__ import annotations

import errno
import logging
import os
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.workerevents import Append
from jobdeck_protocol.workermirror import NOTHING, Sizes
from jobdeck_server.engines import copies

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from jobdeck_server.engines.copies import Fault

_log = logging.getLogger("jobdeck.workers")
_RETRY_S = 0.25
_SYNC_S = 1.0
_SYNC_BYTES = 4 * 1024 * 1024
_SAY_AGAIN_S = 60.0
_LITTLE_BYTES = 8 * 1024

Call = Callable[[], None]


class _Line:
    """What waits to be done, in order, and the thread that writes for it.

    Attributes:
        pending: How much of each job is not done yet.
        stalled: The jobs that wait for the disk.
    """

    def __init__(self) -> None:
        self.items: deque[tuple[str, Append | Call]] = deque()
        self.pending: Counter[str] = Counter()
        self.stalled: frozenset[str] = frozenset()
        self.bell = trio.Event()
        self.done_bell = trio.Event()
        self.limiter = trio.CapacityLimiter(1)

    def put(self, job_id: str, item: Append | Call) -> None:
        self.items.append((job_id, item))
        self.pending[job_id] += 1
        self.bell.set()

    def done(self, job_id: str) -> None:
        self.pending[job_id] -= 1
        if not self.pending[job_id]:
            del self.pending[job_id]
        self.done_bell.set()
        self.done_bell = trio.Event()


class Mirror:
    """See the top of this file. ``run`` must be running.

    Args:
        jobs_dir: Where the folders of jobs are.
        name: Of the worker, for the log.
        taken: Called with each append that is written, or whose job is gone.
        synced: Called with a job and the sizes of its files that are safe.
        stalled: Called with the jobs that wait for the disk, and why; with none when it takes bytes again.
    """

    def __init__(
        self,
        jobs_dir: Path,
        *,
        name: str,
        taken: Callable[[Append], None],
        synced: Callable[[str, Sizes], None],
        stalled: Callable[[frozenset[str], str], None],
    ) -> None:
        self._jobs_dir = jobs_dir
        self._name = name
        self._taken = taken
        self._synced = synced
        self._stalled = stalled
        self._quick, self._bulk = _Line(), _Line()
        self._syncing = trio.CapacityLimiter(1)
        self._unsafe: dict[str, Sizes] = {}  # what is written and not synced
        self._unsafe_bytes = 0
        self._unsafe_since_s = 0.0
        self._unsafe_bell = trio.Event()
        self._much_bell = trio.Event()
        self._said_s = -_SAY_AGAIN_S

    def put(self, append: Append, *, skew_us: int = 0) -> None:
        """Write this, after all that came before.

        Args:
            append: What came.
            skew_us: The worker's clock less ours, if that is worth a correction.
        """
        runs = copies.corrected(append.at.runs, append.runs, skew_us)
        self._queue(append.job_id, append if runs is append.runs else replace(append, runs=runs))

    def make(self, job_id: str) -> None:
        """Make a job's files, unless they are there: those who wait for its output look at them."""
        self._queue(job_id, Append(job_id, NOTHING, b"", b"", 0))

    def after(self, job_id: str, call: Call) -> None:
        """Call this once all that came before of a job is written."""
        self._queue(job_id, call)

    def drop(self, job_id: str) -> None:
        """A job's files need not be synced by this any more."""
        self._unsafe.pop(job_id, None)

    async def sync(self, job_id: str) -> None:
        """Have a job's files safe, as far as they are written; a disk that fails is tried again."""
        while True:
            _, fault = await self._sync_files([job_id])
            if fault is None:
                self.drop(job_id)
                return
            await trio.sleep(_RETRY_S)

    async def run(self) -> None:
        """Write and sync, until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_syncing)
            nursery.start_soon(self._serve, self._quick)
            nursery.start_soon(self._serve, self._bulk)

    def _queue(self, job_id: str, item: Append | Call) -> None:
        much = isinstance(item, Append) and len(item.runs) + len(item.data) > _LITTLE_BYTES
        (self._bulk if much or job_id in self._bulk.pending else self._quick).put(job_id, item)

    # -- writing --

    async def _serve(self, line: _Line) -> None:
        while True:
            await line.bell.wait()
            line.bell = trio.Event()
            while line.items:
                await self._forward(line)

    async def _forward(self, line: _Line) -> None:
        """Write what stands first in a line, or make the calls that do."""
        batch: list[Append] = []
        while line.items and isinstance(item := line.items[0][1], Append):
            batch.append(item)
            line.items.popleft()
        if batch:
            await self._before(line, {append.job_id for append in batch})
            await self._write(line, batch)
        while line.items and not isinstance(call := line.items[0][1], Append):
            call()
            line.done(line.items.popleft()[0])

    async def _before(self, line: _Line, job_ids: set[str]) -> None:
        """Wait until what came earlier of these jobs is done: bulk may follow a little, which never follows bulk."""
        if line is self._bulk:
            while not job_ids.isdisjoint(self._quick.pending):
                await self._quick.done_bell.wait()

    async def _write(self, line: _Line, batch: list[Append]) -> None:
        while batch:
            work = partial(copies.write, self._jobs_dir, batch)
            count, fault = await trio.to_thread.run_sync(work, limiter=line.limiter)
            for append in batch[:count]:
                self._wrote(append)
                line.done(append.job_id)
            del batch[:count]
            self._tell_fault(line, fault)
            if fault is not None:
                await trio.sleep(_RETRY_S)

    def _wrote(self, append: Append) -> None:
        count = len(append.runs) + len(append.data)
        if count:
            if not self._unsafe:
                self._unsafe_since_s = trio.current_time()
            end = Sizes(append.at.output + len(append.data), append.at.runs + len(append.runs))
            self._unsafe[append.job_id] = end
            self._unsafe_bytes += count
            self._unsafe_bell.set()
            if self._unsafe_bytes >= _SYNC_BYTES:
                self._much_bell.set()
        self._taken(append)

    def _tell_fault(self, line: _Line, fault: Fault | None) -> None:
        """Tell who waits for the disk; one line may while the other does not."""
        if fault is not None:
            self._complain(fault)
        if fault is not None or line.stalled:
            line.stalled = frozenset() if fault is None else frozenset(line.pending)
            stalled = self._quick.stalled | self._bulk.stalled
            self._stalled(stalled, "" if fault is None else _why(fault.error))

    def _complain(self, fault: Fault) -> None:
        if trio.current_time() >= self._said_s + _SAY_AGAIN_S:
            self._said_s = trio.current_time()
            _log.error("output of worker %s waits, job %s: %s", self._name, fault.job_id, fault.error)

    # -- syncing --

    async def _keep_syncing(self) -> None:
        while True:
            await self._unsafe_bell.wait()
            self._unsafe_bell = trio.Event()
            with trio.move_on_at(self._unsafe_since_s + _SYNC_S):
                await self._much_bell.wait()
            self._much_bell = trio.Event()
            unsafe, self._unsafe, self._unsafe_bytes = self._unsafe, {}, 0
            safe, fault = await self._sync_files(unsafe)
            for job_id in safe:
                self._synced(job_id, unsafe[job_id])
            if fault is not None:
                self._again(fault, {job_id: unsafe[job_id] for job_id in unsafe.keys() - set(safe)})
                await trio.sleep(_RETRY_S)

    def _again(self, fault: Fault, unsafe: dict[str, Sizes]) -> None:
        self._complain(fault)
        self._unsafe = unsafe | self._unsafe
        self._unsafe_bell.set()

    async def _sync_files(self, job_ids: Iterable[str]) -> tuple[list[str], Fault | None]:
        work = partial(copies.sync, self._jobs_dir, list(job_ids))
        return await trio.to_thread.run_sync(work, limiter=self._syncing)


def _why(error: OSError) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "waiting for disk space"
    return f"waiting for the disk: {os.strerror(error.errno or errno.EIO)}"
