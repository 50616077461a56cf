"""The real program in a folder of its own: started, asked, killed and started again, as a user would."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

JOBDECK = (str(Path(sys.executable).parent / "jobdeck"),)
START_LIMIT_S = 30.0
HTTP_LIMIT_S = 30.0


class Server:
    """``jobdeck serve`` on a data directory. ``url`` stays the same over restarts, unless another port is asked for."""

    def __init__(self, data_dir: Path, *flags: str, env: dict[str, str] | None = None) -> None:
        self.data_dir = data_dir
        self.flags = flags
        self.env = env
        self.program: tuple[str, ...] = JOBDECK
        self.tls: ssl.SSLContext | None = None  # by which ``ask`` believes it, if it serves with TLS
        self.headers: dict[str, str] = {}  # of every request that ``ask`` makes
        self.http_limit_s = HTTP_LIMIT_S  # for its answer
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self.log = data_dir.with_name(data_dir.name + ".log")

    @property
    def url(self) -> str:
        return f"http{'' if self.tls is None else 's'}://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start and wait until it serves."""
        self.launch()
        self.wait_up()

    def launch(self) -> None:
        """Start it, and do not wait."""
        (self.data_dir / "server.json").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [
                    *(*self.program, "serve", "--listen", f"127.0.0.1:{self.port}"),
                    *("--data-dir", str(self.data_dir), *self.flags),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
            )

    def wait_up(self) -> None:
        """Wait until it serves."""
        assert self.process is not None
        limit = time.monotonic() + START_LIMIT_S
        while not (self.data_dir / "server.json").exists():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < limit, self.log.read_text()
            time.sleep(0.01)
        self.port = urlsplit(json.loads((self.data_dir / "server.json").read_text())["urls"][0]).port or 0

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self, signum: int = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit code."""
        assert self.process is not None
        self.process.send_signal(signum)
        return self.process.wait(START_LIMIT_S)

    def close(self) -> None:
        """End everything that lives of it: jobs, server, keeper."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        end_keeper(self.data_dir)

    def ask(
        self, method: str, path: str, body: bytes | str | None = None, headers: dict[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        """One request on a connection of its own: status, headers (names in lower case), body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=self.http_limit_s)
        if self.tls is not None:
            connection = http.client.HTTPSConnection(
                "127.0.0.1", self.port, timeout=self.http_limit_s, context=self.tls
            )
        with contextlib.closing(connection):
            connection.request(method, path, body, {**self.headers, **(headers or {})})
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()

    def submit(self, command_line: str, **env: str) -> str:
        """A job through jobrunner's API; returns its id."""
        status, _, body = self.ask("POST", "/", json.dumps({"CommandLine": command_line, "Environment": env}))
        assert status == 200, body
        return str(json.loads(body)["ID"])

    def job(self, job_id: str) -> dict[str, Any]:
        """Its record."""
        status, _, body = self.ask("GET", f"/v1/jobs/{job_id}")
        assert status == 200, body
        found: dict[str, Any] = json.loads(body)
        return found

    def wait(self, job_id: str, limit_s: float = 30.0) -> dict[str, Any]:
        """Its record once it has ended."""
        limit = time.monotonic() + limit_s
        while (job := self.job(job_id))["state"] in ("queued", "starting", "running"):
            assert time.monotonic() < limit, job
            time.sleep(0.02)
        return job

    def attach(self, job_id: str, query: str = "") -> bytes:
        """All of its output, until its end."""
        status, _, body = self.ask("GET", f"/{job_id}/attach{query}")
        assert status == 200, body
        return body


def keeper_pids(data_dir: Path) -> list[int]:
    """Keeper and shims of a data directory (shims are forks of the keeper and share its command line)."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0")
                if os.fsencode(data_dir) in words and any(b"jobdeck_keeper" in word for word in words):
                    found.append(int(entry.name))
    return found


def end_keeper(data_dir: Path) -> None:
    """End all jobs, shims and the keeper of a data directory, whatever state they are in."""
    subprocess.run(
        [*JOBDECK, "stop", "--all", "--data-dir", str(data_dir)],
        check=False,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=60,
    )
    for pid in keeper_pids(data_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def server(data_dir: Path, *flags: str, env: dict[str, str] | None = None) -> Iterator[Server]:
    """A running server; nothing of it is left afterwards."""
    data_dir.mkdir(exist_ok=True)
    each = Server(data_dir, *flags, env=env)
    try:
        each.start()
        yield each
    finally:
        each.close()
