"""The table of jobs: rows of the window that the state holds, drawn one by one, however many there are.

The cursor belongs to a job and follows it wherever it moves; so do marks, and a job that leaves the list loses its own.
Another query begins at its first row. What is seen stays where it is when rows come or go above it. Two exceptions:
``follow`` keeps the cursor on the first row, and a list that is seen from its very top goes on being so as long as the
cursor stays in sight.

Rows are kept as strips, and a picture costs the lines that changed. Its owner hands it each new ``JobList`` by ``take``
and fetches pages when ``Wanted`` is posted.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding
from textual.geometry import Region, Size
from textual.message import Message
from textual.reactive import Reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.columns import Cell, Column, Times, cells_of, columns_for, fitted, head_of, times_of
from jobdeck_tui.console.joblist import JobList, Place
from jobdeck_tui.console.settings import ROWS_AHEAD_COUNT, TICK_S

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.job import Job

__all__ = ["JobTable"]

_INKS = frozenset({*(state.value for state in JobState), "dim", "label", "mark", "sorted"})
_STRIPS_LIMIT_COUNT = 500
_SORTS = {"state": "state", "sign": "state", "age": "created", "ended": "ended"}


def _key(keys: str, action: str, name: str, words: str) -> Binding:
    return Binding(keys, action, words, id=f"jobs.{name}", show=False, tooltip=words)


class JobTable(ScrollView, can_focus=True, inherit_bindings=False):
    """See the top of this file.

    Attributes:
        follow: The cursor stays on the first row.
        words: What stands there while there is no row.
        marks: Ids of the jobs that are marked.
    """

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"job-table--{name}" for name in (*_INKS, "head", "cursor", "marked")}
    DEFAULT_CSS = """
    JobTable {
        height: 1fr; overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1;
        background: $surface; color: $foreground;
        & > .job-table--head { background: $panel; color: $text-muted; text-style: bold; }
        & > .job-table--sorted { background: $panel; color: $text-accent; text-style: bold; }
        & > .job-table--dim { color: $foreground 65%; }
        & > .job-table--label { color: $text-secondary; }
        & > .job-table--mark { color: $text-accent; text-style: bold; }
        & > .job-table--marked { background: $accent 18%; }
        & > .job-table--queued { color: $foreground 65%; }
        & > .job-table--starting { color: $text-accent; }
        & > .job-table--running { color: $text-primary; }
        & > .job-table--succeeded { color: $text-success; }
        & > .job-table--failed { color: $text-error; }
        & > .job-table--stopped { color: $text-warning; }
        & > .job-table--lost { color: $text-secondary; }
        & > .job-table--cursor { background: $block-cursor-blurred-background; color: $foreground; }
        &:focus > .job-table--cursor {
            background: $block-cursor-background; color: $block-cursor-foreground; text-style: bold;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("up,k", "move(-1)", "up", "The job above"),
        _key("down,j", "move(1)", "down", "The job below"),
        _key("pageup,ctrl+b", "page(-1)", "page_up", "A page up"),
        _key("pagedown,ctrl+f", "page(1)", "page_down", "A page down"),
        _key("home,g", "first", "first", "The first job of the list"),
        _key("end,G", "last", "last", "The last job of the list, however long it is"),
        _key("space", "mark", "mark", "Mark this job, or not; what is done is done to all that are marked"),
        _key("ctrl+a,asterisk", "mark_all", "mark_all", "Mark all jobs that are held here"),
        _key("u", "unmark", "unmark", "Unmark all"),
        Binding("enter", "open", "Output", id="jobs.open", tooltip="Show its output on the whole screen"),
    ]

    virtual_size: Reactive[Size] = Reactive(Size(0, 0), layout=False)
    follow: Reactive[bool] = Reactive(False, repaint=False)
    words: Reactive[tuple[str, ...]] = Reactive(())

    class Moved(Message):
        """The cursor is on another job, or in another place, or marks changed."""

    class Opened(Message):
        """A job is to be shown."""

        def __init__(self, job: Job) -> None:
            super().__init__()
            self.job = job

    class Wanted(Message):
        """A page is lacking."""

        def __init__(self, place: Place) -> None:
            super().__init__()
            self.place = place

    class Sorted(Message):
        """The head of a column was clicked."""

        def __init__(self, by: str) -> None:
            super().__init__()
            self.by = by

    def __init__(self) -> None:
        super().__init__()
        self.jobs = JobList()
        self.marks: set[str] = set()
        self._at = 0
        self._cursor: str | None = None
        self._awaited: str | None = None
        self._wish: Place | None = None
        self._now_us = _now_us()
        self._columns: tuple[Column, ...] = ()
        self._inks: dict[str, Style] = {}
        self._strips: dict[str, tuple[tuple[object, ...], Strip]] = {}
        self._seen: list[tuple[object, ...]] = []

    # -- what is there --

    @property
    def rows(self) -> tuple[Job, ...]:
        """The jobs held, in order."""
        return self.jobs.rows

    @property
    def cursor(self) -> Job | None:
        """The job on which keys act."""
        return self.rows[self._at] if self.rows else None

    @property
    def cursor_index(self) -> int:
        """Where that is among the rows held."""
        return self._at

    @property
    def chosen(self) -> list[Job]:
        """The jobs that are marked, in their order; without marks that under the cursor."""
        marked = [job for job in self.rows if job.id in self.marks]
        return marked or ([self.cursor] if self.cursor is not None else [])

    @property
    def _height(self) -> int:
        """Rows on the screen."""
        return max(1, self.size.height - 1)

    @property
    def _top(self) -> int:
        return round(self.scroll_y)

    # -- what comes from the owner --

    def take(self, jobs: JobList) -> None:
        """The list as it is now."""
        before, self.jobs = self.jobs, jobs
        if before.query != jobs.query:
            self._measure()
            self._wish, self._cursor = Place.START, None
            self._point(0)
        if before.rows is not jobs.rows or self._wish is not None or self._awaited is not None:
            self._settle(before)
        self._want(asked_by_reader=False)

    def await_job(self, job_id: str) -> None:
        """Put the cursor on a job as soon as it is on the list; forgotten when the reader goes elsewhere."""
        self._awaited = job_id
        if job_id in self.jobs.held:
            self._settle(self.jobs)
        elif self.jobs.above and not self.jobs.query.narrow:
            self._wish_for(Place.START)

    # -- where the cursor and the window go --

    def _settle(self, before: JobList) -> None:
        """Find the place of cursor and window in rows that may have changed."""
        index = {job.id: n for n, job in enumerate(self.rows)}
        former = (self._cursor, len(self.marks))
        self.marks &= index.keys()
        top, seen = self._top, 0 <= self._at - self._top < self._height
        at_very_top = top == 0 and not before.above and not self.jobs.above
        jumped = self._place_cursor(index)
        if at_very_top and self._at < self._height:
            anchored = 0
        else:
            anchored = top + _shift(before.rows[top : top + self._height], index, top)
        self._resize_rows()
        self._scroll(anchored)
        if jumped or seen or self.follow:
            self._reveal()
        self._repaint_changes()
        if former != (self._cursor, len(self.marks)):
            self.post_message(self.Moved())

    def _place_cursor(self, index: dict[str, int]) -> bool:
        """Put the cursor where it belongs now; tells whether that is somewhere else than where it was."""
        if self._awaited is not None and self._awaited in index:
            at, self._awaited = index[self._awaited], None
        elif self._wish is Place.START and self.jobs.known and not self.jobs.above:
            at, self._wish = 0, None
        elif self._wish is Place.END and self.jobs.known and not self.jobs.below:
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

    def _go(self, at: int) -> None:
        """The reader goes to a row."""
        self.follow = False
        self._awaited = self._wish = None
        self._point(at)
        self._reveal()
        self._repaint_changes()
        self._want(asked_by_reader=True)
        self.post_message(self.Moved())

    def _reveal(self) -> None:
        top = self._top
        self._scroll(min(max(top, self._at - self._height + 1), self._at))

    def _scroll(self, top: int) -> None:
        if top != self._top:
            self.scroll_to(y=top, animate=False, immediate=True)

    def _want(self, *, asked_by_reader: bool) -> None:
        """Ask for what is lacking around what is seen.

        A search that found little goes on when the reader does; else it would read all of a long history by itself.
        """
        jobs = self.jobs
        if not jobs.known or jobs.stale or jobs.error is not None:
            return
        if jobs.query.text is not None and not asked_by_reader:
            return
        top = self._top
        for place, more, left in (
            (Place.BELOW, jobs.below, len(self.rows) - top - self._height),
            (Place.ABOVE, jobs.above, top),
        ):
            if more and left < ROWS_AHEAD_COUNT and place not in jobs.asks:
                self.post_message(self.Wanted(place))

    def _wish_for(self, place: Place) -> None:
        self._wish = place
        self.post_message(self.Wanted(place))

    # -- keys --

    def action_move(self, step: int) -> None:
        """Up or down by rows."""
        self._go(self._at + step)

    def action_page(self, step: int) -> None:
        """Up or down by screens."""
        self._scroll(max(0, min(self._top + step * self._height, int(self.max_scroll_y))))
        self._go(self._at + step * self._height)

    def action_first(self) -> None:
        """To the list's beginning."""
        self._go(0)
        if self.jobs.above:
            self._wish_for(Place.START)

    def action_last(self) -> None:
        """To the list's end."""
        self._go(len(self.rows) - 1)
        if self.jobs.below:
            self._wish_for(Place.END)

    def action_mark(self) -> None:
        """Turn the mark of this job, and go on to the next one."""
        if self.cursor is not None:
            self.marks ^= {self.cursor.id}
            self.action_move(1)

    def action_mark_all(self) -> None:
        """Mark all."""
        self._mark({job.id for job in self.rows})

    def action_unmark(self) -> None:
        """Mark none."""
        self._mark(set())

    def _mark(self, marks: set[str]) -> None:
        self.marks = marks
        self._repaint_changes()
        self.post_message(self.Moved())

    def action_open(self) -> None:
        """Show the job."""
        if self.cursor is not None:
            self.post_message(self.Opened(self.cursor))

    def follow_first(self) -> None:
        """Keep the cursor on the first row from now on."""
        self.action_first()
        self.follow = True
        self.post_message(self.Moved())

    # -- mouse --

    def on_click(self, event: events.Click) -> None:
        """A row is gone to, with two clicks opened; a title sorts."""
        event.stop()
        if event.y == 0:
            self._head_clicked(event.x)
            return
        row = self._top + event.y - 1
        if row < len(self.rows):
            self._go(row)
            if event.chain == 2:
                self.action_open()

    def _head_clicked(self, x: int) -> None:
        for column in self._columns:
            x -= column.width + (1 if column.name == "mark" else 2)
            if x < 0:
                if column.name in _SORTS:
                    self.post_message(self.Sorted(_SORTS[column.name]))
                return

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
        width = self.scrollable_content_region.width
        self._columns = columns_for(width, self.jobs.query) if width else ()
        self._strips.clear()
        self.refresh()

    def _resize_rows(self) -> None:
        size = Size(self.scrollable_content_region.width, len(self.rows) + 1)
        if self.virtual_size != size:
            self.virtual_size = size

    def _tick(self) -> None:
        """Tell ages anew where they changed."""
        self._now_us = _now_us()
        self._repaint_changes()

    def _looks(self) -> list[tuple[object, ...]]:
        """What is to be seen of each row on the screen."""
        rows = self.rows[self._top : self._top + self._height]
        return [self._look(job, self._top + n) for n, job in enumerate(rows)]

    def _look(self, job: Job, row: int) -> tuple[object, ...]:
        times = times_of(job, self.jobs.query, self._now_us)
        return (job, times, row == self._at, job.id in self.marks)

    def _repaint_changes(self) -> None:
        looks = self._looks()
        for line in range(max(len(looks), len(self._seen))):
            if looks[line : line + 1] != self._seen[line : line + 1]:
                self.refresh(Region(0, line + 1, self.size.width, 1))
        if bool(looks) != bool(self._seen):
            self.refresh()
        self._seen = looks

    def render_line(self, y: int) -> Strip:
        """The titles, a row, or words where there are no rows."""
        width = self.scrollable_content_region.width
        if y == 0:
            return self._strip(head_of(self._columns, self.jobs.query), self._ink("head"), width)
        row = self._top + y - 1
        if row < len(self.rows):
            return self._row_strip(self.rows[row], row, width)
        if not self.rows and 2 <= y < 2 + len(self.words):
            return self._strip([Cell(fitted("  " + self.words[y - 2], width), "dim")], self.rich_style, width)
        return Strip.blank(width, self.rich_style)

    def _row_strip(self, job: Job, row: int, width: int) -> Strip:
        look = self._look(job, row)
        kept = self._strips.get(job.id)
        if kept is not None and kept[0] == look:
            return kept[1]
        _, times, cursor, marked = look
        assert isinstance(times, Times)
        cells = cells_of(job, self._columns, times, marked=bool(marked))
        if cursor:
            strip = self._strip([Cell(cell.text) for cell in cells], self._ink("cursor"), width)
        else:
            strip = self._strip(cells, self._ink("marked") if marked else self.rich_style, width)
        if len(self._strips) >= _STRIPS_LIMIT_COUNT:
            self._strips.clear()
        self._strips[job.id] = (look, strip)
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
            style = self.get_component_rich_style(f"job-table--{name}")
            # Its colour alone: what it stands on is the row's.
            self._inks[key] = style.without_color + Style(color=style.color) if partial else style
        return self._inks[key]


def _shift(seen: Sequence[Job], index: dict[str, int], top: int) -> int:
    """By how much the first job that is still there has moved."""
    for offset, job in enumerate(seen):
        at = index.get(job.id)
        if at is not None:
            return at - (top + offset)
    return 0


def _now_us() -> int:
    return time.time_ns() // 1000
