"""/data on the real server: each row of its routes, and names that mean harm."""

from __future__ import annotations

import json
import os
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.hooks import Caller
from tests.e2e.program import Server
from tests.e2e.wire import ask

TIME = r"20\d\d-\d\d-\d\dT\d\d_\d\d_\d\d\.\d{3}(Z|[+-]\d\d_\d\d)"


@pytest.fixture(autouse=True)
def _empty(deck: Server) -> Iterator[None]:
    yield
    assert tell(deck, "PUT", "/data?reset=reboot") == (200, {"status": "SUCCESS", "result": "Data reset"})
    assert tell(deck, "GET", "/data") == (200, [])
    assert list((deck.data_dir / "data").glob("*.dat")) == []


def tell(deck: Server, method: str, path: str, body: bytes = b"") -> tuple[int, Any]:
    answer = ask(deck.port, method, path, body)
    assert answer.headers["content-type"] == "application/json"
    return answer.status, json.loads(answer.body)


def store(deck: Server, prefix: str, body: bytes) -> str:
    status, told = tell(deck, "POST", f"/data/{prefix}", body)
    assert (status, list(told), list(told["result"])) == (200, ["result"], ["filename"])
    return str(told["result"]["filename"])


def test_stored_listed_removed(deck: Server) -> None:
    data = os.urandom(3_000_000)
    path = store(deck, "in.txt", data)
    assert re.fullmatch(re.escape(f"{deck.data_dir}/data/in.txt-") + TIME + r"\.dat", path)
    assert Path(path).read_bytes() == data
    other = store(deck, "with%20space%C3%A9", b"")
    assert Path(other).name.startswith("with space\u00e9-20")
    assert tell(deck, "GET", "/data") == (200, [path, other])
    for each in (path, other):
        answer = ask(deck.port, "DELETE", f"/data/{quote(each, safe='')}")
        assert (answer.status, answer.headers["content-type"], answer.body) == (200, "application/json", b"OK")
    assert tell(deck, "GET", "/data") == (200, [])
    text = f"Unable to delete data file '{path}'."
    assert tell(deck, "DELETE", f"/data/{quote(path, safe='')}") == (400, {"status": "ERROR", "result": text})


@pytest.mark.parametrize(
    "prefix",
    [
        "..",
        ".",
        "%2E%2E",
        "..%2F..%2Fetc%2Fpasswd",
        "%2Fetc%2Fpasswd",
        "a%00b",
        "a%0Ab",
        "x" * 300,
        "%C3%BC" * 120,
    ],
)
def test_names_that_mean_harm(deck: Server, prefix: str) -> None:
    before = sorted(path for path in deck.data_dir.parent.rglob("*") if path.suffix == ".dat")
    answer = ask(deck.port, "POST", f"/data/{prefix}", b"harm")
    assert answer.status == 400, answer
    assert json.loads(answer.body)["status"] == "ERROR"
    assert sorted(path for path in deck.data_dir.parent.rglob("*") if path.suffix == ".dat") == before


@pytest.mark.parametrize("path", ["a/b", "", "a/"])
def test_names_in_several_parts_lead_nowhere(deck: Server, path: str) -> None:
    assert ask(deck.port, "POST", f"/data/{path}", b"x").status in (404, 405)


def test_only_data_files_are_removed(deck: Server) -> None:
    path = store(deck, "a", b"x")
    victim = deck.data_dir / "victim.dat"
    victim.write_bytes(b"x")
    for wrong in (str(victim), f"{deck.data_dir}/data/../victim.dat", "../victim.dat", "/etc/passwd", Path(path).name):
        told = tell(deck, "DELETE", f"/data/{quote(wrong, safe='')}")
        assert told == (400, {"status": "ERROR", "result": f"Unable to delete data file '{wrong}'."})
    assert victim.exists()
    assert tell(deck, "GET", "/data") == (200, [path])
    victim.unlink()


def test_reset_as_it_is_asked_for(deck: Server) -> None:
    path = store(deck, "a", b"x")
    assert ask(deck.port, "PUT", "/data?reset=other").body == b"ERROR"
    answer = ask(deck.port, "PUT", "/data")
    assert (answer.status, answer.body) == (404, b"Request is missing required query parameter 'reset'")
    answer = ask(deck.port, "PUT", "/data?reset=reboot&sync=maybe")
    assert (answer.status, answer.body.partition(b"\n")[0]) == (400, b"The query parameter 'sync' was malformed:")
    assert tell(deck, "GET", "/data") == (200, [path])
    told = tell(deck, "PUT", "/data?reset=reboot&sync=FALSE")
    assert told == (200, {"status": "SUCCESS", "result": "Data reset requested"})


def test_a_body_that_breaks_off_leaves_nothing(deck: Server) -> None:

    with socket.create_connection(("127.0.0.1", deck.port)) as plain:
        plain.sendall(
            b"POST /data/half HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000000\r\n\r\n" + b"x" * 2_000_000
        )
        plain.shutdown(socket.SHUT_WR)
        while plain.recv(65536):
            pass
    assert tell(deck, "GET", "/data") == (200, [])
    assert list((deck.data_dir / "data" / ".coming").iterdir()) == []


async def test_a_job_reads_it_by_the_path_that_was_answered(caller: Caller) -> None:
    _, answer = await caller.ask("POST", "/data/in.txt", "some text")
    path = json.loads(answer)["result"]["filename"]
    status, ran = await caller.try_start("Reading", f"path = {json.dumps(path)}", sync="true", timeout="28")
    assert (status, ran.get("result")) == (200, "some text"), ran
    assert (await caller.ask("DELETE", f"/data/{quote(path, safe='')}")) == (200, b"OK")
