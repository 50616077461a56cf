"""The line below the list of jobs: where one is in it, what is marked, what is under way."""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.reactive import Reactive
from textual.widget import Widget

from jobdeck_tui.sanitise import clean_line

__all__ = ["ListFoot", "Standing"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How the list stands.

    Attributes:
        at: The row of the cursor in the whole list, from 0; None where that is not known.
        held_count: Rows held.
        total: Rows of the whole list; None where that is not known.
        marked_count: Rows marked.
        unseen_count: New jobs above.
        follow: The cursor stays on the first row.
        busy: What is under way, in words.
        told: What else there is to say of it.
        error: Why nothing more could be had.
    """

    at: int | None = None
    held_count: int = 0
    total: int | None = None
    marked_count: int = 0
    unseen_count: int = 0
    follow: bool = False
    busy: str = ""
    told: str = ""
    error: str | None = None

    @property
    def position(self) -> str:
        """``3 / 1,200``; ``3 / 200+`` where more is there than is known of."""
        if not self.held_count:
            return ""
        total = f"{self.total:,}" if self.total is not None else f"{self.held_count:,}+"
        return f"{self.at + 1:,} / {total}" if self.at is not None else f"… / {total}"


class ListFoot(Widget):
    """Left what is so, right what goes on."""

    DEFAULT_CSS = """
    ListFoot { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
    """

    standing: Reactive[Standing] = Reactive(Standing())

    def render(self) -> Content:
        """Fitted to the width: an error or what is under way counts most."""
        standing, width = self.standing, self.content_size.width
        parts = [Content(standing.position)]
        if standing.marked_count:
            parts.append(Content.styled(f"◆ {standing.marked_count:,} marked", "$text-accent"))
        if standing.unseen_count:
            parts.append(Content.styled(f"↑ {standing.unseen_count:,} new", "$text-success"))
        if standing.told:
            parts.append(Content(standing.told))
        left, right = Content("   ").join(parts), self._right()
        if right.cell_length + 1 > width - left.cell_length:
            right = right.truncate(max(0, width - left.cell_length - 1), ellipsis=True)
        gap = max(0, width - left.cell_length - right.cell_length)
        return Content.assemble(left, " " * gap, right)

    def _right(self) -> Content:
        if self.standing.error is not None:
            return Content.styled(clean_line(self.standing.error), "$text-error")
        if self.standing.busy:
            return Content.styled(self.standing.busy, "$text-warning")
        return Content.styled("● following", "$text-success") if self.standing.follow else Content("")
