"""The last net: whatever widgets are given, nothing reaches the terminal but what the driver says itself."""

from __future__ import annotations

import pytest
from rich.segment import Segment
from rich.style import Style
from textual.color import Color

from jobdeck_tui.console.guard import Guard
from tests.tui.test_sanitise import PAYLOADS

BLACK = Color(0, 0, 0)


@pytest.mark.parametrize("raw", [raw for raw, _ in PAYLOADS])
def test_no_control_passes(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    (segment,) = Guard().apply([Segment(text)], BLACK)
    assert not any(ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 or c in "\u202e\u2066\u2028" for c in segment.text)


def test_what_is_clean_is_not_touched() -> None:
    segments = [Segment("plain ▶ 漢字 e\u0301\u00a0", Style(bold=True)), Segment("", None)]
    assert Guard().apply(segments, BLACK) is segments


def test_links_are_dropped_and_colours_stay() -> None:
    style = Style(color="red", link="http://evil/")
    (segment,) = Guard().apply([Segment("good", style)], BLACK)
    assert segment.style is not None
    assert (segment.text, segment.style.link, segment.style.color) == ("good", None, style.color)
