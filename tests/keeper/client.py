"""A small blocking client of the keeper, and a keeper to talk to."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections import deque
from pathlib import Path
from struct import Struct
from typing import Any

import jobdeck_keeper
from jobdeck_keeper import procs, records

HEAD = Struct("<I")
PACKAGE = Path(jobdeck_keeper.__file__).parent
PATH = {"PATH": "/usr/local/bin:/usr/bin:/bin"}
Facts = dict[str, Any]


class Gone(Exception):
    """The keeper has closed the connection."""


class Client:
    def __init__(self, data: Path, *, hello: bool = True, touch: bool = False) -> None:
        folder = os.open(data, os.O_RDONLY)
        self.socket = socket.socket(socket.AF_UNIX)
        try:
            self.socket.connect(f"/proc/self/fd/{folder}/keeper.sock")
        except OSError:
            self.socket.close()
            raise
        finally:
            os.close(folder)
        self.number = 0
        self.buffer = b""
        self.events: deque[dict[str, Any]] = deque()
        self.greeting = self.call("hello", version=1, touch=touch) if hello else {}

    def close(self) -> None:
        self.socket.close()

    def receive(self, timeout: float = 30.0) -> dict[str, Any]:
        self.socket.settimeout(timeout)
        while True:
            if len(self.buffer) >= 4:
                (length,) = HEAD.unpack_from(self.buffer)
                if len(self.buffer) >= 4 + length:
                    message: dict[str, Any] = json.loads(self.buffer[4 : 4 + length])
                    self.buffer = self.buffer[4 + length :]
                    return message
            try:
                data = self.socket.recv(1 << 16)
            except ConnectionError:
                data = b""
            if not data:
                raise Gone
            self.buffer += data

    def post(self, op: str, **fields: Any) -> int:
        self.number += 1
        body = json.dumps({"op": op, "n": self.number, **fields}).encode()
        self.socket.sendall(HEAD.pack(len(body)) + body)
        return self.number

    def call(self, op: str, **fields: Any) -> dict[str, Any]:
        number = self.post(op, **fields)
        while True:
            message = self.receive()
            if message.get("re") == number:
                return message
            self.events.append(message)

    def event(self, kind: str, ident: str, timeout: float = 30.0) -> dict[str, Any]:
        """Wait for an event; others are kept."""
        until = time.monotonic() + timeout
        for message in self.events:
            if message.get("ev") == kind and message.get("id") == ident:
                self.events.remove(message)
                return message
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no {kind} of {ident}; {list(self.events)}")
            message = self.receive(left)
            if message.get("ev") == kind and message.get("id") == ident:
                return message
            self.events.append(message)

    def spawn(self, *argv: str, **options: Any) -> str:
        spec = spec_of(*argv, **options)
        answer = self.call("spawn", spec=spec)
        assert answer.get("status") == "accepted", answer
        ident: str = spec["id"]
        return ident

    def bash(self, line: str, **options: Any) -> str:
        return self.spawn("bash", "-c", line, **options)

    def exit(self, ident: str, timeout: float = 30.0) -> Facts:
        facts: Facts = self.event("exit", ident, timeout)["facts"]
        return facts

    def run(self, line: str, **options: Any) -> Facts:
        return self.exit(self.bash(line, **options))


def step(*argv: str, env: dict[str, str] | None = None, cwd: str = "/", executable: str | None = None) -> Facts:
    return {"argv": list(argv), "executable": executable, "env": PATH if env is None else env, "cwd": cwd}


def spec_of(*argv: str, ident: str | None = None, steps: list[Facts] | None = None, **options: Any) -> Facts:
    mine = {name: options.pop(name) for name in ("env", "cwd", "executable") if name in options}
    return {
        "id": ident or str(uuid.uuid4()),
        "steps": steps or [step(*argv, **mine)],
        "stdin": False,
        "linger_s": 10.0,
        "grace_s": 2.0,
        "time_limit_s": None,
        "output_limit_bytes": 4 << 30,
        "index_limit_bytes": 512 << 20,
        "on_limit": "drop",
        "order": "exact",
        **options,
    }


class KeeperProcess:
    """A data directory with a keeper on it."""

    def __init__(self, data: Path, *flags: str) -> None:
        self.data, self.flags = data, flags
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        self.data.mkdir(parents=True, exist_ok=True)
        log = os.open(self.data / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-S", str(PACKAGE), str(self.data), *self.flags],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
            start_new_session=True,
        )
        os.close(log)
        assert self.process.stdout is not None
        self.word = self.process.stdout.readline().decode().strip()
        self.process.stdout.close()

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def folder(self, ident: str) -> Path:
        return self.data / "jobs" / ident

    def output(self, ident: str) -> bytes:
        return (self.folder(ident) / "output").read_bytes()

    def facts(self, ident: str) -> Facts:
        return records.read_record(self.folder(ident) / "record")

    def log(self) -> str:
        return (self.data / "keeper.log").read_text()

    def runs(self, ident: str) -> list[records.RunRecord]:
        size = (self.folder(ident) / "output").stat().st_size
        data = (self.folder(ident) / "runs").read_bytes()
        records.unpack_header(data)
        return records.runs_in(data[records.HEADER.size :], size)

    def stream(self, ident: str, kind: int) -> bytes:
        """Give the bytes of one stream, told by the index."""
        output, runs = self.output(ident), self.runs(ident)
        ends = [*(run.offset for run in runs), len(output)][1:]
        return b"".join(output[run.offset : end] for run, end in zip(runs, ends, strict=True) if run.kind == kind)

    def end(self) -> None:
        """Stop every job, then the keeper."""
        with contextlib.suppress(OSError, Gone), contextlib.closing(Client(self.data, hello=False)) as client:
            for ident in client.call("list")["jobs"]:
                client.call("stop", id=ident, signal=9, grace_s=0, reason="requested")
            until = time.monotonic() + 5
            while client.call("list")["jobs"] and time.monotonic() < until:
                time.sleep(0.01)
            client.call("retire")
        assert self.process is not None
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.data, ignore_errors=True)


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def busy_children(pid: int) -> list[int]:
    """List a keeper's children that are not spares."""
    found = []
    for child in procs.children(pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{child}/comm").read_text().strip() != "jd-spare":
                found.append(child)
    return found


def wait_until(condition: Any, timeout: float = 30.0) -> None:
    until = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in ("Z", "X")


def kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
