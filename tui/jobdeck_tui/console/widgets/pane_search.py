"""The search of an output pane: what is typed in the bar becomes marks in the window and steps from hit to hit."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobdeck_tui.console.ansi import Tag
from jobdeck_tui.console.logtext import NOW
from jobdeck_tui.console.search import Search
from jobdeck_tui.console.settings import LINE_CAP_BYTES
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from jobdeck_client.lines import Hit
    from jobdeck_tui.console.app import ConsoleApp
    from jobdeck_tui.console.feed import Feed
    from jobdeck_tui.console.widgets.log_view import LogView
    from jobdeck_tui.console.widgets.search_bar import SearchBar

__all__ = ["PaneSearch"]

_COUNT, _STEP = "search-count", "search-step"


class PaneSearch:
    """See the top of this file.

    Args:
        view: Where hits are shown.
        bar: Where a pattern is typed; workers live as long as it does.
    """

    def __init__(self, view: LogView, bar: SearchBar) -> None:
        self._view = view
        self._bar = bar
        self._app: ConsoleApp | None = None
        self._feed: Feed | None = None
        self._search: Search | None = None
        self._hit: Hit | None = None
        self._where = ""  # what is said of the hit that was gone to
        self._steps = 0  # still to be gone, upwards if negative
        self._stepping = False
        self._origin: int | None = None  # the line on which the search began; None if the end was followed
        self._first = 0  # the first line that was seen then

    @property
    def active(self) -> bool:
        """There is a pattern."""
        return self._search is not None

    def begin(self, app: ConsoleApp, feed: Feed) -> None:
        """This log is searched from now on."""
        self._app, self._feed = app, feed

    def resume(self) -> None:
        """The log has come: search for what was typed while it was on its way."""
        self._bar.ask_again()

    def open(self) -> None:
        """Type a pattern; what is found is told while it is typed."""
        self._origin = None if self._view.follow else self._view.cursor_line
        self._first = self._view.lines_seen[0]
        self._bar.open()

    def end(self) -> None:
        """Forget the pattern."""
        self._drop()
        self._bar.close()
        self._bar.refresh_bindings()

    def _drop(self) -> None:
        for group in (_COUNT, _STEP):
            self._bar.workers.cancel_group(self._bar, group)
        self._search = self._hit = None
        self._where, self._steps, self._stepping = "", 0, False
        self._bar.told, self._bar.wrong = "", False
        self._view.find(None)

    # -- what is typed --

    def asked(self, asked: SearchBar.Asked) -> None:
        """Search for another pattern, from where the search began."""
        self._drop()
        if not asked.pattern or self._app is None or self._feed is None or self._feed.size is None:
            return
        try:
            search = Search(self._app.api, self._feed.key, asked.pattern, regex=asked.regex, case=asked.case)
        except ValueError as error:
            self._bar.told, self._bar.wrong = str(error), True
            return
        self._search = search
        self._view.find(search.finder)
        start(self._bar, partial(self._counted, search), _COUNT)
        line = self._first if self._origin is None else self._origin
        start(self._bar, partial(self._step, search, line), _STEP)
        self._bar.refresh_bindings()

    def accepted(self) -> None:
        """Read on at the hit."""
        self._view.screen.set_focus(self._view)  # at once: the next key is the log's
        if not self._bar.pattern:
            self.end()

    def cancelled(self) -> None:
        """Go back to where the search began."""
        self.end()
        self._view.screen.set_focus(self._view)
        if self._origin is None:
            self._view.action_follow()
        else:
            self._view.go_to(self._origin)

    # -- hits --

    def next_hit(self, *, backward: bool) -> None:
        """Go to the next line with a hit; how often it was called counts, not how fast the server is."""
        self._steps += -1 if backward else 1
        if self._search is not None and not self._stepping:
            self._stepping = True
            start(self._bar, partial(self._go_on, self._search), _STEP)

    async def _go_on(self, search: Search) -> None:
        while self._steps and search is self._search:
            backward, line = self._steps < 0, self._view.cursor_line or 0
            self._steps += 1 if backward else -1
            await self._step(search, line - 1 if backward else line + 1, backward=backward)
        if search is self._search:
            self._stepping = False

    async def _step(self, search: Search, line: int, *, backward: bool = False) -> None:
        assert self._app is not None
        found = await self._app.ask(_around(search, line, backward=backward), "It could not be searched")
        if found is None or search is not self._search:
            return
        hit, around = found
        self._where = ("from the end" if backward else "from the start") if around else ""
        if hit is None:
            self._where = "nothing found"
        else:
            self._hit = hit
            self._view.go_to(hit.line, hit=Tag(hit.column, hit.column + hit.length, NOW))
            if hit.column >= LINE_CAP_BYTES:
                self._where = "further on in this line: Enter"
        self._tell()

    async def _counted(self, search: Search) -> None:
        def tell() -> None:
            if search is self._search:
                self._tell()

        await search.count(tell)

    def _tell(self) -> None:
        """Which hit it is, of how many."""
        search, size = self._search, None if self._feed is None else self._feed.size
        if search is None:
            return
        count = f"{search.hit_count:,}{'+' if search.more else ''}"
        place = None if self._hit is None else search.place(self._hit.line, self._hit.column)
        words = f"{place:,} of {count}" if place is not None else count
        if search.trouble:
            words = search.trouble
        elif not search.counted:
            part = search.offset / size.size_bytes if size is not None and size.size_bytes else 0.0
            words += f" … {min(part, 1):.0%}"
        self._bar.told = f"{self._where} · {words}" if self._where else words
        self._bar.wrong = bool(search.trouble) or (search.counted and not search.hit_count)


async def _around(search: Search, start: int, *, backward: bool) -> tuple[Hit | None, bool]:
    """The next hit, and whether it was only found by going on at the other end."""
    if start >= 0:
        hit = await search.next_hit(start, backward=backward)
        if hit is not None:
            return hit, False
    return await search.next_hit(None, backward=backward), True
