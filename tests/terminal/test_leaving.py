"""However the console is left, the terminal is given back, and the exit code tells how it was."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.program import JOBDECK, Server
from tests.terminal.tmux import Tmux, terminal


def open_console(tmux: Tmux, server: Server, *flags: str) -> None:
    tmux.run(*JOBDECK, "console", "--server", server.url, *flags)
    tmux.wait_for("● live")


def console_pid(server: Server) -> int:
    found = subprocess.run(
        ["pgrep", "-f", f"console --server {server.url}"], capture_output=True, text=True, check=True
    )
    return int(found.stdout.split()[0])


def given_back(tmux: Tmux) -> None:
    """Neither the alternate screen nor raw mode nor mouse reports are left on."""
    assert tmux.ask("#{alternate_on} #{mouse_any_flag} #{cursor_flag}") == "0 0 1"
    tmux.press("C-l")
    tmux.wait_gone("left with")
    tmux.run("stty", "-a")
    tmux.wait_for("left with 0")
    words = tmux.text().replace(";", " ").split()
    assert {"icanon", "echo", "isig"} <= set(words)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_ends_it_in_order(server: Server, number: signal.Signals, code: int) -> None:
    with terminal() as tmux:
        open_console(tmux, server)
        os.kill(console_pid(server), number)
        tmux.wait_for(f"left with {code}")
        given_back(tmux)


def test_q_leaves_with_0(server: Server) -> None:
    with terminal() as tmux:
        open_console(tmux, server)
        tmux.press("q")
        tmux.wait_for("left with 0")
        given_back(tmux)


def stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def comes_back(tmux: Tmux, server: Server) -> None:
    """By ``fg``: it hears every key, and leaves."""
    pid = console_pid(server)
    tmux.type("fg; echo came back with $?")
    tmux.press("Enter")
    tmux.until(lambda: not stopped(pid), "it is stopped")
    tmux.wait_for("● live")
    tmux.press("?")
    tmux.wait_for("Esc closes")
    tmux.press("Escape")
    tmux.wait_gone("Esc closes")
    tmux.press("q")
    tmux.wait_for("came back with 0")
    given_back(tmux)


def test_ctrl_z_goes_back_to_the_shell_and_fg_returns(server: Server) -> None:
    with terminal() as tmux:
        open_console(tmux, server)
        tmux.press("C-z")
        tmux.wait_for("Stopped")
        given_back(tmux)
        comes_back(tmux, server)


def test_in_the_background_it_waits_for_the_terminal(server: Server) -> None:
    with terminal() as tmux:
        open_console(tmux, server)
        tmux.press("C-z")
        tmux.wait_for("Stopped")
        tmux.run("bg")
        tmux.wait_for("left with 0")
        tmux.until(lambda: stopped(console_pid(server)))
        given_back(tmux)
        comes_back(tmux, server)


def test_stopped_from_elsewhere_it_comes_back_too(server: Server) -> None:
    with terminal() as tmux:
        open_console(tmux, server)
        os.kill(console_pid(server), signal.SIGSTOP)
        tmux.wait_for("Stopped")
        comes_back(tmux, server)


def test_a_fault_of_ours_gives_the_terminal_back_and_tells_it(server: Server, tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text(
        "from jobdeck_tui.console.deck import Deck\n"
        "from jobdeck_tui.main import main\n"
        "async def fail(self, message): raise RuntimeError('a fault')\n"
        "Deck._hear = fail\n"
        "main()\n"
    )
    with terminal() as tmux:
        tmux.run(str(Path(JOBDECK[0]).with_name("python")), str(broken), "console", "--server", server.url)
        tmux.wait_for("left with 1")
        assert "a fault" in tmux.text()
        given_back(tmux)
