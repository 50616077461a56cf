"""Packages that are named by URI: http, ftp and files, what is refused by default, and what is not sent again."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import trio

from tests.e2e.hooks import WHEEL, Caller
from tests.e2e.program import Server, server
from tests.server.outbound.receivers import Got, receiver, saying, talking
from tests.server.outbound.test_ftp import Ftp

pytestmark = pytest.mark.timeout(200)  # on a machine that does much else


@pytest.fixture
def folder(hooked: Server) -> Path:
    return hooked.data_dir.parent


def answered(data: bytes) -> bytes:
    tag = hashlib.sha1(data, usedforsecurity=False).hexdigest()
    return b'HTTP/1.1 200 OK\r\nETag: "%s"\r\nContent-Length: %d\r\n\r\n' % (tag.encode(), len(data)) + data


async def ran(caller: Caller, uri: str) -> Any:
    status, answer = await caller.try_start("Echo", "value = here", cp=uri, sync="true", timeout="28")
    assert (status, answer.get("result")) == (200, "here"), answer
    return answer


async def refused(caller: Caller, uri: str) -> str:
    """The text of a refusal; nothing has begun."""
    before = await caller.ask("GET", "/v1/jobs")
    status, answer = await caller.try_start("Echo", cp=uri)
    assert status == 400, answer
    assert answer["status"].startswith("JOB LOADING FAILED")
    assert await caller.ask("GET", "/v1/jobs") == before
    return str(answer["result"]["message"])


async def test_by_http_and_the_second_time_nothing_is_sent(caller: Caller, folder: Path) -> None:
    data = (folder / "open" / WHEEL).read_bytes()
    seen = []

    async def say(got: Got, stream: trio.abc.Stream) -> None:
        known = "if-none-match" in got.headers
        seen.append((got.line, known))
        await stream.send_all(b"HTTP/1.1 304 Not Modified\r\n\r\n" if known else answered(data))

    async with receiver(say) as other:
        uri = other.url(f"/builds/{WHEEL}?token=hushhush")
        job = await ran(caller, uri)
        await ran(caller, uri)
        line = f"GET /builds/{WHEEL}?token=hushhush HTTP/1.1"
        assert seen == [(line, False), (line, True)]
        record = json.loads((await caller.ask("GET", f"/v1/jobs/{job['jobId']}"))[1])
        assert record["packages"] == [other.url(f"/builds/{WHEEL}")]
        assert "hushhush" not in json.dumps(record)
    assert "hushhush" not in caller.server.log.read_text()


async def test_by_ftp(caller: Caller, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.server.outbound.test_ftp.DATA", (folder / "open" / WHEEL).read_bytes())
    async with talking(Ftp().control) as port:
        await ran(caller, f"ftp://127.0.0.1:{port}/pub/{WHEEL}")


@pytest.mark.parametrize(
    "scheme",
    [
        "file://",
        "local:",
        pytest.param("local://", marks=pytest.mark.slow),
        pytest.param("file:", marks=pytest.mark.slow),
    ],
)
async def test_from_a_folder_that_may_be_read(caller: Caller, folder: Path, scheme: str) -> None:
    await ran(caller, f"{scheme}{folder}/open/{WHEEL}")


async def test_nothing_else_is_read(caller: Caller, folder: Path) -> None:
    (folder / "open" / "link.whl").symlink_to(folder / "closed" / WHEEL)
    (folder / "open" / "folder").symlink_to(folder / "closed")
    (folder / "open" / "hole").mkdir(exist_ok=True)
    for path in (
        f"{folder}/closed/{WHEEL}",
        f"{folder}/open/../closed/{WHEEL}",
        f"{folder}/open/%2e%2e/closed/{WHEEL}",
        f"{folder}/open/..%2Fclosed/{WHEEL}",
        f"{folder}/open/link.whl",
        f"{folder}/open/folder/{WHEEL}",
        f"{folder}/open/hole",
        f"{folder}/open",
        f"{folder}/opened/{WHEEL}",
        "/etc/passwd",
        "/proc/self/environ",
        "/dev/zero",
        f"{caller.server.data_dir}/jobdeck.sqlite3",
    ):
        for scheme in ("file://", "local://", "file:"):
            text = await refused(caller, scheme + path)
            assert "root:" not in text
    await refused(caller, f"file://elsewhere.example{folder}/open/{WHEEL}")


async def test_what_is_no_package(caller: Caller, folder: Path) -> None:
    """That is found when it is to be run; nothing of the file is told."""
    for name, data in (("passwd.whl", b"root:x:0:0"), ("short.whl", b"PK"), ("empty.whl", b"")):
        (folder / "open" / name).write_bytes(data)
        status, answer = await caller.try_start("Echo", cp=f"file://{folder}/open/{name}")
        assert (status, answer["status"]) == (400, "JOB LOADING FAILED"), answer
        assert "root" not in answer["result"]["message"]


@pytest.mark.slow
async def test_what_cannot_be_had(caller: Caller) -> None:
    async def missing(got: Got, stream: trio.abc.Stream) -> None:
        await stream.send_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret")

    async with receiver(missing) as other:
        text = await refused(caller, other.url("/a.whl?token=hidden"))
        assert "404" in text
        assert "secret" not in text
        assert "hidden" not in text
    text = await refused(caller, other.url("/a.whl"))  # nobody is there any more
    assert "could not be reached" in text
    before = await caller.ask("GET", "/v1/jobs")
    async with receiver(saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2000000000000\r\n\r\nPK")) as other:
        status, answer = await caller.try_start("Echo", cp=other.url("/a.whl"))
        assert (status, answer["status"]) == (413, "ERROR")
        assert "over the limit of" in answer["result"]
    assert await caller.ask("GET", "/v1/jobs") == before


@pytest.mark.slow
async def test_by_default_no_file_is_read(tmp_path: Path, folder: Path) -> None:
    with server(tmp_path / "data", "--fetch-allow", "none", "--callback-allow", "none") as each:
        caller = Caller(each)
        assert "fetch_folders" in await refused(caller, f"file://{folder}/open/{WHEEL}")
        async with receiver() as other:
            assert "fetch_allow" in await refused(caller, other.url("/a.whl"))
            assert other.contacts == 0
