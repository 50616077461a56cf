"""Images as lines of half blocks."""

from __future__ import annotations

import io
import random
import struct
import zlib

import pytest
from PIL import Image

from jobdeck_tui.console.pixels import half_blocks


def saved(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def test_two_pixels_are_a_cell_and_colours_are_said_once() -> None:
    image = Image.new("RGB", (3, 2), (255, 0, 0))
    image.putpixel((2, 1), (0, 0, 255))
    assert half_blocks(saved(image), 80) == [
        "\x1b[38;2;255;0;0;48;2;255;0;0m▀▀\x1b[38;2;255;0;0;48;2;0;0;255m▀\x1b[0m".encode()
    ]


def test_what_is_transparent_is_not_drawn() -> None:
    image = Image.new("RGBA", (4, 3), (0, 0, 0, 0))
    image.putpixel((1, 0), (1, 2, 3, 255))
    image.putpixel((2, 1), (4, 5, 6, 255))
    image.putpixel((3, 0), (7, 8, 9, 255))
    image.putpixel((3, 1), (7, 8, 9, 255))
    assert half_blocks(saved(image), 80) == [
        " \x1b[38;2;1;2;3m▀\x1b[38;2;4;5;6m▄\x1b[38;2;7;8;9;48;2;7;8;9m▀\x1b[0m".encode(),
        b"    \x1b[0m",
    ]


def test_after_a_colour_behind_comes_none() -> None:
    image = Image.new("RGBA", (2, 2), (9, 9, 9, 255))
    image.putpixel((1, 1), (0, 0, 0, 0))
    assert half_blocks(saved(image), 80) == ["\x1b[38;2;9;9;9;48;2;9;9;9m▀\x1b[0m\x1b[38;2;9;9;9m▀\x1b[0m".encode()]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "BMP"])
def test_every_kind_is_made_to_fit(kind: str) -> None:
    rows = half_blocks(saved(Image.new("RGB", (400, 200), (10, 200, 30)), kind), 100)
    assert len(rows) == 25
    assert {row.count("▀".encode()) for row in rows} == {100}
    assert len(half_blocks(saved(Image.new("L", (20, 10)), kind), 100)) == 5


def test_an_image_that_is_a_line_is_no_higher_than_the_limit() -> None:
    assert len(half_blocks(saved(Image.new("RGB", (2, 20_000))), 80)) == 400


def test_what_claims_to_be_huge_is_not_decoded() -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 6, 0, 0, 0)
    chunk = b"IHDR" + head
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", len(head)) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert half_blocks(data + saved(Image.new("RGB", (1, 1)))[33:], 80) == []


def test_other_kinds_and_broken_files_are_none() -> None:
    assert half_blocks(b"%PDF-1.4 hello", 80) == []
    assert half_blocks(saved(Image.new("RGB", (8, 8)), "TIFF"), 80) == []
    whole = saved(Image.effect_noise((64, 64), 50).convert("RGB"))
    assert half_blocks(whole[: len(whole) // 2], 80) == []
    random.seed(5)
    for _ in range(200):
        data = bytearray(whole)
        for _ in range(5):
            data[random.randrange(8, len(data))] = random.randrange(256)
        half_blocks(bytes(data), 80)
