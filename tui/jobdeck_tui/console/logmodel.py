"""Which lines of a log are held, which are to be asked for, and which of them a screen shows. Pure.

A log has any number of lines; a console holds a few thousand. ``Pages`` is a cache of them, in pages of 256 lines that
may have gaps; it says what to ask for, and never more at once than a few pages. A log only grows, so what is held stays
true, but for a last line without its newline, which is asked for again when the log is longer.

A place in a log is an ``Anchor``: a line, and a row within it, since a wrapped line has several. Rows are counted from
one anchor to another near it, never from the log's start: nobody knows how many rows a million wrapped lines have.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from jobdeck_tui.console.settings import (
    LINES_ASKED_LIMIT_COUNT,
    LINES_HELD_LIMIT_BYTES,
    LINES_PAGE_COUNT,
    LINES_PAGES_LIMIT_COUNT,
)

__all__ = ["Anchor", "Ask", "LogLine", "Pages", "RowsOf", "last_top", "moved", "rows_from"]


class LogLine(Protocol):
    """A line as ``jobdeck_client`` tells it."""

    @property
    def n(self) -> int:
        """Its number, from 0."""

    @property
    def offset(self) -> int:
        """Where it begins, in bytes."""

    @property
    def length(self) -> int:
        """Its length in bytes without the newline; more than that of ``data`` if it was cut."""

    @property
    def newline(self) -> bool:
        """Whether it is finished."""

    @property
    def time_us(self) -> int:
        """When its first byte was written, microseconds UTC; 0 if nobody knows."""

    @property
    def runs(self) -> Sequence[tuple[int, str, int]]:
        """Which streams wrote ``data``: bytes, stream, time."""

    @property
    def data(self) -> bytes:
        """Its first bytes, without the newline."""


class Ask(NamedTuple):
    """Lines to be asked for."""

    start: int
    lines: int


class Anchor(NamedTuple):
    """A row on the screen: a line, and which of its rows."""

    line: int
    row: int = 0


RowsOf = Callable[[int], int]
"""How many rows a line has, at least one."""


class _Page:
    """Lines of one page by their place in it, and the bytes that they hold."""

    __slots__ = ("lines", "size_bytes")

    def __init__(self) -> None:
        self.lines: dict[int, LogLine] = {}
        self.size_bytes = 0

    def put(self, line: LogLine) -> int:
        """Take a line; returns by how much it holds more."""
        place = line.n % LINES_PAGE_COUNT
        former = self.lines.get(place)
        more = len(line.data) - (0 if former is None else len(former.data))
        self.lines[place] = line
        self.size_bytes += more
        return more


class Pages:
    """See the top of this file.

    Attributes:
        line_count: Lines of the log as far as is known.
        size_bytes: Of the log.
        held_bytes: Of the lines that are held.
    """

    def __init__(self) -> None:
        self.line_count = 0
        self.size_bytes = 0
        self.held_bytes = 0
        self._pages: OrderedDict[int, _Page] = OrderedDict()  # used last at the end
        self._asked: set[Ask] = set()
        self._open: tuple[int, int] | None = None  # the last line, while it has no newline, and its end in bytes

    def __len__(self) -> int:
        return len(self._pages)

    def grow(self, line_count: int, size_bytes: int) -> None:
        """The log is at least so long. News may be older than an answer that came before them."""
        self.line_count = max(self.line_count, line_count)
        self.size_bytes = max(self.size_bytes, size_bytes)

    def clear(self) -> None:
        """Hold nothing: another log. What is under way is not waited for."""
        self.line_count = self.size_bytes = self.held_bytes = 0
        self._pages.clear()
        self._asked.clear()
        self._open = None

    def put(self, lines: Iterable[LogLine]) -> None:
        """Hold lines, and drop those that were not looked at for longest."""
        for line in lines:
            number = line.n // LINES_PAGE_COUNT
            page = self._pages.get(number)
            if page is None:
                page = self._pages[number] = _Page()
            self._pages.move_to_end(number)
            self.held_bytes += page.put(line)
            if not line.newline:
                self._open = (line.n, line.offset + line.length)
            elif self._open is not None and self._open[0] == line.n:
                self._open = None
        while len(self._pages) > LINES_PAGES_LIMIT_COUNT or (
            self.held_bytes > LINES_HELD_LIMIT_BYTES and len(self._pages) > 1
        ):
            _, page = self._pages.popitem(last=False)
            self.held_bytes -= page.size_bytes

    def get(self, n: int) -> LogLine | None:
        """A line, None if it is not held. A last line may be longer by now."""
        number, place = divmod(n, LINES_PAGE_COUNT)
        page = self._pages.get(number)
        if page is None:
            return None
        self._pages.move_to_end(number)
        return page.lines.get(place)

    def holds(self, first: int, last: int) -> bool:
        """Whether these lines are held, up to date."""
        return all(self._fresh(n) for n in range(first, last + 1))

    def _fresh(self, n: int) -> bool:
        if self._open is not None and self._open[0] == n and self._open[1] < self.size_bytes:
            return False
        page = self._pages.get(n // LINES_PAGE_COUNT)
        return page is not None and n % LINES_PAGE_COUNT in page.lines

    def wanted(self, *ranges: tuple[int, int]) -> list[Ask]:
        """What to ask for so that lines are held; it counts as asked from now on.

        Args:
            ranges: First and last line of each, the most urgent first; they may reach beyond the log.
        """
        asks: list[Ask] = []
        for first, last in ranges:
            first, last = max(first, 0), min(last, self.line_count - 1)
            for number in range(first // LINES_PAGE_COUNT, last // LINES_PAGE_COUNT + 1) if first <= last else ():
                if len(self._asked) >= LINES_ASKED_LIMIT_COUNT:
                    return asks
                ask = self._lacking(number, first, last)
                if ask is not None:
                    self._asked.add(ask)
                    asks.append(ask)
        return asks

    def _lacking(self, number: int, first: int, last: int) -> Ask | None:
        """What a page lacks, all of it, if some of it is among the lines that are wanted and not asked for already."""
        begin = number * LINES_PAGE_COUNT
        end = min(begin + LINES_PAGE_COUNT, self.line_count)
        if all(self._fresh(n) or self._under_way(n) for n in range(max(first, begin), min(last + 1, end))):
            return None
        missing = [n for n in range(begin, end) if not self._fresh(n) and not self._under_way(n)]
        return Ask(missing[0], missing[-1] + 1 - missing[0])

    def _under_way(self, n: int) -> bool:
        return any(ask.start <= n < ask.start + ask.lines for ask in self._asked)

    def settled(self, ask: Ask) -> None:
        """An answer came, or none will come."""
        self._asked.discard(ask)


# -- rows --


def rows_from(top: Anchor, height: int, line_count: int, rows_of: RowsOf) -> list[Anchor]:
    """The rows of a screen that begins with ``top``: fewer than ``height`` only at the log's end."""
    found: list[Anchor] = []
    for anchor in _downward(top, line_count, rows_of):
        if len(found) >= height:
            break
        found.append(anchor)
    return found


def moved(anchor: Anchor, rows: int, line_count: int, rows_of: RowsOf) -> Anchor:
    """The anchor so many rows further down (up if negative), or as far as the log goes."""
    walk = _downward(anchor, line_count, rows_of) if rows >= 0 else _upward(anchor, rows_of)
    found = anchor
    for count, each in enumerate(walk):
        found = each
        if count == abs(rows):
            break
    return found


def last_top(height: int, line_count: int, rows_of: RowsOf) -> Anchor:
    """Where a screen begins that shows the log's end in its last row."""
    if line_count <= 0:
        return Anchor(0, 0)
    end = Anchor(line_count - 1, rows_of(line_count - 1) - 1)
    return moved(end, 1 - max(height, 1), line_count, rows_of)


def _downward(anchor: Anchor, line_count: int, rows_of: RowsOf) -> Iterator[Anchor]:
    line, row = anchor
    while line < line_count:
        count = rows_of(line)
        for each in range(min(row, count - 1), count):
            yield Anchor(line, each)
        line, row = line + 1, 0


def _upward(anchor: Anchor, rows_of: RowsOf) -> Iterator[Anchor]:
    line, row = anchor
    row = min(row, rows_of(line) - 1)
    while True:
        for each in range(row, -1, -1):
            yield Anchor(line, each)
        line -= 1
        if line < 0:
            return
        row = rows_of(line) - 1
