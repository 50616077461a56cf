"""The tables of the server's lives and of the workers elsewhere that it knows; part of ``schema.MIGRATIONS``.

A server has a new life with each start. The number of ``server_life`` is their order. ``restored`` in ``meta`` says
that a worker knew a life that is not here, and nobody has agreed yet that jobs are started.
"""

from __future__ import annotations

TABLES = (
    "create table server_life (n integer primary key autoincrement, life text not null unique) strict",
    """create table worker (
        id text primary key,
        name text not null,
        given_name text,
        labels text not null,
        slots integer not null,
        address text not null,
        software text not null,
        last_life text not null,
        draining integer not null,
        gone integer not null,
        seen_us integer not null,
        created_us integer not null
    ) strict, without rowid""",
)
