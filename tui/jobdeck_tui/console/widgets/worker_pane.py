"""The worker under the cursor: all that is known of it, and the jobs that it has."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from textual.containers import Vertical
from textual.reactive import Reactive
from textual.widgets import Static

from jobdeck_tui.console.columns import columns_for
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import HIGHEST, LOWEST
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.settings import TICK_S
from jobdeck_tui.console.widgets.facts import Facts
from jobdeck_tui.console.widgets.job_table import JobTable
from jobdeck_tui.console.workerfacts import facts
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_tui.console.columns import Column
    from jobdeck_tui.console.few import FewJobsCame

__all__ = ["WorkerJobTable", "WorkerPane"]

_QUERY = Query()


class WorkerJobTable(JobTable):
    """Jobs of one worker; nothing is marked here, and nothing sorted."""

    SORTS: ClassVar[dict[str, str]] = {}

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Marks belong to the list of jobs."""
        return action not in ("mark", "mark_all", "unmark") and super().check_action(action, parameters)

    def fit(self, width: int) -> tuple[Column, ...]:
        """As on the list of jobs, but for the worker."""
        return columns_for(width, _QUERY, brief=True)


class WorkerPane(Vertical):
    """See the top of this file.

    Attributes:
        worker: None if there is none.
        jobs: Of that worker, None before they came.
    """

    DEFAULT_CSS = """
    WorkerPane {
        background: $surface;
        & > #worker-title { height: 1; padding: 0 1; background: $panel; color: $text-muted; text-wrap: nowrap; }
        & > #worker-facts { height: auto; max-height: 65%; padding: 0 1; overflow-y: auto; scrollbar-size-vertical: 1; }
        & > WorkerJobTable { height: 1fr; min-height: 2; }
    }
    """

    worker: Reactive[WorkerInfo | None] = Reactive(None, init=False)
    jobs: Reactive[FewJobsCame | None] = Reactive(None, init=False)

    def compose(self) -> ComposeResult:
        """Facts above, jobs below."""
        self._title = Static(id="worker-title", markup=False)
        self._facts = Facts(id="worker-facts")
        self.table = WorkerJobTable()
        yield self._title
        yield self._facts
        yield self.table

    def on_mount(self) -> None:
        """How long ago it was seen grows."""
        self.set_interval(TICK_S, self._tell)

    def watch_worker(self) -> None:
        """Another one, or it has changed."""
        self._tell()
        self._list()

    def watch_jobs(self) -> None:
        """They came, or one of them has changed."""
        self._list()

    def _tell(self) -> None:
        if not self.display or not self.is_mounted:
            return
        worker = self.worker
        self._title.update(clean_line(f"Worker {worker.name}") if worker is not None else "No worker")
        self._facts.tell(() if worker is None else facts(worker, time.time_ns() // 1000))

    def _list(self) -> None:
        if not self.is_mounted:
            return
        jobs, worker = self.jobs, self.worker
        known = jobs is not None and worker is not None and jobs.id == worker.id
        rows = jobs.jobs if jobs is not None and known else ()
        held = {job.id: LOWEST for job in rows}
        self.table.take(JobList(rows=rows, first=LOWEST, last=HIGHEST, known=known, held=held))
        self.table.words = () if rows or worker is None else ("It has no jobs now.",) if known else ("Loading…",)
