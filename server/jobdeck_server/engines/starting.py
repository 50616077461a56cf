"""Finding the keeper of a data directory, or starting one.

The keeper is a program of its own that outlives the server. It gets nothing of the server's environment, since what it
has its jobs could read. The socket's path is taken through ``/proc/self/fd``, since it may be longer than a socket's
address allows.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import jobdeck_keeper

_START_LIMIT_S = 20.0


def dial(data_dir: Path, *, timeout_s: float = 0.0) -> socket.socket:
    """Connect to the keeper; the socket keeps the time-out, 0 for one that never blocks.

    Raises:
        OSError: There is none.
    """
    folder = os.open(data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(timeout_s)
            sock.connect(f"/proc/self/fd/{folder}/keeper.sock")
        except OSError:
            sock.close()
            raise
    finally:
        os.close(folder)
    return sock


class Starter:
    """Starts keepers of one data directory and reaps those that have ended."""

    def __init__(self, data_dir: Path, *, cgroups: bool) -> None:
        self._data_dir = data_dir
        self._flags = [] if cgroups else ["--no-cgroup"]
        self._started: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start a keeper and wait until it listens. Blocks.

        Raises:
            OSError: It did not come up.
        """
        package = str(Path(jobdeck_keeper.__file__).parent)
        with (self._data_dir / "keeper.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", package, str(self._data_dir), *self._flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env={"LANG": "C.UTF-8"},
                start_new_session=True,
            )
        self._started.append(process)
        self._reap()
        assert process.stdout is not None
        with process.stdout as answer:
            word = _read_line(answer.fileno(), _START_LIMIT_S)
        if word not in (b"ready", b"busy"):
            raise OSError(f"the keeper did not start, see {self._data_dir / 'keeper.log'}")
        self._reap()

    def _reap(self) -> None:
        """Let go of those that have ended: by now also of the one whose end made a new one necessary."""
        self._started = [old for old in self._started if old.poll() is None]

    def let_go(self) -> None:
        """Leave the keepers to themselves: they are meant to outlive whoever started them."""
        for process in self._started:
            process.returncode = process.poll() or 0  # else Popen warns of a child that still runs
        self._started = []


def _read_line(fd: int, limit_s: float) -> bytes:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    line = b""
    while not line.endswith(b"\n") and poller.poll(limit_s * 1000):
        data = os.read(fd, 64)
        if not data:
            break
        line += data
    return line.strip()
