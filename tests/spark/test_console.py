"""Contexts on Spark in the console, by keys: made, used by a job whose stages are told, made anew, looked into."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from jobdeck_tui.console.screens import confirm
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.contexts import ContextsScreen
from jobdeck_tui.console.screens.newcontext import NewContextScreen
from jobdeck_tui.console.screens.output import OutputScreen
from tests.spark.kit import LIMIT_S, Deck
from tests.tui.console.blobs import press
from tests.tui.console.real import Real, console

if TYPE_CHECKING:
    pass

pytestmark = pytest.mark.timeout(200)

NAME = "seen"


async def drive(it: Real, deck: Deck) -> None:
    """The story, by keys."""
    app, pilot, see, on = it.app, it.pilot, it.see, it.on
    await press(pilot, "5")
    await on(ContextsScreen)
    await press(pilot, "n")
    await on(NewContextScreen)
    await press(pilot, *NAME, "tab", "right", "tab", *"3", "tab", "tab", *"2", "tab", *"450m")
    await see('spark.master = "local[2]"', "launcher.spark.driver.memory = 450m", "can be read")
    await press(pilot, "ctrl+s")
    await see("Making it: ")
    await on(ContextsScreen)
    await see(f"Context {NAME}", "● running", "master       local[2]", "0 of 3 in use", "It has no jobs now.", "MiB")

    job = await asyncio.to_thread(deck.holding, NAME, "of-the-console", tasks=2)
    await asyncio.to_thread(job.begun, 2)
    await see("1 of 3 in use", "Holds", "stage 1 of 1, 0 of 2 tasks")
    app.screen.set_focus(app.screen.query_one("ContextTable"))
    await press(pilot, "r")
    await on(ConfirmScreen)
    await see("Restart this context?", "1 job in it will be ended.")
    await press(pilot, "y")
    await see("◑ restarting")
    await see("● running", "restarts     1", "0 of 3 in use", "It has no jobs now.")

    await press(pilot, "l")
    await on(OutputScreen)
    await see(f"context {NAME}", "▶ running")
    await press(pilot, "C")
    await on(ContextsScreen)
    await press(pilot, "x")
    await on(ConfirmScreen)
    await press(pilot, "y")
    await see("No contexts")


async def drive_console(deck: Deck) -> None:
    async with console(deck.server.url, size=(100, 40)) as it:
        it.for_s = LIMIT_S
        await drive(it, deck)


def test_a_context_on_spark_from_the_console(deck: Deck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(confirm, "CONFIRM_WAIT_S", 0.0)  # nobody has to read the questions
    asyncio.run(asyncio.wait_for(drive_console(deck), 2 * LIMIT_S))
