"""One of few things (``few``): all that is known of it, and the jobs that it has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar

from textual.containers import Vertical, VerticalScroll
from textual.reactive import Reactive
from textual.widgets import Static

from jobdeck_tui.console.columns import columns_for
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import HIGHEST, LOWEST
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.settings import TICK_S
from jobdeck_tui.console.widgets.facts import Facts
from jobdeck_tui.console.widgets.job_table import JobTable
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from textual.app import ComposeResult

    from jobdeck_tui.console.columns import Column
    from jobdeck_tui.console.few import FewJobsCame

__all__ = ["FactsPane", "FewJobTable", "FewPane"]

_QUERY = Query()


class FewJobTable(JobTable):
    """Jobs of one thing; nothing is marked here, and nothing sorted."""

    SORTS: ClassVar[dict[str, str]] = {}

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Marks belong to the list of jobs."""
        return action not in ("mark", "mark_all", "unmark") and super().check_action(action, parameters)

    def fit(self, width: int) -> tuple[Column, ...]:
        """As on the list of jobs, but for the worker."""
        return columns_for(width, _QUERY, brief=True)


class FactsPane(Vertical):
    """One thing, and all that is known of it. Subclasses say what it is called, and what that is.

    Attributes:
        NOUN: One of the things.
        SCROLLED: Keys may go to it, to scroll.
        item: None if there is none.
    """

    NOUN: ClassVar[str]
    SCROLLED: ClassVar[bool] = True
    DEFAULT_CSS = """
    FactsPane {
        background: $surface;
        & > #few-title { height: 1; padding: 0 1; background: $panel; color: $text-muted; text-wrap: nowrap; }
        &:focus-within > #few-title { color: $text-primary; }
        & > #few-facts { height: 1fr; padding: 0 1; scrollbar-size-vertical: 1; }
    }
    """

    item: Reactive[Any] = Reactive(None, init=False)

    def facts(self, item: Any, now_us: int) -> Iterable[tuple[str, str]]:  # noqa: ANN401  # each pane has its own
        """Names and values."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        """A title, and names and values."""
        self._title = Static(id="few-title", markup=False)
        self._facts = Facts()
        yield self._title
        yield VerticalScroll(self._facts, id="few-facts", can_focus=self.SCROLLED)

    def on_mount(self) -> None:
        """How long ago it was seen grows."""
        self.set_interval(TICK_S, self.tell)

    def watch_item(self) -> None:
        """Another one, or it has changed."""
        self.tell()

    def tell(self) -> None:
        """Tell it as it is now."""
        if not self.display or not self.is_mounted:
            return
        item = self.item
        self._title.update(clean_line(f"{self.NOUN} {item.name}") if item is not None else f"No {self.NOUN.lower()}")
        self._facts.tell(() if item is None else self.facts(item, time.time_ns() // 1000))


class FewPane(FactsPane):
    """The same with the jobs that it has.

    Attributes:
        jobs: Of that one, None before they came.
    """

    SCROLLED: ClassVar[bool] = False
    DEFAULT_CSS = """
    FewPane {
        & > #few-facts { height: auto; max-height: 65%; }
        & > FewJobTable { height: 1fr; min-height: 2; }
    }
    """

    jobs: Reactive[FewJobsCame | None] = Reactive(None, init=False)

    def job_table(self) -> FewJobTable:
        """What the jobs stand in."""
        return FewJobTable()

    def words(self) -> tuple[str, ...]:
        """What stands below the jobs, or where there are none."""
        known = self.jobs is not None and self.item is not None and self.jobs.id == self.item.id
        if self.item is None or (known and self.jobs is not None and self.jobs.jobs):
            return ()
        return ("It has no jobs now.",) if known else ("Loading…",)

    def compose(self) -> ComposeResult:
        """Facts above, jobs below."""
        yield from super().compose()
        self.table = self.job_table()
        yield self.table

    def watch_item(self) -> None:
        """Its jobs are others."""
        super().watch_item()
        self._list()

    def watch_jobs(self) -> None:
        """They came, or one of them has changed."""
        self._list()

    def _list(self) -> None:
        if not self.is_mounted:
            return
        jobs, item = self.jobs, self.item
        known = jobs is not None and item is not None and jobs.id == item.id
        rows = jobs.jobs if jobs is not None and known else ()
        held = {job.id: LOWEST for job in rows}
        self.table.take(JobList(rows=rows, first=LOWEST, last=HIGHEST, known=known, held=held))
        self.table.words = self.words()
