"""Which jobs the list shows, in which order, by the server's own rules; and the words of the filter line. Pure.

The console must decide for each job that is told whether it belongs on the list, and where, exactly as the server does
(``core/listing.py``, ``core/journal.py``). One thing the server has and a record does not tell is the order in which
jobs were accepted; the time of acceptance stands for it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Generic, TypeVar

from jobdeck_protocol.job import ENDED, JobState
from jobdeck_tui.console.filterline import split
from jobdeck_tui.console.pages import Sorted
from jobdeck_tui.console.workerbook import NOBODY

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_protocol.job import Job
    from jobdeck_tui.console.pages import Key
    from jobdeck_tui.console.workerbook import Book

__all__ = ["SORTS", "Query", "Words", "parse"]

Q = TypeVar("Q")

SORTS = ("created", "ended", "state")
"""What the server sorts by; with ``-`` before it the greatest comes first."""

_RANKS: Mapping[JobState, int] = MappingProxyType({state: n for n, state in enumerate(sorted(JobState))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query(Sorted):
    """Which jobs, in which order; as ``Client.jobs`` takes it.

    Attributes:
        places: How jobs of ``worker`` tell their ``Job.place``; empty without one.
    """

    states: frozenset[JobState] = frozenset()
    dialect: str | None = None
    label: str | None = None
    worker: str | None = None
    places: frozenset[str] = frozenset()
    context: str | None = None
    text: str | None = None
    sort: str = "-created"

    @property
    def narrow(self) -> bool:
        """Whether it leaves any job out."""
        return bool(self.states or self.dialect or self.label or self.worker or self.context or self.text)

    def matches(self, job: Job) -> bool:
        """Whether a job belongs on the list."""
        if not self.still_matches(job):
            return False
        if self.dialect is not None and job.dialect != self.dialect:
            return False
        if self.label is not None and self.label not in job.labels:
            return False
        if self.context is not None and job.context != self.context:
            return False
        return self.text is None or self.text.casefold() in _searched(job)

    def still_matches(self, job: Job) -> bool:
        """The same for a job that did before: what it runs and its labels never change.

        An event may tell them cut, so they are not looked at again.
        """
        return (
            (not self.states or job.state in self.states)
            and (not self.places or job.place in self.places)
            and (self.by != "ended" or job.finished_us is not None)
        )

    def key_of(self) -> Callable[[Job], Key]:
        """The function that tells where a job stands in this order."""
        sign = -1 if self.descending else 1
        if self.by == "state":
            return lambda job: (sign * _RANKS[job.state], sign * job.created_us)
        if self.by == "ended":
            return lambda job: (sign * (job.finished_us or 0), sign * job.created_us)
        return lambda job: (sign * job.created_us, 0)


def _searched(job: Job) -> str:
    told = (job.id, job.command, *job.labels, *job.packages, *filter(None, (job.context,)))
    return "\n".join(told).casefold().encode(errors="replace").decode()


# -- the filter line --

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_GROUPS: Mapping[str, frozenset[JobState]] = MappingProxyType(
    {"active": frozenset(JobState) - ENDED, "ended": ENDED, "all": frozenset()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words(Generic[Q]):
    """What a filter line says. ``error`` is what is wrong with it, None if it can be asked."""

    query: Q
    error: str | None = None


def parse(line: str, sort: str, book: Book = NOBODY) -> Words[Query]:
    """The query that a filter line asks for.

    ``state:failed,running``, ``dialect:v1``, ``label:"two words"``, ``context:main`` and ``worker:far`` stand anywhere
    in it; what is left is searched as it is. A state may be shortened (``state:f``), and so may the name of a worker of
    the ``book``; ``active`` and ``ended`` stand for several states. A word that is not finished yet (``label:``) asks
    for nothing.
    """
    found, text = split(line, "state", "dialect", "label", "context", "worker")
    query = Query(
        dialect=found.get("dialect") or None,
        label=found.get("label") or None,
        context=found.get("context") or None,
        text=text,
        sort=sort,
    )
    states: set[JobState] = set()
    for word in filter(None, found.get("state", "").lower().split(",")):
        meant = _states(word)
        if meant is None:
            return Words(query=query, error=f"no state begins with {word!r}: {', '.join(JobState)}")
        states |= meant
    query = replace(query, states=frozenset(states))
    return _with_worker(query, found["worker"], book) if found.get("worker") else Words(query=query)


def _with_worker(query: Query, word: str, book: Book) -> Words[Query]:
    meant = book.called(word)
    if len(meant) == 1:
        return Words(query=replace(query, worker=meant[0].id, places=book.places(meant[0].id)))
    if meant:
        return Words(query=query, error=f"several workers are meant by {word!r}")
    if _ID.fullmatch(word):  # of one that the server does not know any more
        return Words(query=replace(query, worker=word, places=frozenset({word})))
    return Words(query=query, error=f"no worker is called {word!r}")


def _states(word: str) -> frozenset[JobState] | None:
    if word in _GROUPS:
        return _GROUPS[word]
    return frozenset(state for state in JobState if state.value.startswith(word)) or None
