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
_EXPANDED_LIMIT_CHARS = 1024 * 1024  # of all expansions of a pattern together
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


def expand(text: str, limit_count: int) -> list[str]:
    """All that a pattern stands for, in order.

    Args:
        text: The pattern; its escapes are kept.
        limit_count: How many there may be.

    Raises:
        PatternError: There are more, or braces lie too deep in one another.
    """
    return _product(_parsed(text), limit_count, text)


def _parsed(text: str) -> list[str | _Brace]:
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
            _close(open_.pop(), open_[-1], text)
        else:
            open_[-1].add(token)
    while len(open_) > 1:
        brace = open_.pop()
        open_[-1].alternatives[-1] += brace.literal("")
    return top.alternatives[0]


def _close(brace: _Brace, parent: _Brace, text: str) -> None:
    if not brace.plain and len(brace.alternatives) > 1:
        parent.add(brace)
        return
    words = _range(brace.alternatives[0], text) if not brace.plain else None
    if words is None:
        parent.alternatives[-1] += brace.literal("}")
    else:
        parent.add(_Brace(alternatives=[[word] for word in words]))


def _range(items: list[str | _Brace], text: str) -> list[str] | None:
    if any(isinstance(item, _Brace) for item in items):
        return None
    match = _RANGE.fullmatch("".join(item for item in items if isinstance(item, str)))
    if match is None:
        return None
    if match[1] is None:
        words = _steps(ord(match[4]), ord(match[5]), match[6], text)
        return [chr(code) if chr(code).isalnum() else f"\\{chr(code)}" for code in words]
    width = max(len(match[1]), len(match[2])) if _PADDED.match(match[1]) or _PADDED.match(match[2]) else 0
    return [f"{number:0{width}d}" for number in _steps(int(match[1]), int(match[2]), match[3], text)]


def _steps(first: int, last: int, step: str | None, text: str) -> range:
    width = abs(int(step or 1)) or 1
    steps = range(first, last + 1, width) if first <= last else range(first, last - 1, -width)
    if len(steps) > _EXPANDED_LIMIT_CHARS:
        raise _too_many(text)
    return steps


def _product(items: list[str | _Brace], limit_count: int, text: str) -> list[str]:
    words = [""]
    for item in items:
        if isinstance(item, str):
            words = [word + item for word in words]
            continue
        tails = [tail for each in item.alternatives for tail in _product(each, limit_count, text)]
        if len(words) * len(tails) > limit_count:
            raise _too_many(text)
        words = [word + tail for word in words for tail in tails]
        if len(words) * max(map(len, words)) > _EXPANDED_LIMIT_CHARS:
            raise _too_many(text)
    return words


def _too_many(text: str) -> PatternError:
    return PatternError(f"The pattern {shown(text)} stands for too many.")
