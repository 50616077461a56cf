"""Lines and searches over real HTTP, as curl would ask, of logs that real jobs wrote."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import httpx

from tests.e2e.native import submitted, until
from tests.e2e.procs import pid_of
from tests.e2e.program import Server


def lines(deck: Server, job_id: str, query: str = "") -> dict[str, Any]:
    answer = httpx.get(f"{deck.url}/v1/jobs/{job_id}/lines?{query}", trust_env=False)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    page: dict[str, Any] = answer.json()
    return page


def data(page: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(line["data"]) for line in page["lines"]]


def test_lines_of_a_log_of_a_million(deck: Server) -> None:
    job_id = submitted(deck, "seq 0 999999; seq 1 3 >&2")
    size = deck.wait(job_id)["output_bytes"]
    page = lines(deck, job_id, "from=777777&count=2")
    assert (page["total"], page["size"], page["indexed"], page["ended"]) == (1_000_003, size, size, True)
    assert data(page) == [b"777777", b"777778"]
    assert data(lines(deck, job_id, "from=-1")) == [b"3"]
    assert data(lines(deck, job_id, "stream=stderr&from=1")) == [b"2", b"3"]
    assert data(lines(deck, job_id, f"offset={page['lines'][1]['offset'] + 3}&count=1")) == [b"777778"]
    assert lines(deck, job_id, "count=3&cap=1")["lines"][2]["length"] == 1
    until((deck.data_dir / "jobs" / job_id / "lines").exists)


def test_a_search_as_curl_sees_it(deck: Server) -> None:
    job_id = submitted(deck, "seq 0 999999")
    deck.wait(job_id)
    answer = httpx.get(
        f"{deck.url}/v1/jobs/{job_id}/find",
        params={"pattern": "^9+$", "regex": "true", "direction": "backward", "limit": 2},
        trust_env=False,
    )
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/x-ndjson")
    told = [json.loads(line) for line in answer.text.splitlines()]
    hits = [each["hit"] for each in told if "hit" in each]
    assert [(hit["line"], hit["column"], hit["length"]) for hit in hits] == [(999_999, 0, 6), (99_999, 0, 5)]
    assert told[-1] == {"done": True, "hits": 2, "more": True, "line": 99_999}


def test_what_makes_no_sense_is_a_problem_that_names_the_field(deck: Server) -> None:
    job_id = submitted(deck, "true")
    deck.wait(job_id)
    for path, field in (("lines?cap=0", "cap"), ("find?pattern=(&regex=true", "pattern"), ("find", "pattern")):
        answer = httpx.get(f"{deck.url}/v1/jobs/{job_id}/{path}", trust_env=False)
        assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
        assert answer.json()["field"] == field
    assert httpx.get(f"{deck.url}/v1/jobs/{job_id}/lines?offset=1", trust_env=False).status_code == 416
    assert httpx.get(f"{deck.url}/v1/jobs/nothing/find?pattern=x", trust_env=False).status_code == 404


def test_a_search_ends_with_its_connection(deck: Server) -> None:
    job_id = submitted(deck, "yes y | head -c 60000000")
    deck.wait(job_id)
    output = deck.data_dir / "jobs" / job_id / "output"
    path = f"/v1/jobs/{job_id}/find"
    # \A has each of 30 million lines searched by itself: the better part of a minute
    query = {"pattern": r"\Anothing", "regex": "true"}
    with httpx.stream("GET", deck.url + path, params=query, timeout=30, trust_env=False) as answer:
        told = answer.iter_lines()  # held, since dropping it closes the connection
        assert set(json.loads(next(told))) == {"at", "offset"}
        until(lambda: is_open(deck, output), 30)
    until(lambda: any(f"path={path} " in line and "client gone" in line for line in log_lines(deck)), 30)
    until(lambda: not is_open(deck, output), 30)
    assert httpx.get(f"{deck.url}/healthz", trust_env=False).status_code == 200


def log_lines(deck: Server) -> list[str]:
    return deck.log.read_text().splitlines()


def is_open(deck: Server, path: Path) -> bool:
    """Whether the server has a file open."""
    folder = Path(f"/proc/{pid_of(deck)}/fd")
    found = []
    for name in os.listdir(folder):
        try:
            found.append(os.readlink(folder / name))
        except OSError:
            continue
    return str(path) in found
