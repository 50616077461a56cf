"""The SQL of jobs, events and idempotency keys: functions of a connection, run on the store's threads.

Writers return what the trio thread needs to know after the commit. Lists are in ``listing``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import ENDED, Job, JobState, from_wire, to_wire
from jobdeck_server.core import packageuse, ways
from jobdeck_server.core.errors import IdempotencyError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from jobdeck_server.core.requests import Idempotency

_LIVE = tuple(state.value for state in JobState if state not in ENDED)


@dataclass(frozen=True, slots=True)
class Event:
    """One numbered change: ``n`` counts up without end, ``data`` is a job's public record or names what is gone."""

    n: int
    kind: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Row:
    """A job that has not ended, as found at start. ``stop`` is (signal, grace in seconds) once one was asked for."""

    job: Job
    spec: dict[str, Any]
    boot_id: str | None
    stop: tuple[int, float] | None


# -- writing --


def find_repeated(connection: sqlite3.Connection, idempotency: Idempotency) -> str | None:
    """The id of the job that was stored with a key.

    Raises:
        IdempotencyError: It was used with another body.
    """
    found = connection.execute(
        "select digest, job_id from idempotency where token_id = ? and key = ?", (idempotency.token_id, idempotency.key)
    ).fetchone()
    if found is None:
        return None
    if bytes(found[0]) != idempotency.digest:
        raise IdempotencyError
    return str(found[1])


def insert_job(
    connection: sqlite3.Connection,
    job: Job,
    spec: Mapping[str, Any],
    *,
    boot_id: str | None,
    idempotency: Idempotency | None,
) -> str | list[Event]:
    """Store a new job, or find the one that was stored with the same key before.

    Returns:
        The events of the new job, or the id of the earlier one.

    Raises:
        IdempotencyError: The key was used with another body.
    """
    if idempotency is not None:
        earlier = find_repeated(connection, idempotency)
        if earlier is not None:
            return earlier
        connection.execute(
            "insert into idempotency values (?, ?, ?, ?, ?)",
            (idempotency.token_id, idempotency.key, idempotency.digest, job.id, job.created_us),
        )
    wire = to_wire(job)
    cursor = connection.execute(
        "insert into job (id, dialect, key, state, created_us, finished_us, boot_id, worker, context, search, record,"
        " spec) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(job.id, job.dialect, job.key, job.state.value, job.created_us, job.finished_us, boot_id, job.place),
            *(job.context, _search(job), _dumps(wire), _dumps(spec)),
        ),
    )
    seq = cursor.lastrowid
    assert seq is not None
    connection.executemany("insert into label values (?, ?)", ((label, seq) for label in job.labels))
    ways.raise_tide(connection, seq)
    packageuse.note(connection, job, spec)
    return [insert_event(connection, "job", wire)]


def update_job(
    connection: sqlite3.Connection,
    job: Job,
    *,
    boot_id: str | None = None,
    stop: tuple[int, float] | None = None,
) -> list[Event]:
    """Store a job's record as it is now; ``boot_id`` and ``stop`` only when given."""
    wire = to_wire(job)
    kept = job.output_bytes if job.ended and not job.output_removed else 0
    connection.execute(
        "update job set state = ?, finished_us = ?, kept_bytes = ?, worker = ?, context = ?, record = ?,"
        " boot_id = coalesce(?, boot_id), stop = coalesce(?, stop) where id = ?",
        (
            *(job.state.value, job.finished_us, kept, job.place, job.context, _dumps(wire), boot_id),
            *(None if stop is None else _dumps(stop), job.id),
        ),
    )
    return [insert_event(connection, "job", wire)]


def insert_event(connection: sqlite3.Connection, kind: str, data: Mapping[str, Any]) -> Event:
    """Number and store an event in the transaction of the change that it tells."""
    n = connection.execute("insert into event (kind, data) values (?, ?)", (kind, _dumps(data))).lastrowid
    assert n is not None
    return Event(n, kind, data)


def delete_jobs(connection: sqlite3.Connection, job_ids: Iterable[str]) -> list[Event]:
    """Remove the rows of ended jobs and doom their folders, which are removed afterwards (see ``undoom``)."""
    events = []
    for job_id in job_ids:
        found = connection.execute("select seq, state from job where id = ?", (job_id,)).fetchone()
        if found is None or found[1] in _LIVE:
            continue
        connection.execute("delete from label where seq = ?", (found[0],))
        connection.execute("delete from idempotency where job_id = ?", (job_id,))
        connection.execute("delete from job where seq = ?", (found[0],))
        connection.execute("insert or ignore into doomed values (?)", (job_id,))
        events.append(insert_event(connection, "job_removed", {"id": job_id}))
    return events


def undoom(connection: sqlite3.Connection, job_ids: Iterable[str]) -> None:
    """The folders of these are gone."""
    connection.executemany("delete from doomed where id = ?", ((job_id,) for job_id in job_ids))


def trim(connection: sqlite3.Connection, *, events_count: int, keys_before_us: int) -> None:
    """Forget old events, idempotency keys, and what helped to find jobs that are gone."""
    connection.execute("delete from event where n <= (select max(n) from event) - ?", (events_count,))
    connection.execute("delete from idempotency where created_us < ?", (keys_before_us,))
    connection.execute("delete from tide where seq < (select min(seq) from job)")


# -- reading --


def find_job(connection: sqlite3.Connection, job_id: str) -> Job | None:
    """A job by its id."""
    found = connection.execute("select record from job where id = ?", (job_id,)).fetchone()
    return None if found is None else _job(found[0])


def find_sized(connection: sqlite3.Connection, job_id: str) -> tuple[Job, int] | None:
    """A job by its id, and how many bytes its record has."""
    found = connection.execute("select record from job where id = ?", (job_id,)).fetchone()
    return None if found is None else (_job(found[0]), len(found[0]))


def find_spec(connection: sqlite3.Connection, job_id: str) -> dict[str, Any]:
    """What the engine was given to run a job; empty if it is not known."""
    found = connection.execute("select spec from job where id = ?", (job_id,)).fetchone()
    return {} if found is None else dict(json.loads(found[0]))


def find_prefix(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """At most two ids that start with a prefix of hexadecimal digits and dashes."""
    rows = connection.execute("select id from job where id >= ? and id < ? limit 2", (prefix, prefix + "g"))
    return [row[0] for row in rows]


def find_key(connection: sqlite3.Connection, key: str) -> Job | None:
    """The newest job that an API knows by this key of its own."""
    found = connection.execute("select record from job where key = ? order by seq desc limit 1", (key,)).fetchone()
    return None if found is None else _job(found[0])


def live_rows(connection: sqlite3.Connection) -> list[Row]:
    """All jobs that have not ended, in the order in which they were accepted."""
    marks = ",".join("?" * len(_LIVE))
    rows = connection.execute(
        f"select record, spec, boot_id, stop from job where state in ({marks}) order by seq",
        _LIVE,
    )
    return [
        Row(_job(record), json.loads(spec), boot_id, None if stop is None else tuple(json.loads(stop)))
        for record, spec, boot_id, stop in rows
    ]


def counts(connection: sqlite3.Connection) -> dict[JobState, int]:
    """How many jobs stand in each state. Reads an index as long as the history: for the start only."""
    return {JobState(state): count for state, count in connection.execute("select state, count(*) from job group by 1")}


def event_range(connection: sqlite3.Connection) -> tuple[int, int]:
    """Numbers of the first event still kept and of the last one ever; (last + 1, last) when none is kept."""
    last: int = (connection.execute("select seq from sqlite_sequence where name = 'event'").fetchone() or (0,))[0]
    first: int | None = connection.execute("select min(n) from event").fetchone()[0]
    return (last + 1 if first is None else first), last


def events_after(connection: sqlite3.Connection, n: int, limit_count: int) -> list[Event]:
    """Events that follow number ``n``."""
    rows = connection.execute("select n, kind, data from event where n > ? order by n limit ?", (n, limit_count))
    return [Event(number, kind, json.loads(data)) for number, kind, data in rows]


def store_id(connection: sqlite3.Connection) -> str:
    """The identity of this database, made with it."""
    return str(connection.execute("select value from meta where name = 'store_id'").fetchone()[0])


def doomed(connection: sqlite3.Connection) -> list[str]:
    """Ids whose rows are gone and whose folders may still be there."""
    return [row[0] for row in connection.execute("select id from doomed")]


def known(connection: sqlite3.Connection, job_ids: Iterable[str]) -> set[str]:
    """Those of some ids that have a row."""
    return {each for each in job_ids if connection.execute("select 1 from job where id = ?", (each,)).fetchone()}


def states(connection: sqlite3.Connection, job_ids: Iterable[str]) -> dict[str, JobState]:
    """The states of some jobs."""
    found = {}
    for job_id in job_ids:
        row = connection.execute("select state from job where id = ?", (job_id,)).fetchone()
        if row is not None:
            found[job_id] = JobState(row[0])
    return found


def shown(connection: sqlite3.Connection, *, newest_count: int, live_count: int) -> list[Mapping[str, Any]]:
    """Public records of the newest jobs and of some that have not ended, newest first.

    Args:
        connection: A reading one, in a transaction.
        newest_count: How many of the newest.
        live_count: How many of those that have not ended: running ones before waiting ones, the oldest of each first.
    """
    seqs = {row[0] for row in connection.execute("select seq from job order by seq desc limit ?", (newest_count,))}
    for state in (JobState.RUNNING, JobState.STARTING, JobState.QUEUED):
        found = connection.execute("select seq from job where state = ? order by seq limit ?", (state, live_count))
        before = len(seqs)
        seqs.update(row[0] for row in found)
        live_count -= len(seqs) - before
    rows = (connection.execute("select record from job where seq = ?", (seq,)) for seq in sorted(seqs, reverse=True))
    return [json.loads(row.fetchone()[0]) for row in rows]


# -- retention --


def excess(connection: sqlite3.Connection, *, keep_count: int, ended_before_us: int, limit_count: int) -> list[str]:
    """Ended jobs that are too old, or more than are to be kept; the longest ended first, never pinned ones."""
    total = connection.execute("select count(*) from job").fetchone()[0]
    rows = connection.execute(
        "select id, finished_us from job where finished_us is not null and pinned = 0"
        " order by finished_us, seq limit ?",
        (limit_count,),
    )
    return [
        job_id
        for number, (job_id, ended_us) in enumerate(rows)
        if number < total - keep_count or ended_us < ended_before_us
    ]


def kept_outputs(connection: sqlite3.Connection, *, keep_bytes: int) -> list[Job]:
    """Ended jobs whose output is to go so that all kept output fits; the longest ended first, never pinned ones."""
    total = connection.execute("select coalesce(sum(kept_bytes), 0) from job where kept_bytes > 0").fetchone()[0]
    chosen: list[Job] = []
    rows = connection.execute(
        "select record, kept_bytes from job where kept_bytes > 0 and finished_us is not null and pinned = 0"
        " order by finished_us"
    )
    for record, size in rows:
        if total <= keep_bytes:
            break
        chosen.append(replace(_job(record), output_removed=True))
        total -= size
    return chosen


# -- parts --


def _search(job: Job) -> str:
    told = (job.id, job.command, *job.labels, *job.packages, *filter(None, (job.context,)))
    return "\n".join(told).casefold().encode(errors="replace").decode()


def _job(record: str) -> Job:
    return from_wire(json.loads(record))


def record_text(job: Job) -> str:
    """A job's public record as JSON, as it is stored and answered."""
    return _dumps(to_wire(job))


def _dumps(value: object) -> str:
    # ASCII only: text that came with lone surrogates (undecodable bytes of a command) must survive SQLite's UTF-8
    return json.dumps(value, separators=(",", ":"))
