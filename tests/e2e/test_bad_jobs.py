"""Jobs that do what jobs should not, on a real server with a real keeper: each comes to the end that it truly had."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.e2e import badjobs, native, procs
from tests.e2e.badjobs import bad_wheel, outcome, start, told
from tests.e2e.program import Server, server

LIMIT = "1MiB"


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("bad")
    package = f"bad={bad_wheel(folder / 'bad-1.0-py3-none-any.whl')}"
    with server(folder / "data", "--package", package, "--package-result-limit", LIMIT) as each:
        yield each


@dataclass(frozen=True)
class Case:
    """A job, and what must be told of it; ``error`` is a part of the words."""

    name: str
    kind: str
    code: int | None = None
    signal: int | None = None
    error: str | None = None
    result: Any = None
    config: dict[str, Any] | None = None
    main_class: str | None = None


CASES = (
    Case("Exits", "exited", code=0, error="failed to write any jobOutput", config={"code": 0}),
    Case("Exits", "exited", code=77, error="error code 77", config={"code": 77}),
    Case("Exits", "exited", code=4, error="error code 4", config={"code": 4}),
    Case("Leaves", "run_raised", code=4, error="SystemExit"),
    Case("Segfaults", "signalled", signal=11, error="SIGSEGV"),
    Case("KillsItself", "signalled", signal=9, error="SIGKILL"),
    Case("Forks", "finished", result="the job's"),
    Case("Binary", "finished", result="said"),
    Case("Huge", "result_error", code=4, error="more than 1048576 bytes"),
    Case("Endless", "result_error", code=4, error="more than 1048576 bytes"),
    Case("LiesThatItFinished", "exited", code=3, error="error code 3"),
    Case("LinksItsResult", "result_error", code=0, error="The result is gone"),
    Case("LiesAtLength", "result_error", code=0, error="more than 1048576 bytes"),
    Case("RemovesItsFolder", "finished", result="gone"),
    Case("ClosesAll", "finished", result="closed"),
    Case("Refuses", "validation", code=1, error="no input; no output"),
    Case("Raises", "run_raised", code=4, error="ValueError: not"),
    Case("-", "class_missing", code=1, error="There is no class", main_class="bad.jobs.Nobody"),
    Case("-", "class_missing", code=1, error="There is no class", main_class="nobody.jobs.Good"),
    Case("-", "class_missing", code=1, error="no name of a class", main_class="../../etc/passwd"),
    Case("-", "load_error", code=1, error="nothing_such", main_class="bad.broken.Job"),
)


def test_each_comes_to_its_own_end(deck: Server) -> None:
    """All at once, so that none is in another one's way either."""
    started = [(case, start(deck, case.name, main_class=case.main_class, **(case.config or {}))) for case in CASES]
    for case, job_id in started:
        job = deck.wait(job_id)
        found = outcome(deck, job_id)
        assert found["kind"] == case.kind, (case, job, found)
        assert job["state"] == ("succeeded" if case.kind == "finished" else "failed"), case
        assert (job["exit_code"] or 0, job["signal"]) == (case.code or 0, case.signal), case
        assert told(deck, job_id, "result") == case.result, case
        if case.error is not None:
            assert case.error in job["error"], case
            assert "\n" not in job["error"], case
            assert found["error"]["message"], case
        assert not (deck.data_dir / "work" / job_id).exists() or _goes(deck.data_dir / "work" / job_id), case
    good = start(deck, "Good", given=5)
    assert deck.wait(good)["state"] == "succeeded"
    assert told(deck, good, "result")["given"] == 5
    binary = next(job_id for case, job_id in started if case.name == "Binary")
    status, _, out = deck.ask("GET", f"/v1/jobs/{binary}/output?stream=stdout")
    assert (status, out) == (200, bytes(range(256)) * 300)
    status, _, err = deck.ask("GET", f"/v1/jobs/{binary}/output?stream=stderr")
    assert (status, err) == (200, b"\xff\xfe\x1b[2J\0" * 100)


def _goes(path: Path) -> bool:
    """Its files go when its end is committed, which is a moment after it is told."""
    limit = time.monotonic() + 20
    while path.exists():
        assert time.monotonic() < limit
        time.sleep(0.02)
    return True


def test_a_whole_family_is_stopped(deck: Server) -> None:
    """Also while it validates, and whatever it does with SIGTERM."""
    group, never = start(deck, "Group"), start(deck, "NeverValidates")
    limit = time.monotonic() + 30
    while len(pids := _lines(deck, group)) < 3:
        assert time.monotonic() < limit
        time.sleep(0.02)
    for job_id in (group, never):
        status, _, _ = deck.ask("POST", f"/v1/jobs/{job_id}/stop", json.dumps({"grace_s": 0.1}))
        assert status == 202
    for job_id in (group, never):
        assert deck.wait(job_id)["state"] == "stopped"
        assert outcome(deck, job_id)["kind"] == "stopped"
        assert told(deck, job_id, "result") is None
    native.until(lambda: not any(procs.alive(pid) for pid in pids), 30)  # they were told, and take their moment


def _lines(deck: Server, job_id: str) -> list[int]:
    _, _, out = deck.ask("GET", f"/v1/jobs/{job_id}/output?stream=stdout")
    return [int(line) for line in out.split(b"\n")[:-1]]


@pytest.mark.slow
def test_a_result_that_is_changed_all_the_time_is_one_or_none(deck: Server) -> None:
    """What is told once stays so, and is JSON."""
    for job_id in [start(deck, "ChangesItsResult") for _ in range(10)]:
        job = deck.wait(job_id)
        found = outcome(deck, job_id)
        assert found["kind"] in ("finished", "result_error"), found
        first = told(deck, job_id, "result")
        assert (job["state"] == "succeeded") is (first is not None) or found["result"] is None
        time.sleep(0.05)
        assert told(deck, job_id, "result") == first


def test_progress_is_told_while_it_runs_and_at_the_end(deck: Server, tmp_path: Path) -> None:
    job_id = start(deck, "Waits", go=str(tmp_path / "go"), given=1)
    badjobs.until_running(deck, job_id, "waiting")
    assert deck.job(job_id)["progress"] == 0.25
    assert outcome(deck, job_id)["kind"] is None
    (tmp_path / "go").touch()
    job = deck.wait(job_id)
    assert (job["state"], job["progress"], job["progress_text"]) == ("succeeded", 0.75, "went on")


def test_results_are_sent_in_parts_and_configurations_as_they_came(deck: Server) -> None:
    job_id = start(deck, "Good", given="x" * 100_000)
    deck.wait(job_id)
    status, headers, whole = deck.ask("GET", f"/v1/jobs/{job_id}/result")
    assert (status, headers["content-type"], int(headers["content-length"])) == (200, "application/json", len(whole))
    status, headers, part = deck.ask("GET", f"/v1/jobs/{job_id}/result", headers={"Range": "bytes=2-5"})
    assert (status, part, headers["content-range"]) == (206, whole[2:6], f"bytes 2-5/{len(whole)}")
    assert told(deck, job_id, "config") == {"given": "x" * 100_000}, "which is kept apart"
    status, _, again = deck.ask("POST", f"/v1/jobs/{job_id}/rerun")
    assert status == 201
    job = deck.wait(json.loads(again)["id"])
    assert (job["state"], job["rerun_of"]) == ("succeeded", job_id)
    plain = deck.submit("true")
    for part_of in ("result", "config", "outcome"):
        assert deck.ask("GET", f"/v1/jobs/{plain}/{part_of}")[0] == 404


def test_what_names_no_job_is_refused(deck: Server) -> None:
    for body, status in (
        ({"main_class": "a.B"}, 400),
        ({"main_class": "", "packages": ["bad"]}, 400),
        ({"main_class": 5, "packages": ["bad"]}, 400),
        ({"main_class": "a.B", "packages": ["gone"]}, 404),
        ({"main_class": "a.B", "packages": ["bad", "bad"]}, 400),
        ({"main_class": "a.B", "packages": ["bad"], "context": "gone"}, 404),
        ({"main_class": "a.B", "packages": ["bad"], "config": 5}, 400),
        ({"main_class": "a.B", "packages": ["bad"], "config": "a = ["}, 400),
        ({"main_class": "a.B", "packages": ["bad"], "config": "a = \ud800"}, 400),
        ({"main_class": "a.B", "packages": ["bad"], "command": "true"}, 400),
        ({"main_class": "a.B", "packages": ["bad"], "callback_url": "file:///etc/passwd"}, 400),
        ({"main_class": "a.B", "packages": ["file:///etc/passwd"]}, 400),
    ):
        answer = deck.ask("POST", "/v1/jobs", json.dumps(body))
        assert answer[0] == status, (body, answer)
        assert json.loads(answer[2])["detail"]
