"""Nodes as a regular expression of RE2. Groups ``!()`` have none: see ``globsteps``."""

from __future__ import annotations

from jobdeck_server.core.bundles.globparse import Any, Char, Group, Nodes, Set, Star

_NEVER = r"[^\x00-\x{10FFFF}]"
_OTHER = r"/\x00"  # what no wildcard matches
_OTHER_CODES = (0, ord("/"))
_AFTER = {"+": "+", "*": "*", "?": "?", "@": ""}


def regex(nodes: Nodes) -> str:
    """The expression, for whole paths that are marked as ``globs`` does."""
    return "".join(map(_one, nodes))


def _one(node: Char | Any | Star | Set | Group) -> str:
    match node:
        case Char(char):
            return _code(ord(char))
        case Any():
            return f"[^{_OTHER}]"
        case Star():
            return f"[^{_OTHER}]*"
        case Set(ranges, negated):
            return _set(ranges, negated=negated)
        case Group(kind, alternatives):
            return f"(?:{'|'.join(map(regex, alternatives))}){_AFTER[kind]}"


def _set(ranges: tuple[tuple[int, int], ...], *, negated: bool) -> str:
    if negated:
        return f"[^{_OTHER}{''.join(f'{_code(first)}-{_code(last)}' for first, last in ranges)}]"
    kept = [(first, last) for each in ranges for first, last in _without(*each)]
    return f"[{''.join(f'{_code(first)}-{_code(last)}' for first, last in kept)}]" if kept else _NEVER


def _without(first: int, last: int) -> list[tuple[int, int]]:
    """A range less the characters that no set matches."""
    ranges = [(first, last)]
    for code in _OTHER_CODES:
        ranges = [
            part
            for low, high in ranges
            for part in (
                ((low, min(high, code - 1)), (max(low, code + 1), high)) if low <= code <= high else ((low, high),)
            )
            if part[0] <= part[1]
        ]
    return ranges


def _code(code: int) -> str:
    return f"\\x{{{code:X}}}"
