"""Bundles of a worker elsewhere, when something ends in the middle: the worker, the server, or both.

Whatever is killed, and when: the program runs once, and its results are there, byte for byte.
"""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from jobdeck_keeper import records
from tests.e2e import native
from tests.e2e.bundles import Rest, bundle, script
from tests.e2e.bundleworkers import come, elsewhere, states
from tests.e2e.program import Server
from tests.e2e.worker_fleet import Worker

until = partial(native.until, limit_s=60.0)
BIG_BYTES = 3_000_001
LINE = (
    'echo run >> "$0/runs"; echo said; echo err >&2; while [ ! -e "$0/go" ]; do sleep 0.02; done;'
    f" head -c {BIG_BYTES} /dev/zero | tr '\\0' x > big.bin; for i in 1 2 3 4 5 6 7 8; do echo $i > $i.txt; done"
)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Server, Worker]]:
    with elsewhere(tmp_path) as (running, worker):
        yield running, worker


def begun(running: Server, folder: Path, **more: object) -> str:
    """The key of a job that runs until ``go`` is there."""
    rest = Rest(running)
    key = rest.upload(bundle("/bin/sh", "-c", LINE, str(folder), files={"u": uuid.uuid4().bytes}, **more))
    rest.create(key)
    return key


def whole(running: Server, key: str, folder: Path) -> None:
    """It has run once, and all of it is there."""
    rest = Rest(running)
    info = rest.ended(key)
    assert info["status"] == "SUCCESS", rest.job(key)
    assert (folder / "runs").read_text() == "run\n"
    found = rest.files(info["resultHashes"]["all"])
    assert found["big.bin"] == b"x" * BIG_BYTES
    assert {name: found[f"{name}.txt"] for name in "12345678"} == {name: f"{name}\n".encode() for name in "12345678"}
    assert (found["job_stdout.txt"], found["job_stderr.txt"]) == (b"said\n", b"err\n")
    assert rest.record(info["resultSuperSet"])["content"] == rest.record(info["resultHashes"]["all"])["content"]


def started(folder: Path) -> Callable[[], bool]:
    return (folder / "runs").exists


def over(worker: Worker, job_id: str) -> bool:
    """Whether its keeper has seen the program's end."""
    return records.is_final(records.read_record(worker.data_dir / "jobs" / job_id / "record"))


def uploads(running: Server) -> int:
    """How many files of results have come."""
    return running.log.read_text().count("/files")


def restart(running: Server, worker: Worker) -> None:
    worker.kill()
    come(running, worker)


@pytest.mark.slow
def test_the_worker_is_killed_while_the_program_runs(place: tuple[Server, Worker], tmp_path: Path) -> None:
    running, worker = place
    key = begun(running, tmp_path)
    until(started(tmp_path))
    restart(running, worker)
    assert Rest(running).info(key)["status"] == "RUNNING"
    (tmp_path / "go").touch()
    whole(running, key, tmp_path)
    until(lambda: not list((worker.data_dir / "work").iterdir()))


@pytest.mark.slow
def test_the_program_ends_while_there_is_no_worker(place: tuple[Server, Worker], tmp_path: Path) -> None:
    running, worker = place
    key = begun(running, tmp_path, outputSegmentSize=1)
    until(started(tmp_path))
    worker.kill()
    (tmp_path / "go").touch()
    job_id = Rest(running).job(key)["id"]
    until(lambda: over(worker, job_id))
    come(running, worker)
    whole(running, key, tmp_path)
    _, _, body = running.ask("GET", f"/rest/executor/output/{key}")
    assert [each["output"] for each in json.loads(body)] == ["said\n"]


@pytest.mark.slow
def test_the_server_is_away_while_results_are_to_be_brought(place: tuple[Server, Worker], tmp_path: Path) -> None:
    running, worker = place
    key = begun(running, tmp_path)
    until(started(tmp_path))
    running.kill()
    (tmp_path / "go").touch()
    job_id = next((worker.data_dir / "work").iterdir()).name
    until(lambda: over(worker, job_id))
    worker.kill()  # and the worker is killed while it waits
    worker.launch()
    running.start()
    whole(running, key, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("who", ["worker", "server"])
def test_killed_while_results_go(place: tuple[Server, Worker], tmp_path: Path, who: str) -> None:
    """Killed again and again, at whatever is being done then."""
    running, worker = place
    key = begun(running, tmp_path)
    until(started(tmp_path))
    (tmp_path / "go").touch()
    for count in range(1, 6):
        until(lambda: uploads(running) >= count or Rest(running).info(key)["status"] != "RUNNING")  # noqa: B023
        if who == "worker":
            restart(running, worker)
        else:
            running.kill()
            running.start()
    whole(running, key, tmp_path)


@pytest.mark.slow
def test_killed_while_the_bundle_comes(tmp_path: Path) -> None:
    """The bundle is claimed nowhere, and made ready anew."""
    with elsewhere(tmp_path) as (running, worker):
        os.kill(worker.pid, signal.SIGSTOP)
        key = begun(running, tmp_path)
        until(lambda: Rest(running).job(key)["state"] == "starting")
        os.kill(worker.pid, signal.SIGCONT)
        until(lambda: "/bundle" in running.log.read_text())
        restart(running, worker)
        (tmp_path / "go").touch()
        whole(running, key, tmp_path)


@pytest.mark.slow
def test_stopped_before_it_is_ready(place: tuple[Server, Worker], tmp_path: Path) -> None:
    """Its program never runs, whether the worker is told before, while or after it makes the bundle ready."""
    running, worker = place
    rest = Rest(running)
    os.kill(worker.pid, signal.SIGSTOP)
    key = rest.upload(bundle("touch", str(tmp_path / "ran"), files={"u": uuid.uuid4().bytes}))
    secret = rest.create(key)["secret"]
    until(lambda: rest.job(key)["state"] == "starting")
    answer = running.ask("POST", f"/rest/executor/cancel/{key}", json.dumps({"secret": secret}))
    assert answer[0] == 200
    os.kill(worker.pid, signal.SIGCONT)
    assert rest.ended(key)["status"] in ("CANCELED", "SUCCESS")
    assert (rest.info(key)["status"] == "SUCCESS") == (tmp_path / "ran").exists()


@pytest.mark.slow
def test_a_lost_worker_comes_back(tmp_path: Path) -> None:
    """Its job was made anew by then: the first attempt ends as it did, and the second one runs."""
    with elsewhere(tmp_path, "--worker-lost-after", "1s") as (running, worker):
        rest = Rest(running)
        key = begun(running, tmp_path)
        until(started(tmp_path))
        first = rest.job(key)
        worker.kill()
        until(lambda: rest.job(key)["id"] != first["id"])
        assert (rest.info(key)["status"], running.job(first["id"])["state"]) == ("CREATED", "lost")
        (tmp_path / "go").touch()
        come(running, worker)
        until(lambda: running.job(first["id"])["state"] == "succeeded")
        assert set(running.job(first["id"])["results"]) == {"all"}
        assert rest.ended(key)["status"] == "SUCCESS"
        second = rest.job(key)
        assert (second["attempt"], (tmp_path / "runs").read_text()) == (2, "run\nrun\n")
        assert second["results"] == running.job(first["id"])["results"]


@pytest.mark.slow
def test_one_that_takes_no_bundles(tmp_path: Path) -> None:
    with elsewhere(tmp_path) as (running, worker):
        until(lambda: "linked to" in worker.log.read_text())
        worker.stop()
        until(lambda: states(running)["w"] == "offline")
        plain = Worker("plain", tmp_path, "--no-bundles")
        try:
            come(running, plain)
            rest = Rest(running)
            key = rest.upload(script("true", files={"u": uuid.uuid4().bytes}))
            rest.create(key)
            running.wait(native.submitted(running, "true", worker="plain"))
            assert rest.info(key)["status"] == "CREATED"
            come(running, worker)
            assert rest.ended(key)["status"] == "SUCCESS"
            assert states(running)["plain"] == "online"
        finally:
            plain.close()
