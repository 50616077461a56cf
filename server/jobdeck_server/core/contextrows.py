"""The SQL of contexts: functions of a connection, run on the store's threads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.contextinfo import ContextInfo, ContextState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

_COLUMNS = "id, name, kind, configured, state, settings, slots_count, python, error, created_us, ended_us, process"
_PROCESS = ("process", "master", "application", "ui", "restarts_count")


@dataclass(frozen=True, slots=True)
class ContextRow:
    """A context that is kept, and whether the operator's file names it."""

    context: ContextInfo
    configured: bool


def save(connection: sqlite3.Connection, row: ContextRow) -> None:
    """Keep a context as it is now."""
    context = row.context
    connection.execute(
        f"insert or replace into context ({_COLUMNS}) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(context.id, context.name, context.kind, row.configured, context.state.value),
            *(json.dumps(context.settings), context.slots_count, context.python, context.error),
            *(context.created_us, context.ended_us),
            json.dumps({name: getattr(context, name) for name in _PROCESS}),
        ),
    )


def living(connection: sqlite3.Connection) -> list[ContextRow]:
    """Those that have not ended, in the order of their coming."""
    found = connection.execute(f"select {_COLUMNS} from context where ended_us is null order by created_us, id")
    return [_row(row) for row in found]


def latest(connection: sqlite3.Connection, name: str) -> ContextInfo | None:
    """The one with a name that was made last."""
    found = connection.execute(
        f"select {_COLUMNS} from context where name = ? order by created_us desc, id limit 1", (name,)
    ).fetchone()
    return None if found is None else _row(found).context


def trim(connection: sqlite3.Connection, *, keep_count: int, before_us: int) -> list[str]:
    """Forget ended ones beyond a number, and those that ended before a time; their ids."""
    rows = connection.execute(
        "select id from context where ended_us is not null and (ended_us < ? or id not in"
        " (select id from context where ended_us is not null order by ended_us desc, id limit ?))",
        (before_us, keep_count),
    ).fetchall()
    connection.executemany("delete from context where id = ?", rows)
    return [row[0] for row in rows]


def mark(connection: sqlite3.Connection, marks: Mapping[str, str]) -> None:
    """Jobs are about to be stopped because their context was: words for that, by the job's id."""
    connection.executemany("insert or ignore into context_end values (?, ?)", marks.items())


def marks(connection: sqlite3.Connection) -> dict[str, str]:
    """All that were marked."""
    return dict(connection.execute("select job_id, text from context_end"))


def unmark_strangers(connection: sqlite3.Connection) -> list[str]:
    """Forget the marks of jobs of which there is no record any more; their ids."""
    rows = connection.execute("select job_id from context_end where job_id not in (select id from job)").fetchall()
    connection.executemany("delete from context_end where job_id = ?", rows)
    return [row[0] for row in rows]


def _row(row: Iterable[Any]) -> ContextRow:
    context_id, name, kind, configured, state, settings, slots_count, python, error, created_us, ended_us, told = row
    return ContextRow(
        ContextInfo(
            id=context_id,
            name=name,
            kind=kind,
            state=ContextState(state),
            settings=json.loads(settings),
            slots_count=slots_count,
            python=python,
            error=error,
            created_us=created_us,
            ended_us=ended_us,
            **json.loads(told),
        ),
        bool(configured),
    )
