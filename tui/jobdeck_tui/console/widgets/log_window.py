"""A window on a log of any size: it holds what is seen and little more, and says what it lacks.

Where the window begins is an anchor, a line and a row of it (``_top``); the scroll bar only tells of it. One row of the
window is where reading goes on (``_at``): keys that act on a line act on the one there. Moving by rows moves the log
beneath it, and it moves itself where the log cannot: so one press is one row, always.

While it follows, it shows the log's end as of the last answer that held all of it, never an end that it has no lines
for. Its owner asks the server: for ``needs()`` whenever ``Changed`` was posted, and for the end while ``follow`` is set
and the log grows. Nothing is asked for while a row is drawn, since a message that is made then gets lost.

This is the window itself; ``log_view`` adds the keys and the mouse.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from jobdeck_tui.console.ansi import Tag
from jobdeck_tui.console.logmodel import Anchor, last_top, moved, rows_from
from jobdeck_tui.console.logtext import NOW, LogText
from jobdeck_tui.console.selection import Selection, Spot
from jobdeck_tui.console.widgets.log_paint import (
    COMPONENTS,
    SELECTED,
    Frame,
    Ink,
    Row,
    Times,
    ink_of,
    rule,
    strip_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import ClassVar

    from jobdeck_tui.console.finder import Finder
    from jobdeck_tui.console.logmodel import Ask, LogLine
    from jobdeck_tui.console.logtext import Laid, Tail

__all__ = ["LogWindow"]

_NUMBERS_LEAST_WIDTH = 60
_DIGITS_LEAST = 3
_BAR_STEPS_PER_CELL = 8
_BAR_LEAST_CHANGE = 0.05  # of the log's length, that dragging it goes where it should


class LogWindow(ScrollView, can_focus=True, inherit_bindings=False):
    """See the top of this file.

    Attributes:
        text: The lines.
        follow: The end is shown, and goes on being shown.
        note: Words that stand there while there is no line.
        selection: What is selected, None for nothing.
        frame: Measures and toggles; changed by ``reframe``.
        rows: What is on the screen.
        numbers: Lines have numbers where there is room for them.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = set(COMPONENTS)
    ALLOW_SELECT = False
    DEFAULT_CSS = """
    LogWindow {
        height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        background: $surface; color: $foreground;
        & > .log--stderr { color: $text-error; }
        & > .log--number { color: $foreground 40%; }
        & > .log--time { color: $foreground 60%; }
        & > .log--rule { color: $text-warning; text-style: bold; }
        & > .log--hint { color: $text-accent; text-style: bold; }
        & > .log--hit { background: $warning-muted; color: $foreground; text-style: underline; }
        & > .log--now { background: $warning; color: $text; text-style: bold; }
        & > .log--selected { background: $primary; color: $text; }
        & > .log--cursor { background: $boost; }
        &:focus > .log--cursor { background: $foreground 12%; }
    }
    """

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False, repaint=False)  # growth alone shows nothing new
    follow: Reactive[bool] = Reactive(True, repaint=False)
    note: Reactive[str] = Reactive("")

    class Changed(Message):
        """What is shown, or how, is another; something may be lacking (``needs``)."""

    def __init__(self, *, times: Times = Times.OFF, wrap: bool = False, numbers: bool = True) -> None:
        super().__init__()
        self.text = LogText()
        self.selection: Selection | None = None
        self.frame = Frame(times=times, wrap=wrap)
        self.numbers = numbers
        self._top = Anchor(0)
        self._at = 0
        self.rows: list[Anchor] = []
        self._ink: Ink | None = None
        self._reveal: int | None = None
        self._bar_seen = (0, 0, 0)

    # -- what is shown --

    @property
    def window(self) -> Size:
        """Its room without the scroll bar."""
        return self.scrollable_content_region.size

    @property
    def line_count(self) -> int:
        """Lines of the log, as far as is known here."""
        return self.text.pages.line_count

    @property
    def cursor_line(self) -> int | None:
        """The line on which keys act; None if there is none."""
        return self.rows[min(self._at, len(self.rows) - 1)].line if self.rows else None

    @property
    def lines_seen(self) -> tuple[int, int]:
        """The first and the last line on the screen; the last one is before the first where there is none."""
        return (self.rows[0].line, self.rows[-1].line) if self.rows else (0, -1)

    @property
    def end_count(self) -> int:
        """How many of the last lines fill the window."""
        return max(1, self.window.height)

    def needs(self) -> tuple[list[Ask], list[Tail]]:
        """What to ask the server for now: lines, and ends of long lines; the lines count as asked for from now on."""
        first, last = self.lines_seen
        around = 0 if self.follow else self.window.height  # nobody reads above an end that moves on
        return self.text.asks(first, max(last, first), around), self.text.tails(first, last)

    # -- what comes from the owner --

    def clear(self, *, note: str = "") -> None:
        """Another log: nothing is known of it, and its end is wanted."""
        self.text.clear()
        self.selection, self._reveal = None, None
        self._top, self._at = Anchor(0), 0
        self.frame = replace(self.frame, left=0)
        self.follow, self.note = True, note
        self.lay_out()

    def grow(self, line_count: int, size_bytes: int) -> None:
        """The log is so long; while it follows, its owner asks for the end instead."""
        self.text.pages.grow(line_count, size_bytes)
        self.lay_out(repaint=False)

    def take(self, lines: Iterable[LogLine]) -> None:
        """Lines that were asked for came."""
        self.text.take(lines)
        self.lay_out()

    def take_end(self, lines: Iterable[LogLine], line_count: int, size_bytes: int) -> None:
        """The log's end came: all of the lines up to its last."""
        self.text.pages.grow(line_count, size_bytes)
        self.take(lines)

    def take_tail(self, tail: Tail, data: bytes) -> None:
        """The end of a long line came."""
        self.text.take_tail(tail, data)
        self.lay_out()

    def start_at(self, start_us: int | None) -> None:
        """When the job was started."""
        if start_us != self.frame.start_us:
            self.reframe(replace(self.frame, start_us=start_us))

    def tint(self, on: bool) -> None:
        """Tell what stderr wrote apart."""
        self.text.tint = on
        self.text.find(None)

    def find(self, finder: Finder | None) -> None:
        """Mark all matches of this; None for no more marks."""
        self.text.find(finder)
        self.lay_out()

    def go_to(self, line: int, *, hit: Tag | None = None) -> None:
        """Show a line, a third from the top if it is not on the screen; ``hit`` is marked, in its bytes."""
        self.follow = False
        if hit is not None:  # then there is such a line, though the log was not told yet to be so long
            self.text.pages.grow(line + 1, 0)
        line = max(0, min(line, self.line_count - 1))
        self.text.point_out(line, hit)
        first, last = self.lines_seen
        if not first < line < last:
            self._top = moved(Anchor(line), -(self.window.height // 3), self.line_count, self.text.rows_of)
        self._reveal = None if hit is None else line
        self.lay_out()
        self._stand(Anchor(line))

    # -- layout --

    def lay_out(self, *, repaint: bool = True) -> None:
        """Find out anew which rows are shown; everything that changes anything ends here.

        Args:
            repaint: What the rows show may be another too; else they are drawn only if they are others.
        """
        height, count, rows_of = self.window.height, self.line_count, self.text.rows_of
        if not height or not self.is_attached:
            return
        former = self.rows, self.frame
        self._fit()
        bottom = last_top(height, count, rows_of)
        self._top = bottom if self.follow else max(Anchor(0), min(self._top, bottom))
        self._show_hit()
        self.rows = rows_from(self._top, height, count, rows_of)
        self._at = len(self.rows) - 1 if self.follow else max(0, min(self._at, len(self.rows) - 1))
        self._tell_scroll_bar(bottom.line + height)
        if repaint or former != (self.rows, self.frame):
            self.refresh()
        self.post_message(self.Changed())

    def _fit(self) -> None:
        """Measures that follow from the size and from the number of lines. What was at the top stays there."""
        numbers = self.numbers and self.window.width >= _NUMBERS_LEAST_WIDTH
        digits = max(_DIGITS_LEAST, len(str(self.line_count))) if numbers else 0
        frame = replace(self.frame, width=self.window.width, digits=digits)
        if frame != self.frame:
            self.frame = frame
            self.text.redraw()
        line, row = self._top
        starts = self.text.laid(line).starts
        if self.text.wrap_at(frame.text_width if frame.wrap else None) and row:
            first = starts[min(row, len(starts) - 1)]
            self._top = Anchor(line, bisect_right(self.text.laid(line).starts, first) - 1)

    def _tell_scroll_bar(self, height: int) -> None:
        """Let the bar stand where the window is. It is only drawn anew when that can be seen."""
        size = Size(self.size.width, height)
        if size != self.virtual_size:
            self.virtual_size = size
        # Watchers would have all rows drawn, and would ask where to scroll to.
        self.set_reactive(ScrollView.scroll_y, float(self._top.line))
        self.set_reactive(ScrollView.scroll_target_y, float(self._top.line))
        bar, rows = self.vertical_scrollbar, self.window.height
        steps = rows * _BAR_STEPS_PER_CELL
        seen = (self._top.line * steps // height, rows * steps // height, rows)
        if seen != self._bar_seen or abs(bar.window_virtual_size - height) > height * _BAR_LEAST_CHANGE:
            self._bar_seen = seen
            bar.window_virtual_size, bar.window_size, bar.position = height, rows, self._top.line

    def _show_hit(self) -> None:
        """Scroll to where the hit is within the line that was gone to, as soon as the line is there."""
        if self._reveal is None:
            return
        line, laid = self._reveal, self.text.laid(self._reveal)
        if laid.line is None:
            return
        self._reveal = None
        char = next((tag.start for tag in laid.shown.tags if tag.kind == NOW), 0)
        height, frame = self.window.height, self.frame
        if frame.wrap:
            hit = Anchor(line, bisect_right(laid.starts, char) - 1)
            if hit not in rows_from(self._top, height, self.line_count, self.text.rows_of):
                self._top, self._at = moved(hit, -(height // 3), self.line_count, self.text.rows_of), height // 3
        elif not frame.left <= laid.shown.cell_of(char) < frame.left + frame.text_width - 1:
            left = max(0, laid.shown.cell_of(char) - frame.text_width // 3)
            self.reframe(replace(frame, left=left), again=False)

    def reframe(self, frame: Frame, *, again: bool = True) -> None:
        """Take other measures or toggles."""
        self.frame = frame
        self.text.redraw()
        if again:
            self.lay_out()

    def watch_follow(self) -> None:
        """The keys that can be pressed are others."""
        self.refresh_bindings()

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The scroll bar was dragged; or the window grew, and Textual has made the place fit to it."""
        del old_value
        self.vertical_scrollbar.position = new_value
        line = round(new_value)
        if line != self._top.line:
            self.follow = self.follow and line >= self.max_scroll_y
            self._top = Anchor(line)
            self.lay_out()

    def on_resize(self) -> None:
        """Other measures; what was at the top stays there."""
        self.lay_out()

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._ink = None
        self.text.redraw()

    # -- moving --

    def stand_at(self, y: int) -> None:
        """Go on reading at a row of the window."""
        self._at = max(0, min(y, len(self.rows) - 1))
        self.refresh()

    def uncover(self, line: int) -> None:
        """Scroll by a row if the last row of a line is just below the window; reading goes on where it did."""
        last = Anchor(line, self.text.rows_of(line) - 1)
        if last not in self.rows:
            stand = self.rows[self._at]
            self._top = moved(self._top, 1, self.line_count, self.text.rows_of)
            self.lay_out()
            self._stand(stand)

    def move(self, rows: int) -> None:
        """Go on reading so many rows further down, or up."""
        if not self.rows:
            return
        count, rows_of = self.line_count, self.text.rows_of
        stand = moved(self.rows[self._at], rows, count, rows_of)
        if rows < 0:
            self.follow = False
        self._top = moved(self._top, rows, count, rows_of)
        self.lay_out()
        self._stand(stand)

    def _stand(self, anchor: Anchor) -> None:
        """Go on reading at a row, if it is on the screen; what is being selected reaches to there."""
        if anchor in self.rows:
            self._at = self.rows.index(anchor)
        if self.selection is not None and self.selection.whole and self.cursor_line is not None:
            self.selection = self.selection.to(Spot(self.cursor_line))
        self.refresh()

    # -- drawing --

    def render_lines(self, crop: Region) -> list[Strip]:
        """Rows as they go to the screen.

        The same strips again and again while they scroll by: what was made of them for the terminal is kept with them.
        Textual's own way would make new ones of them, for borders and padding that are not there.
        """
        background = self.background_colors[1]
        filters = self.get_line_filters()
        strips = [self.render_line(y) for y in crop.line_range]
        for each in filters:
            strips = [strip.apply_filter(each, background) for strip in strips]
        left, right = crop.column_span
        return strips if (left, right) == (0, self.size.width) else [strip.crop(left, right) for strip in strips]

    def render_line(self, y: int) -> Strip:
        """One row of the window, as wide as the scroll bar reaches."""
        if self._ink is None:
            self._ink = ink_of(self)
        if y >= len(self.rows):
            return self._blank(y)
        line, row = self.rows[y]
        laid = self.text.laid(line)
        cursor = self.has_focus and not self.follow and line == self.cursor_line
        selected = self.selection is not None and self.selection.first <= line <= self.selection.last
        if cursor or selected:
            return self._strip(line, row, laid, cursor=cursor)
        strip = laid.strips.get(row)
        if strip is None:
            strip = laid.strips[row] = self._strip(line, row, laid)
        return strip

    def _strip(self, line: int, row: int, laid: Laid, *, cursor: bool = False) -> Strip:
        assert self._ink is not None
        if row >= len(laid.starts):
            strip = rule(self.text.marks.get(line, ""), self.frame, self._ink)
            return strip.extend_cell_length(self.size.width, self._ink.base)
        length, last = len(laid.shown.text), row == len(laid.starts) - 1
        span = None if self.selection is None else self.selection.span(line, length)
        found = Row(
            n=line,
            line=laid.line,
            shown=laid.shown,
            start=laid.starts[row],
            end=length if last else laid.starts[row + 1],
            first=row == 0,
            last=last,
            stderr=laid.stderr and self.text.tint,
            extra=() if span is None else (Tag(*span, SELECTED),),
            cursor=cursor,
        )
        return strip_of(found, self.frame, self._ink).extend_cell_length(self.size.width, self._ink.base)

    def _blank(self, y: int) -> Strip:
        assert self._ink is not None
        width = self.size.width
        if self.rows or y != self.window.height // 2:
            return Strip.blank(width, self._ink.base)
        text = Segment(f"{self.note:^{width}}"[:width], self._ink.base + self._ink.number)
        return Strip([text], width)
