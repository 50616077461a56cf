"""The published worker, webgme-executor-worker 3.1.1, unchanged, against servers that leave their jobs to it.

Its one crutch is ``nofile.cjs``, without which it crashes on node >= 20 against any server.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Callable, Iterator
from functools import partial
from http.client import HTTPConnection, HTTPResponse
from pathlib import Path
from typing import Any

import pytest

from tests.clients.executor import (
    DOCUMENT_FILES,
    DOCUMENT_RESULT,
    LIMIT_S,
    Client,
    Clients,
    RefusedError,
    Worker,
    bundle,
    config,
    document,
    lines_of,
    turnaround,
    until,
    workers,
    zipped,
)
from tests.clients.places import TOLD
from tests.e2e.native import listed
from tests.e2e.program import JOBDECK, Server, server

pytestmark = pytest.mark.skipif(not Path("/usr/bin/unzip").exists(), reason="NOT RUN: the worker needs /usr/bin/unzip")

JOBS_COUNT = 20
UNKNOWN = "0" * 40
QUICK_LOSS = """
[limits]
executor_refresh_s = 1.0  # a worker that is silent for five times that is given up
executor_sweep_s = 0.2
"""
NONCE = "a nonce that nobody guesses"


class Yard:
    """A server that runs nothing itself, a user, and workers."""

    def __init__(self, client: Client, workers: list[Worker]) -> None:
        self.running = client.running
        self.client = client
        self.workers = workers

    def labels(self) -> dict[str, list[str]]:
        """Of each worker, by its name."""
        return {name: each["labels"] for name, each in self.client.executor("getWorkersInfo").items()}


@pytest.fixture(scope="module")
def yard(tmp_path_factory: pytest.TempPathFactory, clients: Clients) -> Iterator[Yard]:
    """A server with two workers of one slot each."""
    folder = tmp_path_factory.mktemp("yard")
    with (
        server(folder / "data", "--no-builtin-executor", "--label-jobs-file", str(folder / "labels.json")) as running,
        workers(folder, client := Client(clients, running), "first", "second") as each,
    ):
        yield Yard(client, each)


@pytest.fixture(scope="module")
def client(yard: Yard) -> Client:
    return yard.client


def counting(ran: Path, *more: str) -> tuple[str, ...]:
    """Words of a command that leaves a line in a file each time it runs, and then does more."""
    return ("sh", "-c", "; ".join((f"echo run >> {ran}", *more)))


def test_the_documents_job(yard: Yard) -> None:
    client = yard.client
    job_hash = client.upload(document())
    client.create(job_hash)
    info = client.ended(job_hash)
    assert (info["status"], info["resultHashes"]) == ("SUCCESS", {"all": DOCUMENT_RESULT})
    assert any(worker.is_of(info) for worker in yard.workers), info
    assert info["createTime"] < info["startTime"] < info["finishTime"]
    record = client.blob("getMetadata", DOCUMENT_RESULT)
    assert (record["name"], record["size"]) == ("all.zip", 254)
    assert {name: each["content"] for name, each in record["content"].items()} == DOCUMENT_FILES
    assert client.text(DOCUMENT_RESULT, "job_stdout.txt").startswith("some sample text")
    assert list(client.blob("getMetadata", info["resultSuperSet"])["content"]) == list(DOCUMENT_FILES)


def test_how_jobs_fail(client: Client) -> None:
    made = {
        "FAILED_TO_EXECUTE": client.start("sh", "-c", "echo said; exit 3"),
        "FAILED_UNZIP": client.upload(b"no zip", "no.zip"),
        "FAILED_TO_GET_SOURCE_METADATA": UNKNOWN,
        "FAILED_EXECUTOR_CONFIG": client.upload(zipped({"executor_config.json": "{broken"})),
    }
    no_config = client.upload(zipped({"other.txt": "x"}))
    for job_hash in (*made.values(), no_config):
        client.create(job_hash)
    infos = {status: client.ended(job_hash) for status, job_hash in made.items()}
    assert {status: info["status"] for status, info in infos.items()} == {status: status for status in made}
    results = infos["FAILED_TO_EXECUTE"]["resultHashes"]
    assert client.text(results["all"], "job_stdout.txt") == "said\n"
    assert [infos["FAILED_UNZIP"][name] is None for name in ("startTime", "finishTime")] == [True, False]
    assert [infos["FAILED_TO_GET_SOURCE_METADATA"][name] for name in ("startTime", "finishTime")] == [None, None]
    assert client.ended(no_config)["status"] == "FAILED_EXECUTOR_CONFIG"


def test_an_artifact_as_a_job(client: Client) -> None:
    source = client.start(
        "sh", "-c", "mkdir d; echo 1 > d/a.log; echo 2 > b.log", artifacts=[named("logs", "**/*.log")]
    )
    logs = client.ended(source)["resultHashes"]["logs"]
    assert list(client.blob("getMetadata", logs)["content"]) == ["b.log", "d/a.log"]
    content = client.blob("getMetadata", source)["content"]
    record = {
        "name": "job.zip",
        "content": {
            "executor_config.json": {
                "content": client.upload(config("cat", "b.log").encode(), "executor_config.json"),
                "contentType": "softLink",
            },
            "b.log": {"content": client.upload(b"in a blob\n", "b.log"), "contentType": "softLink"},
            "whole.zip": {"content": content, "contentType": "object"},
        },
        "contentType": "complex",
    }
    job_hash = client.blob("putMetadata", record)
    client.create(job_hash)
    info = client.ended(job_hash)
    assert info["status"] == "SUCCESS", info
    assert client.text(info["resultHashes"]["all"], "job_stdout.txt") == "in a blob\n"


@contextlib.contextmanager
def attached(running: Server, job_id: str) -> Iterator[HTTPResponse]:
    """A job's output as it comes."""
    connection = HTTPConnection("127.0.0.1", running.port, timeout=LIMIT_S)
    with contextlib.closing(connection):
        connection.request("GET", f"/{job_id}/attach")
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        yield answer


def runs_of(running: Server, job_hash: str) -> list[dict[str, Any]]:
    """The records of all jobs of a hash, the newest first."""
    return [job for job in listed(running, "?limit=1000")["items"] if job["key"] == job_hash]


def named(name: str, *patterns: str) -> dict[str, object]:
    return {"name": name, "resultPatterns": list(patterns)}


def test_output_of_a_job_while_it_runs(yard: Yard, tmp_path: Path) -> None:
    client, gate = yard.client, tmp_path / "gate"
    script = f"echo one; while [ ! -e {gate} ]; do sleep 0.02; done; echo two; echo three"
    by_lines = client.start("sh", "-c", script, outputSegmentSize=1)
    by_time = client.start("sh", "-c", script, outputInterval=50)
    for job_hash in (by_lines, by_time):
        until(partial(client.executor, "getOutput", job_hash))
        info = client.info(job_hash)
        assert (info["status"], info["outputNumber"]) == ("RUNNING", 0)
    with attached(yard.running, runs_of(yard.running, by_lines)[0]["id"]) as live:
        assert live.read(4) == b"one\n"
        gate.touch()
        assert live.read() == b"two\nthree\n"
    for job_hash in (by_lines, by_time):
        info = client.ended(job_hash)
        assert info["status"] == "SUCCESS"
        segments = client.executor("getOutput", job_hash)
        assert "".join(each["output"] for each in segments) == "one\ntwo\nthree\n"
        assert [each["outputNumber"] for each in segments] == list(range(info["outputNumber"] + 1))


def test_cancel_while_it_runs(client: Client, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job_hash = client.start("sh", "-c", f"echo kept; echo run >> {ran}; exec sleep 600")
    until(ran.exists)
    with pytest.raises(RefusedError, match="403"):
        client.executor("cancelJob", job_hash, "wrong")
    assert client.info(job_hash)["status"] == "RUNNING"
    assert client.cancel(job_hash) == "OK"
    info = client.ended(job_hash)
    assert info["status"] == "CANCELED"
    assert client.text(info["resultHashes"]["all"], "job_stdout.txt") == "kept\n"
    assert client.create(job_hash)["status"] == "CREATED"
    until(lambda: lines_of(ran) == ["run", "run"])
    client.cancel(job_hash)
    assert client.ended(job_hash)["status"] == "CANCELED"


def test_stopped_without_the_secret(yard: Yard, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job_hash = yard.client.start(*counting(ran, "exec sleep 600"))
    until(ran.exists)
    job_id = runs_of(yard.running, job_hash)[0]["id"]
    assert yard.running.ask("POST", f"/v1/jobs/{job_id}/stop", "{}")[0] == 202
    assert yard.client.ended(job_hash)["status"] == "CANCELED"


def test_twenty_jobs_for_two_workers(yard: Yard, tmp_path: Path) -> None:
    """Each runs once, and each worker runs one at a time, as it was told to."""
    client = yard.client
    jobs = one_for_each(client, tmp_path)
    for number in range(JOBS_COUNT - len(jobs)):
        ran = tmp_path / f"ran-{number}"
        jobs[client.start(*alone(tmp_path, ran))] = ran
    infos = [client.ended(job_hash) for job_hash in jobs]
    assert [info["status"] for info in infos] == ["SUCCESS"] * JOBS_COUNT
    assert [lines_of(ran) for ran in jobs.values()] == [["run"]] * JOBS_COUNT
    assert all(any(worker.is_of(info) for info in infos) for worker in yard.workers)
    assert not (tmp_path / "clash").exists()


def one_for_each(client: Client, folder: Path) -> dict[str, Path]:
    """Two jobs that wait for one another, so that each worker gets one, and the files in which they count."""
    first, second = folder / "met-1", folder / "met-2"
    wait = "while [ ! -e {} ]; do sleep 0.02; done"
    return {
        client.start(*counting(mine, wait.format(other))): mine for mine, other in ((first, second), (second, first))
    }


def alone(folder: Path, ran: Path) -> tuple[str, ...]:
    """Notes a clash if another such command of the same worker, which is its parent, is at work."""
    lock = f"{folder}/busy-$PPID"
    return counting(ran, f"mkdir {lock} || touch {folder}/clash", "sleep 0.02", f"rmdir {lock}")


def test_labels_are_earned(yard: Yard, tmp_path: Path) -> None:
    client, labels = yard.client, yard.running.data_dir.with_name("labels.json")
    wants = client.start("true", labels=["able"])
    wants_more = client.start("true", labels=["able", "unable"])
    assert client.info(wants)["status"] == "CREATED"
    able = client.upload(bundle(*counting(tmp_path / "able")))
    unable = client.upload(bundle(*counting(tmp_path / "unable", "exit 3")))
    # A worker begins with one of them for each slot that is free, and with the next at a later beat
    written = labels.with_suffix(".new")
    written.write_text(json.dumps({"able": able, "unable": unable}))
    written.replace(labels)
    one_for_each(client, tmp_path)  # after that they ask again, and hear of it
    info = client.ended(wants)
    assert (info["status"], info["labels"]) == ("SUCCESS", ["able"])
    until(lambda: list(yard.labels().values()) == [["able"], ["able"]], yard.labels)
    until(lambda: len(lines_of(tmp_path / "unable")) == len(yard.workers))
    assert len(lines_of(tmp_path / "able")) == len(yard.workers)
    assert client.info(wants_more)["status"] == "CREATED"
    client.cancel(wants_more)


def test_a_worker_that_is_killed(tmp_path: Path, clients: Clients) -> None:
    """What it ran is run again by another one."""
    told = tmp_path / "jobdeck.toml"
    told.write_text(QUICK_LOSS)
    ran, gate = tmp_path / "ran", tmp_path / "gate"
    with (
        server(tmp_path / "data", "--no-builtin-executor", "--config", str(told)) as running,
        workers(tmp_path, client := Client(clients, running), "first", "second") as each,
    ):
        job_hash = client.start(*counting(ran, f"while [ ! -e {gate} ]; do sleep 0.02; done"))
        until(ran.exists)
        info = client.info(job_hash)
        [unlucky] = [worker for worker in each if worker.is_of(info)]
        unlucky.kill()
        until(lambda: len(lines_of(ran)) > 1, lambda: client.info(job_hash))
        again = client.info(job_hash)
        assert (again["status"], unlucky.is_of(again)) == ("RUNNING", False)
        gate.touch()
        info = client.ended(job_hash)
        assert info["status"] == "SUCCESS"
        assert not unlucky.is_of(info)
        assert client.cancel(job_hash) == "OK"  # the secret has stayed the same
        assert client.info(job_hash) == info
        newest, lost = runs_of(running, job_hash)
        assert (newest["state"], newest["attempt"]) == ("succeeded", 2)
        assert (lost["state"], lost["attempt"]) == ("lost", 1)


def test_a_server_that_is_killed(tmp_path: Path, clients: Clients) -> None:
    """What its worker runs meanwhile is not run again, and all that it says has come in the end."""
    ran, gate = tmp_path / "ran", tmp_path / "gate"
    wait = f"while [ ! -e {gate} ]; do sleep 0.02; done"
    with (
        server(tmp_path / "data", "--no-builtin-executor") as running,
        workers(tmp_path, client := Client(clients, running), "only"),
    ):
        job_hash = client.start(*counting(ran, "echo one", wait, "echo two"), outputSegmentSize=1)
        waits = client.start("echo", "later")
        until(partial(client.executor, "getOutput", job_hash))
        running.kill()
        running.start()
        assert (client.info(job_hash)["status"], client.info(waits)["status"]) == ("RUNNING", "CREATED")
        gate.touch()
        assert client.ended(job_hash)["status"] == "SUCCESS"
        assert client.ended(waits)["status"] == "SUCCESS"
        assert [each["output"] for each in client.executor("getOutput", job_hash)] == ["one\n", "two\n"]
        assert lines_of(ran) == ["run"]


def test_a_server_with_a_token_and_a_nonce(tmp_path: Path, clients: Clients) -> None:
    data_dir, nonce = tmp_path / "data", tmp_path / "nonce"
    nonce.write_text(NONCE + "\n")
    nonce.chmod(0o600)
    words = [*JOBDECK, "token", "create", "--role", "run", "--data-dir", str(data_dir)]
    made = subprocess.run(words, capture_output=True, text=True, timeout=LIMIT_S, check=True)
    token = made.stdout.split()[-1]
    flags = ("--no-builtin-executor", "--require-token", "--executor-nonce-file", str(nonce))
    with server(data_dir, *flags) as running:
        for known, status in ({}, "401"), ({"apiToken": token}, "403"), ({"executorNonce": NONCE}, "401"):
            with pytest.raises(RefusedError, match=status):
                Client(clients, running, **known).executor("getAllInfo")
        stranger = Worker(tmp_path / "stranger", running, apiToken=token, executorNonce="another")
        try:
            stranger.wait_for("Error connecting to")
        finally:
            stranger.close()
        client = Client(clients, running, apiToken=token, executorNonce=NONCE)
        assert client.executor("getWorkersInfo") == {}
        with workers(tmp_path, client, "friend"):
            info = client.ended(client.start("echo", "hi"))
    assert info["status"] == "SUCCESS", info


def test_turnaround(client: Client, record_property: Callable[[str, object], None]) -> None:
    # the last one, when the other tests of the lane are mostly over
    record_property(TOLD, turnaround("the published worker", client))
