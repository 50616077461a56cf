"""Lists of jobs: which, in what order, from where on.

Pages go by keys, never by OFFSET, and never count them all: the newest fifty of a million jobs cost what they cost of a
thousand. ``ways`` finds an index for what is asked. Where none has just these jobs, or a text is sought, a page looks
at a bounded slice of rows and hands back where to go on.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_protocol.job import Job, JobState, from_wire
from jobdeck_server.core import ways
from jobdeck_server.core.errors import BadRequestError, UnknownJobError
from jobdeck_server.core.ways import Order, Row, Spot

if TYPE_CHECKING:
    import sqlite3

SORTS = ("created", "ended", "state")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFilter:
    """Which jobs to list, and from where on.

    Attributes:
        states: Only these; empty for all.
        dialect: Only jobs of this API.
        label: Only jobs with this label.
        workers: Only jobs that one of these workers has or had (see ``Job.place``); empty for all.
        context: Only jobs in a context of this name.
        text: Only jobs whose command, id, labels, packages or context hold this, case folded.
        since_us: Only jobs created at or after this.
        sort: ``created`` (the order of acceptance), ``ended`` (only jobs that have) or ``state`` (by its word, then by
            acceptance), with ``-`` before it for the greatest first.
        limit_count: Longest page.
        cursor: Where the last page stopped, as given out with it.
        after: Id of a job; the page begins with what follows it, whether or not it is on the list itself.
    """

    states: tuple[JobState, ...] = ()
    dialect: str | None = None
    label: str | None = None
    workers: tuple[str, ...] = ()
    context: str | None = None
    text: str | None = None
    since_us: int | None = None
    sort: str = "-created"
    limit_count: int = 50
    cursor: str | None = None
    after: str | None = None


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
        wanted: Filter, order, place.
        scan_limit_count: How many rows may be looked at.

    Raises:
        BadRequestError: An unknown sort, a cursor that was not given out for it, or a job that has no place in it.
        UnknownJobError: There is no job ``after`` which to go on.
    """
    connection.execute("begin")  # all that is read sees the same
    try:
        return _page(connection, wanted, scan_limit_count)
    finally:
        connection.execute("commit")


def _page(connection: sqlite3.Connection, wanted: JobFilter, scan_limit_count: int) -> Page:
    order = _order(wanted.sort)
    start = _start(connection, wanted, order)
    way = ways.find(connection, wanted, order, start=start, scan_limit_count=scan_limit_count)
    found: list[Listed] = []
    last: Row | None = None
    for looked, row in enumerate(way.rows, start=1):
        if len(found) == wanted.limit_count or looked == way.limit_count:
            return Page(tuple(found), _cursor(wanted.sort, last))
        last = row
        if row.record is not None:
            found.append(Listed(row.id, row.record))
    return Page(tuple(found), None)


def _order(sort: str) -> Order:
    name = sort.removeprefix("-")
    if name not in SORTS:
        raise BadRequestError(f"Jobs cannot be sorted by {sort!r}.", field="sort")
    return Order(name, sort.startswith("-"))


def _start(connection: sqlite3.Connection, wanted: JobFilter, order: Order) -> Spot | None:
    if wanted.after is None:
        return None if wanted.cursor is None else _read_cursor(wanted.cursor, wanted.sort)
    if wanted.cursor is not None:
        raise BadRequestError("Give one of cursor and after.", field="after")
    spot = ways.spot(connection, wanted.after, order)
    if spot is None:
        raise UnknownJobError(wanted.after)
    if spot.value is None:
        raise BadRequestError(f"Job {wanted.after} has not ended and so has no place in this list.", field="after")
    return spot


def _cursor(sort: str, last: Row | None) -> str | None:
    if last is None:
        return None
    return base64.urlsafe_b64encode(json.dumps([sort, last.value, last.seq]).encode()).decode().rstrip("=")


def _read_cursor(text: str, sort: str) -> Spot:
    try:
        made_for, value, seq = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (ValueError, TypeError, binascii.Error, UnicodeError) as error:
        raise BadRequestError("This cursor was not given out here.", field="cursor") from error
    kind = str if sort.removeprefix("-") == "state" else int
    if made_for != sort or type(seq) is not int or type(value) is not kind:
        raise BadRequestError("This cursor was not given out for this list.", field="cursor")
    return Spot(value, seq)
