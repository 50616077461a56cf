"""Files in folders, as the rows of a table: which are seen, since folders and artifacts are folded. Pure.

An artifact is a list of paths in no order. They are put into folders as they come, page by page; the rows are made anew
when they are asked for, and cost what is unfolded. Names are foreign, and any text is one: empty parts, dots and very
deep paths are shown as they are, and mean nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from jobdeck_tui.console.pages import HIGHEST, LOWEST
from jobdeck_tui.console.rowlist import RowList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from jobdeck_client import BlobEntry
    from jobdeck_tui.console.pages import Key

__all__ = ["ARTIFACT", "FILE", "FOLDER", "VALUE", "Branch", "Tree", "TreeList", "TreeQuery", "TreeRow"]

FOLDER, FILE, ARTIFACT, VALUE = "folder", "file", "artifact", "value"
_NUMBERS = re.compile(r"([0-9]+)")
_DEPTH_LIMIT_COUNT = 60
"""What is deeper stands in one name."""


@dataclass(slots=True, kw_only=True, eq=False)
class Branch:
    """A file, a folder, an artifact or a value.

    Attributes:
        id: Of its row.
        name: As it is written.
        kind: One of the above.
        blob: Hash of the blob that it is, or in which it is.
        path: Within that blob; None for the blob itself.
        record: Hash of the record that a file of an artifact links to, None if it is a plain content.
        size_bytes: None where nobody knows.
        value: Of a result that is no blob.
        file_count: Files below it that are here.
        told_count: How many it was said to have.
        open: What is below it is shown.
        complete: All that is below it is here.
    """

    id: str
    name: str
    kind: str
    blob: str = ""
    path: str | None = None
    record: str | None = None
    size_bytes: int | None = None
    value: Any = None
    file_count: int = 0
    told_count: int = 0
    open: bool = False
    complete: bool = True
    below: dict[tuple[bool, str], Branch] = field(default_factory=dict)
    order: list[Branch] | None = None

    @property
    def folds(self) -> bool:
        """It can be unfolded."""
        return self.kind in (FOLDER, ARTIFACT)

    def sorted(self) -> list[Branch]:
        """What is below it: folders first, each in the order of names."""
        if self.order is None:
            self.order = [self.below[key] for key in sorted(self.below, key=_place)]
        return self.order


def _place(key: tuple[bool, str]) -> tuple[bool, list[str | tuple[int, str]], str]:
    """Where a name stands among its neighbours: numbers in it count as such, so that 10 comes after 9."""
    parts: list[str | tuple[int, str]] = list(_NUMBERS.split(key[1]))
    for n in range(1, len(parts), 2):
        digits = str(parts[n]).lstrip("0")
        parts[n] = (len(digits), digits)  # as text: a number may have any number of digits
    return key[0], parts, key[1]


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A row as it is drawn: two that are equal look the same."""

    id: str
    depth: int
    name: str
    kind: str
    size_bytes: int | None
    file_count: int
    open: bool
    up: str | None

    @property
    def folds(self) -> bool:
        """It can be unfolded."""
        return self.kind in (FOLDER, ARTIFACT)


class Tree:
    """See the top of this file.

    Attributes:
        roots: The uppermost rows, in their order.
    """

    def __init__(self, roots: Iterable[Branch] = ()) -> None:
        self.roots = list(roots)
        self._by_id: dict[str, Branch] = {root.id: root for root in self.roots}

    def get(self, row_id: str) -> Branch | None:
        """The branch of a row."""
        return self._by_id.get(row_id)

    def set_roots(self, roots: Iterable[Branch]) -> None:
        """Other roots; those whose id was there before stay as they are, with all below them."""
        self.roots = [self._by_id.get(root.id, root) for root in roots]
        self._by_id |= {root.id: root for root in self.roots}

    def add(self, root: Branch, entries: Iterable[BlobEntry]) -> None:
        """Files of an artifact came."""
        for entry in entries:
            self._add(root, entry)

    def _add(self, root: Branch, entry: BlobEntry) -> None:
        *folders, name = entry.path.split("/", _DEPTH_LIMIT_COUNT)
        at, chain = root, [root]
        for folder in folders:
            key = (False, folder)
            found = at.below.get(key)
            if found is None:
                found = Branch(id=f"{at.id}\0{folder}/", name=folder, kind=FOLDER, blob=root.blob, size_bytes=0)
                self._take(at, key, found)
            at = found
            chain.append(at)
        record = entry.hash if entry.type == "softLink" else None
        self._take(
            at,
            (True, name),
            Branch(
                id=f"{at.id}\0{name}",
                name=name,
                kind=FILE,
                blob=root.blob,
                path=entry.path,
                record=record,
                size_bytes=entry.size_bytes,
            ),
        )
        for each in chain:
            each.file_count += 1
            if each.kind == FOLDER:
                each.size_bytes = (each.size_bytes or 0) + (entry.size_bytes or 0)

    def _take(self, at: Branch, key: tuple[bool, str], branch: Branch) -> None:
        at.below[key] = branch
        at.order = None
        self._by_id[branch.id] = branch

    def rows(self, *, inside: Branch | None = None) -> tuple[TreeRow, ...]:
        """What is seen; with ``inside`` what is below that one, and not the one itself."""
        found: list[TreeRow] = []
        top = self.roots if inside is None else inside.sorted()
        left: list[tuple[Branch, int, str | None]] = [(each, 0, None) for each in reversed(top)]
        while left:
            branch, depth, up = left.pop()
            found.append(_row(branch, depth, up))
            if branch.open:
                left += [(each, depth + 1, branch.id) for each in reversed(branch.sorted())]
        return tuple(found)


def _row(branch: Branch, depth: int, up: str | None) -> TreeRow:
    return TreeRow(
        branch.id,
        depth,
        branch.name,
        branch.kind,
        branch.size_bytes,
        max(branch.file_count, branch.told_count),
        branch.open,
        up,
    )


# -- as a list for a table --


@dataclass(frozen=True, slots=True)
class TreeQuery:
    """A tree shows all of its rows, in their order."""

    sort: str = "created"
    by: str = "created"
    descending: bool = False
    text: str | None = None
    narrow: bool = False

    def matches(self, row: TreeRow, /) -> bool:
        """Each does."""
        del row
        return True

    def still_matches(self, row: TreeRow, /) -> bool:
        """Each does."""
        del row
        return True

    def key_of(self) -> Callable[[TreeRow], Key]:
        """Rows do not move by themselves."""
        return lambda _: (0.0, 0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeList(RowList):
    """The rows of a tree; all of them are held."""

    query: TreeQuery = field(default_factory=TreeQuery)
    rows: tuple[TreeRow, ...] = ()
    first: Key = LOWEST
    last: Key = HIGHEST
    known: bool = True
