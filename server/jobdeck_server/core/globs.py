"""Globs: which paths a pattern takes. The rules are those of minimatch 3.0.3 with its defaults.

    *  ?           any characters, one character, but no slash
    [a-c] [!a-c]   one character of a class, or none of it
    **             as a whole part: any number of folders, but no hidden ones
    {a,b} {1..3}   one of several (see ``braces``)
    +(a|b) ?(..) *(..) @(..) !(..)    one or more, none or one, any number, one, anything but
    !pattern       all that the pattern does not take
    # ...          takes nothing

A name that starts with a dot is taken by a part that starts with one. A pattern has as many parts as the path, so one
without a slash takes top-level names only. Whatever a pattern is, the time to match it is bounded; see ``automaton``.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import Final, Literal

from jobdeck_server.core.automaton import Automaton, Subject, SyntaxFault, units
from jobdeck_server.core.braces import GlobError, expand
from jobdeck_server.core.globsyntax import translate

__all__ = ["Glob", "GlobError"]

PATTERN_LIMIT_COUNT = 4096  # characters
SOURCE_LIMIT_COUNT = 250_000  # of all expressions of a pattern: some hundred bytes of memory each
# What ECMAScript trims; Python's own idea of a blank is another
_BLANKS = "\t\n\v\f\r \xa0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_BRACES = re.compile("{[^\n\r\u2028\u2029]*}")
_SLASHES = re.compile("/+")
_ESCAPE = re.compile("\\\\([^\n\r\u2028\u2029])")


class Folders(Enum):
    """The one value of a part ``**``."""

    ANY = "**"


ANY_FOLDERS: Final = Folders.ANY
# One part of a path: exactly this name, a name that a machine matches, no name (None), or any folders
_Part = str | Automaton | None | Literal[Folders.ANY]


class Glob:
    """A pattern, ready to be asked.

    Raises:
        GlobError: It is too long, or would cost too much.
    """

    __slots__ = ("_blank", "_negated", "_ways")

    def __init__(self, pattern: str) -> None:
        if len(pattern) > PATTERN_LIMIT_COUNT:
            raise GlobError(f"A pattern is longer than {PATTERN_LIMIT_COUNT} characters.")
        trimmed = units(pattern).strip(_BLANKS)
        self._negated = False
        self._blank = not trimmed
        self._ways: tuple[tuple[_Part, ...], ...] = ()
        # A comment is told before blanks are taken away, and once more after that
        if self._blank or pattern.startswith("#") or trimmed.startswith("#"):
            return
        plain = trimmed.lstrip("!")
        self._negated = (len(trimmed) - len(plain)) % 2 == 1
        compiler = _Compiler()
        ways = expand(plain) if _BRACES.search(plain) else [plain]
        self._ways = tuple(tuple(compiler.part(part) for part in _SLASHES.split(way)) for way in ways)

    def matches(self, path: str) -> bool:
        """Whether it takes a path, relative, with ``/`` between its parts."""
        if self._blank:
            return not path
        taken = _Path(units(path))
        return any(taken.is_taken(way) for way in self._ways) != self._negated


class _Compiler:
    """Makes the parts of one pattern, equal ones once; all of them together are bounded."""

    def __init__(self) -> None:
        self._made: dict[str, _Part] = {"**": ANY_FOLDERS}
        self._source_count = 0

    def part(self, part: str) -> _Part:
        """What a part of a pattern is.

        Raises:
            GlobError: Too much has been made already.
        """
        if part not in self._made:
            self._made[part] = self._make(part)
        return self._made[part]

    def _make(self, part: str) -> _Part:
        source = translate(part)
        if source is None:
            return _ESCAPE.sub(r"\1", part)
        self._source_count += len(source)
        if self._source_count > SOURCE_LIMIT_COUNT:
            raise GlobError("A pattern stands for too much.")
        try:
            return Automaton.compile(f"^{source}$")
        except SyntaxFault:
            return None


class _Path:
    """A path taken apart. Bit n of a number stands for the place before its n-th name, the last for the end."""

    __slots__ = ("_names", "_visible", "_visible_ends")

    def __init__(self, path: str) -> None:
        self._names = [Subject(name) for name in _SLASHES.split(path)]
        hidden = 0
        for at, name in enumerate(self._names):
            if name.text.startswith("."):
                hidden |= 1 << at
        self._visible = ((1 << len(self._names)) - 1) ^ hidden  # what ``**`` takes
        last = hidden.bit_length()
        self._visible_ends = self._visible >> last << last  # places from which on it takes all that comes

    def is_taken(self, parts: tuple[_Part, ...]) -> bool:
        """Whether the parts of a pattern, one after the other, take all names."""
        places = 1
        for part in parts[:-1]:
            places = self._beyond_folders(places) if part is ANY_FOLDERS else self._beyond(part, places)
            if not places:
                return False
        if parts[-1] is ANY_FOLDERS:  # takes one name at least
            return bool(places & self._visible_ends)
        end = len(self._names)
        ends = 1 << end | (0 if self._names[-1].text else 1 << (end - 1))  # a slash at the end does no harm
        return bool(self._beyond(parts[-1], places) & ends)

    def _beyond_folders(self, places: int) -> int:
        """Where any number of visible names leads to: the carry of an addition runs through them."""
        return places | (((places & self._visible) + self._visible) ^ self._visible)

    def _beyond(self, part: _Part, places: int) -> int:
        """Where one name leads to that a part takes."""
        found = 0
        for at, name in enumerate(self._names):
            if places >> at & 1 and _takes(part, name):
                found |= 2 << at
        return found


def _takes(part: _Part, name: Subject) -> bool:
    if isinstance(part, str):
        return part == name.text
    return isinstance(part, Automaton) and part.matches(name)
