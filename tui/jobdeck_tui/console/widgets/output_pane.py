"""A job's output with all that belongs to it: which job, the log, the details, the search, where one is.

Used on the whole screen and as a preview beside the list of jobs. Its owner calls ``show_job`` as often as it likes and
hands it each new state with ``draw``; the pane does the rest.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar

from jobdeck_tui.console.bindings import key
from jobdeck_tui.console.copying import TooMuchError, copy_of
from jobdeck_tui.console.screens.goto import GotoScreen
from jobdeck_tui.console.screens.line import LineScreen
from jobdeck_tui.console.screens.results import screen_of
from jobdeck_tui.console.screens.save import SaveScreen
from jobdeck_tui.console.selection import Selection, Spot
from jobdeck_tui.console.settings import COPY_CAP_BYTES
from jobdeck_tui.console.shell import attach_command
from jobdeck_tui.console.widgets.output_base import OutputBase
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from collections.abc import Sequence

    from textual.binding import BindingType

    from jobdeck_tui.console.logmodel import LogLine
    from jobdeck_tui.console.state import LogKey
    from jobdeck_tui.console.widgets.search_bar import SearchBar

__all__ = ["OutputPane"]

_STREAMS = (None, "stdout", "stderr")


_key = partial(key, "log")


_TO_HITS = _key("enter", "accept_search", "search_accept", "Read on at the hit", "To the hits", show=True)


class OutputPane(OutputBase):
    """See the top of this file."""

    BINDINGS: ClassVar[list[BindingType]] = [
        _key("slash", "search", "search", "Search all of the log", "Search", show=True),
        _key("n", "next(1)", "next", "The next line with a hit"),
        _key("N", "next(-1)", "previous", "The line with a hit before this one"),
        _key("o", "stream", "stream", "Both streams, stdout alone, stderr alone", "Stream", show=True),
        _key("i", "details", "details", "All that is known of the job", "Details", show=True),
        _key("s", "save", "save", "Save the log to a file", "Save", show=True),
        _key("R", "results", "results", "The results of the job: files and values", "Results", show=True),
        _key("C", "context", "context", "The context in which the job runs"),
        _key("y,ctrl+c", "copy", "copy", "Copy what is selected, or this line"),
        _key("Y", "copy_attach", "copy_attach", "Copy the shell command that attaches to the job"),
        _key("colon,ctrl+g", "goto", "goto", "Go to a line by its number, or by percent"),
        _key("enter", "line", "line", "The whole of this line, however long"),
        _key("escape", "end_search", "end_search", "No more marks of the search"),
        # Keys of the pattern that is typed. They are the pane's, so that the key after them goes to the log already.
        replace(_TO_HITS, priority=True),
        _key("escape", "cancel_search", "search_cancel", "Back to where the search began", "Cancel", show=True),
    ]

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What can be done now."""
        del parameters
        match action:
            case "accept_search" | "cancel_search":
                return self.bar.typing
            case "next" | "end_search":
                return self.search.active and not self.bar.typing
            case "goto" | "line" | "copy":
                return self.view.line_count > 0
            case "search":
                return self.wanted[0] is not None and not self.bar.typing
            case "stream":
                return self.wanted[0] is not None
            case "copy_attach" | "save" | "results" | "details":
                return self.job is not None
            case "context":
                return self.job is not None and self.job.context is not None
        return True

    def action_search(self) -> None:
        """Type a pattern."""
        self.search.open()

    def action_next(self, step: int) -> None:
        """The next hit below, or above."""
        self.search.next_hit(backward=step < 0)

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

    def action_stream(self) -> None:
        """The next choice of streams."""
        job_id, stream = self.wanted
        if job_id is not None:  # it may still be on its way: pressed again, the choice after that
            self.show_job(job_id, _STREAMS[(_STREAMS.index(stream) + 1) % len(_STREAMS)])

    def action_details(self) -> None:
        """Show or hide them."""
        self.details.turn()

    def action_save(self) -> None:
        """Ask where to."""
        if self.job is not None:
            self.app.push_screen(SaveScreen(self.job, stream=self.wanted[1]))

    def action_results(self) -> None:
        """What the job left behind."""
        if self.job is not None:
            self.app.push_screen(screen_of(self.job))

    def action_context(self) -> None:
        """Where the job runs."""
        if self.job is not None:
            self.deck_app.show_context_of(self.job)

    def action_goto(self) -> None:
        """Ask for a line."""
        line = self.view.cursor_line or 0
        self.app.push_screen(GotoScreen(line, self.place().line_count), self._gone_to)

    def _gone_to(self, line: int | None) -> None:
        if line is not None and self.feed is not None:
            if self.feed.size is not None:
                self.view.grow(self.feed.size.line_count, self.feed.size.indexed_bytes)
            self.view.go_to(line)

    def action_line(self) -> None:
        """Show all of the line on which reading goes on."""
        line = None if self.view.cursor_line is None else self.view.text.pages.get(self.view.cursor_line)
        if line is not None and self.key is not None:
            self.app.push_screen(LineScreen(partial(self._bytes, self.key), line))

    async def _bytes(self, key: LogKey, start: int, end: int) -> bytes:
        job_id, stream = key
        return await self.deck_app.api.output(job_id, stream=stream, start=start, end=end)

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
            text, cut = found
            self.app.copy_to_clipboard(text)
            self.view.action_deselect()
            lines = f"{selection.line_count:,} lines" if selection.line_count > 1 else "1 line"
            what = lines if selection.whole or selection.line_count > 1 else f"{len(text):,} characters"
            self.deck_app.tell(f"{what} copied" + (", long ones cut" if cut else ""))

    async def _lines(self, start: int, count: int) -> Sequence[LogLine]:
        assert self.key is not None
        job_id, stream = self.key
        page = await self.deck_app.api.lines(job_id, start=start, count=count, cap_bytes=COPY_CAP_BYTES, stream=stream)
        return page.lines

    def action_copy_attach(self) -> None:
        """Copy the command."""
        if self.job is not None:
            command = attach_command(self.job, self.deck_app.state.url, stream=self.wanted[1])
            self.app.copy_to_clipboard(command)
            self.deck_app.tell(f"Copied: {command}")

    # -- searching --

    def on_search_bar_asked(self, event: SearchBar.Asked) -> None:
        """Another pattern."""
        self.search.asked(event)
