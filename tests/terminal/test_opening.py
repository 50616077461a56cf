"""``jobdeck`` alone: the console opens by itself, with a server of its own, and leaves nothing behind but jobs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.program import JOBDECK, end_keeper
from tests.terminal.tmux import terminal


def test_alone_it_brings_its_server_along_and_the_jobs_outlive_it(tmp_path: Path) -> None:
    data = tmp_path / "data"
    environ = {"JOBDECK_DATA_DIR": str(data), "JOBDECK_CONFIG": os.devnull, "XDG_STATE_HOME": str(tmp_path)}
    try:
        with terminal(env=environ) as tmux:
            tmux.run(*JOBDECK)
            tmux.wait_for("No jobs yet")
            tmux.press("n")
            tmux.wait_for("Start a job")
            tmux.type("echo started here; sleep 600")
            tmux.press("C-s")
            tmux.wait_for("running")
            tmux.press("Enter")
            tmux.wait_for("started here")
            tmux.press("q")
            tmux.wait_for("left with 0")
            assert "1 job runs on without a server" in tmux.text()
            tmux.run(*JOBDECK)  # again: the job is still there
            tmux.wait_for("▶ running")
            tmux.press("q")
            tmux.until(lambda: tmux.text().count("left with 0") == 2)
    finally:
        end_keeper(data)
