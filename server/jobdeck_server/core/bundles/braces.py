r"""Braces in patterns: ``{a,b}``, one in another, and ranges ``{1..3}``, ``{01..10..3}``, ``{a..e}``.

As in a shell: a pair without comma or range stands for itself, as does what is escaped by ``\``, a brace without its
partner, and ``${...}``. Numbers are filled with zeros to the same width where one end has them. The text is read once,
from left to right; what it expands to is bounded, as is how deep braces lie in one another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from jobdeck_server.core.bundles.errors import PatternError, shown

_DEPTH_LIMIT_COUNT = 32
_RANGE = re.compile(r"(-?\d{1,15})\.\.(-?\d{1,15})(?:\.\.(-?\d{1,15}))?|([A-Za-z])\.\.([A-Za-z])(?:\.\.(-?\d{1,15}))?")
_PADDED = re.compile("-?0[0-9]")


@dataclass(slots=True)
class _Brace:
    """A brace that is open or was closed. ``plain``: it stands for itself, as in ``${a,b}``."""

    plain: bool = False
    alternatives: list[list[str | _Brace]] = field(default_factory=lambda: [[]])

    def add(self, item: str | _Brace) -> None:
        self.alternatives[-1].append(item)

    def literal(self, end: str) -> list[str | _Brace]:
        """The same as text, with the braces that lie in it."""
        items: list[str | _Brace] = ["{"]
        for number, alternative in enumerate(self.alternatives):
            items += [",", *alternative] if number else alternative
        return [*items, end]


@dataclass(frozen=True, slots=True)
class Room:
    """What expansions may take: how many, and how many characters together."""

    count: int
    chars: int

    def less(self, words: list[str]) -> Room:
        """What these leave."""
        return Room(self.count - len(words), self.chars - sum(map(len, words)))


def expand(text: str, room: Room) -> list[str]:
    """All that a pattern stands for, in order.

    Args:
        text: The pattern; its escapes are kept.
        room: For them.

    Raises:
        PatternError: They take more, or braces lie too deep in one another.
    """
    words = _product(_parsed(text, room), room, text)
    left = room.less(words)
    if left.count < 0 or left.chars < 0:
        raise _too_many(text)
    return words


def _parsed(text: str, room: Room) -> list[str | _Brace]:
    top = _Brace()
    open_ = [top]
    for token in re.findall(r"\\.|\$?\{|[},]|[^\\{},$]+|.", text, re.DOTALL):
        if token in ("{", "${"):
            if token == "${":
                open_[-1].add("$")
            open_.append(_Brace(plain=token == "${"))
            if len(open_) > _DEPTH_LIMIT_COUNT:
                raise PatternError(f"The braces of the pattern {shown(text)} lie too deep in one another.")
        elif token == "," and len(open_) > 1:
            open_[-1].alternatives.append([])
        elif token == "}" and len(open_) > 1:
            _close(open_.pop(), open_[-1], room, text)
        else:
            open_[-1].add(token)
    while len(open_) > 1:
        brace = open_.pop()
        open_[-1].alternatives[-1] += brace.literal("")
    return top.alternatives[0]


def _close(brace: _Brace, parent: _Brace, room: Room, text: str) -> None:
    if not brace.plain and len(brace.alternatives) > 1:
        parent.add(brace)
        return
    words = _range(brace.alternatives[0], room, text) if not brace.plain else None
    if words is None:
        parent.alternatives[-1] += brace.literal("}")
    else:
        parent.add(_Brace(alternatives=[[word] for word in words]))


def _range(items: list[str | _Brace], room: Room, text: str) -> list[str] | None:
    if any(isinstance(item, _Brace) for item in items):
        return None
    match = _RANGE.fullmatch("".join(item for item in items if isinstance(item, str)))
    if match is None:
        return None
    if match[1] is None:
        words = _steps(ord(match[4]), ord(match[5]), match[6], room, text)
        return [chr(code) if chr(code).isalnum() else f"\\{chr(code)}" for code in words]
    width = max(len(match[1]), len(match[2])) if _PADDED.match(match[1]) or _PADDED.match(match[2]) else 0
    return [f"{number:0{width}d}" for number in _steps(int(match[1]), int(match[2]), match[3], room, text)]


def _steps(first: int, last: int, step: str | None, room: Room, text: str) -> range:
    width = abs(int(step or 1)) or 1
    steps = range(first, last + 1, width) if first <= last else range(first, last - 1, -width)
    if len(steps) > room.count:
        raise _too_many(text)
    return steps


def _product(items: list[str | _Brace], room: Room, text: str) -> list[str]:
    words = [""]
    for item in items:
        if isinstance(item, str):
            words = [word + item for word in words]
            continue
        tails = [tail for each in item.alternatives for tail in _product(each, room, text)]
        if len(words) * len(tails) > room.count:
            raise _too_many(text)
        words = [word + tail for word in words for tail in tails]
        if sum(map(len, words)) > room.chars:
            raise _too_many(text)
    return words


def _too_many(text: str) -> PatternError:
    return PatternError(f"With the pattern {shown(text)} there are too many, once braces are expanded.")
