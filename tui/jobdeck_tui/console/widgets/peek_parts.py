"""What stands around the window on a file: above it what the file is, below it what is searched."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from textual.content import Content
from textual.reactive import Reactive
from textual.widget import Widget

from jobdeck_tui.console.ansi import Tag
from jobdeck_tui.console.logtext import NOW
from jobdeck_tui.console.peek import PlainFinder, hit_from
from jobdeck_tui.console.settings import PEEK_HITS_LIMIT_COUNT
from jobdeck_tui.console.workers import start
from jobdeck_tui.sanitise import clean_line
from jobdeck_tui.words import bytes_text

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from jobdeck_tui.console.peek import TextLines
    from jobdeck_tui.console.widgets.log_view import LogView
    from jobdeck_tui.console.widgets.search_bar import SearchBar

__all__ = ["PeekHead", "PeekSearch"]

_HASH_CELLS = 8
_LEAST_ROOM = 12
_SEARCH = "search"


class PeekHead(Widget):
    """Its name; right what it is, how long, and which blob.

    Attributes:
        name_shown: Safe for a terminal, as are the facts.
        facts: The most important first; the last ones fall away where there is no room.
    """

    DEFAULT_CSS = """
    PeekHead { height: 1; padding: 0 1; background: $panel; color: $text-muted; }
    """

    name_shown: Reactive[str] = Reactive("")
    facts: Reactive[tuple[str, ...]] = Reactive(())

    def tell(self, name: str, word: str, blob: str = "", size_bytes: int | None = None) -> None:
        """Foreign text may stand in all of them."""
        self.name_shown = clean_line(name)
        size = "" if size_bytes is None else bytes_text(size_bytes)
        self.facts = tuple(filter(None, (clean_line(word), size, clean_line(blob[:_HASH_CELLS]))))

    def render(self) -> Content:
        """Fitted to the width: the name is cut last."""
        width, facts = self.content_size.width, list(self.facts)
        while facts and width - len(" · ".join(facts)) - 2 < _LEAST_ROOM:
            facts.pop()
        right = Content(" · ".join(facts))
        name = Content.styled(self.name_shown, "bold $foreground")
        name = name.truncate(max(0, width - right.cell_length - 2), ellipsis=True)
        gap = max(0, width - name.cell_length - right.cell_length)
        return Content.assemble(name, " " * gap, right)


class PeekSearch:
    """A pattern in the lines of a text, marked in the window; steps go from hit to hit.

    Args:
        view: Where hits are shown.
        bar: Where a pattern is typed; its worker lives as long as it does.
    """

    def __init__(self, view: LogView, bar: SearchBar) -> None:
        self._view = view
        self._bar = bar
        self._words: TextLines | None = None
        self._finder: PlainFinder | None = None
        self._hits: list[tuple[int, Tag]] | None = None  # None while they are looked for
        self._at = 0
        self._origin = 0

    @property
    def active(self) -> bool:
        """There is a pattern."""
        return self._finder is not None

    def begin(self, words: TextLines | None) -> None:
        """These lines are searched from now on."""
        self._words = words

    def open(self) -> None:
        """Type a pattern."""
        self._origin = self._view.lines_seen[0]
        self._bar.open()

    def end(self) -> None:
        """Forget the pattern."""
        self._drop()
        self._bar.close()
        self._bar.refresh_bindings()

    def _drop(self) -> None:
        self._bar.workers.cancel_group(self._bar, _SEARCH)
        self._finder = self._hits = None
        self._bar.told, self._bar.wrong = "", False
        self._view.find(None)

    def asked(self, asked: SearchBar.Asked, read_all: Callable[[], Awaitable[None]]) -> None:
        """Another pattern: searched for from where the search began, once all that can be is read."""
        self._drop()
        if not asked.pattern or self._words is None:
            return
        try:
            self._finder = PlainFinder(asked.pattern, regex=asked.regex, case=asked.case)
        except ValueError as error:
            self._bar.told, self._bar.wrong = str(error), True
            return
        self._view.find(self._finder)
        self._bar.told = "…"
        start(self._bar, partial(self._search, self._words, self._finder, read_all), _SEARCH)
        self._bar.refresh_bindings()

    async def _search(self, words: TextLines, finder: PlainFinder, read_all: Callable[[], Awaitable[None]]) -> None:
        await read_all()
        hits = await asyncio.to_thread(words.hits, finder, PEEK_HITS_LIMIT_COUNT)
        if finder is not self._finder:
            return
        self._hits = hits
        self._go(hit_from(hits, self._origin))

    def step(self, step: int) -> None:
        """So many hits further on, around the ends."""
        if self._hits:
            self._go(self._at + step)

    def accepted(self) -> None:
        """Read on at the hit."""
        self._view.screen.set_focus(self._view)  # at once: the next key is the window's
        if not self._bar.pattern:
            self.end()

    def cancelled(self) -> None:
        """Go back to where the search began."""
        self.end()
        self._view.screen.set_focus(self._view)
        self._view.go_to(self._origin)

    def _go(self, at: int) -> None:
        hits = self._hits or []
        self._bar.wrong = not hits
        if not hits:
            self._bar.told = "nothing found"
            return
        self._at = at % len(hits)
        line, tag = hits[self._at]
        self._view.go_to(line, hit=Tag(tag.start, tag.end, NOW))
        more = "+" if len(hits) == PEEK_HITS_LIMIT_COUNT else ""
        self._bar.told = f"{self._at + 1:,} of {len(hits):,}{more}"
