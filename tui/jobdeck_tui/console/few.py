"""Things of which a server has few: all of them are held, as far as the console was told. Pure.

Workers, contexts and packages are such. Events tell what changed for longer than a moment; the list is asked for again
and again while somebody looks, for what changes all the time. An answer may be older than an event that came while it
was under way: what was told meanwhile is told again on top of it. With the list goes the one that is looked at: its
jobs.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job

__all__ = [
    "Few",
    "FewAsked",
    "FewCame",
    "FewFailed",
    "FewGone",
    "FewJobsCame",
    "FewMessage",
    "FewTold",
    "Kind",
    "Thing",
    "after",
    "job_told",
]


class Kind(StrEnum):
    """What there are few of; the value is how ``State`` calls them."""

    WORKERS = "workers"
    CONTEXTS = "contexts"
    PACKAGES = "packages"


class Thing(Protocol):
    """One of them."""

    @property
    def id(self) -> str:
        """By which it is known; no two of a kind have the same."""


T = TypeVar("T", bound=Thing)
F = TypeVar("F", bound="Few[Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class FewAsked:
    """The list is under way."""

    kind: Kind


@dataclass(frozen=True, slots=True, kw_only=True)
class FewCame:
    """All of them, in the server's order."""

    kind: Kind
    items: tuple[Any, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class FewFailed:
    """They could not be had."""

    kind: Kind
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FewTold:
    """One as it stands now."""

    kind: Kind
    item: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class FewGone:
    """One was removed, or forgotten."""

    kind: Kind
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FewJobsCame:
    """Jobs of the one that is looked at which have not ended; ``more`` if there are others."""

    kind: Kind
    id: str
    jobs: tuple[Job, ...]
    more: bool = False


FewMessage = FewAsked | FewCame | FewFailed | FewTold | FewGone | FewJobsCame


@dataclass(frozen=True, slots=True, kw_only=True)
class Few(Generic[T]):
    """See the top of this file.

    Attributes:
        items: By id, in the server's order.
        known: An answer has come.
        error: Why the last one could not be had.
        jobs: Of the one that is looked at, None before the first answer.
        fresh: What was told since the list was asked for, None for what was removed.
    """

    items: Mapping[str, T] = field(default_factory=lambda: MappingProxyType({}))
    known: bool = False
    error: str | None = None
    jobs: FewJobsCame | None = None
    fresh: Mapping[str, T | None] = field(default_factory=lambda: MappingProxyType({}))


def after(few: F, message: FewMessage) -> F:
    """What is known after what was told."""
    match message:
        case FewAsked():
            return replace(few, fresh=MappingProxyType({}))
        case FewCame(items=items):
            known = {item.id: item for item in items}
            for item_id, item in few.fresh.items():
                _take(known, item_id, item)
            return replace(few, items=MappingProxyType(known), known=True, error=None)
        case FewFailed(error=error):
            return replace(few, error=error)
        case FewTold(item=item):
            return _changed(few, item.id, item)
        case FewGone(id=item_id):
            return _changed(few, item_id, None)
        case FewJobsCame():
            return replace(few, jobs=message)


def job_told(few: F, job: Job) -> F:
    """A job as it stands now; one that has ended is seen until the jobs are read anew."""
    jobs = few.jobs
    if jobs is None or all(each.id != job.id for each in jobs.jobs):
        return few
    return replace(few, jobs=replace(jobs, jobs=tuple(job if each.id == job.id else each for each in jobs.jobs)))


def _changed(few: F, item_id: str, item: Any) -> F:  # noqa: ANN401  # of whatever kind
    known = dict(few.items)
    _take(known, item_id, item)
    fresh = {**few.fresh, item_id: item}
    return replace(few, items=MappingProxyType(known), fresh=MappingProxyType(fresh))


def _take(known: dict[str, Any], item_id: str, item: Any) -> None:  # noqa: ANN401  # of whatever kind
    if item is None:
        known.pop(item_id, None)
    else:
        known[item_id] = item
