"""Contexts and results on a real server, by keys: a context is made, a class runs in it, its result is looked at."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from jobdeck_protocol.packageinfo import WHEEL
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.contexts import ContextsScreen
from jobdeck_tui.console.screens.download import DownloadScreen
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.newcontext import NewContextScreen
from jobdeck_tui.console.screens.outcome import OutcomeScreen
from tests.client.test_packages import zipped
from tests.tui.conftest import Server
from tests.tui.console.blobs import press
from tests.tui.console.harness import ui, until
from tests.tui.console.real import Real, console

if TYPE_CHECKING:
    pass

SOURCE = """
import os, time


class Slow:
    def validate(self, context, runtime, config):
        return config["gate"]

    def run_job(self, context, runtime, gate):
        runtime.progress(0.25, "waits at the gate")
        while not os.path.exists(gate):
            time.sleep(0.02)
        return {"context": context.name, "big": 10**30, "rows": [{"n": n} for n in range(100)]}
"""


async def drive(it: Real, folder: Path) -> None:
    """The story, by keys."""

    app, pilot, guest, client = it.app, it.pilot, it.guest, it.client
    see, on = it.see, it.on
    wheel = folder / "slow.whl"
    wheel.write_bytes(zipped(console_slow=SOURCE))
    await guest.call(client.upload_package, "console-slow", wheel, WHEEL)

    await press(pilot, "5")
    await on(ContextsScreen)
    await press(pilot, "n")
    await on(NewContextScreen)
    await press(pilot, *"1st", "enter")
    await see("context name must start with letters")
    await press(pilot, *("backspace",) * 3, *"consolectx", "tab", "tab", "tab", *"a.b = [")
    await see("✗ line 1")
    await press(pilot, *"7]")
    await see("✓ can be read")
    await press(pilot, "ctrl+s")
    await on(ContextsScreen)
    await press(pilot, "slash", *"consolectx", "enter")
    await see("consolectx", "0/8", "1 / 1")

    config = f'gate = "{folder / "gate"}"'
    start = partial(client.start_class, "console_slow.Slow", ["console-slow"], config=config, context="consolectx")
    job = await guest.call(start)
    await press(pilot, "p")
    await see("1/8", "a.b = [7]", "25 % waits at the gate")
    app.screen.set_focus(app.screen.query_one("ContextTable"))
    await press(pilot, "enter")
    await on(JobsScreen)
    await see("context:consolectx", "25 %", "1 / 1")
    await press(pilot, "R")
    await on(OutcomeScreen)
    await see("still runs", " 25 %", "waits at the gate")
    (folder / "gate").touch()
    await see("RESULT", "context  ", '"consolectx"', "1" + "0" * 30, "▸ rows  [100]")
    await press(pilot, "slash", *"99", "enter")
    await see("1 of 1", "$.rows[99].n")
    await press(pilot, "escape", "s")
    await on(DownloadScreen)
    await press(pilot, "enter")
    saved = folder / f"{job.id[:8]}-result.json"
    await until(pilot, saved.exists)
    assert b"1" + b"0" * 30 in saved.read_bytes()
    await on(OutcomeScreen)
    await press(pilot, "c")
    await see("gate", str(folder))

    await press(pilot, "5")
    await on(ContextsScreen)
    await see("0/8")
    await press(pilot, "x")
    await on(ConfirmScreen)
    await see("consolectx", "Nothing runs in it.")
    await press(pilot, "y")
    await see("No context matches.")


@pytest.mark.slow
@ui
async def test_a_context_is_made_and_a_class_runs_in_it(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with console(server.url, size=(100, 30)) as it:
        await drive(it, tmp_path)
