"""What the tests of the published executor clients use: those clients, the published worker, and bundles to run."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import signal
import statistics
import subprocess
import time
import uuid
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tests.clients.places import HERE, PACKAGES
from tests.e2e.program import Server

LIMIT_S = 40.0
LOOK_S = 0.02
ECHOES_COUNT = 10
ECHO_LIMIT_S = 5.0
UNFINISHED = ("CREATED", "RUNNING", "PAUSED")
WORKER = PACKAGES / "node_modules" / "webgme-executor-worker" / "node_worker.js"
WALKTHROUGH = """\
{
	"cmd": "echo",
	"args": ["some sample text to be written to file to be written to job_stdout.txt"],
	"resultArtifacts": [
		{
			"name": "all",
			"resultPatterns": []
		}
    ]
}
"""
WALKTHROUGH_SHA1 = "65f79287903ea5aa863ad6d626b6ca32865a9fee"
DOCUMENT_RESULT = "efd50a01f08ef5b256b4169db9987eae8353a917"
DOCUMENT_FILES = {
    "executor_config.json": "4ecb3ae6d3bb39bd32e4e2216ad0c02fbdf12e87",
    "job_stderr.txt": "2a27cca4720fe1388bbe10d4340ec1a4a1d0c6e5",
    "job_stdout.txt": "0c09012570549ca3f86d66bf03312bbd75e7bcbd",
}
ALL = ({"name": "all", "resultPatterns": []},)


class RefusedError(Exception):
    """A client's call has failed; the text is the status of the answer, or else the client's own words."""


class Clients:
    """The published clients, in a node process that makes one call after the other."""

    def __init__(self) -> None:
        words = ["node", str(HERE / "executorclient.cjs"), str(PACKAGES)]
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
        )

    def call(self, options: dict[str, object], kind: str, method: str, *arguments: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([options, kind, method, arguments]) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)
        if self._process.stdout is not None:
            self._process.stdout.close()


class Client:
    """A user of one server.

    Attributes:
        running: The server.
        credentials: Token and nonce, as the clients' and the worker's options name them.
        secrets: Of the jobs that this client has made, by hash.
    """

    def __init__(self, clients: Clients, running: Server, **credentials: str) -> None:
        self.running = running
        self.credentials = credentials
        self.secrets: dict[str, str] = {}
        self._clients = clients
        self._options = {"serverPort": running.port, **credentials}

    def executor(self, method: str, *arguments: object) -> Any:
        """A method of ExecutorClient."""
        return self._clients.call(self._options, "executor", method, *arguments)

    def blob(self, method: str, *arguments: object) -> Any:
        """A method of BlobClient."""
        return self._clients.call(self._options, "blob", method, *arguments)

    def upload(self, data: bytes, name: str = "job.zip") -> str:
        return str(self.blob("putFile", name, {"bytes": base64.b64encode(data).decode()}))

    def text(self, artifact: str, path: str) -> str:
        """A file of an artifact."""
        return bytes(self.blob("getSubObject", artifact, path)["data"]).decode()

    def create(self, job_hash: str, **more: object) -> dict[str, Any]:
        """Create a job and note its secret, if it was told."""
        told: dict[str, Any] = self.executor("createJob", {"hash": job_hash, **more})
        if "secret" in told:
            self.secrets[job_hash] = told["secret"]
        return told

    def start(self, cmd: str, *args: str, labels: Sequence[str] = (), **more: Any) -> str:
        """Upload a bundle that never was before, and create its job."""
        job_hash = self.upload(bundle(cmd, *args, **more))
        self.create(job_hash, **({"labels": labels} if labels else {}))
        return job_hash

    def info(self, job_hash: str) -> dict[str, Any]:
        found: dict[str, Any] = self.executor("getInfo", job_hash)
        return found

    def cancel(self, job_hash: str) -> Any:
        return self.executor("cancelJob", job_hash, self.secrets[job_hash])

    def until(self, job_hash: str, *statuses: str) -> dict[str, Any]:
        """A job's info once it has one of these statuses."""
        limit_s = time.monotonic() + LIMIT_S
        while (info := self.info(job_hash))["status"] not in statuses:
            assert info["status"] in UNFINISHED, info
            assert time.monotonic() < limit_s, info
            time.sleep(LOOK_S)
        return info

    def ended(self, job_hash: str) -> dict[str, Any]:
        """A job's info once it has ended."""
        limit_s = time.monotonic() + LIMIT_S
        while (info := self.info(job_hash))["status"] in UNFINISHED:
            assert time.monotonic() < limit_s, info
            time.sleep(LOOK_S)
        return info


def until(condition: Callable[[], object], tell: Callable[[], object] = lambda: "") -> None:
    """Wait for something; ``tell`` says what is there instead when the time is over."""
    limit_s = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < limit_s, tell()
        time.sleep(LOOK_S)


def config(cmd: str, *args: str, artifacts: object = ALL, **more: object) -> str:
    """The text of an ``executor_config.json``."""
    return json.dumps({"cmd": cmd, "args": args, "resultArtifacts": artifacts, **more})


def zipped(files: dict[str, str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def bundle(cmd: str, *args: str, **more: Any) -> bytes:
    """A zip with a config; no two have the same hash."""
    return zipped({"executor_config.json": config(cmd, *args, **more), "salt.txt": uuid.uuid4().hex})


class Worker:
    """The published worker, unchanged, asking one server; its own words are in ``log``."""

    def __init__(self, folder: Path, running: Server, **credentials: str) -> None:
        folder.mkdir(parents=True)
        self.log = folder / "worker.log"
        told = folder / "config.json"
        told.write_text(json.dumps({running.url: credentials}))
        words = ["node", "-r", str(HERE / "nofile.cjs"), str(WORKER), str(told), str(folder / "work")]
        with self.log.open("wb") as log:
            # a group of its own: what it starts can be ended with it
            self.process = subprocess.Popen(
                words, cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def wait_for(self, words: str) -> None:
        """Until it has said something."""
        until(lambda: words in self.log.read_text(), self.log.read_text)

    def is_of(self, info: dict[str, Any]) -> bool:
        """Whether a job was given to this worker."""
        return str(info["worker"]).endswith(f"_{self.process.pid}")

    def kill(self) -> None:
        """``kill -9``, of the worker alone."""
        self.process.kill()
        self.process.wait(LIMIT_S)

    def close(self) -> None:
        """End it, and what it runs."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(LIMIT_S)


@contextlib.contextmanager
def workers(folder: Path, client: Client, *names: str) -> Iterator[list[Worker]]:
    """Workers that have reached the server, with the client's token and nonce; nothing of them is left afterwards."""
    each: list[Worker] = []
    try:
        each.extend(Worker(folder / name, client.running, **client.credentials) for name in names)
        for worker in each:
            worker.wait_for("Connected to")
        yield each
    finally:
        for worker in each:
            worker.close()


def document() -> bytes:
    """The bundle of the walkthrough, as it is printed there."""
    assert hashlib.sha1(WALKTHROUGH.encode(), usedforsecurity=False).hexdigest() == WALKTHROUGH_SHA1
    return zipped({"executor_config.json": WALKTHROUGH})


def lines_of(path: Path) -> list[str]:
    """The lines of a file; none if it is not there yet."""
    return path.read_text().splitlines() if path.exists() else []


def turnaround_s(client: Client) -> float:
    """From create to SUCCESS, as a client sees it that asks again and again."""
    job_hash = client.upload(bundle("echo", "hi"))
    started_s = time.perf_counter()
    client.create(job_hash)
    info = client.ended(job_hash)
    taken_s = time.perf_counter() - started_s
    assert info["status"] == "SUCCESS", info
    return taken_s


def turnaround(who: str, client: Client) -> str:
    """How long echo jobs take, in words; the limit is far off, since this is no benchmark."""
    taken_s = [turnaround_s(client) for _ in range(ECHOES_COUNT)]
    median_s = statistics.median(taken_s)
    assert median_s < ECHO_LIMIT_S, taken_s
    return (
        f"echo with {who}: create to SUCCESS in {median_s * 1000:.0f} ms (median of {ECHOES_COUNT}, "
        f"{min(taken_s) * 1000:.0f} to {max(taken_s) * 1000:.0f})"
    )
