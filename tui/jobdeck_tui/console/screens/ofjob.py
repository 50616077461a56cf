"""What screens share that show something of one job: its record is kept up to date while they are there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_tui.console.feed import Trouble, open_job
from jobdeck_tui.console.screens.base import DeckScreen
from jobdeck_tui.console.settings import RETRY_S
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.state import State

__all__ = ["OfJob"]


class OfJob(DeckScreen):
    """Shows something of the job with this id, or the beginning of one.

    Attributes:
        job: Its record, as it was told last; None before.
    """

    def __init__(self, job_id: str) -> None:
        super().__init__()
        self.job_id = job_id
        self.job: Job | None = None
        self._shown_job: Job | None = None
        self._opening = False

    def job_told(self, job: Job | None) -> None:
        """It is so now; None if it was removed."""
        raise NotImplementedError

    def job_lacking(self, why: str) -> None:
        """It cannot be had; foreign text."""
        raise NotImplementedError

    def on_mount(self) -> None:
        """Ask for the job."""
        self._open()

    def on_unmount(self) -> None:
        """Its record need not be told any more."""
        if self.job is not None:
            self.deck_app.close_job(self.job.id)

    def draw(self, state: State) -> None:
        """The job as it is now."""
        if self.job is None:
            return
        if self.job.id not in state.open:
            self._open()  # another pane that showed it, too, has closed it
        elif state.open[self.job.id] is not self._shown_job:
            self._take_job(state.open[self.job.id])

    def _open(self) -> None:
        if not self._opening:
            self._opening = True
            start(self, self._opened_job, "open")

    async def _opened_job(self) -> None:
        found = await open_job(self.deck_app.api, self.job_id)
        self._opening = False
        if not isinstance(found, Trouble):
            self._take_job(found)
            return
        self.job_lacking(found.words)
        if not found.final:
            self.set_timer(RETRY_S, self._open)

    def _take_job(self, job: Job | None) -> None:
        self.job, self._shown_job = job or self.job, job
        self.job_told(job)
