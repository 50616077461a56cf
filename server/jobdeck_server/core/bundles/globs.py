r"""Which files an artifact takes: glob patterns against paths, in time that grows with their lengths alone.

    *  ?            any run of characters, any one character, but ``/``
    [a-c] [!x] [^x] one character of a set, or of all others
    **              as a whole part: any folders, hidden ones left out; at the end, all that is in them
    {a,b} {1..3}    each of these; expanded before anything else is looked at
    +(a|b) *() ?()  an alternative once or more, any number of times, at most once
    @() !()         exactly one of them; anything but one of them
    \x              the character itself
    !pattern        at the very start: what the rest does not match, hidden files too
    #pattern        at the very start: a comment, matches nothing

A part of a pattern that does not itself start with a dot matches no name that does: neither ``*`` nor ``[.]*`` nor
``@(.a)`` finds ``.a``. A pattern without ``/`` is for files at the top level. Blanks around a pattern are dropped. An
empty list takes every file, hidden ones too.

``!(x)`` looks ahead: ``a!(b)*`` takes nothing that ``ab*`` takes. Since a leading ``!`` is always the other one, a part
that starts with such a group is written ``@(!(x))``.

How: braces are expanded (``braces``), what remains is parsed into nodes (``globparse``), and these become one regular
expression for RE2 where no ``!()`` is in them, else a walk over the bits of an integer (``globsteps``). Both are linear
in the path and do not backtrack. A mark before each leading dot, which no wildcard matches, makes hidden names a matter
of characters.

Source: the executor's reference, section 5, and the behaviour of minimatch 3.0.3 that the original runs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

import re2  # type: ignore[import-untyped]  # the package tells no types

from jobdeck_server.core.bundles import globsteps
from jobdeck_server.core.bundles.braces import Room, expand
from jobdeck_server.core.bundles.errors import PatternError, shown
from jobdeck_server.core.bundles.globparse import MARK, Nodes, has_not, parse
from jobdeck_server.core.bundles.globregex import regex
from jobdeck_server.core.bundles.limits import PatternLimits

if TYPE_CHECKING:
    from collections.abc import Sequence

_MEMORY_BYTES = 8 * 1024 * 1024  # for one regular expression: its program and the states it has met
_GATHER_BYTES = 4096  # of patterns that share one


class _Regexp(Protocol):
    def fullmatch(self, text: bytes) -> object | None: ...


class Patterns:
    """A list of patterns. Threads may share it.

    Args:
        patterns: As in ``resultPatterns``.
        limits: How many and how long.

    Attributes:
        left: What they leave of these limits.

    Raises:
        PatternError: One is too long, is no text, or they stand for too many.
    """

    def __init__(self, patterns: Sequence[str], limits: PatternLimits | None = None) -> None:
        limits = limits or PatternLimits()
        self._every = not patterns
        self._any: list[_Alternatives] = []
        self._none: list[_Alternatives] = []  # of each: a file that it does not match is taken
        room = Room(limits.count, limits.total_chars)
        positive: list[str] = []
        for pattern in patterns:
            body, negated = _read(pattern, limits)
            if body is None:
                continue
            each = expand(body, room)
            room = room.less(each)
            if negated:
                self._none.append(_Alternatives(each))
            else:
                positive += each
        if positive:
            self._any.append(_Alternatives(positive))
        self.left = replace(limits, count=room.count, total_chars=room.chars)

    def matches(self, path: str) -> bool:
        """Whether one of the patterns takes this file.

        Args:
            path: Relative to the job's folder, parts separated by ``/``, without an empty one.
        """
        if self._every:
            return True
        marked = _marked(path)
        return any(each.match(marked) for each in self._any) or any(not each.match(marked) for each in self._none)


class _Alternatives:
    """Patterns without braces; one is enough."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._slow: list[Nodes] = []
        self._fast: list[_Regexp] = []
        gathered: list[str] = []
        gathered_bytes = 0
        for pattern in dict.fromkeys(patterns):
            nodes = parse(pattern)
            if has_not(nodes):
                self._slow.append(nodes)
                continue
            if gathered and gathered_bytes + len(pattern) > _GATHER_BYTES:
                self._fast.append(_compiled(gathered))
                gathered, gathered_bytes = [], 0
            gathered.append(regex(nodes))
            gathered_bytes += len(pattern)
        if gathered:
            self._fast.append(_compiled(gathered))

    def match(self, marked: str) -> bool:
        data = marked.encode("utf-8", "surrogatepass")
        if any(each.fullmatch(data) is not None for each in self._fast):
            return True
        return any(globsteps.match(each, marked) for each in self._slow)


def _read(pattern: str, limits: PatternLimits) -> tuple[str | None, bool]:
    """What there is to match, None for a comment, and whether it is the other files that are meant."""
    try:
        size_bytes = len(pattern.encode())
    except UnicodeEncodeError:
        raise PatternError(f"The pattern {shown(pattern)} is no text.") from None
    if size_bytes > limits.length_bytes:
        raise PatternError(f"The pattern {shown(pattern)} is longer than {limits.length_bytes} bytes.")
    if MARK in pattern:
        raise PatternError(f"The pattern {shown(pattern)} has a NUL in it.")
    text = pattern.strip()
    if text.startswith("#"):
        return None, False
    body = text.lstrip("!")
    return body, (len(text) - len(body)) % 2 == 1


def _marked(path: str) -> str:
    marked = path.replace("/.", f"/{MARK}.")
    return MARK + marked if path.startswith(".") else marked


def _compiled(alternatives: Sequence[str]) -> _Regexp:
    options = re2.Options()
    options.never_capture, options.log_errors, options.max_mem = True, False, _MEMORY_BYTES
    try:
        re2.purge()  # its cache would hold the memory of the last 128
        compiled: _Regexp = re2.compile("|".join(alternatives).encode(), options)
    except re2.error as error:
        raise PatternError("The patterns are too large together.") from error
    return compiled
