"""The tables of binaries; part of ``schema.MIGRATIONS``.

binary_version   an upload of a wheel, egg or jar: the newest of a name is what the name stands for. ``content`` is
                 the SHA-1 of its bytes, ``blob`` the hash of the record that holds them
package_use      what a job needs as long as it has not ended: ``kind`` 0 is a binary's name, 1 the SHA-1 of bytes.
                 Rows of jobs that have ended mean nothing, and go with the next collection of blobs
"""

from __future__ import annotations

TABLES = (
    """create table binary_version (
        seq integer primary key autoincrement,
        name text not null,
        kind text not null,
        size_bytes integer not null,
        content text not null,
        blob text not null,
        uploaded_us integer not null
    ) strict""",
    "create index binary_version_name on binary_version (name, seq)",
    "create index binary_version_blob on binary_version (blob)",
    """create table package_use (
        target text not null, kind integer not null, job_id text not null, primary key (target, kind, job_id)
    ) strict, without rowid""",
)
