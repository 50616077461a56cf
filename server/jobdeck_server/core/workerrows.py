"""The SQL of the server's lives and of the workers elsewhere: functions of a connection, run on the store's threads."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3

_RESTORED = "restored"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerRow:
    """What is kept of a worker elsewhere.

    Attributes:
        id: Its UUID.
        name: What it calls itself.
        given_name: What an admin has called it, None if nobody has.
        labels: Free words.
        slots: How many jobs it runs at a time.
        address: Host and port from which it came last.
        software: Name and version of its program.
        last_life: The last of its lives that was accepted.
        draining: An admin wants it to take no new jobs.
        gone: It has said goodbye.
        seen_us: When it was last heard of, to a minute.
        created_us: When it came for the first time.
    """

    id: str
    name: str
    given_name: str | None = None
    labels: tuple[str, ...] = ()
    slots: int = 0
    address: str = ""
    software: str = ""
    last_life: str
    draining: bool = False
    gone: bool = False
    seen_us: int = 0
    created_us: int = 0


def begin_life(connection: sqlite3.Connection, life: str, *, keep_count: int) -> frozenset[str]:
    """Write down a new life of the server.

    Args:
        connection: The writing one.
        life: A new UUID.
        keep_count: The oldest beyond so many are forgotten; a worker that saw one of those last, and none since, will
            take the server for restored.

    Returns:
        All that are known, the new one too.
    """
    connection.execute("insert into server_life (life) values (?)", (life,))
    connection.execute("delete from server_life where n <= (select max(n) from server_life) - ?", (keep_count,))
    return frozenset(row[0] for row in connection.execute("select life from server_life"))


def workers(connection: sqlite3.Connection) -> list[WorkerRow]:
    """All known workers, in the order of their coming."""
    rows = connection.execute(
        "select id, name, given_name, labels, slots, address, software, last_life, draining, gone, seen_us, created_us"
        " from worker order by created_us, id"
    )
    return [_row(*row) for row in rows]


def save(connection: sqlite3.Connection, row: WorkerRow) -> None:
    """Keep a worker as it is now."""
    connection.execute(
        "insert or replace into worker (id, name, given_name, labels, slots, address, software, last_life, draining,"
        " gone, seen_us, created_us) values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(row.id, row.name, row.given_name, json.dumps(row.labels), row.slots, row.address, row.software),
            *(row.last_life, row.draining, row.gone, row.seen_us, row.created_us),
        ),
    )


def remove(connection: sqlite3.Connection, worker_id: str) -> None:
    """Forget a worker."""
    connection.execute("delete from worker where id = ?", (worker_id,))


def is_restored(connection: sqlite3.Connection) -> bool:
    """Whether the server was restored from a backup and nobody has agreed yet that jobs are started."""
    return connection.execute("select 1 from meta where name = ?", (_RESTORED,)).fetchone() is not None


def set_restored(connection: sqlite3.Connection, *, on: bool) -> None:
    """The server was restored from a backup; or somebody has agreed."""
    if on:
        connection.execute("insert or ignore into meta values (?, 'yes')", (_RESTORED,))
    else:
        connection.execute("delete from meta where name = ?", (_RESTORED,))


def _row(
    worker_id: str,
    name: str,
    given_name: str | None,
    labels: str,
    slots: int,
    address: str,
    software: str,
    last_life: str,
    draining: int,
    gone: int,
    seen_us: int,
    created_us: int,
) -> WorkerRow:
    return WorkerRow(
        id=worker_id,
        name=name,
        given_name=given_name,
        labels=tuple(json.loads(labels)),
        slots=slots,
        address=address,
        software=software,
        last_life=last_life,
        draining=bool(draining),
        gone=bool(gone),
        seen_us=seen_us,
        created_us=created_us,
    )
