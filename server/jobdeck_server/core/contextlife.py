"""How contexts come up and end. Part of ``Contexts``.

Each has one task that makes it and, later, one that ends it, both here: whoever asked for it may go meanwhile.
"""

from __future__ import annotations

import logging
from dataclasses import fields, replace
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_protocol.job import JobState
from jobdeck_server.core import contextrows
from jobdeck_server.core.admission import RESTORED
from jobdeck_server.core.contextrows import ContextRow
from jobdeck_server.core.contextsettings import PLAIN
from jobdeck_server.core.errors import ContextInitError, ContextLostError, JobdeckError, UnknownJobError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.outbound.errors import OutboundError
from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import Ended

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from jobdeck_protocol.contextinfo import ContextInfo
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.contextkinds import Facts, Kind
    from jobdeck_server.core.contextplaces import Place
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.live import Live
    from jobdeck_server.settings import Settings

_log = logging.getLogger("jobdeck.contexts")
_RETRY_S = 1.0
_AT_ONCE_COUNT = 200  # jobs that are told to stop together
_KILL, _TERMINATE = 9, 15
_RESTORED_NOTE = "an admin to agree: this server was restored from a backup"


class ContextLife:
    """See the top of this file.

    Args:
        core: Whose jobs are stopped.
        settings: Those that begin with ``context_``.
        kinds: By their names.
        changed: Called when a context has come further; with one that has ended, last.

    Attributes:
        marks: By the id of each job that is, or was, stopped because its context was: words for that.
        lost: Called with a context of which it turns out that what it ran in has died.
        again: Asked whether one that could not be made is being made once more.
    """

    def __init__(
        self, core: JobCore, settings: Settings, *, kinds: Mapping[str, Kind], changed: Callable[[Place], None]
    ) -> None:
        self._core = core
        self._settings = settings
        self._kinds = kinds
        self._changed = changed
        self._nursery: trio.Nursery | None = None
        self.marks: dict[str, str] = {}
        self.lost: Callable[[Place, ContextLostError], None] = lambda _place, _error: None
        self.again: Callable[[Place], bool] = lambda _place: False

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own all tasks, until cancelled."""
        async with trio.open_nursery() as self._nursery:
            task_status.started()
            await trio.sleep_forever()

    def soon(self, task: Callable[..., Awaitable[None]], *args: object) -> None:
        """Begin a task."""
        assert self._nursery is not None, "it is used before it runs"
        self._nursery.start_soon(task, *args)

    # -- coming up --

    async def make(self, place: Place) -> None:
        """Write down a new context, then bring it up."""
        try:
            await self._core.store.write(partial(contextrows.save, row=_row(place)))
        except StoreError as error:
            if not place.stopping:
                place.failure = error
                self._over(place, _ended_as(place, ContextState.ERROR, "it could not be written down"))
            return
        self._changed(place)
        await self.bring_up(place)

    async def bring_up(self, place: Place) -> None:
        """Make all that the jobs of a context need; its state says how that went, and ``settled``."""
        facts: Facts | None = None
        error: str | None = None
        with place.scope:
            try:
                await self._agreed(place)
                kind = self._kinds[place.context.kind]
                async with kind.turn(place.context):
                    with trio.fail_after(self._settings.context_start_s):
                        facts = await kind.start(place.context)
            except ContextLostError as lost:
                self.lost(place, lost)
                return
            except trio.TooSlowError:
                error = f"it was not up within {self._settings.context_start_s:g} s"
            except (JobdeckError, OutboundError, StoreError) as failure:
                error = str(failure)
            except Exception:  # noqa: BLE001  # one kind's fault is that context's end, not the server's
                _log.exception("context %s", place.context.name)
                error = "internal error"
        if place.stopping:
            return  # whoever stops it does the rest
        if facts is None:
            if not self.again(place):
                text = f"Context {place.context.name} cannot be made: {error}"
                self.stop(place, state=ContextState.ERROR, error=text)
            return
        known = {each.name: getattr(facts, each.name) for each in fields(facts)}
        place.become(ContextState.RUNNING, note=None, **known)
        if not place.context.adhoc:
            self._core.store.write_soon(partial(contextrows.save, row=_row(place)), _told_if_failed, durable=False)
        place.settled.set()
        self._changed(place)

    async def _agreed(self, place: Place) -> None:
        """Wait until processes may be started: a server that was restored waits for its admin."""
        while place.context.kind != PLAIN and RESTORED in self._core.admission.pauses:
            if place.context.note is None:
                place.become(place.context.state, note=_RESTORED_NOTE)
                self._changed(place)
            await trio.sleep(_RETRY_S)

    # -- ending --

    def stop(
        self,
        place: Place,
        *,
        force: bool = False,
        state: ContextState = ContextState.FINISHED,
        error: str | None = None,
    ) -> None:
        """Begin to stop a context, or with ``force`` go on without patience. Never blocks.

        Args:
            place: The context.
            force: Jobs are killed at once.
            state: What it will be, unless it is forced.
            error: Why, if nobody has asked for it.
        """
        if not place.stopping:
            place.final = (state, error)
            self.shut_down(place)
        if force and not place.forced:
            place.forced = True
            if place.final[0] is ContextState.FINISHED:
                place.final = (ContextState.KILLED, None)
            self.soon(partial(self.stop_jobs, place.jobs(), signal=_KILL))
            self.soon(self._kill, place)

    def shut_down(self, place: Place) -> None:
        """Begin to stop a context, or go on with it after a restart."""
        place.become(ContextState.STOPPING, error=place.final[1])
        place.scope.cancel()
        self._changed(place)
        self.soon(self._shut_down, place)

    async def write(self, place: Place) -> None:
        """Write a context down as it is now, however long that takes; those of one job are not."""
        if not place.context.adhoc:
            await self._until_written(partial(contextrows.save, row=_row(place)))

    async def _shut_down(self, place: Place) -> None:
        await self.write(place)
        text = place.final[1] if place.lost or not place.settled.is_set() else None
        if place.lost:
            await self.stop_jobs(place.waiting(), text=text)
            with trio.move_on_after(self._settings.context_lost_s):
                await place.emptied()  # they know it themselves
        await self.stop_jobs(place.jobs(), text=text)
        self.note_jobs(place, place.jobs())
        await place.emptied()
        await self.let_go(place)
        ended = _ended_as(place, *place.final)
        if not ended.adhoc:
            await self._until_written(partial(contextrows.save, row=ContextRow(ended, place.configured)))
        self._over(place, ended)

    def note_jobs(self, place: Place, lives: Sequence[Live]) -> None:
        """Say that a context waits for jobs to end, if there are any."""
        if lives:
            text = "1 job to end" if len(lives) == 1 else f"{len(lives)} jobs to end"
            place.become(place.context.state, note=text)
            self._changed(place)

    def retire(self, place: Place) -> None:
        """The job of an ad-hoc context has ended, and the context with it."""
        place.scope.cancel()
        self._over(place, _ended_as(place, *place.final))
        self.soon(self.let_go, place)

    async def let_go(self, place: Place) -> None:
        """Have what was made for a context ended, for as long as there is patience."""
        try:
            with trio.move_on_after(self._settings.context_stop_s) as limit:
                await self._kinds[place.context.kind].stop(place.context, force=place.forced)
            if limit.cancelled_caught:
                _log.error("context %s has not let go within %g s", place.context.name, self._settings.context_stop_s)
        except Exception:  # noqa: BLE001  # the context has ended all the same
            _log.exception("context %s", place.context.name)

    async def _kill(self, place: Place) -> None:
        try:
            await self._kinds[place.context.kind].kill(place.context)
        except Exception:  # noqa: BLE001  # it is stopped all the same
            _log.exception("context %s", place.context.name)

    def _over(self, place: Place, ended: ContextInfo) -> None:
        """Tell the end of a context, which is written down."""
        place.context = ended
        if not place.settled.is_set():
            place.failure = place.failure or ContextInitError(place.context.error or "It was stopped before it was up.")
            place.settled.set()
        place.over.set()
        self._changed(place)

    async def stop_jobs(self, lives: Sequence[Live], *, text: str | None = None, signal: int = _TERMINATE) -> None:
        """End jobs because their context has ended, or is about to; that it is so is written down first.

        Nobody has stopped those that waited for a context that could not be made: they have failed.

        Args:
            lives: The jobs.
            text: Why it could not be made; None if somebody stopped the context.
            signal: What they are sent.
        """
        for start in range(0, len(lives), _AT_ONCE_COUNT):
            some = [live for live in lives[start : start + _AT_ONCE_COUNT] if not live.job.ended]
            # Who was asked to stop before ends for that reason
            marks = {live.job.id: text or _ended(live.job) for live in some if not live.job.stop_requested}
            for job_id, words in marks.items():
                self.marks.setdefault(job_id, words)
            await self._until_written(partial(contextrows.mark, marks=marks))
            async with trio.open_nursery() as nursery:
                for live in some:
                    if text is not None and live.job.state is JobState.QUEUED:
                        self._core.admission.leave(live)
                        self._core.report(live.job.id, Ended(how="error", text=text, finished_us=now_us()))
                    else:
                        nursery.start_soon(self._stop_job, live.job.id, signal)

    async def _stop_job(self, job_id: str, signal: int) -> None:
        try:
            await self._core.stop(job_id, signal=signal)
        except UnknownJobError:
            pass  # it has ended
        except StoreError as error:
            _log.error("job %s: %s", job_id, error)  # it is being stopped all the same

    # -- forgetting --

    async def forget(self) -> list[str]:
        """Forget contexts that ended long ago, and why jobs ended that are forgotten themselves.

        Returns:
            The ids of these contexts.
        """
        before_us = now_us() - int(self._settings.context_retention_s * 1e6)
        trim = partial(contextrows.trim, keep_count=self._settings.context_retention_count, before_us=before_us)

        def work(connection: sqlite3.Connection) -> tuple[list[str], list[str]]:
            return trim(connection), contextrows.unmark_strangers(connection)

        try:
            forgotten, strangers = await self._core.store.write(work, durable=False)
        except StoreError as error:
            _log.error("old contexts could not be forgotten now: %s", error)
            return []
        for job_id in strangers:
            self.marks.pop(job_id, None)
        return forgotten

    async def _until_written(self, work: Callable[[sqlite3.Connection], None]) -> None:
        """Write something down, however long the database does not take it."""
        while True:
            try:
                return await self._core.store.write(work)
            except StoreError as error:
                _log.error("what becomes of a context could not be written down yet: %s", error)
                await trio.sleep(_RETRY_S)


def _ended_as(place: Place, state: ContextState, error: str | None) -> ContextInfo:
    return replace(place.context, state=state, ended_us=now_us(), error=error, note=None, memory_bytes=None)


def _ended(job: Job) -> str:
    return f"Context ({job.context}) for this job was terminated"


def _row(place: Place) -> ContextRow:
    return ContextRow(place.context, place.configured)


def _told_if_failed(_result: None, error: Exception | None) -> None:
    if error is not None:
        _log.error("a context could not be noted: %s", error)
