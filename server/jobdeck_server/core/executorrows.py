"""The SQL of the executor: functions of a connection, run on the store's threads.

    executor_job      what the WebGME API knows of a job beyond its record; a job without a row has all defaults
    executor_segment  a numbered segment of output -> where its text stands in the job's output, which keeps it once
    executor_worker   who asked for jobs, so that a worker outlives the server's restart

Rows of jobs and segments go with their job, by a trigger. A job is found by its key, which is the API's name for it:
the newest one with a key is the job, older ones are history.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jobdeck_protocol.job import ENDED, Job, JobState, from_wire

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Mapping, Sequence

DIALECT: Final = "webgme"
GUEST: Final = "guest"
COMBINED: Final = 0  # beside the numbers of ``runs.Kind``: offsets count all of the output
_COLUMNS = (
    "secret_digest, user, status, start_text, finish_text, executor_job.worker, results, super_set, output_number"
)
_LIVE = (JobState.QUEUED, JobState.STARTING, JobState.RUNNING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of a job beyond its record.

    Attributes:
        secret_digest: SHA-256 of the secret that stops it; empty if there is none.
        user: Who made it.
        status: A status that a client or a worker gave it in words of its own, None where the state says it all.
        start: When it was started, in the words of who ran it.
        finish: When it ended, the same way.
        worker: Who ran it, where a client said so.
        results: Artifact to hash, as it was told; None until it was.
        super_set: Hash of the artifact of all results.
        output_number: Of the newest segment of its output.
    """

    secret_digest: bytes = b""
    user: str = GUEST
    status: str | None = None
    start: str | None = None
    finish: str | None = None
    worker: str | None = None
    results: Mapping[str, object] | None = None
    super_set: str | None = None
    output_number: int | None = None


@dataclass(frozen=True, slots=True)
class Segment:
    """A numbered piece of output: bytes ``[start, end)`` of a stream (``COMBINED``, or a ``runs.Kind``)."""

    number: int
    stream: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Found:
    """A job as it is stored."""

    seq: int
    job: Job
    row: Row


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker that has asked for jobs."""

    client_id: str
    labels: tuple[str, ...]
    user: str
    seen_us: int


# -- jobs --


def save(connection: sqlite3.Connection, job_id: str, row: Row) -> None:
    """Store what is known of a job, instead of what was."""
    results = None if row.results is None else _dumps(dict(row.results))
    connection.execute(
        "insert or replace into executor_job values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(job_id, row.secret_digest, _clean(row.user), _clean(row.status), _clean(row.start), _clean(row.finish)),
            *(_clean(row.worker), results, _clean(row.super_set), row.output_number),
        ),
    )


def put_super_set(connection: sqlite3.Connection, job_id: str, blob_hash: str) -> None:
    """Store the artifact of all results of a job."""
    connection.execute("update executor_job set super_set = ? where job_id = ?", (blob_hash, job_id))


def rows(connection: sqlite3.Connection, job_ids: Iterable[str]) -> dict[str, Row]:
    """What is known of some jobs; those without a row are left out."""
    found = {}
    for job_id in job_ids:
        values = connection.execute(f"select {_COLUMNS} from executor_job where job_id = ?", (job_id,)).fetchone()
        if values is not None:
            found[job_id] = _row(values)
    return found


def live_rows(connection: sqlite3.Connection) -> dict[str, Row]:
    """What is known of each job that has not ended."""
    marks = ",".join("?" * len(_LIVE))
    found = connection.execute(
        f"select job.id, {_COLUMNS} from job join executor_job on job_id = job.id where job.state in ({marks})",
        _LIVE,
    )
    return {job_id: _row(values) for job_id, *values in found}


def find(connection: sqlite3.Connection, key: str) -> Found | None:
    """The newest job with a key."""
    found = connection.execute(
        f"select seq, record, {_COLUMNS} from job left join executor_job on job_id = job.id"
        " where key = ? and dialect = ? order by seq desc limit 1",
        (key, DIALECT),
    ).fetchone()
    return None if found is None else _found(found)


def newest_after(
    connection: sqlite3.Connection, seq: int, *, ended: Collection[JobState] | None, limit_count: int
) -> list[Found]:
    """Jobs that are the newest with their key, in the order in which they came, after number ``seq``.

    Args:
        connection: A reading one.
        seq: Of the last one that is known.
        ended: Of those that have ended only the ones in these states; None for all.
        limit_count: The most that are read.
    """
    states = [*_LIVE, *(ENDED if ended is None else ended)]
    marks = ",".join("?" * len(states))
    found = connection.execute(
        f"select seq, record, {_COLUMNS} from job left join executor_job on job_id = job.id"
        f" where dialect = ? and seq > ? and +state in ({marks}) and key is not null and not exists ("
        "   select 1 from job newer where newer.key = job.key and newer.seq > job.seq and newer.dialect = job.dialect"
        ") order by seq limit ?",
        (DIALECT, seq, *states, limit_count),
    )
    return [_found(each) for each in found]


def lost(connection: sqlite3.Connection) -> list[Found]:
    """Lost jobs that are the newest with their key."""
    found = connection.execute(
        f"select seq, record, {_COLUMNS} from job left join executor_job on job_id = job.id"
        " where state = ? and dialect = ? and not exists ("
        "   select 1 from job newer where newer.key = job.key and newer.seq > job.seq and newer.dialect = job.dialect"
        ")",
        (JobState.LOST, DIALECT),
    )
    return [_found(each) for each in found]


# -- segments --


def put_segment(connection: sqlite3.Connection, job_id: str, segment: Segment) -> None:
    """Say where the text of a number stands; of the same number the last one counts."""
    connection.execute(
        "insert or replace into executor_segment values (?, ?, ?, ?, ?)",
        (job_id, segment.number, segment.stream, segment.start, segment.end),
    )
    connection.execute("update executor_job set output_number = ? where job_id = ?", (segment.number, job_id))


def segment(connection: sqlite3.Connection, job_id: str, number: int) -> Segment | None:
    """The segment with a number."""
    found = connection.execute(
        "select number, stream, from_offset, to_offset from executor_segment where job_id = ? and number = ?",
        (job_id, number),
    ).fetchone()
    return None if found is None else Segment(*found)


def segments(
    connection: sqlite3.Connection, job_id: str, *, start: int | None, end: int | None, limit_count: int
) -> list[Segment]:
    """Segments by their number, from ``start`` to before ``end``; None for all on that side."""
    found = connection.execute(
        "select number, stream, from_offset, to_offset from executor_segment where job_id = ?"
        " and (? is null or number >= ?) and (? is null or number < ?) order by number limit ?",
        (job_id, start, start, end, end, limit_count),
    )
    return [Segment(*each) for each in found]


def next_segment(connection: sqlite3.Connection, job_id: str) -> tuple[int, int]:
    """The number after the last one, and where that ends; (0, 0) before the first."""
    found = connection.execute(
        "select number + 1, to_offset from executor_segment where job_id = ? order by number desc limit 1", (job_id,)
    ).fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def told_end(connection: sqlite3.Connection, job_id: str) -> int:
    """Where in a job's output the last segment ends."""
    found = connection.execute("select max(to_offset) from executor_segment where job_id = ?", (job_id,)).fetchone()
    return int(found[0] or 0)


# -- workers --


def put_worker(connection: sqlite3.Connection, worker: WorkerRow) -> None:
    """Store a worker as it is now."""
    connection.execute(
        "insert or replace into executor_worker values (?, ?, ?, ?)",
        (_clean(worker.client_id), _dumps(list(worker.labels)), _clean(worker.user), worker.seen_us),
    )


def drop_worker(connection: sqlite3.Connection, client_id: str) -> None:
    """Forget a worker."""
    connection.execute("delete from executor_worker where client_id = ?", (_clean(client_id),))


def workers(connection: sqlite3.Connection) -> list[WorkerRow]:
    """All workers."""
    found = connection.execute("select client_id, labels, user, last_seen_us from executor_worker order by client_id")
    return [
        WorkerRow(client_id, tuple(json.loads(labels)), user, seen_us) for client_id, labels, user, seen_us in found
    ]


# -- parts --


def _found(values: tuple[Any, ...]) -> Found:
    seq, record, *rest = values
    return Found(seq, from_wire(json.loads(record)), _row(rest))


def _row(values: Sequence[Any]) -> Row:
    secret_digest, user, status, start, finish, worker, results, super_set, output_number = values
    if user is None:
        return Row()
    return Row(
        secret_digest=secret_digest,
        user=user,
        status=status,
        start=start,
        finish=finish,
        worker=worker,
        results=None if results is None else json.loads(results),
        super_set=super_set,
        output_number=output_number,
    )


def _clean(text: str | None) -> str | None:
    """Text that SQLite can keep: JSON can bring half a surrogate pair, which no encoding has."""
    return None if text is None else text.encode("utf-8", "replace").decode()


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
