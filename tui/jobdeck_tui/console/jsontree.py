"""JSON as the rows of a tree that folds. Pure.

``jsonscan`` has the values; here is which of them are seen, and what stands in a row. The values seen are an array of
their numbers, in order: so unfolding puts a run of numbers in, folding cuts one out, and the row of a value is one
bisection away, however many there are. Rows themselves are made when they are drawn.

Names and strings are cut where no terminal is as wide, numbers stand there as they are written.
"""

from __future__ import annotations

import json
import re
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, overload

from jobdeck_tui.console.jsonscan import ARRAY, NONE, OBJECT, STRING, JsonScan
from jobdeck_tui.console.pages import HIGHEST, LOWEST
from jobdeck_tui.console.rowlist import RowList
from jobdeck_tui.console.settings import JSON_STEPS_COUNT, JSON_TEXT_LIMIT_BYTES
from jobdeck_tui.console.tree import TreeQuery

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_tui.console.finder import Finder
    from jobdeck_tui.console.pages import Key

__all__ = ["ROOT", "JsonList", "JsonRow", "JsonRows", "JsonTree", "text_of"]

ROOT = "$"
_SCALARS = {2: "string", 3: "number", 4: "word", 5: "word", 6: "word"}
_WHOLE = re.compile(rb"(?:[^\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*+", re.DOTALL)
_PLAIN_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BLANKS = re.compile(r"\s+")


@dataclass(frozen=True, slots=True)
class JsonRow:
    """A row as it is drawn: two that are equal look the same.

    Attributes:
        id: The number of its value.
        depth: In how many it is.
        label: Its name, or its number in an array; foreign. Empty for the outermost one.
        named: The label is a name.
        kind: ``object``, ``array``, ``string``, ``number`` or ``word``.
        text: Its value; of an object or array the beginning of what is in it.
        count: Of what is directly in it, for objects and arrays.
        more: It is not over: there is more in it than came.
        cut: ``text`` is not all of it.
        open: What is in it is seen.
        folds: It has something in it.
        up: The row of what it is in.
    """

    id: str
    depth: int
    label: str
    named: bool
    kind: str
    text: str
    count: int
    more: bool
    cut: bool
    open: bool
    folds: bool
    up: str | None


class JsonTree:
    """See the top of this file.

    Attributes:
        scan: The values.
    """

    def __init__(self, scan: JsonScan | None = None) -> None:
        self.scan = scan or JsonScan()
        self._open = bytearray()
        self._seen = array("I")
        self._taken = 0  # values that were looked at for whether they are seen
        self.take()

    # -- what comes --

    def take(self) -> None:
        """Values came: those in what is unfolded and seen are seen."""
        scan, start = self.scan, self._taken
        self._taken = len(scan)
        if start == self._taken:
            return
        self._open += bytes(self._taken - start)
        if start == 0:
            self._open[0] = 1
            self._seen.append(0)
            start = 1
        at = start
        while at < self._taken:
            at = self._take(at)

    def _take(self, at: int) -> int:
        """One that came, if it is seen; the next one that may be."""
        up = self.scan.ups[at]
        if not self._is_seen(up):  # the first one that came, in something that was not over
            return max(self.scan.next_of(self._hidden_in(at)), at + 1)
        if not self._open[up]:
            return max(self.scan.next_of(up), at + 1)
        self._seen.append(at)
        return at + 1

    def _hidden_in(self, value: int) -> int:
        """The outermost folded one that a value is in."""
        found = up = self.scan.ups[value]
        while up != NONE:
            found = found if self._open[up] else up
            up = self.scan.ups[up]
        return found

    def _is_seen(self, value: int) -> bool:
        at = bisect_left(self._seen, value)
        return at < len(self._seen) and self._seen[at] == value

    # -- folding --

    def row_of(self, value: int) -> int | None:
        """The row in which a value is seen; None if it is in something that is folded."""
        at = bisect_left(self._seen, value)
        return at if at < len(self._seen) and self._seen[at] == value else None

    def fold(self, value: int, *, on: bool) -> None:
        """Unfold (``on``) or fold what has something in it."""
        if bool(self._open[value]) != on and self.scan.kinds[value] in (OBJECT, ARRAY):
            self._open[value] = on
            self._show(value)

    def fold_all(self, value: int, *, on: bool) -> None:
        """The same for it and all that is in it; folding leaves the outermost one as it is."""
        end = self.scan.next_of(value)
        self._open[value:end] = bytes([on]) * (end - value)
        if not on and value == 0:
            self._open[0] = 1
        self._show(value)

    def reveal(self, value: int) -> None:
        """Unfold all that a value is in."""
        outermost = None
        up = self.scan.ups[value]
        while up != NONE:
            if not self._open[up]:
                self._open[up] = 1
                outermost = up
            up = self.scan.ups[up]
        if outermost is not None:
            self._show(outermost)

    def _show(self, value: int) -> None:
        """Have the rows below a value be those that are to be seen, if it is seen itself."""
        at = self.row_of(value)
        if at is None:
            return
        end = bisect_left(self._seen, self.scan.next_of(value))
        self._seen[at + 1 : end] = self._inside(value)

    def _inside(self, value: int) -> array[int]:
        """What is to be seen of what is in a value."""
        found, nexts, kinds, shown = array("I"), self.scan.nexts, self.scan.kinds, self._open
        if not shown[value]:
            return found
        at, end = value + 1, self.scan.next_of(value)
        while at < end:
            found.append(at)
            at = at + 1 if kinds[at] > ARRAY or shown[at] else nexts[at] or end
        return found

    # -- rows --

    def rows(self) -> JsonRows:
        """What is seen now; what is folded later leaves these as they are."""
        return JsonRows(self, self._seen[:])

    @property
    def row_count(self) -> int:
        """How many are seen."""
        return len(self._seen)

    def row(self, value: int) -> JsonRow:
        """A value as it is drawn."""
        scan = self.scan
        kind, up = scan.kinds[value], scan.ups[value]
        inner = kind in (OBJECT, ARRAY)
        text, cut = (self._brief(value), False) if inner else text_of(self._bytes(value), string=kind == STRING)
        named = up != NONE and scan.kinds[up] == OBJECT
        return JsonRow(
            id=str(value),
            depth=scan.depths[value],
            label=self.label(value),
            named=named,
            kind=("object", "array")[kind] if inner else _SCALARS[kind],
            text=text,
            count=scan.counts[value],
            more=not scan.ends[value],
            cut=cut,
            open=bool(self._open[value]) and scan.counts[value] > 0,
            folds=inner and scan.counts[value] > 0,
            up=None if up == NONE else str(up),
        )

    def label(self, value: int) -> str:
        """Its name, or its number in an array, as it is shown; foreign."""
        scan = self.scan
        up = scan.ups[value]
        if up == NONE:
            return ""
        if scan.kinds[up] == ARRAY:
            return str(scan.places[value])
        return text_of(self._name(value), string=True)[0]

    def _bytes(self, value: int) -> bytes:
        """So much of a value as is shown, as it is written."""
        begin, end = self.scan.values[value], self.scan.end_of(value)
        return bytes(self.scan.data[begin : min(end, begin + JSON_TEXT_LIMIT_BYTES + 2)])

    def _name(self, value: int) -> bytes:
        begin, end = self.scan.begins[value], self.scan.values[value]
        return bytes(self.scan.data[begin : min(end, begin + JSON_TEXT_LIMIT_BYTES + 2)]).rstrip(b" \t\r\n:")

    def _brief(self, value: int) -> str:
        """The beginning of what is in an object or array, on one line."""
        return _BLANKS.sub(" ", self._bytes(value)[: JSON_TEXT_LIMIT_BYTES // 4].decode(errors="replace"))

    # -- for copies --

    def path(self, value: int) -> str:
        """Where a value is: ``$.words[3]["two words"]``."""
        parts: list[str] = []
        scan = self.scan
        while (up := scan.ups[value]) != NONE:
            if scan.kinds[up] == ARRAY:
                parts.append(f"[{scan.places[value]}]")
            else:
                parts.append(_step(self._whole_name(value)))
            value = up
        return ROOT + "".join(reversed(parts))

    def _whole_name(self, value: int) -> str:
        begin, end = self.scan.begins[value], self.scan.values[value]
        return bytes(self.scan.data[begin:end]).rstrip(b" \t\r\n:").decode(errors="replace")

    def source(self, value: int) -> str:
        """A value as it is written."""
        scan = self.scan
        return bytes(scan.data[scan.values[value] : scan.end_of(value)]).decode(errors="replace")

    def whole(self, value: int, *, string: bool) -> bytes:
        """A value as a file of its own: the text of a string, else as it is written."""
        scan = self.scan
        data = bytes(scan.data[scan.values[value] : scan.end_of(value)])
        if not string:
            return data
        try:
            return str(json.loads(data, strict=False)).encode(errors="backslashreplace")
        except ValueError:  # an escape that JSON does not know, or no end
            return data

    # -- searching --

    def hits(self, finder: Finder, start: int) -> Iterator[int]:
        """Values whose name or text matches as it is shown, among the next few from the value ``start`` on."""
        scan = self.scan
        for value in range(start, min(start + JSON_STEPS_COUNT, len(scan))):
            up = scan.ups[value]
            named = up != NONE and scan.kinds[up] == OBJECT
            found = named and finder.tags(self.label(value).encode())
            if not found and scan.kinds[value] > ARRAY:
                text, _ = text_of(self._bytes(value), string=scan.kinds[value] == STRING)
                found = finder.tags(text.encode())
            if found:
                yield value


def text_of(data: bytes, *, string: bool) -> tuple[str, bool]:
    """A text as it is shown, of so much of it as is here, and whether that is not all; any text can be encoded."""
    cut = len(data) > JSON_TEXT_LIMIT_BYTES
    data = data[:JSON_TEXT_LIMIT_BYTES]
    while cut and data and data[-1] & 0xC0 == 0x80:  # not within a character
        data = data[:-1]
    if cut and data and data[-1] >= 0xC0:
        data = data[:-1]
    if not string:
        return data.decode(errors="replace"), cut
    inner = data[1:] if cut else data[1:-1]
    whole = _WHOLE.match(inner)
    assert whole is not None
    try:
        text = str(json.loads(b'"' + whole[0] + b'"', strict=False))
    except ValueError:  # an escape that JSON does not know
        text = inner.decode(errors="replace")
    return text.encode(errors="backslashreplace").decode(), cut


def _step(quoted: str) -> str:
    plain = quoted[1:-1]
    return f".{plain}" if _PLAIN_NAME.fullmatch(plain) else f"[{quoted}]"


# -- as a list for a table --


class JsonRows(Sequence[JsonRow]):
    """The rows of a tree as they were at a moment, each made when it is asked for."""

    def __init__(self, tree: JsonTree, seen: array[int]) -> None:
        self._tree = tree
        self.seen = seen

    def __len__(self) -> int:
        return len(self.seen)

    @overload
    def __getitem__(self, at: int) -> JsonRow: ...

    @overload
    def __getitem__(self, at: slice) -> Sequence[JsonRow]: ...

    def __getitem__(self, at: int | slice) -> JsonRow | Sequence[JsonRow]:
        if isinstance(at, slice):
            return [self._tree.row(value) for value in self.seen[at]]
        return self._tree.row(self.seen[at])


class _Places(Mapping[str, int]):
    """The row of each id, without a table of them."""

    def __init__(self, seen: array[int]) -> None:
        self._seen = seen

    def __getitem__(self, row_id: str) -> int:
        value = int(row_id) if row_id else NONE  # a cursor that was nowhere yet
        at = bisect_left(self._seen, value)
        if at == len(self._seen) or self._seen[at] != value:
            raise KeyError(row_id)
        return at

    def __iter__(self) -> Iterator[str]:
        return map(str, self._seen)

    def __len__(self) -> int:
        return len(self._seen)


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonList(RowList):
    """The rows of a tree; all of them are held, and none is made before it is drawn."""

    query: TreeQuery = field(default_factory=TreeQuery)
    rows: Sequence[JsonRow] = ()
    first: Key = LOWEST
    last: Key = HIGHEST
    known: bool = True

    def index(self) -> Mapping[str, int]:
        """By bisection."""
        return _Places(self.rows.seen) if isinstance(self.rows, JsonRows) else {}
