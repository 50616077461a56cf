"""Every key of the help, at three sizes: nothing breaks, nothing is cut off, and the console goes on."""

from __future__ import annotations

import json
import time

import pytest

from jobdeck_tui.console.settings import CONFIRM_WAIT_S
from tests.e2e.program import JOBDECK, Server
from tests.terminal.tmux import Tmux, terminal

_SIZES = [(60, 16), (80, 24), (200, 60)]
_IN_THE_LIST = (
    *("Down", "j", "Up", "k", "PageDown", "PageUp", "C-f", "C-b", "End", "Home", "G", "g"),
    *("Space", "*", "u", "C-a", "u", "y", "Y", "f", "p", "p", "C-r", "A", "A", "E", "E", "S", "S", "A"),
    *("Tab", "BTab"),
)
_IN_THE_OUTPUT = (
    *("f", "f", "w", "w", "t", "t", "t", "#", "#", "Down", "j", "Up", "k", "PageDown", "PageUp", "Space", "b"),
    *("C-f", "C-b", "C-d", "C-u", "Home", "End", "g", "G", "Left", "Right", "h", "l", "m", "[", "]", "v", "j", "y"),
    *("o", "o", "o", "i", "i", "Y"),
)
_IN_THE_WORKERS = (
    *("Down", "j", "Up", "k", "PageDown", "PageUp", "C-f", "C-b", "End", "Home", "G", "g"),
    *("Space", "*", "u", "C-a", "u", "y", "p", "p", "C-r", "N", "N", "S", "U", "L", "A", "N"),
    *("Tab", "BTab"),
)


def fits(tmux: Tmux, columns: int, rows: int) -> None:
    """The first line is the header, the last one the keys; no line is longer than the terminal."""

    def so() -> bool:
        lines = tmux.text().rstrip("\n").split("\n")
        ends = lines[0].startswith(" jobdeck ") and "Help" in lines[-1]
        return ends and len(lines) == rows and max(map(len, lines)) <= columns

    tmux.until(so, "header and keys are not where they belong")


def press_each(tmux: Tmux, keys: tuple[str, ...], columns: int, rows: int) -> None:
    for key in keys:
        tmux.press(key)
        tmux.until(lambda: "● live" in tmux.lines()[0], f"{key} ended it")
    fits(tmux, columns, rows)


@pytest.mark.parametrize(("columns", "rows"), _SIZES)
def test_every_key(server: Server, columns: int, rows: int) -> None:
    for number in range(30):
        wanted = {"command": f"echo job {number}; echo warning >&2; exit {number % 3}", "labels": ["nightly"]}
        assert server.ask("POST", "/v1/jobs", json.dumps(wanted))[0] == 201
    long_one = server.submit("seq 3000; echo the last line; sleep 600")
    with terminal(columns, rows) as tmux:
        tmux.run(*JOBDECK, "console", "--server", server.url)
        tmux.wait_for("seq 3000")
        fits(tmux, columns, rows)
        press_each(tmux, _IN_THE_LIST, columns, rows)
        # the filter, and what comes of it
        tmux.press("/")
        tmux.type("state:running seq")
        tmux.wait_for("state:running seq")
        tmux.until(lambda: "seq 3000" in tmux.text() and "echo job" not in tmux.text(), "it does not filter")
        tmux.press("Escape")
        tmux.wait_gone("state:running seq")
        tmux.wait_for("echo job")
        # the questions, answered by no; the dialog, left
        tmux.press("g")
        for key, words in (("x", "Stop"), ("X", "Kill")):
            tmux.press(key)
            tmux.wait_for(f"{words} this job?")
            tmux.press("Enter")
            tmux.wait_gone(f"{words} this job?")
        assert server.job(long_one)["state"] == "running"
        tmux.press("n")
        tmux.wait_for("Start a job")
        tmux.press("Escape")
        tmux.wait_gone("Start a job")
        # the output
        tmux.press("g")
        tmux.press("Enter")
        tmux.wait_for("the last line")
        tmux.wait_for("Search")
        press_each(tmux, _IN_THE_OUTPUT, columns, rows)
        tmux.press("/")
        tmux.type("2345")
        tmux.press("Enter")
        tmux.until(lambda: any(line.split()[-1:] == ["2345"] for line in tmux.lines()), "the hit is not shown")
        tmux.press("n", "N")
        fits(tmux, columns, rows)
        tmux.press("1")
        tmux.wait_for("AGE")
        # the workers
        tmux.press("3")
        tmux.wait_for("SLOTS")
        press_each(tmux, _IN_THE_WORKERS, columns, rows)
        tmux.press("d")
        tmux.until(lambda: "◐" in tmux.lines()[2], "it is not drained")
        tmux.press("d")
        tmux.until(lambda: "●" in tmux.lines()[2], "it is not in use again")
        tmux.press("/")
        tmux.type("label:nobody")
        tmux.wait_for("No worker matches.")
        tmux.press("Escape")
        tmux.wait_gone("No worker matches.")
        for key, words in (("x", "Forget this worker?"), ("r", "Rename the worker")):
            tmux.press(key)
            tmux.wait_for(words)
            tmux.press("Escape")
            tmux.wait_gone(words)
        tmux.press("Enter")
        tmux.wait_for("/worker:")
        tmux.wait_for("seq 3000")
        tmux.press("Escape")
        tmux.wait_gone("/worker:")
        tmux.wait_for("AGE")
        # and the end of the job
        tmux.press("g", "X")
        tmux.wait_for("Kill this job?")
        time.sleep(2 * CONFIRM_WAIT_S)  # before that it is not taken for an answer
        tmux.press("y")
        tmux.wait_gone("Kill this job?")
        server.wait(long_one)
        tmux.press("?")
        tmux.wait_for("Esc closes")
        tmux.press("Escape")
        tmux.wait_gone("Esc closes")
        fits(tmux, columns, rows)
        tmux.press("q")
        tmux.wait_for("left with 0")
