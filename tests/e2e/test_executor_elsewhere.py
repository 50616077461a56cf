"""The executor with a worker elsewhere and none of the server's own: the same bundles, the same words, the same bytes.

The first tests are those of the built-in executor, asked of another server; more of them, and slow ones, are in
``test_executor_bad_elsewhere``.
"""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.bundles import Rest, bundle, script, sha1, zipped
from tests.e2e.bundleworkers import elsewhere
from tests.e2e.program import Server
from tests.e2e.test_executor import (  # noqa: F401  # run here against another server
    test_a_failed_job_has_results,
    test_a_stop_needs_the_secret_and_results_stay,
    test_ids_of_results_are_those_of_the_original,
    test_output_in_segments,
    test_the_walkthrough_as_it_is_printed,
    unique,
    until,
)


@pytest.fixture(scope="module")
def deck() -> Iterator[Server]:
    with elsewhere(Path(tempfile.mkdtemp(prefix="jd-"))) as (running, _):
        yield running


@pytest.fixture
def rest(deck: Server) -> Rest:
    return Rest(deck)


# -- what the worker asks for --


def ask(deck: Server, method: str, path: str, worker: str | None, body: bytes = b"") -> tuple[int, bytes]:
    status, _, answer = deck.ask(method, path, body, {} if worker is None else {"Jobdeck-Worker": worker})
    return status, answer


def test_only_its_own_jobs_are_a_workers_business(deck: Server, rest: Rest, tmp_path: Path) -> None:
    data = bundle("/bin/sh", "-c", 'while [ ! -e "$0" ]; do sleep 0.02; done', str(tmp_path / "go"))
    key = rest.upload(data)
    rest.create(key)
    until(lambda: rest.job(key)["state"] == "running")
    job = rest.job(key)
    own, other = job["worker"], str(uuid.uuid4())
    jobs = f"/v1/worker/jobs/{job['id']}"
    assert ask(deck, "GET", f"{jobs}/bundle", own) == (200, data)
    text = b'{"name":"a.zip","size":0,"mime":"application/zip","content":{},"contentType":"complex"}'
    calls = (("GET", "bundle", b""), ("POST", "files?name=a.txt", b"hello"), ("POST", "records", text))
    for method, path, body in calls:
        for who in (None, "", other):
            status, answer = ask(deck, method, f"{jobs}/{path}", who, body)
            assert (status, json.loads(answer)["detail"]) == (409, f"Job {job['id']} is not this worker's.")
        assert ask(deck, method, f"/v1/worker/jobs/{other}/{path}", own, body)[0] == 409
        assert ask(deck, method, f"{jobs}/{path}", own, body)[0] == 200

    content = sha1(b"hello")
    known = json.loads(ask(deck, "POST", f"{jobs}/files?name=a.txt&content={content}&size_bytes=5", own)[1])
    assert known == json.loads(ask(deck, "POST", f"{jobs}/files?name=a.txt", own, b"hello")[1])
    assert rest.record(known["hash"])["content"] == content
    bad = {
        f"files?name=a.txt&content={'0' * 40}&size_bytes=5": 404,
        f"files?name=a.txt&content={content}&size_bytes=6": 404,
        f"files?name=a.txt&content={content}": 400,
        "files?name=a.txt&content=../../etc/passwd&size_bytes=5": 400,
        "files": 400,
        "records": 400,
    }
    assert {path: ask(deck, "POST", f"{jobs}/{path}", own, b"no JSON")[0] for path in bad} == bad
    (tmp_path / "go").touch()
    rest.ended(key)
    until(lambda: rest.job(key)["state"] == "succeeded")
    for method, path, body in calls:
        assert ask(deck, method, f"{jobs}/{path}", own, body)[0] == 409
    blob = json.loads(deck.ask("GET", f"/v1/blobs/{known['hash']}")[2])
    assert not blob["uploaded"], "it goes with its job"


@pytest.mark.slow
def test_a_bundle_is_fetched_once_and_what_is_there_is_not_sent(deck: Server, rest: Rest) -> None:
    """The same bytes under two names are one content; long results that the server has are asked for by their hash."""
    line = f"head -c 100000 /dev/zero | tr '\\0' {unique()[:1].decode()} > big; cat u > small"
    data = script(line, files={"u": unique()})
    before = deck.log.read_text()
    for name in ("one.zip", "two.zip"):
        assert rest.ran(data, name)["status"] == "SUCCESS"
    said = deck.log.read_text()[len(before) :]
    assert said.count("/bundle") == 2
    again = rest.upload(data, "one.zip")
    rest.create(again, "?rerun=true")
    rest.ended(again)
    assert deck.log.read_text()[len(before) :].count("/bundle") == 2


@pytest.mark.slow
def test_the_bad_ones(rest: Rest) -> None:
    """In the words of the API, as from the server's own."""
    no_zip = rest.ran(b"no zip" + unique())
    no_config = rest.ran(zipped({"a": unique()}))
    not_there = "0" * 40
    rest.create(not_there)
    infos = {info["status"]: info for info in (no_zip, no_config, rest.ended(not_there))}
    assert set(infos) == {"FAILED_UNZIP", "FAILED_EXECUTOR_CONFIG", "FAILED_TO_GET_SOURCE_METADATA"}
    assert (bool(no_config["startTime"]), no_zip["startTime"]) == (True, None)
