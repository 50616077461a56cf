"""The table of jobs."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.reactive import Reactive

from jobdeck_protocol.job import Job, JobState
from jobdeck_tui.console.columns import Cell, Column, Times, cells_of, columns_for, head_of, times_of
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.widgets.row_table import RowTable, row_keys
from jobdeck_tui.console.workerbook import NOBODY, Book

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual.binding import BindingType

__all__ = ["JobTable"]


class JobTable(RowTable):
    """See the top of this file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {f"row-list--{state.value}" for state in JobState}
    DEFAULT_CSS = """
    JobTable {
        & > .row-list--queued { color: $foreground 65%; }
        & > .row-list--starting { color: $text-accent; }
        & > .row-list--running { color: $text-primary; }
        & > .row-list--succeeded { color: $text-success; }
        & > .row-list--failed { color: $text-error; }
        & > .row-list--stopped { color: $text-warning; }
        & > .row-list--lost { color: $text-secondary; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        *row_keys("jobs", "job"),
        Binding("enter", "open", "Output", id="jobs.open", tooltip="Show its output on the whole screen"),
    ]
    SORTS: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"state": "state", "sign": "state", "age": "created", "ended": "ended"}
    )

    book: Reactive[Book] = Reactive(NOBODY, init=False)
    """The workers that are known."""

    def watch_book(self, former: Book, book: Book) -> None:
        """Names may have changed; with a second worker there is another column."""
        if former.several != book.several:
            self._measure()
        elif former.workers != book.workers:
            self._repaint_changes()

    @property
    def jobs(self) -> JobList:
        """The list, as it was handed on last."""
        assert isinstance(self.listed, JobList)
        return self.listed

    def empty(self) -> JobList:
        """No jobs."""
        return JobList()

    def fit(self, width: int) -> tuple[Column, ...]:
        """See ``columns``."""
        return columns_for(width, self.jobs.query, worker=self.book.several)

    def head(self) -> list[Cell]:
        """See ``columns``."""
        return head_of(self.columns, self.jobs.query)

    def times(self, row: Job, now_us: int) -> Times:
        """Ages and durations, and the name of its worker."""
        return times_of(row, self.jobs.query, now_us, self.book)

    def cells(self, row: Job, times: Times, *, marked: bool) -> list[Cell]:
        """See ``columns``."""
        return cells_of(row, self.columns, times, marked=marked)
