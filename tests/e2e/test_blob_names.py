"""Names of blobs that would like to be paths (threat 6): data in a record, and never a place on the disk.

The canary is a file beside the data directory: no answer may hold what is in it, and nothing may come or go around it.
"""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.e2e.program import Server, server

pytestmark = pytest.mark.slow

CANARY = b"what nobody may read"
STEPS = (
    "..",
    "%2e%2e",
    "%252e%252e",
    ".%2e",
    "..%5c",
    "%5c..",
    "%c0%ae%c0%ae",
    "%e0%80%ae",
    "%00..",
    "..%00",
    "....",
    "%2e",
)
SLASHES = ("%2f", "%5c", "%252f", "%2f%2f", "%c0%af", "/")
ENDS = ("canary", "canary%00.txt", "jobdeck.sqlite3", "etc%2fpasswd")
RESERVED = (
    "con",
    "nul",
    "aux.txt",
    "%20",
    "%2e",
    "%2e%2e",
    "~",
    "-rf",
    "%7f",
    "%0a",
    "a%0d%0aX:%20y",
    "%2fetc%2fpasswd",
)
NAMES = (
    *(step + slash + end for step in STEPS for slash in SLASHES for end in ENDS),
    *((step + "%2f") * 9 + "etc%2fpasswd" for step in STEPS),
    *RESERVED,
    "x" * 5000,
    "..%2f" * 900,
)


@pytest.fixture
def deck(tmp_path: Path) -> Iterator[Server]:
    (tmp_path / "canary").write_bytes(CANARY)
    with server(tmp_path / "data", "--sync", "normal") as running:
        yield running


OWN = ("data/blobs", "data/spares", "data/jobdeck.sqlite3", "data/keeper")


def around(folder: Path) -> set[str]:
    """All that there is, but for what the server itself and its keeper make."""
    found = {os.path.relpath(path, folder) for path in folder.rglob("*")}
    return {path for path in found if not path.startswith(OWN)}


def test_06_a_name_is_never_a_path(deck: Server) -> None:
    """More than 300 names through 6 routes: an answer of the store's own, or a refusal."""
    assert len(NAMES) > 300
    before = around(deck.data_dir.parent)
    statuses: dict[int, int] = {}
    with closing(http.client.HTTPConnection("127.0.0.1", deck.port, timeout=20)) as link:

        def ask(method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
            link.putrequest(method, path, skip_accept_encoding=True)
            if body is not None:
                link.putheader("Content-Length", str(len(body)))
            link.endheaders(body)
            answer = link.getresponse()
            data = answer.read()
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            assert CANARY not in data, path
            assert answer.status in (200, 400, 404), (path, answer.status, data)
            return answer.status, data

        _, created = ask("POST", "/rest/blob/createFile/good.txt", b"good")
        (good,) = json.loads(created)
        entry = {"content": good, "contentType": "softLink"}
        content = dict.fromkeys(NAMES, entry)
        record = {"name": "all.zip", "contentType": "complex", "content": content}
        _, created = ask("POST", "/rest/blob/createMetadata/", json.dumps(record).encode())
        (artifact,) = json.loads(created)
        for name in NAMES:
            status, created = ask("POST", f"/rest/blob/createFile/{name}", b"blob")
            if status == 200:
                (blob,) = json.loads(created)
                assert ask("GET", f"/rest/blob/download/{blob}") == (200, b"blob")
            ask("POST", "/rest/blob/createMetadata/", json.dumps({"name": name, "content": name}).encode())
            ask("GET", f"/rest/blob/metadata/{name}")
            ask("GET", f"/rest/blob/view/{name}")
            for whole in (good, artifact):
                status, data = ask("GET", f"/rest/blob/view/{whole}/{name}")
                assert status != 200 or data in (b"good", b"")
    assert around(deck.data_dir.parent) == before
    assert (deck.data_dir.parent / "canary").read_bytes() == CANARY
    kept = [path for path in (deck.data_dir / "blobs").rglob("*") if path.is_file()]
    assert len(kept) == 2, kept
    assert statuses[200] > 600
