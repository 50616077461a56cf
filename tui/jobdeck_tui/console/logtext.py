"""The lines of one log that are held, laid out for one view: wrapped or not, with the marks that stand between them.

Between ``logmodel``, which knows lines as bytes, and the widget that draws rows. What was laid out is kept for the few
hundred lines around the screen, and made anew when a line or the view's measures change.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

from jobdeck_tui.console.ansi import OVERWRITTEN, Look, Shown, Tag, lay_out
from jobdeck_tui.console.logmodel import Pages
from jobdeck_tui.console.settings import LINE_CAP_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.strip import Strip

    from jobdeck_tui.console.finder import Finder
    from jobdeck_tui.console.logmodel import Ask, LogLine

__all__ = ["NOW", "STDERR", "Laid", "LogText", "Tail"]

STDERR = "stderr"
NOW = "now"
"""The hit that was gone to last."""
_LAID_LIMIT_COUNT = 600
_TAILS_LIMIT_COUNT = 64
_NOTHING = Shown("", (), ())


class Tail(NamedTuple):
    """The end of a line of which only the beginning is held, to be asked for by its bytes."""

    n: int
    start: int
    end: int


class Laid:
    """A line laid out.

    Attributes:
        line: None while it is not held.
        shown: Its text.
        starts: The first character of each of its rows of text.
        stderr: Some of it was written to stderr.
        strips: What was drawn of it, by row; whoever draws keeps it here.
    """

    __slots__ = ("line", "shown", "starts", "stderr", "strips")

    def __init__(self, line: LogLine | None, shown: Shown, starts: list[int]) -> None:
        self.line = line
        self.shown = shown
        self.starts = starts
        self.stderr = line is not None and any(stream == STDERR for _, stream, _ in line.runs)
        self.strips: dict[int, Strip] = {}


class LogText:
    """See the top of this file.

    Attributes:
        pages: The lines.
        marks: Words of the rules that stand below lines, by line.
        tint: What stderr wrote is told apart.
    """

    def __init__(self) -> None:
        self.pages = Pages()
        self.marks: dict[int, str] = {}
        self.tint = True
        self._wrap_cells: int | None = None
        self._finder: Finder | None = None
        self._now: tuple[int, Tag] | None = None
        self._laid: OrderedDict[int, Laid] = OrderedDict()
        self._tails: OrderedDict[int, tuple[int, bytes]] = OrderedDict()

    def clear(self) -> None:
        """Another log."""
        self.pages.clear()
        self.marks = {}
        self._now = None
        self._laid.clear()
        self._tails.clear()

    # -- how it is laid out --

    def wrap_at(self, cells: int | None) -> bool:
        """Wrap lines at so many cells, None for not at all; whether that is a change."""
        if cells == self._wrap_cells:
            return False
        self._wrap_cells = cells
        self._laid.clear()
        return True

    def find(self, finder: Finder | None) -> None:
        """Tag the matches of this."""
        self._finder, self._now = finder, None
        self._laid.clear()

    def point_out(self, n: int, tag: Tag | None) -> None:
        """Tag one match, in the bytes of its line, as the one that was gone to; None for none."""
        for each in (n, -1 if self._now is None else self._now[0]):
            self._laid.pop(each, None)
        self._now = None if tag is None else (n, tag)

    def redraw(self) -> None:
        """Forget what was drawn."""
        for laid in self._laid.values():
            laid.strips.clear()

    # -- lines --

    def take(self, lines: Iterable[LogLine]) -> None:
        """Lines came."""
        self.pages.put(lines)

    def take_tail(self, tail: Tail, data: bytes) -> None:
        """The end of a line came."""
        self._tails[tail.n] = (tail.end, data)
        while len(self._tails) > _TAILS_LIMIT_COUNT:
            self._tails.popitem(last=False)
        self._laid.pop(tail.n, None)

    def laid(self, n: int) -> Laid:
        """A line as it is shown now."""
        line = self.pages.get(n)
        if line is None:
            return Laid(None, _NOTHING, [0])
        found = self._laid.get(n)
        if found is None or found.line is not line:
            found = self._laid[n] = self._lay_out(line)
            if len(self._laid) > _LAID_LIMIT_COUNT:
                self._laid.popitem(last=False)
        self._laid.move_to_end(n)
        return found

    def rows_of(self, n: int) -> int:
        """Its rows; a rule below it is the last of them."""
        count = 1 if self._wrap_cells is None else len(self.laid(n).starts)
        return count + (n in self.marks)

    def _lay_out(self, line: LogLine) -> Laid:
        shown = self._last_shown(line)
        if shown is None:
            tags = self._streams(line) if self.tint else []
            if self._finder is not None:
                tags += self._finder.tags(line.data)
            if self._now is not None and self._now[0] == line.n:
                tags.append(self._now[1])
            shown = lay_out(line.data, tags, cut=line.length > len(line.data) or not line.newline)
        return Laid(line, shown, [0] if self._wrap_cells is None else shown.rows(self._wrap_cells))

    def _last_shown(self, line: LogLine) -> Shown | None:
        """What stands there last of a line that overwrites itself and of which the end is held too, else None."""
        end, data = self._tails.get(line.n, (0, b""))
        _, back, rest = data.partition(b"\r")
        if not back or end != line.offset + line.length:
            return None
        shown = lay_out(rest, cut=not line.newline)
        if shown.text.startswith(OVERWRITTEN):
            return shown
        looks = tuple((stop + 1, look) for stop, look in shown.looks)
        return Shown(OVERWRITTEN + shown.text, ((1, Look(dim=True)), *looks), ())

    def _streams(self, line: LogLine) -> list[Tag]:
        tags: list[Tag] = []
        at = 0
        for length, stream, _ in line.runs:
            if stream == STDERR:
                tags.append(Tag(at, at + length, STDERR))
            at += length
        return tags

    # -- what is lacking --

    def asks(self, first: int, last: int, height: int) -> list[Ask]:
        """Lines to ask for: those on the screen, then those around it."""
        return self.pages.wanted((first, last), (last + 1, last + height), (first - height, first - 1))

    def tails(self, first: int, last: int) -> list[Tail]:
        """Ends of lines to ask for: a progress bar shows what was written last, and only its beginning is held."""
        found: list[Tail] = []
        for n in range(first, last + 1):
            line = self.pages.get(n)
            if line is None or line.length <= len(line.data) or b"\r" not in line.data:
                continue
            end = line.offset + line.length
            if self._tails.get(n, (0, b""))[0] != end:
                found.append(Tail(n, max(line.offset, end - LINE_CAP_BYTES), end))
        return found
