"""A table, of jobs or of blobs: rows of the window that the state holds, drawn one by one, however many there are.

The cursor belongs to a row and follows it wherever it moves; so do marks, and a row that leaves the list loses its own.
Another query begins at its first row. What is seen stays where it is when rows come or go above it. Two exceptions:
``follow`` keeps the cursor on the first row, and a list that is seen from its very top goes on being so as long as the
cursor stays in sight.

Rows are kept as strips, and a picture costs the lines that changed. Its owner hands it each new list by ``take`` and
fetches pages when ``Wanted`` is posted. Subclasses tell what stands in a row.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from jobdeck_tui.console.columns import Cell, Column, fitted
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.settings import ROWS_AHEAD_COUNT, TICK_S

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobdeck_tui.console.pages import Row
    from jobdeck_tui.console.rowlist import RowList

__all__ = ["RowWindow"]

_INKS = frozenset({"dim", "label", "mark", "sorted", "head", "cursor", "marked"})
_STRIPS_LIMIT_COUNT = 500


class RowWindow(ScrollView, can_focus=True, inherit_bindings=False):
    """See the top of this file.

    Attributes:
        follow: The cursor stays on the first row.
        words: What stands below the rows, or where there is none.
        listed: The list, as it was handed on last.
        marks: Ids of the rows that are marked.
        columns: Those that fit.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row-list--{name}" for name in _INKS}
    DEFAULT_CSS = """
    RowWindow {
        height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        background: $surface; color: $foreground;
        & > .row-list--head { background: $panel; color: $text-muted; text-style: bold; }
        & > .row-list--sorted { background: $panel; color: $text-accent; text-style: bold; }
        & > .row-list--dim { color: $foreground 65%; }
        & > .row-list--label { color: $text-secondary; }
        & > .row-list--mark { color: $text-accent; text-style: bold; }
        & > .row-list--marked { background: $accent 18%; }
        & > .row-list--cursor { background: $block-cursor-blurred-background; color: $foreground; }
        &:focus > .row-list--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
    }
    """
    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)
    follow: Reactive[bool] = Reactive(False, repaint=False)
    words: Reactive[tuple[str, ...]] = Reactive(())

    class Moved(Message):
        """The cursor is on another row, or in another place, or marks changed."""

    class Wanted(Message):
        """A page is lacking."""

        def __init__(self, place: Place) -> None:
            super().__init__()
            self.place = place

    def __init__(self) -> None:
        super().__init__()
        self.listed: RowList = self.empty()
        self.marks: set[str] = set()
        self._at = 0
        self._cursor: str | None = None
        self._awaited: str | None = None
        self._wish: Place | None = None
        self._now_us = _now_us()
        self.columns: tuple[Column, ...] = ()
        self._width = 0
        self._inks: dict[str, Style] = {}
        self._strips: dict[str, tuple[tuple[object, ...], Strip]] = {}
        self._seen: list[tuple[object, ...]] = []

    # -- what subclasses tell --

    def empty(self) -> RowList:
        """A list of which nothing is known."""
        raise NotImplementedError

    def fit(self, width: int) -> tuple[Column, ...]:
        """The columns that fit."""
        raise NotImplementedError

    def head(self) -> list[Cell]:
        """The titles."""
        raise NotImplementedError

    def times(self, row: Any, now_us: int) -> object:  # noqa: ANN401  # each its own rows
        """What of a row changes by itself; equal values look the same."""
        raise NotImplementedError

    def cells(self, row: Any, times: Any, *, marked: bool) -> list[Cell]:  # noqa: ANN401  # as above
        """What stands in a row."""
        raise NotImplementedError

    # -- what is there --

    @property
    def rows(self) -> Sequence[Any]:
        """The rows held, in order."""
        return self.listed.rows

    @property
    def cursor(self) -> Any:  # noqa: ANN401  # subclasses know their rows
        """The row on which keys act; None if there is none."""
        return self.rows[self._at] if self.rows else None

    @property
    def cursor_index(self) -> int:
        """Where that is among the rows held."""
        return self._at

    @property
    def chosen(self) -> list[Any]:
        """The rows that are marked, in their order; without marks that under the cursor."""
        marked = [row for row in self.rows if row.id in self.marks]
        return marked or ([self.cursor] if self.cursor is not None else [])

    @property
    def seen_count(self) -> int:
        """Rows on the screen."""
        return max(1, self.size.height - 1)

    @property
    def first_seen(self) -> int:
        """The first row on the screen."""
        return round(self.scroll_y)

    # -- what comes from the owner --

    def take(self, listed: RowList) -> None:
        """The list as it is now."""
        before, self.listed = self.listed, listed
        if before.query != listed.query:
            self._measure()
            self._wish, self._cursor = Place.START, None
            self._point(0)
        if before.rows is not listed.rows or self._wish is not None or self._awaited is not None:
            self._settle(before)
        self._want(asked_by_reader=False)

    def await_row(self, row_id: str) -> None:
        """Put the cursor on a row as soon as it is on the list; forgotten when the reader goes elsewhere."""
        self._awaited = row_id
        if row_id in self.listed.held:
            self._settle(self.listed)
        elif self.listed.above and not self.listed.query.narrow:
            self.wish_for(Place.START)

    def mark(self, marks: set[str]) -> None:
        """Mark these and no others."""
        self.marks = marks
        self._repaint_changes()
        self.tell_moved()

    # -- where the cursor and the window go --

    def _settle(self, before: RowList) -> None:
        """Find the place of cursor and window in rows that may have changed."""
        index = self.listed.index()
        former = (self._cursor, len(self.marks))
        self.marks = {row_id for row_id in self.marks if row_id in index}
        top, seen = self.first_seen, 0 <= self._at - self.first_seen < self.seen_count
        at_very_top = top == 0 and not before.above and not self.listed.above
        jumped = self._place_cursor(index)
        if at_very_top and self._at < self.seen_count:
            anchored = 0
        else:
            anchored = top + _shift(before.rows[top : top + self.seen_count], index, top)
        self._resize_rows()
        self.scroll_rows(anchored)
        if jumped or seen or self.follow:
            self._reveal()
        self._repaint_changes()
        if former != (self._cursor, len(self.marks)):
            self.tell_moved()

    def _place_cursor(self, index: Mapping[str, int]) -> bool:
        """Put the cursor where it belongs now; tells whether that is somewhere else than where it was."""
        if self._awaited is not None and self._awaited in index:
            at, self._awaited, self._wish = index[self._awaited], None, None
        elif self._wish is Place.START and self.listed.known and not self.listed.above:
            at, self._wish = 0, None
        elif self._wish is Place.END and self.listed.known and not self.listed.below:
            at, self._wish = len(self.rows) - 1, None
        elif self.follow:
            at = 0
        else:
            self._at = index.get(self._cursor or "", self._at)
            self._point(self._at)
            return False
        self._point(at)
        return True

    def _point(self, at: int) -> None:
        self._at = max(0, min(at, len(self.rows) - 1))
        self._cursor = self.rows[self._at].id if self.rows else None

    def go_to(self, at: int) -> None:
        """The reader goes to a row."""
        self.follow = False
        self._awaited = self._wish = None
        self._point(at)
        self._reveal()
        self._repaint_changes()
        self._want(asked_by_reader=True)
        self.tell_moved()

    def _reveal(self) -> None:
        top = self.first_seen
        self.scroll_rows(min(max(top, self._at - self.seen_count + 1), self._at))

    def scroll_rows(self, top: int) -> None:
        """Let this be the first row on the screen, as far as that is possible."""
        if top != self.first_seen:
            self.scroll_to(y=top, animate=False, immediate=True)

    def _want(self, *, asked_by_reader: bool) -> None:
        """Ask for what is lacking around what is seen.

        A search that found little goes on when the reader does; else it would read all of a long history by itself.
        """
        listed = self.listed
        if not listed.known or listed.stale or listed.error is not None:
            return
        if not asked_by_reader and self._wish is not None and self._wish not in listed.asks:
            self.post_message(self.Wanted(self._wish))  # it was fetched, and came to nothing
        if listed.query.text is not None and not asked_by_reader:
            return
        top = self.first_seen
        for place, more, left in (
            (Place.BELOW, listed.below, len(self.rows) - top - self.seen_count),
            (Place.ABOVE, listed.above, top),
        ):
            if more and left < ROWS_AHEAD_COUNT and place not in listed.asks:
                self.post_message(self.Wanted(place))

    def tell_moved(self) -> None:
        """Tell the screen itself: through what stands between, the news would come a picture later."""
        if self.is_attached:  # while the console closes, its list goes before its screen
            self.screen.post_message(self.Moved())

    def wish_for(self, place: Place) -> None:
        """Have an end of the list fetched; the cursor goes there when it came."""
        self._wish = place
        self.post_message(self.Wanted(place))

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        """The wheel and the bar scroll without the cursor; what comes into sight may be lacking."""
        super().watch_scroll_y(old_value, new_value)
        if round(old_value) != round(new_value):
            self.call_later(self._want, asked_by_reader=True)

    # -- drawing --

    def on_mount(self) -> None:
        """Let time pass."""
        self.set_interval(TICK_S, self._tick)

    def on_resize(self) -> None:
        """Other columns may fit."""
        self._measure()
        self._resize_rows()
        self._reveal()

    def notify_style_update(self) -> None:
        """Another theme."""
        super().notify_style_update()
        self._inks.clear()
        self._strips.clear()

    def _measure(self) -> None:
        self._width = width = self.scrollable_content_region.width
        self.columns = self.fit(width) if width else ()
        self._strips.clear()
        self.refresh()

    def _resize_rows(self) -> None:
        size = Size(self._width, len(self.rows) + 1)
        if self.virtual_size != size:
            self.virtual_size = size

    def _tick(self) -> None:
        """Tell ages anew where they changed."""
        self._now_us = _now_us()
        self._repaint_changes()

    def _looks(self) -> list[tuple[object, ...]]:
        """What is to be seen of each row on the screen."""
        rows = self.rows[self.first_seen : self.first_seen + self.seen_count]
        return [self._look(row, self.first_seen + n) for n, row in enumerate(rows)]

    def _look(self, row: Row, at: int) -> tuple[object, ...]:
        return (row, self.times(row, self._now_us), at == self._at, row.id in self.marks)

    def _repaint_changes(self) -> None:
        looks = self._looks()
        for line in range(max(len(looks), len(self._seen))):
            if looks[line : line + 1] != self._seen[line : line + 1]:
                self.refresh(Region(0, line + 1, self.size.width, 1))
        if len(looks) != len(self._seen) and (self.words or not looks or not self._seen):
            self.refresh()
        self._seen = looks

    def render_line(self, y: int) -> Strip:
        """The titles, a row, or words below the rows."""
        width = self._width
        if y == 0:
            return self._strip(self.head(), self._ink("head"), width)
        row = self.first_seen + y - 1
        if row < len(self.rows):
            return self._row_strip(self.rows[row], row, width)
        below = row - len(self.rows) - 1
        if 0 <= below < len(self.words):
            return self._strip([Cell(fitted("  " + self.words[below], width), "dim")], self.rich_style, width)
        return Strip.blank(width, self.rich_style)

    def _row_strip(self, row: Row, at: int, width: int) -> Strip:
        look = self._look(row, at)
        kept = self._strips.get(row.id)
        if kept is not None and kept[0] == look:
            return kept[1]
        _, times, cursor, marked = look
        cells = self.cells(row, times, marked=bool(marked))
        if cursor:
            strip = self._strip([Cell(cell.text) for cell in cells], self._ink("cursor"), width)
        else:
            strip = self._strip(cells, self._ink("marked") if marked else self.rich_style, width)
        if len(self._strips) >= _STRIPS_LIMIT_COUNT:
            self._strips.clear()
        self._strips[row.id] = (look, strip)
        return strip

    def _strip(self, cells: Sequence[Cell], base: Style, width: int) -> Strip:
        segments: list[Segment] = []
        text, last = "", base
        for n, cell in enumerate(cells):
            style = base + self._ink(cell.ink, partial=True) if cell.ink else base
            if style != last:
                segments.append(Segment(text, last))
                text, last = "", style
            # Few segments are cheap ones, so the gap is of its cell's colour: nobody sees it.
            text += cell.text + (" " if n == 0 else "  ")
        return Strip([*segments, Segment(text, last)]).adjust_cell_length(width, base)

    def _ink(self, name: str, *, partial: bool = False) -> Style:
        key = f"{name}{partial}"
        if key not in self._inks:
            style = self.get_component_rich_style(f"row-list--{name}")
            # Its colour alone: what it stands on is the row's.
            self._inks[key] = style.without_color + Style(color=style.color) if partial else style
        return self._inks[key]


def _shift(seen: Sequence[Row], index: Mapping[str, int], top: int) -> int:
    """By how much the first row that is still there has moved."""
    for offset, row in enumerate(seen):
        at = index.get(row.id)
        if at is not None:
            return at - (top + offset)
    return 0


def _now_us() -> int:
    return time.time_ns() // 1000
