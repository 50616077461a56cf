"""Which jobs the list shows, in which order, by the server's own rules; and the words of the filter line. Pure.

The console must decide for each job that is told whether it belongs on the list, and where, exactly as the server does
(``core/listing.py``, ``core/journal.py``). One thing the server has and a record does not tell is the order in which
jobs were accepted; the time of acceptance stands for it.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.job import ENDED, JobState

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jobdeck_protocol.job import Job

__all__ = [
    "HIGHEST",
    "LOWEST",
    "SORTS",
    "Key",
    "Query",
    "Words",
    "flipped",
    "key_of",
    "matches",
    "parse",
    "still_matches",
]

Key = tuple[float, float]
"""Where a job stands: a list is in ascending order of its jobs' keys, whatever it is sorted by."""

LOWEST: Key = (-math.inf, -math.inf)
HIGHEST: Key = (math.inf, math.inf)

SORTS = ("created", "ended", "state")
"""What the server sorts by; with ``-`` before it the greatest comes first."""

_RANKS: Mapping[JobState, int] = MappingProxyType({state: n for n, state in enumerate(sorted(JobState))})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Which jobs, in which order; as ``Client.jobs`` takes it."""

    states: frozenset[JobState] = frozenset()
    dialect: str | None = None
    label: str | None = None
    text: str | None = None
    sort: str = "-created"

    @property
    def by(self) -> str:
        """What it is sorted by, without the direction."""
        return self.sort.removeprefix("-")

    @property
    def descending(self) -> bool:
        """Whether the greatest comes first."""
        return self.sort.startswith("-")

    @property
    def narrow(self) -> bool:
        """Whether it leaves any job out."""
        return bool(self.states or self.dialect or self.label or self.text)


def flipped(sort: str) -> str:
    """The same sort the other way round."""
    return sort[1:] if sort.startswith("-") else "-" + sort


def matches(query: Query, job: Job) -> bool:
    """Whether a job belongs on the list."""
    if not still_matches(query, job):
        return False
    if query.dialect is not None and job.dialect != query.dialect:
        return False
    if query.label is not None and query.label not in job.labels:
        return False
    return query.text is None or query.text.casefold() in _searched(job)


def still_matches(query: Query, job: Job) -> bool:
    """The same for a job that did before: what it runs and its labels never change.

    An event may tell them cut, so they are not looked at again.
    """
    return (not query.states or job.state in query.states) and (query.by != "ended" or job.finished_us is not None)


def _searched(job: Job) -> str:
    return "\n".join((job.id, job.command, *job.labels)).casefold().encode(errors="replace").decode()


def key_of(query: Query) -> Callable[[Job], Key]:
    """The function that tells where a job stands in the order of the query."""
    sign = -1 if query.descending else 1
    if query.by == "state":
        return lambda job: (sign * _RANKS[job.state], sign * job.created_us)
    if query.by == "ended":
        return lambda job: (sign * (job.finished_us or 0), sign * job.created_us)
    return lambda job: (sign * job.created_us, 0)


# -- the filter line --

_WORD = re.compile(r'(?:(?P<name>state|dialect|label):)(?:"(?P<quoted>[^"]*)"?|(?P<plain>\S*))', re.IGNORECASE)
_GROUPS: Mapping[str, frozenset[JobState]] = MappingProxyType(
    {"active": frozenset(JobState) - ENDED, "ended": ENDED, "all": frozenset()}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """What a filter line says. ``error`` is what is wrong with it, None if it can be asked."""

    query: Query
    error: str | None = None


def parse(line: str, sort: str) -> Words:
    """The query that a filter line asks for.

    ``state:failed,running``, ``dialect:v1`` and ``label:"two words"`` stand anywhere in it; what is left is searched as
    it is. A state may be shortened (``state:f``), and ``active`` and ``ended`` stand for several. A word that is not
    finished yet (``label:``) asks for nothing.
    """
    found: dict[str, str] = {}

    def take(match: re.Match[str]) -> str:
        found[match["name"].lower()] = match["plain"] if match["quoted"] is None else match["quoted"]
        return " "

    text = re.sub(r"\s+", " ", _WORD.sub(take, line)).strip()
    query = Query(dialect=found.get("dialect") or None, label=found.get("label") or None, text=text or None, sort=sort)
    states: set[JobState] = set()
    for word in filter(None, found.get("state", "").lower().split(",")):
        meant = _states(word)
        if meant is None:
            return Words(query=query, error=f"no state begins with {word!r}: {', '.join(JobState)}")
        states |= meant
    return Words(query=replace(query, states=frozenset(states)))


def _states(word: str) -> frozenset[JobState] | None:
    if word in _GROUPS:
        return _GROUPS[word]
    return frozenset(state for state in JobState if state.value.startswith(word)) or None
