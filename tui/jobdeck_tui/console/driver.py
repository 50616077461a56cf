"""The terminal's driver: Textual's own, but stopping and going on (Ctrl-Z, fg, bg, kill -STOP, kill -CONT) is safe.

Textual's driver enters application mode whenever SIGCONT is heard, unless a flag says that somebody else will. That
flag is taken back as soon as the process goes on, and the signal may be heard a moment later (the kernel may give it to
any thread): then application mode is entered twice, and two threads read the terminal. Of two that wake for one key,
one gets it and the other waits for the next one; so whoever waits for that thread to end, to leave or to stop again,
waits for ever.

Here application mode is entered by those who left it, and by nobody else. While it is left, neither SIGTSTP nor SIGCONT
is heard: the kernel does with them what it does with every program. In application mode they are heard in the event
loop, never in the midst of something: SIGTSTP is what Ctrl-Z is, and SIGCONT means that another stopped this process
and somebody else may have had the terminal since.
"""

from __future__ import annotations

import errno
import signal
import termios
import tty
from typing import TYPE_CHECKING

from textual.drivers.linux_driver import LinuxDriver

if TYPE_CHECKING:
    from typing import Any

    from textual.app import App

__all__ = ["TerminalDriver"]

_HEARD = (signal.SIGTSTP, signal.SIGCONT)


class TerminalDriver(LinuxDriver):
    """See the top of this file. Made by Textual, in the main thread and with its loop running."""

    def __init__(
        self, app: App[Any], *, debug: bool = False, mouse: bool = True, size: tuple[int, int] | None = None
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._modes: list[Any] | None = None
        for number in _HEARD:
            signal.signal(number, signal.SIG_DFL)

    def start_application_mode(self) -> None:
        """Take the terminal, once it is ours to take."""
        self._wait_for_foreground()
        super().start_application_mode()  # type: ignore[no-untyped-call]  # Textual's has no annotations
        self._modes = self._take_modes()
        self._loop.add_signal_handler(signal.SIGTSTP, self._asked_to_stop)
        self._loop.add_signal_handler(signal.SIGCONT, self._gone_on)

    def stop_application_mode(self) -> None:
        """Give it back as it was."""
        for number in _HEARD:
            self._loop.remove_signal_handler(number)  # which is as it was before: the kernel's way
        self._modes = None
        super().stop_application_mode()

    def _asked_to_stop(self) -> None:
        self._app.call_later(self._app.action_suspend_process)

    def _gone_on(self) -> None:
        """Have the terminal again as it was left; no input is dropped."""
        if self._modes is None:
            return  # it was on its way here when application mode was left
        self._wait_for_foreground()
        try:
            termios.tcsetattr(self.fileno, termios.TCSANOW, self._modes)
        except termios.error:
            return  # it is gone, and SIGHUP tells that
        self.write("\x1b[?1049h\x1b[?25l")  # the other screen, no cursor
        self._enable_mouse_support()
        self._enable_bracketed_paste()
        self._app.call_later(self._app.refresh, layout=True)

    def _wait_for_foreground(self) -> None:
        """Stop, with the whole process group, for as long as the terminal is another's (``bg``).

        The kernel does that to who sets the modes of a terminal from the background, even to what they are.
        """
        signal.signal(signal.SIGTTOU, signal.SIG_DFL)
        while True:
            try:
                termios.tcsetattr(self.fileno, termios.TCSANOW, termios.tcgetattr(self.fileno))
            except termios.error as error:
                if error.args[0] == errno.EINTR:
                    continue
            return  # no terminal, or one that nobody gives to this group any more: Textual goes on without

    def _take_modes(self) -> list[Any] | None:
        """Have a read return at once though another took the input; returns the modes, None if it is no terminal."""
        try:
            modes = termios.tcgetattr(self.fileno)
            modes[tty.CC][termios.VMIN] = modes[tty.CC][termios.VTIME] = 0
            termios.tcsetattr(self.fileno, termios.TCSANOW, modes)
        except termios.error:
            return None
        return modes
