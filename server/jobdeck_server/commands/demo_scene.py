"""What the demo is played with: a server process of its own, jobs that are watched live, and a list of checks.

Everything here talks to the server as any client would, over HTTP; only to end the keeper at the very end it uses the
keeper's own socket. Nothing is believed: every claim that the demo prints is a ``Check`` of something seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import trio

from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError

__all__ = ["Check", "DemoError", "DemoServer", "Watched", "a_server", "alive", "clear_away", "until"]

_LOOK_EVERY_S = 0.02


class DemoError(Exception):
    """The demo cannot go on; ``str()`` of it says why."""


@dataclass(frozen=True, slots=True)
class Check:
    """One claim: what should be, whether it was, and what was seen."""

    claim: str
    holds: bool
    seen: str


@dataclass(slots=True, kw_only=True)
class Watched:
    """A job of the demo and what its attached client has received so far.

    Attributes:
        name: A word for it.
        what: What it does, in a few words.
        command: Its bash command line.
        wanted: The bytes it must print.
        id: As the server handed it out.
        got_bytes: Bytes received.
        tail: The last of them, for show.
        digest: SHA-256 of them.
        cuts: Offsets at which the link broke and the client attached again.
        complete: The response came to its proper end, the last chunk included.
        on_bytes: Called with each piece.
    """

    name: str
    what: str
    command: str
    wanted: bytes
    id: str = ""
    got_bytes: int = 0
    tail: bytes = b""
    digest: Any = field(default_factory=hashlib.sha256)
    cuts: list[int] = field(default_factory=list)
    complete: trio.Event = field(default_factory=trio.Event)
    on_bytes: Callable[[bytes], None] = lambda _: None

    def exact(self) -> bool:
        """Whether what was received is what the job must print, byte for byte."""
        return self.got_bytes == len(self.wanted) and bool(self.digest.digest() == hashlib.sha256(self.wanted).digest())

    def last_line(self) -> str:
        """The last complete line that was received."""
        lines = self.tail.decode("utf-8", "replace").split("\n")[:-1]
        return lines[-1] if lines else ""

    async def attach(self, server: DemoServer) -> None:
        """Receive the job's output to its end, at the offset reached so far after each break."""
        while not self.complete.is_set():
            await server.up.wait()
            try:
                async with server.client.stream("GET", f"/{self.id}/attach?offset={self.got_bytes}") as response:
                    if response.status_code != 200:
                        raise DemoError(f"attach to {self.name}: HTTP {response.status_code}")
                    async for piece in response.aiter_raw():
                        self.got_bytes += len(piece)
                        self.digest.update(piece)
                        self.tail = (self.tail + piece)[-80:]
                        self.on_bytes(piece)
                self.complete.set()
            except httpx.TransportError:
                self.cuts.append(self.got_bytes)
                await trio.sleep(_LOOK_EVERY_S)


class DemoServer:
    """``jobdeck serve`` as a process: started, killed, started again on the same port."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self.port = 0
        self.pid = 0
        self.up = trio.Event()
        self.client = httpx.AsyncClient(
            base_url="http://127.0.0.1", timeout=10.0, trust_env=False, headers={"Accept": "application/json"}
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        """Start it and wait until it answers.

        Raises:
            DemoError: It ended, with the last lines of its log.
        """
        self._process = self._spawn()
        self.pid = self._process.pid
        with trio.move_on_after(30):
            await until(self._listening)
            self.client.base_url = httpx.URL(f"http://127.0.0.1:{self.port}")
            self.up.set()
            return
        raise DemoError("the server does not answer")

    def _spawn(self) -> subprocess.Popen[bytes]:
        environ = {k: v for k, v in os.environ.items() if not k.startswith(("JOBDECK_", "JOBRUNNER_"))}
        arguments = ["--listen", f"127.0.0.1:{self.port}", "--data-dir", str(self.data_dir), "--config", os.devnull]
        with (self.data_dir / "demo.log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "jobdeck_server.commands.serve", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=environ,
            )

    async def _listening(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            lines = (self.data_dir / "demo.log").read_text("utf-8", "replace").splitlines()[-5:]
            raise DemoError("\n".join(["the server ended:", *lines]))
        try:
            told = json.loads((self.data_dir / "server.json").read_text())
        except (FileNotFoundError, ValueError):
            return False
        if told.get("pid") != self.pid:
            return False  # the killed one's
        self.port = httpx.URL(told["urls"][0]).port or self.port
        try:
            return (await self.client.get(f"http://127.0.0.1:{self.port}/healthz")).status_code == 200
        except httpx.TransportError:
            return False

    async def kill(self) -> int:
        """``kill -9``; returns what the process ended with."""
        assert self._process is not None
        self.up = trio.Event()
        self._process.kill()
        return await trio.to_thread.run_sync(self._process.wait)

    async def end(self) -> int:
        """SIGTERM, as a user's Ctrl-C or a service manager would; returns the exit code."""
        assert self._process is not None
        self._process.terminate()
        return await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)

    def kill_now(self) -> None:
        """End it whatever state it is in; blocks for a moment."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    async def post(self, watched: Watched) -> None:
        """Submit a job by the jobrunner API."""
        answer = await self.client.post("/", json={"CommandLine": watched.command, "Environment": {}})
        if answer.status_code != 200:
            raise DemoError(f"POST / for {watched.name}: HTTP {answer.status_code} {answer.text.strip()}")
        watched.id = answer.json()["ID"]

    async def ended(self, watched: Watched) -> dict[str, Any]:
        """A job's record, once it says that the job has ended.

        Raises:
            DemoError: It does not say so within ten seconds.
        """
        with trio.move_on_after(10):
            while True:
                answer = await self.client.get(f"/v1/jobs/{watched.id}")
                answer.raise_for_status()
                record: dict[str, Any] = answer.json()
                if record["finished"]:
                    return record
                await trio.sleep(_LOOK_EVERY_S)
        raise DemoError(f"the record of {watched.name} does not say that it has ended")


async def until(holds: Callable[[], Any], *, for_s: float = 30.0) -> bool:
    """Look until something holds; False if it does not within ``for_s``. ``holds`` may be async."""
    with trio.move_on_after(for_s):
        while True:
            found = holds()
            if await found if hasattr(found, "__await__") else found:
                return True
            await trio.sleep(_LOOK_EVERY_S)
    return False


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def clear_away(data_dir: Path) -> list[str]:
    """End every job that is left, have the keeper go, remove the folder. Blocks for at most ten seconds.

    Returns:
        What is still there; empty is as it should be.
    """
    left: list[str] = []
    with contextlib.suppress(NoKeeperError), KeeperLink(data_dir) as link:
        keeper = link.peer_pid()
        for job_id in link.ask("list")["jobs"]:
            left.append(f"job {job_id} was still running")
            link.ask("stop", id=job_id, signal=9, grace_s=0, reason="requested")
        link.ask("retire")
        end_s = time.monotonic() + 10
        while alive(keeper) and time.monotonic() < end_s:
            time.sleep(_LOOK_EVERY_S)
        if alive(keeper):
            left.append(f"keeper {keeper} still runs")
    shutil.rmtree(data_dir)
    if data_dir.exists():
        left.append(f"{data_dir} is still there")
    return left


@contextlib.asynccontextmanager
async def a_server(data_dir: Path) -> AsyncIterator[DemoServer]:
    """A started server, killed at the end if nobody ended it before."""
    server = DemoServer(data_dir)
    try:
        async with server.client:
            await server.start()
            yield server
    finally:
        server.kill_now()
