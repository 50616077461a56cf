"""The list of jobs as far as the console holds it: a window on the server's list, kept true by the events. Pure.

The window is a run of neighbouring rows in the order of the query. It covers everything from the key ``first`` to the
key ``last``: a job that is told and belongs there has its row, one that belongs beyond has none. Pages are put on its
ends; when it grows too long, rows fall off the end that the reader is further away from.

What can go wrong, and why it does not:

- A page was read before a change and comes after it: what is told while a page is under way is kept (``fresh``), and
  told again on top of the page.
- A page was read after a change and comes before it: the change is told later, and lands where it belongs; a job that
  stands on both is taken from the page.
- The end of the window is no longer where it was when the page was asked for: the page is void.
- The row after which a page was asked for had moved: each such page begins with the row that is known to follow
  (``Ask.neighbour``), and where it does not, the window is read anew.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import TYPE_CHECKING, TypeVar

from jobdeck_tui.console.pages import Ask, Page, Place
from jobdeck_tui.console.query import HIGHEST, LOWEST, Key, Query, flipped, key_of, matches, still_matches
from jobdeck_tui.console.settings import ROWS_LIMIT_COUNT, ROWS_PAGE_COUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job

__all__ = ["Ask", "JobList", "Page", "Place", "Query", "asked", "came", "doubted", "failed", "gone", "queried", "told"]

K = TypeVar("K")
V = TypeVar("V")


_ENDS = frozenset({Place.ABOVE, Place.BELOW})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """The window.

    Attributes:
        query: What it shows.
        rows: Jobs in the order of the query, no id twice.
        first: Everything from this key on is held, ...
        last: ... up to this one.
        cursor: Where the server goes on below, None if only a row can tell.
        cursor_above: The same above.
        known: A page has come; before that nothing is known of the list.
        stale: It may not be true any more, and is to be read anew; what it shows stands until then.
        unseen_count: Jobs that came above the window since its top was held.
        error: Why the last page could not be had, None if it could.
        asks: Pages under way.
        reading: Where the reader went last: rows fall off the other end.
        fresh: What was told while a page was under way, by id; None for a job that was removed.
        top: The lowest key that was held or counted when the window left the list's start: what comes above it is new.
        held: The key of each row, by its job's id.
    """

    query: Query = field(default_factory=Query)
    rows: tuple[Job, ...] = ()
    first: Key = LOWEST
    last: Key = LOWEST
    cursor: str | None = None
    cursor_above: str | None = None
    known: bool = False
    stale: bool = False
    unseen_count: int = 0
    error: str | None = None
    asks: Mapping[Place, Ask] = field(default_factory=dict)
    reading: Place = Place.START
    fresh: Mapping[str, Job | None] = field(default_factory=dict)
    top: Key = LOWEST
    held: Mapping[str, Key] = field(default_factory=dict, repr=False)

    @property
    def above(self) -> bool:
        """There may be rows before the first one."""
        return self.first != LOWEST

    @property
    def below(self) -> bool:
        """There may be rows after the last one."""
        return self.last != HIGHEST

    @property
    def loading(self) -> frozenset[Place]:
        """Pages under way."""
        return frozenset(self.asks)


# -- what the user asks for, and what becomes of it --


def queried(jobs: JobList, query: Query) -> JobList:
    """The list of another query: until its first page comes, those of the rows held that belong on it."""
    key = key_of(query)
    rows = tuple(sorted((job for job in jobs.rows if matches(query, job)), key=key))
    return JobList(query=query, rows=rows, held=_held(query, rows), stale=True)


def asked(jobs: JobList, query: Query, place: Place) -> JobList:
    """A page is under way."""
    if query != jobs.query:
        return jobs
    reading = jobs.reading if place is Place.AGAIN else place
    return replace(jobs, asks=_with(jobs.asks, place, _ask(jobs, place)), reading=reading)


def failed(jobs: JobList, query: Query, place: Place, error: str | None) -> JobList:
    """A page could not be had; without ``error`` because the row it was asked for is gone: the list is read anew."""
    if query != jobs.query:
        return jobs
    # If it was the window's own first row, the list's is taken: the others may be gone as well.
    first = LOWEST if error is None and place is Place.AGAIN else jobs.first
    return replace(_arrived(jobs, place), error=error, stale=jobs.stale or error is None, first=first)


def came(jobs: JobList, query: Query, place: Place, page: Page) -> JobList:
    """A page came."""
    ask = jobs.asks.get(place)
    if query != jobs.query or ask is None:
        return jobs
    fresh, page = jobs.fresh, _single(page)
    jobs = replace(_arrived(jobs, place), error=None)
    if ask.void and (jobs.known or place in _ENDS):
        return jobs
    if place in _ENDS:
        if ask.neighbour is not None and _neighbour(page, place) != ask.neighbour:
            return doubted(jobs)
        if ask.cursor is None and ask.after is None:
            place = Place.START if place is Place.BELOW else Place.END
    jobs = _joined(jobs, place, page) if place in _ENDS else _renewed(jobs, place, ask, page)
    for job_id, job in fresh.items():
        jobs = _gone(jobs, job_id) if job is None else _told(jobs, job)
    return jobs


def doubted(jobs: JobList) -> JobList:
    """Changes may have been missed, by the rows held and by the pages under way."""
    # What was told so far may have been followed by what was missed: it is not to be told on top of later pages.
    return replace(jobs, stale=True, asks=_voided(jobs.asks, *Place), fresh={})


# -- what the server tells --


def told(jobs: JobList, job: Job) -> JobList:
    """A job's record as it stands now."""
    if jobs.asks:
        jobs = replace(jobs, fresh=_with(jobs.fresh, job.id, job))
    return _told(jobs, job)


def gone(jobs: JobList, job_id: str) -> JobList:
    """A job's record was removed."""
    if jobs.asks:
        jobs = replace(jobs, fresh=_with(jobs.fresh, job_id, None))
    return _gone(jobs, job_id)


def _told(jobs: JobList, job: Job) -> JobList:
    old = jobs.held.get(job.id)
    belongs = matches(jobs.query, job) if old is None else still_matches(jobs.query, job)
    key = key_of(jobs.query)(job) if belongs else None
    if old is None:
        return jobs if key is None else _placed(jobs, job, key)
    at = _index(jobs, job.id, old)
    if key == old:
        return replace(jobs, rows=(*jobs.rows[:at], job, *jobs.rows[at + 1 :]))
    jobs = _without(jobs, job.id, at)
    return jobs if key is None else _placed(jobs, job, key)


def _gone(jobs: JobList, job_id: str) -> JobList:
    key = jobs.held.get(job_id)
    return jobs if key is None else _without(jobs, job_id, _index(jobs, job_id, key))


def _placed(jobs: JobList, job: Job, key: Key) -> JobList:
    """Give a job a row if the window covers its place."""
    if key < jobs.first:
        return _passed_above(jobs, key)
    if key > jobs.last:
        # A search may have looked past its place already, and would go on from further below.
        return replace(jobs, cursor=None) if jobs.query.text is not None and jobs.cursor is not None else jobs
    at = bisect_right(jobs.rows, key, key=key_of(jobs.query))
    at_end = jobs.reading in (Place.BELOW, Place.END)
    if at == 0 and at_end and len(jobs.rows) >= ROWS_LIMIT_COUNT:
        return _passed_above(_cut_off(jobs, 0), key)
    rows = (*jobs.rows[:at], job, *jobs.rows[at:])
    return _trimmed(replace(jobs, rows=rows, held=_with(jobs.held, job.id, key)), at_start=at_end)


def _passed_above(jobs: JobList, key: Key) -> JobList:
    if jobs.query.text is not None and jobs.cursor_above is not None:
        jobs = replace(jobs, cursor_above=None)
    return replace(jobs, unseen_count=jobs.unseen_count + 1, top=key) if key < jobs.top else jobs


def _without(jobs: JobList, job_id: str, at: int) -> JobList:
    rows = (*jobs.rows[:at], *jobs.rows[at + 1 :])
    held = _less(jobs.held, job_id)
    # A window without rows but with some above it has nothing to go on from.
    return replace(jobs, rows=rows, held=held, stale=jobs.stale or (not rows and jobs.above))


def _index(jobs: JobList, job_id: str, key: Key) -> int:
    """Where a row stands; rows of one moment may stand a little off the place that their key says."""
    at = bisect_left(jobs.rows, key, key=key_of(jobs.query))
    near = chain(range(at, min(at + 4, len(jobs.rows))), range(len(jobs.rows)))
    return next(index for index in near if jobs.rows[index].id == job_id)


# -- pages --


def _ask(jobs: JobList, place: Place) -> Ask:
    """How the page of a place is asked for, as the window is now."""
    sort, rows, count = jobs.query.sort, jobs.rows, ROWS_PAGE_COUNT
    match place:
        case Place.START:
            return Ask(sort=sort, limit_count=count)
        case Place.END:
            return Ask(sort=flipped(sort), limit_count=count)
        case Place.AGAIN:
            after = rows[0].id if jobs.above and rows else None
            return Ask(sort=sort, limit_count=max(len(rows) if jobs.known else 0, count), after=after)
        case Place.BELOW:
            return _onward(sort, count, jobs.cursor, *(job.id for job in rows[-2:]))
        case Place.ABOVE:
            return _onward(flipped(sort), count, jobs.cursor_above, *(job.id for job in reversed(rows[:2])))


def _onward(sort: str, count: int, cursor: str | None, *ends: str) -> Ask:
    """A page beyond an end of the window, of which the last two rows are given.

    Without a cursor it is asked for after the last row but one, so that it begins with the last one. If there are not
    as many, the list is read from its end (see ``came``).
    """
    if cursor is not None or len(ends) < 2:
        return Ask(sort=sort, limit_count=count, cursor=cursor)
    return Ask(sort=sort, limit_count=count + 1, after=ends[0], neighbour=ends[1])


def _single(page: Page) -> Page:
    """The page with each job once: while it was read in parts, one may have moved from an earlier to a later part."""
    jobs = {job.id: job for job in page.jobs}
    return page if len(jobs) == len(page.jobs) else replace(page, jobs=tuple(jobs.values()))


def _neighbour(page: Page, place: Place) -> str | None:
    return page.jobs[-1 if place is Place.ABOVE else 0].id if page.jobs else None


def _arrived(jobs: JobList, place: Place) -> JobList:
    """A page is not under way any more."""
    asks = _less(jobs.asks, place) if place in jobs.asks else jobs.asks
    return replace(jobs, asks=asks, fresh=jobs.fresh if asks else {})


def _joined(jobs: JobList, place: Place, page: Page) -> JobList:
    """The window with a page at one of its ends."""
    on_page = {job.id for job in page.jobs}
    kept = tuple(job for job in jobs.rows if job.id not in on_page)
    key = key_of(jobs.query)
    if place is Place.BELOW:
        end = HIGHEST if not page.more else key(page.jobs[-1]) if page.jobs else jobs.last
        jobs = replace(jobs, rows=kept + page.jobs, last=end, cursor=page.cursor)
    else:
        end = LOWEST if not page.more else key(page.jobs[0]) if page.jobs else jobs.first
        unseen = jobs.unseen_count if page.more else 0
        jobs = replace(jobs, rows=page.jobs + kept, first=end, cursor_above=page.cursor, unseen_count=unseen)
    return _trimmed(_ordered(jobs), at_start=place is Place.BELOW)


def _renewed(jobs: JobList, place: Place, ask: Ask, page: Page) -> JobList:
    """The window that a page alone makes."""
    key = key_of(jobs.query)
    lowest = key(page.jobs[0]) if page.jobs else LOWEST
    highest = key(page.jobs[-1]) if page.jobs else LOWEST
    if place is Place.END:
        first, last = (lowest if page.jobs else HIGHEST) if page.more else LOWEST, HIGHEST
    else:
        first, last = LOWEST if ask.after is None else lowest, highest if page.more else HIGHEST
    at_end = place is Place.END
    return _ordered(
        replace(
            jobs,
            rows=page.jobs,
            first=first,
            last=last,
            cursor=None if at_end else page.cursor,
            cursor_above=page.cursor if at_end else None,
            known=True,
            stale=ask.void or (ask.after is not None and not page.jobs),
            unseen_count=jobs.unseen_count if first != LOWEST else 0,
            asks=_voided(jobs.asks, *Place),
            top=_top(jobs),
        )
    )


def _top(jobs: JobList) -> Key:
    """See ``JobList.top``, for a window that may be about to leave the list's start."""
    return key_of(jobs.query)(jobs.rows[0]) if jobs.known and not jobs.above and jobs.rows else jobs.top


def _ordered(jobs: JobList) -> JobList:
    """The window with its rows where their keys say.

    A page by state may tell a job by a record that is ahead of its place on the page. Acceptance never changes: there
    the page's order is the truth, and times that disagree with it are not.
    """
    rows = jobs.rows
    if jobs.query.by != "created":
        key = key_of(jobs.query)
        rows = tuple(sorted((job for job in rows if jobs.first <= key(job) <= jobs.last), key=key))
    return replace(jobs, rows=rows, held=_held(jobs.query, rows))


def _trimmed(jobs: JobList, *, at_start: bool) -> JobList:
    """Not more rows than may be held; those that go are fetched again when somebody goes there."""
    excess = len(jobs.rows) - ROWS_LIMIT_COUNT
    if excess <= 0:
        return jobs
    if at_start:
        return _cut_off(jobs, excess)
    rows, fallen = jobs.rows[:-excess], jobs.rows[-excess:]
    held = _less(jobs.held, *(job.id for job in fallen))
    last, asks = key_of(jobs.query)(rows[-1]), _voided(jobs.asks, Place.BELOW)
    return replace(jobs, rows=rows, held=held, last=last, cursor=None, asks=asks)


def _cut_off(jobs: JobList, count: int) -> JobList:
    """The window without so many rows at its start; there is something above it now."""
    fallen, rows = jobs.rows[:count], jobs.rows[count:]
    held = _less(jobs.held, *(job.id for job in fallen))
    first, asks = key_of(jobs.query)(rows[0]), _voided(jobs.asks, Place.ABOVE)
    return replace(jobs, rows=rows, held=held, first=first, cursor_above=None, top=_top(jobs), asks=asks)


def _voided(asks: Mapping[Place, Ask], *places: Place) -> Mapping[Place, Ask]:
    return {key: replace(ask, void=ask.void or key in places) for key, ask in asks.items()}


def _held(query: Query, rows: tuple[Job, ...]) -> Mapping[str, Key]:
    key = key_of(query)
    return {job.id: key(job) for job in rows}


def _with(values: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return {**values, key: value}


def _less(values: Mapping[K, V], *keys: K) -> Mapping[K, V]:
    left = {**values}
    for key in keys:
        del left[key]
    return left
