r"""A pattern without braces as nodes, whole path at once. What they mean: see ``globs``.

Names are told hidden by ``MARK``, which stands before each leading dot in paths and in patterns alike; no wildcard and
no set matches it, nor ``/``. A group or set that is not closed stands for itself, character by character.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from jobdeck_server.core.bundles.errors import PatternError, shown

MARK = "\0"
_DEPTH_LIMIT_COUNT = 16


@dataclass(frozen=True, slots=True)
class Char:
    """This character."""

    char: str


@dataclass(frozen=True, slots=True)
class Any:
    """One character of a name."""


@dataclass(frozen=True, slots=True)
class Star:
    """Any number of characters of a name."""


@dataclass(frozen=True, slots=True)
class Set:
    """One character within one of these ranges (first and last code point), or of all others."""

    ranges: tuple[tuple[int, int], ...]
    negated: bool

    def holds(self, char: str) -> bool:
        """Whether a character, neither ``/`` nor the mark, is meant."""
        code = ord(char)
        return any(first <= code <= last for first, last in self.ranges) != self.negated


@dataclass(frozen=True, slots=True)
class Group:
    """Alternatives; ``kind`` is the character before the bracket: ``+ * ? @ !``."""

    kind: str
    alternatives: tuple[Nodes, ...]


Node = Char | Any | Star | Set | Group
Nodes = tuple[Node, ...]

_NAME: Nodes = (Any(), Star())  # of a file or folder that is not hidden
_FOLDERS = Group("*", ((*_NAME, Char("/")),))
_BELOW: Nodes = (*_NAME, Group("*", ((Char("/"), *_NAME),)))


def parse(pattern: str) -> Nodes:
    """The nodes that match whole paths.

    Raises:
        PatternError: Groups lie too deep in one another.
    """
    nodes: list[Node] = []
    parts = re.split("/+", pattern)
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if part == "**":
            if last:
                nodes += _BELOW
            elif not nodes or nodes[-1] is not _FOLDERS:
                nodes.append(_FOLDERS)
            continue
        nodes += _Part(part).nodes()
        if not last:
            nodes.append(Char("/"))
    return tuple(nodes)


def has_not(nodes: Nodes) -> bool:
    """Whether a group ``!()`` is in them."""
    return any(isinstance(node, Group) and (node.kind == "!" or any(map(has_not, node.alternatives))) for node in nodes)


class _Part:
    """What stands between two slashes."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._sets: dict[int, tuple[Set, int]] = {}  # where one starts: it, and the position behind it
        self._groups: set[int] = set()  # where those start that are closed
        self._scan()

    def _scan(self) -> None:
        """Find sets and closed groups, so that parsing need never turn back."""
        at, open_, may_close = 0, [], True  # where one set is not closed, none behind it is
        while at < len(self._text):
            char = self._text[at]
            if char == "\\":
                at += 2
            elif char == "[" and may_close:
                found = _set(self._text, at)
                may_close = found is not None
                if found is not None:
                    self._sets[at] = found
                at = found[1] if found is not None else at + 1
            elif self._text[at + 1 : at + 2] == "(" and char in "+*?@!":
                open_.append(at)
                at += 2
            else:
                if char == ")" and open_:
                    self._groups.add(open_.pop())
                at += 1

    def nodes(self) -> Nodes:
        found = self._alternatives(0, 0)[0][0]
        if found[:1] == (Char("."),):
            return (Char(MARK), *found)
        return found

    def _alternatives(self, at: int, depth: int) -> tuple[tuple[Nodes, ...], int]:
        """What stands between ``at`` and the end of the group, or of the part; and the position behind that."""
        if depth > _DEPTH_LIMIT_COUNT:
            raise PatternError(f"The groups of the pattern {shown(self._text)} lie too deep in one another.")
        done: list[Nodes] = []
        nodes: list[Node] = []
        while at < len(self._text):
            char = self._text[at]
            if depth and char in "|)":
                done.append(tuple(nodes))
                nodes = []
                at += 1
                if char == ")":
                    return tuple(done), at
            elif at in self._groups:
                alternatives, at = self._alternatives(at + 2, depth + 1)
                nodes.append(Group(char, alternatives))
            else:
                node, at = self._single(at)
                if not (isinstance(node, Star) and nodes and isinstance(nodes[-1], Star)):
                    nodes.append(node)
        return (*done, tuple(nodes)), at

    def _single(self, at: int) -> tuple[Node, int]:
        char = self._text[at]
        if at in self._sets:
            return self._sets[at]
        if char == "\\" and at + 1 < len(self._text):
            return Char(self._text[at + 1]), at + 2
        if char == "*":
            return Star(), at + 1
        return (Any() if char == "?" else Char(char)), at + 1


def _set(text: str, start: int) -> tuple[Set, int] | None:
    """The set that starts here, and the position behind it; None if it is not closed."""
    at = start + 1
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    codes: list[tuple[int, bool]] = []  # and whether it is a hyphen that may make a range
    while at < len(text) and (text[at] != "]" or not codes):
        escaped = text[at] == "\\" and at + 1 < len(text)
        at += escaped
        codes.append((ord(text[at]), text[at] == "-" and not escaped))
        at += 1
    return (Set(_ranges(codes), negated), at + 1) if at < len(text) else None


def _ranges(codes: list[tuple[int, bool]]) -> tuple[tuple[int, int], ...]:
    """A range whose ends are turned round is empty."""
    ranges = []
    at = 0
    while at < len(codes):
        last = at + 2 if at + 2 < len(codes) and codes[at + 1][1] else at
        if codes[at][0] <= codes[last][0]:
            ranges.append((codes[at][0], codes[last][0]))
        at = last + 1
    return tuple(ranges)
