"""The process of a Spark context by itself, without a server: started, asked over its socket, and seen to end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import trio

from jobdeck_server.spark.install import Finder, Install
from jobdeck_server.spark.launch import Launch, process_command, write_plan
from tests.spark.places import SPARK_HOME, java_home

T = TypeVar("T")

LIMIT_S = 90.0
SMALL = Launch(heap_bytes=512 << 20)
ATTACHER = Path(__file__).parent / "attacher.py"


def installed() -> Install:
    """The Spark and the Java of the tests."""
    return trio.run(Finder(spark_home=SPARK_HOME, spark_java=java_home()).find)


def until(true: Callable[[], T | None], limit_s: float = LIMIT_S) -> T:
    """Wait for something to be true."""
    end_s = time.monotonic() + limit_s
    while not (came := true()):
        assert time.monotonic() < end_s, "it did not come about"
        time.sleep(0.02)
    return came


def is_gone(pid: int) -> bool:
    """Whether a process is no more; one that only waits for its parent to look is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def children(pid: int) -> list[int]:
    """Those that any of its threads has started."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found += map(int, (task / "children").read_text().split())
    return found


class Wire:
    """A connection to a process."""

    def __init__(self, folder: Path) -> None:
        place = os.open(folder, os.O_PATH)
        self._sock = socket.socket(socket.AF_UNIX)
        self._sock.settimeout(LIMIT_S)
        try:
            self._sock.connect(f"/proc/self/fd/{place}/control.sock")
        except OSError:
            self._sock.close()
            raise
        finally:
            os.close(place)
        self._file = self._sock.makefile("rwb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        with contextlib.suppress(OSError):  # what was written and not sent
            self._file.close()
        self._sock.close()

    def send(self, line: bytes) -> None:
        self._file.write(line)
        self._file.flush()

    def line(self) -> bytes:
        """The next answer; nothing at the end."""
        return self._file.readline()

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        self.send(json.dumps({"op": op, **fields}).encode() + b"\n")
        answer = json.loads(self.line())
        assert isinstance(answer, dict)
        return answer


class Process:
    """A process of a Spark context."""

    def __init__(self, folder: Path, popen: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.popen = popen

    @property
    def said(self) -> str:
        return (self.folder.parent / f"{self.folder.name}.stderr").read_text()

    @property
    def java(self) -> int:
        """The pid of its Java."""
        (pid,) = until(lambda: children(self.popen.pid))
        return pid

    def wire(self) -> Wire:
        """A connection, as soon as it listens."""

        def dial() -> Wire | None:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                return Wire(self.folder)
            assert self.popen.poll() is None, self.said
            return None

        return until(dial)

    def ask(self, op: str, **fields: Any) -> dict[str, Any]:
        with self.wire() as wire:
            return wire.ask(op, **fields)

    def status(self) -> dict[str, Any]:
        return self.ask("status")

    def until_ready(self) -> None:
        until(lambda: self.status()["state"] == "ready")

    def make(self, context: str = "c1", conf: Mapping[str, str] | None = None) -> dict[str, Any]:
        wanted = {"spark.master": "local[2]", "spark.ui.enabled": "false", **(conf or {})}
        return self.ask("make", context=context, name="a test", conf=wanted, jars=[])

    def ended(self, limit_s: float = LIMIT_S) -> int:
        return self.popen.wait(limit_s)

    def attacher(self, job_id: str, what: str) -> subprocess.Popen[str]:
        """A job's interpreter, attached."""
        command = [sys.executable, str(ATTACHER), str(SPARK_HOME), str(self.folder), job_id, what]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@contextlib.contextmanager
def process(
    folder: Path,
    install: Install,
    *,
    launch: Launch = SMALL,
    archive: Path | None = None,
    limits: Mapping[str, float] | None = None,
) -> Iterator[Process]:
    """Start one; nothing of it is left afterwards."""
    write_plan(folder, install, launch, archive=archive, limits=limits)
    environment = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "HOME")}
    with (folder.parent / f"{folder.name}.stderr").open("wb") as said:
        popen = subprocess.Popen(
            process_command(folder), stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=environment
        )
    started = Process(folder, popen)
    try:
        yield started
    finally:
        if popen.poll() is None:
            below = children(popen.pid)
            popen.send_signal(signal.SIGTERM)
            try:
                popen.wait(30)
            except subprocess.TimeoutExpired:
                for pid in (popen.pid, *below):
                    os.kill(pid, signal.SIGKILL)
                popen.wait()


@contextlib.contextmanager
def let_go(popen: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """Have a child end with the block, however it came to that."""
    try:
        yield popen
    finally:
        popen.kill()
        popen.wait()
        assert popen.stdout is not None
        popen.stdout.close()
