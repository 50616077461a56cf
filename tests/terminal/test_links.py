"""A followed log across broken links: it says since when, goes on by itself, and no line is lost or doubled."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from tests.e2e import program
from tests.e2e.program import JOBDECK, Server
from tests.terminal.proxy import proxied
from tests.terminal.tmux import Tmux, terminal

_CUT_S = float(os.environ.get("JOBDECK_TEST_CUT_S", "3"))
_ROWS_COUNT = 40
_PAGE_COUNT = _ROWS_COUNT - 4  # header, head, foot and keys
_LINE = re.compile(r"^\s*(\d+) +(?:▎ *)?line (\d+)\W*$")


def counting(go: Path) -> str:
    """Fifty lines a second until the file is there, and some more."""
    more = "for j in 1 2 3; do echo line $((i+j)); done"
    return f"i=0; until [ -e {go} ]; do i=$((i+1)); echo line $i; sleep 0.02; done; {more}"


def shown(tmux: Tmux) -> list[tuple[int, int]]:
    """The lines on the screen: number of the line, and the number that it says."""
    return [(int(m[1]), int(m[2])) for m in map(_LINE.match, tmux.lines()) if m]


def last(tmux: Tmux) -> int:
    """The last line on the screen, 0 while there is none."""
    return max((number for number, _ in shown(tmux)), default=0)


def page_from(tmux: Tmux, first: int, count: int) -> list[tuple[int, int]]:
    """The screen, once it is wholly drawn: lines without a hole, the first of them no later than ``first``.

    Rows whose lines are still on their way are empty, so a screen that is not full is no whole one.
    """
    found: list[tuple[int, int]] = []

    def drawn() -> bool:
        found[:] = shown(tmux)
        numbers = [number for number, _ in found]
        if len(numbers) < min(_PAGE_COUNT, count):
            return False
        return numbers == list(range(numbers[0], numbers[-1] + 1)) and numbers[0] <= first <= numbers[-1]

    tmux.until(drawn, f"line {first} is not shown")
    return found


def check_whole(tmux: Tmux, server: Server, job_id: str) -> None:
    """Everything that was written can be read in the console, each line in its place."""
    count = server.attach(job_id).count(b"\n")
    page_from(tmux, count, count)
    tmux.press("g")
    seen = page_from(tmux, 1, count)
    while seen[-1][0] < count:
        tmux.press("Space")
        seen += page_from(tmux, seen[-1][0] + 1, count)
    assert set(seen) == {(n, n) for n in range(1, count + 1)}


def test_a_killed_server(server: Server, tmp_path: Path) -> None:
    job_id = server.submit(counting(tmp_path / "go"))
    with terminal(100, _ROWS_COUNT) as tmux:
        tmux.run(*JOBDECK, "console", job_id, "--server", server.url)
        tmux.until(lambda: len(shown(tmux)) > 20, "it does not follow")
        for _ in range(3):
            server.kill()
            tmux.wait_for("NO LINK since")
            server.start()
            tmux.wait_gone("NO LINK since")
            at = last(tmux)
            tmux.until(lambda at=at: last(tmux) > at, "it does not go on")  # type: ignore[misc]  # a lambda's default
        (tmp_path / "go").touch()
        tmux.wait_for("succeeded")
        check_whole(tmux, server, job_id)


def test_a_cut_link(tmp_path: Path) -> None:
    with (
        program.server(tmp_path / "data", "--allow-host", "127.0.0.1") as server,
        proxied(server.port) as link,
        terminal(100, _ROWS_COUNT) as tmux,
    ):
        job_id = server.submit(counting(tmp_path / "go"))
        tmux.run(*JOBDECK, "console", job_id, "--server", f"http://127.0.0.1:{link.port}")
        tmux.until(lambda: len(shown(tmux)) > 20, "it does not follow")
        link.cut()
        tmux.wait_for("NO LINK since")
        time.sleep(_CUT_S)  # what is tested is a time without a link
        at = last(tmux)
        link.mend()
        tmux.wait_gone("NO LINK since")
        tmux.until(lambda: last(tmux) > at, "it does not go on")
        (tmp_path / "go").touch()
        tmux.wait_for("succeeded")
        check_whole(tmux, server, job_id)
