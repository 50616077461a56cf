"""Brace expansion: ``a{b,c}d`` is ``abd`` and ``acd``, ``{1..3}`` is ``1``, ``2`` and ``3``.

The rules are those of bash as the npm package brace-expansion 1.1 has them, which minimatch 3.0.3 uses: what makes no
set stays as it is (``{a}``, ``{a``, ``${a,b}``), sets may be nested, a backslash takes a brace or comma its meaning. A
pattern is not allowed to grow without bounds: beyond ``RESULTS_LIMIT_COUNT`` it is refused, where the package cuts.

Source: brace-expansion 1.1.22 and balanced-match 1.0.2 (MIT, Copyright (c) 2013 Julian Gruber).
"""

from __future__ import annotations

import re
from dataclasses import dataclass

RESULTS_LIMIT_COUNT = 10_000
LENGTH_LIMIT_COUNT = 1_000_000  # characters of all results together
DEPTH_LIMIT_COUNT = 100

# What a backslash made plain, while braces are looked for: characters that no text of 16-bit units has
_HIDDEN = {"\\\\": "\U0010fff0", "\\{": "\U0010fff1", "\\}": "\U0010fff2", "\\,": "\U0010fff3", "\\.": "\U0010fff4"}
_CLOSE = _HIDDEN["\\}"]
_SHOWN = str.maketrans({hidden: plain[1] for plain, hidden in _HIDDEN.items()})
_ESCAPED = re.compile(r"\\[\\{},.]")
_NUMBERS = re.compile(r"(-?[0-9]+)\.\.(-?[0-9]+)(?:\.\.(-?[0-9]+))?")
_LETTERS = re.compile(r"([a-zA-Z])\.\.([a-zA-Z])(?:\.\.(-?[0-9]+))?")
_LINE_END = re.compile("[\n\r\u2028\u2029]")
_PADDED = re.compile(r"-?0[0-9]")


class GlobError(ValueError):
    """A pattern that would cost too much; what is merely odd matches in its odd way."""


@dataclass(frozen=True, slots=True)
class _Set:
    """The first pair of braces in a text."""

    before: str
    body: str
    after: str


def expand(pattern: str) -> list[str]:
    """All patterns that one with braces stands for.

    Raises:
        GlobError: There are too many, or braces are nested too deep.
    """
    if pattern.startswith("{}"):
        pattern = "\\{\\}" + pattern[2:]
    hidden = _ESCAPED.sub(lambda match: _HIDDEN[match[0]], pattern)
    return [each.translate(_SHOWN) for each in _expand(hidden, top=True, depth=0)]


def _expand(text: str, *, top: bool, depth: int) -> list[str]:
    if depth > DEPTH_LIMIT_COUNT:
        raise GlobError("The braces of a pattern are nested too deep.")
    found = _first_set(text)
    if found is None or found.before.endswith("$"):
        return [text]
    sequence = _sequence(found.body)
    if sequence is None and "," not in found.body:
        if _set_follows(found.after):  # {a},b} is a set whose first part is a}
            return _expand(f"{found.before}{{{found.body}{_CLOSE}{found.after}", top=True, depth=depth + 1)
        return [text]
    values = _values(found.body, depth) if sequence is None else sequence
    ends = _expand(found.after, top=False, depth=depth + 1) if found.after else [""]
    if isinstance(values, str):
        return [found.before + values + end for end in ends]
    _check(len(values) * len(ends), len(text))
    results = [found.before + value + end for value in values for end in ends]
    return [each for each in results if each] if top and sequence is None else results


def _values(body: str, depth: int) -> list[str] | str:
    """What the parts of a set stand for; one string if it is a set of one part that stays as it is."""
    parts = _parts(body)
    if len(parts) == 1:  # {{a,b}} is {a} and {b}
        parts = [f"{{{each}}}" for each in _expand(parts[0], top=False, depth=depth + 1)]
        if len(parts) == 1:
            return parts[0]
    values: list[str] = []
    for part in parts:
        values += _expand(part, top=False, depth=depth + 1)
        _check(len(values), len(part))
    return values


def _check(count: int, length: int) -> None:
    if count > RESULTS_LIMIT_COUNT or count * length > LENGTH_LIMIT_COUNT:
        raise GlobError("The braces of a pattern stand for too many patterns.")


def _sequence(body: str) -> list[str] | None:
    """The members of ``1..9``, ``a..e``, or either with a step; None for what is neither."""
    numbers, letters = _NUMBERS.fullmatch(body), _LETTERS.fullmatch(body)
    match = numbers or letters
    if match is None:
        return None
    step = max(1, abs(int(match[3] or 1)))
    first, last = (int(match[at]) if numbers else ord(match[at]) for at in (1, 2))
    members = range(first, last + 1, step) if first <= last else range(first, last - 1, -step)
    _check(len(members), max(len(match[1]), len(match[2])))
    if letters:
        return ["" if member == 0x5C else chr(member) for member in members]
    padded = any(_PADDED.match(part) for part in match.groups() if part)
    width = max(len(match[1]), len(match[2])) if padded else 0
    return [f"{member:0{width}d}" for member in members]


def _set_follows(text: str) -> bool:
    """Whether there is a comma, and behind it on the same line a closing brace."""
    return any("," in line[: max(0, line.rfind("}"))] for line in _LINE_END.split(text))


def _parts(body: str) -> list[str]:
    """A set's body split at its commas, but not at those of sets within it."""
    parts = [""]
    while (inner := _first_set(body)) is not None:
        first, *more = inner.before.split(",")
        parts[-1] += first
        parts += more
        parts[-1] += f"{{{inner.body}}}"
        body = inner.after
        if not body:
            return parts
    first, *more = body.split(",")
    parts[-1] += first
    return parts + more


def _first_set(text: str) -> _Set | None:
    """The first braces that fit together, the outermost of them; unmatched ones before them are plain text."""
    opened: list[int] = []
    best: tuple[int, int] | None = None
    for at, character in enumerate(text):
        if character == "{":
            opened.append(at)
        elif character == "}" and opened:
            start = opened.pop()
            if best is None or start < best[0]:
                best = (start, at)
            if not opened:
                break
    if best is None:
        return None
    start, end = best
    return _Set(text[:start], text[start + 1 : end], text[end + 1 :])
