"""Regular expressions of ECMAScript, as far as globs are made of them, matched in bounded time.

A glob comes from outside, and what it says may be meant to stall the one who asks: an engine that tries one way after
the other needs ages for ``*a*a*a*a*a*b``. Here all ways are followed at once. An expression is a small machine; for
each of its states an integer says, bit by bit, at which positions of the text it can be, and a step moves all of them
with a few operations on integers. A state is visited again only when its integer has grown, so the work is bounded by
states times positions, and mostly is one visit a state.

What a look-ahead says depends on nothing but the position, so it is a machine of its own, asked once a position.

Characters are 16-bit units, as in ECMAScript: see ``units``. There are no captures, and only the question whether the
text matches, so greedy and lazy are the same.

Source: ECMA-262, 22.2 and B.1.2 (what browsers take beyond the grammar).
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from enum import Enum

from jobdeck_server.core.regexsyntax import (
    Alternatives,
    CharSet,
    Edge,
    Look,
    Repeat,
    Row,
    SyntaxFault,
    parse_expression,
)

__all__ = ["Automaton", "Subject", "SyntaxFault", "units"]


def units(text: str) -> str:
    """A text whose characters are its 16-bit units: each beyond U+FFFF becomes the two halves of a pair."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    return "".join(map(chr, array("H", text.encode("utf-16-le", "surrogatepass"))))


class Kind(Enum):
    """What a state does with the positions at which it is."""

    MATCH = "all was read"
    TAKE = "one character of a set"
    RUN = "any number of characters of a set"
    FORK = "go on in two ways"
    LOOK = "go on where something else would match"
    LOOK_NOT = "go on where it would not"
    BEGIN = "go on at the start"
    END = "go on at the end"


@dataclass(slots=True)
class _State:
    kind: Kind
    nexts: list[int]
    chars: CharSet | None = None
    look: Automaton | None = None


class Subject:
    """A text to be matched, with what has been found out about it."""

    __slots__ = ("_looks", "_places", "_sets", "end", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.end = 1 << len(text)
        self._places: dict[str, int] = {}  # made when it is first needed: most names are compared as they are
        self._sets: dict[CharSet, int] = {}
        self._looks: dict[tuple[int, int], bool] = {}

    def places(self, chars: CharSet) -> int:
        """The positions, as bits, at which a character of the set stands."""
        found = self._sets.get(chars)
        if found is None:
            places = self._all_places()
            found = 0
            for first, last in chars.ranges:
                if first == last:
                    found |= places.get(chr(first), 0)
                else:
                    found |= sum(each for character, each in places.items() if first <= ord(character) <= last)
            if chars.negated:
                found ^= self.end - 1
            self._sets[chars] = found
        return found

    def _all_places(self) -> dict[str, int]:
        if not self._places:
            for at, character in enumerate(self.text):
                self._places[character] = self._places.get(character, 0) | 1 << at
        return self._places

    def looks(self, machine: Automaton, positions: int) -> int:
        """Those of some positions from which a machine matches."""
        found, left = 0, positions
        while left:
            position = left & -left
            left ^= position
            key = (id(machine), position)
            if key not in self._looks:
                self._looks[key] = machine.matches_from(self, position)
            if self._looks[key]:
                found |= position
        return found


@dataclass(slots=True)
class Automaton:
    """A compiled expression; see the top of this file. ``compile`` makes one."""

    states: list[_State] = field(default_factory=list)
    start: int = 0

    @classmethod
    def compile(cls, source: str) -> Automaton:
        """The machine for an expression.

        Raises:
            SyntaxFault: It is none.
        """
        return cls._of(parse_expression(source))

    @classmethod
    def _of(cls, node: object) -> Automaton:
        machine = cls()
        machine.start = machine._build(node, machine._add(Kind.MATCH))
        return machine

    def matches(self, subject: Subject) -> bool:
        """Whether the expression matches somewhere that begins at the start."""
        return self.matches_from(subject, 1)

    def matches_from(self, subject: Subject, positions: int) -> bool:
        """Whether it matches from any of some positions on."""
        reached = [0] * len(self.states)
        reached[self.start] = positions
        pending = 1 << self.start  # states lie in the order from the end to the start: the greatest is the next
        while pending:
            at = pending.bit_length() - 1
            pending ^= 1 << at
            state = self.states[at]
            if state.kind is Kind.MATCH:
                return True
            moved = _moved(state, subject, reached[at])
            for following in state.nexts:
                if moved & ~reached[following]:
                    reached[following] |= moved
                    pending |= 1 << following
        return False

    # -- making it, from its end to its start --

    def _add(self, kind: Kind, *nexts: int, chars: CharSet | None = None, look: Automaton | None = None) -> int:
        self.states.append(_State(kind, list(nexts), chars, look))
        return len(self.states) - 1

    def _build(self, node: object, following: int) -> int:
        """Add the states of a node that go on with ``following``; returns where to enter them."""
        match node:
            case CharSet():
                return self._add(Kind.TAKE, following, chars=node)
            case Row():
                for item in reversed(node.items):
                    following = self._build(item, following)
                return following
            case Alternatives():
                return self._add(Kind.FORK, *(self._build(each, following) for each in node.ways))
            case Repeat():
                return self._build_repeat(node, following)
            case Look():
                kind = Kind.LOOK if node.wanted else Kind.LOOK_NOT
                if isinstance(node.item, CharSet):  # at the next character alone, as nearly all of them do
                    return self._add(kind, following, chars=node.item)
                return self._add(kind, following, look=Automaton._of(node.item))
            case Edge():
                return self._add(Kind.BEGIN if node is Edge.BEGIN else Kind.END, following)
        raise TypeError(f"no node: {type(node).__name__}")

    def _build_repeat(self, node: Repeat, following: int) -> int:
        assert node.is_simple, "a glob's braces never get here as such"
        if node.most == 1:
            return self._add(Kind.FORK, self._build(node.item, following), following)
        if isinstance(node.item, CharSet):
            run = self._add(Kind.RUN, following, chars=node.item)
            return self._add(Kind.TAKE, run, chars=node.item) if node.least else run
        fork = self._add(Kind.FORK, following)
        entry = self._build(node.item, fork)
        self.states[fork].nexts.append(entry)
        return entry if node.least else fork


def _moved(state: _State, subject: Subject, positions: int) -> int:
    """Where a state leads to from some positions."""
    match state.kind:
        case Kind.TAKE:
            assert state.chars is not None
            return (positions & subject.places(state.chars)) << 1
        case Kind.RUN:
            assert state.chars is not None
            places = subject.places(state.chars)
            # The carry of an addition runs through a row of ones: all it turns over is reached
            return positions | (((positions & places) + places) ^ places)
        case Kind.LOOK | Kind.LOOK_NOT:
            if state.chars is not None:
                there = positions & subject.places(state.chars)
            else:
                assert state.look is not None
                there = subject.looks(state.look, positions)
            return there if state.kind is Kind.LOOK else positions & ~there
        case Kind.BEGIN:
            return positions & 1
        case Kind.END:
            return positions & subject.end
    return positions
