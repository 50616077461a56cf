r"""Searching a log: a pattern, and the hits in the order in which somebody goes through the log.

A match lies within one line, and its line is all that a pattern sees: ``^`` and ``$`` are the line's ends, and what a
regular expression says of newlines says nothing. The hits of a line are found from its beginning on, each after the end
of the one before, in either direction of search; going backward turns their order round and changes nothing else.

Everything is searched by RE2, words too: its time grows with the text alone, whatever the pattern, and it works without
the interpreter's lock, so that no search holds up the server. It is given slices of whole lines, up to 1 MiB, and less
as long as a pattern is slow. Some patterns can tell a slice from a line (``\A``, ``(?-m)``, ``\C``): for these each
line is searched by itself, which takes longer.

A line of more than 1 MiB is searched in windows of that size that overlap by 256 KiB. Words are found in it as in any
other. So are matches of a regular expression of up to 256 KiB; a longer one may be cut at a window's end.
"""

from __future__ import annotations

import re
import threading
import time
from collections import deque
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Protocol

import re2  # type: ignore[import-untyped]  # the package tells no types

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.linereader import NEWLINE, LineReader
from jobdeck_server.core.text import Text

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator
    from pathlib import Path

    from jobdeck_server.core.lineindex import LineIndex, Mark
    from jobdeck_server.core.runs import Kind

WINDOW_BYTES = 1024 * 1024
OVERLAP_BYTES = 256 * 1024
_CONTEXT_BYTES = 8  # before a window, for what looks back (\b, ^)
_SLICE_LEAST_BYTES = 16 * 1024
_SLICE_FIRST_BYTES = 64 * 1024
_FAST_S, _SLOW_S = 0.01, 0.04  # a slice that takes less may be longer, one that takes more must be shorter
_STEP_S = 0.05
_STEP_BYTES = 32 * 1024 * 1024
_STEP_HITS_COUNT = 1000
# RE2 takes so much for a pattern's program and the states it has met. It also bounds the time of compiling, which holds
# the interpreter's lock: 3 ms for what people write, 30 ms for what is made to be slow.
_PATTERN_MEMORY_BYTES = 1024 * 1024
_LINES = "(?m)"  # before every regular expression: ^ and $ are the ends of lines
_TELLS_SLICE_FROM_LINE = re.compile(r"\\[AzC]|\(\?[a-zA-Z]*-")

Span = tuple[int, int]
"""Where a match begins, and the position after its last byte."""


class _Match(Protocol):
    def span(self) -> Span: ...


class _Regexp(Protocol):
    def search(self, text: bytes, pos: int) -> _Match | None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class FindQuery:
    """What to search for.

    Attributes:
        pattern: A regular expression of RE2, or words.
        regex: Which of the two.
        case: Upper and lower case are told apart.
        start: Number of the line to begin with, which is searched too; negative from the end; None for where the
            direction begins.
        backward: Go on with lines of smaller numbers.
        limit_count: The most hits.
        stream: Only this stream, numbers and offsets its own.
    """

    pattern: str
    regex: bool = False
    case: bool = True
    start: int | None = None
    backward: bool = False
    limit_count: int = 100
    stream: Kind | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """A match of ``length`` bytes at an offset, which is the byte ``column`` of its line."""

    line: int
    offset: int
    column: int
    length: int


@dataclass(frozen=True, slots=True)
class Progress:
    """The search has come to this line; it begins at or before the offset."""

    line: int
    offset: int


@dataclass(frozen=True, slots=True)
class Done:
    """The search is over.

    Attributes:
        hits: How many were found.
        more: It stopped since there were as many as wanted.
        line: Where it stopped: the line of the last hit if there may be more, else the one that would come next.
    """

    hits: int
    more: bool
    line: int


class Pattern:
    """A pattern made ready.

    Raises:
        BadRequestError: It is empty, holds a newline, or is no regular expression.
    """

    def __init__(self, query: FindQuery) -> None:
        if not query.pattern:
            raise BadRequestError("The pattern is empty.", field="pattern")
        if not query.regex and "\n" in query.pattern:
            raise BadRequestError("The pattern holds a newline; a match lies within one line.", field="pattern")
        self.by_line = query.regex and _TELLS_SLICE_FROM_LINE.search(query.pattern) is not None
        self._regexp = _compiled(_LINES + query.pattern if query.regex else query.pattern, query)

    def spans(self, data: bytes, start: int = 0) -> Iterator[Span]:
        """Matches in whole lines, or in a part of one, from ``start`` on; what stands before is only looked back at."""
        if not self.by_line or start:
            yield from self._spans(data, start)
            return
        for line in data.split(NEWLINE):
            for begin, end in self._spans(line, 0):
                yield start + begin, start + end
            start += len(line) + 1

    def _spans(self, data: bytes, start: int) -> Iterator[Span]:
        # RE2's own iterator tells an empty match after another one twice
        while start <= len(data) and (match := self._regexp.search(data, start)) is not None:
            begin, end = match.span()
            yield begin, end
            start = end if end > begin else end + 1


def _compiled(pattern: str, query: FindQuery) -> _Regexp:
    options = re2.Options()
    options.literal, options.case_sensitive = not query.regex, query.case
    options.never_nl, options.log_errors, options.max_mem = True, False, _PATTERN_MEMORY_BYTES
    try:
        data = pattern.encode()
        re2.purge()  # its cache would hold the memory of the last 128
        regexp: _Regexp = re2.compile(data, options)
    except UnicodeEncodeError as error:
        raise BadRequestError("The pattern is no text.", field="pattern") from error
    except re2.error as error:
        why = error.args[0].decode(errors="replace") if error.args and isinstance(error.args[0], bytes) else str(error)
        raise BadRequestError(f"This cannot be searched for: {why.replace(_LINES, '', 1)}.", field="pattern") from error
    return regexp


class Search:
    """One search, step by step. ``step`` blocks; it is called in one thread at a time.

    Args:
        folder: The job's.
        index: Of the log, as far as ``mark`` tells; what lies behind that is not searched.
        mark: See there.
        query: What is wanted.
        pattern: Of the query, made ready.

    Attributes:
        done: All was searched, or as many hits were found as wanted.
        offset: How far it has come.
        line: The line there, as of the last step.
    """

    def __init__(self, folder: Path, *, index: LineIndex, mark: Mark, query: FindQuery, pattern: Pattern) -> None:
        self._folder, self._index, self._mark = folder, index, mark
        self._query = query
        self._pattern = pattern
        self._left_count = query.limit_count
        self._slice_bytes = _SLICE_FIRST_BYTES
        self._reader: LineReader | None = None  # while it works
        self._work = self._run()
        self._working = threading.Lock()
        self._closed = False
        self.done = False
        self.offset = 0
        self.line = 0

    @property
    def hits_count(self) -> int:
        """Hits so far."""
        return self._query.limit_count - self._left_count

    @property
    def more(self) -> bool:
        """It stopped at the limit."""
        return self._left_count == 0

    def step(self) -> list[Hit]:
        """Search on for a moment; the hits that were found.

        Raises:
            OSError: The log cannot be read.
        """
        with self._working:
            found = self._step()
        self._free()
        return found

    def close(self) -> None:
        """Free what it holds, at once or at the end of a step that is under way."""
        self._closed = True
        self._free()

    def _free(self) -> None:
        # After either of the two events, whoever comes second finds the lock free.
        if self._closed and self._working.acquire(blocking=False):
            try:
                self._work.close()
            finally:
                self._working.release()

    def _step(self) -> list[Hit]:
        found: list[Hit] = []
        deadline_s, begun = time.monotonic() + _STEP_S, self.offset
        while time.monotonic() < deadline_s and abs(self.offset - begun) < _STEP_BYTES:
            hits = next(self._work, None)
            if hits is None:
                self.done = True
                break
            found += hits
            if len(found) >= _STEP_HITS_COUNT:
                break
        if self._reader is not None:
            self.line = self._reader.line_at(self.offset)
        return found

    def _run(self) -> Generator[list[Hit], None, None]:
        """Yield the hits of one slice after the other."""
        with Text(self._folder, self._query.stream) as text:
            if text.size_bytes < self._mark.indexed_bytes:
                return  # removed a moment ago
            reader = self._reader = LineReader(text, self._index, self._mark)
            for hits in self._backward(reader) if self._query.backward else self._forward(reader):
                wanted = hits[: self._left_count]
                self._left_count -= len(wanted)
                yield wanted
                if self.more:
                    break
            self._reader = None
            self.line = wanted[-1].line if self.more else reader.line_at(self.offset)

    def _first_line(self) -> int:
        start = self._query.start
        if start is None:
            start = -1 if self._query.backward else 0
        return max(0, start + self._mark.line_count) if start < 0 else start

    def _forward(self, reader: LineReader) -> Iterator[list[Hit]]:
        n, end = self._first_line(), self._mark.indexed_bytes
        self.offset = reader.start_of(n) if n < self._mark.line_count else end
        yield []  # nothing yet, but where it begins
        while self.offset < end:
            data = reader.read(self.offset, min(self._slice_bytes, end - self.offset))
            if len(data) < end - self.offset:
                data = data[: data.rfind(NEWLINE) + 1]
            if data:
                spans = self._spans(data)
                hits = _hits(reader, self.offset, data, spans)
                self.offset += len(data)
                yield hits
                continue
            n = reader.line_at(self.offset)
            start, stop = self.offset, reader.end_of(n, self.offset)
            for seen, spans in self._long_line(reader, start, stop):
                self.offset = seen
                yield [Hit(n, begin, begin - start, until - begin) for begin, until in spans]
            self.offset = min(end, stop + 1)

    def _backward(self, reader: LineReader) -> Iterator[list[Hit]]:
        n = min(self._first_line(), self._mark.line_count - 1)
        self.offset = reader.start_of(n + 1)
        yield []
        while self.offset > 0:
            start = max(0, self.offset - self._slice_bytes)
            data = reader.read(start, self.offset - start)
            if start:
                cut = data.find(NEWLINE, 0, len(data) - 1) + 1
                data = data[cut:] if cut else b""
            if data:
                start = self.offset - len(data)
                hits = _hits(reader, start, data, self._spans(data))
                self.offset = start
                yield hits[::-1]
                continue
            n = reader.line_at(self.offset - 1)
            start, stop = reader.start_of(n), reader.end_of(n, self.offset - 1)
            last: deque[Span] = deque(maxlen=self._left_count)
            for _, spans in self._long_line(reader, start, stop):
                last.extend(spans)
                yield []
            self.offset = start
            yield [Hit(n, begin, begin - start, until - begin) for begin, until in reversed(last)]

    def _spans(self, data: bytes) -> list[Span]:
        """Matches in a slice of whole lines: the first as many as are wanted, or the last."""
        begun_s = time.monotonic()
        # behind a last newline is no line
        found = self._kept(_begun_before(self._pattern.spans(data), len(data) + (not data.endswith(NEWLINE))))
        took_s = time.monotonic() - begun_s
        if took_s > _SLOW_S:
            self._slice_bytes = max(self._slice_bytes // 2, _SLICE_LEAST_BYTES)
        elif took_s < _FAST_S:
            self._slice_bytes = min(self._slice_bytes * 2, WINDOW_BYTES)
        return found

    def _long_line(self, reader: LineReader, start: int, end: int) -> Iterator[tuple[int, list[Span]]]:
        """Matches in a line that is no part of a slice, window by window, and how far that is; positions of the log."""
        at = start
        while True:
            before = min(_CONTEXT_BYTES, at - start)
            stop = min(end, at + WINDOW_BYTES)
            data = reader.read(at - before, stop - at + before)
            shift = at - before
            upto = stop + 1 if stop == end else stop - OVERLAP_BYTES  # a match that begins later is the next window's
            spans = ((shift + begin, shift + until) for begin, until in self._pattern.spans(data, before))
            found = self._kept(_begun_before(spans, upto))
            if stop == end:
                yield end, found
                return
            at = max(upto, found[-1][1]) if found else upto
            yield at, found

    def _kept(self, spans: Iterator[Span]) -> list[Span]:
        """The first as many as are still wanted, or the last."""
        if self._query.backward:
            return list(deque(spans, maxlen=self._left_count))
        return list(islice(spans, self._left_count))


def _begun_before(spans: Iterator[Span], limit: int) -> Iterator[Span]:
    for span in spans:
        if span[0] >= limit:
            return
        yield span


def _hits(reader: LineReader, offset: int, data: bytes, spans: list[Span]) -> list[Hit]:
    """Matches in a slice of whole lines from ``offset`` on, with the numbers of their lines."""
    if not spans:
        return []
    n, seen, line_start = reader.line_at(offset), 0, 0
    found = []
    for begin, end in spans:
        newlines = data.count(NEWLINE, seen, begin)
        if newlines:
            n, line_start = n + newlines, data.rfind(NEWLINE, seen, begin) + 1
        seen = begin
        found.append(Hit(n, offset + begin, begin - line_start, end - begin))
    return found
