"""The console on a real server, without a terminal."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_client import Client
from jobdeck_tui.console.api import Api
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.deck import Deck
from jobdeck_tui.console.guest import Guest, trio_side
from tests.tui.console.harness import screen_text, until

if TYPE_CHECKING:
    from textual.pilot import Pilot


@dataclass
class Real:
    """What a test has in its hands. ``client`` is asked on the ``guest``'s side.

    Attributes:
        for_s: How long it waits for what is to be seen.
    """

    app: ConsoleApp
    pilot: Pilot[int]
    guest: Guest
    client: Client
    for_s: float = 20.0

    async def see(self, *words: str) -> None:
        """Wait until all of this is on the screen."""
        await until(self.pilot, lambda: all(word in screen_text(self.app) for word in words), for_s=self.for_s)

    async def on(self, kind: type[Any]) -> None:
        """Wait until such a screen is on top."""
        app = self.app
        await until(self.pilot, lambda: isinstance(app.screen, kind) and app.screen.is_mounted, for_s=self.for_s)


@asynccontextmanager
async def console(
    url: str, *, opened: str | None = None, size: tuple[int, int] = (100, 24), notifications: bool = False
) -> AsyncIterator[Real]:
    """The console as ``jobdeck console`` shows it; ``opened`` is a job at which it starts."""
    client = Client(url)
    app = ConsoleApp(url, opened=opened)

    async def live() -> None:
        async with client:
            await deck.run()

    async with trio_side(app.crashed) as guest:
        deck = Deck(client, app.take_state)
        app.connect(deck, Api(guest, deck))
        guest.start_soon(live)
        async with app.run_test(size=size, notifications=notifications) as pilot:
            yield Real(app, pilot, guest, client)
