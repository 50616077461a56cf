"""One line of foreign bytes as text that is safe, styled, and as wide as it says.

The sanitiser (``jobdeck_tui.sanitise``) decides what may pass; this file lays out what passed, for one line by itself:

- SGR sequences become ``Look``s. The state starts anew with each line.
- Tabs become spaces, up to the next multiple of eight cells.
- A carriage return goes back to the start, and what follows overwrites: the text is what a terminal would show last,
  with a ``␍`` before it where something was overwritten. Erasing the line belongs to that (``ESC [ 2K``), and so does
  ``ESC [ G``. One return at the end of a line belongs to the newline.
- Erasing to the end of the line (``ESC [ K``) is dropped: grep and compilers write it after each change of colour, and
  in a log nothing stands to the right of what was written last.
- Joiners and variation selectors are left out, since terminals do not agree on how wide a joined emoji is. Everything
  else is as wide as Rich, and so Textual, takes it for. A combining character at the very start stands on ``◌``.

Positions in the bytes (which stream wrote them, what a search found) are handed in as ``Tag``s and come back as
positions in the text. Pure.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import NamedTuple

from rich.cells import get_character_cell_size

from jobdeck_tui.sanitise import Sanitiser

__all__ = ["OVERWRITTEN", "Colour", "Look", "Piece", "Shown", "Tag", "lay_out", "plain_text"]

Colour = int | tuple[int, int, int]
"""One of the 256 colours of terminals, the first 16 of which every theme has its own idea of; or red, green, blue."""

OVERWRITTEN = "␍"
_TAB_CELLS = 8
_BASE = "◌"
_STEPS = re.compile(
    # a return with all the erasing around it
    rb"(?P<back>(?:\x1b\[[0-2]?K)*(?:\r|\x1b\[[01]?G)(?:\r|\x1b\[[01]?G|\x1b\[[0-2]?K)*)"
    rb"|\x1b\[0?K"
)
_ERASED = re.compile(rb"2K|[\rG].*\x1b\[0?K", re.DOTALL)
_UNSURE = "\u200d\ufe00-\ufe0f"
_TOKENS = re.compile(rf"\x1b\[(?P<sgr>[0-9;]*)m|(?P<tab>\t)|(?P<unsure>[{_UNSURE}]+)|[^\x1b\t{_UNSURE}]+")


class Tag(NamedTuple):
    """Something to be said of a part of a line: in bytes when it is handed in, in characters when it comes back."""

    start: int
    end: int
    kind: str


class Look(NamedTuple):
    """How a program wants a piece of text to look. None is the colour of the place where it is shown."""

    fg: Colour | None = None
    bg: Colour | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: bool = False
    reverse: bool = False
    strike: bool = False
    overline: bool = False


class Piece(NamedTuple):
    """A stretch of text in which nothing changes."""

    text: str
    look: Look
    kinds: frozenset[str]


_PLAIN = Look()


@dataclass(frozen=True)
class Shown:
    """A line as it is shown.

    Attributes:
        text: All of it; no control characters, no tabs.
        looks: Where each look ends, and the look; the last one ends with the text.
        tags: In characters; those of what was overwritten are gone.
    """

    text: str
    looks: tuple[tuple[int, Look], ...]
    tags: tuple[Tag, ...]

    @cached_property
    def _stops(self) -> list[int] | None:
        """Cells before each character, and the width at the end; None where each character takes one."""
        if self.text.isascii():
            return None
        widths = list(map(get_character_cell_size, self.text))
        if widths.count(1) == len(widths):
            return None
        stops, cell = [0], 0
        for width in widths:
            cell += width
            stops.append(cell)
        return stops

    @property
    def cells(self) -> int:
        """Its width."""
        return len(self.text) if self._stops is None else self._stops[-1]

    def cell_of(self, index: int) -> int:
        """Cells before a character."""
        return index if self._stops is None else self._stops[index]

    def index_at(self, cell: int) -> int:
        """The character that covers a cell; the text's length beyond its end."""
        if self._stops is None:
            return max(0, min(cell, len(self.text)))
        if cell >= self._stops[-1]:
            return len(self.text)
        # Of those that begin at one cell the last has a width: the others are combined with what stands before.
        return max(0, bisect_right(self._stops, cell) - 1)

    def rows(self, width: int) -> list[int]:
        """Where the rows begin when it is wrapped at so many cells; at least one row."""
        if self._stops is None:
            return list(range(0, len(self.text), width)) or [0]
        starts, end = [0], width
        for index in range(1, len(self.text)):
            if self._stops[index + 1] > end and self._stops[index + 1] > self._stops[index]:
                starts.append(index)
                end = self._stops[index] + width
        return starts

    def pieces(self, start: int, end: int, extra: Iterable[Tag] = ()) -> Iterator[Piece]:
        """The text between two characters, in pieces.

        Args:
            start: The first character.
            end: That behind the last one; not beyond the text.
            extra: Tags beside its own, in characters.
        """
        tags = [tag for tag in (*self.tags, *extra) if tag.start < end and tag.end > start]
        edges = {each for tag in tags for each in (tag.start, tag.end) if start < each < end}
        edges.update(stop for stop, _ in self.looks if start < stop < end)
        looks = iter(self.looks)
        stop, look = next(looks, (end, _PLAIN))
        at = start
        for edge in sorted(edges | {end}):
            while stop <= at and at < end:
                stop, look = next(looks, (end, _PLAIN))
            if edge > at:
                kinds = frozenset(tag.kind for tag in tags if tag.start <= at < tag.end)
                yield Piece(self.text[at:edge], look, kinds)
            at = edge


class _Part(NamedTuple):
    """Text of one look, and the characters of the cleaned text that it stands for."""

    text: str
    look: Look
    start: int
    end: int


def lay_out(data: bytes, tags: Sequence[Tag] = (), *, cut: bool = False) -> Shown:
    """Lay out a line.

    Args:
        data: Its bytes, without the newline.
        tags: Of its bytes.
        cut: The line goes on behind ``data``: what is begun at its end is left out.
    """
    if not cut and data.endswith(b"\r"):
        data = data[:-1]
    if data.isascii():
        text = data.decode("ascii")
        if text.isprintable():
            size = len(text)
            found = tuple(Tag(tag.start, min(tag.end, size), tag.kind) for tag in tags if tag.start < size)
            return Shown(text, ((size, _PLAIN),), found)
    return _lay_out(data, tags, cut=cut)


def plain_text(data: bytes, *, cut: bool = False) -> str:
    """A line as it is copied: what ``lay_out`` shows of it, but for looks; with its own tabs, joiners and selectors."""
    if not cut and data.endswith(b"\r"):
        data = data[:-1]
    cleaned, backs, _ = _cleaned(data, set(), cut=cut)
    segments = _segments(cleaned, [at for at, _ in backs], exact=True)
    return "".join(part.text for part in _overwritten(segments, [erased for _, erased in backs]) if part.start >= 0)


def _lay_out(data: bytes, tags: Sequence[Tag], *, cut: bool) -> Shown:
    cleaned, backs, places = _cleaned(data, {each for tag in tags for each in (tag.start, tag.end)}, cut=cut)
    segments = _segments(cleaned, [at for at, _ in backs])
    parts = _overwritten(segments, [erased for _, erased in backs])
    text: list[str] = []
    looks: list[tuple[int, Look]] = []
    found: list[Tag] = []
    at = 0
    inner = [(places[tag.start], places[tag.end], tag.kind) for tag in tags]
    for part in parts:
        for start, end, kind in inner:
            if start < part.end and end > part.start:
                found.append(_placed(part, at, start, end, kind))
        at += len(part.text)
        text.append(part.text)
        if looks and looks[-1][1] == part.look:
            looks[-1] = (at, part.look)
        elif part.text:
            looks.append((at, part.look))
    return Shown("".join(text), tuple(looks), tuple(found))


def _placed(part: _Part, at: int, start: int, end: int, kind: str) -> Tag:
    """The part of a tag that falls on a part of the text which begins at ``at``; whole where that is a tab."""
    if len(part.text) != part.end - part.start:
        return Tag(at, at + len(part.text), kind)
    return Tag(at + max(0, start - part.start), at + min(end, part.end) - part.start, kind)


def _cleaned(data: bytes, edges: set[int], *, cut: bool) -> tuple[str, list[tuple[int, bool]], dict[int, int]]:
    """What the sanitiser makes of a line.

    Returns:
        The text; where in it the returns stood, and whether they erased all before; where each of ``edges``, positions
        in ``data``, is in it.
    """
    sanitiser = Sanitiser()
    out: list[str] = []
    places: dict[int, int] = {}
    backs: list[tuple[int, bool]] = []
    waiting = sorted(edges, reverse=True)
    size = at = 0

    def put(text: str) -> None:
        nonlocal size
        out.append(text)
        size += len(text)

    def feed(end: int) -> None:
        nonlocal at
        while waiting and waiting[-1] <= end:
            edge = max(at, waiting.pop())
            put(sanitiser.feed(data[at:edge]))
            at, places[edge] = edge, size
        put(sanitiser.feed(data[at:end]))
        at = end

    for step in _STEPS.finditer(data):
        feed(step.start())
        # A return ends whatever was begun before it, as the bytes that are left out here did.
        put(sanitiser.feed(b"\r")[:-1])
        if step["back"] is not None:
            backs.append((size, _ERASED.search(step["back"]) is not None))
        while waiting and waiting[-1] < step.end():
            places[waiting.pop()] = size
        at = step.end()
    feed(len(data))
    if not cut:
        put(sanitiser.close())
    return "".join(out), backs, {edge: places.get(edge, size) for edge in edges}


def _segments(cleaned: str, edges: Iterable[int], *, exact: bool = False) -> list[list[_Part]]:
    """What was written between the returns; if ``exact``, with tabs and joiners as they are."""
    segments: list[list[_Part]] = []
    look, at = _PLAIN, 0
    for edge in (*edges, len(cleaned)):
        segment: list[_Part] = []
        column = 0
        for token in _TOKENS.finditer(cleaned, at, edge):
            start, text = token.start(), token[0]
            if token["sgr"] is not None:
                look = _turned(look, token["sgr"])
                continue
            if token["unsure"] is not None and not exact:
                continue
            if token["tab"] is not None and not exact:
                text = " " * (_TAB_CELLS - column % _TAB_CELLS)
            elif not segment and not exact and not text.isascii() and not get_character_cell_size(text[0]):
                start, text = start - 1, _BASE + text
            segment.append(_Part(text, look, start, token.end()))
            column += _cells(text)
        segments.append(segment)
        at = edge
    return segments


def _overwritten(segments: list[list[_Part]], erased: Sequence[bool]) -> list[_Part]:
    """What a terminal would show last: each segment from the start, over what the one before it left."""
    parts = list(segments[-1])
    column = sum(_cells(part.text) for part in parts)
    some, hidden = bool(parts), False
    for number in range(len(segments) - 2, -1, -1):
        segment = segments[number]
        if erased[number]:
            hidden = hidden or any(segments[: number + 1])
            break
        hidden = hidden or (some and bool(segment))
        some = some or bool(segment)
        width = sum(_cells(part.text) for part in segment)
        if width > column:
            parts += _behind(segment, column)
            column = width
    return [_Part(OVERWRITTEN, Look(dim=True), -1, -1), *parts] if hidden else parts


def _behind(segment: Iterable[_Part], cell: int) -> Iterator[_Part]:
    """What of a segment stands at and behind a cell."""
    column = 0
    for part in segment:
        width = _cells(part.text)
        if column >= cell:
            yield part
        elif column + width > cell:
            yield from _halved(part, cell - column)
        column += width


def _halved(part: _Part, cell: int) -> Iterator[_Part]:
    """What of a part stands at and behind a cell; a blank for the right half of a wide character."""
    column = 0
    for index, character in enumerate(part.text):
        if column >= cell:
            if column > cell:
                yield _Part(" " * (column - cell), part.look, 0, 0)
            same = len(part.text) == part.end - part.start
            yield part._replace(text=part.text[index:], start=part.start + index if same else part.start)
            return
        column += get_character_cell_size(character)
    if column > cell:
        yield _Part(" " * (column - cell), part.look, 0, 0)


def _cells(text: str) -> int:
    return len(text) if text.isascii() else sum(map(get_character_cell_size, text))


# -- SGR --

_ON = {1: "bold", 2: "dim", 3: "italic", 4: "underline", 7: "reverse", 9: "strike", 21: "underline", 53: "overline"}
_OFF = {
    22: ("bold", "dim"),
    23: ("italic",),
    24: ("underline",),
    27: ("reverse",),
    29: ("strike",),
    39: ("fg",),
    49: ("bg",),
    55: ("overline",),
}
_NORMAL = _PLAIN._asdict()


@lru_cache(maxsize=1024)
def _turned(look: Look, codes: str) -> Look:
    """A look after an SGR sequence, as the sanitiser writes them: known codes only, all of them well-formed."""
    numbers = iter(map(int, codes.split(";")))
    for code in numbers:
        if code == 0:
            look = _PLAIN
        elif code in _ON:
            look = look._replace(**{_ON[code]: True})
        elif code in _OFF:
            look = look._replace(**{name: _NORMAL[name] for name in _OFF[code]})
        elif code in (38, 48):
            colour = next(numbers) if next(numbers) == 5 else (next(numbers), next(numbers), next(numbers))
            look = look._replace(fg=colour) if code == 38 else look._replace(bg=colour)
        else:
            look = _coloured(look, code)
    return look


def _coloured(look: Look, code: int) -> Look:
    """A look after one of the codes for the first 16 colours."""
    bright = 8 if code >= 90 else 0
    number = code % 10 + bright
    return look._replace(bg=number) if code // 10 in (4, 10) else look._replace(fg=number)
