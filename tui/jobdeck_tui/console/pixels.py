"""An image as lines of half blocks, two pixels a cell, colours as SGR sequences. Blocks: for a thread.

Pillow decodes; only what it is told to, only the first picture, and nothing that would become larger in memory than a
screen needs many times over. A file that is none of these, broken or too large is no image here: it can still be seen
as hex.
"""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

from jobdeck_tui.console.settings import PEEK_IMAGE_LIMIT_PIXELS, PEEK_IMAGE_ROWS_LIMIT_COUNT

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["half_blocks"]

_FORMATS = ("PNG", "JPEG", "GIF", "WEBP", "BMP")
_OPAQUE = 128  # from this alpha on; what is less is not drawn
_UPPER, _LOWER = "▀".encode(), "▄".encode()
_RESET = b"\x1b[0m"

Look = tuple[bytes, bytes, bytes]  # the character, its colour, the one behind it


def half_blocks(data: bytes, cells: int) -> list[bytes]:
    """An image, not wider than so many cells and never enlarged.

    Args:
        data: The file.
        cells: Of the window.

    Returns:
        Lines; none if it cannot be shown.
    """
    from PIL import Image  # only who looks at an image pays for it

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd but readable files; size is looked at here
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                if image.width * image.height > PEEK_IMAGE_LIMIT_PIXELS:
                    return []
                return _lines(_fitted(image, cells))
    except Exception:  # noqa: BLE001  # a decoder of foreign bytes: whatever it says, this is no image to show
        return []


def _fitted(image: Image, cells: int) -> Image:
    scale = min(1.0, max(1, cells) / image.width, 2 * PEEK_IMAGE_ROWS_LIMIT_COUNT / image.height)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image.draft("RGB", size)  # a JPEG is decoded no larger than this needs
    return image.convert("RGBA").resize(size, reducing_gap=2.0)


def _lines(image: Image) -> list[bytes]:
    width, height = image.size
    data = image.tobytes()
    rows = [data[at : at + 4 * width] for at in range(0, len(data), 4 * width)]
    rows += [bytes(4 * width)] * (height % 2)
    return [_line(upper, lower) for upper, lower in zip(rows[::2], rows[1::2], strict=True)]


def _line(upper: bytes, lower: bytes) -> bytes:
    parts: list[bytes] = []
    front = back = b""
    for at in range(0, len(upper), 4):
        sign, wanted, behind = _cell(upper[at : at + 4], lower[at : at + 4])
        if (wanted, behind) != (front, back):
            parts.append(_RESET if back and not behind else b"")
            parts.append(b"\x1b[%b%bm" % (wanted, b";" + behind if behind else b"") if wanted else b"")
            front, back = wanted, behind
        parts.append(sign)
    return b"".join(parts) + _RESET


def _cell(upper: bytes, lower: bytes) -> Look:
    if upper[3] >= _OPAQUE:
        return _UPPER, _colour(b"38", upper), _colour(b"48", lower) if lower[3] >= _OPAQUE else b""
    if lower[3] >= _OPAQUE:
        return _LOWER, _colour(b"38", lower), b""
    return b" ", b"", b""


def _colour(place: bytes, pixel: bytes) -> bytes:
    return b"%b;2;%d;%d;%d" % (place, *pixel[:3])
