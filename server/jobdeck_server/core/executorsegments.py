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
    from collections.abc import AsyncGenerator, Mapping

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

    # -- of jobs that run elsewhere --

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
            await self._note(entry.live.job.id, segment)
            self._core.growth.poke(entry.live.job.id)

    async def _is_there(self, entry: Entry, number: int, data: bytes) -> bool:
        last = entry.row.output_number
        if last is None or number > last:
            return False
        job_id = entry.live.job.id
        segment = await self._core.store.read(lambda connection: executorrows.segment(connection, job_id, number))
        if segment is None:
            return False
        text = await self._text(job_id, segment)
        return text == data or (segment.end >= self._settings.output_limit_bytes and data.startswith(text))

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

    # -- of jobs that this server runs --

    async def last_segment(self, job_id: str) -> tuple[int, int]:
        """The number that comes next, and up to where the job's stdout was told."""
        return await self._core.store.read(lambda connection: executorrows.next_segment(connection, job_id))

    async def note_segment(self, job_id: str, number: int, start: int, end: int) -> None:
        """A segment: bytes ``[start, end)`` of the job's stdout."""
        segment = Segment(number, Kind.STDOUT, start, end)
        await self._note(job_id, segment)

    async def note_results(self, job_id: str, results: Mapping[str, str], super_set: str | None) -> None:
        """What this server's own executor has kept; ``results`` come with the job's end."""
        del results
        if super_set is not None:
            await self.note_super_set(job_id, super_set)

    async def note_super_set(self, job_id: str, blob_hash: str) -> None:
        """The artifact of all results."""
        await self._core.store.write(
            lambda connection: executorrows.put_super_set(connection, job_id, blob_hash), durable=False
        )
        entry = self._desk.entry(job_id)
        if entry is not None:
            entry.row = replace(entry.row, super_set=blob_hash)

    async def _note(self, job_id: str, segment: Segment) -> None:
        await self._core.store.write(
            lambda connection: executorrows.put_segment(connection, job_id, segment), durable=False
        )
        entry = self._desk.entry(job_id)
        if entry is not None:
            entry.row = replace(entry.row, output_number=segment.number)

    # -- for anybody --

    async def every(
        self, key: str, *, start: int | None = None, end: int | None = None
    ) -> AsyncGenerator[tuple[int, str], None]:
        """Number and text of the segments from ``start`` to before ``end``; see ``info`` for who has none."""
        job = (await self._keys.standing(key)).job
        if job.output_removed:
            return
        job_id = job.id
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
