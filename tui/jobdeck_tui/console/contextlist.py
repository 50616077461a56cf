"""Which contexts the list shows, in which order, and the words of its filter line. Pure.

All are held (``few``), so filter and order are the console's own, and the list is always whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobdeck_protocol.contextinfo import ContextInfo, ContextState
from jobdeck_tui.console import fewlist
from jobdeck_tui.console.fewlist import FewQuery
from jobdeck_tui.console.filterline import meant, split
from jobdeck_tui.console.query import Words
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from jobdeck_tui.console.few import Few

__all__ = ["CONTEXT_SORTS", "ContextList", "ContextQuery", "listed", "parse"]

CONTEXT_SORTS = ("name", "state", "used", "created", "memory")

_RANKS = {
    ContextState.ERROR: 0,  # what needs care comes first
    ContextState.RESTARTING: 1,
    ContextState.STARTING: 2,
    ContextState.STOPPING: 3,
    ContextState.RUNNING: 4,
    ContextState.KILLED: 5,
    ContextState.FINISHED: 6,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextQuery(FewQuery):
    """Which contexts, in which order.

    Attributes:
        adhoc: Those of one job alone (True), or those that somebody made (False); None for both.
    """

    states: frozenset[str] = frozenset()
    kind: str | None = None
    adhoc: bool | None = None
    text: str | None = None
    sort: str = "name"

    @property
    def narrow(self) -> bool:
        """Whether it leaves any context out."""
        return bool(self.states or self.kind or self.text) or self.adhoc is not None

    def matches(self, context: ContextInfo) -> bool:
        """Whether a context belongs on the list."""
        return (
            (not self.states or context.state.value in self.states)
            and (self.kind is None or context.kind == self.kind)
            and (self.adhoc is None or context.adhoc == self.adhoc)
            and (self.text is None or self.text.casefold() in _searched(context))
        )

    def number(self, context: ContextInfo) -> float:
        """What it is sorted by, as far as that is a number."""
        match self.by:
            case "state":
                return _RANKS[context.state]
            case "used":
                return (context.running_count + context.queued_count) / max(1, context.slots_count)
            case "created":
                return context.created_us
            case "memory":
                return context.memory_bytes or 0
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextList(RowList):
    """A window that holds all contexts that are wanted."""

    query: ContextQuery = field(default_factory=ContextQuery)
    rows: tuple[ContextInfo, ...] = ()


def listed(contexts: Few[ContextInfo], query: ContextQuery) -> ContextList:
    """The list that a query makes of what is known."""
    return fewlist.listed(ContextList, contexts, query)


def parse(line: str, sort: str) -> Words[ContextQuery]:
    """The query that a filter line asks for.

    ``state:running,stopping``, ``kind:spark`` and ``is:adhoc`` (or ``is:made``) stand anywhere in it; what is left is
    searched in names, ids and masters. A state may be shortened; a word that is not finished yet asks for nothing.
    """
    found, text = split(line, "state", "kind", "is")
    states, wrong = meant(found.get("state", ""), ContextState)
    error = None if wrong is None else f"no state begins with {wrong!r}: {', '.join(ContextState)}"
    which = found.get("is", "").lower()
    if which not in ("", "adhoc", "made"):
        error = f"is:adhoc or is:made, not {which!r}"
    query = ContextQuery(
        states=states,
        kind=found.get("kind") or None,
        adhoc=None if not which else which == "adhoc",
        text=text,
        sort=sort,
    )
    return Words(query=query, error=error)


def _searched(context: ContextInfo) -> str:
    return "\n".join(filter(None, (context.id, context.name, context.master, context.application))).casefold()
