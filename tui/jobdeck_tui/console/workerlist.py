"""Which workers the list shows, in which order, and the words of its filter line. Pure.

All are held (``workerbook``), so filter and order are the console's own, and the list is always whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_tui.console import fewlist
from jobdeck_tui.console.fewlist import FewQuery
from jobdeck_tui.console.filterline import meant, split
from jobdeck_tui.console.query import Words
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from jobdeck_tui.console.few import Few

__all__ = ["WORKER_SORTS", "WorkerList", "WorkerQuery", "listed", "parse"]

WORKER_SORTS = ("name", "state", "used", "load", "seen")

_RANKS = {
    WorkerState.UNREACHABLE: 0,  # what needs care comes first
    WorkerState.DRAINING: 1,
    WorkerState.ONLINE: 2,
    WorkerState.OFFLINE: 3,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerQuery(FewQuery):
    """Which workers, in which order."""

    states: frozenset[WorkerState] = frozenset()
    label: str | None = None
    name: str | None = None
    text: str | None = None
    sort: str = "name"

    @property
    def narrow(self) -> bool:
        """Whether it leaves any worker out."""
        return bool(self.states or self.label or self.name or self.text)

    def matches(self, worker: WorkerInfo) -> bool:
        """Whether a worker belongs on the list."""
        return (
            (not self.states or worker.state in self.states)
            and (self.label is None or self.label in worker.labels)
            and (self.name is None or worker.name == self.name)
            and (self.text is None or self.text.casefold() in _searched(worker))
        )

    def number(self, worker: WorkerInfo) -> float:
        """What it is sorted by, as far as that is a number."""
        match self.by:
            case "state":
                return _RANKS[worker.state]
            case "used":
                return worker.running_count / max(1, worker.slots_count)
            case "load":
                return -1.0 if worker.load is None else worker.load
            case "seen":
                return worker.seen_us
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerList(RowList):
    """A window that holds all workers that are wanted."""

    query: WorkerQuery = field(default_factory=WorkerQuery)
    rows: tuple[WorkerInfo, ...] = ()


def listed(known: Few[WorkerInfo], query: WorkerQuery) -> WorkerList:
    """The list that a query makes of what is known."""
    return fewlist.listed(WorkerList, known, query)


def _searched(worker: WorkerInfo) -> str:
    return "\n".join((worker.id, worker.name, worker.address, worker.software, *worker.labels)).casefold()


def parse(line: str, sort: str) -> Words[WorkerQuery]:
    """The query that a filter line asks for.

    ``state:online,draining``, ``label:gpu`` and ``name:"two words"`` stand anywhere in it; what is left is searched in
    names, labels, addresses and ids. A state may be shortened; a word that is not finished yet asks for nothing.
    """
    found, text = split(line, "state", "label", "name")
    states, wrong = meant(found.get("state", ""), WorkerState)
    query = WorkerQuery(
        states=frozenset(map(WorkerState, states)),
        label=found.get("label") or None,
        name=found.get("name") or None,
        text=text,
        sort=sort,
    )
    error = None if wrong is None else f"no state begins with {wrong!r}: {', '.join(WorkerState)}"
    return Words(query=query, error=error)
