"""Callbacks: the end of a job told to an address that its client gave, surely, a few times at most.

A row is noted in the transaction that accepts the job. When the job's end is committed, its event is heard here and the
row is made due, or silent if the job was stopped; a server killed between the two finds rows that wait for jobs that
have ended, and does the same when it comes back. So the table of jobs alone says what is due, and nothing is lost.

Delivered is what was answered with less than 400; a redirect is such an answer and is not followed. Otherwise there are
further tries, each some time after the one before, and then it is dropped. A try that was answered, and not yet noted
when the server was killed, is made once more: ``X-Jobdeck-Delivery`` is the same for all tries, for whoever minds.

The table has wall times, for people and for the next server; this one goes by trio's clock. A time in the table counts
for no longer than the longest delay, so a clock that was set neither loses a callback nor holds it back.
"""

from __future__ import annotations

import logging
from contextlib import aclosing, suppress
from dataclasses import replace
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.job import ENDED, Job, JobState
from jobdeck_server.core import callbackrows
from jobdeck_server.core.callbackbody import Body, Signer, sent, size_of
from jobdeck_server.core.callbackrows import DELIVERED, DROPPED, Row
from jobdeck_server.core.callbackturns import Turns
from jobdeck_server.core.errors import JobdeckError, TooLargeError
from jobdeck_server.core.live import now_us
from jobdeck_server.core.outbound import urls
from jobdeck_server.core.outbound.errors import FailedError, OutboundError, RefusedError
from jobdeck_server.core.outbound.exchange import Exchange
from jobdeck_server.core.store import StoreError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Awaitable, Callable, Sequence

    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.journal import Event
    from jobdeck_server.core.outbound.door import Door
    from jobdeck_server.core.outbound.urls import Url
    from jobdeck_server.core.store import Store
    from jobdeck_server.settings import Settings

    Source = Callable[[str], Awaitable[Body | None]]

__all__ = ["SCHEMES", "Callbacks"]

SCHEMES = ("http", "https")
_log = logging.getLogger("jobdeck.callbacks")
_ENDED = frozenset(state.value for state in ENDED)
_RETRY_S = 1.0  # of the database
_DRAIN_S = 1.0  # for an answer's body, which nobody reads
_GOOD = 400  # the first status that is none


def wanted(job: Job) -> bool:
    """Whether the end of a job is told: not if somebody has stopped it."""
    return job.state is not JobState.STOPPED


class Callbacks:
    """See the top of this file. ``run`` must be running, once ``source`` is there: it begins with what was left.

    Args:
        settings: Those that begin with ``callback_`` and ``outbound_``.
        store: See there.
        events: Told of what is over: ``callback`` (``id`` of the job, ``delivery``, ``state``, ``tries``, ``text``).
        door: What may be called.

    Attributes:
        source: The body for a job that has ended, the same each time; None if it cannot be made any more.

    Raises:
        OSError: There is something wrong with the file of the secret.
    """

    def __init__(
        self, settings: Settings, *, store: Store, events: EventLog, door: Door, source: Source | None = None
    ) -> None:
        self._settings = settings
        self._store = store
        self._events = events
        self._door = door
        self.source = source
        self._signer = Signer(settings.callback_secret_file)
        self._turns = Turns(settings.callback_parallel_count, settings.callback_parallel_per_host_count)
        self._rows: dict[str, Row] = {}  # that are due
        self._noted: set[str] = set()  # jobs whose end is of interest; grows on the store's thread too
        self._ended: set[str] = set()  # of these
        self._ended_bell = trio.Event()
        self._bell = trio.Event()

    # -- coming in --

    def check(self, url_text: str) -> Url:
        """Read the address of a callback, and refuse it if it may not be called.

        Raises:
            SchemeError: It is neither http nor https.
            RefusedError: It is no URL, or not allowed.
        """
        return self._door.check(url_text)

    def note(self, connection: sqlite3.Connection, job_id: str, url: Url) -> None:
        """In the transaction that accepts a job: its end will be told. Runs on the store's thread.

        Raises:
            CapacityError: There are too many; the job is not accepted.
        """
        limit_count = self._settings.callback_limit_count
        callbackrows.note(connection, job_id, url.text, now_us=now_us(), limit_count=limit_count)
        self._noted.add(job_id)

    def due(self, connection: sqlite3.Connection, job_id: str, body: bytes | None) -> None:
        """The job has ended and this is told of it, whatever ``wanted`` says; ``wake`` must follow the commit.

        Only for those who have the body now and not later; all others need not call it. Runs on the store's thread.

        Args:
            connection: Of the transaction.
            job_id: As noted.
            body: At most ``Settings.callback_inline_limit_bytes``; None to ask the source.

        Raises:
            TooLargeError: The body is longer.
        """
        if body is not None and len(body) > self._settings.callback_inline_limit_bytes:
            raise TooLargeError("The body of the callback", self._settings.callback_inline_limit_bytes)
        callbackrows.due(connection, job_id, body, now_us=now_us())

    def wake(self, job_id: str) -> None:
        """See ``due``."""
        self._noted.discard(job_id)
        self._ended.add(job_id)
        self._ended_bell.set()

    async def show(self, job_id: str) -> Row | None:
        """What is known of a job's callback, None if it has none or it was over long ago."""
        row = await self._store.read(lambda connection: callbackrows.find(connection, job_id))
        return row and replace(row, url=row.url.partition("?")[0])

    # -- going out --

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Make all calls that are due, until cancelled; what is under way then is made again by the next server."""
        self._events.listeners.append(self._heard)
        try:
            self._noted |= await self._store.read(callbackrows.waiting)  # first: ends that come from now on are heard
            self._take_in(await self._settle(None))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._settle_ended)
                task_status.started()
                while True:
                    self._bell = trio.Event()
                    while (job_id := self._turns.take(trio.current_time())) is not None:
                        nursery.start_soon(self._call, self._rows[job_id])
                    with trio.move_on_at(self._turns.next_at()):
                        await self._bell.wait()
        finally:
            self._events.listeners.remove(self._heard)

    def _heard(self, events: Sequence[Event]) -> None:
        for event in events:
            if event.kind == "job" and event.data["state"] in _ENDED and event.data["id"] in self._noted:
                self.wake(event.data["id"])

    async def _settle_ended(self) -> None:
        while True:
            await self._ended_bell.wait()
            self._ended_bell = trio.Event()
            ended, self._ended = self._ended, set()
            self._take_in(await self._settle(sorted(ended)))

    async def _settle(self, job_ids: list[str] | None) -> list[Row]:
        while True:
            with suppress(StoreError):
                return await self._store.write(
                    lambda connection: callbackrows.settle(connection, job_ids, wanted=wanted, now_us=now_us())
                )
            await trio.sleep(_RETRY_S)

    def _take_in(self, rows: Sequence[Row]) -> None:
        now, wall_us = trio.current_time(), now_us()
        longest_s = max(self._settings.callback_delays_s, default=0.0)
        for row in rows:
            if row.job_id not in self._rows:
                self._rows[row.job_id] = row
                wait_s = ((row.next_us or 0) - wall_us) / 1e6
                self._turns.add(row.job_id, _host(row), now + min(max(0.0, wait_s), longest_s))
        self._bell.set()

    async def _call(self, row: Row) -> None:
        """One try, and what follows from it."""
        try:
            status = await self._try(row)
            over, text = (DELIVERED if status < _GOOD else None), f"It was answered with {status}."
        except RefusedError as error:
            over, text = DROPPED, str(error)
        except OutboundError as error:
            over, text = None, str(error)
        except (JobdeckError, OSError, StoreError) as error:
            _log.warning("callback of job %s: %s", row.job_id, error)
            over, text = None, "The body could not be read."
        except Exception:  # noqa: BLE001  # whatever goes wrong with one must not end all others
            _log.exception("callback of job %s", row.job_id)
            over, text = None, "There is a fault in this server."
        finally:
            self._turns.done(_host(row))
            self._bell.set()
        tries = row.tries + 1
        if over is None and tries <= len(self._settings.callback_delays_s):
            await self._again(row, tries, text)
        else:
            await self._over(row, over or DROPPED, tries, text)

    async def _try(self, row: Row) -> int:
        """Send it once; the status of the answer."""
        url = self._door.check(row.url)
        status: int | None = None
        with trio.move_on_after(self._settings.callback_timeout_s):
            body = await self._body(row)
            headers = {
                "Content-Type": "application/json",
                "X-Jobdeck-Delivery": row.delivery,
                **await self._signer.headers(body),
            }
            async with self._door.connect(url) as line, aclosing(sent(body)) as pieces:
                exchange = Exchange(line.stream, url, head_limit_bytes=self._settings.outbound_head_limit_bytes)
                status = (await exchange.request("POST", headers, body=pieces, body_bytes=size_of(body))).status
                with trio.move_on_after(_DRAIN_S):
                    await exchange.drain()
        if status is None:
            raise FailedError(f"{url.place} did not answer in {self._settings.callback_timeout_s:g} s.")
        return status

    async def _body(self, row: Row) -> Body:
        kept = await self._store.read(lambda connection: callbackrows.body_of(connection, row.job_id))
        if kept is not None:
            return (kept,)
        body = None if self.source is None else await self.source(row.job_id)
        if body is None:
            raise RefusedError("There is nothing left to tell of this job.")
        if size_of(body) > self._settings.callback_body_limit_bytes:
            raise RefusedError(f"The result is over the limit of {self._settings.callback_body_limit_bytes} bytes.")
        return body

    async def _again(self, row: Row, tries: int, text: str) -> None:
        """There will be another try, whether the database takes note of this one or not."""
        delay_s = self._settings.callback_delays_s[tries - 1]
        self._rows[row.job_id] = replace(row, tries=tries)
        self._turns.add(row.job_id, _host(row), trio.current_time() + delay_s)
        self._bell.set()
        next_us = now_us() + int(delay_s * 1e6)
        _log.info("callback of job %s, try %d: %s Again in %g s", row.job_id, tries, text, delay_s)
        with suppress(StoreError):
            await self._store.write(
                lambda connection: callbackrows.again(connection, row, text, tries=tries, next_us=next_us),
                durable=False,
            )

    async def _over(self, row: Row, state: str, tries: int, text: str) -> None:
        """It is delivered or given up; noted as soon as the database takes it, and not tried again meanwhile."""
        tell = _log.info if state == DELIVERED else _log.warning
        tell("callback of job %s to %s %s, try %d: %s", row.job_id, _shown(row), state, tries, text)
        keep_count = self._settings.callback_retention_count
        while True:
            with suppress(StoreError):
                await self._events.commit(
                    lambda connection: callbackrows.finish(
                        connection, row, state, text, tries=tries, now_us=now_us(), keep_count=keep_count
                    )
                )
                break
            await trio.sleep(_RETRY_S)
        self._rows.pop(row.job_id, None)


def _host(row: Row) -> str:
    """Whom a callback goes to, for taking turns; whether it may is no matter here."""
    try:
        return urls.parse(row.url, schemes=SCHEMES, limit_bytes=len(row.url)).place
    except RefusedError:
        return ""


def _shown(row: Row) -> str:
    return row.url.partition("?")[0]
