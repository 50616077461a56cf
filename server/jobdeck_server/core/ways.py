"""Which way through the table a list of jobs goes: the SQL of ``listing``, every index named.

A *source* is what one filter gives by its index: the jobs with a label, of a dialect, of a worker, in a context, in
some states. They lie there in the order of acceptance, so what was accepted since a moment is the end of each. A list
goes one of three ways:

    walk a source       in the order of acceptance: that of the one filter, or of several the one with the fewest jobs
    walk the order      by the index of the order itself, looking at each job whether it is wanted
    sort a source       where the order is another one, and the source has few jobs: take all of them and sort

A walk that looks at jobs that are not wanted stops after so many, and the page is over, full or not. So a list comes in
many short pages when each of its filters has many jobs and few jobs are in all of them.

SQLite's planner is told every index by name: it does not know what is in them, and a wrong guess costs a thousandfold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from heapq import merge
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple

from jobdeck_protocol.job import JobState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator

    from jobdeck_server.core.listing import JobFilter

TIDE_STEP_COUNT = 64
"""Every so many jobs the greatest time of acceptance so far is kept: see ``floor``."""

_COLUMNS = {"created": "job.seq", "ended": "finished_us", "state": "state"}


class Order(NamedTuple):
    """``created``, ``ended`` or ``state``, each of them then by acceptance; and whether the greatest comes first."""

    name: str
    descending: bool

    @property
    def column(self) -> str:
        """What it goes by."""
        return _COLUMNS[self.name]

    @property
    def beyond(self) -> str:
        """How a later value compares with an earlier one."""
        return "<" if self.descending else ">"

    def clause(self, seq: str) -> str:
        """ORDER BY, with the name of the column that has the ``seq``."""
        way = " desc" if self.descending else ""
        return f"order by {seq}{way}" if self.name == "created" else f"order by {self.column}{way}, {seq}{way}"


class Spot(NamedTuple):
    """A place in an order: the value that it goes by, None for a job without one, and the job's ``seq``."""

    value: Any
    seq: int


class Row(NamedTuple):
    """A job that was looked at; ``record`` is its public record, None if it is not wanted."""

    value: Any
    seq: int
    id: str
    record: str | None


class Clause(NamedTuple):
    """A condition and its values."""

    sql: str
    values: tuple[Any, ...] = ()


class Source(NamedTuple):
    """What a filter gives by its index.

    Attributes:
        filter: Its name in ``_conditions``; "" for all jobs.
        keys: The index alone, which is enough to count.
        table: Has all columns of a job.
        seq: The column that has the ``seq``.
        parts: Conditions that exclude each other; what each of them gives lies in the order of acceptance.
    """

    filter: str
    keys: str
    table: str
    seq: str
    parts: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Way:
    """Rows to go through; when ``limit_count`` of them were looked at, the page is over."""

    rows: Iterable[Row]
    limit_count: int


def spot(connection: sqlite3.Connection, job_id: str, order: Order) -> Spot | None:
    """Where a job stands in an order, None if there is no such job."""
    found = connection.execute(f"select {order.column}, seq from job where id = ?", (job_id,)).fetchone()
    return None if found is None else Spot(*found)


def floor(connection: sqlite3.Connection, since_us: int) -> int:
    """A ``seq`` up to which no job was accepted at or after a time.

    The table ``tide`` keeps the greatest time of acceptance up to every 64th job. It only grows, whatever a clock does;
    one that was set back makes the floor lie lower, and the way longer.
    """
    found = connection.execute(
        "select seq from tide where top_us < ? order by top_us desc, seq desc limit 1", (since_us,)
    ).fetchone()
    return 0 if found is None else int(found[0])


def raise_tide(connection: sqlite3.Connection, seq: int) -> None:
    """Keep what ``floor`` needs; called with each job that was stored."""
    if seq % TIDE_STEP_COUNT == 0:
        connection.execute(
            "insert into tide select ?1, max(coalesce((select max(top_us) from tide), 0), (select max(created_us)"
            " from job where seq between coalesce((select max(seq) from tide), 0) and ?1))",
            (seq,),
        )


def find(
    connection: sqlite3.Connection, wanted: JobFilter, order: Order, *, start: Spot | None, scan_limit_count: int
) -> Way:
    """The way to a page.

    Args:
        connection: A reading one.
        wanted: Which jobs.
        order: In which order.
        start: The page begins behind it.
        scan_limit_count: How many rows that may not be wanted may be looked at.
    """
    finder = _Finder(connection, wanted, order, start, scan_limit_count)
    if order.name == "created":
        return finder.walk_source()
    return finder.sort_source() or (finder.walk_ends() if order.name == "ended" else finder.walk_states())


class _Finder:
    """One list's conditions, and the ways of the top of this file."""

    def __init__(
        self, connection: sqlite3.Connection, wanted: JobFilter, order: Order, start: Spot | None, scan_limit_count: int
    ) -> None:
        self._connection = connection
        self._order = order
        self._start = start
        self._page_count = wanted.limit_count + 1  # one more than wanted tells whether another page follows
        self._scan_count = scan_limit_count
        self._conditions = _conditions(wanted)
        self._states = tuple(sorted(set(wanted.states or JobState), reverse=order.descending))
        self._floor = None if wanted.since_us is None else floor(connection, wanted.since_us)

    # -- the ways --

    def walk_source(self) -> Way:
        """Jobs in the order of acceptance."""
        sources = self._sources("label", "dialect", "workers", "context", "states")
        source = sources[0] if len(sources) == 1 else min(sources, key=lambda each: self._count(each, self._start))
        rest, limit = self._rest(source.filter)
        parts = [
            self._read(source.table, (part, *self._bounds(source.seq, self._start)), rest, limit, seq=source.seq)
            for part in source.parts
        ]
        by_seq = partial(merge, key=attrgetter("seq"), reverse=self._order.descending)
        return Way(parts[0] if len(parts) == 1 else by_seq(*parts), limit)

    def sort_source(self) -> Way | None:
        """Jobs in another order, if a source has few of them."""
        ends = self._order.name == "ended"
        sources = self._sources("label", "dialect", "workers", "context", *(("states",) if ends else ()))
        if not sources[0].filter and not (ends and self._floor):
            return None
        count, source = min(((self._count(each, None), each) for each in sources), key=lambda found: found[0])
        if count > self._scan_count:
            return None
        where = (_any(source.parts), *self._bounds(source.seq, None), *self._conditions.values(), *self._beyond())
        if ends:
            where = (*where, _HAS_ENDED)
        return Way(self._read(source.table, where, None, self._page_count), self._page_count)

    def walk_ends(self) -> Way:
        """Jobs in the order of their ends."""
        rest, limit = self._rest("")
        return Way(self._read("job indexed by job_finished", (_HAS_ENDED, *self._beyond()), rest, limit), limit)

    def walk_states(self) -> Way:
        """Jobs of one state after the other."""
        rest, limit = self._rest("states")
        begin, descending = self._start, self._order.descending
        parts = (
            self._read(
                _BY_STATE,
                (_in_state(state), *self._bounds("job.seq", begin if begin and state == begin.value else None)),
                rest,
                limit,
            )
            for state in self._states
            if begin is None or state == begin.value or (state < begin.value) == descending
        )
        return Way(chain.from_iterable(parts), limit)

    # -- pieces --

    def _sources(self, *filters: str) -> list[Source]:
        """Those of these filters that are asked for; if none is, all jobs."""
        found = []
        for name in filters:
            given = self._conditions.get(name)
            if given is None:
                continue
            if name == "label":
                by_label = Clause("label.label = ?", given.values)
                found.append(Source(name, "label", _LABELLED, "label.seq", (by_label,)))
            elif name == "dialect":
                found.append(Source(name, _BY_DIALECT, _BY_DIALECT, "job.seq", (given,)))
            elif name == "context":
                found.append(Source(name, _BY_CONTEXT, _BY_CONTEXT, "job.seq", (given,)))
            elif name == "workers":
                parts = tuple(_on_worker(worker) for worker in given.values)
                found.append(Source(name, _BY_WORKER, _BY_WORKER, "job.seq", parts))
            else:
                parts = tuple(_in_state(state) for state in self._states)
                found.append(Source(name, _BY_STATE, _BY_STATE, "job.seq", parts))
        return found or [Source("", _BY_SEQ, _BY_SEQ, "job.seq", (_ALL,))]

    def _count(self, source: Source, start: Spot | None) -> int:
        """How many jobs a source has, counted no further than matters."""
        count = 0
        for part in source.parts:
            where = _every((part, *self._bounds(source.seq, start)))
            sql = f"select count(*) from (select 1 from {source.keys} where {where.sql} limit ?)"
            count += self._connection.execute(sql, (*where.values, self._scan_count + 1)).fetchone()[0]
        return count

    def _read(
        self, table: str, conditions: Iterable[Clause], rest: Clause | None, limit_count: int, *, seq: str = "job.seq"
    ) -> Iterator[Row]:
        """Rows of a table in order; ``rest`` says which of them are wanted, None if all are."""
        record = "record" if rest is None else f"case when {rest.sql} then record end"
        where = _every(conditions)
        sql = (
            f"select {self._order.column}, job.seq, job.id, {record} from {table}"
            f" where {where.sql} {self._order.clause(seq)} limit ?"
        )
        values = (*(() if rest is None else rest.values), *where.values, limit_count)
        return map(Row._make, self._connection.execute(sql, values))

    def _bounds(self, seq: str, start: Spot | None) -> Iterator[Clause]:
        """In the order of acceptance: where to begin, and what is too old."""
        if start is not None:
            yield Clause(f"{seq} {self._order.beyond} ?", (start.seq,))
        if self._floor:
            yield Clause(f"{seq} > ?", (self._floor,))

    def _beyond(self) -> Iterator[Clause]:
        """In another order: where to begin."""
        if self._start is not None:
            yield Clause(f"({self._order.column}, job.seq) {self._order.beyond} (?, ?)", self._start)

    def _rest(self, name: str) -> tuple[Clause | None, int]:
        """What is still to be looked at beside one filter, and after how many rows to stop."""
        rest = [clause for each, clause in self._conditions.items() if each != name]
        return (_every(rest), self._scan_count + 1) if rest else (None, self._page_count)


_BY_SEQ = "job not indexed"
_BY_STATE = "job indexed by job_state"
_BY_DIALECT = "job indexed by job_dialect"
_BY_WORKER = "job indexed by job_worker"
_BY_CONTEXT = "job indexed by job_context"
_LABELLED = "label cross join job on job.seq = label.seq"
_ALL = Clause("1")
_HAS_ENDED = Clause("finished_us is not null")


def _conditions(wanted: JobFilter) -> dict[str, Clause]:
    found: dict[str, Clause] = {}
    if wanted.states:
        marks = ",".join("?" * len(wanted.states))
        found["states"] = Clause(f"state in ({marks})", tuple(state.value for state in wanted.states))
    if wanted.dialect is not None:
        found["dialect"] = Clause("dialect = ?", (wanted.dialect,))
    if wanted.workers:
        workers = tuple(dict.fromkeys(wanted.workers))
        found["workers"] = Clause(f"worker in ({','.join('?' * len(workers))})", workers)
    if wanted.context is not None:
        found["context"] = Clause("context = ?", (wanted.context,))
    if wanted.label is not None:
        sql = "exists (select 1 from label as other where other.label = ? and other.seq = job.seq)"
        found["label"] = Clause(sql, (wanted.label,))
    if wanted.since_us is not None:
        found["since"] = Clause("created_us >= ?", (wanted.since_us,))
    if wanted.text is not None:
        found["text"] = Clause("instr(search, ?) > 0", (wanted.text.casefold().encode(errors="replace").decode(),))
    return found


def _in_state(state: str) -> Clause:
    return Clause("state = ?", (str(state),))


def _on_worker(worker: str) -> Clause:
    return Clause("worker = ?", (worker,))


def _every(clauses: Iterable[Clause]) -> Clause:
    clauses = tuple(clauses)
    return Clause(" and ".join(each.sql for each in clauses), tuple(value for each in clauses for value in each.values))


def _any(clauses: Iterable[Clause]) -> Clause:
    clauses = tuple(clauses)
    values = tuple(value for each in clauses for value in each.values)
    return Clause(f"({' or '.join(each.sql for each in clauses)})", values)
