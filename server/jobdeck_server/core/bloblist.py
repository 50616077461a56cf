"""Lists of blobs: which, in what order, from where on.

Pages go by keys and never count, like those of jobs (``listing``). In the order in which blobs came, a list walks those
with the wanted tag, or of the wanted name, or all; by size it walks all. What else is wanted is looked at on the way,
and a walk ends after so many rows, the page full or not.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from jobdeck_server.core.blobrows import COLUMNS, blob_of
from jobdeck_server.core.blobtypes import BlobPage
from jobdeck_server.core.errors import BadRequestError, UnknownBlobError

if TYPE_CHECKING:
    import sqlite3

    from jobdeck_protocol.blob import Blob
    from jobdeck_server.core.blobtypes import BlobFilter

__all__ = ["SORTS", "page"]

SORTS = ("created", "size")
_INTEGER_LIMIT = 1 << 63


class _Source(NamedTuple):
    """Where rows come from, and what their place in the order of arrival is called there."""

    table: str
    seq: str


_ALL = _Source("blob", "blob.seq")
_BY_SIZE = _Source("blob indexed by blob_size", "blob.seq")
_BY_NAME = _Source("blob indexed by blob_name", "blob.seq")
_BY_TAG = _Source("blob_tag cross join blob using (seq)", "blob_tag.seq")


def page(connection: sqlite3.Connection, wanted: BlobFilter, *, scan_limit_count: int) -> BlobPage:
    """One page of blobs.

    Args:
        connection: A reading one.
        wanted: Filter, order, place.
        scan_limit_count: How many rows may be looked at.

    Raises:
        BadRequestError: An unknown sort, or a cursor that was not given out for it.
        UnknownBlobError: There is no blob ``after`` which to go on.
    """
    name, descending = wanted.sort.removeprefix("-"), wanted.sort.startswith("-")
    if name not in SORTS:
        raise BadRequestError(f"Blobs cannot be sorted by {wanted.sort!r}.", field="sort")
    by_size = name == "size"
    way, beyond = ("desc", "<") if descending else ("asc", ">")
    source, where, values = _source(wanted, by_size=by_size)
    order = f"size_bytes {way}, blob.seq {way}" if by_size else f"{source.seq} {way}"
    start = _start(connection, wanted)
    if start is not None:
        size, seq = start
        where += f" and (size_bytes, blob.seq) {beyond} (?, ?)" if by_size else f" and {source.seq} {beyond} ?"
        values += (size, seq) if by_size else (seq,)
    fits, fit_values = _fits(wanted)
    rows = connection.execute(
        f"select blob.seq, size_bytes, {fits}, {COLUMNS} from {source.table} where {where} order by {order} limit ?",
        (*fit_values, *values, scan_limit_count + 1),
    )
    return _collect(rows, wanted, scan_limit_count)


def _start(connection: sqlite3.Connection, wanted: BlobFilter) -> tuple[int, int] | None:
    """Size and place of the blob behind which the page begins; None for the list's start."""
    if wanted.after is None:
        return None if wanted.cursor is None else _read_cursor(wanted.cursor, wanted.sort)
    if wanted.cursor is not None:
        raise BadRequestError("Give one of cursor and after.", field="after")
    found = connection.execute("select size_bytes, seq from blob where hash = ?", (wanted.after,)).fetchone()
    if found is None:
        raise UnknownBlobError(wanted.after)
    return found[0], found[1]


def _collect(rows: sqlite3.Cursor, wanted: BlobFilter, scan_limit_count: int) -> BlobPage:
    found: list[Blob] = []
    last: tuple[int, int] | None = None
    for looked, (seq, size, fits, *columns) in enumerate(rows):
        if len(found) == wanted.limit_count or looked == scan_limit_count:
            return BlobPage(tuple(found), _cursor(wanted.sort, last))
        last = (size, seq)
        if fits:
            found.append(blob_of(columns))
    return BlobPage(tuple(found), None)


def _source(wanted: BlobFilter, *, by_size: bool) -> tuple[_Source, str, tuple[Any, ...]]:
    """What to walk, which of its rows, and the values of that."""
    if by_size:
        return _BY_SIZE, "1", ()
    if wanted.tag is not None:
        return _BY_TAG, "tag = ?", (wanted.tag,)
    if wanted.name is not None:
        return _BY_NAME, "name = ?", (wanted.name,)
    return _ALL, "1", ()


def _fits(wanted: BlobFilter) -> tuple[str, tuple[Any, ...]]:
    """What is wanted as one expression, and its values."""
    parts: list[str] = []
    values: list[Any] = []
    for column in ("name", "type", "pinned"):
        value = getattr(wanted, column)
        if value is not None:
            parts.append(f"{column} = ?")
            values.append(value)
    if wanted.tag is not None:
        parts.append("exists (select 1 from blob_tag as sought where sought.tag = ? and sought.seq = blob.seq)")
        values.append(wanted.tag)
    if wanted.text is not None:
        parts.append("instr(search, ?)")
        values.append(wanted.text.casefold())
    return " and ".join(parts) or "1", tuple(values)


def _cursor(sort: str, last: tuple[int, int] | None) -> str | None:
    if last is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([sort, *last]).encode()).decode().rstrip("=")


def _read_cursor(text: str, sort: str) -> tuple[int, int]:
    try:
        made_for, size, seq = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error, UnicodeError) as error:
        raise BadRequestError("This cursor was not given out here.", field="cursor") from error
    if made_for != sort or not all(type(each) is int and 0 <= each < _INTEGER_LIMIT for each in (size, seq)):
        raise BadRequestError("This cursor was not given out for this list.", field="cursor")
    return size, seq
