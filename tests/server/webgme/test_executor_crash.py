"""The server is killed, again and again, while workers take jobs, send output and bring results."""

from __future__ import annotations

import http.client
import json
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.program import Server, server

KILLS = 3
JOBS = 24
LIMIT_S = 45.0
JSON = {"Content-Type": "application/json"}


class Worker:
    """A worker that does not mind that its server is gone; it does what it was given, and says so until it is heard."""

    def __init__(self, running: Server, over: threading.Event) -> None:
        self.name = f"w_{uuid.uuid4().hex[:8]}"
        self.server = running
        self.over = over
        self.ran: list[str] = []
        self.running: dict[str, int] = {}
        self.thread = threading.Thread(target=self.work)
        self.thread.start()

    def ask(self, path: str, body: object) -> Any:
        """The answer, as soon as there is a server to give it; None when the test is over."""
        while not self.over.is_set():
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
            try:
                connection.request("POST", f"/rest/executor/{path}", json.dumps(body), JSON)
                answer = connection.getresponse()
                data = answer.read()
                assert answer.status == 200, (answer.status, data)
                return json.loads(data) if data != b"OK" else data
            except (OSError, http.client.HTTPException):
                self.over.wait(0.02)
            finally:
                connection.close()
        return None

    def work(self) -> None:
        while not self.over.is_set():
            free = 2 - len(self.running)
            call = {"clientId": self.name, "availableProcesses": free, "labels": [], "runningJobs": list(self.running)}
            beat = self.ask("worker", call)
            for key in [] if beat is None else beat["jobsToStart"]:
                self.ran.append(key)
                self.running[key] = 0
            for key, number in tuple(self.running.items()):
                self.ask(f"output/{key}", {"output": f"{key} {number}\n", "outputNumber": number})
                self.running[key] += 1
                if number == 2:
                    said = {"status": "SUCCESS", "worker": self.name, "resultHashes": {"by": self.name}}
                    self.ask(f"update/{key}", said)
                    del self.running[key]


@pytest.mark.slow
def test_no_job_is_lost_or_stuck_and_no_line_doubled(tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text("[limits]\nexecutor_missing_s = 1.0\nexecutor_hold_s = 0.3\nexecutor_attempt_limit_count = 9\n")
    over = threading.Event()
    flags = ("--no-builtin-executor", "--config", str(config))
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags) as running:
        keys = [f"key-{number}" for number in range(JOBS)]
        for key in keys:
            running.ask("POST", f"/rest/executor/create/{key}")
        workers = [Worker(running, over) for _ in range(2)]
        try:
            for kill in range(KILLS):
                time.sleep(0.05 * (kill + 1))  # the moment does not matter
                running.kill()
                running.start()
            jobs = _all_ended(running)
        finally:
            over.set()
            for worker in workers:
                worker.thread.join(20)
        for key in keys:
            assert jobs[key]["status"] == "SUCCESS"
            assert jobs[key]["resultHashes"] == {"by": jobs[key]["worker"]}
            segments = json.loads(running.ask("GET", f"/rest/executor/output/{key}")[2])
            assert [each["output"] for each in segments] == [f"{key} {number}\n" for number in range(3)]
            whole = running.ask("GET", f"/{key}/attach?follow=false")[2]
            assert whole == "".join(each["output"] for each in segments).encode()
        ran = [key for worker in workers for key in worker.ran]
        assert sorted(ran) == sorted(keys)


def _all_ended(running: Server) -> dict[str, Any]:
    until_s = time.monotonic() + LIMIT_S
    while True:
        jobs: dict[str, Any] = json.loads(running.ask("GET", "/rest/executor/")[2])
        unfinished = [key for key, job in jobs.items() if job["status"] in ("CREATED", "RUNNING")]
        if not unfinished:
            return jobs
        assert time.monotonic() < until_s, unfinished
        time.sleep(0.05)
