"""A line that is too long for a screen, in pieces that a window on a log can show as if they were lines. Pure.

Piece k is what stands from byte k * ``size`` on, but that no character is cut: it begins with the first byte there that
does not continue a character, and ends where the next one begins.
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["OVERLAP_BYTES", "Chunk", "chunks_of", "count_of"]

OVERLAP_BYTES = 3
"""So many bytes at most of a character stand after its first one."""
_RETURN = "␍".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece as a line; see ``logmodel.LogLine``. Returns in it are shown, not obeyed: nothing is overwritten."""

    n: int
    offset: int
    data: bytes
    newline: bool = True
    time_us: int = 0
    runs: tuple[tuple[int, str, int], ...] = ()

    @property
    def length(self) -> int:
        """All of it is held."""
        return len(self.data)


def count_of(length: int, size: int) -> int:
    """How many pieces a line of so many bytes has."""
    return max(1, -(-length // size))


def chunks_of(data: bytes, *, first: int, count: int, size: int) -> list[Chunk]:
    """Pieces of a line.

    Args:
        data: The line's bytes from ``first * size`` on: so many pieces, and ``OVERLAP_BYTES`` more if there are any.
        first: The first piece.
        count: How many, at most.
        size: Bytes of a piece.
    """
    found: list[Chunk] = []
    for k in range(count):
        start, end = _begin(data, k * size) if first + k else 0, _begin(data, (k + 1) * size)
        if k * size >= len(data):
            break
        found.append(Chunk(n=first + k, offset=(first + k) * size, data=data[start:end].replace(b"\r", _RETURN)))
    return found


def _begin(data: bytes, at: int) -> int:
    end = min(at + OVERLAP_BYTES, len(data))
    while at < end and data[at] & 0xC0 == 0x80:
        at += 1
    return min(at, len(data))
