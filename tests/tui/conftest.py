"""A real server for the commands, and terminals to look at them in."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import httpx
import pyte
import pytest

from jobdeck_server.commands.demo_scene import clear_away
from jobdeck_tui.main import main

PROGRAM = str(Path(sys.executable).with_name("jobdeck"))
LIMIT_S = 30.0


class Server:
    """`jobdeck serve` on a data directory and port of its own."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.url = ""
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith(("JOBDECK_", "JOBRUNNER_"))}
        self.environ |= {"JOBDECK_CONFIG": os.devnull, "JOBDECK_DATA_DIR": str(data), "XDG_CONFIG_HOME": str(data)}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        listen = self.url.removeprefix("http://") or "127.0.0.1:0"
        with (self.data / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [PROGRAM, "serve", "--listen", listen], stdin=subprocess.DEVNULL, stderr=log, env=self.environ
            )
        wait_until(self._answers, lambda: (self.data / "log").read_text())

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, (self.data / "log").read_text()
        with contextlib.suppress(OSError, ValueError, httpx.TransportError):
            told = json.loads((self.data / "server.json").read_text())
            if told["pid"] == self._process.pid:
                self.url = told["urls"][0]
                return httpx.get(self.url + "/healthz", trust_env=False).status_code == 200
        return False

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def environment(self, **more: str) -> dict[str, str]:
        return {**self.environ, "JOBDECK_SERVER": self.url, **more}

    def jobdeck(
        self, *arguments: str, stdin: bytes = b"", cwd: Path | None = None, **more: str
    ) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [PROGRAM, *arguments],
            input=stdin,
            capture_output=True,
            env=self.environment(**more),
            cwd=cwd,
            timeout=LIMIT_S,
            check=False,
        )

    def submit(self, *command: str) -> str:
        """A job that nobody follows; its id."""
        done = self.jobdeck("run", "--detach", "--", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()


def wait_until(holds: Callable[[], bool], told: Callable[[], str] = str) -> None:
    end_s = time.monotonic() + LIMIT_S
    while not holds():
        assert time.monotonic() < end_s, told()
        time.sleep(0.02)


class Terminal:
    """A command in a pseudo-terminal of 80 x 24, its screen kept by pyte. `got` is every byte that came."""

    def __init__(self, server: Server, *arguments: str, program: Path | str = PROGRAM, **more: str) -> None:
        self.got = b""
        self.screen = pyte.Screen(80, 24)
        self._stream = pyte.ByteStream(self.screen)
        environ = server.environment(TERM="xterm-256color", **more)
        self._pid, self._fd = pty.fork()
        if self._pid == 0:
            os.execve(program, [str(program), *arguments], environ)
        fcntl.ioctl(self._fd, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))

    def lines(self) -> list[str]:
        return [line.rstrip() for line in self.screen.display if line.strip()]

    def wait_for(self, text: str, *, count: int = 1) -> None:
        """Read on until so many lines of the screen hold ``text``."""
        end_s = time.monotonic() + LIMIT_S
        while sum(text in line for line in self.lines()) < count:
            assert self._read(end_s), f"{text!r} did not come; there is {self.lines()}"

    def wait_left(self) -> None:
        """Read on until the console has given the terminal back, to the last byte."""
        end_s = time.monotonic() + LIMIT_S
        while not self.got.endswith(b"\x1b[?1004l"):
            assert self._read(end_s), f"it has ended; there is {self.lines()}"

    def type(self, data: bytes) -> None:
        os.write(self._fd, data)

    def settle(self, quiet_s: float = 0.15) -> None:
        """Read on until nothing has come for a while; what it means is for the caller to look for."""
        while select.select([self._fd], [], [], quiet_s)[0] and self._read(time.monotonic() + LIMIT_S):
            pass

    def send_signal(self, number: signal.Signals) -> None:
        os.kill(self._pid, number)

    def stopped(self) -> signal.Signals:
        """Wait until the command is stopped, as a shell does; what stopped it. Nothing is read meanwhile."""
        end_s = time.monotonic() + LIMIT_S
        while (found := os.waitpid(self._pid, os.WNOHANG | os.WUNTRACED))[0] == 0:
            assert time.monotonic() < end_s, f"it goes on; there is {self.lines()}"
            time.sleep(0.02)
        assert os.WIFSTOPPED(found[1]), found[1]
        return signal.Signals(os.WSTOPSIG(found[1]))

    def hang_up(self) -> int:
        """Take the terminal away, as a closed window does; the command's exit code."""
        os.close(self._fd)
        end_s = time.monotonic() + LIMIT_S
        while (found := os.waitpid(self._pid, os.WNOHANG))[0] == 0:
            if time.monotonic() > end_s:
                os.kill(self._pid, signal.SIGKILL)
                os.waitpid(self._pid, 0)
                raise AssertionError("it goes on without a terminal")
            time.sleep(0.02)
        return os.waitstatus_to_exitcode(found[1])

    def end(self) -> int:
        """Read on until the command has ended; its exit code."""
        end_s = time.monotonic() + LIMIT_S
        while self._read(end_s):
            pass
        code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        os.close(self._fd)
        return code

    def _read(self, end_s: float) -> bool:
        if not select.select([self._fd], [], [], max(0.0, end_s - time.monotonic()))[0]:
            raise AssertionError(f"nothing more comes; there is {self.lines()}")
        try:
            data = os.read(self._fd, 65536)
        except OSError:  # EIO: the command has gone
            return False
        self.got += data
        self._stream.feed(data)
        return bool(data)


def _server(data: Path) -> Iterator[Server]:
    made = Server(data)
    try:
        made.start()
        yield made
    finally:
        with contextlib.suppress(AssertionError, OSError):
            made.kill()
        clear_away(data)


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that do not hurt it."""
    yield from _server(tmp_path_factory.mktemp("server"))


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    stdout: bytes
    stderr: bytes
    returncode: int


class Jobdeck(Protocol):
    """Calls the `jobdeck` command with arguments, variables and a folder."""

    def __call__(self, *arguments: str, cwd: Path | None = None, **more: str) -> Done: ...


@pytest.fixture
def jobdeck(server: Server, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Jobdeck:
    """The command in this process, which saves half a second of imports; standard input is empty."""

    def call(*arguments: str, cwd: Path | None = None, **more: str) -> Done:
        with monkeypatch.context() as patch:
            for name in os.environ:
                patch.delenv(name)
            for name, value in server.environment(**more).items():
                patch.setenv(name, value)
            patch.chdir(cwd or os.getcwd())
            with pytest.raises(SystemExit) as caught:
                main(list(arguments), prog_name="jobdeck")
        code = caught.value.code
        assert isinstance(code, int | None)
        return Done(*capfdbinary.readouterr(), returncode=code or 0)

    return call


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Server]:
    """One to be killed."""
    (tmp_path / "server").mkdir()
    yield from _server(tmp_path / "server")
