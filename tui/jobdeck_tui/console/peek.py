"""What is in a file, for looking at it: which kind it is, its lines, its bytes as hex, its JSON laid out. Pure.

Lines are made as ``logmodel.LogLine``s, so that the window on a log shows them: sanitised, wrapped, searched, copied.
Colours of our own stand in them as SGR sequences, as a program's would in its output.
"""

from __future__ import annotations

import json
import re
import struct
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_tui.console.ansi import Tag
from jobdeck_tui.console.chunks import Chunk
from jobdeck_tui.console.finder import Finder
from jobdeck_tui.console.settings import LINE_CAP_BYTES, PEEK_LAID_OUT_LIMIT_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


__all__ = [
    "PeekLine",
    "PlainFinder",
    "Target",
    "TextLines",
    "bytes_per_row",
    "hex_cells",
    "hex_lines",
    "hit_from",
    "is_text",
    "json_text",
    "offset_digits",
    "what_is",
]

_COLOURS = re.compile(rb"\x1b\[[0-9;:]*m")
_SNIFF_BYTES = 8192
_ODD_PART = 0.1
"""A text may have so many characters that are none: Latin-1, or a cut file."""
_PLAIN = frozenset({*b"\t\n\r\f\b\x1b", *range(0x20, 0x7F), *range(0x80, 0x100)})
_DIM, _KEY, _STRING, _NUMBER, _WORD, _END = (f"\x1b[{code}m".encode() for code in (2, 36, 32, 33, 35, 0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is looked at: a blob, or a file of an artifact.

    Attributes:
        hash: Of the blob.
        name: Foreign text.
        path: Within the artifact; None for the blob itself.
        value: A JSON value that is looked at instead; ``hash`` is empty then.
        data: Bytes that are looked at instead; ``hash`` is empty then.
    """

    hash: str
    name: str
    path: str | None = None
    value: Any = None
    data: bytes | None = None


# -- which kind --

_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF87a", "GIF image"),
    (b"GIF89a", "GIF image"),
    (b"BM", "BMP image"),
    (b"%PDF-", "PDF"),
    (b"PK\x03\x04", "zip archive"),
    (b"PK\x05\x06", "empty zip archive"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"BZh", "bzip2"),
    (b"7z\xbc\xaf\x27\x1c", "7z archive"),
    (b"\x7fELF", "ELF program"),
    (b"SQLite format 3\x00", "SQLite database"),
)


def what_is(head: bytes) -> str:
    """A word or two for the first bytes of a file, with the measures of an image; empty where they tell nothing."""
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _measured("WebP image", head)
    if head[257:262] == b"ustar":
        return "tar archive"
    word = next((word for magic, word in _MAGIC if head.startswith(magic)), "")
    return _measured(word, head) if word.endswith(" image") else word


def _measured(word: str, head: bytes) -> str:
    try:
        found = _MEASURES[word.partition(" ")[0]](head)
    except (struct.error, IndexError):
        found = None
    return word if found is None else f"{word}, {found[0]} x {found[1]}"


def _png(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", head, 16)
    return width, height


def _gif(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<HH", head, 6)
    return width, height


def _bmp(head: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from("<ii", head, 18)
    return width, abs(height)


def _jpeg(head: bytes) -> tuple[int, int] | None:
    """From the first frame header; segments before it are skipped."""
    at = 2
    while head[at] == 0xFF:
        marker, length = head[at + 1], struct.unpack_from(">H", head, at + 2)[0]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack_from(">HH", head, at + 5)
            return width, height
        at += 2 + length
    return None


def _webp(head: bytes) -> tuple[int, int] | None:
    match head[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", head, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = struct.unpack_from("<I", head, 21)[0]
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        case b"VP8X":
            return int.from_bytes(head[24:27], "little") + 1, int.from_bytes(head[27:30], "little") + 1
    return None


_MEASURES = {"PNG": _png, "GIF": _gif, "BMP": _bmp, "JPEG": _jpeg, "WebP": _webp}


def is_text(head: bytes) -> bool:
    """Whether the first bytes of a file are those of a text, in UTF-8 or nearly so."""
    head = head[:_SNIFF_BYTES]
    if b"\0" in head:
        return False
    odd = sum(byte not in _PLAIN for byte in head) + head.decode(errors="replace")[:-1].count("\ufffd")
    return odd <= len(head) * _ODD_PART


# -- text --


@dataclass(frozen=True, slots=True, kw_only=True)
class PeekLine:
    """A line of a text; see ``logmodel.LogLine``."""

    n: int
    offset: int
    length: int
    data: bytes
    newline: bool = True
    time_us: int = 0
    runs: tuple[tuple[int, str, int], ...] = ()


class TextLines:
    """The lines of a text that comes in pieces, from its start.

    Attributes:
        data: What came.
        whole: Nothing more comes.
    """

    def __init__(self, data: bytes = b"", *, whole: bool = False) -> None:
        self.data = bytearray()
        self.whole = False
        self._ends = array("I")  # of finished lines, behind the newline
        self.feed(data, whole=whole)

    def feed(self, data: bytes, *, whole: bool) -> None:
        """The next piece came; ``whole`` if it is the last one."""
        at = len(self.data)
        self.data += data
        self.whole = whole
        while (newline := self.data.find(b"\n", at)) >= 0:
            at = newline + 1
            self._ends.append(at)

    @property
    def line_count(self) -> int:
        """Lines so far, an unfinished last one counted."""
        finished = self._ends[-1] if self._ends else 0
        return len(self._ends) + (finished < len(self.data))

    def lines(self, start: int, count: int, *, cap_bytes: int = LINE_CAP_BYTES) -> list[PeekLine]:
        """Some lines, of each at most so many bytes."""
        return [self._line(n, cap_bytes) for n in range(max(0, start), min(start + count, self.line_count))]

    def _line(self, n: int, cap_bytes: int) -> PeekLine:
        begin = self._ends[n - 1] if n else 0
        finished = n < len(self._ends)
        end = self._ends[n] - 1 if finished else len(self.data)
        data = bytes(self.data[begin : min(end, begin + cap_bytes)])
        return PeekLine(n=n, offset=begin, length=end - begin, data=data, newline=finished or self.whole)

    def hits(self, finder: Finder, limit_count: int) -> list[tuple[int, Tag]]:
        """Where a pattern matches, in order, as far as lines are shown: the line, and where in it. For a thread."""
        found: list[tuple[int, Tag]] = []
        for n in range(self.line_count):
            found += [(n, tag) for tag in finder.tags(self._line(n, LINE_CAP_BYTES).data)]
            if len(found) >= limit_count:
                break
        return found[:limit_count]


def hit_from(hits: Sequence[tuple[int, Tag]], line: int) -> int:
    """The first hit at or behind a line; one past the last where there is none."""
    return bisect_right(hits, line - 1, key=lambda hit: hit[0])


class PlainFinder(Finder):
    """Finds what is seen: colours in between do not count, neither ours nor those of the file."""

    def tags(self, data: bytes) -> list[Tag]:
        """As ``Finder.tags``; positions are those of ``data``."""
        codes = [match.span() for match in _COLOURS.finditer(data)]
        if not codes:
            return super().tags(data)
        starts, shifts, shift = [0], [0], 0  # from this place of the plain text on, so many bytes more stand before it
        for begin, end in codes:
            starts.append(begin - shift)
            shift += end - begin
            shifts.append(shift)

        def place(at: int, *, end: bool = False) -> int:
            return at + shifts[(bisect_left if end else bisect_right)(starts, at) - 1]

        found = super().tags(_COLOURS.sub(b"", data))
        return [Tag(place(tag.start), place(tag.end, end=True), tag.kind) for tag in found]


# -- hex --

_OFFSET_DIGITS = 8
_HEX_FIXED_CELLS = 2 + 2
_HEX_CHOICES = (64, 32, 16, 8)
_GROUP = 8
_SHOWN = bytes(byte if 0x20 <= byte < 0x7F else 0x2E for byte in range(256))


def offset_digits(size_bytes: int) -> int:
    """How many hex digits an offset in a file of this size has."""
    return max(_OFFSET_DIGITS, len(f"{size_bytes:x}"))


def hex_cells(per_row: int, digits: int = _OFFSET_DIGITS) -> int:
    """How wide a row of so many bytes is."""
    return digits + _HEX_FIXED_CELLS + 3 * per_row + (per_row // _GROUP - 1) - 1 + per_row


def bytes_per_row(cells: int, digits: int = _OFFSET_DIGITS) -> int:
    """How many bytes a row has in so many cells."""
    return next((count for count in _HEX_CHOICES if hex_cells(count, digits) <= cells), _HEX_CHOICES[-1])


def hex_lines(data: bytes, *, first: int, per_row: int, digits: int = _OFFSET_DIGITS) -> list[Chunk]:
    """Rows of a dump: where, the bytes, and those of them that are characters.

    Args:
        data: The bytes from ``first * per_row`` on.
        first: The number of the first row.
        per_row: Bytes in a row, a multiple of eight.
        digits: Of an offset.
    """
    rows = range(-(-len(data) // per_row))
    return [_hex_line(first + k, data[k * per_row : (k + 1) * per_row], per_row, digits) for k in rows]


def _hex_line(n: int, data: bytes, per_row: int, digits: int) -> Chunk:
    groups = [data[at : at + _GROUP].hex(" ") for at in range(0, per_row, _GROUP)]
    cells = "  ".join(f"{group:<{3 * _GROUP - 1}}" for group in groups)
    offset = n * per_row
    text = b"%b%0*x%b  %b  %b%b%b" % (_DIM, digits, offset, _END, cells.encode(), _STRING, data.translate(_SHOWN), _END)
    return Chunk(n=n, offset=offset, data=text)


# -- JSON --


_INDENT = b"  "
_BRACKETS = {False: (b"[", b"]"), True: (b"{", b"}")}


class _Literal(str):
    """A number as it is written: no digit of it is lost on the way through a float."""

    __slots__ = ()


class _Pairs(list[tuple[str, Any]]):
    """An object with all its names, those that stand there twice too."""


def json_text(data: bytes) -> bytes | None:
    """JSON laid out over lines, in colours; None if it is none, or too much, or nested too deeply. For a thread."""
    try:
        value = json.loads(
            data,
            object_pairs_hook=_Pairs,
            parse_float=_Literal,
            parse_int=_Literal,
            parse_constant=_Literal,
        )
        return _joined(_laid_out(value))
    except (ValueError, RecursionError):
        return None


def _joined(parts: Iterable[bytes]) -> bytes | None:
    """All of them; None if that is too much: what is nested deeply is mostly blanks."""
    found: list[bytes] = []
    size = 0
    for part in parts:
        size += len(part)
        if size > PEEK_LAID_OUT_LIMIT_BYTES:
            return None
        found.append(part)
    return b"".join(found)


def _laid_out(value: object) -> Iterator[bytes]:
    """The text in pieces. A stack of its own: generators within generators would cost their depth with each piece."""
    left: list[tuple[Iterator[tuple[int, tuple[bytes, object]]], bytes]] = []  # what is still to come, and its end
    while True:
        if isinstance(value, list) and value:
            begin, end = _BRACKETS[isinstance(value, _Pairs)]
            yield begin
            left.append((enumerate(_inner(value)), end))
        else:
            yield _single(value)
        while left:
            items, end = left[-1]
            step = next(items, None)
            if step is not None:
                break
            left.pop()
            yield b"\n" + _INDENT * len(left) + end
        else:
            return
        n, (name, value) = step
        yield (b",\n" if n else b"\n") + _INDENT * len(left) + name


def _inner(value: list[Any]) -> Iterator[tuple[bytes, object]]:
    """Names, empty in an array, and values."""
    if isinstance(value, _Pairs):
        return ((b"%b%b%b: " % (_KEY, _quoted(name), _END), each) for name, each in value)
    return ((b"", each) for each in value)


def _single(value: object) -> bytes:
    """What has nothing inside."""
    if isinstance(value, list):
        return b"".join(_BRACKETS[isinstance(value, _Pairs)])
    if isinstance(value, _Literal):
        return _NUMBER + value.encode() + _END
    if isinstance(value, str):
        return _STRING + _quoted(value) + _END
    return _WORD + json.dumps(value).encode() + _END


def _quoted(text: str) -> bytes:
    return json.dumps(text, ensure_ascii=False).encode(errors="replace")
