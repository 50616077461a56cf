"""What can be done to jobs from the list: stop, kill, run again, remove, start, copy."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.curl import curl_of_job
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.listacts import ListActs, count_of
from jobdeck_tui.console.screens.results import screen_of
from jobdeck_tui.console.screens.start import StartScreen
from jobdeck_tui.words import age

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_protocol.job import Job

__all__ = ["JobActs"]

_ID_CELLS = 8


_key = partial(key, "jobs")


class JobActs(ListActs["Job"]):
    """Keys that act on jobs; see ``ListActs``."""

    NOUN = "job"
    CHANGES = frozenset({"stop", "rerun", "remove", "start"})
    NEEDS = frozenset({"stop", "rerun", "remove", "results", "context", "copy_id", "copy_curl"})
    BINDINGS: ClassVar[list[BindingType]] = [
        _key("n", "start", "start", "Start a job", "New", show=True),
        _key("x", "stop(False)", "stop", "Stop: SIGTERM, and SIGKILL after its grace time", "Stop", show=True),
        _key("X,ctrl+k", "stop(True)", "kill", "Kill: SIGKILL at once"),
        _key("r", "rerun", "rerun", "Run the same again, as a new job", "Rerun", show=True),
        _key("d", "remove", "remove", "Remove a job that has ended, and its output"),
        _key("C", "context", "context", "The context in which it runs"),
        _key("y", "copy_id", "copy_id", "Copy the id"),
        _key("Y", "copy_curl", "copy_curl", "Copy as a curl line that starts the same"),
    ]

    # -- ending --

    def action_stop(self, kill: bool) -> None:
        """Ask, then stop or kill what has not ended."""
        chosen = self.chosen()
        jobs = [job for job in chosen if not job.ended]
        verb = "Kill" if kill else "Stop"
        if not jobs:
            self.deck_app.tell("It has ended already" if len(chosen) == 1 else "All of them have ended already")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._stop([job.id for job in jobs], kill=kill), group="stop", exit_on_error=False)

        note = " ".join(filter(None, (_left_out(len(chosen) - len(jobs), "ended already"), _contexts_end(jobs))))
        question = ConfirmScreen(_asked(verb, jobs), _lines(jobs), verb=verb, note=note)
        self.app.push_screen(question, answered)

    async def _stop(self, job_ids: Sequence[str], *, kill: bool) -> None:
        what = "killed" if kill else "asked to stop"
        refused = await self.deck_app.ask(self.deck_app.api.stop(job_ids, kill=kill), "Stopping failed")
        self.tell_done(len(job_ids), refused, what)

    def action_remove(self) -> None:
        """Ask, then remove what has ended."""
        chosen = self.chosen()
        jobs = [job for job in chosen if job.ended]
        if not jobs:
            self.deck_app.tell("Only jobs that have ended can be removed")
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self.run_worker(self._remove([job.id for job in jobs]), group="remove", exit_on_error=False)

        note = _left_out(len(chosen) - len(jobs), "not ended yet")
        lines = _lines(jobs)
        question = ConfirmScreen(_asked("Remove", jobs, " and their output"), lines, verb="Remove", note=note)
        self.app.push_screen(question, answered)

    async def _remove(self, job_ids: Sequence[str]) -> None:
        refused = await self.deck_app.ask(self.deck_app.api.remove(job_ids), "Removing failed")
        self.tell_done(len(job_ids), refused, "removed")

    # -- starting --

    def action_start(self) -> None:
        """The dialog."""

        def started(job: Job | None) -> None:
            if job is not None:
                self.deck_app.tell(f"Started {job.id[:_ID_CELLS]}")
                self.told_new(job)

        self.app.push_screen(StartScreen(), started)

    def action_rerun(self) -> None:
        """The same again; several only after a question."""
        jobs = self.chosen()
        if len(jobs) == 1:
            self._run_again(jobs)
            return

        def answered(yes: bool | None) -> None:
            if yes:
                self._run_again(jobs)

        self.app.push_screen(ConfirmScreen(_asked("Run", jobs, " again"), _lines(jobs), verb="Run"), answered)

    def _run_again(self, jobs: Sequence[Job]) -> None:
        self.run_worker(self._rerun([job.id for job in jobs]), group="rerun", exit_on_error=False)

    async def _rerun(self, job_ids: Sequence[str]) -> None:
        for job_id in job_ids:
            job = await self.deck_app.ask(self.deck_app.api.rerun(job_id), "It could not be run again")
            if job is not None:
                self.deck_app.tell(f"Started {job.id[:_ID_CELLS]}, the same as {job_id[:_ID_CELLS]}")
                self.told_new(job)
        self.done_with()

    # -- looking --

    def action_results(self) -> None:
        """What the job under the cursor left behind."""
        self.app.push_screen(screen_of(self.chosen()[0]))

    def action_context(self) -> None:
        """Where it runs."""
        self.deck_app.show_context_of(self.chosen()[0])

    # -- copying --

    def action_copy_id(self) -> None:
        """One id, or a line for each."""
        ids = [job.id for job in self.chosen()]
        self.copy(ids, f"Copied {ids[0]}" if len(ids) == 1 else f"Copied {len(ids)} ids")

    def action_copy_curl(self) -> None:
        """One command, or a line for each."""
        app = self.deck_app
        lines = [curl_of_job(app.state.url, job, token=app.has_token) for job in self.chosen()]
        self.copy(lines, "Copied a curl line" if len(lines) == 1 else f"Copied {len(lines)} curl lines")


def _asked(verb: str, jobs: Sequence[Job], rest: str = "") -> str:
    if len(jobs) == 1:
        rest = rest.replace("their", "its")
    return f"{verb} {'this job' if len(jobs) == 1 else f'these {len(jobs):,} jobs'}{rest}?"


def _lines(jobs: Sequence[Job]) -> list[str]:
    now_us = time.time_ns() // 1000
    return [f"{job.id[:_ID_CELLS]}  {age(job.created_us, now_us):>5}  {job.command}" for job in jobs]


def _left_out(count: int, why: str) -> str:
    return f"Left out: {count_of(count, 'job')} that {'has' if count == 1 else 'have'} {why}." if count else ""


def _contexts_end(jobs: Sequence[Job]) -> str:
    """What else ends with a process in which others run."""
    names = [job.context for job in jobs if job.hosts_context and job.context]
    if not names:
        return ""
    what, them = ("Context", "it") if len(names) == 1 else ("Contexts", "them")
    return f"{what} {', '.join(names)} and what runs in {them} will end, too."
