"""Classes out of a real wheel and a real egg on the real server: every kind of job, and every way it ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.e2e import examplejobs
from tests.e2e.program import Server, server

LIMIT_S = 30.0
HUGE_COUNT = 300_000
TYPES = {"wheel": "application/python-wheel", "egg": "application/python-egg"}


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("packages")
    wheel, egg = examplejobs.build(folder / "project")
    with server(folder / "data") as each:
        for name, path in (("wheel", wheel), ("egg", egg)):
            status, _, body = each.ask("POST", f"/binaries/{name}", path.read_bytes(), {"Content-Type": TYPES[name]})
            assert (status, body) == (201, b"OK")
        yield each


def _start(deck: Server, name: str, config: str = "", *, package: str = "wheel", **query: str) -> tuple[int, Any]:
    module = "word_count" if name.startswith("Word") else "kinds"
    asked = urlencode({"appName": package, "classPath": f"example_jobs.{module}.{name}", **query})
    status, headers, body = deck.ask("POST", f"/jobs?{asked}", config)
    assert headers["content-type"] == "application/json"
    return status, json.loads(body)


def _show(deck: Server, job_id: str) -> Any:
    status, _, body = deck.ask("GET", f"/jobs/{job_id}")
    assert status == 200
    return json.loads(body)


def _done(deck: Server, job_id: str) -> Any:
    end_s = time.monotonic() + LIMIT_S
    while (job := _show(deck, job_id))["status"] not in ("FINISHED", "ERROR", "KILLED"):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    return job


@pytest.mark.parametrize("package", ["wheel", "egg"])
def test_words_are_counted(deck: Server, package: str) -> None:
    sync = _start(deck, "WordCount", "input.strings = [a, b, a]", package=package, sync="true")
    assert sync == (200, {"jobId": sync[1]["jobId"], "result": {"a": 2, "b": 1}})
    status, started = _start(deck, "WordCountOfText", "input.string = a b c a b see", package=package)
    assert (status, started["status"], started["duration"]) == (202, "STARTED", "Job not done yet")
    assert list(started) == ["jobId", "startTime", "classPath", "context", "contextId", "duration", "status"]
    assert started["context"].endswith("-example_jobs.word_count.WordCountOfText")
    done = _done(deck, started["jobId"])
    assert (done["status"], done["result"]) == ("FINISHED", {"a": 2, "b": 2, "c": 1, "see": 1})
    assert deck.attach(sync[1]["jobId"]).startswith(b"counting 3 words in ")


def test_a_long_one_tells_how_far_it_is_and_is_killed(deck: Server) -> None:
    _, started = _start(deck, "Long")
    job_id = started["jobId"]
    end_s = time.monotonic() + LIMIT_S
    while not (deck.job(job_id)["progress_text"] or "").startswith("step "):
        assert time.monotonic() < end_s
        time.sleep(0.02)
    assert 0 < deck.job(job_id)["progress"] <= 1
    assert _show(deck, job_id)["status"] == "RUNNING"
    assert deck.ask("DELETE", f"/jobs/{job_id}")[::2] == (200, b'{"status":"KILLED"}')
    assert _done(deck, job_id)["status"] == "KILLED"
    assert deck.job(job_id)["state"] == "stopped"
    assert deck.attach(job_id).startswith(b"step 1\nstep 2\n")


def test_failing(deck: Server) -> None:
    status, answer = _start(deck, "Failing", sync="true")
    error = answer["result"]
    assert (status, answer["status"]) == (200, "ERROR")
    assert list(error) == ["message", "errorClass", "stack"]
    assert "this one always fails: \u00e4\u4e16" in error["message"]
    assert "kinds.py" in error["stack"]
    assert "ValueError" in error["errorClass"]
    status, answer = _start(deck, "FailingToValidate", sync="true")
    assert (status, answer["status"]) == (200, "ERROR")
    assert "cannot even look" in answer["result"]["message"]
    job = deck.job(answer["jobId"])
    assert (job["state"], job["exit_code"]) == ("failed", 3)


@pytest.mark.parametrize("sync", ["true", "false"])
def test_refused_by_its_own_validation(deck: Server, sync: str) -> None:
    """With the texts of the problems, which the original lost."""
    status, answer = _start(deck, "WordCount", "input.other = 1", sync=sync)
    assert (status, answer["status"]) == (400, "VALIDATION FAILED")
    assert "config input.strings not found" in answer["result"]["message"]
    assert "nothing to count" in answer["result"]["message"]


def test_binary_output_is_kept_to_the_byte(deck: Server) -> None:
    _, answer = _start(deck, "Binary", sync="true")
    assert answer["result"] == "said"
    assert deck.attach(answer["jobId"]) == examplejobs.BINARY_OUTPUT


def test_a_huge_result_and_a_stream(deck: Server) -> None:
    expected = list(range(HUGE_COUNT))
    for name in ("Huge", "Streaming"):
        status, answer = _start(deck, name, f"count = {HUGE_COUNT}", sync="true", timeout="60")
        assert (status, answer["result"] == expected) == (200, True)
        assert _show(deck, answer["jobId"])["result"] == expected


def test_a_job_sees_its_own_and_no_more(deck: Server) -> None:
    name = "settings"
    assert deck.ask("POST", f"/contexts/{name}?num-cpu-cores=3")[0] == 200
    _, answer = _start(deck, "Environment", sync="true", context=name)
    seen = answer["result"]
    assert (seen["job"], seen["context"], int(seen["cores"])) == (answer["jobId"], name, 3)
    assert seen["folder"] == []
    assert not [word for word in seen["names"] if "TOKEN" in word or "SECRET" in word]


@pytest.mark.slow
def test_the_server_is_killed_and_the_jobs_go_on(tmp_path: Path) -> None:
    wheel, _ = examplejobs.build(tmp_path / "project")
    flag = tmp_path / "go on"
    with server(tmp_path / "data") as deck:
        deck.ask("POST", "/binaries/wheel", wheel.read_bytes(), {"Content-Type": TYPES["wheel"]})
        assert deck.ask("POST", "/contexts/kept")[0] == 200
        config = f'flag = "{flag}"'
        started = [_start(deck, "Long", config, context="kept")[1]["jobId"] for _ in range(2)]
        deck.kill()
        flag.touch()
        deck.start()
        assert json.loads(deck.ask("GET", "/contexts")[2]) == ["kept"]
        for job_id in started:
            done = _done(deck, job_id)
            assert done["status"] == "FINISHED"
            lines = deck.attach(job_id).splitlines()
            assert lines == [b"step %d" % (n + 1) for n in range(done["result"])]
        deck.kill()
        deck.start()
        assert [_done(deck, job_id)["status"] for job_id in started] == ["FINISHED"] * 2
