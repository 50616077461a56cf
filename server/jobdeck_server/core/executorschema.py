"""The tables of the executor, as its part of ``schema.MIGRATIONS``; what they hold is told in ``executorrows``."""

from __future__ import annotations

TABLES = (
    """create table executor_job (
        job_id text primary key,
        secret_digest blob not null,
        user text not null,
        status text,
        start_text text,
        finish_text text,
        worker text,
        results text,
        super_set text,
        output_number integer
    ) strict, without rowid""",
    """create table executor_segment (
        job_id text not null,
        number integer not null,
        stream integer not null,
        from_offset integer not null,
        to_offset integer not null,
        primary key (job_id, number)
    ) strict, without rowid""",
    """create trigger executor_job_removed after delete on job when old.dialect = 'webgme' begin
        delete from executor_job where job_id = old.id;
        delete from executor_segment where job_id = old.id;
    end""",
    """create table executor_worker (
        client_id text primary key,
        labels text not null,
        user text not null,
        last_seen_us integer not null
    ) strict, without rowid""",
)
