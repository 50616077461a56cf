"""The lines of all jobs' outputs: how many there are, where they stand, and what they say.

Each log that is looked at has a ``LineIndex``, and each index one builder at a time, whoever asks: it looks at the log
(``Text``), takes in what is new, for a fiftieth of a second, in a thread, and tells all who wait. They go on as soon as
it has come far enough for them. A look begins after it was asked for: what it finds is never older than the question.

Indexes are also extended while nobody asks: of running jobs whose output grew much, and at a job's end. Those of small
logs are not: they are made in the time that a look takes. In memory are the ones used last, within a limit; that of
both streams together is kept on disk as well, those of one stream are not.
"""

from __future__ import annotations

import logging
import os
import time
from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import lineindex
from jobdeck_server.core.errors import UnavailableError
from jobdeck_server.core.lineindex import LineIndex
from jobdeck_server.core.text import Text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.runs import Kind
    from jobdeck_server.settings import Settings

_log = logging.getLogger("jobdeck.lines")
_LOOK_S = 0.02
_PIECE_BYTES = 256 * 1024  # read at once; the interpreter's lock is given back with each
_SAVE_BYTES = 64 * 1024 * 1024  # a long log's index is saved this often while it is made


@dataclass(frozen=True, slots=True)
class LineExtent:
    """How much of a log there is: ``line_count`` lines in the ``indexed_bytes`` that were looked through."""

    size_bytes: int
    indexed_bytes: int
    line_count: int


class Log:
    """One log, as far as it is indexed.

    Attributes:
        index: Where its lines are; replaced when the log is shorter than it was.
        size_bytes: Of the log, at the last look.
        complete: The job had ended before the last look began, and all is indexed.
    """

    def __init__(self, folder: Path, stream: Kind | None) -> None:
        self.folder = folder
        self.stream = stream
        self.index = LineIndex()
        self.size_bytes = 0
        self.complete = False
        self.job_ended = False
        self.forgotten = False
        self.used_s = 0.0
        self.building = False
        self.looks_begun = 0
        self.looks_done = 0
        self.look_wanted = 0  # number of the look that somebody waits for
        self.looked = trio.Event()  # set after each look and at the end of a build, then replaced
        self.failure: OSError | None = None
        self._loaded = False
        self._saved_bytes = 0

    @property
    def behind(self) -> bool:
        """There is more of it than is indexed."""
        return self.index.mark.indexed_bytes < self.size_bytes

    def extent(self) -> LineExtent:
        """What is known."""
        mark = self.index.mark
        return LineExtent(max(self.size_bytes, mark.indexed_bytes), mark.indexed_bytes, mark.line_count)

    def look(self, *, least_saved_bytes: int) -> None:
        """Take in what is new, for ``_LOOK_S``. Blocks; the builder alone calls it.

        Raises:
            OSError: The log cannot be read.
        """
        ended = self.job_ended
        deadline_s = time.monotonic() + _LOOK_S
        with Text(self.folder, self.stream) as text:
            index, size_bytes = self._index_for(text.size_bytes), text.size_bytes
            while index.mark.indexed_bytes < size_bytes and time.monotonic() < deadline_s:
                data = text.read(index.mark.indexed_bytes, _PIECE_BYTES)
                index.feed(data)
                if not data:  # the index of runs is damaged: what it does not tell is not there for us
                    size_bytes = index.mark.indexed_bytes
            self.index, self.size_bytes = index, size_bytes
        self.complete = ended and not self.behind
        if self.complete or index.mark.indexed_bytes - self._saved_bytes >= _SAVE_BYTES:
            self._save(least_saved_bytes)

    def _index_for(self, size_bytes: int) -> LineIndex:
        if not self._loaded:
            self._loaded = True
            found = None if self.stream is not None else lineindex.load(self.folder / "lines", size_bytes)
            if found is not None:
                self._saved_bytes = found.mark.indexed_bytes
                return found
        if self.index.mark.indexed_bytes > size_bytes:  # removed, or cut by a loss of power
            self._saved_bytes = 0
            return LineIndex()
        return self.index

    def _save(self, least_bytes: int) -> None:
        indexed = self.index.mark.indexed_bytes
        if self.stream is not None or self.forgotten or indexed < least_bytes or indexed == self._saved_bytes:
            return
        with suppress(OSError):  # a cache: a full disk is told of by others
            self.index.save(self.folder / "lines")
        self._saved_bytes = indexed


class Lines:
    """All indexed logs of a server. ``run`` must be running.

    Args:
        settings: Limits.
        folder: Where a job's files are.
        running: Ids of the jobs that run.
    """

    def __init__(
        self, settings: Settings, *, folder: Callable[[str], Path], running: Callable[[], Iterable[str]]
    ) -> None:
        self._settings = settings
        self._folder = folder
        self._running = running
        self._logs: OrderedDict[tuple[str, Kind | None], Log] = OrderedDict()  # used last at the end
        self._limiter = trio.CapacityLimiter(settings.line_thread_limit_count)
        self._swept: dict[str, int] = {}  # sizes of running jobs' logs when they were indexed last
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the builders, extend what grows, drop what nobody uses, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            while True:
                await trio.sleep(self._settings.line_sweep_s)
                await self._sweep()

    # -- what is known --

    async def extent(self, job_id: str, stream: Kind | None = None) -> LineExtent:
        """How much of a log there is now; what is not indexed yet is being indexed when this returns.

        Args:
            job_id: Of a job. One that is not known has an empty log.
            stream: STDOUT, STDERR, or None for both.

        Raises:
            UnavailableError: The log cannot be read.
        """
        log = self._open(job_id, stream)
        await self._look(log)
        return log.extent()

    def ended(self, job: Job) -> None:
        """A job has ended: finish its index, if it is worth a file."""
        self._swept.pop(job.id, None)
        if job.output_bytes >= self._settings.line_file_least_bytes:
            log = self._open(job.id, None)
            log.job_ended = True
            self._want_look(log)

    async def forget(self, job_id: str) -> None:
        """Drop all that is known of a job's log; when this returns, nothing will write its file again."""
        self._swept.pop(job_id, None)
        for key in [key for key in self._logs if key[0] == job_id]:
            log = self._logs.pop(key)
            log.forgotten = True
            while log.building:
                await log.looked.wait()

    # -- looking --

    def _open(self, job_id: str, stream: Kind | None) -> Log:
        key = (job_id, stream)
        log = self._logs.get(key)
        if log is None:
            log = self._logs[key] = Log(self._folder(job_id), stream)
            self._trim()
        self._logs.move_to_end(key)
        log.used_s = trio.current_time()
        return log

    async def _look(self, log: Log) -> None:
        """Have a look that begins now, and wait for its end.

        Raises:
            UnavailableError: The log cannot be read.
        """
        if log.complete:
            return
        wanted = self._want_look(log)
        while log.looks_done < wanted and log.building:
            await log.looked.wait()
        if log.failure is not None and log.looks_done < wanted:
            raise UnavailableError(f"The log cannot be read: {log.failure.strerror}.")

    def _want_look(self, log: Log) -> int:
        log.look_wanted = log.looks_begun + 1
        if not log.building and self._nursery is not None:
            log.building, log.failure = True, None
            self._nursery.start_soon(self._build, log)
        return log.look_wanted

    async def _build(self, log: Log) -> None:
        """Look until all is indexed and nobody waits for a further look."""
        try:
            while (log.behind or log.looks_begun < log.look_wanted) and not log.forgotten:
                log.looks_begun += 1
                await trio.to_thread.run_sync(self._look_once, log, limiter=self._limiter)
                log.looks_done = log.looks_begun
                _ring(log)
        except OSError as error:
            _log.warning("%s cannot be indexed: %s", log.folder / "output", error)
            log.failure = error
        finally:
            log.building = False
            _ring(log)

    def _look_once(self, log: Log) -> None:
        log.look(least_saved_bytes=self._settings.line_file_least_bytes)

    # -- keeping --

    async def _sweep(self) -> None:
        """Extend the indexes of running jobs that wrote much; drop those that nobody used for a while."""
        running = set(self._running())
        self._swept = {job_id: size for job_id, size in self._swept.items() if job_id in running}
        sizes = await trio.to_thread.run_sync(self._sizes, running, limiter=self._limiter)
        for job_id, size_bytes in sizes.items():
            if size_bytes - self._swept.get(job_id, 0) >= self._settings.line_sweep_bytes:
                self._swept[job_id] = size_bytes
                self._want_look(self._open(job_id, None))
        before_s = trio.current_time() - self._settings.line_idle_s
        for key in [key for key, log in self._logs.items() if log.used_s < before_s and not log.building]:
            del self._logs[key]

    def _sizes(self, job_ids: Iterable[str]) -> dict[str, int]:
        found = {}
        for job_id in job_ids:
            with suppress(OSError):
                found[job_id] = os.stat(self._folder(job_id) / "output").st_size
        return found

    def _trim(self) -> None:
        """Drop what was used longest ago while there is too much."""
        memory = sum(log.index.memory_bytes for log in self._logs.values())
        for key in list(self._logs)[:-1]:
            log = self._logs[key]
            few = len(self._logs) <= self._settings.line_index_limit_count
            if few and memory <= self._settings.line_memory_limit_bytes:
                break
            if not log.building:
                memory -= log.index.memory_bytes
                del self._logs[key]


def _ring(log: Log) -> None:
    log.looked.set()
    log.looked = trio.Event()
