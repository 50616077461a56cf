"""All jobs: the list, and beside or below it the output of the job under the cursor where there is room.

What is done to jobs is in ``acts``, what is seen in the widgets.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.containers import Container, Vertical
from textual.screen import ModalScreen

from jobdeck_tui.console.bindings import key, panes
from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.screens.acts import JobActs
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.settings import PREVIEW_WAIT_S
from jobdeck_tui.console.standing import empty_words, standing_of
from jobdeck_tui.console.widgets.filter_bar import FilterBar, JobFilterBar
from jobdeck_tui.console.widgets.job_table import JobTable
from jobdeck_tui.console.widgets.list_foot import ListFoot
from jobdeck_tui.console.widgets.output_pane import OutputPane

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.state import State

_FILTER_WORDS = "Filter: text, state:failed, dialect:v1, label:nightly, context:main, worker:far"


_key = partial(key, "jobs")


class JobsScreen(JobActs):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Before all other keys: what is typed in haste after it must not be taken for keys of the list.
        _key("slash", "filter", "filter", _FILTER_WORDS, "Filter", show=True, priority=True),
        _key("f", "follow", "follow", "Follow the newest", "Follow"),
        _key("A", "sort('created')", "sort_age", "Sort by age; again for the other way round"),
        _key("E", "sort('ended')", "sort_ended", "Sort by end: jobs that have ended alone"),
        _key("S", "sort('state')", "sort_state", "Sort by state"),
        _key("p", "preview", "preview", "Show or hide the output beside the list"),
        _key("ctrl+r", "reload", "reload", "Read the list anew"),
        _key("escape", "clear", "clear", "No filter; no marks", "Clear"),
        _key("R", "results", "results", "The results of the job: files and values", "Results", show=True),
        *panes("jobs"),
    ]

    def body(self) -> ComposeResult:
        """The list with its filter and foot, and the preview."""
        self.filter = JobFilterBar()
        self.table = JobTable()
        self._foot = ListFoot()
        self.preview = OutputPane()
        with Container(id="jobs-body"):
            with Vertical(id="jobs-list"):
                yield self.filter
                yield self.table
                yield self._foot
            yield self.preview

    def on_mount(self) -> None:
        """Keys go to the list."""
        self._waiting = self.set_interval(PREVIEW_WAIT_S, self._show_preview, pause=True)
        self.set_focus(self.table)

    # -- what is shown --

    def draw(self, state: State) -> None:
        """The list, and the preview if it is seen."""
        self.changeable = state.may_change
        self.table.book = self.filter.book = state.workers
        self.table.take(state.list)
        self.table.words = empty_words(state)
        self._tell_standing()
        self.preview.draw(state)

    def _tell_standing(self) -> None:
        table = self.table
        marks = len(table.marks)
        self.any_chosen = table.cursor is not None
        self._foot.standing = standing_of(self.deck_app.state, table.cursor_index, marks, follow=table.follow)

    def _show_preview(self) -> None:
        """The job under the cursor, if the preview is seen at all; else nothing is watched for it."""
        self._waiting.pause()
        cursor = self.table.cursor
        seen = self.preview.display and (self.is_current or isinstance(self.app.screen, ModalScreen))
        self.preview.show_job(cursor.id if cursor is not None and seen else None)

    def on_resize(self) -> None:
        """The preview may have come or gone."""
        self.call_after_refresh(self._show_preview)

    def on_screen_resume(self) -> None:
        """Show the preview again."""
        super().on_screen_resume()
        self._show_preview()

    def on_screen_suspend(self) -> None:
        """Nobody sees the preview."""
        self._show_preview()

    # -- what the widgets tell --

    @on(JobTable.Moved)
    def _moved(self) -> None:
        self._tell_standing()
        if self.preview.display:
            # After the picture of the move: what opening it costs must not come before that.
            self._waiting.reset()
            self._waiting.resume()

    @on(JobTable.Wanted)
    def _wanted(self, event: JobTable.Wanted) -> None:
        self.deck_app.load(event.place)

    @on(JobTable.Opened)
    def _opened(self, event: JobTable.Opened) -> None:
        self.app.push_screen(OutputScreen(event.row.id))

    @on(JobTable.Sorted)
    def _sorted(self, event: JobTable.Sorted) -> None:
        self.action_sort(event.by)

    @on(FilterBar.Asked)
    def _asked(self, event: FilterBar.Asked) -> None:
        self.deck_app.list_jobs(event.query)

    @on(FilterBar.Left)
    def _left(self) -> None:
        self.set_focus(self.table)

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        if action == "filter":
            return not (self.filter.typing or self.preview.has_focus_within)
        if action == "preview":
            return self.has_class("-wide") or self.has_class("-tall")
        return super().check_action(action, parameters)

    def chosen(self) -> list[Job]:
        """What is done is done to these."""
        return self.table.chosen

    def told_new(self, job: Job) -> None:
        """Go to a job that was started from here."""
        self.table.await_row(job.id)

    def done_with(self) -> None:
        """What was marked was done."""
        self.table.action_unmark()

    def action_filter(self) -> None:
        """Type a filter."""
        self.filter.open()

    def action_clear(self) -> None:
        """First no marks, then no filter."""
        if self.table.marks:
            self.table.action_unmark()
        else:
            self.filter.action_clear()

    def action_sort(self, by: str) -> None:
        """Sort by this, the greatest first; the other way round if it is so already."""
        sort = f"-{by}" if by != "state" else by
        now = self.filter.sort  # the list may not have come yet
        if now.removeprefix("-") == by:
            sort = by if now.startswith("-") else f"-{by}"
        self.filter.sorted_by(sort)

    def action_follow(self) -> None:
        """The newest first, the cursor on it; again to stay where it is."""
        if self.table.follow:
            self.table.follow = False
        else:
            self.filter.sorted_by(Query().sort)
            self.table.follow_first()
        self._tell_standing()

    def action_preview(self) -> None:
        """Show or hide it."""
        self.toggle_class("-no-preview")
        self.call_after_refresh(self._show_preview)

    def action_reload(self) -> None:
        """Read anew what is shown."""
        self.deck_app.load(Place.AGAIN)
