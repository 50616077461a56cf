"""Lists, idempotency keys, and what the server tells of itself, over the native API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.native import ids, listed, post, submitted, until
from tests.e2e.procs import pid_of
from tests.e2e.program import Server, server
from tests.e2e.wire import ask

# -- idempotency --


def test_the_same_key_is_the_same_job(deck: Server) -> None:
    body = {"command": "echo once"}
    first, again = post(deck, body, "key-1"), post(deck, body, "key-1")
    assert (first.status, again.status) == (201, 201)
    job_id = json.loads(first.body)["id"]
    assert json.loads(again.body)["id"] == job_id
    assert first.headers["location"] == again.headers["location"] == f"/v1/jobs/{job_id}"
    assert json.loads(post(deck, body, "key-2").body)["id"] != job_id
    other = post(deck, {"command": "echo twice"}, "key-1")
    assert (other.status, json.loads(other.body)["detail"]) == (422, "This Idempotency-Key was used with another body.")
    assert post(deck, body, "").status == 400
    assert post(deck, body, "k" * 256).status == 413


@pytest.mark.slow
def test_a_key_is_known_after_kill_9(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        job_id = json.loads(post(running, {"command": f"echo ran >>{tmp_path}/ran"}, "key").body)["id"]
        running.kill()
        running.start()
        assert json.loads(post(running, {"command": f"echo ran >>{tmp_path}/ran"}, "key").body)["id"] == job_id
        running.wait(job_id)
        assert (tmp_path / "ran").read_text() == "ran\n"


# -- lists --


@pytest.fixture(scope="module")
def shelf(deck: Server) -> dict[str, str]:
    """Ended jobs under a label of their own, by name."""
    made = {}
    for number in range(7):
        name = f"job{number}"
        labels = ["shelf", "odd" if number % 2 else "even"]
        made[name] = submitted(deck, f"true Needle{number} äÖ; exit {number % 3}", labels=labels)
        deck.wait(made[name])
    return made


def pages(running: Server, query: str, limit: int) -> list[list[str]]:
    found, cursor = [], ""
    while True:
        page = listed(running, f"?{query}&limit={limit}{cursor}")
        found.append([job["id"] for job in page["items"]])
        if page["next"] is None:
            return found
        cursor = f"&cursor={page['next']}"


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("sort", ["created", "-created", "ended", "-ended", "state", "-state"])
def test_pages_hold_each_job_once(deck: Server, shelf: dict[str, str], sort: str, limit: int) -> None:
    until(lambda: len(ids(deck, "?label=shelf&state=failed,succeeded")) == len(shelf))
    found = [job_id for page in pages(deck, f"label=shelf&sort={sort}", limit) for job_id in page]
    whole = ids(deck, f"?label=shelf&sort={sort}")
    assert found == whole
    assert sorted(found) == sorted(shelf.values())
    if "state" not in sort:
        in_order = list(shelf.values())
        assert found == (in_order[::-1] if sort.startswith("-") else in_order)


@pytest.mark.parametrize("sort", ["created", "ended", "state"])
def test_pages_behind_and_above_a_job(deck: Server, shelf: dict[str, str], sort: str) -> None:
    until(lambda: len(ids(deck, "?label=shelf&state=failed,succeeded")) == len(shelf))
    whole = ids(deck, f"?label=shelf&sort={sort}")
    for at, job_id in enumerate(whole):
        assert ids(deck, f"?label=shelf&sort={sort}&after={job_id}&limit=3") == whole[at + 1 : at + 4]
        assert ids(deck, f"?label=shelf&sort=-{sort}&after={job_id}&limit=3") == whole[max(0, at - 3) : at][::-1]
        assert ids(deck, f"?label=odd&sort={sort}&after={job_id}") == [
            each for each in whole[at + 1 :] if each in [shelf[f"job{number}"] for number in (1, 3, 5)]
        ]


def test_a_page_behind_what_is_not_on_the_list(deck: Server) -> None:
    gone, running = submitted(deck, "true"), submitted(deck, "sleep 100")
    deck.wait(gone)
    until(lambda: ask(deck.port, "GET", f"/v1/jobs?sort=ended&after={gone}").status == 200)  # its end is committed
    until(lambda: ask(deck.port, "DELETE", f"/v1/jobs/{gone}").status == 204)
    answer = ask(deck.port, "GET", f"/v1/jobs?after={gone}")
    assert (answer.status, json.loads(answer.body)["detail"]) == (404, f"Job {gone} not found.")
    answer = ask(deck.port, "GET", f"/v1/jobs?sort=ended&after={running}")
    assert (answer.status, json.loads(answer.body)["field"]) == (400, "after")
    assert "has not ended" in json.loads(answer.body)["detail"]
    assert ask(deck.port, "POST", f"/v1/jobs/{running}/stop", b'{"signal": "KILL"}').status == 202


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("label=odd", (1, 3, 5)),
        ("state=succeeded", (0, 3, 6)),
        ("state=succeeded,failed", (0, 1, 2, 3, 4, 5, 6)),
        ("state=running", ()),
        ("state=failed&label=even", (2, 4)),
        ("dialect=jobrunner", ()),
        ("dialect=v1", (0, 1, 2, 3, 4, 5, 6)),
        ("text=needle4", (4,)),
        ("text=NEEDLE", (0, 1, 2, 3, 4, 5, 6)),
        ("text=%C3%84%C3%B6&label=odd", (1, 3, 5)),
        ("text=50%25", ()),
        ("since=2001-01-01T00:00:00Z", (0, 1, 2, 3, 4, 5, 6)),
        ("since=2999-01-01T00:00:00%2B02:00", ()),
    ],
)
def test_filters(deck: Server, shelf: dict[str, str], query: str, numbers: tuple[int, ...]) -> None:
    until(lambda: len(ids(deck, "?label=shelf&state=failed,succeeded")) == len(shelf))
    mine = set(shelf.values())
    found = {job_id for page in pages(deck, query, 1000) for job_id in page} & mine
    assert found == {shelf[f"job{number}"] for number in numbers}


def test_since_is_the_moment_of_creation(deck: Server, shelf: dict[str, str]) -> None:
    created = deck.job(shelf["job4"])["created"]
    assert set(ids(deck, f"?label=shelf&since={created}")) == {shelf["job4"], shelf["job5"], shelf["job6"]}


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("state=dancing", "state"),
        ("sort=colour", "sort"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=x", "limit"),
        ("since=yesterday", "since"),
        ("since=2026-01-01T00:00:00", "since"),
        ("cursor=nonsense", "cursor"),
        ("cursor=eyJhIjoxfQ", "cursor"),
    ],
)
def test_queries_that_make_no_sense(deck: Server, query: str, field: str) -> None:
    answer = ask(deck.port, "GET", f"/v1/jobs?{query}")
    assert (answer.status, json.loads(answer.body)["field"]) == (400, field)


def test_a_cursor_of_another_order_is_refused(deck: Server, shelf: dict[str, str]) -> None:
    cursor = listed(deck, "?label=shelf&limit=1&sort=created")["next"]
    assert ask(deck.port, "GET", f"/v1/jobs?sort=ended&cursor={cursor}").status == 400


def test_a_job_by_the_beginning_of_its_id(deck: Server, shelf: dict[str, str]) -> None:
    job_id = shelf["job1"]
    for name in (job_id, job_id[:8], job_id[:13], job_id[:8].upper()):
        assert deck.job(name)["id"] == job_id
    assert ask(deck.port, "GET", f"/v1/jobs/{job_id[:7]}").status == 404


# -- what it tells of itself --


def test_health_and_information(deck: Server) -> None:
    assert ask(deck.port, "GET", "/healthz").body == b'{"status":"SUCCESS"}'
    info = json.loads(ask(deck.port, "GET", "/v1/info").body)
    assert (info["name"], info["role"], info["urls"]) == ("jobdeck", "admin", [deck.url])
    assert info["running_limit"] == 64
    assert set(info["counts"]) == {"queued", "starting", "running", "succeeded", "failed", "stopped", "lost"}
    assert json.loads((deck.data_dir / "server.json").read_text()) == {"urls": [deck.url], "pid": pid_of(deck)}


def test_openapi_has_each_route_of_the_router(deck: Server) -> None:
    document = json.loads(ask(deck.port, "GET", "/openapi.json").body)
    assert document["openapi"] == "3.1.0"
    operations = [operation for path in document["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations)
    assert all(operation["summary"] and operation["responses"] for operation in operations)
    for path, methods in document["paths"].items():
        plain = path.replace("{id}", "00000000-0000-4000-8000-000000000000")
        allow = ask(deck.port, "OPTIONS", plain).headers["allow"].split(", ")
        told = {method.upper() for method in methods}
        assert told | {"OPTIONS"} | ({"HEAD"} if "GET" in told else set()) == set(allow), path
        names = [part.strip("{}") for part in path.split("/") if part.startswith("{")]
        for operation in methods.values():
            in_path = [each["name"] for each in operation["parameters"] if each["in"] == "path"]
            assert in_path == names
    refs = {part for part in json.dumps(document).split('"') if part.startswith("#/")}
    for ref in refs:
        node: Any = document
        for name in ref[2:].split("/"):
            node = node[name]


def test_openapi_describes_the_record(deck: Server, shelf: dict[str, str]) -> None:
    document = json.loads(ask(deck.port, "GET", "/openapi.json").body)
    schema = document["components"]["schemas"]["Job"]["properties"]
    kinds: dict[str, type | tuple[type, ...]] = {
        "string": str,
        "number": (int, float),
        "boolean": bool,
        "array": list,
        "object": dict,
        "null": type(None),
    }
    job = deck.job(shelf["job1"])
    assert set(job) == set(schema)
    for name, value in job.items():
        allowed = schema[name].get("type")
        if allowed is None:
            assert value in schema[name]["enum"]
        else:
            assert any(isinstance(value, kinds[kind]) for kind in ([allowed] if isinstance(allowed, str) else allowed))
