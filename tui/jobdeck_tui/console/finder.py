"""Where a pattern matches within the lines at hand, so that all matches on the screen can be marked at once.

The server searches the log; this marks what is seen, with the same engine and the same options, so that both agree.
"""

from __future__ import annotations

from typing import Protocol

import re2  # type: ignore[import-untyped]  # the package tells no types

from jobdeck_tui.console.ansi import Tag

__all__ = ["HIT", "Finder"]

HIT = "hit"
_LIMIT_COUNT = 500
_PATTERN_MEMORY_BYTES = 1024 * 1024


class _Match(Protocol):
    def span(self) -> tuple[int, int]: ...


class _Regexp(Protocol):
    def search(self, text: bytes, pos: int) -> _Match | None: ...


class Finder:
    """A pattern made ready.

    Args:
        pattern: Words, or a regular expression of RE2.
        regex: Which of the two.
        case: Upper and lower case are told apart.

    Raises:
        ValueError: It is no regular expression, or no text.
    """

    def __init__(self, pattern: str, *, regex: bool = False, case: bool = True) -> None:
        options = re2.Options()
        options.literal, options.case_sensitive = not regex, case
        options.never_nl, options.log_errors, options.max_mem = True, False, _PATTERN_MEMORY_BYTES
        try:
            self._regexp: _Regexp = re2.compile(pattern.encode(), options)
        except re2.error as error:
            why = error.args[0] if error.args else error
            raise ValueError(why.decode(errors="replace") if isinstance(why, bytes) else str(why)) from error

    def tags(self, data: bytes) -> list[Tag]:
        """The matches in a line, the first few hundred; empty ones are left out."""
        found: list[Tag] = []
        at = 0
        while at <= len(data) and len(found) < _LIMIT_COUNT:
            match = self._regexp.search(data, at)
            if match is None:
                break
            start, end = match.span()
            if end > start:
                found.append(Tag(start, end, HIT))
            at = end if end > start else end + 1
        return found
