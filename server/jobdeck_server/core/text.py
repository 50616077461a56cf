"""One look at a job's output as a text: both streams together, or one of them with positions of its own.

A ``Text`` opens the files, takes the size, and reads only below it: nothing changes there any more, so everything that
is read of one ``Text`` fits together. Everything here blocks and belongs into threads.

A job that has not written yet, and one whose output was removed, have an empty text.
"""

from __future__ import annotations

import os
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING

from jobdeck_server.core.runs import Run, RunIndex

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from jobdeck_server.core.runs import Kind

_RUNS_BATCH_COUNT = 512
_AHEAD_BYTES = 64 * 1024  # short runs of one stream lie among those of the other: what lies between is read along


class Text(AbstractContextManager["Text"]):
    """See the top of this file. Leave it to close its files.

    Args:
        folder: The job's.
        stream: STDOUT, STDERR, or None for both.

    Attributes:
        size_bytes: How long it is; positions in it are those of the stream.
        file_bytes: How long ``output`` was at the same moment.
    """

    def __init__(self, folder: Path, stream: Kind | None = None) -> None:
        self._stack = ExitStack()
        self._stream = stream
        self._fd = self._open(folder / "output")
        self.file_bytes = 0 if self._fd is None else os.fstat(self._fd).st_size
        runs_fd = self._open(folder / "runs")  # after the size was taken, as the index demands
        try:
            self._index = None if runs_fd is None else RunIndex(runs_fd)
        except ValueError:
            self._index = None  # damaged: the bytes are there, and nobody knows whose
        self._ahead, self._ahead_offset = b"", 0
        if stream is None:
            self.size_bytes = self.file_bytes
        else:
            self.size_bytes = 0 if self._index is None else self._index.stream_size(stream, self.file_bytes)

    def __exit__(self, *_exc: object) -> None:
        self._stack.close()

    def _open(self, path: Path) -> int | None:
        try:
            fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        self._stack.callback(os.close, fd)
        return fd

    def read(self, position: int, length: int) -> bytes:
        """Bytes from a position on, fewer only at the end."""
        length = min(length, self.size_bytes - position)
        if length <= 0 or self._fd is None:
            return b""
        if self._stream is None:
            return os.pread(self._fd, length, position)
        return b"".join(self._peek(run.offset, run.length) for run in self.runs(position, length))

    def runs(self, position: int, length: int) -> Iterator[Run]:
        """The runs that make up ``length`` bytes from a position on, in order; fewer bytes only at the end.

        Their offsets are those in ``output``.
        """
        if self._index is None:
            return
        end = min(position + length, self.size_bytes)
        while position < end:
            if self._stream is None:
                found = self._index.runs(position, end, limit_count=_RUNS_BATCH_COUNT)
            else:
                found = self._index.stream_runs(
                    self._stream, position, self.file_bytes, limit_count=_RUNS_BATCH_COUNT, limit_bytes=end - position
                )
            if not found:
                return
            for run in found:
                taken = min(run.length, end - position)
                yield run if taken == run.length else Run(run.offset, taken, run.kind, run.time_us, run.flags)
                position += taken
                if position == end:
                    return

    def _peek(self, offset: int, length: int) -> bytes:
        """Bytes of ``output``, with a look ahead where they are few."""
        assert self._fd is not None
        if length >= _AHEAD_BYTES:
            return os.pread(self._fd, length, offset)
        at = offset - self._ahead_offset
        if at < 0 or at + length > len(self._ahead):
            at, self._ahead_offset = 0, offset
            self._ahead = os.pread(self._fd, min(_AHEAD_BYTES, self.file_bytes - offset), offset)
        return self._ahead[at : at + length]
