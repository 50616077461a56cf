"""Puts the console together: the trio side, the app, and what signals do. The composition root; read this first.

events, requests  ->  Deck (trio)  ->  State  ->  ConsoleApp -> screens -> widgets
keys              ->  widgets, screens  ->  Api (asyncio)  ->  Client (trio)
"""

from __future__ import annotations

import asyncio
import gc
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_client import Client
from jobdeck_protocol.job import ENDED
from jobdeck_tui.console.api import Api
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.deck import Deck
from jobdeck_tui.console.guest import trio_side
from jobdeck_tui.console.picture import take

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_client import Trust
    from jobdeck_tui.console.picture import Size

__all__ = ["Ask", "Left", "run"]

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """What a console is started with.

    Attributes:
        url: Of the server.
        token: To show to it, None for none.
        trust: For TLS.
        job: A job to open at once, by its id or the beginning of one.
        read_only: Nothing can be changed from it.
        picture: Show nothing: write a picture of what would be seen to this file, and end.
        size: Of that picture, in cells.
    """

    url: str
    token: str | None = None
    trust: Trust | None = None
    job: str | None = None
    read_only: bool = False
    picture: Path | None = None
    size: Size = (100, 30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """How a console was left: its exit code, and how many jobs had not ended as far as it knew."""

    code: int
    active_count: int


def run(ask: Ask) -> Left:
    """Show the console until it is left."""
    gc.freeze()  # what was loaded stays: looking through it for garbage held up keys for 80 ms at a time
    return asyncio.run(_run(ask))


async def _run(ask: Ask) -> Left:
    loop = asyncio.get_running_loop()
    client = Client(ask.url, ask.token, trust=ask.trust)
    app = ConsoleApp(ask.url, opened=ask.job)
    async with trio_side(app.crashed) as guest:
        deck = Deck(client, app.take_state, read_only=ask.read_only)
        app.connect(deck, Api(guest, deck))
        guest.start_soon(_live, client, deck)
        for number in _SIGNALS:
            loop.add_signal_handler(number, app.leave_by, number)
        try:
            if ask.picture is not None:
                await take(app, ask.picture, ask.size)
            else:
                await app.run_async()
        finally:
            for number in _SIGNALS:
                loop.remove_signal_handler(number)
        active = sum(count for state, count in deck.state.counts.items() if state not in ENDED)
    return Left(code=app.return_code or 0, active_count=active)


async def _live(client: Client, deck: Deck) -> None:
    async with client:
        await deck.run()
