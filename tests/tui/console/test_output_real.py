"""The output pane on a real server: a job that writes, seen, searched and saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest

from jobdeck_tui.console.saving import save_log
from jobdeck_tui.console.screens.output import OutputScreen
from tests.tui.conftest import Server
from tests.tui.console.harness import screen_text, ui, until
from tests.tui.console.real import console

if TYPE_CHECKING:
    pass

SCRIPT = r"""
for i in $(seq 1 2000); do echo "line $i"; done
echo "to stderr" >&2
printf ' 10 %%\r 50 %%\r100 %%\n'
head -c 100000 /dev/zero | tr '\0' x; echo
while [ ! -e GO ]; do sleep 0.02; done
echo "the end"
"""


def submit(server: Server, command: str) -> str:
    answer = httpx.post(server.url + "/v1/jobs", json={"command": command}, trust_env=False)
    return str(answer.raise_for_status().json()["id"])


@pytest.mark.slow
@ui
async def test_a_job_is_followed_searched_and_saved(server: Server, tmp_path: Path) -> None:
    go = tmp_path / "go"
    job_id = submit(server, SCRIPT.replace("GO", str(go)))
    async with console(server.url, opened=job_id[:8], size=(80, 24)) as it:
        app, pilot, screen = it.app, it.pilot, it.app.screen
        assert isinstance(screen, OutputScreen)
        view = screen.pane.view
        await until(pilot, lambda: "xxxx 97.7 KiB»" in screen_text(app))
        await until(pilot, lambda: "▎to stderr" in screen_text(app))
        assert "␍100 %" in screen_text(app)
        assert view.line_count == 2003
        go.touch()
        await until(pilot, lambda: "the end" in screen_text(app))
        await until(pilot, lambda: "✓ succeeded" in screen_text(app))

        view.action_top()
        await until(pilot, lambda: "   1  line 1\n" in screen_text(app))
        screen.pane.show_job(job_id, "stderr")
        await until(pilot, lambda: "only stderr" in screen_text(app) and view.line_count == 1)
        screen.pane.show_job(job_id)
        await until(pilot, lambda: "the end" in screen_text(app))

        screen.pane.action_search()
        await pilot.press(*"line 77")
        await until(pilot, lambda: "1 of 11" in screen.pane.bar.told)
        assert view.cursor_line == 76

        told: list[int] = []
        path = tmp_path / "log"
        assert await save_log(app.api, job_id, path, told.append) == told[-1] == path.stat().st_size
        assert path.read_bytes().endswith(b"x\nthe end\n")
    assert not screen.is_attached
