"""A server with one worker of this very machine, with TLS or without, and how a benchmark talks to it.

No client needs a token, since all listen on loopback; the worker has one, as it must.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trustme

from benchmarks.clients import LIMIT_S, ask, connect, post_bytes
from benchmarks.measure import children_cpu_s, cpu_ns, keeper_pid
from tests.e2e.program import Server
from tests.e2e.worker_fleet import Worker, make_token

NAME = "bench"
_LOOK_S = 0.01
_SLOTS_COUNT = 64  # as many as a server has for its own jobs


@dataclass(slots=True, kw_only=True)
class Site:
    """A server and its worker, both running.

    Attributes:
        server: It.
        worker: It, online.
        ca: By whose word the server is believed; None without TLS.
    """

    server: Server
    worker: Worker
    ca: Path | None

    @property
    def server_pid(self) -> int:
        """The server's process."""
        assert self.server.process is not None
        return self.server.process.pid

    def connect(self) -> socket.socket:
        """A connection to the server, through TLS if it speaks that."""
        sock = connect(self.server.port)
        if self.server.tls is None:
            return sock
        return self.server.tls.wrap_socket(sock, server_hostname="127.0.0.1")

    def submit(self, argv: Sequence[str], *, on_worker: bool) -> str:
        """A job of the native API, on the server's own machine or on the worker; returns its id."""
        with self.connect() as sock:
            return str(ask(sock, self.post(argv, on_worker=on_worker))["id"])

    def post(self, argv: Sequence[str], *, on_worker: bool) -> bytes:
        """The request that submits a job."""
        return post_bytes("/v1/jobs", {"argv": list(argv)} | ({"worker": self.worker.id} if on_worker else {}))

    def output_of(self, job_id: str) -> Path:
        """Where the server keeps what a job writes."""
        return self.server.data_dir / "jobs" / job_id / "output"

    def wait_quiet(self) -> None:
        """Wait until no job runs."""
        until = time.monotonic() + LIMIT_S
        while json.loads(self.server.ask("GET", "/")[2])["IDs"]:
            assert time.monotonic() < until, "jobs do not end"
            time.sleep(_LOOK_S)

    def remove(self, job_ids: Sequence[str]) -> None:
        """Stop jobs and have nothing left of them, on either machine, or the disk would fill up over the rounds."""
        for job_id in job_ids:
            self.server.ask("POST", f"/v1/jobs/{job_id}/stop", json.dumps({"signal": "KILL"}))
        for job_id in job_ids:
            self.server.wait(job_id, LIMIT_S)
            status, _, body = self.server.ask("DELETE", f"/v1/jobs/{job_id}")
            assert status in (200, 204), body
            self._clean(self.worker.data_dir / "jobs" / job_id)

    def cpu_s(self) -> dict[str, float]:
        """CPU seconds so far of each who takes part."""
        spent = {"server": cpu_ns(self.server_pid) / 1e9, "worker": cpu_ns(self.worker.pid) / 1e9}
        for name, data_dir in (("server's", self.server.data_dir), ("worker's", self.worker.data_dir)):
            with suppress(ValueError):  # no job has been there yet, so there is no keeper
                keeper = keeper_pid(data_dir)
                spent[f"{name} keeper"] = cpu_ns(keeper) / 1e9
                spent[f"{name} shims"] = children_cpu_s(keeper)
        return spent

    def _clean(self, folder: Path) -> None:
        """A worker keeps what the server has for a day more; that would be long for a disk."""
        until = time.monotonic() + LIMIT_S
        while folder.exists() and not (folder / "released").exists():
            assert time.monotonic() < until, f"{folder} is not released"
            time.sleep(_LOOK_S)
        (folder / "output").unlink(missing_ok=True)


@contextmanager
def site(folder: Path, *flags: str, tls: bool) -> Iterator[Site]:
    """A server that serves and its worker that is online, both having run a job; nothing of them is left afterwards.

    Args:
        folder: For all of it; made.
        flags: Further ones of the server.
        tls: Whether it speaks TLS, with clients and worker.
    """
    data_dir = folder / "server"
    token_file, ca = folder / "token", folder / "ca.pem"
    data_dir.mkdir(parents=True, mode=0o700)
    token_file.write_text(make_token(data_dir, "worker", NAME))
    token_file.chmod(0o600)
    server = Server(data_dir, *flags)
    words = ["--token-file", str(token_file), "--slots", str(_SLOTS_COUNT)]
    if tls:
        certificate = make_certificate(folder, ca)
        server.flags = (*flags, "--tls-cert", str(certificate))
        server.tls = ssl.create_default_context(cafile=str(ca))
        words += ["--ca", str(ca)]
    worker = Worker(NAME, folder, *words)
    try:
        server.start()
        worker.url = server.url
        worker.launch()
        _wait_online(server, worker)
        found = Site(server=server, worker=worker, ca=ca if tls else None)
        for on_worker in (False, True):
            found.remove([found.submit(("true",), on_worker=on_worker) for _ in range(2)])
        yield found
    finally:
        worker.close()
        server.close()


def make_certificate(folder: Path, ca: Path) -> Path:
    """A certificate for loopback with its key in one file, its signer's in ``ca``."""
    authority, path = trustme.CA(), folder / "server.pem"
    authority.cert_pem.write_to_path(ca)
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(path)
    path.chmod(0o600)
    return path


def _wait_online(server: Server, worker: Worker) -> None:
    until = time.monotonic() + LIMIT_S
    while True:
        assert worker.process is not None
        assert worker.process.poll() is None, worker.log.read_text()
        for each in _listed(server):
            if each["name"] == NAME and each["state"] == "online":
                worker.id = each["id"]
                return
        assert time.monotonic() < until, worker.log.read_text()
        time.sleep(_LOOK_S)


def _listed(server: Server) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(server.ask("GET", "/v1/workers")[2])["items"]
    return items
