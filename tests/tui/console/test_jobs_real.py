"""The list of jobs on a real server: jobs are started, stopped, run again, removed, and seen as they change."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from jobdeck_protocol.job import JobState
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.console.screens.confirm import ConfirmScreen
from jobdeck_tui.console.screens.jobs import JobsScreen
from jobdeck_tui.console.screens.start import StartScreen
from tests.tui.conftest import Server
from tests.tui.console.harness import screen_text, ui, until
from tests.tui.console.real import console

if TYPE_CHECKING:
    from textual.pilot import Pilot


async def drive(app: ConsoleApp, pilot: Pilot[int], told: list[str]) -> None:
    """The story, by keys."""
    screen = app.screen
    assert isinstance(screen, JobsScreen)
    table = screen.table

    def state() -> JobState | None:
        return None if table.cursor is None else table.cursor.state

    await until(pilot, lambda: table.jobs.known and not table.jobs.stale)
    await pilot.press("n")
    await until(pilot, lambda: isinstance(app.screen, StartScreen))
    await pilot.press(*"sleep 5000", "ctrl+s")
    await until(pilot, lambda: app.screen is screen and state() is JobState.RUNNING)
    started = table.cursor
    assert started is not None
    assert told == [f"Started {started.id[:8]}"]
    assert "sleep 5000" in screen_text(app)

    await pilot.press("X")
    await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
    await pilot.press("y")
    await until(pilot, lambda: state() is JobState.STOPPED)
    assert "SIGKILL" in screen_text(app)

    await pilot.press("r")
    await until(pilot, lambda: table.cursor is not None and table.cursor.id != started.id)
    await until(pilot, lambda: state() is JobState.RUNNING)
    await pilot.press("slash", *"state:stop sleep 5000", "enter")
    await until(pilot, lambda: [job.id for job in table.rows] == [started.id] and table.jobs.known)
    await pilot.press("d", "y")
    await until(pilot, lambda: "No job matches." in screen_text(app))
    await pilot.press("escape")
    await until(pilot, lambda: state() is JobState.RUNNING)
    await pilot.press("x", "y")
    await until(pilot, lambda: state() is JobState.STOPPED)
    assert "SIGTERM" in screen_text(app)


@ui
async def test_jobs_are_started_stopped_run_again_and_removed(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    told: list[str] = []

    def tell(message: str, **_: Any) -> None:
        told.append(message)

    async with console(server.url) as it:
        monkeypatch.setattr(it.app, "notify", tell)
        await drive(it.app, it.pilot, told)
    assert (tmp_path / "jobdeck" / "console-history.json").exists()
