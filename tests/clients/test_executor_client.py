"""The published ExecutorClient of webgme-engine 2.31 against a server that runs jobs and one that does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.executor import (
    DOCUMENT_FILES,
    DOCUMENT_RESULT,
    Client,
    Clients,
    RefusedError,
    bundle,
    document,
    turnaround,
    until,
)
from tests.clients.places import TOLD
from tests.e2e.program import server

UNKNOWN = "0" * 40


def refused(client: Client, method: str, *arguments: object) -> str:
    with pytest.raises(RefusedError) as caught:
        client.executor(method, *arguments)
    return str(caught.value)


@pytest.fixture(scope="module")
def builtin(tmp_path_factory: pytest.TempPathFactory, clients: Clients) -> Iterator[Client]:
    """A server with its own executor, which has one label."""
    with server(tmp_path_factory.mktemp("builtin") / "data", "--executor-labels", "fast") as running:
        yield Client(clients, running)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, clients: Clients) -> Iterator[Client]:
    """A server that runs nothing itself, and no worker comes."""
    with server(tmp_path_factory.mktemp("bare") / "data", "--no-builtin-executor") as running:
        yield Client(clients, running)


# -- run by the server --


def test_the_documents_job(builtin: Client) -> None:
    job_hash = builtin.upload(document())
    made = builtin.create(job_hash)
    assert (made["status"], made["hash"], made["resultHashes"], made["worker"]) == ("CREATED", job_hash, [], None)
    info = builtin.ended(job_hash)
    assert (info["status"], info["resultHashes"]) == ("SUCCESS", {"all": DOCUMENT_RESULT})
    record = builtin.blob("getMetadata", DOCUMENT_RESULT)
    assert {name: each["content"] for name, each in record["content"].items()} == DOCUMENT_FILES
    assert builtin.text(DOCUMENT_RESULT, "job_stdout.txt").startswith("some sample text")
    assert builtin.create(job_hash) == builtin.info(job_hash)  # as it ended, and no secret


@pytest.mark.parametrize("pace", [{"outputSegmentSize": 1}, {"outputInterval": 50}])
def test_output_of_a_job_while_it_runs(builtin: Client, tmp_path: Path, pace: dict[str, Any]) -> None:
    gate = tmp_path / "gate"
    script = f"echo one; echo two >&2; while [ ! -e {gate} ]; do sleep 0.02; done; echo three"
    job_hash = builtin.start("sh", "-c", script, **pace)
    until(lambda: builtin.executor("getOutput", job_hash))
    info = builtin.info(job_hash)
    assert (info["status"], info["outputNumber"]) == ("RUNNING", 0)
    gate.touch()
    info = builtin.ended(job_hash)
    assert (info["status"], info["outputNumber"]) == ("SUCCESS", 1)
    first, second = builtin.executor("getOutput", job_hash)
    assert (first["output"], second["output"]) == ("one\n", "three\n")
    assert (second["_id"], second["outputNumber"], second["hash"]) == (f"{job_hash}+1", 1, job_hash)
    assert builtin.executor("getOutput", job_hash, 1) == [second]
    assert builtin.executor("getOutput", job_hash, 0, 1) == [first]


def test_cancel_and_run_again(builtin: Client, tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    job_hash = builtin.start("sh", "-c", f"echo kept; echo run >> {ran}; exec sleep 600")
    until(ran.exists)
    assert refused(builtin, "cancelJob", job_hash, "wrong") == "403"
    assert refused(builtin, "cancelJob", job_hash) == "403"
    assert builtin.info(job_hash)["status"] == "RUNNING"
    secret = builtin.secrets[job_hash]
    assert builtin.cancel(job_hash) == "OK"
    info = builtin.ended(job_hash)
    assert info["status"] == "CANCELED"
    assert builtin.text(info["resultHashes"]["all"], "job_stdout.txt") == "kept\n"
    assert builtin.create(job_hash)["status"] == "CREATED"
    assert builtin.secrets[job_hash] != secret
    until(lambda: ran.read_text() == "run\nrun\n")
    assert builtin.executor("cancelJob", {"hash": job_hash}, builtin.secrets[job_hash]) == "OK"
    assert builtin.ended(job_hash)["status"] == "CANCELED"


def test_how_jobs_fail(builtin: Client) -> None:
    failed = builtin.start("sh", "-c", "echo said; exit 3")
    not_a_zip = builtin.upload(b"no zip at all", "no.zip")
    builtin.create(not_a_zip)
    builtin.create(UNKNOWN)
    info = builtin.ended(failed)
    assert info["status"] == "FAILED_TO_EXECUTE"
    assert builtin.text(info["resultHashes"]["all"], "job_stdout.txt") == "said\n"
    info = builtin.ended(not_a_zip)
    assert (info["status"], info["startTime"], info["finishTime"] is None) == ("FAILED_UNZIP", None, False)
    assert builtin.ended(UNKNOWN)["status"] == "FAILED_TO_GET_SOURCE_METADATA"


def test_labels(builtin: Client) -> None:
    slow, fast = builtin.start("true", labels=["slow"]), builtin.start("true", labels=["fast"])
    assert builtin.ended(fast)["labels"] == ["fast"]
    info = builtin.info(slow)
    assert (info["status"], info["labels"], info["worker"]) == ("CREATED", ["slow"], None)
    assert builtin.cancel(slow) == "OK"
    assert builtin.info(slow)["status"] == "CANCELED"


def test_turnaround(builtin: Client, record_property: Callable[[str, object], None]) -> None:
    record_property(TOLD, turnaround("the built-in executor", builtin))


# -- waiting for a worker --


def test_lists(bare: Client) -> None:
    waits, stopped = bare.start("true"), bare.start("true")
    assert bare.cancel(stopped) == "OK"
    assert bare.info(stopped)["status"] == "CANCELED"  # nobody has it: at once
    every = bare.executor("getAllInfo")
    assert (every[waits], every[stopped]) == (bare.info(waits), bare.info(stopped))
    created = bare.executor("getInfoByStatus", "CREATED")
    assert (waits in created, stopped in created) == (True, False)
    assert list(bare.executor("getInfoByStatus", "CANCELED")) == [stopped]
    assert bare.executor("getInfoByStatus", "NO_SUCH_STATUS") == {}
    assert "secret" not in str(every)
    assert bare.executor("getWorkersInfo") == {}
    assert bare.cancel(waits) == "OK"


def test_a_second_create_changes_nothing(bare: Client) -> None:
    job_hash = bare.upload(bundle("true"))
    made = bare.create(job_hash, labels=["a", "b"])
    secret = made.pop("secret")
    assert bare.create(job_hash, labels=["c"]) == made == bare.info(job_hash)
    assert bare.executor("cancelJob", job_hash, secret) == "OK"
    again = bare.create(job_hash)
    assert (again["status"], again["labels"]) == ("CREATED", [])
    assert again["secret"] != secret
    assert refused(bare, "cancelJob", job_hash, secret) == "403"
    bare.cancel(job_hash)


def test_a_paused_job_and_updates_of_it(bare: Client) -> None:
    job_hash = bare.upload(bundle("true"))
    assert bare.create(job_hash, status="PAUSED")["status"] == "PAUSED"
    assert bare.executor("updateJob", {"hash": job_hash, "status": "CREATED"}) == "OK"
    assert bare.info(job_hash)["status"] == "CREATED"
    results = {"all": "1" * 40}
    done: dict[str, Any] = {"hash": job_hash, "status": "SUCCESS", "resultHashes": results, "worker": "by hand"}
    assert bare.executor("updateJob", {**done, "startTime": "then", "finishTime": "now", "userId": []}) == "OK"
    info = bare.info(job_hash)
    assert (info["status"], info["resultHashes"], info["worker"]) == ("SUCCESS", results, "by hand")
    assert (info["startTime"], info["finishTime"], info["userId"]) == ("then", "now", ["guest"])


def test_what_is_not_there(bare: Client) -> None:
    assert refused(bare, "getInfo", "nosuch") == "404"
    assert refused(bare, "getOutput", "nosuch") == "404"
    assert refused(bare, "updateJob", {"hash": "nosuch", "status": "SUCCESS"}) == "404"
    assert refused(bare, "cancelJob", "nosuch", "secret") == "404"
    assert refused(bare, "sendOutput", {"hash": "nosuch", "output": "x", "outputNumber": 0}) == "404"
