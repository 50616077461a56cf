"""Lists of jobs: which, in what order, from where on.

Pages go by keys, never by OFFSET, and never count: listing the newest fifty of a million jobs costs what it costs for a
thousand. A text filter looks at a bounded slice of rows per call and hands back where to go on.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import Job, JobState, from_wire
from jobdeck_server.core.errors import BadRequestError

if TYPE_CHECKING:
    import sqlite3

_SORTS = {"created": ("seq", None), "ended": ("finished_us", "finished_us is not null"), "state": ("state", None)}


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list, and from where on.

    Attributes:
        states: Only these; empty for all.
        dialect: Only jobs of this API.
        label: Only jobs with this label.
        text: Only jobs whose command, id or labels hold this, case folded.
        since_us: Only jobs created at or after this.
        sort: ``created``, ``ended`` or ``state``, with ``-`` before it for the greatest first.
        limit_count: Longest page.
        cursor: Where the last page stopped, as given out with it.
    """

    states: tuple[JobState, ...] = ()
    dialect: str | None = None
    label: str | None = None
    text: str | None = None
    since_us: int | None = None
    sort: str = "-created"
    limit_count: int = 50
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """A job on a list: its id, and its public record as the JSON text that the database holds and answers carry."""

    id: str
    record: str


@dataclass(frozen=True, slots=True)
class Page:
    """A page of jobs; ``next`` is the cursor of the following page, None at the end. A page may be short or empty."""

    items: tuple[Listed, ...]
    next: str | None

    @property
    def jobs(self) -> tuple[Job, ...]:
        """The records as values."""
        return tuple(from_wire(json.loads(item.record)) for item in self.items)


def page(connection: sqlite3.Connection, wanted: JobFilter, *, scan_limit_count: int) -> Page:
    """One page of jobs.

    Args:
        connection: A reading one.
        wanted: Filter, order, cursor.
        scan_limit_count: How many rows a text filter may look at.

    Raises:
        BadRequestError: An unknown sort, or a cursor that was not given out for it.
    """
    column, descending = _sort(wanted)
    where, values = _conditions(wanted)
    if wanted.cursor is not None:
        after = _cursor(wanted.cursor, wanted.sort)
        sign = "<" if descending else ">"
        where.append(f"seq {sign} ?" if column == "seq" else f"({column}, seq) {sign} (?, ?)")
        values += after[-1:] if column == "seq" else after
    order = " desc" if descending else ""
    table = "label join job using (seq)" if wanted.label is not None else "job"
    sql = (
        f"select seq, {column}, id, record, search from {table}"
        + (f" where {' and '.join(where)}" if where else "")
        + (f" order by seq{order}" if column == "seq" else f" order by {column}{order}, seq{order}")
        + " limit ?"
    )
    limit = wanted.limit_count + 1 if wanted.text is None else scan_limit_count
    found: list[Listed] = []
    last: tuple[Any, int] | None = None
    looked = 0
    for seq, value, job_id, record, search in connection.execute(sql, (*values, limit)):
        if len(found) == wanted.limit_count:
            return Page(tuple(found), _next(wanted.sort, last))
        looked += 1
        last = (value, seq)
        if wanted.text is None or wanted.text.casefold() in search:
            found.append(Listed(job_id, record))
    more = wanted.text is not None and looked == limit
    return Page(tuple(found), _next(wanted.sort, last) if more else None)


def _sort(wanted: JobFilter) -> tuple[str, bool]:
    descending = wanted.sort.startswith("-")
    try:
        return _SORTS[wanted.sort.removeprefix("-")][0], descending
    except KeyError:
        raise BadRequestError(f"Jobs cannot be sorted by {wanted.sort!r}.", field="sort") from None


def _conditions(wanted: JobFilter) -> tuple[list[str], list[Any]]:
    where: list[str] = []
    values: list[Any] = []
    only = _SORTS[wanted.sort.removeprefix("-")][1]
    if only is not None:
        where.append(only)
    if wanted.states:
        where.append(f"state in ({','.join('?' * len(wanted.states))})")
        values += [state.value for state in wanted.states]
    for name, value in (("dialect", wanted.dialect), ("label", wanted.label)):
        if value is not None:
            where.append(f"{name} = ?")
            values.append(value)
    if wanted.since_us is not None:
        where.append("created_us >= ?")
        values.append(wanted.since_us)
    return where, values


def _next(sort: str, last: tuple[Any, int] | None) -> str | None:
    if last is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([sort, *last]).encode()).decode().rstrip("=")


def _cursor(text: str, sort: str) -> list[Any]:
    try:
        made_for, value, seq = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error, UnicodeError) as error:
        raise BadRequestError("This cursor was not given out here.", field="cursor") from error
    if made_for != sort or type(seq) is not int or type(value) not in (int, str):
        raise BadRequestError("This cursor was not given out for this list.", field="cursor")
    return [value, seq]
