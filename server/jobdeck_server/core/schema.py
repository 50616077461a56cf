"""The tables, as a list of migrations: number n of the list leads from schema version n to n + 1.

A migration is never edited once released; a change of the tables is a new one at the end. The version is SQLite's
``user_version``. A database written by a newer jobdeck is refused: to guess would risk the record.

Rows of ``job`` are keyed by ``seq``, the order in which jobs were accepted: keyset pages go by it. ``record`` is the
public record (``jobdeck_protocol.job.to_wire``) as JSON, handed out as it is: a change of its fields is a migration;
``spec`` what the engine needs (with environment values, never shown). ``doomed`` holds ids whose row is gone and whose
folder is still to be removed. ``tide`` has the greatest ``created_us`` of all jobs up to a ``seq``, for each 64th (see
``ways.floor``). ``worker`` is ``Job.place``.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from jobdeck_server.core import (
    binaryschema,
    blobschema,
    callbackschema,
    contextschema,
    executorschema,
    packageschema,
    workerschema,
)

if TYPE_CHECKING:
    import sqlite3

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        """create table job (
            seq integer primary key autoincrement,
            id text not null unique,
            dialect text not null,
            key text,
            state text not null,
            created_us integer not null,
            finished_us integer,
            kept_bytes integer not null default 0,
            pinned integer not null default 0,
            boot_id text,
            stop text,
            search text not null,
            record text not null,
            spec text not null
        ) strict""",
        "create index job_state on job (state, seq)",
        "create index job_dialect on job (dialect, seq)",
        "create index job_finished on job (finished_us, seq) where finished_us is not null",
        "create index job_key on job (key, seq) where key is not null",
        "create index job_kept on job (finished_us) where kept_bytes > 0 and finished_us is not null",
        """create table label (
            label text not null, seq integer not null, primary key (label, seq)
        ) strict, without rowid""",
        "create index label_seq on label (seq)",
        "create table event (n integer primary key autoincrement, kind text not null, data text not null) strict",
        """create table idempotency (
            token_id text not null,
            key text not null,
            digest blob not null,
            job_id text not null,
            created_us integer not null,
            primary key (token_id, key)
        ) strict, without rowid""",
        "create index idempotency_created on idempotency (created_us)",
        "create table doomed (id text primary key) strict, without rowid",
        "create table meta (name text primary key, value text not null) strict, without rowid",
    ),
    (
        "create table tide (seq integer primary key, top_us integer not null) strict",
        "create index tide_top on tide (top_us, seq)",
        """insert into tide select seq, top_us from (
            select seq, max(created_us) over (order by seq) as top_us from job
        ) where seq % 64 = 0""",
    ),
    blobschema.TABLES,
    ("update job set record = json_insert(record, '$.rerun_of', null)",),
    ("update job set record = json_insert(record, '$.bundle', null)",),
    executorschema.TABLES,
    ("update job set record = json_insert(record, '$.worker_labels', json('[]'))",),
    (
        "alter table job add column worker text",
        """update job set worker = coalesce(json_extract(record, '$.worker'), case
            when state = 'queued' or (state = 'stopped' and json_extract(record, '$.started') is null) then null
            else '' end)""",
        "create index job_worker on job (worker, seq)",
    ),
    workerschema.TABLES,
    callbackschema.TABLES,
    (
        """update job set record = json_insert(record, '$.main_class', null, '$.packages', json('[]'),
            '$.context', null, '$.progress', null, '$.progress_text', null)""",
    ),
    binaryschema.TABLES,
    packageschema.TABLES,
    (
        "alter table job add column context text",
        "update job set context = json_extract(record, '$.context') where json_type(record, '$.context') = 'text'",
        "create index job_context on job (context, seq) where context is not null",
    ),
    contextschema.TABLES,
    contextschema.PROCESSES,
)


class NewerSchemaError(Exception):
    """A newer jobdeck wrote this database."""


def migrate(connection: sqlite3.Connection) -> None:
    """Bring the tables up to date, each step in one transaction with its version number.

    Raises:
        NewerSchemaError: The version is greater than this program knows.
    """
    version: int = connection.execute("pragma user_version").fetchone()[0]
    if version > len(MIGRATIONS):
        raise NewerSchemaError(
            f"the database has schema version {version}, this jobdeck knows {len(MIGRATIONS)}: use a newer jobdeck"
        )
    for number, statements in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.execute("begin immediate")
        for statement in statements:
            connection.execute(statement)
        connection.execute(f"pragma user_version={number}")
        connection.execute("commit")
    connection.execute("insert or ignore into meta values ('store_id', ?)", (str(uuid.uuid4()),))
