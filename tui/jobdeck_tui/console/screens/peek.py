"""Looks into one file, a blob's or one of an artifact, without fetching it: as text, as JSON, as hex."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.copying import TooMuchError, copy_of
from jobdeck_tui.console.curl import curl_of_blob
from jobdeck_tui.console.peekmodes import HexMode
from jobdeck_tui.console.screens.download import DownloadScreen, Wanted
from jobdeck_tui.console.screens.goto import GotoScreen
from jobdeck_tui.console.screens.line import LineScreen
from jobdeck_tui.console.screens.peekbase import PeekBase
from jobdeck_tui.console.selection import Selection, Spot
from jobdeck_tui.console.settings import COPY_CAP_BYTES
from jobdeck_tui.console.widgets.search_bar import SearchBar
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_tui.console.logmodel import LogLine
    from jobdeck_tui.console.peekmodes import Mode

__all__ = ["PeekScreen"]


_key = partial(key, "peek")


class PeekScreen(PeekBase):
    """See the top of this file; ``peekbase`` has all but the keys."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # Keys of the pattern that is typed, before those of the screen.
        Binding("enter", "accept_search", "To the hits", id="peek.search_accept", priority=True),
        Binding("escape", "cancel_search", "Cancel", id="peek.search_cancel"),
        _key("escape", "end_search", "end_search", "No more marks of the search"),
        Binding("escape", "leave", "Back", id="peek.back", tooltip="Back to where it was opened"),
        Binding("backspace", "leave", "Back", id="peek.back_too", show=False, tooltip="Back to where it was opened"),
        _key("x", "mode", "mode", "As JSON, as text, as hex: the next way of looking", "View", show=True),
        _key("slash", "search", "search", "Search the text", "Search", show=True),
        _key("n", "next(1)", "next", "The next hit"),
        _key("N", "next(-1)", "previous", "The hit before this one"),
        _key("s", "save", "save", "Save it to a file", "Save", show=True),
        _key("y,ctrl+c", "copy", "copy", "Copy what is selected, or this line"),
        _key("Y", "copy_curl", "copy_curl", "Copy as a curl line that fetches it"),
        _key("colon,ctrl+g", "goto", "goto", "Go to a line by its number, or by percent; in hex also to an offset"),
        _key("enter", "line", "line", "The whole of this line, however long"),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        del parameters
        mode = self.mode
        match action:
            case "accept_search" | "cancel_search":
                return self.bar.typing
            case "end_search" | "next":
                return self.search.active and not self.bar.typing
            case "search":
                return mode is not None and mode.words is not None and not self.bar.typing
            case "mode":
                return len(self.modes) > 1
            case "goto" | "copy":
                return self.view.line_count > 0
            case "line":
                return mode is not None and mode.name == "text" and self.view.line_count > 0
            case "save" | "copy_curl":
                return bool(self.target.hash)
        return True

    def action_leave(self) -> None:
        """Back."""
        self.dismiss()

    def action_mode(self) -> None:
        """The next way of looking."""
        if self.mode is not None:
            mode = self.modes[(self.modes.index(self.mode) + 1) % len(self.modes)]
            start(self, partial(self._shown, mode), "open")

    async def _shown(self, mode: Mode) -> None:
        await self.answer(self.show_mode(mode))

    def action_search(self) -> None:
        """Type a pattern."""
        self.search.open()

    def action_next(self, step: int) -> None:
        """The next hit below, or above."""
        self.search.step(step)

    def action_accept_search(self) -> None:
        """Read on at the hit."""
        self.bar.flush()
        self.search.accepted()

    def action_cancel_search(self) -> None:
        """Read on where it was."""
        self.search.cancelled()

    def action_end_search(self) -> None:
        """Forget the pattern."""
        self.search.end()

    def on_search_bar_asked(self, event: SearchBar.Asked) -> None:
        """Another pattern."""
        self.search.asked(event, self.read_all)

    def action_save(self) -> None:
        """Ask where to."""
        target = self.target
        wanted = Wanted(hash=target.hash, path=target.path, name=target.name, size_bytes=self.size_bytes or None)
        self.app.push_screen(DownloadScreen(wanted))

    def action_goto(self) -> None:
        """Ask for a line, or for an offset."""
        if self.mode is None:
            return
        per_row = self.mode.per_row if isinstance(self.mode, HexMode) else None
        question = GotoScreen(self.view.cursor_line or 0, self.mode.line_count, per_row=per_row)
        self.app.push_screen(question, self._gone_to)

    def _gone_to(self, line: int | None) -> None:
        if line is not None:
            self.view.go_to(line)

    def action_line(self) -> None:
        """Show all of the line on which reading goes on."""
        line = None if self.view.cursor_line is None else self.view.text.pages.get(self.view.cursor_line)
        if line is not None:
            self.app.push_screen(LineScreen(self.read, line))

    def action_copy(self) -> None:
        """Copy what is selected, or the line on which reading goes on."""
        selection, line = self.view.selection, self.view.cursor_line
        if selection is None and line is not None:
            selection = Selection(Spot(line), Spot(line), whole=True)
        if selection is not None and not selection.empty:
            start(self, partial(self._copied, selection), "copy")

    async def _copied(self, selection: Selection) -> None:
        try:
            found = await self.deck_app.ask(copy_of(selection, self._lines), "It could not be copied")
        except TooMuchError as error:
            self.deck_app.tell(f"{error}.")
            return
        if found is not None:
            self.app.copy_to_clipboard(found[0])
            self.view.action_deselect()
            self.deck_app.tell(f"{selection.line_count:,} lines copied" if selection.line_count > 1 else "Copied")

    async def _lines(self, start: int, count: int) -> Sequence[LogLine]:
        return [] if self.mode is None else await self.mode.lines(start, count, cap_bytes=COPY_CAP_BYTES)

    def action_copy_curl(self) -> None:
        """Copy the command."""
        app, target = self.deck_app, self.target
        line = curl_of_blob(app.state.url, target.hash, target.name, token=app.has_token, path=target.path)
        app.copy_to_clipboard(line)
        app.tell("Copied a curl line")
