"""The command palette's commands: everything that a key does on the screen that was seen when it opened."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from textual.command import DiscoveryHit, Hit, Provider

from jobdeck_tui.console.screens.help import HelpRow, rows_of

if TYPE_CHECKING:
    from textual.command import Hits

_MOVES = ("cursor", "scroll", "page", "home", "end", "top", "bottom", "left", "right")


class KeyCommands(Provider):
    """See the top of this file. Movements are left out: nobody moves a cursor from a list of commands."""

    async def startup(self) -> None:
        """Look at the keys once: while the palette is open its own would be found."""
        self._rows = [row for row in rows_of(self.screen) if not row.action.rpartition(".")[2].startswith(_MOVES)]

    async def discover(self) -> Hits:
        """All, before anything was typed."""
        for row in self._rows:
            yield DiscoveryHit(_title(row), partial(self._do, row), help=" ".join(row.keys))

    async def search(self, query: str) -> Hits:
        """Those that match."""
        matcher = self.matcher(query)
        for row in self._rows:
            score = matcher.match(_title(row))
            if score > 0:
                yield Hit(score, matcher.highlight(_title(row)), partial(self._do, row), help=" ".join(row.keys))

    async def _do(self, row: HelpRow) -> None:
        """As if the key had been pressed: with the focus and the namespaces of the screen."""
        for active in self.screen.active_bindings.values():
            if active.binding.action == row.action:
                await self.app.run_action(active.binding.action, active.node)
                return


def _title(row: HelpRow) -> str:
    return row.words
