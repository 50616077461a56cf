"""Which packages the list shows, in which order, and the words of its filter line. Pure.

All are held (``few``), so filter and order are the console's own, and the list is always whole.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from jobdeck_protocol.packageinfo import KINDS, PackageInfo
from jobdeck_tui.console import fewlist
from jobdeck_tui.console.fewlist import FewQuery
from jobdeck_tui.console.filterline import meant, split
from jobdeck_tui.console.query import Words
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from jobdeck_tui.console.few import Few

__all__ = ["PackageList", "PackageQuery", "listed", "parse"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageQuery(FewQuery):
    """Which packages, in which order: by ``name``, ``size``, ``uploaded`` or ``versions``."""

    kinds: frozenset[str] = frozenset()
    name: str | None = None
    text: str | None = None
    sort: str = "name"

    @property
    def narrow(self) -> bool:
        """Whether it leaves any package out."""
        return bool(self.kinds or self.name or self.text)

    def matches(self, package: PackageInfo) -> bool:
        """Whether a package belongs on the list."""
        return (
            (not self.kinds or package.kind in self.kinds)
            and (self.name is None or package.name == self.name)
            and (self.text is None or self.text.casefold() in _searched(package))
        )

    def number(self, package: PackageInfo) -> float:
        """What it is sorted by, as far as that is a number."""
        match self.by:
            case "size":
                return package.size_bytes
            case "uploaded":
                return package.uploaded_us
            case "versions":
                return package.versions_count
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageList(RowList):
    """A window that holds all packages that are wanted."""

    query: PackageQuery = field(default_factory=PackageQuery)
    rows: tuple[PackageInfo, ...] = ()


def listed(known: Few[PackageInfo], query: PackageQuery) -> PackageList:
    """The list that a query makes of what is known."""
    return fewlist.listed(PackageList, known, query)


def _searched(package: PackageInfo) -> str:
    return "\n".join((package.name, package.kind, package.hash, package.content)).casefold()


def parse(line: str, sort: str) -> Words[PackageQuery]:
    """The query that a filter line asks for.

    ``kind:wheel,egg`` and ``name:"two words"`` stand anywhere in it; what is left is searched in names, kinds and
    hashes. A kind may be shortened; a word that is not finished yet asks for nothing.
    """
    found, text = split(line, "kind", "name")
    kinds, wrong = meant(found.get("kind", ""), KINDS)
    query = PackageQuery(kinds=kinds, name=found.get("name") or None, text=text, sort=sort)
    error = None if wrong is None else f"no kind begins with {wrong!r}: {', '.join(KINDS)}"
    return Words(query=query, error=error)
