"""The results of a job: artifacts and files that it left, and values that it told."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from jobdeck_client import ClientError, NotFoundError
from jobdeck_protocol.blob import ARTIFACT as ARTIFACT_TYPE
from jobdeck_protocol.job import JobState
from jobdeck_tui.console.guest import GuestEndedError
from jobdeck_tui.console.screens.files import FilesScreen
from jobdeck_tui.console.screens.ofjob import OfJob
from jobdeck_tui.console.screens.outcome import OutcomeScreen
from jobdeck_tui.console.settings import RETRY_S
from jobdeck_tui.console.tree import ARTIFACT, FILE, VALUE, Branch
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job

__all__ = ["ResultsScreen", "empty_words", "screen_of"]

_HASH = re.compile(r"[0-9a-f]{40}")
_ID_CELLS = 8


def empty_words(job: Job | None) -> tuple[str, ...]:
    """Why there is no result; ``job`` is None for one that was removed."""
    if job is None:
        return ("The job was removed.",)
    if job.state in (JobState.QUEUED, JobState.STARTING):
        return ("The job has not run yet.",)
    if not job.ended:
        return ("The job still runs; results are there when it has ended.",)
    if job.state is JobState.LOST:
        return ("Nobody knows how the job ended: it left no results.",)
    return ("The job left no results.",)


def screen_of(job: Job) -> OfJob:
    """What shows the results of a job."""
    return ResultsScreen(job.id) if job.main_class is None else OutcomeScreen(job.id)


class ResultsScreen(OfJob, FilesScreen):
    """Shows the results of the job with this id, or the beginning of one; kept up to date."""

    def __init__(self, job_id: str) -> None:
        super().__init__(job_id)
        self._results: Mapping[str, Any] | None = None

    def on_mount(self) -> None:
        """Nothing is known yet."""
        self.table.words = ("…",)

    def job_lacking(self, why: str) -> None:
        """It cannot be had."""
        self.table.words = (clean_line(why),)

    def job_told(self, job: Job | None) -> None:
        """The job as it is now."""
        if job is not None:
            self.top.tell(job.command, f"results · {job.state.value} · {job.id[:_ID_CELLS]}")
            if job.results != self._results:
                self._results = job.results
                self.files.set_roots(_branch(name, value) for name, value in job.results.items())
                self.show_rows()
                start(self, self._resolve, "resolve")
        self.table.words = () if self.files.roots else empty_words(job)

    async def _resolve(self) -> None:
        """Find out what stands behind hashes."""
        for branch in self.files.roots:
            if branch.kind == VALUE and isinstance(branch.value, str) and _HASH.fullmatch(branch.value):
                try:
                    blob = await self.deck_app.api.blobs.show(branch.value)
                except NotFoundError:
                    continue  # a word that looks like a hash, or the blob is gone: it stays a value
                except ClientError:
                    self.set_timer(RETRY_S, lambda: start(self, self._resolve, "resolve"))
                    return
                except GuestEndedError:
                    return
                branch.kind = ARTIFACT if blob.type == ARTIFACT_TYPE else FILE
                branch.blob, branch.size_bytes = blob.hash, blob.size_bytes
                branch.told_count, branch.complete = blob.entry_count or 0, branch.kind == FILE
                self.show_rows()


def _branch(name: str, value: Any) -> Branch:  # noqa: ANN401  # a result is any JSON value
    return Branch(id=name, name=name, kind=VALUE, value=value)
