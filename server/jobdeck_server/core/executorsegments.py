"""Output of executor jobs in numbered segments: as outside workers post them, and as anybody asks for them.

The text stands in the job's output alone (``executoroutput``), so that attach, lines and the console show it as it
comes. A segment is only a note of where.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import executoroutput, executorrows
from jobdeck_server.core.errors import NoSpaceError
from jobdeck_server.core.executorkeys import is_of
from jobdeck_server.core.executorrows import Segment
from jobdeck_server.core.runs import Kind

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Callable

    from jobdeck_server.core.executorkeys import Keys
    from jobdeck_server.core.executorqueue import Entry

_log = logging.getLogger("jobdeck.executor")


class Segments:
    """See the top of this file."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._core = keys.core
        self._desk = keys.desk
        self._settings = keys.core.settings

    async def post(self, key: str, number: int, text: str) -> None:
        """Add a segment to the output of a job that an outside worker runs; other jobs' output is not changed.

        The same text with the same number again is not added a second time.

        Raises:
            UnknownJobError: There is no such job.
            NoSpaceError: It could not be written.
        """
        async with self._keys.alone(key):
            entry = self._desk.newest.get(key)
            if entry is None:
                await self._keys.standing(key)
            if entry is None or not is_of(entry.live.job, None):
                _log.warning("job %r: nobody outside runs it: segment %d of its output is ignored", key, number)
                return
            data = text.encode()
            if await self._is_there(entry, number, data):
                return
            segment = await self._append(entry, number, data)
            entry.tail_bytes = segment.end
            entry.row = replace(entry.row, output_number=number)
            job_id = entry.live.job.id
            await self._core.store.write(
                lambda connection: executorrows.put_segment(connection, job_id, segment), durable=False
            )
            self._core.growth.poke(job_id)

    async def _is_there(self, entry: Entry, number: int, data: bytes) -> bool:
        last = entry.row.output_number
        if last is None or number > last:
            return False
        job_id = entry.live.job.id
        segment = await self._core.store.read(lambda connection: executorrows.segment(connection, job_id, number))
        return segment is not None and await self._text(job_id, segment) == data

    async def _append(self, entry: Entry, number: int, data: bytes) -> Segment:
        core, job_id = self._core, entry.live.job.id
        if entry.tail_bytes is None:
            entry.tail_bytes = await core.store.read(lambda connection: executorrows.told_end(connection, job_id))
        append = partial(
            executoroutput.append,
            core.engine.follow(job_id),
            number,
            data,
            noted_bytes=entry.tail_bytes,
            limit_bytes=self._settings.output_limit_bytes,
            boot_id=core.boot_id,
        )
        try:
            return await trio.to_thread.run_sync(append, limiter=self._keys.limiter)
        except OSError as error:
            raise NoSpaceError(f"The output cannot be written: {error.strerror}.") from error

    def note(self, job_id: str, number: int, start: int, end: int) -> None:
        """A segment of a job that this server runs: bytes ``[start, end)`` of its stdout."""
        entry = self._desk.entry(job_id)
        if entry is not None:
            entry.row = replace(entry.row, output_number=number)
        segment = Segment(number, Kind.STDOUT, start, end)
        self._write_soon(job_id, lambda connection: executorrows.put_segment(connection, job_id, segment))

    def note_super_set(self, job_id: str, blob_hash: str) -> None:
        """The artifact of all results of a job that this server runs."""
        entry = self._desk.entry(job_id)
        if entry is not None:
            entry.row = replace(entry.row, super_set=blob_hash)
        self._write_soon(job_id, lambda connection: executorrows.put_super_set(connection, job_id, blob_hash))

    def _write_soon(self, job_id: str, work: Callable[[sqlite3.Connection], None]) -> None:
        def done(_result: None, error: Exception | None) -> None:
            if error is not None:
                _log.error("job %s: a note was not kept: %s", job_id, error)

        self._core.store.write_soon(work, done, durable=False)

    async def every(
        self, key: str, *, start: int | None = None, end: int | None = None
    ) -> AsyncGenerator[tuple[int, str], None]:
        """Number and text of the segments from ``start`` to before ``end``; see ``info`` for who has none."""
        job_id = (await self._keys.standing(key)).job.id
        count = self._settings.executor_page_count
        while True:
            read = partial(executorrows.segments, job_id=job_id, start=start, end=end, limit_count=count)
            page = await self._core.store.read(read)
            for segment in page:
                yield segment.number, (await self._text(job_id, segment)).decode("utf-8", "replace")
                start = segment.number + 1
            if len(page) < count:
                return

    async def _text(self, job_id: str, segment: Segment) -> bytes:
        folder = self._core.engine.follow(job_id)
        return await trio.to_thread.run_sync(executoroutput.read, folder, segment, limiter=self._keys.limiter)
