"""JSON as it comes in pieces, scanned into a flat table of its values. Pure.

A value is a number, its place in the order of the text: an object or array comes before all that is in it, so what is
inside it is a run behind it. What is kept of each are offsets into the bytes; texts are made when somebody looks. So
nothing goes through a float, nothing recurses however deep it is nested, and memory is that of the bytes and some 30
bytes for each value, of which there are at most so many. What is behind that, or was not read, is simply not there.

Broken text ends the scan with ``error``; what came before it stands.
"""

from __future__ import annotations

import re
from array import array
from typing import TYPE_CHECKING

from jobdeck_tui.console.settings import JSON_VALUES_LIMIT_COUNT

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ARRAY", "FALSE", "NONE", "NULL", "NUMBER", "OBJECT", "STRING", "TRUE", "JsonScan"]

OBJECT, ARRAY, STRING, NUMBER, TRUE, FALSE, NULL = range(7)
NONE = 0xFFFF_FFFF
"""No value: what the outermost one is in."""

_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'
_VALUE = re.compile(rb"[ \t\r\n]*+(?:([{\[])|(" + _STRING + rb")|([-+.0-9A-Za-z_]++))", re.DOTALL)
_KEY = re.compile(rb"[ \t\r\n]*+(" + _STRING + rb")[ \t\r\n]*+:", re.DOTALL)
_NAME = re.compile(_STRING + rb"[ \t\r\n]*+", re.DOTALL)
_AFTER = re.compile(rb"[ \t\r\n]*+([,\]}])")
_EMPTY = re.compile(rb"[ \t\r\n]*+([\]}])")
_BLANK = re.compile(rb"[ \t\r\n]*+")
_NUMBER = re.compile(rb"-?[0-9]++(?:\.[0-9]++)?(?:[eE][-+]?[0-9]++)?|-?Infinity|NaN")
_WORDS = {b"true": TRUE, b"false": FALSE, b"null": NULL}
_CLOSING = {OBJECT: b"}", ARRAY: b"]"}
_BROKEN_SHOWN_BYTES = 20


class _Incomplete(Exception):  # no error: the rest has not come
    """What is here may go on in the next piece."""


class JsonScan:
    """See the top of this file.

    Attributes:
        data: What came.
        whole: Nothing more comes.
        complete: All of the text is in the table.
        full: There are more values than are kept.
        error: Why the text is no JSON, None while it may be.
        kinds: Of each value, one of the constants above.
        begins: Where it begins, with its name if it has one.
        values: Where its value begins.
        ends: Where that ends; 0 while it is not over.
        ups: What it is in.
        depths: In how many it is.
        places: Its number among its siblings, from 0.
        counts: How many are directly in it.
        nexts: The number of the first value behind all that is in it; 0 while it is not over.
    """

    def __init__(self, limit_count: int = JSON_VALUES_LIMIT_COUNT) -> None:
        self.data = bytearray()
        self.whole = self.complete = self.full = False
        self.error: str | None = None
        self.kinds = bytearray()
        self.begins, self.values, self.ends = array("I"), array("I"), array("I")
        self.ups, self.depths, self.places = array("I"), array("I"), array("I")
        self.counts, self.nexts = array("I"), array("I")
        self._limit_count = limit_count
        self._at = 0  # all before it is scanned
        self._inside: list[int] = []
        self._next: Callable[[], None] = self._a_value

    def __len__(self) -> int:
        """Values so far."""
        return len(self.kinds)

    @property
    def over(self) -> bool:
        """No value will be added."""
        return self.complete or self.full or self.error is not None

    def feed(self, data: bytes, *, whole: bool) -> None:
        """The next piece came; ``whole`` if it is the last one."""
        self.data += data
        self.whole = whole

    def scan(self, step_count: int) -> bool:
        """Go on by so many steps at most; whether there is more to do with what came."""
        try:
            for _ in range(step_count):
                if self.over:
                    return False
                self._next()
        except _Incomplete:
            if self.whole:
                self.error = "it ends too early"
            return False
        return not self.over

    def end_of(self, value: int) -> int:
        """Where a value ends, as far as came."""
        return self.ends[value] or len(self.data)

    def next_of(self, value: int) -> int:
        """The first value that is not in this one."""
        return self.nexts[value] or len(self)

    # -- one step: a name and its value, a value, what stands behind one --

    def _a_value(self) -> None:
        self._value(self._at)

    def _value(self, begin: int) -> None:
        found = _VALUE.match(self.data, self._at)
        if found is None:
            self._lacking(b'"')
        elif len(self) >= self._limit_count:
            self.full = True
        elif found[1] is not None:
            self._open(OBJECT if found[1] == b"{" else ARRAY, begin, found.start(1), found.end())
        elif found[2] is not None:
            self._add(STRING, begin, found.start(2), found.end())
            self._ended(found.end())
        else:
            self._word(found, begin)

    def _word(self, found: re.Match[bytes], begin: int) -> None:
        if found.end() == len(self.data) and not self.whole:
            raise _Incomplete
        kind = _WORDS.get(found[3], NUMBER)
        if kind == NUMBER and _NUMBER.fullmatch(found[3]) is None:
            self._broken(found.start(3))
            return
        self._add(kind, begin, found.start(3), found.end())
        self._ended(found.end())

    def _first(self) -> None:
        """The end of an empty object or array, or what is in it."""
        found = _EMPTY.match(self.data, self._at)
        if found is not None:
            self._close(found)
        elif _BLANK.fullmatch(self.data, self._at) is not None:
            raise _Incomplete
        else:
            self._next = self._wanted

    def _key(self) -> None:
        found = _KEY.match(self.data, self._at)
        if found is None:
            name = _NAME.match(self.data, _end_of_blank(self.data, self._at))
            if name is not None and name.end() < len(self.data):
                self._broken(name.end())  # no colon
            else:
                self._lacking(b'"')
            return
        before, self._at = self._at, found.end()
        try:
            self._value(found.start(1))
        except _Incomplete:
            self._at = before
            raise

    def _more(self) -> None:
        found = _AFTER.match(self.data, self._at)
        if found is None:
            self._lacking()
        elif found[1] == b",":
            self._at, self._next = found.end(), self._wanted
        else:
            self._close(found)

    def _rest(self) -> None:
        """Behind all of it there are blanks."""
        self._lacking()

    # -- the table --

    @property
    def _wanted(self) -> Callable[[], None]:
        return self._key if self.kinds[self._inside[-1]] == OBJECT else self._a_value

    def _add(self, kind: int, begin: int, value: int, end: int) -> None:
        up = self._inside[-1] if self._inside else NONE
        place = 0
        if up != NONE:
            place = self.counts[up]
            self.counts[up] = place + 1
        begin = value if up == NONE or self.kinds[up] == ARRAY else begin
        self.kinds.append(kind)
        self.begins.append(begin)
        self.values.append(value)
        self.ends.append(end)
        self.ups.append(up)
        self.depths.append(len(self._inside))
        self.places.append(place)
        self.counts.append(0)
        self.nexts.append(len(self.kinds))

    def _open(self, kind: int, begin: int, value: int, at: int) -> None:
        self._add(kind, begin, value, 0)
        self.nexts[-1] = 0
        self._inside.append(len(self) - 1)
        self._at, self._next = at, self._first

    def _close(self, found: re.Match[bytes]) -> None:
        last = self._inside[-1]
        if found[1] != _CLOSING[self.kinds[last]]:
            self._broken(found.start(1))
            return
        self._inside.pop()
        self.ends[last], self.nexts[last] = found.end(), len(self)
        self._ended(found.end())

    def _ended(self, at: int) -> None:
        self._at, self._next = at, self._more if self._inside else self._rest

    # -- what is not as it should be --

    def _lacking(self, begins: bytes = b"") -> None:
        """What is wanted is not here: it may come if all that is here are blanks, or how it ``begins``."""
        at = _end_of_blank(self.data, self._at)
        if at < len(self.data) and self.data[at] not in begins:
            self._broken(at)
        elif at == len(self.data) and self.whole and not self._inside and len(self):
            self.complete = True
        else:
            raise _Incomplete

    def _broken(self, at: int) -> None:
        found = bytes(self.data[at : at + _BROKEN_SHOWN_BYTES]).decode(errors="replace")
        self.error = f"byte {at:,} should not be {found!r}"


def _end_of_blank(data: bytearray, at: int) -> int:
    blank = _BLANK.match(data, at)
    return at if blank is None else blank.end()
