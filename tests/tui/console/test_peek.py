"""What is in a file: its kind, its lines, its bytes, its JSON."""

from __future__ import annotations

import json
import struct
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_tui.console.ansi import Tag, lay_out
from jobdeck_tui.console.finder import HIT
from jobdeck_tui.console.peek import (
    PlainFinder,
    TextLines,
    bytes_per_row,
    hex_cells,
    hex_lines,
    hit_from,
    is_text,
    json_text,
    offset_digits,
    what_is,
)
from jobdeck_tui.console.screens.goto import row_of


def plain(data: bytes) -> str:
    return lay_out(data).text


def png(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + head + struct.pack(">I", zlib.crc32(b"IHDR" + head))


JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF" + bytes(10) + b"\xff\xc0\x00\x11\x08" + struct.pack(">HH", 480, 640) + bytes(12)


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (png(640, 480), "PNG image, 640 x 480"),
        (png(640, 480)[:20], "PNG image"),
        (JPEG, "JPEG image, 640 x 480"),
        (JPEG[:22], "JPEG image"),
        (b"\xff\xd8\xff", "JPEG image"),
        (b"GIF89a" + struct.pack("<HH", 3, 4), "GIF image, 3 x 4"),
        (b"BM" + bytes(16) + struct.pack("<ii", 7, -5), "BMP image, 7 x 5"),
        (b"RIFF....WEBPVP8X" + bytes(8) + b"\x09\x00\x00\x04\x00\x00", "WebP image, 10 x 5"),
        (b"RIFF....WEBPVP8L" + bytes(5) + struct.pack("<I", 9 | 4 << 14), "WebP image, 10 x 5"),
        (b"RIFF....WEBPVP8 " + bytes(10) + struct.pack("<HH", 10, 5), "WebP image, 10 x 5"),
        (b"RIFF....WEBP????", "WebP image"),
        (b"PK\x03\x04....", "zip archive"),
        (b"%PDF-1.7", "PDF"),
        (b"name".ljust(257, b"\0") + b"ustar", "tar archive"),
        (b"hello", ""),
        (b"", ""),
    ],
)
def test_what_the_first_bytes_tell(head: bytes, word: str) -> None:
    assert what_is(head) == word


@given(st.binary(max_size=200))
def test_no_bytes_are_too_odd_to_be_named(head: bytes) -> None:
    for magic in (b"", b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF89a", b"BM", b"RIFF....WEBPVP8 "):
        assert isinstance(what_is(magic + head), str)


def test_text_is_told_from_bytes() -> None:
    assert is_text("häuser\n\tund \x1b[31mFarben\x1b[0m\r\n".encode() * 100)
    assert is_text(("ü" * 8191).encode()[:8192])  # cut within a character
    assert is_text("Straße, 12 Äpfel und mehr Wörter als Umlaute".encode("latin-1"))
    assert is_text(b"")
    assert not is_text(b"text\0more")
    assert not is_text(bytes(range(1, 256)))


# -- text --


@given(st.lists(st.binary(max_size=12).map(lambda piece: piece.replace(b"0", b"\n")), max_size=12))
def test_a_text_has_the_same_lines_whatever_its_pieces(pieces: list[bytes]) -> None:
    lines = TextLines()
    for n, piece in enumerate(pieces):
        lines.feed(piece, whole=n == len(pieces) - 1)
    whole = b"".join(pieces)
    expected = whole.split(b"\n")
    expected = expected[:-1] if expected[-1] == b"" else expected
    found = lines.lines(0, 1000)
    assert [line.data for line in found] == expected
    assert lines.line_count == len(expected)
    assert [line.n for line in found] == list(range(len(expected)))
    assert all(whole[line.offset : line.offset + line.length] == line.data for line in found)


def test_long_lines_are_cut_and_tell_their_length() -> None:
    lines = TextLines(b"x" * 10_000 + b"\nshort", whole=True)
    first, second = lines.lines(0, 5)
    assert (len(first.data), first.length, first.newline) == (4096, 10_000, True)
    assert (second.data, second.offset, second.newline) == (b"short", 10_001, True)
    assert not TextLines(b"begun").lines(0, 1)[0].newline
    assert lines.lines(5, 2) == []


def test_hits_are_found_as_far_as_is_wanted() -> None:
    lines = TextLines(b"one two\nnothing\ntwo two\n", whole=True)
    hits = lines.hits(PlainFinder("two"), 10)
    assert [(line, tag.start) for line, tag in hits] == [(0, 4), (2, 0), (2, 4)]
    assert len(lines.hits(PlainFinder("two"), 2)) == 2
    assert [hit_from(hits, line) for line in (0, 1, 2, 3)] == [0, 1, 1, 3]


@settings(max_examples=200)
@given(st.lists(st.sampled_from(["a", "b", "ab", "1", "\x1b[31m", "\x1b[0m", "\x1b[1;32m"]), max_size=12))
def test_colours_do_not_count_in_a_search(parts: list[str]) -> None:
    data = "".join(parts).encode()
    seen = "".join(part for part in parts if part[0] != "\x1b").encode()
    tags = PlainFinder("ab1").tags(data)
    assert len(tags) == seen.count(b"ab1")
    for start, end, kind in tags:
        inside = data[start:end]
        assert kind == HIT
        assert inside[:1] == b"a"
        assert inside[-1:] == b"1"
        assert PlainFinder("ab1").tags(inside) == [Tag(0, end - start, HIT)]
    assert PlainFinder("31").tags(b"\x1b[31mx\x1b[0m") == []


# -- hex --


@given(st.binary(min_size=1, max_size=300), st.sampled_from([8, 16, 32, 64]), st.integers(0, 1 << 36))
def test_a_dump_says_what_is_there(data: bytes, per_row: int, first: int) -> None:
    digits = offset_digits((first + 40) * per_row)
    rows = hex_lines(data, first=first, per_row=per_row, digits=digits)
    assert [row.n for row in rows] == list(range(first, first + len(rows)))
    back = b""
    for row in rows:
        text = plain(row.data)
        assert int(text[:digits], 16) == row.n * per_row
        cells = text[digits + 2 : digits + 1 + 3 * per_row + per_row // 8 - 1]
        back += bytes.fromhex(cells)
        assert text.isprintable()
    assert back == data
    assert cell_len(plain(rows[0].data)) == hex_cells(per_row, digits) - max(0, per_row - len(data))


def test_a_row_of_a_dump() -> None:
    row = hex_lines(b"GIF89a\x00\xff\x1bhi", first=2, per_row=16)[0]
    assert plain(row.data) == "00000020  47 49 46 38 39 61 00 ff  1b 68 69                 GIF89a...hi"


def test_rows_take_the_room_there_is() -> None:
    assert [bytes_per_row(cells) for cells in (20, 57, 77, 150, 300)] == [8, 8, 16, 32, 64]
    for cells in range(45, 300):
        assert hex_cells(bytes_per_row(cells)) <= cells


def test_offsets_are_typed_in_many_ways() -> None:
    assert [row_of(text, 100, 16) for text in ("0x20", " 33 ", "0", "1_000", "50%", "-5", "0xffffff")] == [
        *(2, 2, 0, 62, 50, 0, 99),
    ]
    assert row_of("here", 100, 16) is None


# -- JSON --

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_json_laid_out_is_the_same_json(value: object) -> None:
    text = json_text(json.dumps(value).encode())
    assert text is not None
    bare = b"".join(part for n, part in enumerate(_split(text)) if n % 2 == 0)
    if "\ud800" not in json.dumps(value):
        assert json.loads(bare) == json.loads(json.dumps(value))


def _split(text: bytes) -> list[bytes]:
    """Plain text and colours in turn: JSON has no raw control character, so each one is ours."""
    parts: list[bytes] = []
    for n, piece in enumerate(text.split(b"\x1b[")):
        if n:
            code, _, piece = piece.partition(b"m")  # what is behind the colour
            parts.append(code)
        parts.append(piece)
    return parts


def test_json_loses_no_digit_and_no_name() -> None:
    text = json_text(b'{"a": 1.10, "a": 12345678901234567890123, "b": [], "c": {}, "d": [1e5, "\\u001b[2J"]}')
    assert text is not None
    assert [plain(line) for line in text.split(b"\n")] == [
        "{",
        '  "a": 1.10,',
        '  "a": 12345678901234567890123,',
        '  "b": [],',
        '  "c": {},',
        '  "d": [',
        "    1e5,",
        '    "\\u001b[2J"',
        "  ]",
        "}",
    ]


def test_json_that_would_be_mostly_blanks_is_not_laid_out() -> None:
    deep = b"[" * 400
    assert json_text(deep + b"1," * 100_000 + b"1" + b"]" * 400) is None


@pytest.mark.parametrize("data", [b"{", b"", b"nope", b"\xff\xfe", b"[" * 100_000, b'{"a": 1} {"b": 2}'])
def test_what_is_no_json_is_not_laid_out(data: bytes) -> None:
    assert json_text(data) is None
