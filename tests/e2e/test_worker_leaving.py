"""A server that is told to end while workers are connected."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.e2e.worker_fleet import running_fleet

_LIMIT_S = 30.0  # less than it waits for jobs of which it can hear nothing


@pytest.mark.slow
def test_jobs_of_workers_run_on_without_the_server_or_are_stopped_with_it(tmp_path: Path) -> None:
    with running_fleet(tmp_path / "fleet", "far") as fleet:
        server, (far,) = fleet.server, fleet.workers
        body = json.dumps({"command": "exec sleep 300", "worker": far.id})
        _, _, answer = server.ask("POST", "/v1/jobs", body)
        job_id = json.loads(answer)["id"]
        deadline = time.monotonic() + _LIMIT_S
        while server.job(job_id)["state"] != "running":
            assert time.monotonic() < deadline, fleet.logs()
            time.sleep(0.02)
        assert server.stop() == 0
        assert "1 job elsewhere; the next server hears what becomes of that" in server.log.read_text()
        assert "jobdeck stop --all" not in server.log.read_text()
        assert "the server has ended the connection; trying again" in far.log.read_text()
        server.flags = (*server.flags, "--stop-jobs")
        server.start()
        fleet.wait_state(["far"])
        assert (server.job(job_id)["state"], server.job(job_id)["unreachable"]) == ("running", False)
        began_s = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() < began_s + _LIMIT_S
        server.start()
        job = server.job(job_id)
        assert (job["state"], job["signal"]) == ("stopped", 15)
