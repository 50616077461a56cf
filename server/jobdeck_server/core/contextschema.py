"""The tables of contexts; part of ``schema.MIGRATIONS``.

``context`` has those that were made to survive their jobs, ended ones for a while. ``settings`` is JSON, secrets and
all. ``configured`` is 1 for one that the operator's file names. ``context_end`` holds the jobs that are, or were,
stopped because their context was, with words for that: written before they are told to stop. ``process`` is JSON of
what is known of one that has a process of its own (``contextrows``).
"""

from __future__ import annotations

TABLES = (
    """create table context (
        id text primary key,
        name text not null,
        kind text not null,
        configured integer not null,
        state text not null,
        settings text not null,
        slots_count integer not null,
        python text,
        error text,
        created_us integer not null,
        ended_us integer
    ) strict, without rowid""",
    "create index context_name on context (name, created_us)",
    "create index context_ended on context (ended_us) where ended_us is not null",
    """create table context_end (
        job_id text primary key, text text not null
    ) strict, without rowid""",
)
PROCESSES = ("alter table context add column process text not null default '{}'",)
