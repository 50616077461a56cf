"""All that the console knows, as one frozen value, and the one function that changes it: ``apply``.

Messages come from the link to the server and from what the user asks for; widgets are handed the value and draw it.
Nothing here waits, draws or asks the clock, so every story can be told in a test as a list of messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from jobdeck_protocol.job import JobState
from jobdeck_tui.console import joblist
from jobdeck_tui.console.joblist import JobList, Place, Query

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job

__all__ = [
    "CountsTold",
    "GrowthTold",
    "JobClosed",
    "JobGone",
    "JobOpened",
    "JobTold",
    "LinkTold",
    "Listened",
    "LogForgotten",
    "LogKey",
    "LogSize",
    "Message",
    "PageAsked",
    "PageCame",
    "PageFailed",
    "QueryAsked",
    "ServerTold",
    "State",
    "apply",
]

K = TypeVar("K")
V = TypeVar("V")

LogKey = tuple[str, str | None]
"""A log: a job's id, and ``stdout``, ``stderr`` or None for both in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkTold:
    """The link to the server went up or down.

    Attributes:
        up: What is shown is live.
        at_us: When that was learnt, microseconds UTC.
        error: Why it is down.
        retry_s: In how many seconds it is tried again.
    """

    up: bool
    at_us: int
    error: str | None = None
    retry_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerTold:
    """What ``GET /v1/info`` told. ``role`` is ours: ``view``, ``run`` or ``admin``."""

    version: str
    role: str
    store: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CountsTold:
    """How many jobs stand in each state."""

    counts: Mapping[JobState, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSize:
    """How far a log has grown.

    Attributes:
        size_bytes: In all.
        line_count: Lines as far as ``indexed_bytes``, an unfinished last one counted.
        indexed_bytes: What of it has been looked through for lines.
        ended: It grows no more.
    """

    size_bytes: int
    line_count: int
    indexed_bytes: int
    ended: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class GrowthTold:
    """A log that is watched has grown."""

    key: LogKey
    size: LogSize


@dataclass(frozen=True, slots=True, kw_only=True)
class LogForgotten:
    """A log is watched no more: its size would soon be an old one."""

    key: LogKey


@dataclass(frozen=True, slots=True, kw_only=True)
class JobTold:
    """A job's record as it stands now."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobGone:
    """A job's record was removed."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobOpened:
    """A pane shows this job: its record is kept up to date, on the list or not."""

    job: Job


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClosed:
    """No pane shows it any more."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAsked:
    """The user wants other jobs on the list, or in another order."""

    query: Query


@dataclass(frozen=True, slots=True, kw_only=True)
class Listened:
    """Changes may have been missed: the list is to be read anew, what it shows stands until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """A page of the list is under way."""

    query: Query
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCame:
    """A page of the list.

    Attributes:
        query: What it was asked for; an answer to a former question is dropped.
        place: Where it goes.
        jobs: In the order of the list.
        more: There may be further jobs behind it (before it, for ``ABOVE`` and ``END``).
        cursor: Where a filter by text stopped looking, None if it did not.
    """

    query: Query
    place: Place
    jobs: tuple[Job, ...]
    more: bool
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFailed:
    """A page could not be had; without ``error`` since the job it was asked after is gone."""

    query: Query
    place: Place
    error: str | None


Message = (
    LinkTold
    | ServerTold
    | CountsTold
    | GrowthTold
    | LogForgotten
    | JobTold
    | JobGone
    | JobOpened
    | JobClosed
    | QueryAsked
    | Listened
    | PageAsked
    | PageCame
    | PageFailed
)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """See the top of this file.

    Attributes:
        url: Of the server.
        link: How the link stands, None before the first word.
        server: What it told of itself, None before.
        counts: Jobs by state.
        list: The list of jobs, as far as it is held.
        open: Records of the jobs that panes show, by id; None for one that was removed meanwhile.
        logs: Sizes of the logs that are watched.
        read_only: Nothing may be changed from here, whatever the server would allow.
    """

    url: str
    link: LinkTold | None = None
    server: ServerTold | None = None
    counts: Mapping[JobState, int] = field(default_factory=lambda: MappingProxyType({}))
    list: JobList = field(default_factory=JobList)
    open: Mapping[str, Job | None] = field(default_factory=lambda: MappingProxyType({}))
    logs: Mapping[LogKey, LogSize] = field(default_factory=lambda: MappingProxyType({}))
    read_only: bool = False

    @property
    def live(self) -> bool:
        """Whether what is shown is how things are now."""
        return self.link is not None and self.link.up

    @property
    def may_change(self) -> bool:
        """Whether jobs may be started and stopped from here."""
        return not self.read_only and (self.server is None or self.server.role in ("run", "admin"))


def apply(state: State, message: Message) -> State:
    """The state after a message."""
    match message:
        case LinkTold():
            # The moment counts from which on it has been so, not that of the latest try.
            since = state.link.at_us if state.link is not None and state.link.up == message.up else message.at_us
            return replace(state, link=replace(message, at_us=since))
        case ServerTold():
            return replace(state, server=message)
        case CountsTold(counts=counts):
            return replace(state, counts=counts)
        case GrowthTold(key=key, size=size):
            return replace(state, logs=_with(state.logs, key, size))
        case LogForgotten(key=key):
            return replace(state, logs=_without(state.logs, key))
        case JobTold(job=job):
            known = _with(state.open, job.id, job) if job.id in state.open else state.open
            return replace(state, open=known, list=joblist.told(state.list, job))
        case JobGone(id=job_id):
            known = _with(state.open, job_id, None) if job_id in state.open else state.open
            return replace(state, open=known, list=joblist.gone(state.list, job_id))
        case JobOpened(job=job):
            return replace(state, open=_with(state.open, job.id, job))
        case JobClosed(id=job_id):
            return replace(state, open=_without(state.open, job_id))
        case QueryAsked(query=query):
            return replace(state, list=joblist.queried(state.list, query))
        case Listened():
            return replace(state, list=joblist.doubted(state.list))
        case PageAsked(query=query, place=place):
            return replace(state, list=joblist.asked(state.list, query, place))
        case PageCame():
            page = joblist.Page(jobs=message.jobs, more=message.more, cursor=message.cursor)
            return replace(state, list=joblist.came(state.list, message.query, message.place, page))
        case PageFailed(query=query, place=place, error=error):
            return replace(state, list=joblist.failed(state.list, query, place, error))


def _with(values: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**values, key: value})


def _without(values: Mapping[K, V], key: K) -> Mapping[K, V]:
    return MappingProxyType({each: value for each, value in values.items() if each != key})
