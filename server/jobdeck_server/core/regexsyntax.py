r"""The syntax of ECMAScript's regular expressions (without the ``u`` flag), read into nodes.

All that decides whether an expression is one is here, also what globs never use: a character class of a glob is tried
as an expression first, in whatever way it was written. What only such a trial can hold (``\d``, ``{2,3}``, references,
look-behind) is read past, and has no meaning.

Source: ECMA-262, 22.2.1 and B.1.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum
from typing import NoReturn

DEPTH_LIMIT_COUNT = 100
_LINE_ENDS = ((0x0A, 0x0A), (0x0D, 0x0D), (0x2028, 0x2029))
_COUNTS = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}")
_GROUP_NAME = re.compile(r"\?<[A-Za-z_$][\w$]*>", re.ASCII)
_OPENINGS = ("?:", "?=", "?!", "?<=", "?<!")
_CODES = re.compile(r"x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|([0-3][0-7]{0,2}|[4-7][0-7]?)|c([A-Za-z0-9_])")
_CONTROLS = {"b": 0x08, "t": 0x09, "n": 0x0A, "v": 0x0B, "f": 0x0C, "r": 0x0D}
_KINDS = frozenset("dDwWsS")  # escapes that stand for many characters


class SyntaxFault(ValueError):
    """This is no expression."""


@dataclass(frozen=True, slots=True)
class CharSet:
    """Characters by their codes, ends included; ``negated`` for all others."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One after the other."""

    items: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """One of them."""

    ways: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """Again and again, ``most`` None for any number of times."""

    item: object
    least: int
    most: int | None

    @property
    def is_simple(self) -> bool:
        """Whether it is one of ``*``, ``+`` and ``?``."""
        return (self.least, self.most) in ((0, None), (1, None), (0, 1))


@dataclass(frozen=True, slots=True)
class Look:
    """A position from which ``item`` matches, or does not."""

    item: object
    wanted: bool


class Edge(Enum):
    """A position."""

    BEGIN = "^"
    END = "$"
    WORD = "\\b"


class _Unused(Enum):
    """What has no meaning here; see the top of this file."""

    BEHIND = "(?<=...)"
    OTHER = "..."


def parse_expression(source: str) -> object:
    """The nodes of an expression.

    Raises:
        SyntaxFault: It is none, or nested too deep.
    """
    reader = _Reader(source)
    node = reader.alternatives(0)
    if reader.at < len(source):
        reader.fail("a parenthesis is closed that was not opened")
    return node


class _Reader:
    """Where the reading has come to."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.at = 0

    def fail(self, text: str) -> NoReturn:
        """Refuse the expression."""
        raise SyntaxFault(f"{text} (at character {self.at})")

    def peek(self) -> str:
        """The next character, empty at the end."""
        return self.source[self.at : self.at + 1]

    def alternatives(self, depth: int) -> object:
        """Up to the end, or to a closing parenthesis."""
        if depth > DEPTH_LIMIT_COUNT:
            self.fail("groups are nested too deep")
        ways = [self._row(depth)]
        while self.peek() == "|":
            self.at += 1
            ways.append(self._row(depth))
        return ways[0] if len(ways) == 1 else Alternatives(tuple(ways))

    def _row(self, depth: int) -> object:
        items: list[object] = []
        while (character := self.peek()) and character not in "|)":
            items.append(self._repeated(self._atom(depth)))
        return items[0] if len(items) == 1 else Row(tuple(items))

    def _repeated(self, item: object) -> object:
        """The item with the sign behind it that says how often."""
        character = self.peek()
        counts = _COUNTS.match(self.source, self.at)
        if not character or (character not in "*+?" and counts is None):
            return item
        if isinstance(item, Edge) or item is _Unused.BEHIND:
            self.fail("nothing to repeat")
        if counts is None:
            self.at += 1
            least, most = (1 if character == "+" else 0), (1 if character == "?" else None)
        else:
            self.at = counts.end()
            least = int(counts[1])
            most = least if counts[2] is None else int(counts[2]) if counts[2] else None
            if most is not None and most < least:
                self.fail("numbers out of order")
        if self.peek() == "?":
            self.at += 1
        return Repeat(item, least, most)

    def _atom(self, depth: int) -> object:
        character = self.peek()
        if character in "*+?" or _COUNTS.match(self.source, self.at):
            self.fail("nothing to repeat")
        self.at += 1
        match character:
            case "^":
                return Edge.BEGIN
            case "$":
                return Edge.END
            case ".":
                return CharSet(_LINE_ENDS, negated=True)
            case "(":
                return self._group(depth)
            case "[":
                return self._class()
            case "\\":
                return self._escape()
        return _only(ord(character))

    def _group(self, depth: int) -> object:
        opening = next((each for each in _OPENINGS if self.source.startswith(each, self.at)), "")
        if opening:
            self.at += len(opening)
        elif self.peek() == "?":
            named = _GROUP_NAME.match(self.source, self.at)
            if named is None:
                self.fail("invalid group")
            self.at = named.end()
        item = self.alternatives(depth + 1)
        if self.peek() != ")":
            self.fail("a parenthesis is not closed")
        self.at += 1
        if opening in ("?=", "?!"):
            return Look(item, wanted=opening == "?=")
        return _Unused.BEHIND if opening.startswith("?<") else item

    def _escape(self) -> object:
        character = self.peek()
        if character in ("b", "B"):
            self.at += 1
            return Edge.WORD
        if character in _KINDS or character.isdigit():
            self.at += 1
            return _Unused.OTHER
        return _only(self._escaped_code())

    def _escaped_code(self) -> int:
        """The character that an escape stands for, behind its backslash."""
        character = self.peek()
        if not character:
            self.fail("a backslash at the end")
        codes = _CODES.match(self.source, self.at)
        if codes is None and character == "c":
            return ord("\\")  # which stands for itself, and the letter comes after it
        if codes is None:
            self.at += 1
            return _CONTROLS.get(character, ord(character))
        self.at = codes.end()
        if codes[4]:
            return ord(codes[4]) % 32
        return int(codes[3], 8) if codes[3] else int(codes[1] or codes[2], 16)

    def _class(self) -> object:
        negated = self.peek() == "^"
        self.at += negated
        ranges: list[tuple[int, int]] = []
        while self.peek() != "]":
            first = self._class_member()
            if self.peek() != "-" or self.source[self.at + 1 : self.at + 2] in ("]", ""):
                ranges += [] if first is None else [(first, first)]
                continue
            self.at += 1
            last = self._class_member()
            if first is None or last is None:  # beside a kind of characters the dash is one itself
                ranges.append((ord("-"), ord("-")))
                ranges += [(code, code) for code in (first, last) if code is not None]
            elif last < first:
                self.fail("a range out of order")
            else:
                ranges.append((first, last))
        self.at += 1
        return CharSet(tuple(ranges), negated)

    def _class_member(self) -> int | None:
        """The code of the next character of a class, None for a kind of characters."""
        character = self.peek()
        if not character:
            self.fail("a class is not closed")
        self.at += 1
        if character != "\\":
            return ord(character)
        if self.peek() in _KINDS and self.peek():
            self.at += 1
            return None
        return self._escaped_code()


def _only(code: int) -> CharSet:
    return CharSet(((code, code),))
