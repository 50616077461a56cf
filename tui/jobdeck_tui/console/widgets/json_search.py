"""A pattern in the names and values of a tree: looked for a little at a time, as far as the tree is shown."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from functools import partial
from typing import TYPE_CHECKING

from jobdeck_tui.console.finder import Finder
from jobdeck_tui.console.settings import JSON_STEPS_COUNT, PEEK_HITS_LIMIT_COUNT
from jobdeck_tui.console.workers import start

if TYPE_CHECKING:
    from jobdeck_tui.console.widgets.json_pane import JsonPane
    from jobdeck_tui.console.widgets.search_bar import SearchBar

__all__ = ["JsonSearch"]

_SEARCH = "search"


class JsonSearch:
    """See the top of this file.

    Args:
        pane: What is searched; it shows the hits.
        bar: Where a pattern is typed; its worker lives as long as it does.
    """

    def __init__(self, pane: JsonPane, bar: SearchBar) -> None:
        self._pane = pane
        self._bar = bar
        self._finder: Finder | None = None
        self._hits: list[int] = []
        self._at = 0
        self._origin = 0

    @property
    def active(self) -> bool:
        """There is a pattern."""
        return self._finder is not None

    def open(self) -> None:
        """Type a pattern."""
        self._origin = self._pane.value
        self._bar.open()

    def end(self) -> None:
        """Forget the pattern."""
        self._drop()
        self._bar.close()
        self._bar.refresh_bindings()

    def _drop(self) -> None:
        self._bar.workers.cancel_group(self._bar, _SEARCH)
        self._finder, self._hits = None, []
        self._bar.told, self._bar.wrong = "", False
        self._pane.table.mark_hits(frozenset())

    def asked(self, asked: SearchBar.Asked) -> None:
        """Another pattern: its first hit is that from where the search began."""
        self._drop()
        if not asked.pattern:
            return
        try:
            self._finder = Finder(asked.pattern, regex=asked.regex, case=asked.case)
        except ValueError as error:
            self._bar.told, self._bar.wrong = str(error), True
            return
        self._bar.told = "…"
        start(self._bar, partial(self._search, self._finder), _SEARCH)
        self._bar.refresh_bindings()

    async def _search(self, finder: Finder) -> None:
        """Look through what came, and read on, up to the limits of the tree."""
        tree, at, gone, more = self._pane.json, 0, False, True
        while len(self._hits) < PEEK_HITS_LIMIT_COUNT:
            while at < len(tree.scan) and len(self._hits) < PEEK_HITS_LIMIT_COUNT:
                self._hits += tree.hits(finder, at)
                at = min(at + JSON_STEPS_COUNT, len(tree.scan))
                if not gone and self._hits and self._hits[-1] >= self._origin:
                    gone = True
                    self._go(bisect_left(self._hits, self._origin))
                await asyncio.sleep(0)
            if not more:
                break
            more = await self._pane.read_more()  # somebody else may have read on meanwhile: look through that, too
        del self._hits[PEEK_HITS_LIMIT_COUNT:]
        self._pane.table.mark_hits(frozenset(map(str, self._hits)))
        self._go(self._at if gone else bisect_left(self._hits, self._origin), told_all=True)

    def step(self, step: int) -> None:
        """So many hits further on, around the ends."""
        if self._hits:
            self._go(self._at + step, told_all=True)

    def accepted(self) -> None:
        """Read on at the hit."""
        self._pane.screen.set_focus(self._pane.table)  # at once: the next key is the table's
        if not self._bar.pattern:
            self.end()

    def cancelled(self) -> None:
        """Go back to where the search began."""
        self.end()
        self._pane.screen.set_focus(self._pane.table)
        self._pane.go_to(self._origin)

    def _go(self, at: int, *, told_all: bool = False) -> None:
        self._bar.wrong = not self._hits
        if not self._hits:
            self._bar.told = "nothing found"
            return
        self._at = at % len(self._hits)
        self._pane.go_to(self._hits[self._at])
        more = "" if told_all and len(self._hits) < PEEK_HITS_LIMIT_COUNT else "+"
        self._bar.told = f"{self._at + 1:,} of {len(self._hits):,}{more}"
