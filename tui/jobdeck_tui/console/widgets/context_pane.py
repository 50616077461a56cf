"""The context under the cursor: all that is known of it, and the jobs in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.contextfacts import facts
from jobdeck_tui.console.contextjobs import cells_of, columns_for, head_of, words_below
from jobdeck_tui.console.widgets.few_pane import FewJobTable, FewPane

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.columns import Cell, Column, Times

__all__ = ["ContextPane"]


class _Jobs(FewJobTable):
    """Jobs with how far they have come."""

    def fit(self, width: int) -> tuple[Column, ...]:
        """See ``contextjobs``."""
        return columns_for(width)

    def head(self) -> list[Cell]:
        """See ``contextjobs``."""
        return head_of(self.columns)

    def cells(self, row: Job, times: Times, *, marked: bool) -> list[Cell]:
        """See ``contextjobs``."""
        return cells_of(row, self.columns, times, marked=marked)


class ContextPane(FewPane):
    """See the top of this file."""

    NOUN = "Context"

    def facts(self, item: ContextInfo, now_us: int) -> Iterator[tuple[str, str]]:
        """See ``contextfacts``."""
        return facts(item, now_us)

    def job_table(self) -> FewJobTable:
        """Jobs with how far they have come."""
        return _Jobs()

    def words(self) -> tuple[str, ...]:
        """How many more wait, or that there are none."""
        return words_below(self.item, self.jobs)
