"""Reading lines: from a number or an offset to the line, its bytes, and who wrote them when.

A ``LineReader`` joins one look at a log (``Text``) and the index of its newlines, both as they were at one moment. What
it reads is bounded by what is asked for, never by the length of a line: where a line ends is asked of the index as soon
as it is not to be seen nearby. Everything here blocks and belongs into threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from jobdeck_server.core.lineindex import BLOCK_BYTES
from jobdeck_server.core.runs import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_server.core.lineindex import LineIndex, Mark
    from jobdeck_server.core.text import Text

NEWLINE = b"\n"
_RUNS_LIMIT_COUNT = 64
_WINDOW_BYTES = 16 * 1024  # looked at from a line on
_STEP_BYTES = 512  # in so many bytes newlines are found one by one

LineRun = tuple[int, Kind, int]
"""Length in bytes, stream, and time in microseconds UTC."""


class Line(NamedTuple):
    """One line. A tuple, since a page has hundreds of them and is made while the server's loop waits for the lock.

    Attributes:
        n: Its number, from 0.
        offset: Of its first byte.
        length: In bytes, without the newline.
        newline: It has one; only the last line may be without.
        time_us: When its first byte was moved, microseconds UTC; 0 if that is not known.
        runs: What of ``data`` was written by whom, one after the other.
        data: Its first bytes.
    """

    n: int
    offset: int
    length: int
    newline: bool
    time_us: int
    runs: tuple[LineRun, ...]
    data: bytes


class LineReader:
    """See the top of this file.

    Args:
        text: Not shorter than what ``mark`` tells.
        index: Of this text.
        mark: How far to believe it.
    """

    def __init__(self, text: Text, index: LineIndex, mark: Mark) -> None:
        self.mark = mark
        self._text = text
        self._index = index
        self._window, self._window_offset = b"", 0
        self._runs = _Runs(text)

    def start_of(self, n: int) -> int:
        """Offset of the first byte of a line, which may be the one after the last."""
        if not n:
            return 0
        if n > self.mark.newline_count:
            return self.mark.indexed_bytes
        place = self._index.place_of_newline(n)
        data = self.read(place.offset, min(BLOCK_BYTES, self.mark.indexed_bytes - place.offset))
        return place.offset + _nth_newline(data, n - place.newline_count) + 1

    def line_at(self, offset: int) -> int:
        """Number of the line that holds a byte, or would if there were one."""
        offset = min(offset, self.mark.indexed_bytes)
        place = self._index.place_of_offset(offset)
        return place.newline_count + self.read(place.offset, offset - place.offset).count(NEWLINE)

    def end_of(self, n: int, offset: int) -> int:
        """Offset after a line's last byte, without its newline.

        Args:
            n: Its number.
            offset: Somewhere in it.
        """
        if n >= self.mark.newline_count:
            return self.mark.indexed_bytes
        at = offset - self._window_offset
        at = self._window.find(NEWLINE, at) if at >= 0 else -1
        if at < 0:
            self._window, self._window_offset = self._text.read(offset, _WINDOW_BYTES), offset
            at = self._window.find(NEWLINE)
        return self._window_offset + at if at >= 0 else self.start_of(n + 1) - 1

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the text."""
        at = offset - self._window_offset
        if 0 <= at <= len(self._window) - length:
            return self._window[at : at + length]
        return self._text.read(offset, length)

    def lines(self, n: int, *, limit_count: int, cap_bytes: int, limit_bytes: int) -> list[Line]:
        """Lines from a number on.

        Args:
            n: Of the first one.
            limit_count: The most lines.
            cap_bytes: The most bytes of each.
            limit_bytes: The most bytes of all; the first line is told in any case.
        """
        found: list[Line] = []
        offset, kept_bytes = self.start_of(n), 0
        newline_count = self.mark.newline_count
        for number in range(n, min(n + limit_count, self.mark.line_count)):
            end = self.end_of(number, offset)
            data = self.read(offset, min(end - offset, cap_bytes))
            kept_bytes += len(data)
            if found and kept_bytes > limit_bytes:
                break
            runs = self._runs.cover(offset, len(data))
            time_us = runs[0][2] if runs else self._runs.time_at(offset)
            found.append(Line(number, offset, end - offset, number < newline_count, time_us, runs, data))
            offset = end + 1
        return found


class _Runs:
    """The runs of a text, for one line after the other."""

    def __init__(self, text: Text) -> None:
        self._text = text
        self._ahead: Iterator[LineRun] = iter(())
        self._run: LineRun | None = None  # the present one
        self._start = 0  # position of its first byte
        self._end = -1  # runs are known up to here

    def cover(self, position: int, length: int) -> tuple[LineRun, ...]:
        """Who wrote some bytes when. Neighbours of one stream are one run; what would be too many are ``UNKNOWN``."""
        run = self._run
        if run is not None and self._start <= position and position + length <= self._start + run[0]:
            return ((length, run[1], run[2]),) if length else ()  # nearly always
        found: list[LineRun] = []
        left = length
        while left and (run := self._at(position + length - left, left)) is not None:
            taken = min(run[0], left)
            if found and found[-1][1] is run[1]:
                found[-1] = (found[-1][0] + taken, run[1], found[-1][2])
            elif len(found) == _RUNS_LIMIT_COUNT:
                break
            else:
                found.append((taken, run[1], run[2]))
            left -= taken
        if left:
            rest = found.pop() if len(found) == _RUNS_LIMIT_COUNT else (0, Kind.UNKNOWN, 0)
            found.append((left + rest[0], Kind.UNKNOWN, rest[2]))
        return tuple(found)

    def time_at(self, position: int) -> int:
        """When a byte was moved; 0 if that is not known."""
        run = self._at(position, 1)
        return 0 if run is None else run[2]

    def _at(self, position: int, length: int) -> LineRun | None:
        """What is left of the run at a position."""
        if self._run is None or not self._start <= position < self._end:
            length = max(length, _WINDOW_BYTES)
            self._ahead = ((run.length, _kind(run.kind), run.time_us) for run in self._text.runs(position, length))
            self._run, self._start, self._end = next(self._ahead, None), position, position + length
        while self._run is not None and self._start + self._run[0] <= position:
            self._start += self._run[0]
            self._run = next(self._ahead, None)
        if self._run is None:
            return None
        return self._start + self._run[0] - position, self._run[1], self._run[2]


def _kind(number: int) -> Kind:
    return Kind(number) if number in (Kind.STDOUT, Kind.STDERR, Kind.TERMINAL) else Kind.UNKNOWN


def _nth_newline(data: bytes, number: int) -> int:
    """Where in ``data`` the newline with a number, counted from 1, stands; it is there."""
    start, stop = 0, len(data)
    while stop - start > _STEP_BYTES:
        middle = (start + stop) // 2
        count = data.count(NEWLINE, start, middle)
        if number <= count:
            stop = middle
        else:
            number, start = number - count, middle
    for _ in range(number):
        start = data.index(NEWLINE, start) + 1
    return start - 1
