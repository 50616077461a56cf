"""All workers: the list with its filter, and the worker under the cursor where there is room.

What is done to workers is in ``workeracts``, what is seen in the widgets. While this screen is seen, the list is read
again and again (``workerwatch``).
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on
from textual.binding import Binding
from textual.containers import Container, Vertical
from textual.screen import ModalScreen

from jobdeck_protocol.job import Job
from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.workeracts import WorkerActs
from jobdeck_tui.console.standing import worker_standing, worker_words
from jobdeck_tui.console.widgets.filter_bar import FilterBar, WorkerFilterBar
from jobdeck_tui.console.widgets.list_foot import ListFoot
from jobdeck_tui.console.widgets.worker_pane import WorkerPane
from jobdeck_tui.console.widgets.worker_table import WorkerTable
from jobdeck_tui.console.workerlist import WorkerQuery, listed

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.binding import BindingType

    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.state import State
    from jobdeck_tui.console.workerbook import Book

__all__ = ["WorkersScreen"]

_FILTER_WORDS = "Filter: text, state:online, label:gpu, name:far"


_key = partial(key, "workers")


class WorkersScreen(WorkerActs):
    """See the top of this file. There is one of it, which is shown again as it was left."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Before all other keys: what is typed in haste after it must not be taken for keys of the list.
        _key("slash", "filter", "filter", _FILTER_WORDS, "Filter", show=True, priority=True),
        _key("N", "sort('name')", "sort_name", "Sort by name; again for the other way round"),
        _key("S", "sort('state')", "sort_state", "Sort by state, what needs care first"),
        _key("U", "sort('used')", "sort_used", "Sort by the part of the slots that is in use"),
        _key("L", "sort('load')", "sort_load", "Sort by load"),
        _key("A", "sort('seen')", "sort_seen", "Sort by when it was last heard of"),
        _key("p", "details", "details", "Show or hide all that is known of the worker"),
        _key("ctrl+r", "reload", "reload", "Read the list anew"),
        _key("escape", "clear", "clear", "No filter; no marks", "Clear"),
        Binding("1", "app.jobs", "Jobs", id="pane.jobs_shown", tooltip="The list of jobs"),
        Binding("2", "app.blobs", "Blobs", id="pane.blobs_shown", tooltip="The list of blobs"),
    ]

    def body(self) -> ComposeResult:
        """The list with its filter and foot, and what is known of one."""
        self.filter = WorkerFilterBar()
        self.table = WorkerTable()
        self.details = WorkerPane()
        self._foot = ListFoot()
        self._query = WorkerQuery()
        self._drawn: tuple[Book, WorkerQuery] | None = None
        with Container(id="workers-body"):
            with Vertical(id="workers-list"):
                yield self.filter
                yield self.table
                yield self._foot
            yield self.details

    def on_mount(self) -> None:
        """Keys go to the list."""
        self.set_focus(self.table)

    # -- what is shown --

    def draw(self, state: State) -> None:
        """The list, and the worker under the cursor."""
        self.changeable = state.may_administer
        if self._drawn != (state.workers, self._query):
            self._drawn = (state.workers, self._query)
            self.table.take(listed(state.workers, self._query))
        self.table.words = worker_words(state, self._query)
        self._tell_standing()
        self._show_details()

    def _tell_standing(self) -> None:
        table = self.table
        self.any_chosen = table.cursor is not None
        self._foot.standing = worker_standing(
            self.deck_app.state, table.shown, table.cursor_index, marked_count=len(table.marks)
        )

    def _show_details(self) -> None:
        """The worker under the cursor; its jobs are asked for if they are seen."""
        worker: WorkerInfo | None = self.table.cursor
        self.details.worker = worker
        self.details.jobs = self.deck_app.state.workers.jobs
        seen = self.is_current or isinstance(self.app.screen, ModalScreen)
        wanted = worker.id if worker is not None and self.details.display else None
        self.deck_app.look_at_workers(wanted, seen=seen)

    def on_resize(self) -> None:
        """The details may have come or gone."""
        self.call_after_refresh(self._show_details)

    def on_screen_resume(self) -> None:
        """Read it again and again."""
        super().on_screen_resume()
        self._show_details()

    def on_screen_suspend(self) -> None:
        """Nobody looks, unless it is past a dialog."""
        self._show_details()

    # -- what the widgets tell --

    @on(WorkerTable.Moved)
    def _moved(self) -> None:
        self._tell_standing()
        self._show_details()

    @on(WorkerTable.Opened)
    def _opened(self, event: WorkerTable.Opened) -> None:
        if isinstance(event.row, Job):
            self.app.push_screen(OutputScreen(event.row.id))
        else:
            self.deck_app.show_jobs_of(event.row)

    @on(WorkerTable.Sorted)
    def _sorted(self, event: WorkerTable.Sorted) -> None:
        self.action_sort(event.by)

    @on(FilterBar.Asked)
    def _asked(self, event: FilterBar.Asked) -> None:
        self._query = event.query
        self.draw(self.deck_app.state)

    @on(FilterBar.Left)
    def _left(self) -> None:
        self.set_focus(self.table)

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        if action == "filter":
            return not self.filter.typing
        return super().check_action(action, parameters)

    def chosen(self) -> list[WorkerInfo]:
        """What is done is done to these."""
        return self.table.chosen

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
        """Sort by this, first the way that is wanted most; the other way round if it is so already."""
        usual = by if by in ("name", "state") else f"-{by}"
        other = by if usual.startswith("-") else f"-{by}"
        self.filter.sorted_by(other if self.filter.sort == usual else usual)

    def action_details(self) -> None:
        """Show or hide it."""
        self.toggle_class("-turned")
        self.call_after_refresh(self._show_details)

    def action_reload(self) -> None:
        """Read anew what is shown."""
        self.deck_app.read_workers()
