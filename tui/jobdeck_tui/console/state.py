"""All that the console knows, as one frozen value, and the one function that changes it: ``apply``.

Messages come from the link to the server and from what the user asks for; widgets are handed the value and draw it.
Nothing here waits, draws or asks the clock, so every story can be told in a test as a list of messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

from jobdeck_protocol.job import JobState
from jobdeck_tui.console import few, rowlist
from jobdeck_tui.console.bloblist import BlobList, BlobQuery
from jobdeck_tui.console.few import Few, FewMessage, Kind
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import Page, Place
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.workerbook import Book

if TYPE_CHECKING:
    from jobdeck_protocol.blob import Blob
    from jobdeck_protocol.job import Job

__all__ = [
    "BlobGone",
    "BlobTold",
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
L = TypeVar("L", bound=rowlist.RowList)

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
class BlobTold:
    """A blob as it stands now."""

    blob: Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobGone:
    """A blob was removed."""

    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryAsked:
    """The user wants other rows on a list, or in another order; which list is told by the query."""

    query: Query | BlobQuery


@dataclass(frozen=True, slots=True, kw_only=True)
class Listened:
    """Changes may have been missed: lists are to be read anew, what they show stands until then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PageAsked:
    """A page of a list is under way."""

    query: Query | BlobQuery
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCame:
    """A page of a list.

    Attributes:
        query: What it was asked for; an answer to a former question is dropped.
        place: Where it goes.
        rows: In the order of the list.
        more: There may be further rows behind it (before it, for ``ABOVE`` and ``END``).
        cursor: Where a filter by text stopped looking, None if it did not.
    """

    query: Query | BlobQuery
    place: Place
    rows: tuple[Any, ...]
    more: bool
    cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFailed:
    """A page could not be had; without ``error`` since the row it was asked after is gone."""

    query: Query | BlobQuery
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
    | BlobTold
    | BlobGone
    | QueryAsked
    | Listened
    | PageAsked
    | PageCame
    | PageFailed
    | FewMessage
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
        blobs: The list of blobs, as far as it is held; nothing of it before somebody looks.
        workers: Those that the server knows.
        contexts: What package jobs run in.
        packages: What they run.
        open: Records of the jobs that panes show, by id; None for one that was removed meanwhile.
        logs: Sizes of the logs that are watched.
        read_only: Nothing may be changed from here, whatever the server would allow.
    """

    url: str
    link: LinkTold | None = None
    server: ServerTold | None = None
    counts: Mapping[JobState, int] = field(default_factory=lambda: MappingProxyType({}))
    list: JobList = field(default_factory=JobList)
    blobs: BlobList = field(default_factory=BlobList)
    workers: Book = field(default_factory=Book)
    contexts: Few[Any] = field(default_factory=Few)
    packages: Few[Any] = field(default_factory=Few)
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

    @property
    def may_administer(self) -> bool:
        """Whether workers may be changed from here."""
        return not self.read_only and (self.server is None or self.server.role == "admin")


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
            jobs = rowlist.told(state.list, job)
            workers, contexts = few.job_told(state.workers, job), few.job_told(state.contexts, job)
            return replace(state, open=known, list=jobs, workers=workers, contexts=contexts)
        case JobGone(id=job_id):
            known = _with(state.open, job_id, None) if job_id in state.open else state.open
            return replace(state, open=known, list=rowlist.gone(state.list, job_id))
        case JobOpened(job=job):
            return replace(state, open=_with(state.open, job.id, job))
        case JobClosed(id=job_id):
            return replace(state, open=_without(state.open, job_id))
        case BlobTold(blob=blob):
            return replace(state, blobs=rowlist.told(state.blobs, blob))
        case BlobGone(hash=blob_hash):
            return replace(state, blobs=rowlist.gone(state.blobs, blob_hash))
        case Listened():
            return replace(state, list=rowlist.doubted(state.list), blobs=rowlist.doubted(state.blobs))
        case QueryAsked() | PageAsked() | PageCame() | PageFailed():
            if isinstance(message.query, BlobQuery):
                return replace(state, blobs=_listed(state.blobs, message))
            return replace(state, list=_listed(state.list, message))
        case _:
            return _few(state, message)


def _few(state: State, message: FewMessage) -> State:
    """What was told of few things goes where those of its kind are."""
    match message.kind:
        case Kind.WORKERS:
            return replace(state, workers=few.after(state.workers, message))
        case Kind.CONTEXTS:
            return replace(state, contexts=few.after(state.contexts, message))
        case Kind.PACKAGES:
            return replace(state, packages=few.after(state.packages, message))


def _listed(rows: L, message: QueryAsked | PageAsked | PageCame | PageFailed) -> L:
    """A list after what was asked of it, or came of that."""
    match message:
        case QueryAsked(query=query):
            return rowlist.queried(rows, query)
        case PageAsked(query=query, place=place):
            return rowlist.asked(rows, query, place)
        case PageCame(query=query, place=place):
            page = Page(rows=message.rows, more=message.more, cursor=message.cursor)
            return rowlist.came(rows, query, place, page)
        case PageFailed(query=query, place=place, error=error):
            return rowlist.failed(rows, query, place, error)


def _with(values: Mapping[K, V], key: K, value: V) -> Mapping[K, V]:
    return MappingProxyType({**values, key: value})


def _without(values: Mapping[K, V], key: K) -> Mapping[K, V]:
    return MappingProxyType({each: value for each, value in values.items() if each != key})
