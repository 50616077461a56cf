"""A job's output as far as it goes by itself: which job, its log kept up to date, the lines above and below it.

``output_pane`` adds the keys. The pane asks the server for what is seen, and only while it is seen.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.containers import Container
from textual.screen import ModalScreen
from textual.widget import Widget

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.feed import Feed, Owner, Trouble, open_job
from jobdeck_tui.console.settings import OPEN_WAIT_S, RETRY_S
from jobdeck_tui.console.widgets.details import Details
from jobdeck_tui.console.widgets.log_paint import Times
from jobdeck_tui.console.widgets.log_view import LogView
from jobdeck_tui.console.widgets.output_bars import Foot, Head, Place
from jobdeck_tui.console.widgets.pane_search import PaneSearch
from jobdeck_tui.console.widgets.search_bar import SearchBar
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from textual.app import ComposeResult
    from textual.timer import Timer

    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.app import ConsoleApp
    from jobdeck_tui.console.selection import Selection
    from jobdeck_tui.console.state import LogKey, State

__all__ = ["OutputBase"]

_MARKED_LIMIT_COUNT = 100  # logs whose marks are remembered
_NUMBERS_S = 0.2
_COMPACT_HEIGHT = 9
_COMPACT_WIDTH = 50
_BESIDE_WIDTH = 120
_NO_JOB = "no job is selected"
_WAITING = {JobState.QUEUED: "waiting to start", JobState.STARTING: "starting"}


class OutputBase(Widget):
    """See the top of this file.

    Attributes:
        wanted: The job (its id or the beginning of it; None for none) and the stream that were asked for last.
        job: Its record, None until it came.
        feed: Of its log, None until then.
    """

    DEFAULT_CSS = """
    OutputBase {
        layout: vertical; height: 1fr;
        & > .body { layout: vertical; height: 1fr; }
        &.-beside > .body { layout: horizontal; }
        &.-beside > .body > Details {
            width: 52; height: 100%; max-height: 100%; border-bottom: none; border-right: solid $panel;
        }
        &.-beside > .body > Details:focus { border-right: solid $primary; }
        &.-compact > Foot { display: none; }
        &:focus-within > Head { background: $primary-muted; }
    }
    """

    def __init__(self, job_id: str | None = None, *, stream: str | None = None) -> None:
        super().__init__()
        self.wanted: tuple[str | None, str | None] = (job_id, stream)
        self.job: Job | None = None
        self.feed: Feed | None = None
        self._trouble = ""
        self._waiting: Timer | None = None
        self._opening: tuple[str | None, str | None] | None = None  # what was asked of the server
        self._left_count: int | None = None
        self._marks: dict[LogKey, dict[int, str]] = {}
        self._reopening = False
        self._numbers_wait: Timer | None = None
        self._ready = False  # its widgets are there

    def compose(self) -> ComposeResult:
        """Head, details and log, search, foot."""
        self._head = Head()
        self.details = Details()
        self.view = LogView()
        self.bar = SearchBar()
        self._foot = Foot()
        self.search = PaneSearch(self.view, self.bar)
        yield self._head
        with Container(classes="body"):
            yield self.details
            yield self.view
        yield self.bar
        yield self._foot

    def on_mount(self) -> None:
        """Show what was asked for before."""
        wanted, self.wanted = self.wanted, (None, None)
        self.view.note = _NO_JOB
        self._ready = True
        self.show_job(*wanted)

    def on_unmount(self) -> None:
        """Nothing is watched any more."""
        self._let_go()

    @property
    def deck_app(self) -> ConsoleApp:
        """The app, with its own type."""
        return cast("ConsoleApp", self.app)

    @property
    def key(self) -> LogKey | None:
        """The log that is shown; None while there is none."""
        return None if self.feed is None else self.feed.key

    # -- which job --

    def show_job(self, job_id: str | None, stream: str | None = None) -> None:
        """Show a job's output, from its end.

        Args:
            job_id: Its id or the beginning of it; None for none.
            stream: ``stdout`` or ``stderr`` alone; None for both.
        """
        if (job_id, stream) == self.wanted:
            return
        self.wanted = (job_id, stream)
        if not self._ready:
            return
        self._leave()
        self._tell_head()
        if job_id is None:
            self.view.clear(note=_NO_JOB)
            return
        self.view.clear(note="…")
        if self._waiting is None:  # the first of several: at once
            self._open()
        else:
            self._waiting.stop()
        self._waiting = self.set_timer(OPEN_WAIT_S, self._waited)

    def _waited(self) -> None:
        self._waiting = None
        if self._opening != self.wanted:
            self._open()

    def _leave(self) -> None:
        """Ask for nothing more of what was shown."""
        self.workers.cancel_group(self, "feed")
        self.workers.cancel_group(self, "open")
        self.search.end()
        self._let_go()
        self.job = self.feed = self._opening = self._left_count = None
        self._trouble, self._reopening = "", False

    def _let_go(self) -> None:
        """Nothing of the job need be told any more."""
        if self.feed is not None:
            self.feed.close()
            self.deck_app.watch_log(self._owner, None)
        if self.job is not None:
            self.deck_app.close_job(self.job.id)

    def _open(self) -> None:
        self._opening = job_id, stream = self.wanted
        if job_id is not None:
            start(self, partial(self._opened, job_id, stream), "open")

    async def _opened(self, job_id: str, stream: str | None) -> None:
        found = await open_job(self.deck_app.api, job_id)
        if (job_id, stream) != self.wanted:
            return
        if isinstance(found, Trouble):
            self.view.note = clean_line(found.words)
            if not found.final:
                self.set_timer(RETRY_S, self._open)
            return
        self.job = found
        key = (found.id, stream)
        owner = Owner(run=self._run_feed, failed=self._failed, later=self._later)
        self.feed = Feed(self.deck_app.api, key, self.view, owner)
        self.view.text.marks = self._marks.setdefault(key, {})
        while len(self._marks) > _MARKED_LIMIT_COUNT:
            del self._marks[next(iter(self._marks))]
        self.view.tint(stream is None)
        self.deck_app.watch_log(self._owner, key)
        self.search.begin(self.deck_app, self.feed)
        self.draw(self.deck_app.state)
        self.feed.fill()
        self.refresh_bindings()

    @property
    def _owner(self) -> str:
        return f"output-{id(self):x}"

    # -- state --

    def draw(self, state: State) -> None:
        """Show a newer state; costs little when nothing of it is seen here."""
        if self.feed is None or not self._seen:
            return
        job_id = self.feed.key[0]
        if job_id in state.open:
            self._take_job(state.open[job_id])
        elif not self._reopening:  # another pane that showed the job too has closed it
            self._reopening = True
            start(self, partial(self._open_again, job_id), "open")
        size = state.logs.get(self.feed.key)
        if size is not None and size is not self.feed.size:
            is_first = self.feed.size is None
            self.feed.grown(size)
            if is_first:
                self.search.resume()
        self.details.url = state.url
        self.details.book = state.workers
        self._tell()

    @property
    def _seen(self) -> bool:
        """It is on the screen, or only dialogs are above it."""
        stack = self.app.screen_stack
        above = stack[stack.index(self.screen) + 1 :] if self.screen in stack else [self.screen]
        return bool(self.size.height) and all(isinstance(each, ModalScreen) for each in above)

    def _take_job(self, job: Job | None) -> None:
        if job is not None:
            self.job = job
            self.view.start_at(job.started_us)
        if (job is None or job.output_removed) and self.feed is not None:
            self.feed.close()
            if self.view.line_count:
                self.view.clear()
        self.view.note = self._note(job)
        self._tell_head()

    def _note(self, job: Job | None) -> str:
        """Words for a log without a line."""
        if job is None:
            return "this job was removed"
        if job.output_removed:
            return "its output was removed"
        if job.state in _WAITING:
            return _WAITING[job.state]
        stream = self.key[1] if self.key is not None else None
        if job.ended and job.started_us is None and job.error:
            return clean_line(job.error)
        where = f" on {stream}" if stream is not None else ""
        return f"it wrote nothing{where}" if job.ended else f"no output{where} yet"

    async def _open_again(self, job_id: str) -> None:
        found = await open_job(self.deck_app.api, job_id)
        if not isinstance(found, Trouble):
            self._reopening = False
        elif found.final:
            self._take_job(None)
        else:
            self.set_timer(RETRY_S, self._may_reopen)

    def _may_reopen(self) -> None:
        self._reopening = False

    # -- what the feed tells --

    def _run_feed(self, question: Callable[[], Coroutine[None, None, None]]) -> None:
        start(self, question, "feed", exclusive=False)

    def _later(self, what: Callable[[], None]) -> None:
        self.set_timer(RETRY_S, what)

    def _failed(self, trouble: Trouble | None) -> None:
        self._trouble = "" if trouble is None else trouble.words
        if trouble is not None and not self.view.line_count:
            self.view.note = clean_line(trouble.words)
        self._tell()

    def on_log_window_changed(self) -> None:
        """Ask for what the window lacks now, and tell where it is."""
        if self.view.follow:
            self._left_count = None
        elif self._left_count is None:
            self._left_count = self.view.line_count
        if self.feed is not None and self._seen:
            self.feed.fill()
        self._tell()

    # -- head and foot --

    def on_resize(self) -> None:
        """Leave out what there is no room for."""
        self.set_class(self.size.height < _COMPACT_HEIGHT or self.size.width < _COMPACT_WIDTH, "-compact")
        self.set_class(self.size.width >= _BESIDE_WIDTH, "-beside")
        self.draw(self.deck_app.state)  # it may not have been seen before
        self._tell()

    def _tell_head(self) -> None:
        self._head.job = self.details.job = self.job
        self._head.stream = self.wanted[1]

    def _tell(self) -> None:
        """Tell where one is: at once after a key, and a few times a second while only numbers change."""
        place, modes = self.place(), self._modes()
        same = (place.without_numbers, modes) == (self._foot.place.without_numbers, self._foot.modes)
        if self._numbers_wait is not None and same:
            return
        if self._numbers_wait is None:
            self._numbers_wait = self.set_timer(_NUMBERS_S, self._tell_numbers)
        self._foot.place, self._foot.modes = place, modes
        self._head.brief = place.going[0] if self.has_class("-compact") and self.feed is not None else ""

    def _tell_numbers(self) -> None:
        self._numbers_wait = None
        if self.place() != self._foot.place:
            self._tell()

    def place(self) -> Place:
        """Where one is in the log."""
        view, size = self.view, None if self.feed is None else self.feed.size
        line_count = max(view.line_count, 0 if size is None else size.line_count)
        return Place(
            line=view.cursor_line,
            line_count=line_count,
            size_bytes=None if size is None else size.size_bytes,
            indexed=1.0 if size is None or not size.size_bytes else size.indexed_bytes / size.size_bytes,
            behind_count=0 if self._left_count is None else line_count - self._left_count,
            follow=view.follow,
            ended=self.job is not None and self.job.ended,
            chosen=_chosen(view.selection),
            trouble=self._trouble if view.line_count else "",
        )

    def _modes(self) -> str:
        frame = self.view.frame
        words = ["wrapped"] if frame.wrap else []
        if frame.left:
            words.append(f"from column {frame.left + 1}")
        if frame.times is Times.SINCE:
            words.append("times since start")
        return " · ".join(words)


def _chosen(selection: Selection | None) -> str:
    if selection is None or selection.empty:
        return ""
    count = selection.line_count
    return f"{count:,} line{'s' if count > 1 else ''} selected: y copies"
