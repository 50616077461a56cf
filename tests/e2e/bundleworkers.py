"""A server that runs no bundles itself, and a worker that runs them: real programs, without TLS and tokens."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path

from tests.e2e.native import until
from tests.e2e.program import Server, server
from tests.e2e.worker_fleet import Worker


def come(running: Server, worker: Worker) -> None:
    """Start a worker, and wait until the server gives it jobs."""
    worker.url = running.url
    worker.launch()
    until(lambda: "online" in states(running).get(worker.name, ""), limit_s=60.0)


def states(running: Server) -> dict[str, str]:
    """Workers elsewhere, and their states."""
    status, _, body = running.ask("GET", "/v1/workers")
    assert status == 200, body
    return {each["name"]: each["state"] for each in json.loads(body)["items"][1:]}


@contextlib.contextmanager
def elsewhere(folder: Path, *flags: str, slots: int = 4) -> Iterator[tuple[Server, Worker]]:
    """A server without an executor of its own, and a worker ``w``."""
    worker = Worker("w", folder, "--slots", str(slots))
    try:
        with server(folder / "data", "--no-builtin-executor", *flags) as running:
            come(running, worker)
            yield running, worker
    finally:
        worker.close()
