"""The server is killed before, while and after a class runs, at any moment: it runs once, and its result is told."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest

from tests.e2e import badjobs
from tests.e2e.badjobs import bad_wheel, outcome, start, told
from tests.e2e.program import Server, server

JOBS_COUNT = 4


@pytest.fixture
def deck(tmp_path: Path) -> Server:
    package = f"bad={bad_wheel(tmp_path / 'bad-1.0-py3-none-any.whl')}"
    return Server(tmp_path / "data", "--package", package)


def _work_is_gone(deck: Server) -> None:
    limit = time.monotonic() + 60  # it is tidied up every 30 s
    while any((deck.data_dir / "work").iterdir()):
        assert time.monotonic() < limit
        time.sleep(0.1)


@pytest.mark.slow
@pytest.mark.timeout(250)
@pytest.mark.parametrize("seed", range(3))
def test_killed_at_any_moment(deck: Server, seed: int) -> None:
    """The time until the kill goes over all that happens of a short job."""
    rnd = random.Random(seed)
    with server(deck.data_dir, *deck.flags) as running:
        ids: dict[str, int] = {}
        for _ in range(8):
            for _ in range(JOBS_COUNT):
                given = rnd.randrange(10**9)
                ids[start(running, "Good", given=given)] = given
                time.sleep(rnd.random() * 0.05)
            time.sleep(rnd.random() * 0.4)
            running.kill()
            time.sleep(rnd.random() * 0.2)
            running.start()
        for job_id, given in ids.items():
            job = running.wait(job_id, limit_s=60)
            assert job["state"] == "succeeded", (job, running.log.read_text()[-3000:])
            assert told(running, job_id, "result")["given"] == given
            assert outcome(running, job_id)["kind"] == "finished"
            assert told(running, job_id, "config") == {"given": given}
        _work_is_gone(running)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_while_it_runs(deck: Server, tmp_path: Path) -> None:
    """The class runs on, ends while there is no server, and is found; another one runs on over all of it."""
    with server(deck.data_dir, *deck.flags) as running:
        ends = start(running, "Waits", go=str(tmp_path / "go"), given=1)
        runs = start(running, "Waits", go=str(tmp_path / "go on"), given=2)
        stops = start(running, "Group")
        for job_id in (ends, runs):
            badjobs.until_running(running, job_id, "waiting")
        while running.job(stops)["state"] != "running":
            time.sleep(0.02)
        running.kill()
        (tmp_path / "go").touch()
        exit_record = running.data_dir / "work" / ends / "outcome.json"
        limit = time.monotonic() + 30
        while not exit_record.exists():
            assert time.monotonic() < limit
            time.sleep(0.02)
        running.start()
        job = running.wait(ends)
        assert (job["state"], job["progress_text"]) == ("succeeded", "went on")
        assert told(running, ends, "result") == {"given": 1}
        assert running.job(runs)["state"] == "running"
        status, _, _ = running.ask("POST", f"/v1/jobs/{stops}/stop", json.dumps({"grace_s": 0.1}))
        assert status == 202
        running.kill()
        running.start()
        assert running.wait(stops)["state"] == "stopped"
        assert outcome(running, stops)["kind"] == "stopped"
        (tmp_path / "go on").touch()
        assert running.wait(runs)["state"] == "succeeded"
        assert told(running, runs, "result") == {"given": 2}
        running.kill()
        running.start()
        for job_id, given in ((ends, 1), (runs, 2)):
            assert told(running, job_id, "result") == {"given": given}
            assert told(running, job_id, "config")["given"] == given
        _work_is_gone(running)
