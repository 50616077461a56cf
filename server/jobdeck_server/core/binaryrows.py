"""The SQL of binaries: functions of a connection, run on the store's threads. The tables are in ``binaryschema``.

A version's row and the record of the blob that holds its bytes are written in one transaction, so a name stands for a
whole upload or for the one before it. As long as the row is there, its blob is neither collected nor removed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_protocol import packageinfo
from jobdeck_protocol.packageinfo import PackageInfo
from jobdeck_server.core import blobrows, packageuse
from jobdeck_server.core.errors import BinaryInUseError, CapacityError, UnknownBinaryError
from jobdeck_server.core.journal import insert_event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence
    from typing import Any

    from jobdeck_server.core.journal import Event

_COLUMNS = "name, kind, size_bytes, content, blob, uploaded_us"


@dataclass(frozen=True, slots=True, kw_only=True)
class Binary:
    """A version of a binary; the newest, where nothing else is said.

    Attributes:
        name: What it was sent as.
        kind: ``jar``, ``egg`` or ``wheel``.
        size_bytes: Of its bytes.
        content: Their SHA-1: where they are in the blob store.
        blob: The hash of the record that holds them.
        uploaded_us: When it came, microseconds since 1970 UTC.
        versions_count: How many versions of this name are kept.
    """

    name: str
    kind: str
    size_bytes: int
    content: str
    blob: str
    uploaded_us: int
    versions_count: int

    def info(self) -> PackageInfo:
        """What is told of it."""
        return PackageInfo(
            name=self.name,
            kind=self.kind,
            size_bytes=self.size_bytes,
            hash=self.blob,
            content=self.content,
            uploaded_us=self.uploaded_us,
            versions_count=self.versions_count,
        )


def add(
    connection: sqlite3.Connection,
    record: blobrows.Put,
    *,
    name: str,
    kind: str,
    now_us: int,
    names_limit_count: int,
    versions_limit_count: int,
) -> tuple[Binary, list[Event]]:
    """Keep a new version, its record with it; the oldest beyond the limit go, but for those that a job needs.

    Args:
        connection: The writing one.
        record: Of the blob that holds the bytes.
        name: Of the binary.
        kind: See ``Binary``.
        now_us: The time.
        names_limit_count: How many binaries there may be.
        versions_limit_count: How many versions of one.

    Raises:
        CapacityError: There are as many binaries as there may be, and this is none of them.
    """
    if not _versions_count(connection, name):
        count = connection.execute("select count(distinct name) from binary_version").fetchone()[0]
        if count >= names_limit_count:
            raise CapacityError(f"There are {count} binaries, and more may not be kept; delete some.")
    blob = record.blob
    events = blobrows.put(connection, record, job_id=None, own_tags=(), now_us=now_us, uploaded=False)
    connection.execute(
        f"insert into binary_version ({_COLUMNS}) values (?, ?, ?, ?, ?, ?)",
        (name, kind, blob.size_bytes, blob.content, blob.hash, now_us),
    )
    _drop_old(connection, name, versions_limit_count, now_us)
    binary = find(connection, name)
    events.append(insert_event(connection, "package", packageinfo.to_wire(binary.info())))
    return binary, events


def delete(connection: sqlite3.Connection, name: str, *, now_us: int) -> list[Event]:
    """Remove a binary with all its versions; their blobs go with a later collection, if nothing else needs them.

    Raises:
        UnknownBinaryError: There is none of this name.
        BinaryInUseError: Jobs that have not ended name it.
    """
    seqs = _seqs(connection, name)
    if not seqs:
        raise UnknownBinaryError(name)
    users = packageuse.users(connection, name)
    if users:
        raise BinaryInUseError(users)
    _remove(connection, seqs, now_us)
    return [insert_event(connection, "package_removed", {"name": name})]


# -- reading --


def find(connection: sqlite3.Connection, name: str) -> Binary:
    """The newest version of a binary.

    Raises:
        UnknownBinaryError: There is none of this name.
    """
    found = versions(connection, name, limit_count=1)
    if not found:
        raise UnknownBinaryError(name)
    return found[0]


def versions(connection: sqlite3.Connection, name: str, *, limit_count: int = -1) -> list[Binary]:
    """The versions of a binary, newest first; -1 for all of them."""
    count = _versions_count(connection, name)
    rows = connection.execute(
        f"select {_COLUMNS} from binary_version where name = ? order by seq desc limit ?", (name, limit_count)
    )
    return [_binary((*row, count)) for row in rows]


def newest(connection: sqlite3.Connection) -> list[Binary]:
    """The newest version of each binary, by name.

    Of columns beside a single ``max``, SQLite takes the values from the row that has it ("Bare columns in an aggregate
    query", www.sqlite.org/lang_select.html).
    """
    rows = connection.execute(f"select {_COLUMNS}, count(*), max(seq) from binary_version group by name order by name")
    return [_binary(row[:-1]) for row in rows]


def _binary(row: Sequence[Any]) -> Binary:
    name, kind, size_bytes, content, blob, uploaded_us, versions_count = row
    return Binary(
        name=name,
        kind=kind,
        size_bytes=size_bytes,
        content=content,
        blob=blob,
        uploaded_us=uploaded_us,
        versions_count=versions_count,
    )


# -- parts --


def _versions_count(connection: sqlite3.Connection, name: str) -> int:
    count: int = connection.execute("select count(*) from binary_version where name = ?", (name,)).fetchone()[0]
    return count


def _seqs(connection: sqlite3.Connection, name: str) -> list[int]:
    """Of all versions of a binary, oldest first."""
    rows = connection.execute("select seq from binary_version where name = ? order by seq", (name,))
    return [row[0] for row in rows]


def _drop_old(connection: sqlite3.Connection, name: str, limit_count: int, now_us: int) -> None:
    """Remove the oldest versions beyond the limit that can be missed.

    A job that has not ended needs bytes, not a version: one whose bytes came again since can be missed too, so that the
    same file sent without end does not pile up beside a job that runs on.
    """
    rows = connection.execute("select seq, content from binary_version where name = ? order by seq desc", (name,))
    found = rows.fetchall()
    kept = {content for _, content in found[:limit_count]}
    gone = []
    for seq, content in found[limit_count:]:
        if content in kept or not packageuse.is_used(connection, content):
            gone.append(seq)
        else:
            kept.add(content)
    _remove(connection, gone, now_us)


def _remove(connection: sqlite3.Connection, seqs: Sequence[int], now_us: int) -> None:
    """Remove versions. Their blobs count as used just now, for a job may be about to be accepted that runs them."""
    for seq in seqs:
        connection.execute(
            "update blob set used_us = ? where hash = (select blob from binary_version where seq = ?)", (now_us, seq)
        )
        connection.execute("delete from binary_version where seq = ?", (seq,))
