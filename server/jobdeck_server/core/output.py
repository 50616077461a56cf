"""Reading a job's output by exact offsets, from files that others write.

The truth is on disk, in the job's folder: ``output`` holds the bytes of stdout and stderr in the order in which they
were written, ``runs`` tells which stream wrote which of them and when. An offset is a position in ``output``, always.
Readers read at their own pace and cost the job nothing; what they hold is two descriptors and one bell.

The end is found in this order: the job's record first, the file's size second. A record that has ended while bytes are
still unread only means that those are the last ones.
"""

from __future__ import annotations

import math
import os
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.errors import OffsetError, OutputGoneError
from jobdeck_server.core.runs import Kind, Run, RunIndex, open_runs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.growth import Growth, Watch

__all__ = ["Extent", "Kind", "OutputBell", "OutputReader", "Run"]

_RUNS_BATCH_COUNT = 256
_DEAF_LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class Extent:
    """``length`` bytes of ``output`` from ``offset`` on; they are there and will not change."""

    offset: int
    length: int


class OutputBell(AbstractContextManager["OutputBell"]):
    """Rings when a job's output has grown or its record has changed; holds no file open. Leave it to take it down.

    Args:
        folder: The job's.
        growth: Of the server.
        job: The job's record as it stands now.
    """

    def __init__(self, folder: Path, growth: Growth, job: Callable[[], Job]) -> None:
        self._path = folder / "output"
        self._growth = growth
        self._job = job
        self._deaf = False
        self._stack = ExitStack()
        self._watch: Watch = self._stack.enter_context(growth.watch(job().id))

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    @property
    def job(self) -> Job:
        """The job's record as it stands now."""
        return self._job()

    def event(self) -> trio.Event:
        """To be taken **before** a look at the output: whatever happens after it sets this very event."""
        event = self._watch.event
        if not self.job.ended and not self._deaf:
            try:
                self._growth.attach(self._watch, self._path)
            except FileNotFoundError:
                pass  # the record changes when the job starts
            except OSError:
                self._deaf = True  # the user's limit of inotify watches is reached
        return event

    async def rung(self, event: trio.Event) -> None:
        """Wait for an event that was taken; where inotify has no room for this job, no longer than a second."""
        with trio.move_on_after(_DEAF_LOOK_S if self._deaf else math.inf):
            await event.wait()


class OutputReader(AbstractContextManager["OutputReader"]):
    """One reader of one job's output, before, during and after its run. Leave it to close its files.

    Made by ``JobCore.output``.
    """

    def __init__(self, folder: Path, growth: Growth, job: Callable[[], Job]) -> None:
        self._folder = folder
        self._growth = growth
        self._job = job
        self._stack = ExitStack()
        self._watch: Watch = self._stack.enter_context(growth.watch(job().id))
        self._index: RunIndex | None = None
        self.fd = -1

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the files; harmless the second time."""
        self._stack.close()
        self.fd = -1
        self._index = None

    @property
    def job(self) -> Job:
        """The job's record as it stands now."""
        return self._job()

    @property
    def gone(self) -> bool:
        """Retention has removed the output."""
        return self.job.output_removed

    @property
    def first(self) -> int:
        """The first kept offset: 0, or the end when all is gone (nothing is ever cut from the head)."""
        return self.job.output_bytes if self.gone else 0

    def size(self) -> int:
        """Bytes that can be read now."""
        if self.fd < 0 and not self._open():
            return 0
        return os.fstat(self.fd).st_size

    def read(self, offset: int, length: int) -> bytes:
        """Bytes at an offset, fewer only at the end."""
        return os.pread(self.fd, length, offset)

    def runs(self, start: int, end: int, *, limit_count: int) -> list[Run]:
        """The runs that cover ``[start, end)``, or as much of it as ``limit_count`` runs reach.

        ``end`` must come from ``size`` or ``more``: they looked at the file first, as the index demands.
        """
        index = self._runs()
        return [] if index is None else index.runs(start, end, limit_count=limit_count)

    def stream_runs(self, stream: Kind, position: int, end: int, *, limit_count: int, limit_bytes: int) -> list[Run]:
        """The runs of one stream from a position in it on; see ``RunIndex.stream_runs``. ``end`` as for ``runs``."""
        index = self._runs()
        if index is None:
            return []
        return index.stream_runs(stream, position, end, limit_count=limit_count, limit_bytes=limit_bytes)

    def start_of(self, offset: int, stream: Kind | None = None) -> int:
        """Turn a client's offset, which may count from the end, into one from the start.

        Args:
            offset: In bytes of the stream, or of the combined output without one; negative from the present end.
            stream: STDOUT, STDERR or None.

        Raises:
            OffsetError: It is beyond the end of an ended job's output.
            OutputGoneError: What is asked for is no longer kept.
        """
        ended = self.job.ended
        size = self.stream_size(stream)
        if self.gone and self.job.output_bytes:
            raise OutputGoneError(self.job.id)
        if offset < 0:
            return max(0, size + offset)
        if ended and offset > size:
            raise OffsetError(offset, size)
        return offset

    def stream_size(self, stream: Kind | None) -> int:
        """Bytes of one stream, or of both, that can be read now."""
        size = self.size()
        index = None if stream is None else self._runs()
        return size if stream is None else 0 if index is None else index.stream_size(stream, size)

    async def more(self, offset: int, limit_bytes: int, *, follow: bool = True) -> Extent | None:
        """Wait until there are bytes at ``offset``; None once the job has ended, or with ``follow`` off, without any.

        Args:
            offset: Position in the combined output.
            limit_bytes: Longest extent wanted.
            follow: Wait for a running job.
        """
        while True:
            bell = self._watch.event  # taken before the look: a change after it rings this very bell
            ended = self.job.ended
            size = self.size()
            if size > offset:
                return Extent(offset, min(size - offset, limit_bytes))
            if ended or not follow:
                return None
            await bell.wait()

    async def extents(
        self, offset: int, limit_bytes: int, *, stream: Kind | None = None, follow: bool = True
    ) -> AsyncGenerator[Extent, None]:
        """All output from an offset on, then what comes, until the end.

        Args:
            offset: From ``start_of``, with the same ``stream``.
            limit_bytes: Longest extent.
            stream: Only this stream; ``offset`` then counts its bytes.
            follow: Wait for a running job.
        """
        if stream is None:
            while (extent := await self.more(offset, limit_bytes, follow=follow)) is not None:
                yield extent
                offset += extent.length
            return
        seen = 0  # how far the combined output has been looked through
        while (ready := await self.more(seen, 1 << 62, follow=follow)) is not None:
            end = ready.offset + ready.length
            index = self._runs()
            assert index is not None
            while found := index.stream_runs(stream, offset, end, limit_count=_RUNS_BATCH_COUNT):
                for run in found:
                    for begin in range(run.offset, run.offset + run.length, limit_bytes):
                        yield Extent(begin, min(limit_bytes, run.offset + run.length - begin))
                    offset += run.length
            seen = end

    # -- files --

    def _open(self) -> bool:
        """Open ``output`` once it is there, and let its growth ring the bell before its size is looked at."""
        path = self._folder / "output"
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        self._stack.callback(os.close, fd)
        self.fd = fd
        if not self.job.ended:
            self._growth.attach(self._watch, path)
        return True

    def _runs(self) -> RunIndex | None:
        if self._index is None:
            fd = open_runs(self._folder / "runs")
            if fd is None:
                return None
            self._stack.callback(os.close, fd)
            self._index = RunIndex(fd)
        return self._index
