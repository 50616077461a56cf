"""The table of callbacks; part of ``schema.MIGRATIONS``.

``state`` is ``waiting`` until the job has ended, then ``due`` until it is over: ``delivered``, ``dropped`` (the tries
are used up, or it may not be called) or ``silent`` (the job was stopped). A row that is over keeps no query of the URL,
which may be a secret, and no body. Old ones are removed by ``over_us``.
"""

from __future__ import annotations

TABLES = (
    """create table callback (
        job_id text primary key,
        delivery text not null,
        url text not null,
        state text not null,
        body blob,
        tries integer not null default 0,
        next_us integer,
        last text,
        created_us integer not null,
        over_us integer
    ) strict, without rowid""",
    "create index callback_open on callback (state) where state in ('waiting', 'due')",
    "create index callback_over on callback (over_us) where over_us is not null",
)
