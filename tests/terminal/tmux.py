"""A real terminal to look at programs in: tmux, with a socket of its own for each test."""

from __future__ import annotations

import contextlib
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping

LIMIT_S = 30.0
_LOOK_EVERY_S = 0.05


class Tmux:
    """One session with one window. The shell in it outlives what is run, so that exit codes can be told."""

    def __init__(self, columns: int, rows: int, env: Mapping[str, str]) -> None:
        self._name = f"jobdeck-test-{uuid.uuid4().hex[:12]}"
        self._env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("JOBDECK_", "JOBRUNNER_", "TMUX"))},
            **env,
            "LC_ALL": "C.UTF-8",
            "TEXTUAL_ANIMATIONS": "none",
            "PS1": "$ ",
        }
        # xterm-256color inside: what most people's terminal is
        self._tmux("-f", os.devnull, "new-session", "-d", "-x", str(columns), "-y", str(rows), "bash --norc -i")
        self._tmux("set", "-g", "default-terminal", "xterm-256color")

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-L", self._name, *words],
            env=self._env,
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=True,
        )
        return done.stdout

    def run(self, *command: str) -> None:
        """Type a command at the shell; its exit code is shown as ``left with N`` when it ends."""
        self.type(f"TERM=xterm-256color {shlex.join(command)}; echo left with $?")
        self.press("Enter")

    def type(self, text: str) -> None:
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: ``Enter``, ``C-z``, ``Escape``, ``Down``."""
        self._tmux("send-keys", "--", *keys)

    def text(self, *, colours: bool = False) -> str:
        return self._tmux("capture-pane", "-p", *(["-e"] if colours else []))

    def lines(self) -> list[str]:
        return self.text().split("\n")

    def ask(self, format_: str) -> str:
        """A format of tmux, such as ``#{alternate_on}``."""
        return self._tmux("display-message", "-p", format_).strip()

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def wait_for(self, text: str) -> None:
        self.until(lambda: text in self.text(), f"{text!r} did not come")

    def wait_gone(self, text: str) -> None:
        self.until(lambda: text not in self.text(), f"{text!r} stays")

    def until(self, true: Callable[[], object], why: str = "it never came to be", *, for_s: float = LIMIT_S) -> None:
        end_s = time.monotonic() + for_s
        while not true():
            assert time.monotonic() < end_s, f"{why}; the screen:\n{self.text()}"
            time.sleep(_LOOK_EVERY_S)

    def close(self) -> None:
        with contextlib.suppress(subprocess.SubprocessError):
            self._tmux("kill-server")


@contextlib.contextmanager
def terminal(columns: int = 80, rows: int = 24, env: Mapping[str, str] | None = None) -> Iterator[Tmux]:
    """A terminal; nothing of it is left afterwards."""
    each = Tmux(columns, rows, env or {})
    try:
        yield each
    finally:
        each.close()
