"""What is selected of a log: whole lines, or from one character to another. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

__all__ = ["Selection", "Spot"]


class Spot(NamedTuple):
    """A character: its line, and which of the characters that are shown of it."""

    line: int
    char: int = 0


@dataclass(frozen=True, slots=True)
class Selection:
    """From where it was begun to where it was drawn last; either may come first in the log.

    Attributes:
        anchor: Where it was begun.
        head: Where it ends now. The character there is not part of it.
        whole: Whole lines, both ends included, whatever the characters.
    """

    anchor: Spot
    head: Spot
    whole: bool = False

    @property
    def first(self) -> int:
        """Its first line."""
        return min(self.anchor.line, self.head.line)

    @property
    def last(self) -> int:
        """Its last line."""
        return max(self.anchor.line, self.head.line)

    @property
    def line_count(self) -> int:
        """Lines that it touches."""
        return self.last + 1 - self.first

    @property
    def empty(self) -> bool:
        """Nothing is in it."""
        return not self.whole and self.anchor == self.head

    def to(self, head: Spot) -> Selection:
        """Drawn to another end."""
        return replace(self, head=head)

    def span(self, line: int, length: int) -> tuple[int, int] | None:
        """Which characters of a line with ``length`` of them are in it; None if the line is outside."""
        if not self.first <= line <= self.last:
            return None
        if self.whole:
            return 0, length
        begin, end = sorted((self.anchor, self.head))
        start = begin.char if line == begin.line else 0
        stop = end.char if line == end.line else length
        return min(start, length), min(stop, length)
