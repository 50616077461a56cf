"""Rows of a log as strips: the gutter with number, time and stream, and the text with all that is marked in it.

Everything that decides how a row looks is a value: ``Ink`` (the theme's styles), ``Frame`` (the view's measures and
toggles) and ``Row`` (one row's content). Nothing here asks or keeps anything, so strips can be kept as long as these
values stand.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from jobdeck_tui.console.ansi import Shown, Tag
from jobdeck_tui.console.colours import Ground, style_of
from jobdeck_tui.console.finder import HIT
from jobdeck_tui.console.logtext import NOW, STDERR
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.color import Color
    from textual.widget import Widget

    from jobdeck_tui.console.logmodel import LogLine

__all__ = [
    "COMPONENTS",
    "HIT",
    "NOW",
    "SELECTED",
    "STDERR",
    "Frame",
    "Ink",
    "Row",
    "Times",
    "ink_of",
    "rule",
    "strip_of",
]

SELECTED = "selected"

COMPONENTS = frozenset(
    f"log--{name}" for name in ("stderr", "number", "time", "rule", "hit", "now", "selected", "cursor", "hint")
)
_SIGN = "▎"
_LEFT, _RIGHT, _MORE = "«", "»", "…"
_TIME_CELLS = 13
_LEAST_TOLD_WIDTH = 40


class Times(StrEnum):
    """What is told of each line's time."""

    OFF = "off"
    CLOCK = "clock"
    SINCE = "since"
    """Since the job was started."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ink:
    """The theme's styles.

    Attributes:
        base: Of everything; the others are put on it.
        cursor: Ground of the line on which keys act.
        out: What text stands on, and its colour.
        err: The same for what stderr wrote.
    """

    base: Style
    cursor: Style
    number: Style
    time: Style
    sign: Style
    rule: Style
    hint: Style
    hit: Style
    now: Style
    selected: Style
    out: Ground
    err: Ground


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """The view's measures and toggles.

    Attributes:
        width: Cells of a row, gutter included.
        left: Cells of the text that are out of sight on the left.
        wrap: Lines are wrapped; ``left`` does not count then.
        digits: Room for line numbers; 0 for none.
        times: See there.
        start_us: When the job was started, for ``Times.SINCE``.
    """

    width: int = 0
    left: int = 0
    wrap: bool = False
    digits: int = 0
    times: Times = Times.OFF
    start_us: int | None = None

    @property
    def gutter(self) -> int:
        """Cells left of the text."""
        return (self.digits + 1 if self.digits else 0) + (_TIME_CELLS if self.times is not Times.OFF else 0) + 1

    @property
    def text_width(self) -> int:
        """Cells of the text."""
        return max(1, self.width - self.gutter)


class Row(NamedTuple):
    """One row.

    Attributes:
        n: Number of its line.
        line: None while it is not held.
        shown: The line's text.
        start: The first character of the row.
        end: That behind the last one.
        first: It is the line's first row.
        last: It is the line's last row of text.
        stderr: Some of the line was written to stderr, and that is to be told.
        extra: Further tags.
        cursor: Keys act on its line.
    """

    n: int
    line: LogLine | None
    shown: Shown
    start: int
    end: int
    first: bool = True
    last: bool = True
    stderr: bool = False
    extra: tuple[Tag, ...] = ()
    cursor: bool = False


# -- strips --


def strip_of(row: Row, frame: Frame, ink: Ink) -> Strip:
    """A row as a strip of the frame's width."""
    base = ink.base + ink.cursor if row.cursor else ink.base
    segments = list(_gutter(row, frame, ink, base))
    used = frame.gutter
    for segment in _text(row, frame, ink, base):
        segments.append(segment)
        used += segment.cell_length
    if used < frame.width:
        segments.append(Segment(" " * (frame.width - used), base))
    strip = Strip(segments)
    return strip if used <= frame.width else strip.crop(0, frame.width)


def rule(words: str, frame: Frame, ink: Ink) -> Strip:
    """A line drawn across, with words in it."""
    text = f"── {words} "
    return Strip([Segment((text + "─" * frame.width)[: frame.width], ink.base + ink.rule)], frame.width)


def _gutter(row: Row, frame: Frame, ink: Ink, base: Style) -> Iterable[Segment]:
    if frame.digits:
        number = f"{row.n + 1:>{frame.digits}} " if row.first else " " * (frame.digits + 1)
        yield Segment(number, base + ink.number)
    if frame.times is not Times.OFF:
        text = _time(row, frame) if row.first else ""
        yield Segment(f"{text:>{_TIME_CELLS - 1}} "[-_TIME_CELLS:], base + ink.time)
    yield Segment(_SIGN, base + ink.sign) if row.stderr else Segment(" ", base)


def _time(row: Row, frame: Frame) -> str:
    if row.line is None or not row.line.time_us:
        return ""
    if frame.times is Times.CLOCK:
        return datetime.fromtimestamp(row.line.time_us / 1e6).astimezone().strftime("%H:%M:%S.%f")[:-3]
    if frame.start_us is None:
        return ""
    ms = max(0, row.line.time_us - frame.start_us) // 1000
    hours, minutes, seconds = ms // 3_600_000, ms // 60_000 % 60, ms // 1000 % 60
    return f"+{hours}:{minutes:02}:{seconds:02}.{ms % 1000:03}"


def _text(row: Row, frame: Frame, ink: Ink, base: Style) -> Iterable[Segment]:
    if row.line is None:
        yield Segment("" if frame.digits else _MORE, base + ink.number)
        return
    shown, hint = row.shown, _hint(row)
    if frame.wrap:
        yield from _pieces(row, row.start, row.end, ink, base)
        yield from _hinted(hint, frame.text_width + shown.cell_of(row.start) - shown.cell_of(row.end), ink, base)
        return
    left, right = frame.left, frame.left + frame.text_width
    if left and shown.cells:
        yield Segment(_LEFT, base + ink.hint)
        left += 1
    beyond = shown.cells > right
    more = _beyond(row, frame) if beyond else ""
    start, end = shown.index_at(left), shown.index_at(right - len(more))
    if shown.cell_of(start) < left:  # the right half of a wide character
        start += 1
        yield Segment(" " * (shown.cell_of(start) - left), base)
    yield from _pieces(row, start, end, ink, base)
    if beyond:
        yield Segment(" " * (right - len(more) - shown.cell_of(end)), base)
        yield Segment(more, base + ink.hint)
    elif shown.cells >= left:
        yield from _hinted(hint, right - shown.cells, ink, base)


def _beyond(row: Row, frame: Frame) -> str:
    """What is said at the right edge of text that goes on there; how long it is, where that is beyond all measure."""
    if row.line is None or row.line.length <= len(row.line.data) or frame.text_width < _LEAST_TOLD_WIDTH:
        return _RIGHT
    return f" {bytes_text(row.line.length)}{_RIGHT}"


def _hint(row: Row) -> str:
    """What is said at the end of a line of which not all is held."""
    if row.line is None or not row.last or row.line.length <= len(row.line.data):
        return ""
    return f"{_MORE} {bytes_text(row.line.length - len(row.line.data))} more: Enter"


def _hinted(hint: str, room: int, ink: Ink, base: Style) -> Iterable[Segment]:
    """The hint, as far as there is room behind the text."""
    if hint and room > 0:
        yield Segment(hint if room >= len(hint) else _MORE, base + ink.hint)


def _pieces(row: Row, start: int, end: int, ink: Ink, base: Style) -> Iterable[Segment]:
    for text, look, kinds in row.shown.pieces(start, end, row.extra):
        style = base + style_of(look, ink.err if STDERR in kinds else ink.out)
        for kind, mark in ((HIT, ink.hit), (NOW, ink.now), (SELECTED, ink.selected)) if kinds else ():
            if kind in kinds:
                style += mark
        yield Segment(text, style)


# -- ink --


def ink_of(widget: Widget) -> Ink:
    """The styles of a widget that has the ``COMPONENTS``."""

    def of(name: str) -> Style:
        return widget.get_component_rich_style(f"log--{name}")

    base = widget.rich_style
    out = _ground(base, base.color, dark=widget.app.current_theme.dark)
    return Ink(
        base=base,
        cursor=Style(bgcolor=of("cursor").bgcolor),
        number=Style(color=of("number").color),
        time=Style(color=of("time").color),
        sign=Style(color=of("stderr").color),
        rule=Style(color=of("rule").color),
        hint=Style(color=of("hint").color, bold=of("hint").bold),
        hit=_filled(of("hit")),
        now=_filled(of("now")),
        selected=_filled(of("selected")),
        out=out,
        err=_ground(base, of("stderr").color, dark=out.dark),
    )


def _filled(style: Style) -> Style:
    return Style(color=style.color, bgcolor=style.bgcolor, bold=style.bold, underline=style.underline)


def _ground(base: Style, text: Color | None, *, dark: bool) -> Ground:
    front = None if text is None else text.triplet
    back = None if base.bgcolor is None else base.bgcolor.triplet
    if front is None or back is None:
        return Ground(text=(0, 0, 0), back=(0, 0, 0), dark=dark, native=True)
    return Ground(text=(front[0], front[1], front[2]), back=(back[0], back[1], back[2]), dark=dark)
