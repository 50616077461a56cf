"""However the console is stopped and goes on, one thread reads the terminal: a second one swallows keys, for ever."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tui.conftest import Server, Terminal, wait_until

# the console, where "?" tells the threads of its terminal; the kernel may give a signal to any thread, and here it is
# never the main one, so that it is heard late
_PROGRAM = """
import pathlib, signal, sys, threading
threading.Thread(target=threading.Event().wait, daemon=True).start()
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCONT})
from jobdeck_tui.console.app import ConsoleApp
from jobdeck_tui.main import main
told = pathlib.Path(sys.argv.pop(1))
def tell(self):
    names = sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("textual-"))
    with told.open("a") as file:
        print(*names, file=file)
ConsoleApp.action_help = tell
main()
"""


class Console:
    """One in a terminal."""

    def __init__(self, server: Server, folder: Path) -> None:
        self._told = folder / "told"
        self._told.touch()
        (program := folder / "program.py").write_text(_PROGRAM)
        words = (str(program), str(self._told), "console", "--server", server.url)
        self.terminal = Terminal(server, *words, program=sys.executable)
        self.terminal.wait_for("● live")

    def threads(self) -> list[str]:
        """Those of its terminal, as it tells them when it is asked by a key."""
        before = len(self._told.read_text().splitlines())
        self.terminal.type(b"?")
        wait_until(lambda: self._told.read_text().count("\n") > before, lambda: str(self.terminal.lines()))
        return self._told.read_text().splitlines()[-1].split()

    def go_on(self) -> None:
        """Let it go on, until it is seen again.

        Until it has the terminal again, the kernel keeps keys that are signals to itself.
        """
        self.terminal.screen.reset()
        self.terminal.send_signal(signal.SIGCONT)
        self.terminal.wait_for("● live")


@pytest.fixture
def console(server: Server, tmp_path: Path) -> Iterator[Console]:
    """It leaves in order at the end, as it must after all that a test did to it."""
    each = Console(server, tmp_path)
    yield each
    each.terminal.type(b"q")
    assert each.terminal.end() == 0


def test_stopped_by_ctrl_z(console: Console) -> None:
    for _ in range(4):
        console.terminal.type(b"\x1a")
        console.terminal.wait_left()
        assert console.terminal.stopped() is signal.SIGSTOP
        console.go_on()
    assert console.threads() == ["textual-input", "textual-output"]


@pytest.mark.slow
def test_stopped_by_another(console: Console) -> None:
    console.terminal.send_signal(signal.SIGSTOP)
    assert console.terminal.stopped() is signal.SIGSTOP
    console.go_on()
    assert console.threads() == ["textual-input", "textual-output"]


@pytest.mark.slow
def test_asked_to_stop_by_another(console: Console) -> None:
    console.terminal.send_signal(signal.SIGTSTP)
    console.terminal.wait_left()
    assert console.terminal.stopped() is signal.SIGSTOP
    console.go_on()
    assert console.threads() == ["textual-input", "textual-output"]


@pytest.mark.slow
def test_told_to_go_on_though_it_was_not_stopped(console: Console) -> None:
    for _ in range(4):
        console.go_on()
    assert console.threads() == ["textual-input", "textual-output"]
