"""The console ends when its terminal does, and when it is told to: it never goes on unseen."""

from __future__ import annotations

import signal

import pytest

from tests.tui.conftest import Server, Terminal


def test_a_closed_window_ends_it(server: Server) -> None:
    terminal = Terminal(server, "console", "--server", server.url)
    terminal.wait_for("● live")
    assert terminal.hang_up() == 128 + signal.SIGHUP


@pytest.mark.slow
@pytest.mark.parametrize("by_key", [True, False])
def test_a_window_closed_while_it_is_stopped_ends_it(server: Server, by_key: bool) -> None:
    terminal = Terminal(server, "console", "--server", server.url)
    terminal.wait_for("● live")
    if by_key:
        terminal.type(b"\x1a")
        terminal.wait_left()
    else:
        terminal.send_signal(signal.SIGSTOP)
    assert terminal.stopped() is signal.SIGSTOP
    assert terminal.hang_up() == 128 + signal.SIGHUP


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_and_gives_the_terminal_back(server: Server, number: signal.Signals) -> None:
    terminal = Terminal(server, "console", "--server", server.url)
    terminal.wait_for("● live")
    terminal.send_signal(number)
    assert terminal.end() == 128 + number
    assert b"\x1b[?1049l" in terminal.got
