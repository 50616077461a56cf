"""Ways of looking at a file: as text, as JSON laid out, as an image, as hex.

Each gives lines for a window, as far as it has them.

A text is read on as one scrolls, up to a limit: nobody knows where line a million begins before all lines above it were
read. Hex has no such limit: a row of any file can be had at once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from jobdeck_tui.console.chunks import Chunk
from jobdeck_tui.console.peek import TextLines, bytes_per_row, hex_lines, json_text, offset_digits
from jobdeck_tui.console.pixels import half_blocks
from jobdeck_tui.console.settings import PEEK_PIECE_BYTES, PEEK_TEXT_LIMIT_BYTES
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from jobdeck_tui.console.logmodel import LogLine

    Read = Callable[[int, int], Awaitable[bytes]]
    """Bytes from an offset up to another; fewer where the file ends."""

__all__ = ["HexMode", "ImageMode", "JsonMode", "Mode", "TextMode"]


class Mode(Protocol):
    """A way of looking.

    Attributes:
        name: ``text``, ``json``, ``image``, ``hex``.
        words: The lines, where a pattern can be searched in them; else None.
    """

    name: str

    @property
    def words(self) -> TextLines | None:
        """See above."""

    @property
    def line_count(self) -> int:
        """Lines, as far as is known."""

    @property
    def told(self) -> str:
        """What there is to say of it."""

    async def fit(self, cells: int) -> bool:
        """The window is so wide; whether its lines are others now."""

    async def more(self, last: int) -> bool:
        """Line ``last`` is seen: read on, if there is more; whether anything came."""

    async def lines(self, start: int, count: int, *, cap_bytes: int) -> Sequence[LogLine]:
        """Some lines."""


class TextMode:
    """A text as it stands in the file."""

    name = "text"

    def __init__(self, read: Read, size_bytes: int) -> None:
        self._read = read
        self._size_bytes = size_bytes
        self.words = TextLines(whole=not size_bytes)

    @property
    def line_count(self) -> int:
        """So far."""
        return self.words.line_count

    @property
    def told(self) -> str:
        """How far it was read."""
        read_bytes = len(self.words.data)
        if self.words.whole:
            return ""
        if read_bytes >= PEEK_TEXT_LIMIT_BYTES:
            return f"the first {bytes_text(read_bytes)}: x shows all as hex"
        return f"{bytes_text(read_bytes)} read"

    async def fit(self, cells: int) -> bool:
        """Lines do not depend on the width."""
        del cells
        return False

    async def more(self, last: int) -> bool:
        """Read on when the end of what was read comes near."""
        at = len(self.words.data)
        if self.words.whole or at >= PEEK_TEXT_LIMIT_BYTES or last < self.line_count - 1:
            return False
        data = await self._read(at, min(at + PEEK_PIECE_BYTES, PEEK_TEXT_LIMIT_BYTES))
        if at == len(self.words.data):  # nobody else has read on meanwhile
            self.words.feed(data, whole=not data or at + len(data) >= self._size_bytes)
        return True

    async def lines(self, start: int, count: int, *, cap_bytes: int) -> Sequence[LogLine]:
        """Those that were read."""
        return self.words.lines(start, count, cap_bytes=cap_bytes)


class JsonMode:
    """JSON laid out over lines; made by ``of``."""

    name = "json"

    def __init__(self, text: bytes) -> None:
        self.words = TextLines(text, whole=True)

    @classmethod
    async def of(cls, data: bytes) -> JsonMode | None:
        """None if it is no JSON."""
        text = await asyncio.to_thread(json_text, data)
        return None if text is None else cls(text)

    @property
    def line_count(self) -> int:
        """All of them."""
        return self.words.line_count

    @property
    def told(self) -> str:
        """That lines are not those of the file."""
        return "laid out: x shows it as it is"

    async def fit(self, cells: int) -> bool:
        """Lines do not depend on the width."""
        del cells
        return False

    async def more(self, last: int) -> bool:
        """All is here."""
        del last
        return False

    async def lines(self, start: int, count: int, *, cap_bytes: int) -> Sequence[LogLine]:
        """Any."""
        return self.words.lines(start, count, cap_bytes=cap_bytes)


class ImageMode:
    """An image in half blocks, as wide as there is room; made by ``of``."""

    name = "image"
    words = None

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._rows: list[bytes] = []
        self._cells = 0

    @classmethod
    async def of(cls, data: bytes, cells: int) -> ImageMode | None:
        """None if it cannot be shown."""
        mode = cls(data)
        await mode.fit(cells)
        return mode if mode._rows else None

    @property
    def line_count(self) -> int:
        """All of them."""
        return len(self._rows)

    @property
    def told(self) -> str:
        """That it is not all there is to see."""
        return "x shows its bytes"

    async def fit(self, cells: int) -> bool:
        """As wide as the window, but not wider than it is."""
        if cells == self._cells:
            return False
        self._cells = cells
        self._rows = await asyncio.to_thread(half_blocks, self._data, cells) or self._rows
        return True

    async def more(self, last: int) -> bool:
        """All is here."""
        del last
        return False

    async def lines(self, start: int, count: int, *, cap_bytes: int) -> Sequence[LogLine]:
        """Any, each whole."""
        del cap_bytes
        rows = enumerate(self._rows[start : start + count], start)
        return [Chunk(n=n, offset=n, data=row) for n, row in rows]


class HexMode:
    """Bytes as hex and as characters, a row where it is looked at; ``per_row`` bytes in each."""

    name = "hex"
    words = None

    def __init__(self, read: Read, size_bytes: int) -> None:
        self._read = read
        self.size_bytes = size_bytes
        self.per_row = 0
        self._digits = offset_digits(size_bytes)

    @property
    def line_count(self) -> int:
        """Known from the start."""
        return -(-self.size_bytes // self.per_row) if self.per_row else 0

    @property
    def told(self) -> str:
        """How many bytes are in a row."""
        return f"{self.per_row} bytes a row"

    async def fit(self, cells: int) -> bool:
        """As many bytes as have room."""
        before, self.per_row = self.per_row, bytes_per_row(cells, self._digits)
        return self.per_row != before

    async def more(self, last: int) -> bool:
        """All is known."""
        del last
        return False

    async def lines(self, start: int, count: int, *, cap_bytes: int) -> Sequence[LogLine]:
        """Any."""
        del cap_bytes
        per_row = self.per_row
        data = await self._read(start * per_row, min((start + count) * per_row, self.size_bytes))
        return hex_lines(data, first=start, per_row=per_row, digits=self._digits)
