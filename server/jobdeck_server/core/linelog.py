"""One job's log as far as it is indexed, and the looks that take in what is new of it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import lineindex
from jobdeck_server.core.lineindex import LineIndex
from jobdeck_server.core.text import Text

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_server.core.runs import Kind

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

    def ring(self) -> None:
        """Wake all who wait for a look."""
        self.looked.set()
        self.looked = trio.Event()

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
            self.index.save(self.folder / "lines", saved_bytes=self._saved_bytes)
        self._saved_bytes = indexed
