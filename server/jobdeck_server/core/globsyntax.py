r"""One part of a glob, between slashes, turned into a regular expression the way minimatch 3.0.3 does it.

What is odd about the result is kept: patterns are recorded with what they match, so what an unclosed ``[`` or ``+(``
means, or a ``!(...)`` within another group, is what it means there. Hence the way of the original: text is made, piece
by piece, and some of it is taken back when a bracket turns out not to be closed.

    *.log      (?!\.)(?=.)[^/]*?\.log       a dot at the start is matched by a dot alone
    [!a-c]?    (?!\.)(?=.)[^a-c][^/]
    +(a|b)     (?!\.)(?=.)(?:a|b)+
    !(a)c      (?!\.)(?=.)(?:(?!(?:a)c)[^/]*?)c

Source: minimatch 3.0.3 (ISC, Copyright (c) Isaac Z. Schlueter and Contributors), its ``parse``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobdeck_server.core.braces import GlobError
from jobdeck_server.core.regexsyntax import SyntaxFault, parse_expression

DEPTH_LIMIT_COUNT = 50
SOURCE_LIMIT_COUNT = 100_000  # characters of an expression: negated groups repeat what comes after them

_SPECIAL = frozenset("().*{}+?[]^$\\!")
_STAR = "[^/]*?"
_ANY = "[^/]"
_OPENINGS = {"!": "(?:(?!(?:", "?": "(?:", "+": "(?:", "*": "(?:", "@": "(?:"}
_CLOSINGS = {"!": "))[^/]*?)", "?": ")?", "+": ")+", "*": ")*", "@": ")"}
_NEGATIVE_END = len(_CLOSINGS["!"]) - 1  # of its closing, what stands behind the alternatives
_NO_DOT = r"(?!\.)"
_NOT_EMPTY = "(?=.)"
_BARS = re.compile(r"((?:\\{2}){0,64})(\\?)\|")
_CLOSED = re.compile(r"\)[+*?]?")
_UNDEFINED = "undefined"  # how the original spells a part of a class that it has lost


@dataclass(slots=True)
class _Group:
    """A ``+(...)``: its sign, and where its text starts and ends."""

    sign: str
    start: int
    end: int = 0


def translate(part: str) -> str | None:
    """The expression for a part of a glob, None if it has no magic and stands for itself.

    Raises:
        GlobError: It would cost too much.
    """
    source, magic = _Translator(part, depth=0).run()
    return source if magic else None


class _Translator:
    """The state of one translation; ``depth`` is 0 for a part, more for what was taken back within it."""

    def __init__(self, pattern: str, *, depth: int) -> None:
        if depth > DEPTH_LIMIT_COUNT:
            raise GlobError("The brackets of a pattern are nested too deep.")
        self._pattern = pattern
        self._depth = depth
        self._source = ""
        self._magic = False
        self._escaping = False
        self._sign = ""  # of a group, if one follows; else it stands for itself
        self._groups: list[_Group] = []
        self._negatives: list[_Group] = []
        self._in_class = False
        self._class_start = -1  # in the pattern
        self._class_source_start = -1

    def run(self) -> tuple[str, bool]:
        """The expression, and whether there was any magic in the pattern."""
        for at, character in enumerate(self._pattern):
            self._take(at, character)
        if self._in_class:
            self._undo_class(self._pattern[self._class_start + 1 :], "")
        while self._groups:
            self._undo_group(self._groups.pop())
        self._settle()
        if self._escaping:
            self._source += "\\\\"
        may_take_dot = self._source[:1] in (".", "[", "(")
        self._look_ahead()
        source = self._source
        if source and self._magic:
            source = _NOT_EMPTY + source
        if may_take_dot and not self._pattern.startswith("."):
            source = _NO_DOT + source
        return source, self._magic

    def _take(self, at: int, character: str) -> None:
        if self._escaping and character in _SPECIAL:
            self._source += "\\" + character
            self._escaping = False
            return
        match character:
            case "\\":
                self._settle()
                self._escaping = True
            case "?" | "*" | "+" | "@" | "!":
                self._take_sign(at, character)
            case "(":
                self._open_group()
            case ")":
                self._close_group()
            case "|":
                self._take_bar()
            case "[":
                self._open_class(at)
            case "]":
                self._close_class(at)
            case _:
                self._take_plain(character)

    def _settle(self) -> None:
        """Write the sign that no group has followed."""
        if self._sign:
            self._source += {"*": _STAR, "?": _ANY}.get(self._sign, "\\" + self._sign)
            self._magic = self._magic or self._sign in "*?"
            self._sign = ""

    def _take_sign(self, at: int, character: str) -> None:
        if self._in_class:
            self._source += "^" if character == "!" and at == self._class_start + 1 else character
            return
        self._settle()
        self._sign = character

    def _open_group(self) -> None:
        if self._in_class:
            self._source += "("
        elif not self._sign:
            self._source += "\\("
        else:
            self._groups.append(_Group(self._sign, len(self._source)))
            self._source += _OPENINGS[self._sign]
            self._sign = ""

    def _close_group(self) -> None:
        if self._in_class or not self._groups:
            self._source += "\\)"
            return
        self._settle()
        self._magic = True
        group = self._groups.pop()
        self._source += _CLOSINGS[group.sign]
        group.end = len(self._source)
        if group.sign == "!":
            self._negatives.append(group)

    def _take_bar(self) -> None:
        if self._in_class or not self._groups or self._escaping:
            self._source += "\\|"
            self._escaping = False
            return
        self._settle()
        self._source += "|"

    def _open_class(self, at: int) -> None:
        self._settle()
        if self._in_class:
            self._source += "\\["
            return
        self._in_class = True
        self._class_start = at
        self._class_source_start = len(self._source)
        self._source += "["

    def _close_class(self, at: int) -> None:
        if at == self._class_start + 1 or not self._in_class:
            self._source += "\\]"
            self._escaping = False
            return
        self._in_class = False
        members = self._pattern[self._class_start + 1 : at]
        try:
            parse_expression(f"[{members}]")
        except SyntaxFault:
            self._undo_class(members, "\\]")
            return
        self._magic = True
        self._source += "]"

    def _take_plain(self, character: str) -> None:
        self._settle()
        if self._escaping:
            self._escaping = False
        elif character in _SPECIAL and not (character == "^" and self._in_class):
            self._source += "\\"
        self._source += character

    # -- what turned out not to be closed --

    def _undo_class(self, members: str, closing: str) -> None:
        """Take a class back: its bracket is plain, and what stands in it is a pattern."""
        if members in ("", "**"):
            source, magic = _UNDEFINED, False
        else:
            source, magic = _Translator(members, depth=self._depth + 1).run()
        self._source = f"{self._source[: self._class_source_start]}\\[{source}{closing}"
        self._magic = self._magic or magic
        self._check()

    def _undo_group(self, group: _Group) -> None:
        """Take a group back: its parenthesis and bars are plain."""
        tail = self._source[group.start + len(_OPENINGS[group.sign]) :]
        tail = _BARS.sub(lambda match: f"{match[1]}{match[1]}{match[2] or chr(92)}|", tail)
        sign = {"*": _STAR, "?": _ANY}.get(group.sign, "\\" + group.sign)
        self._magic = True
        self._source = f"{self._source[: group.start]}{sign}\\({tail}"
        self._check()

    def _look_ahead(self) -> None:
        """Let each ``!(...)`` look ahead to the end of the pattern, or ``*.!(x)`` would match ``a.b.x``."""
        for group in reversed(self._negatives):
            split = group.end - _NEGATIVE_END
            before, after = self._source[: group.start], self._source[group.end :]
            rest = self._source[split : group.end] + after
            for _ in range(before.count("(")):
                after = _CLOSED.sub("", after, count=1)
            if not after and not self._depth:
                after = "$"
            self._source = before + self._source[group.start : split] + after + rest
            self._check()

    def _check(self) -> None:
        if len(self._source) > SOURCE_LIMIT_COUNT:
            raise GlobError("A pattern repeats itself too often.")
