"""The looks that programs give their output, as styles that can be read on the theme at hand. Pure.

A program that prints colours knows nothing of the terminal: yellow on white and blue on black are what it gets. Here
the first 16 colours come from a palette of the theme's brightness, and any colour that is too near to what it stands on
is drawn away from it, towards black or white, until it can be read. In a theme that leaves the colours to the terminal
nothing is changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from rich.color import Color
from rich.style import Style

if TYPE_CHECKING:
    from jobdeck_tui.console.ansi import Colour, Look

__all__ = ["RGB", "Ground", "contrast", "style_of"]

RGB = tuple[int, int, int]

_LEAST_CONTRAST = 3.0
"""WCAG asks for 4.5:1 in long texts, 3:1 where size or weight help; with more, the colours of a log look all alike."""
_STEPS_COUNT = 10
_DIM = 0.4

_DARK: tuple[RGB, ...] = (
    *((110, 110, 118), (235, 100, 100), (120, 200, 100), (222, 180, 80)),
    *((105, 155, 245), (205, 130, 225), (80, 195, 205), (212, 212, 216)),
    *((140, 140, 150), (255, 130, 130), (155, 230, 130), (245, 215, 120)),
    *((145, 185, 255), (230, 165, 250), (120, 225, 235), (250, 250, 250)),
)
_LIGHT: tuple[RGB, ...] = (
    *((20, 20, 24), (180, 25, 30), (30, 115, 30), (140, 95, 0)),
    *((25, 80, 190), (140, 40, 150), (0, 110, 130), (95, 95, 105)),
    *((80, 80, 90), (205, 40, 45), (40, 130, 40), (150, 105, 0)),
    *((45, 105, 215), (160, 55, 175), (0, 125, 145), (120, 120, 130)),
)
_FILLED: tuple[RGB, ...] = ((20, 20, 24), *_DARK[1:8], (110, 110, 118), *_DARK[9:])
"""Where a program sets the ground too, both are its own, whatever the theme: black on yellow is that."""
_BLACK: RGB = (0, 0, 0)
_WHITE: RGB = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class Ground:
    """What output is shown on.

    Attributes:
        text: Colour of text that asked for none.
        back: Colour behind it.
        dark: Light text on dark ground.
        native: The terminal's own colours are used, whatever they are.
    """

    text: RGB
    back: RGB
    dark: bool = True
    native: bool = False


@lru_cache(maxsize=4096)
def style_of(look: Look, ground: Ground) -> Style:
    """What a look is there. Its background is only set where the program asked for one."""
    if ground.native:
        style = Style(
            color=_native(look.fg), bgcolor=_native(look.bg), dim=look.dim or None, reverse=look.reverse or None
        )
    else:
        fg, bg = _colours(look, ground)
        filled = look.reverse or look.bg is not None
        style = Style(color=Color.from_rgb(*fg), bgcolor=Color.from_rgb(*bg) if filled else None)
    # Of what a program did not ask for nothing is said, so that a style beneath may.
    return style + Style(
        bold=look.bold or None,
        italic=look.italic or None,
        underline=look.underline or None,
        strike=look.strike or None,
        overline=look.overline or None,
    )


def contrast(one: RGB, other: RGB) -> float:
    """How well one can be read on the other, from 1 (not at all) to 21. Source: WCAG 2.2, "contrast ratio"."""
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def _colours(look: Look, ground: Ground) -> tuple[RGB, RGB]:
    """Foreground and background of a look."""
    palette = _FILLED if look.bg is not None else _DARK if ground.dark else _LIGHT
    fg = ground.text if look.fg is None else _rgb(look.fg, palette)
    bg = ground.back if look.bg is None else _rgb(look.bg, palette)
    if look.reverse:
        fg, bg = bg, fg
    if look.dim:
        fg = _mixed(fg, bg, _DIM)
    return _readable(fg, bg), bg


def _readable(fg: RGB, bg: RGB) -> RGB:
    """The colour nearest to ``fg`` that can be read on ``bg``."""
    away = max(_BLACK, _WHITE, key=lambda end: contrast(end, bg))
    found = fg
    for step in range(1, _STEPS_COUNT + 1):
        if contrast(found, bg) >= _LEAST_CONTRAST:
            break
        found = _mixed(fg, away, step / _STEPS_COUNT)
    return found


def _mixed(one: RGB, other: RGB, part: float) -> RGB:
    red, green, blue = (round(a + (b - a) * part) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _luminance(colour: RGB) -> float:
    red, green, blue = (c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: Colour, palette: tuple[RGB, ...]) -> RGB:
    """What is meant by one of the 256 colours, the first 16 as in a palette. Source: xterm, 256colres.h."""
    if isinstance(colour, tuple):
        return colour
    if colour < 16:
        return palette[colour]
    if colour >= 232:
        grey = 8 + 10 * (colour - 232)
        return grey, grey, grey
    red, green, blue = (0 if each == 0 else 55 + 40 * each for each in _sixths(colour - 16))
    return red, green, blue


def _sixths(number: int) -> tuple[int, int, int]:
    return number // 36, number // 6 % 6, number % 6


def _native(colour: Colour | None) -> Color | None:
    if colour is None:
        return None
    return Color.from_rgb(*colour) if isinstance(colour, tuple) else Color.from_ansi(colour)
