"""The executor end to end, with the built-in one: the walkthrough as it is printed, the worked examples of the wire
reference, and what the original could not do.
"""

from __future__ import annotations

import json
import re
import uuid
from functools import partial
from pathlib import Path

import pytest

from tests.e2e import native
from tests.e2e.bundles import TEXT_CONFIG, Rest, bundle, config, script, sha1, zipped
from tests.e2e.program import Server
from tests.e2e.wire import curl

KEYS = (
    *("hash", "resultHashes", "resultSuperSet", "userId", "status", "createTime", "startTime", "finishTime"),
    *("worker", "labels", "outputNumber"),
)
TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
DOCUMENT_KEY = "39aa77396352b2b19c8cab7450b06791a8652e6e"
RESULT = "efd50a01f08ef5b256b4169db9987eae8353a917"
FILES = {
    "executor_config.json": "4ecb3ae6d3bb39bd32e4e2216ad0c02fbdf12e87",
    "job_stderr.txt": "2a27cca4720fe1388bbe10d4340ec1a4a1d0c6e5",
    "job_stdout.txt": "0c09012570549ca3f86d66bf03312bbd75e7bcbd",
}
WAIT_FOR_GO = 'echo begun; while [ ! -e "$0/go" ]; do sleep 0.02; done; echo gone on'


until = partial(native.until, limit_s=30.0)


@pytest.fixture
def rest(deck: Server) -> Rest:
    return Rest(deck)


def unique() -> bytes:
    """A file that makes a bundle another one."""
    return uuid.uuid4().hex.encode()


# -- the document --


def test_the_walkthrough_as_it_is_printed(deck: Server, rest: Rest, tmp_path: Path) -> None:
    definition = tmp_path / "jobdefinition.zip"
    definition.write_bytes(zipped({"executor_config.json": TEXT_CONFIG}))
    url = deck.url
    uploaded = json.loads(
        curl("-X", "POST", "--data-binary", f"@{definition}", f"{url}/rest/blob/createFile/jobdefinition.zip")
    )
    (key,) = uploaded
    assert list(uploaded[key]) == [
        *("name", "size", "mime", "isPublic", "tags", "content", "contentType", "lastModified")
    ]
    assert uploaded[key]["size"] == definition.stat().st_size
    assert uploaded[key]["content"] == sha1(definition.read_bytes())

    created = json.loads(curl("-X", "POST", f"{url}/rest/executor/create/{key}"))
    assert tuple(created) == (*KEYS, "secret")
    assert created | {"createTime": 0, "secret": 0} == {
        "hash": key,
        "resultHashes": [],
        "resultSuperSet": None,
        "userId": ["guest"],
        "status": "CREATED",
        "createTime": 0,
        "startTime": None,
        "finishTime": None,
        "worker": None,
        "labels": [],
        "outputNumber": None,
        "secret": 0,
    }
    rest.ended(key)
    info = json.loads(curl("-X", "GET", f"{url}/rest/executor/info/{key}"))
    assert tuple(info) == KEYS
    assert info["status"] == "SUCCESS"
    assert info["resultHashes"] == {"all": RESULT}
    assert all(TIME.fullmatch(info[name]) for name in ("createTime", "startTime", "finishTime"))
    assert info["createTime"] <= info["startTime"] <= info["finishTime"]

    whole = tmp_path / "file.zip"
    whole.write_bytes(curl("-X", "GET", f"{url}/rest/blob/download/{RESULT}"))
    assert whole.read_bytes()[:2] == b"PK"
    said = curl("-X", "GET", f"{url}/rest/blob/download/{RESULT}/job_stdout.txt")
    assert said == b"some sample text to be written to file to be written to job_stdout.txt\n"


def test_ids_of_results_are_those_of_the_original(rest: Rest) -> None:
    info = rest.ran(zipped({"executor_config.json": TEXT_CONFIG}))
    record = rest.record(RESULT)
    assert info["resultHashes"] == {"all": RESULT}
    assert (record["name"], record["size"], record["mime"]) == ("all.zip", 254, "application/zip")
    assert {path: each["content"] for path, each in record["content"].items()} == FILES
    together = rest.record(info["resultSuperSet"])
    assert together["name"] == "jobInfo_resultSuperSetHash.zip"
    assert together["content"] == record["content"]


def test_the_record_of_the_document(rest: Rest) -> None:
    key = rest.metadata(
        {
            "name": "executor_config.json.zip",
            "size": 278,
            "mime": "application/zip",
            "content": "f9d5a93b1e76a5ead51d7762c9520e6998911cb5",
            "contentType": "object",
        }
    )
    assert key == DOCUMENT_KEY
    rest.create(key)
    assert rest.ended(key)["status"] == "FAILED_SOURCE_COULD_NOT_BE_OBTAINED"  # the bytes were never sent
    assert "f9d5a93b" in rest.job(key)["error"]


# -- ends --


def test_a_failed_job_has_results(rest: Rest) -> None:
    info = rest.ran(script("echo it went wrong >&2; echo kept > kept.txt; exit 3", files={"u": unique()}))
    assert info["status"] == "FAILED_TO_EXECUTE"
    found = rest.files(info["resultHashes"]["all"])
    assert (found["kept.txt"], found["job_stderr.txt"]) == (b"kept\n", b"it went wrong\n")
    assert rest.job(info["hash"])["exit_code"] == 3


def test_one_that_a_signal_ends(rest: Rest) -> None:
    info = rest.ran(script("echo before; kill -KILL $$", files={"u": unique()}))
    assert info["status"] == "FAILED_TO_EXECUTE"
    assert rest.files(info["resultHashes"]["all"])["job_stdout.txt"] == b"before\n"
    assert rest.job(info["hash"])["error"] == "ended by SIGKILL"


def test_a_program_that_is_not_there(rest: Rest) -> None:
    info = rest.ran(bundle("no-such-program", "x", files={"u": unique()}))
    assert info["status"] == "FAILED_TO_EXECUTE"
    assert "no-such-program" in rest.job(info["hash"])["error"]
    assert "executor_config.json" in rest.files(info["resultHashes"]["all"])


def test_a_stop_needs_the_secret_and_results_stay(deck: Server, rest: Rest) -> None:
    line = "trap 'echo interrupted > why.txt; exit 7' INT; echo begun; while :; do sleep 0.05; done"
    key = rest.upload(script(line, files={"u": unique()}))
    secret = rest.create(key)["secret"]
    until(lambda: rest.job(key)["output_bytes"] or deck.attach(rest.job(key)["id"], "?follow=false"))
    for body in (None, json.dumps({"secret": "wrong"})):
        status, _, text = deck.ask("POST", f"/rest/executor/cancel/{key}", body, {"Content-Type": "application/json"})
        assert (status, text) == (403, b"Forbidden")
    assert "cancelRequested" not in rest.info(key)
    right = json.dumps({"secret": secret})
    status, _, text = deck.ask("POST", f"/rest/executor/cancel/{key}", right, {"Content-Type": "application/json"})
    assert (status, text) == (200, b"OK")
    info = rest.ended(key)
    assert info["status"] == "CANCELED"
    assert rest.files(info["resultHashes"]["all"])["why.txt"] == b"interrupted\n"


def test_one_that_waits_is_stopped_at_once(deck: Server, rest: Rest) -> None:
    key = rest.upload(script("true", files={"u": unique()}))
    secret = rest.create(key, labels=["nobody has this"])["secret"]
    assert rest.info(key)["status"] == "CREATED"
    body = json.dumps({"secret": secret})
    assert deck.ask("POST", f"/rest/executor/cancel/{key}", body, {"Content-Type": "application/json"})[0] == 200
    assert rest.info(key)["status"] == "CANCELED"
    again = rest.create(key)
    assert (again["status"], again["secret"] != secret) == ("CREATED", True)
    assert rest.ended(key)["status"] == "SUCCESS"


@pytest.mark.parametrize("how", ["hash", "native"])
def test_its_owner_stops_it_without_the_secret(deck: Server, rest: Rest, how: str) -> None:
    key = rest.upload(script("echo begun; exec sleep 60", files={"u": unique()}))
    rest.create(key)
    until(lambda: rest.job(key)["state"] == "running")
    path = ("DELETE", f"/{key}") if how == "hash" else ("POST", f"/v1/jobs/{rest.job(key)['id']}/stop")
    assert deck.ask(*path)[0] in (200, 202)
    info = rest.ended(key)
    assert info["status"] == "CANCELED"
    assert "job_stdout.txt" in rest.files(info["resultHashes"]["all"])


def test_run_again_with_its_history(deck: Server, rest: Rest, tmp_path: Path) -> None:
    line = 'test -e "$0/mark" || { touch "$0/mark"; exit 1; }'
    key = rest.upload(bundle("/bin/sh", "-c", line, str(tmp_path)))
    first = rest.create(key)
    assert rest.ended(key)["status"] == "FAILED_TO_EXECUTE"
    earlier = rest.job(key)
    assert "secret" not in rest.create(key)  # as the original: the old end for ever
    second = rest.create(key, "?rerun=true")
    assert second["secret"] != first["secret"]
    assert rest.ended(key)["status"] == "SUCCESS"
    assert rest.job(key)["rerun_of"] == earlier["id"]
    assert deck.job(earlier["id"])["state"] == "failed"
    assert deck.job(earlier["id"])["results"]


# -- while it runs --


def test_attached_by_its_hash_while_it_runs(deck: Server, rest: Rest, tmp_path: Path) -> None:
    key = rest.upload(bundle("/bin/sh", "-c", WAIT_FOR_GO, str(tmp_path)))
    rest.create(key)
    until(lambda: rest.job(key)["state"] == "running")
    assert rest.info(key)["worker"]
    assert deck.ask("GET", f"/{key}/attach?follow=false")[0] == 200
    (tmp_path / "go").touch()
    assert deck.attach(key) == b"begun\ngone on\n"
    assert rest.ended(key)["status"] == "SUCCESS"


def test_output_in_segments(deck: Server, rest: Rest, tmp_path: Path) -> None:
    line = 'echo 1; echo 2; echo not told >&2; while [ ! -e "$0/go" ]; do sleep 0.02; done; echo 3; printf end'
    key = rest.upload(bundle("/bin/sh", "-c", line, str(tmp_path), outputSegmentSize=2))
    rest.create(key)

    def segments(query: str = "") -> list[dict[str, object]]:
        status, _, body = deck.ask("GET", f"/rest/executor/output/{key}{query}")
        assert status == 200, body
        found: list[dict[str, object]] = json.loads(body)
        return found

    until(segments)
    first = {"hash": key, "outputNumber": 0, "output": "1\n2\n", "_id": f"{key}+0"}
    assert segments() == [first]
    assert rest.info(key)["outputNumber"] == 0
    (tmp_path / "go").touch()
    info = rest.ended(key)
    assert "".join(str(each["output"]) for each in segments()) == "1\n2\n3\nend"
    assert info["outputNumber"] == len(segments()) - 1
    assert segments("?start=1&end=2") == segments()[1:2]


def test_output_in_segments_by_the_clock(deck: Server, rest: Rest, tmp_path: Path) -> None:
    key = rest.upload(bundle("/bin/sh", "-c", WAIT_FOR_GO, str(tmp_path), outputInterval=50))
    rest.create(key)
    until(lambda: rest.info(key)["outputNumber"] == 0)
    (tmp_path / "go").touch()
    rest.ended(key)
    status, _, body = deck.ask("GET", f"/rest/executor/output/{key}")
    assert (status, "".join(each["output"] for each in json.loads(body))) == (200, "begun\ngone on\n")


# -- what is run --


@pytest.mark.parametrize(
    ("cmd", "args", "said"),
    [
        ("echo", ["a  b", "", "$HOME", "ü*"], "a  b  $HOME ü*\n"),
        ("echo hi", [], "hi\n"),
        ("echo hi | tr h H", [], "Hi\n"),
        ("echo first;  echo", ["a  b", "$HOME"], "first\na  b $HOME\n"),
        ("cd d && cat in.txt", [], "inside\n"),
        ("./run.sh", ["x"], "run with x\n"),
        ("d/run.sh", [], "run with\n"),
        ("test $ORIGIN_URL && echo $ORIGIN_URL | sed s/[0-9]*$//", [], "http://127.0.0.1:\n"),
    ],
)
def test_commands(rest: Rest, cmd: str, args: list[str], said: str) -> None:
    run = b"#!/bin/sh\necho run with $1\n"
    files = {"executor_config.json": config(cmd, *args), "run.sh": run, "d/run.sh": run, "d/in.txt": b"inside\n"}
    info = rest.ran(zipped(files, programs=("run.sh", "d/run.sh")))
    assert info["status"] == "SUCCESS", rest.job(info["hash"])
    assert rest.files(info["resultHashes"]["all"])["job_stdout.txt"].decode() == said


@pytest.mark.parametrize("kind", ["softLink", "object"])
def test_a_bundle_that_is_an_artifact(rest: Rest, kind: str) -> None:
    files = {"executor_config.json": config("cat", "d/in.txt"), "d/in.txt": kind.encode()}
    records = {path: rest.upload(data, path.rpartition("/")[2]) for path, data in files.items()}
    named = records if kind == "softLink" else {path: sha1(data) for path, data in files.items()}
    key = rest.artifact(named, kind)
    rest.create(key)
    info = rest.ended(key)
    assert info["status"] == "SUCCESS"
    found = rest.files(info["resultHashes"]["all"])
    assert found == files | {"job_stdout.txt": kind.encode(), "job_stderr.txt": b""}
    linked = rest.record(info["resultHashes"]["all"])["content"]["d/in.txt"]["content"]
    assert linked == records["d/in.txt"]  # results go by their base names


def test_patterns(rest: Rest) -> None:
    wanted = {
        "logs": (["*.log"], {"a.log"}),
        "deep": (["**/*.txt"], {"d/e/f.txt", "job_stdout.txt", "job_stderr.txt"}),
        "braces": (["{a.log,d/**}"], {"a.log", "d/a.log", "d/e/f.txt"}),
        "hidden": (["d/.*"], {"d/.hid"}),
        "not": (["!*.log"], None),
        "none": (["nothing"], set[str]()),
        "missing": (None, None),
    }
    artifacts = [
        {"name": name} if patterns is None else {"name": name, "resultPatterns": patterns}
        for name, (patterns, _) in wanted.items()
    ]
    line = "mkdir -p d/e; touch a.log d/a.log d/.hid d/e/f.txt"
    info = rest.ran(script(line, artifacts=artifacts))
    every = {"a.log", "d/a.log", "d/.hid", "d/e/f.txt", "executor_config.json", "job_stdout.txt", "job_stderr.txt"}
    found = {name: set(rest.files(each)) for name, each in info["resultHashes"].items()}
    expected = {name: every if paths is None else paths for name, (_, paths) in wanted.items()}
    assert found == expected | {"not": every - {"a.log"}}
    assert set(rest.files(info["resultSuperSet"])) == every


@pytest.mark.parametrize("artifacts", [[], {}])
def test_no_results_are_wanted(rest: Rest, artifacts: object) -> None:
    info = rest.ran(script("true", artifacts=artifacts))
    assert (info["status"], info["resultHashes"], info["resultSuperSet"]) == ("SUCCESS", {}, None)


def test_nothing_of_them_is_left(deck: Server, rest: Rest) -> None:
    info = rest.ran(script("mkdir -p a/b; touch a/b/c; chmod 0 a/b; chmod 500 a", files={"u": unique()}))
    assert info["status"] == "SUCCESS"
    until(lambda: not list((deck.data_dir / "work").iterdir()))
