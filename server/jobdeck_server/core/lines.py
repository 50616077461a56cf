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
from collections import OrderedDict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.errors import OutputGoneError, UnavailableError
from jobdeck_server.core.find import Done, FindQuery, Hit, Pattern, Progress, Search
from jobdeck_server.core.linelog import LineExtent, Log
from jobdeck_server.core.linepage import LinePage, PageQuery, read_page

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable
    from pathlib import Path

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.runs import Kind
    from jobdeck_server.settings import Settings

__all__ = ["LineExtent", "Lines"]

_log = logging.getLogger("jobdeck.lines")
_PROGRESS_S = 0.5
_PROGRESS_BYTES = 32 * 1024 * 1024

Found = list[Hit | Progress | Done]


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
        self._page_limiter = trio.CapacityLimiter(settings.thread_limit_count)
        self._find_limiter = trio.CapacityLimiter(settings.find_limit_count)
        self._swept: dict[str, int] = {}  # sizes of running jobs' logs when they were indexed last
        self._nursery: trio.Nursery | None = None

    def __len__(self) -> int:
        """Indexes in memory."""
        return len(self._logs)

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

    async def page(self, job: Job, query: PageQuery) -> LinePage:
        """Some lines of a log. Waits for a moment if the index has not come so far, then tells what there is.

        Args:
            job: Its record, read before this call.
            query: Which lines.

        Raises:
            OutputGoneError: The output is no longer kept.
            OffsetError: The offset is beyond the end of an ended job's output.
            UnavailableError: The log cannot be read.
        """
        log = self._open_of(job, query.stream)
        with trio.move_on_after(self._settings.lines_wait_s):
            await self._look(log)
            while log.behind and log.building and not query.within(log.index.mark):
                await log.looked.wait()
        limit_bytes = self._settings.lines_answer_limit_bytes
        try:
            return await trio.to_thread.run_sync(
                partial(read_page, log, job, query, limit_bytes=limit_bytes), limiter=self._page_limiter
            )
        except OSError as error:
            raise _unavailable(error) from error

    def find(self, job: Job, query: FindQuery) -> AsyncGenerator[Found, None]:
        """Search a log as it is now: hits in the direction's order, how far it has come, and ``Done`` at the end.

        Closing the generator ends the search, within the work on one slice.

        Args:
            job: Its record, read before this call.
            query: What to search for.

        Raises:
            BadRequestError: The pattern is none.
            OutputGoneError: The output is no longer kept.
        """
        pattern = Pattern(query)
        return self._find(self._open_of(job, query.stream), query, pattern)

    async def _find(self, log: Log, query: FindQuery, pattern: Pattern) -> AsyncGenerator[Found, None]:
        await self._look(log)
        end = log.size_bytes
        said_s = trio.current_time()
        while log.index.mark.indexed_bytes < end and log.building:
            await log.looked.wait()
            if trio.current_time() - said_s >= _PROGRESS_S:
                yield [Progress(0, 0)]
                said_s = trio.current_time()
        index = log.index
        search = Search(log.folder, index=index, mark=index.mark, query=query, pattern=pattern)
        said_bytes = 0
        try:
            while True:
                # What RE2 does cannot be broken off: when nobody waits for it any more, it is left to its thread.
                hits = await trio.to_thread.run_sync(search.step, limiter=self._find_limiter, abandon_on_cancel=True)
                found: Found = [*hits]
                now_s = trio.current_time()
                if search.done:
                    yield [*found, Done(search.hits_count, search.more, search.line)]
                    return
                if now_s - said_s >= _PROGRESS_S or abs(search.offset - said_bytes) >= _PROGRESS_BYTES:
                    found.append(Progress(search.line, search.offset))
                    said_s, said_bytes = now_s, search.offset
                if found:
                    yield found
        finally:
            search.close()

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
            log = self._logs.pop(key, None)
            if log is not None:
                log.forgotten = True
                while log.building:
                    await log.looked.wait()

    # -- looking --

    def _open_of(self, job: Job, stream: Kind | None) -> Log:
        if job.output_removed and job.output_bytes:
            raise OutputGoneError(job.id)
        log = self._open(job.id, stream)
        log.job_ended = log.job_ended or job.ended
        return log

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
            await trio.lowlevel.checkpoint()
            return
        wanted = self._want_look(log)
        while log.looks_done < wanted and log.building:
            await log.looked.wait()
        if log.failure is not None and log.looks_done < wanted:
            raise _unavailable(log.failure)

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
                log.ring()
        except OSError as error:
            _log.warning("%s cannot be indexed: %s", log.folder / "output", error)
            log.failure = error
        finally:
            log.building = False
            log.ring()

    def _look_once(self, log: Log) -> None:
        log.look(least_saved_bytes=self._settings.line_file_least_bytes)

    # -- keeping --

    async def _sweep(self) -> None:
        """Extend the indexes of running jobs that wrote much; drop those that nobody used for a while."""
        running = set(self._running())
        self._swept = {job_id: size for job_id, size in self._swept.items() if job_id in running}
        sizes = await trio.to_thread.run_sync(self._sizes, running, limiter=self._limiter) if running else {}
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


def _unavailable(error: OSError) -> UnavailableError:
    return UnavailableError(f"The log cannot be read: {error.strerror}.")
