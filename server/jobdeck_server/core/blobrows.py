"""The SQL of blobs: functions of a connection, run on the store's threads. Lists are in ``bloblist``.

    blob        a record: its text, and of what stands in it that by which it is listed and sought
    blob_tag    tag -> record; ``own`` are those given to it here
    blob_link   what a record names: ``content`` or another ``record`` -> the record that names it
    blob_job    jobs that made a record; it is needed as long as one of them is known

A record may hold a version of a binary, too (``binaryrows``).

``used_us`` says when somebody last sent a record or one that leads to it: what came a moment ago is never collected.
Writers return what the trio thread needs to know after the commit.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from jobdeck_protocol.blob import ARTIFACT, LINK, Blob, to_wire
from jobdeck_server.core import ecmascript
from jobdeck_server.core.blobrecord import ABSENT, Record, is_hash, serialize
from jobdeck_server.core.blobtypes import Stored
from jobdeck_server.core.errors import BadRequestError, ConflictError, TooLargeError, UnknownBlobError
from jobdeck_server.core.journal import insert_event

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator, Sequence

    from jobdeck_server.core.journal import Event
    from jobdeck_server.settings import Settings

CONTENT: Final = 0
RECORD: Final = 1
COLUMNS: Final = (
    "hash, name, size_bytes, mime, type, content, entry_count, public, tags, own_tags, pinned, uploaded, created_us,"
    " modified_us"
)
_NAME_LIMIT_COUNT = 1024  # characters of names and types that are told and sought
_TAGS_LIMIT_COUNT = 1000  # of a record that are told and sought
_TAG_LIMIT_COUNT = 256  # characters
_SIZE_LIMIT = (1 << 63) - 1
# What a record leads to, itself included; unions end at what was seen, so circles do no harm.
_REACHED = """with recursive reached(hash) as (
    select ? union
    select target from reached join blob using (hash) join blob_link on blob_link.seq = blob.seq and kind = 1
)"""


@dataclass(frozen=True, slots=True)
class Put:
    """A record with all that is made of it before it is written; see ``prepare``."""

    blob: Blob
    text: bytes
    links: tuple[tuple[str, int], ...]


def prepare(record: Record) -> Put:
    """What is to be written of a record. Pure, and may take a while for a large one."""
    text = serialize(record)
    blob_hash = hashlib.sha1(text, usedforsecurity=False).hexdigest()
    links = tuple(dict.fromkeys(_links(record)))
    tags = sorted({tag for tag in map(_tag, record.tags[:_TAGS_LIMIT_COUNT]) if tag})
    blob = Blob(
        hash=blob_hash,
        name=_shown(record.name),
        size_bytes=max(0, min(record.size_bytes, _SIZE_LIMIT)),
        mime=_shown(record.mime),
        type=_shown(record.content_type),
        content=record.content if isinstance(record.content, str) and is_hash(record.content) else None,
        entry_count=len(record.content)
        if record.content_type == ARTIFACT and isinstance(record.content, dict)
        else None,
        public=bool(record.is_public),
        tags=tuple(tags),
    )
    return Put(blob=blob, text=text, links=links)


def put(
    connection: sqlite3.Connection,
    new: Put,
    *,
    job_id: str | None,
    own_tags: Sequence[str],
    now_us: int,
    uploaded: bool = True,
) -> list[Event]:
    """Keep a record, or renew it; what it leads to counts as used again.

    Args:
        connection: The writing one.
        new: See ``prepare``.
        job_id: The job that made it, None if none has.
        own_tags: Added to those that it has.
        now_us: The time.
        uploaded: A client sent it, if no job made it; else it stays only for what leads to it.
    """
    blob = new.blob
    marks = ", ".join("?" * 17)
    row = connection.execute(
        f"insert into blob ({COLUMNS}, used_us, search, record) values ({marks}) on conflict (hash) do update set"
        " modified_us = excluded.modified_us, used_us = excluded.used_us, uploaded = max(uploaded, excluded.uploaded)"
        f" returning seq, {COLUMNS}",
        (
            *(blob.hash, blob.name, blob.size_bytes, blob.mime, blob.type, blob.content, blob.entry_count),
            *(blob.public, _dumps(blob.tags), "[]", False, uploaded and job_id is None, now_us, now_us),
            *(now_us, _search(blob), new.text.decode()),
        ),
    ).fetchone()
    seq, told = row[0], blob_of(row[1:])
    connection.executemany("insert or ignore into blob_tag values (?, ?, 0)", ((tag, seq) for tag in blob.tags))
    connection.executemany(
        "insert or ignore into blob_link values (?, ?, ?)", ((target, kind, seq) for target, kind in new.links)
    )
    if job_id is not None:
        connection.execute("insert or ignore into blob_job values (?, ?)", (seq, job_id))
    if any(kind == RECORD for _, kind in new.links):
        _use(connection, blob.hash, now_us)
    if own_tags:
        _add_tags(connection, seq, own_tags)
        return [_told(connection, blob.hash)]
    return [insert_event(connection, "blob", to_wire(told))]


def check_tags(tags: Iterable[str], settings: Settings) -> list[str]:
    """Tags that a record may be given here, each once, sorted.

    Raises:
        BadRequestError: One is empty, or no text.
        TooLargeError: One is too long, or there are too many.
    """
    wanted = sorted(set(tags))
    if len(wanted) > settings.blob_tag_limit_count:
        raise TooLargeError("The list of tags", settings.blob_tag_limit_count, "tags")
    for tag in wanted:
        if not tag or _shown(tag) != tag:
            raise BadRequestError(f"This cannot be a tag: {tag!r}.", field="tags")
        if len(tag.encode()) > settings.blob_tag_limit_bytes:
            raise TooLargeError("A tag", settings.blob_tag_limit_bytes)
    return wanted


def set_tags(connection: sqlite3.Connection, blob_hash: str, tags: Sequence[str]) -> list[Event]:
    """Give a record these own tags, and take its other own ones away.

    Raises:
        UnknownBlobError: There is no such record.
    """
    seq = _seq(connection, blob_hash)
    connection.execute("delete from blob_tag where seq = ? and own = 1", (seq,))
    _add_tags(connection, seq, tags)
    return [_told(connection, blob_hash)]


def set_pinned(connection: sqlite3.Connection, blob_hash: str, *, pinned: bool, now_us: int) -> list[Event]:
    """Pin or unpin a record; what it leads to counts as used, lest it go while a collection is under way.

    Raises:
        UnknownBlobError: There is no such record.
    """
    connection.execute("update blob set pinned = ? where seq = ?", (pinned, _seq(connection, blob_hash)))
    _use(connection, blob_hash, now_us)
    return [_told(connection, blob_hash)]


# -- removing --


def delete(connection: sqlite3.Connection, blob_hash: str, *, recursive: bool, force: bool) -> list[Event]:
    """Remove a record, and with ``recursive`` those it leads to that nothing else needs.

    Raises:
        UnknownBlobError: There is no such record.
        ConflictError: It is pinned, it holds a binary, a job that has not ended is to run it, or, without ``force``,
            another record links to it.
    """
    found = connection.execute("select seq, pinned from blob where hash = ?", (blob_hash,)).fetchone()
    if found is None:
        raise UnknownBlobError(blob_hash)
    if found[1]:
        raise ConflictError(f"Blob {blob_hash} is pinned; unpin it first.")
    if _awaited(connection, blob_hash):
        raise ConflictError(f"Blob {blob_hash} is needed by a job that has not ended.")
    name = _binary(connection, blob_hash)
    if name is not None:
        raise ConflictError(f"Blob {blob_hash} is the package {name!r}; remove that.")
    if not force and _linked(connection, blob_hash):
        raise ConflictError(f"Blob {blob_hash} is part of another one; that one would be damaged.")
    events = []
    left = [blob_hash]
    while left:
        each = left.pop()
        targets = links(connection, each, RECORD) if recursive else ()
        events.append(remove(connection, each))
        left += [target for target in targets if _unneeded(connection, target)]
    return events


def remove(connection: sqlite3.Connection, blob_hash: str) -> Event:
    """Remove a record that is there."""
    seq = _seq(connection, blob_hash)
    for table in ("blob_tag", "blob_link", "blob_job", "blob"):
        connection.execute(f"delete from {table} where seq = ?", (seq,))
    return insert_event(connection, "blob_removed", {"hash": blob_hash})


def _unneeded(connection: sqlite3.Connection, blob_hash: str) -> bool:
    found = connection.execute("select pinned from blob where hash = ?", (blob_hash,)).fetchone()
    return (
        found is not None
        and not found[0]
        and not _linked(connection, blob_hash)
        and not _awaited(connection, blob_hash)
        and _binary(connection, blob_hash) is None
    )


def _linked(connection: sqlite3.Connection, blob_hash: str) -> bool:
    sought = "select 1 from blob_link where target = ? and kind = 1 limit 1"
    return connection.execute(sought, (blob_hash,)).fetchone() is not None


def _awaited(connection: sqlite3.Connection, blob_hash: str) -> bool:
    sought = "select 1 from job where key = ? and finished_us is null limit 1"
    return connection.execute(sought, (blob_hash,)).fetchone() is not None


def _binary(connection: sqlite3.Connection, blob_hash: str) -> str | None:
    """The name of a binary of which this record holds a version."""
    found = connection.execute("select name from binary_version where blob = ? limit 1", (blob_hash,)).fetchone()
    return None if found is None else str(found[0])


# -- reading --


def find(connection: sqlite3.Connection, blob_hash: str) -> Stored | None:
    """A record by its hash."""
    found = connection.execute(
        "select record, created_us, modified_us, own_tags, pinned, uploaded from blob where hash = ?", (blob_hash,)
    ).fetchone()
    return None if found is None else _stored(blob_hash, *found)


def find_blob(connection: sqlite3.Connection, blob_hash: str) -> Blob | None:
    """What is told of a record."""
    found = connection.execute(f"select {COLUMNS} from blob where hash = ?", (blob_hash,)).fetchone()
    return None if found is None else blob_of(found)


def find_prefix(connection: sqlite3.Connection, prefix: str) -> list[str]:
    """At most two hashes that start with a prefix of hexadecimal digits."""
    rows = connection.execute("select hash from blob where hash >= ? and hash < ? limit 2", (prefix, prefix + "g"))
    return [row[0] for row in rows]


def links(connection: sqlite3.Connection, blob_hash: str, kind: int) -> list[str]:
    """What a record names."""
    rows = connection.execute(
        "select target from blob join blob_link using (seq) where hash = ? and kind = ?", (blob_hash, kind)
    )
    return [row[0] for row in rows]


def after(connection: sqlite3.Connection, seq: int, *, private_too: bool, limit_count: int) -> list[tuple[int, Stored]]:
    """Records that follow one in the order in which they came first, each with its place in it."""
    rows = connection.execute(
        "select seq, hash, record, created_us, modified_us, own_tags, pinned, uploaded from blob"
        " where seq > ? and (public or ?) order by seq limit ?",
        (seq, private_too, limit_count),
    )
    return [(row[0], _stored(*row[1:])) for row in rows]


def blob_of(row: Sequence[Any]) -> Blob:
    """What is told of a record, from ``COLUMNS`` of its row."""
    own = tuple(json.loads(row[9]))
    return Blob(
        hash=row[0],
        name=row[1],
        size_bytes=row[2],
        mime=row[3],
        type=row[4],
        content=row[5],
        entry_count=row[6],
        public=bool(row[7]),
        tags=tuple(sorted({*json.loads(row[8]), *own})),
        own_tags=own,
        pinned=bool(row[10]),
        uploaded=bool(row[11]),
        created_us=row[12],
        modified_us=row[13],
    )


# -- parts --


def _search(blob: Blob) -> str:
    return "\n".join((blob.hash, blob.name, blob.mime, *blob.tags)).casefold()


def _add_tags(connection: sqlite3.Connection, seq: int, tags: Sequence[str]) -> None:
    connection.executemany("insert or ignore into blob_tag values (?, ?, 1)", ((tag, seq) for tag in tags))
    own = [row[0] for row in connection.execute("select tag from blob_tag where seq = ? and own = 1", (seq,))]
    connection.execute("update blob set own_tags = ? where seq = ?", (_dumps(sorted(own)), seq))
    found = connection.execute(f"select {COLUMNS} from blob where seq = ?", (seq,)).fetchone()
    connection.execute("update blob set search = ? where seq = ?", (_search(blob_of(found)), seq))


def _use(connection: sqlite3.Connection, blob_hash: str, now_us: int) -> None:
    connection.execute(
        _REACHED + "update blob set used_us = ? where hash in (select hash from reached)", (blob_hash, now_us)
    )


def _told(connection: sqlite3.Connection, blob_hash: str) -> Event:
    blob = find_blob(connection, blob_hash)
    assert blob is not None
    return insert_event(connection, "blob", to_wire(blob))


def _seq(connection: sqlite3.Connection, blob_hash: str) -> int:
    found = connection.execute("select seq from blob where hash = ?", (blob_hash,)).fetchone()
    if found is None:
        raise UnknownBlobError(blob_hash)
    return int(found[0])


def _stored(blob_hash: str, text: str, created_us: int, modified_us: int, own: str, pinned: int, up: int) -> Stored:
    return Stored(
        hash=blob_hash,
        record=_kept(text),
        created_us=created_us,
        modified_us=modified_us,
        own_tags=tuple(json.loads(own)),
        pinned=bool(pinned),
        uploaded=bool(up),
    )


def _kept(text: str) -> Record:
    """The record that a text was made of. What was filled in and put in order when it came is not so once more."""
    values = ecmascript.parse(text.encode())
    assert isinstance(values, dict)
    return Record(
        name=values.get("name", ABSENT),
        size=values["size"],
        mime=values["mime"],
        is_public=values["isPublic"],
        tags=tuple(values["tags"]),
        content=values.get("content", ABSENT),
        content_type=values["contentType"],
    )


def _links(record: Record) -> Iterator[tuple[str, int]]:
    if record.content_type == ARTIFACT and isinstance(record.content, dict):
        for entry in record.content.values():
            yield from _link(entry.get("content"), entry.get("contentType"))
    else:
        yield from _link(record.content, record.content_type)


def _link(target: object, kind: object) -> Iterator[tuple[str, int]]:
    if isinstance(target, str) and is_hash(target):
        yield target, RECORD if kind == LINK else CONTENT


def _shown(value: object) -> str:
    """A text that the database and a message can hold; empty for what is none."""
    text = value[:_NAME_LIMIT_COUNT] if isinstance(value, str) else ""
    return text.replace("\0", "\ufffd").encode(errors="replace").decode()


def _tag(value: object) -> str:
    return _shown(value)[:_TAG_LIMIT_COUNT]


def _dumps(values: Sequence[str]) -> str:
    return json.dumps(list(values), ensure_ascii=False, separators=(",", ":"))
