"""The list of jobs as far as the console holds it: a window on the server's list, kept true by the events. Pure.

The window is a run of neighbouring rows in the order of the query. Above and below it there may be more; pages are put
on its ends and fall off the other end when it grows too long. A change that is told while a page is under way is newer
than the page, and is kept until it came.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job, JobState

__all__ = ["JobList", "Page", "Place", "Query", "asked", "came", "doubted", "failed", "gone", "told"]


class Place(StrEnum):
    """Where a page of the list goes."""

    START = "start"
    """The first rows: what was held before is replaced."""
    END = "end"
    """The last rows: what was held before is replaced."""
    ABOVE = "above"
    BELOW = "below"


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs, in which order; as ``Client.jobs`` takes it."""

    states: frozenset[JobState] = frozenset()
    dialect: str | None = None
    label: str | None = None
    text: str | None = None
    sort: str = "-created"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Rows as they came; see ``state.PageCame``."""

    jobs: tuple[Job, ...]
    more: bool
    cursor: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobList:
    """The window.

    Attributes:
        query: What it shows.
        rows: Jobs in the order of the query.
        above: There may be rows before the first one.
        below: There may be rows after the last one.
        cursor: Where a filter by text stopped looking below the last row, None if it need not go on.
        loading: Pages under way.
        stale: Changes were missed; it is to be read anew.
        unseen_count: New jobs that belong above the window.
        error: Why the last page could not be had, None if it could.
        fresh: What was told while a page was under way, by id; None for a job that was removed.
    """

    query: Query = field(default_factory=Query)
    rows: tuple[Job, ...] = ()
    above: bool = False
    below: bool = True
    cursor: str | None = None
    loading: frozenset[Place] = frozenset()
    stale: bool = False
    unseen_count: int = 0
    error: str | None = None
    fresh: Mapping[str, Job | None] = field(default_factory=lambda: MappingProxyType({}))


def asked(jobs: JobList, query: Query, place: Place) -> JobList:
    """A page is under way."""
    return replace(jobs, loading=jobs.loading | {place}) if query == jobs.query else jobs


def came(jobs: JobList, query: Query, place: Place, page: Page) -> JobList:
    """A page came."""
    if query != jobs.query:
        return jobs
    rows = page.jobs if place in (Place.START, Place.END) else jobs.rows + page.jobs
    return replace(
        jobs, rows=rows, below=page.more, cursor=page.cursor, loading=jobs.loading - {place}, stale=False, error=None
    )


def failed(jobs: JobList, query: Query, place: Place, error: str) -> JobList:
    """A page could not be had."""
    return replace(jobs, loading=jobs.loading - {place}, error=error) if query == jobs.query else jobs


def doubted(jobs: JobList) -> JobList:
    """Changes may have been missed."""
    return replace(jobs, stale=True)


def told(jobs: JobList, job: Job) -> JobList:
    """A job's record as it stands now."""
    known = [row.id for row in jobs.rows]
    if job.id in known:
        return replace(jobs, rows=tuple(job if row.id == job.id else row for row in jobs.rows))
    return replace(jobs, rows=(job, *jobs.rows))


def gone(jobs: JobList, job_id: str) -> JobList:
    """A job's record was removed."""
    return replace(jobs, rows=tuple(row for row in jobs.rows if row.id != job_id))
