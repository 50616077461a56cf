"""All workers: the list with its filter, and the worker under the cursor where there is room; see ``fewscreen``.

What is done to workers is in ``workeracts``, what is seen in the widgets.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual import on

from jobdeck_protocol.job import Job
from jobdeck_tui.console.bindings import key, panes
from jobdeck_tui.console.screens.fewscreen import few_keys
from jobdeck_tui.console.screens.output import OutputScreen
from jobdeck_tui.console.screens.workeracts import WorkerActs
from jobdeck_tui.console.standing import worker_standing, worker_words
from jobdeck_tui.console.widgets.filter_bar import WorkerFilterBar
from jobdeck_tui.console.widgets.worker_pane import WorkerPane
from jobdeck_tui.console.widgets.worker_table import WorkerTable
from jobdeck_tui.console.workerlist import listed

if TYPE_CHECKING:
    from textual.binding import BindingType

    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.few import Few
    from jobdeck_tui.console.state import State
    from jobdeck_tui.console.widgets.list_foot import Standing
    from jobdeck_tui.console.workerlist import WorkerList

__all__ = ["WorkersScreen"]

_FILTER_WORDS = "Filter: text, state:online, label:gpu, name:far"


_key = partial(key, "workers")


class WorkersScreen(WorkerActs):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *few_keys("workers", "worker", _FILTER_WORDS),
        _key("N", "sort('name')", "sort_name", "Sort by name; again for the other way round"),
        _key("S", "sort('state')", "sort_state", "Sort by state, what needs care first"),
        _key("U", "sort('used')", "sort_used", "Sort by the part of the slots that is in use"),
        _key("L", "sort('load')", "sort_load", "Sort by load"),
        _key("A", "sort('seen')", "sort_seen", "Sort by when it was last heard of"),
        *panes("workers"),
    ]

    table: WorkerTable
    details: WorkerPane

    def __init__(self) -> None:
        super().__init__(WorkerFilterBar(), WorkerTable(), WorkerPane())

    # -- what is shown --

    def known(self, state: State) -> Few[WorkerInfo]:
        """The workers."""
        return state.workers

    def listed(self, known: Few[WorkerInfo]) -> WorkerList:
        """See ``workerlist``."""
        return listed(known, self.wanted)

    def may_change(self, state: State) -> bool:
        """They are an administrator's."""
        return state.may_administer

    def words(self, state: State) -> tuple[str, ...]:
        """How to have another one."""
        return worker_words(state, self.wanted)

    def standing(self, state: State) -> Standing:
        """How many there are, and how much of them is in use."""
        table = self.table
        return worker_standing(state, table.shown, table.cursor_index, marked_count=len(table.marks))

    def show_details(self) -> None:
        """The worker under the cursor, and its jobs."""
        self.details.item = self.table.cursor
        self.details.jobs = self.deck_app.state.workers.jobs

    @on(WorkerTable.Opened)
    def _opened(self, event: WorkerTable.Opened) -> None:
        if isinstance(event.row, Job):
            self.app.push_screen(OutputScreen(event.row.id))
        else:
            self.deck_app.show_jobs_of(event.row)
