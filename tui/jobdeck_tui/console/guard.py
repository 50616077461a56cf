"""The last net before the terminal: whatever line a widget made, no control character and no link leaves with it.

Foreign text is cleaned where it comes in (``sanitise``, ``ansi``), which keeps it readable. But a widget of Textual's
own, or a line of code written in a hurry, may let some through; and Textual hands on what it is given. So each line of
each widget passes here once more on its way to the screen. What is still found is dropped, not shown as a sign:
control characters have no width, so the line keeps its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.segment import Segment
from textual.filter import LineFilter

from jobdeck_tui.sanitise import bare

if TYPE_CHECKING:
    from textual.color import Color


class Guard(LineFilter):
    """See the top of this file."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments, safe; the same list when there was nothing to do, which is always but for mistakes."""
        del background
        if all(bare(text) == text and (style is None or style.link is None) for text, style, _ in segments):
            return segments
        return [
            Segment(bare(text), style if style is None or style.link is None else style.update_link(None), control)
            for text, style, control in segments
        ]
