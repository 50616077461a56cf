"""The SQL of jobs that are classes out of packages: functions of a connection, run on the store's threads.

The table is in ``packageschema``. A row is written in the transaction that accepts its job; its outcome is written
once, before the core hears of the job's end, and never changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from jobdeck_protocol.job import from_wire
from jobdeck_server.packages.outcome import JobError, Outcome

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Mapping, Sequence
    from typing import Any

    from jobdeck_protocol.job import Job

_COLUMNS: Final = "context_id, outcome, result_kind, result_content, result_bytes"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageResult:
    """The result of a job that has finished.

    Attributes:
        kind: ``json``, or ``stream`` for bytes that the job has made to its own liking.
        content: Their SHA-1: where they are in the blob store.
        size_bytes: How many there are.
    """

    kind: str
    content: str
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What is known of a job beyond its record; ``outcome`` is None until it has ended, and where it never ran."""

    context_id: str
    outcome: Outcome | None = None
    result: PackageResult | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A job's configuration: its JSON, or where that is."""

    text: bytes | None = None
    content: str | None = None


def add(connection: sqlite3.Connection, job: Job, *, context_id: str, config: Config) -> None:
    """Note a job that is being accepted."""
    connection.execute(
        "insert into package_job (seq, job_id, state, context_id, config, config_content)"
        " select seq, id, state, ?, ?, ? from job where id = ?",
        (context_id, None if config.text is None else config.text.decode(), config.content, job.id),
    )


def note(connection: sqlite3.Connection, job_id: str, outcome: Outcome, result: PackageResult | None) -> None:
    """Note how a job came out, unless that is known; nothing for a job that is gone."""
    told = (None, None, None) if result is None else (result.kind, result.content, result.size_bytes)
    connection.execute(
        "update package_job set outcome = ?, result_kind = ?, result_content = ?, result_bytes = ?"
        " where job_id = ? and outcome is null",
        (outcome_text(outcome), *told, job_id),
    )


# -- reading --


def find(connection: sqlite3.Connection, job_id: str) -> Row | None:
    """What is known of a job; None for one that is no class out of a package."""
    found = connection.execute(f"select {_COLUMNS} from package_job where job_id = ?", (job_id,)).fetchone()
    return None if found is None else _row(found)


def find_config(connection: sqlite3.Connection, job_id: str) -> Config | None:
    """The configuration of a job; None for one that is no class out of a package."""
    sql = "select config, config_content from package_job where job_id = ?"
    found = connection.execute(sql, (job_id,)).fetchone()
    if found is None:
        return None
    return Config(text=None if found[0] is None else found[0].encode(), content=found[1])


def page(
    connection: sqlite3.Connection,
    *,
    states: Collection[str] | None,
    limit_count: int,
    ahead: Mapping[str, bool] = MappingProxyType({}),
) -> list[tuple[Job, Row]]:
    """The newest jobs, newest first, as they are stored.

    Args:
        connection: A reading one.
        states: Only jobs in these; None for all.
        limit_count: How many at most.
        ahead: Of jobs whose stored state may be a moment old, whether they belong here.
    """
    # One state at a time, so that the index gives the newest of each without looking at any other
    some: Sequence[str | None] = (None,) if states is None else sorted(states)
    seqs: set[int] = set()
    for state in some:
        where = "" if state is None else "where state = ? "
        sql = f"select seq, job_id from package_job {where}order by seq desc limit ?"
        found = connection.execute(sql, (*(() if state is None else (state,)), limit_count + len(ahead)))
        seqs.update(seq for seq, job_id in found if ahead.get(job_id, True))
    for job_id in (job_id for job_id, belongs in ahead.items() if belongs):
        seqs.update(row[0] for row in connection.execute("select seq from package_job where job_id = ?", (job_id,)))
    sql = f"select job.record, {_COLUMNS} from package_job join job using (seq) where seq = ?"
    rows = (connection.execute(sql, (seq,)).fetchone() for seq in sorted(seqs, reverse=True)[:limit_count])
    return [(from_wire(json.loads(row[0])), _row(row[1:])) for row in rows if row is not None]


def _row(values: Sequence[Any]) -> Row:
    context_id, outcome, kind, content, size_bytes = values
    return Row(
        context_id=context_id,
        outcome=None if outcome is None else outcome_of(outcome),
        result=None if kind is None else PackageResult(kind=kind, content=content, size_bytes=size_bytes),
    )


# -- outcomes as text --


def outcome_text(outcome: Outcome) -> str:
    """An outcome as JSON; in ASCII, as it may have any characters."""
    return json.dumps(
        {
            "kind": outcome.kind,
            "error": None if outcome.error is None else outcome.error.to_wire(),
            "problems": outcome.problems,
            "result": outcome.result_kind,
        },
        separators=(",", ":"),
    )


def outcome_of(text: str) -> Outcome:
    """The inverse of ``outcome_text``."""
    found = json.loads(text)
    error = found["error"]
    return Outcome(
        kind=found["kind"],
        error=error and JobError(message=error["message"], error_class=error["errorClass"], stack=error["stack"]),
        problems=tuple(found["problems"]),
        result_kind=found["result"],
    )
