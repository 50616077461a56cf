"""A line for a path of this machine: Tab completes it as a shell does."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding
from textual.message import Message
from textual.widgets import Input

from jobdeck_tui.console.moving import completed
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from textual.binding import BindingType

__all__ = ["PathInput"]

_TOLD_COUNT = 12


class PathInput(Input):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("tab", "complete", "Complete", show=False)]

    class Proposed(Message):
        """Names that would go on, in words; empty where there is one, or none."""

        def __init__(self, words: str) -> None:
            super().__init__()
            self.words = words

    def __init__(self, *, placeholder: str = "") -> None:
        super().__init__(compact=True, select_on_focus=False, placeholder=placeholder)

    def begin(self, value: str) -> None:
        """Type behind this."""
        self.value = clean_line(value)
        self.focus()
        self.call_after_refresh(self._show_end)

    def _show_end(self) -> None:
        """A field shows the end of its text where the cursor is moved to it."""
        self.action_home()
        self.action_end()

    def action_complete(self) -> None:
        """As far as it can go on in one way only."""
        start(self, self._complete, "complete")

    async def _complete(self) -> None:
        typed = self.value
        text, names = await asyncio.to_thread(completed, typed)
        if self.value != typed:
            return
        if text != typed:
            self.value = text
            self._show_end()
        words = ""
        if len(names) > 1:
            more = f"  … {len(names) - _TOLD_COUNT:,} more" if len(names) > _TOLD_COUNT else ""
            words = "  ".join(names[:_TOLD_COUNT]) + more
        elif not names:
            words = "nothing there begins so"
        self.post_message(self.Proposed(words))
