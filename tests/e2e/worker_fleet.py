"""A server with TLS and tokens, and its workers: real programs over real sockets, each with its own data directory."""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from jobdeck_server.commands.stopall import stop_all
from jobdeck_server.guard.tokens import ROLES, TokenStore
from tests.e2e.program import JOBDECK, START_LIMIT_S, Server, keeper_pids
from tests.pki import Pki

_LOOK_S = 0.1


class Worker:
    """``jobdeck worker``.

    Attributes:
        name: What it is called; it also has this as a label.
        data_dir: Its own.
        url: Where it is told that its server is; may be changed while it does not run.
        id: Its UUID, once it was online.
        prefix: Words before the command, to run it elsewhere.
        process: Its newest process.
    """

    def __init__(self, name: str, folder: Path, *flags: str) -> None:
        self.name = name
        self.data_dir = folder / name
        self.url = ""
        self.id = ""
        self.prefix: tuple[str, ...] = ()
        self.process: subprocess.Popen[bytes] | None = None
        self.log = folder / f"{name}.log"
        self._flags = flags

    def launch(self) -> None:
        """Start it, and do not wait."""
        words = ["worker", "--server", self.url, "--name", self.name, "--data-dir", str(self.data_dir), *self._flags]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, *JOBDECK, *words], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        """Its newest process."""
        assert self.process is not None
        return self.process.pid

    def kill(self) -> None:
        """``kill -9``."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> int | None:
        """Ask it to leave in good order; returns its exit code, None if it stayed."""
        assert self.process is not None
        self.process.terminate()
        try:
            return self.process.wait(START_LIMIT_S)
        except subprocess.TimeoutExpired:
            return None

    def close(self) -> None:
        """End everything that lives of it: program, jobs, keeper."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.kill()
        end_jobs(self.data_dir)


@dataclass(slots=True, kw_only=True)
class Fleet:
    """A server and its workers.

    Attributes:
        folder: All of it.
        server: Serves with TLS; asked with an admin's token.
        workers: Started by whoever uses this.
        pki: The authority that has signed the server's certificate, and signs clients'.
        tokens: A secret of each role, by its word.
    """

    folder: Path
    server: Server
    workers: list[Worker] = field(default_factory=list)
    pki: Pki
    tokens: dict[str, str]

    @property
    def context(self) -> ssl.SSLContext:
        """By which a client believes the server."""
        return self.pki.client()

    def add(self, name: str, *labels: str, slots: int = 4, role: str = "worker", flags: Sequence[str] = ()) -> Worker:
        """One more worker, with a token of its own; it is not started."""
        token_file = self.folder / f"{name}.token"
        token_file.write_text(make_token(self.server.data_dir, role, name))
        token_file.chmod(0o600)
        own = ("--token-file", str(token_file), "--ca", str(self.pki.ca_file), "--slots", str(slots))
        worker = Worker(name, self.folder, *own, "--labels", ",".join((name, *labels)), *flags)
        worker.url = f"wss://127.0.0.1:{self.server.port}"
        self.workers.append(worker)
        return worker

    def listed(self) -> dict[str, dict[str, Any]]:
        """``GET /v1/workers``: the remote ones, by name."""
        status, _, body = self.server.ask("GET", "/v1/workers")
        assert status == 200, body
        return {each["name"]: each for each in json.loads(body)["items"] if each["engine"] == "worker"}

    def wait_state(self, names: Sequence[str], state: str = "online", limit_s: float = START_LIMIT_S) -> None:
        """Wait until these workers are in a state."""
        limit = time.monotonic() + limit_s
        while True:
            listed = self.listed()
            if all(name in listed and listed[name]["state"] == state for name in names):
                break
            assert time.monotonic() < limit, (listed, self.logs())
            time.sleep(_LOOK_S)
        for worker in self.workers:
            if worker.name in listed:
                worker.id = listed[worker.name]["id"]

    def logs(self) -> str:
        """The ends of all logs."""
        files = [self.server.log, *(worker.log for worker in self.workers)]
        return "\n".join(f"{file.name}: {file.read_text()[-2000:]}" for file in files if file.exists())

    def close(self) -> None:
        """End everything."""
        for worker in self.workers:
            worker.close()
        if self.server.process is not None and self.server.process.poll() is None:
            self.server.kill()
        end_jobs(self.server.data_dir)


def end_jobs(data_dir: Path) -> None:
    """What ``jobdeck stop --all`` does, without a program of its own; then end the keeper and what is left of shims."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        stop_all(str(data_dir), 0.0)
    for pid in keeper_pids(data_dir):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def make_token(data_dir: Path, role: str, name: str) -> str:
    """The secret of a new token."""
    data_dir.mkdir(mode=0o700, exist_ok=True)
    _, secret = TokenStore(data_dir).create(name, ROLES[role])
    return secret


def make_fleet(
    folder: Path,
    *flags: str,
    beat_s: float = 5.0,
    addresses: Sequence[str] = (),
    limits: Mapping[str, float] = MappingProxyType({}),
) -> Fleet:
    """Certificates, tokens and a server that is not started.

    Args:
        folder: For all of it.
        flags: Of the server.
        beat_s: Between two beats of workers and server.
        addresses: Of this machine, by which workers reach the server, beside loopback.
        limits: Further ones of ``Settings``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pki = Pki(folder)
    cert = pki.issue("server", "127.0.0.1", "localhost", *addresses)
    lines = [f"{name} = {value}" for name, value in {"worker_beat_s": beat_s, **limits}.items()]
    (folder / "server.toml").write_text("\n".join(["[limits]", *lines, ""]))
    data_dir = folder / "server"
    data_dir.mkdir(mode=0o700, exist_ok=True)
    tls = ("--tls-cert", str(cert), "--tls-client-ca", str(pki.ca_file))
    anywhere = ("--allow-host", "127.0.0.1")  # whatever the port: clients and workers come through proxies
    server = Server(data_dir, *tls, *anywhere, "--require-token", "--config", str(folder / "server.toml"), *flags)
    tokens = {role: make_token(data_dir, role, role) for role in ROLES}
    fleet = Fleet(folder=folder, server=server, pki=pki, tokens=tokens)
    server.tls = fleet.context
    server.headers = {"Authorization": f"Bearer {tokens['admin']}"}
    return fleet


@contextlib.contextmanager
def running_fleet(
    folder: Path,
    *workers: str,
    beat_s: float = 5.0,
    slots: int = 4,
    limits: Mapping[str, float] = MappingProxyType({}),
) -> Iterator[Fleet]:
    """A server that serves, and workers of these names that are online; nothing of them is left afterwards."""
    fleet = make_fleet(folder, beat_s=beat_s, limits=limits)
    try:
        fleet.server.start()
        for name in workers:
            fleet.add(name, slots=slots).launch()
        fleet.wait_state(workers)
        yield fleet
    finally:
        fleet.close()
