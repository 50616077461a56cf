"""A page of lines: which are meant, and what is told of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import OffsetError, OutputGoneError
from jobdeck_server.core.linereader import Line, LineReader
from jobdeck_server.core.text import Text

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.lineindex import Mark
    from jobdeck_server.core.linelog import Log
    from jobdeck_server.core.runs import Kind

_REACH_BYTES = 1024 * 1024  # from an offset on, so much is waited for


@dataclass(frozen=True, slots=True, kw_only=True)
class PageQuery:
    """Which lines are wanted.

    Attributes:
        start: Number of the first; negative from the present end.
        offset: A byte of the first, instead of ``start``; negative from the present end.
        limit_count: The most lines.
        cap_bytes: The most bytes of each.
        stream: Of this stream alone, numbers and offsets its own.
    """

    start: int = 0
    offset: int | None = None
    limit_count: int
    cap_bytes: int
    stream: Kind | None = None

    def within(self, mark: Mark) -> bool:
        """Whether an index that reaches so far is enough, wherever the log may end."""
        if self.offset is not None:
            return 0 <= self.offset <= mark.indexed_bytes - _REACH_BYTES
        return 0 <= self.start <= mark.newline_count - self.limit_count


@dataclass(frozen=True, slots=True, kw_only=True)
class LinePage:
    """Some lines of a log.

    Attributes:
        start: Number of the first one, or of the one that would be.
        total: Lines in the first ``indexed_bytes``, those that were looked through for newlines.
        size_bytes: Of the log.
        indexed_bytes: See ``total``.
        ended: Nothing will be added to it.
        lines: Fewer than wanted at the end, and where the answer would be too long.
    """

    start: int
    total: int
    size_bytes: int
    indexed_bytes: int
    ended: bool
    lines: tuple[Line, ...]


def read_page(log: Log, job: Job, query: PageQuery, *, limit_bytes: int) -> LinePage:
    """Read a page, as far as the log is indexed. Blocks.

    Args:
        log: Looked at after ``job`` was read.
        job: Whose log it is.
        query: Which lines.
        limit_bytes: Of all data.

    Raises:
        OffsetError, OutputGoneError: See ``Lines.page``.
        OSError: The log cannot be read.
    """
    index = log.index
    mark = index.mark
    size_bytes = max(log.size_bytes, mark.indexed_bytes)
    with Text(log.folder, log.stream) as text:
        if text.size_bytes < mark.indexed_bytes or (not text.file_bytes and job.output_bytes):
            raise OutputGoneError(job.id)  # removed a moment ago
        reader = LineReader(text, index, mark)
        start = _first(reader, query, size_bytes, ended=job.ended)
        lines = reader.lines(start, limit_count=query.limit_count, cap_bytes=query.cap_bytes, limit_bytes=limit_bytes)
    return LinePage(
        start=start,
        total=mark.line_count,
        size_bytes=size_bytes,
        indexed_bytes=mark.indexed_bytes,
        ended=job.ended,
        lines=tuple(lines),
    )


def _first(reader: LineReader, query: PageQuery, size_bytes: int, *, ended: bool) -> int:
    """Number of the first line that is meant."""
    total = reader.mark.line_count
    offset = query.offset
    if offset is None:
        return query.start if query.start >= 0 else max(0, total + query.start)
    if offset < 0:
        offset = max(0, size_bytes + offset)
    if ended and offset > size_bytes:
        raise OffsetError(offset, size_bytes)
    return reader.line_at(offset) if offset < reader.mark.indexed_bytes else total
