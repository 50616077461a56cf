"""The SQL of callbacks: functions of a connection, run on the store's threads. The table is in ``callbackschema``."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.core import journal
from jobdeck_server.core.errors import CapacityError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.journal import Event

WAITING, DUE, DELIVERED, DROPPED, SILENT = "waiting", "due", "delivered", "dropped", "silent"

_COLUMNS = "job_id, delivery, url, state, tries, next_us, last, created_us, over_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A callback as it is in the table, without its body.

    Attributes:
        job_id: Whose end it tells.
        delivery: The same for all tries.
        url: The whole; without its query once it is over.
        state: See ``callbackschema``.
        tries: So far.
        next_us: When the next one is due, None while there is none to come.
        last: What the last one came to, in a sentence.
        created_us: When the job was accepted.
        over_us: When it was over.
    """

    job_id: str
    delivery: str
    url: str
    state: str
    tries: int
    next_us: int | None
    last: str | None
    created_us: int
    over_us: int | None


def note(connection: sqlite3.Connection, job_id: str, url: str, *, now_us: int, limit_count: int) -> None:
    """Remember that a job that is being accepted has a callback.

    Raises:
        CapacityError: As many as may be are not over.
    """
    count = connection.execute("select count(*) from callback where state in ('waiting', 'due')").fetchone()[0]
    if count >= limit_count:
        raise CapacityError("There are too many callbacks that are not over; try again later.")
    connection.execute(
        "insert into callback (job_id, delivery, url, state, created_us) values (?, ?, ?, ?, ?)",
        (job_id, str(uuid.uuid4()), url, WAITING, now_us),
    )


def due(connection: sqlite3.Connection, job_id: str, body: bytes | None, *, now_us: int) -> None:
    """The job has ended, and its callback is to be made; nothing for a job without one, or if it is due already."""
    connection.execute(
        "update callback set state = ?, body = ?, next_us = ? where job_id = ? and state = ?",
        (DUE, body, now_us, job_id, WAITING),
    )


def settle(
    connection: sqlite3.Connection, job_ids: Iterable[str] | None, *, wanted: Callable[[Job], bool], now_us: int
) -> list[Row]:
    """Bring what waits in line with jobs that have ended.

    Args:
        connection: See the top of this file.
        job_ids: Whose end was heard of; None for all that wait.
        wanted: Whether the end of this job is told.
        now_us: The time.

    Returns:
        Those that are due; with ``job_ids`` of these jobs only.
    """
    if job_ids is None:
        _settle(connection, sorted(waiting(connection)), wanted, now_us)
        return _select(connection, "state = 'due'", ())
    job_ids = list(job_ids)
    _settle(connection, job_ids, wanted, now_us)
    return [row for job_id in job_ids if (row := find(connection, job_id)) is not None and row.state == DUE]


def _settle(connection: sqlite3.Connection, job_ids: Sequence[str], wanted: Callable[[Job], bool], now_us: int) -> None:
    for job_id in job_ids:
        row = find(connection, job_id)
        if row is None or row.state != WAITING:
            continue
        job = journal.find_job(connection, job_id)
        if job is None:
            over(connection, job_id, DROPPED, "The job was removed.", now_us=now_us)
        elif job.ended and wanted(job):
            due(connection, job_id, None, now_us=now_us)
        elif job.ended:
            over(connection, job_id, SILENT, "The job was stopped.", now_us=now_us)


def over(connection: sqlite3.Connection, job_id: str, state: str, last: str, *, now_us: int, tries: int = 0) -> bool:
    """A callback is over; whether it was not before.

    Args:
        connection: See the top of this file.
        job_id: Whose it is.
        state: ``DELIVERED``, ``DROPPED`` or ``SILENT``.
        last: Why, in a sentence.
        now_us: The time.
        tries: How many there were.
    """
    cursor = connection.execute(
        "update callback set state = ?, last = ?, tries = ?, over_us = ?, next_us = null, body = null,"
        " url = case instr(url, '?') when 0 then url else substr(url, 1, instr(url, '?') - 1) end"
        " where job_id = ? and over_us is null",
        (state, last, tries, now_us, job_id),
    )
    return cursor.rowcount > 0


def finish(
    connection: sqlite3.Connection, row: Row, state: str, last: str, *, tries: int, now_us: int, keep_count: int
) -> list[Event]:
    """Note how a callback ended, tell it, and forget the oldest of those that are over but for ``keep_count``."""
    if not over(connection, row.job_id, state, last, now_us=now_us, tries=tries):
        return []
    connection.execute(
        "delete from callback where job_id in (select job_id from callback where over_us is not null"
        " order by over_us desc limit -1 offset ?)",
        (keep_count,),
    )
    told = {"id": row.job_id, "delivery": row.delivery, "state": state, "tries": tries, "text": last}
    return [journal.insert_event(connection, "callback", told)]


def again(connection: sqlite3.Connection, row: Row, last: str, *, tries: int, next_us: int) -> None:
    """A try has failed, and there will be another one."""
    connection.execute(
        "update callback set tries = ?, last = ?, next_us = ? where job_id = ? and state = ?",
        (tries, last, next_us, row.job_id, DUE),
    )


def find(connection: sqlite3.Connection, job_id: str) -> Row | None:
    """A job's callback."""
    found = _select(connection, "job_id = ?", (job_id,))
    return found[0] if found else None


def waiting(connection: sqlite3.Connection) -> set[str]:
    """All jobs with a callback that have not ended."""
    return {row[0] for row in connection.execute("select job_id from callback where state = 'waiting'")}


def body_of(connection: sqlite3.Connection, job_id: str) -> bytes | None:
    """The body that was given for it, None if there is none."""
    found = connection.execute("select body from callback where job_id = ?", (job_id,)).fetchone()
    return None if found is None or found[0] is None else bytes(found[0])


def _select(connection: sqlite3.Connection, where: str, values: tuple[str, ...]) -> list[Row]:
    rows = connection.execute(f"select {_COLUMNS} from callback where {where}", values)
    names = _COLUMNS.split(", ")
    return [Row(**dict(zip(names, row, strict=True))) for row in rows]
