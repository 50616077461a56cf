"""The tables of the blob store, as its part of ``schema.MIGRATIONS``; what they hold is told in ``blobrows``."""

from __future__ import annotations

TABLES = (
    """create table blob (
        seq integer primary key autoincrement,
        hash text not null unique,
        name text not null,
        size_bytes integer not null,
        mime text not null,
        type text not null,
        content text,
        entry_count integer,
        public integer not null,
        tags text not null,
        own_tags text not null,
        pinned integer not null,
        uploaded integer not null,
        created_us integer not null,
        modified_us integer not null,
        used_us integer not null,
        search text not null,
        record text not null
    ) strict""",
    "create index blob_name on blob (name)",
    "create index blob_size on blob (size_bytes)",
    """create table blob_tag (
        tag text not null, seq integer not null, own integer not null, primary key (tag, seq)
    ) strict, without rowid""",
    "create index blob_tag_seq on blob_tag (seq)",
    """create table blob_link (
        target text not null, kind integer not null, seq integer not null, primary key (target, kind, seq)
    ) strict, without rowid""",
    "create index blob_link_seq on blob_link (seq, kind)",
    """create table blob_job (
        seq integer not null, job_id text not null, primary key (seq, job_id)
    ) strict, without rowid""",
)
