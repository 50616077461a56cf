"""Brings changes of jobs into the database: in order, ends after a sync, and again when it would not take them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import journal
from jobdeck_server.core.ends import Syncer
from jobdeck_server.core.journal import Event

if TYPE_CHECKING:
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.live import Live
    from jobdeck_server.core.store import Store
    from jobdeck_server.settings import Settings

_log = logging.getLogger("jobdeck.jobs")
_RETRY_S = 1.0
_LATER_S = 0.02

Saved = Callable[[list[Event] | None, Exception | None], None]


class Saver:
    """Saves the records of ``jobs`` and drops from it those whose end is committed."""

    def __init__(self, store: Store, events: EventLog, jobs: dict[str, Live], settings: Settings) -> None:
        self._store = store
        self._events = events
        self._jobs = jobs
        self._unsaved: dict[str, Live] = {}
        self._later: dict[str, Live] = {}
        self._later_bell = trio.Event()
        self._waiting: dict[str, Saved] = {}  # the ``done`` of saves that failed, by job
        self._syncer = Syncer(settings.data_dir, enabled=settings.sync == "full")

    async def run(self) -> None:
        """Sync before ends, and offer again what the database would not take (a full disk), until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._syncer.run)
            nursery.start_soon(self._save_later)
            while True:
                await trio.sleep(_RETRY_S)
                again, self._unsaved = self._unsaved, {}
                for live in again.values():
                    self.save(live, durable=True, done=self._waiting.pop(live.job.id, None))

    def save_later(self, live: Live) -> None:
        """Commit a change of a running job in a moment, together with others.

        A job that ends within that moment is committed once, as ended: what short jobs cost is mostly commits. A server
        killed before finds the change in the job's own record.
        """
        self._later[live.job.id] = live
        self._later_bell.set()

    async def _save_later(self) -> None:
        while True:
            await self._later_bell.wait()
            self._later_bell = trio.Event()
            await trio.sleep(_LATER_S)
            later, self._later = self._later, {}
            for live in later.values():
                if not live.job.ended:
                    self.save(live)

    def save(self, live: Live, *, durable: bool = False, done: Saved | None = None) -> None:
        """Commit a job's record as it is now, soon; ends go by way of the syncer.

        Args:
            live: The job.
            durable: It must survive a power cut.
            done: Called with the outcome instead of ``saved``, which it must call itself.
        """
        job, boot_id = live.job, live.boot_id
        stop = None if live.stop is None else (live.stop.signal, live.stop.grace_s)

        def finish(events: list[Event] | None, error: Exception | None) -> None:
            if error is not None and done is not None:
                self._waiting[job.id] = done  # what hangs on this commit comes after it, whenever that is
            (done or partial(self.saved, live))(events, error)

        def write() -> None:
            self._store.write_soon(
                lambda connection: journal.update_job(connection, job, boot_id=boot_id, stop=stop),
                finish,
                durable=durable,
            )

        if job.ended and job.started_us is not None:
            self._syncer.after_sync(write)
        else:
            write()

    async def save_now(self, live: Live) -> None:
        """Commit a job's record as it is now, durably, and wait for it.

        Raises:
            StoreError: The database would not take it; it is offered again later.
        """
        finished = trio.Event()
        failed: list[Exception] = []

        def done(events: list[Event] | None, error: Exception | None) -> None:
            self.saved(live, events, error)
            failed.extend([] if error is None else [error])
            finished.set()

        self.save(live, durable=True, done=done)
        await finished.wait()
        if failed:
            raise failed[0]

    def saved(self, live: Live, events: list[Event] | None, error: Exception | None) -> None:
        """A record was committed, or was not: tell it, or try again later."""
        if error is not None:
            _log.error("job %s could not be saved: %s", live.job.id, error)
            self._unsaved[live.job.id] = live
            return
        self._events.publish(events or [])
        if live.job.ended and events and events[-1].data["state"] == live.job.state.value:
            self._jobs.pop(live.job.id, None)
            live.ring()
