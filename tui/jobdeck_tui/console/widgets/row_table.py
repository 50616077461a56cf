"""A table with its keys and the mouse; see ``row_window`` for the rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from textual.binding import Binding
from textual.message import Message

from jobdeck_tui.console.pages import Place
from jobdeck_tui.console.widgets.row_window import RowWindow

if TYPE_CHECKING:
    from collections.abc import Mapping

    from textual import events

    from jobdeck_tui.console.rowlist import RowList

__all__ = ["RowTable", "TableOfFew", "row_keys"]


def row_keys(area: str, noun: str, *, unmark: str = "u") -> list[Binding]:
    """The keys of a table; ids begin with ``area``, and words speak of what stands there.

    ``unmark`` is the key for that where the usual one is needed for something else.
    """

    def key(keys: str, action: str, name: str, words: str) -> Binding:
        return Binding(keys, action, words, id=f"{area}.{name}", show=False, tooltip=words)

    return [
        key("up,k", "move(-1)", "up", f"The {noun} above"),
        key("down,j", "move(1)", "down", f"The {noun} below"),
        key("pageup,ctrl+b", "page(-1)", "page_up", "A page up"),
        key("pagedown,ctrl+f", "page(1)", "page_down", "A page down"),
        key("home,g", "first", "first", f"The first {noun} of the list"),
        key("end,G", "last", "last", f"The last {noun} of the list, however long it is"),
        key("space", "mark", "mark", f"Mark this {noun}, or not; what is done is done to all that are marked"),
        key("ctrl+a,asterisk", "mark_all", "mark_all", f"Mark all {noun}s that are held here"),
        key(unmark, "unmark", "unmark", "Unmark all"),
    ]


class RowTable(RowWindow):
    """See the top of this file. ``SORTS`` tells by what a click on the title of a column sorts."""

    SORTS: ClassVar[Mapping[str, str]] = {}

    class Opened(Message):
        """A row is to be shown."""

        def __init__(self, row: Any) -> None:  # noqa: ANN401  # each table has rows of its own
            super().__init__()
            self.row = row

    class Sorted(Message):
        """The head of a column was clicked."""

        def __init__(self, by: str) -> None:
            super().__init__()
            self.by = by

    # -- keys --

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Without rows there is nothing to be done; whoever has the table has the bindings looked at again."""
        del parameters
        return bool(self.rows) or action not in ("open", "mark", "mark_all")

    def action_move(self, step: int) -> None:
        """Up or down by rows."""
        self.go_to(self.cursor_index + step)

    def action_page(self, step: int) -> None:
        """Up or down by screens."""
        self.scroll_rows(max(0, min(self.first_seen + step * self.seen_count, int(self.max_scroll_y))))
        self.go_to(self.cursor_index + step * self.seen_count)

    def action_first(self) -> None:
        """To the list's beginning."""
        self.go_to(0)
        if self.listed.above:
            self.wish_for(Place.START)

    def action_last(self) -> None:
        """To the list's end."""
        self.go_to(len(self.rows) - 1)
        if self.listed.below:
            self.wish_for(Place.END)

    def action_mark(self) -> None:
        """Turn the mark of this row, and go on to the next one."""
        if self.cursor is not None:
            self.marks ^= {self.cursor.id}
            self.action_move(1)

    def action_mark_all(self) -> None:
        """Mark all."""
        self.mark({row.id for row in self.rows})

    def action_unmark(self) -> None:
        """Mark none."""
        self.mark(set())

    def action_open(self) -> None:
        """Show it."""
        if self.cursor is not None:
            self.post_message(self.Opened(self.cursor))

    def follow_first(self) -> None:
        """Keep the cursor on the first row from now on."""
        self.action_first()
        self.follow = True
        self.tell_moved()

    # -- mouse --

    def on_click(self, event: events.Click) -> None:
        """A row is gone to, with two clicks opened; a title sorts."""
        event.stop()
        if event.y == 0:
            self._head_clicked(event.x)
            return
        row = self.first_seen + event.y - 1
        if row < len(self.rows):
            self.go_to(row)
            if event.chain == 2:
                self.action_open()

    def _head_clicked(self, x: int) -> None:
        for column in self.columns:
            x -= column.width + (1 if column.name == "mark" else 2)
            if x < 0:
                if column.name in self.SORTS:
                    self.post_message(self.Sorted(self.SORTS[column.name]))
                return


class TableOfFew(RowTable):
    """A table of few things, all of which are held: some of its columns are there only where one of them needs it."""

    def take(self, listed: RowList) -> None:
        """The list as it is now."""
        super().take(listed)
        if self.size.width and self.fit(self.scrollable_content_region.width) != self.columns:
            self._measure()
