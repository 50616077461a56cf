"""Blobs through the native API of the real program: on the wire, on the disk, and when it is killed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import random
import resource
import socket
import threading
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.native import until
from tests.e2e.program import Server, server
from tests.e2e.wire import Answer, ask, request

HELLO = b"Hello, blob!\n"
HELLO_HASH = "1a05d6ba885624eac51de0fd66cc12a2c4159837"
HELLO_BLOB = "b4674eed089624de91111e9a9b7c8212d95fb6dc"
NOTHING = "0" * 40


def put(running: Server, name: str, data: bytes, more: str = "") -> dict[str, Any]:
    answer = ask(running.port, "PUT", f"/v1/blobs?name={name}{more}", data)
    assert answer.status in (200, 201), answer.text
    found: dict[str, Any] = json.loads(answer.body)
    assert answer.headers["location"] == f"/v1/blobs/{found['hash']}"
    return found


def record(running: Server, value: object) -> dict[str, Any]:
    answer = ask(running.port, "POST", "/v1/blobs/records", json.dumps(value).encode())
    assert answer.status in (200, 201), answer.text
    found: dict[str, Any] = json.loads(answer.body)
    return found


def artifact(running: Server, name: str, files: Mapping[str, str]) -> dict[str, Any]:
    """One of contents: path -> hash."""
    content = {path: {"content": each, "contentType": "object"} for path, each in files.items()}
    return record(running, {"name": name, "contentType": "complex", "content": content})


def get(running: Server, path: str, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return ask(running.port, "GET", f"/v1/blobs/{path}", headers=named)


def contents(data_dir: Path) -> dict[str, int]:
    """Every file in the store, temporary ones too; those that have a hash for a name are what they are called."""
    found = {}
    for path in (data_dir / "blobs").rglob("*"):
        if path.is_file():
            found[path.name] = path.stat().st_size
            if path.parent.name != "tmp":
                assert hashlib.sha1(path.read_bytes()).hexdigest() == path.name, f"{path} is not whole"
                assert path.parent.name == path.name[:2]
    return found


# -- up --


def test_an_upload_is_the_bytes_whatever_they_are_called(deck: Server) -> None:
    for kind in ("application/x-www-form-urlencoded", "application/json", "multipart/form-data; boundary=x", ""):
        answer = ask(deck.port, "POST", "/v1/blobs?name=hello.txt", HELLO, {"Content-Type": kind})
        assert json.loads(answer.body)["hash"] == HELLO_BLOB
        assert json.loads(answer.body)["content"] == HELLO_HASH
    told = put(deck, "hello.txt", HELLO, "&tag=a&tag=b%2Cc")
    assert (told["tags"], told["mime"], told["size_bytes"]) == (["a", "b,c"], "text/plain", 13)
    assert put(deck, "a%2Fb%20%C3%A4.tar.gz", b"x")["name"] == "a/b ä.tar.gz"
    assert put(deck, "empty", b"")["size_bytes"] == 0


def test_the_same_name_and_bytes_have_the_id_that_the_other_api_gives(deck: Server) -> None:
    answer = ask(deck.port, "POST", "/rest/blob/createFile/data.json", b'{"1":2}')
    assert list(json.loads(answer.body)) == [put(deck, "data.json", b'{"1":2}')["hash"]]


@pytest.mark.parametrize(("query", "field"), [("", "name"), ("?name=", "name"), ("?name=x&tag=%00", "tags")])
def test_bad_uploads_are_refused_before_they_are_read(deck: Server, query: str, field: str) -> None:
    head = request("PUT", "/v1/blobs" + query, headers={"Content-Length": "1000000", "Expect": "100-continue"})
    with socket.create_connection(("127.0.0.1", deck.port), 10) as sock:
        sock.sendall(head)
        data = sock.recv(65536)
    assert data.startswith(b"HTTP/1.1 400 ")
    assert f'"field": "{field}"'.encode() in data


def test_cut_uploads_leave_nothing(deck: Server) -> None:
    before = contents(deck.data_dir)
    rng = random.Random(3)
    for size in (0, 1, 70_000, 3_000_000):
        for framing in (b"Content-Length: 5000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n4C4B40\r\n"):
            with socket.create_connection(("127.0.0.1", deck.port), 10) as sock:
                sock.sendall(b"PUT /v1/blobs?name=cut HTTP/1.1\r\nHost: localhost\r\n" + framing + rng.randbytes(size))
                if rng.random() < 0.5:
                    sock.shutdown(socket.SHUT_WR)
                    assert sock.recv(100).startswith(b"HTTP/1.1 400")
    until(lambda: contents(deck.data_dir) == before)
    assert not json.loads(ask(deck.port, "GET", "/v1/blobs?name=cut").body)["items"]


def test_the_same_from_fifty_clients_at_once_is_stored_once(deck: Server) -> None:
    data = random.Random(7).randbytes(600_000)
    before = len(contents(deck.data_dir))
    told: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: told.append(put(deck, "same.bin", data))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(told) == 50
    assert len({each["hash"] for each in told}) == 1
    assert len(contents(deck.data_dir)) <= before + 1


@pytest.mark.slow
def test_memory_stays_flat(tmp_path: Path) -> None:
    """128 MiB up, down, and down in a zip; the server never has more than some of it."""
    size = 128 << 20
    block = os.urandom(1 << 20)
    with server(tmp_path / "data") as deck:
        put(deck, "warm", block)
        assert deck.process is not None
        before = _peak_kib(deck.process.pid)
        with socket.create_connection(("127.0.0.1", deck.port), 60) as sock:
            sock.sendall(
                f"PUT /v1/blobs?name=large HTTP/1.1\r\nHost: localhost\r\nContent-Length: {size}\r\n\r\n".encode()
            )
            for _ in range(size >> 20):
                sock.sendall(block)
            answer = sock.recv(65536)
        blob = json.loads(answer.partition(b"\r\n\r\n")[2])
        zipped = artifact(deck, "a.zip", {"large": blob["content"]})
        for each in (blob, zipped):
            with socket.create_connection(("127.0.0.1", deck.port), 60) as sock:
                sock.sendall(request("GET", f"/v1/blobs/{each['hash']}/content"))
                taken = 0
                while data := sock.recv(1 << 20):
                    taken += len(data)
            assert taken > size
        assert _peak_kib(deck.process.pid) - before < 48 * 1024


def _peak_kib(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


# -- down --


def test_a_file_in_part_and_only_if_it_is_another_one(deck: Server) -> None:
    put(deck, "hello.txt", HELLO)
    path, tag = f"{HELLO_BLOB}/content", f'"{HELLO_HASH}"'
    whole = get(deck, path)
    assert (whole.status, whole.body, whole.headers["etag"]) == (200, HELLO, tag)
    assert (whole.headers["content-length"], whole.headers["accept-ranges"]) == ("13", "bytes")
    assert whole.headers["content-type"] == "text/plain"
    assert whole.headers["content-disposition"] == 'attachment; filename="hello.txt"'
    assert whole.headers["x-content-type-options"] == "nosniff"
    assert whole.headers["content-security-policy"] == "sandbox"
    for wanted, body in (("bytes=7-", b"blob!\n"), ("bytes=0-4", b"Hello"), ("bytes=-6", b"blob!\n")):
        part = get(deck, path, Range=wanted, If_Range=tag)
        assert (part.status, part.body) == (206, body)
    assert get(deck, path, Range="bytes=7-", If_Range='"other"').status == 200
    beyond = get(deck, path, Range="bytes=13-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */13")
    assert get(deck, path, If_None_Match=tag).status == 304
    head = ask(deck.port, "HEAD", f"/v1/blobs/{path}")
    assert (head.status, head.body, head.headers["content-length"], head.headers["etag"]) == (200, b"", "13", tag)
    assert get(deck, f"{HELLO_BLOB[:8]}/content/d/e.json").headers["content-type"] == "application/json"


def test_artifacts_as_zips_and_by_path(deck: Server) -> None:
    put(deck, "hello.txt", HELLO)
    art = artifact(deck, "art ä.zip", {"d/b ä.txt": HELLO_HASH, "%2e": HELLO_HASH, "z": HELLO_HASH})
    answer = get(deck, f"{art['hash']}/content")
    assert answer.headers["content-type"] == "application/zip"
    assert int(answer.headers["jobdeck-archive-bytes"]) == len(answer.body)
    assert answer.whole
    with zipfile.ZipFile(io.BytesIO(answer.body)) as archive:
        assert archive.testzip() is None
        assert {name: archive.read(name) for name in archive.namelist()} == dict.fromkeys(
            ("z", "d/b ä.txt", "%2e"), HELLO
        )
    for path in ("d/b%20%C3%A4.txt", "d%2Fb%20%C3%A4.txt", "%252e", "z"):
        assert get(deck, f"{art['hash']}/content/{path}").body == HELLO
    for path in ("d", "d/", "nope", "%2e", "../z", "d/../z"):
        assert get(deck, f"{art['hash']}/content/{path}").status == 404
    listed = json.loads(get(deck, f"{art['hash']}/entries?limit=2").body)
    assert ([each["path"] for each in listed["items"]], listed["total"]) == (["%2e", "d/b ä.txt"], 3)
    rest = json.loads(get(deck, f"{art['hash']}/entries?limit=2&cursor={listed['next']}").body)
    assert ([each["path"] for each in rest["items"]], rest["next"]) == (["z"], None)


def test_what_is_not_there_and_what_leads_nowhere(deck: Server) -> None:
    art = artifact(deck, "gone.zip", {"x": NOTHING})
    link = record(deck, {"name": "l", "content": NOTHING, "contentType": "softLink"})
    odd = record(deck, {"name": "o", "content": HELLO_HASH, "contentType": "other"})
    for path, status in (
        (NOTHING, 404),
        (f"{NOTHING}/content", 404),
        ("ffffffff/content", 404),
        ("..%2f..%2fetc/content", 404),
        (f"{art['hash']}/content", 404),
        (f"{art['hash']}/content/x", 404),
        (f"{link['hash']}/content", 404),
        (f"{odd['hash']}/content", 409),
        (f"{link['hash']}/entries", 409),
        (f"{art['hash']}/entries?cursor=x", 400),
        ("?sort=name", 400),
        ("?type=file", 400),
        ("?cursor=x", 400),
    ):
        answer = get(deck, path) if not path.startswith("?") else ask(deck.port, "GET", "/v1/blobs" + path)
        assert answer.status == status, path
        assert answer.headers["content-type"] == "application/problem+json"
    for body in (
        b"",
        b"hello1",
        b"null",
        b'{"tags":"abc"}',
        b'{"contentType":"complex","content":{"a":{}}}',
        b"[" * 999,
    ):
        assert ask(deck.port, "POST", "/v1/blobs/records", body).status == 400, body


# -- changing and removing --


def test_tags_pins_and_removal(deck: Server) -> None:
    blob = put(deck, "kept.txt", b"kept")
    path = f"/v1/blobs/{blob['hash']}"
    tagged = ask(deck.port, "PUT", path + "/tags", b'{"tags":["e2e"]}')
    assert json.loads(tagged.body)["own_tags"] == ["e2e"]
    assert [each["hash"] for each in _items(deck, "tag=e2e")] == [blob["hash"]]
    assert [each["hash"] for each in _items(deck, "text=E2E&type=object&sort=size")] == [blob["hash"]]
    assert json.loads(ask(deck.port, "PUT", path + "/pin").body)["pinned"] is True
    assert ask(deck.port, "DELETE", path).status == 409
    assert json.loads(ask(deck.port, "DELETE", path + "/pin").body)["pinned"] is False
    for body in (b"", b"[]", b'{"tags":"x"}', b'{"tags":[1]}', b'{"tags":[""]}', b'{"more":1}'):
        assert ask(deck.port, "PUT", path + "/tags", body).status == 400
    assert ask(deck.port, "DELETE", path).status == 204
    assert ask(deck.port, "DELETE", path).status == 404


def _items(running: Server, query: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = json.loads(ask(running.port, "GET", f"/v1/blobs?{query}").body)["items"]
    return items


@pytest.mark.slow
def test_collection(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\nblob_grace_s = 0\n")
    with server(tmp_path / "data", "--config", str(tmp_path / "config.toml")) as deck:
        kept, gone = put(deck, "kept", b"kept"), put(deck, "gone", b"gone")
        assert ask(deck.port, "DELETE", f"/v1/blobs/{gone['hash']}").status == 204
        for body, count in ((b'{"dry_run":true}', 1), (b"", 1), (b"", 0)):
            told = json.loads(ask(deck.port, "POST", "/v1/blobs/gc", body).body)
            assert (told["content_count"], told["content_bytes"], told["kept_count"]) == (count, 4 * count, 1)
        assert list(contents(deck.data_dir)) == [kept["content"]]
        told = json.loads(ask(deck.port, "POST", "/v1/blobs/gc", b'{"unused_s":0}').body)
        assert told["records"] == [kept["hash"]]
        assert contents(deck.data_dir) == {}
        for bad in (b'{"dry_run":1}', b'{"unused_s":-1}', b'{"unused_s":1e999}', b'{"unused_s":"1d"}', b'{"x":1}'):
            assert ask(deck.port, "POST", "/v1/blobs/gc", bad).status == 400


# -- limits, full disks, crashes --


@pytest.mark.slow
def test_a_blob_has_a_limit(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[limits]\nblob_limit_bytes = 100000\n")
    with server(tmp_path / "data", "--config", str(tmp_path / "config.toml")) as deck:
        put(deck, "just", bytes(100_000))
        for framing in ({"Content-Length": "100001"}, {"Transfer-Encoding": "chunked"}):
            head = request("PUT", "/v1/blobs?name=more", headers=framing)
            body = bytes(100_001) if "Content-Length" in framing else b"186a1\r\n" + bytes(100_001) + b"\r\n0\r\n\r\n"
            with socket.create_connection(("127.0.0.1", deck.port), 10) as sock:
                sock.sendall(head + body)
                assert sock.recv(100).startswith(b"HTTP/1.1 413 ")
        assert len(contents(deck.data_dir)) == 1


@pytest.mark.slow
def test_a_full_disk_is_told_and_the_server_goes_on(tmp_path: Path) -> None:
    """The kernel itself refuses to write beyond a limit, as it would on a full disk."""
    with server(tmp_path / "data") as deck:
        assert deck.process is not None
        limits = resource.prlimit(deck.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(deck.process.pid, resource.RLIMIT_FSIZE, (64 << 20, limits[1]))
        answer = ask(deck.port, "PUT", "/v1/blobs?name=large", bytes(70 << 20))
        assert (answer.status, json.loads(answer.body)["detail"]) == (
            507,
            "There is no room left on the server's disk.",
        )
        assert contents(deck.data_dir) == {}
        put(deck, "small", b"small")
        assert len(contents(deck.data_dir)) == 1


@pytest.mark.slow
def test_the_reserve_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f"[limits]\nblob_reserve_bytes = {1 << 60}\n")
    with server(tmp_path / "data", "--config", str(tmp_path / "config.toml")) as deck:
        assert ask(deck.port, "PUT", "/v1/blobs?name=x", b"x").status == 507
        assert deck.wait(deck.submit("echo on"))["state"] == "succeeded"


class Sender(threading.Thread):
    """Sends new bytes of many sizes until the server has gone; ``kept`` are those that were acknowledged."""

    def __init__(self, running: Server, seed: int) -> None:
        super().__init__()
        self._running = running
        self._rng = random.Random(seed)
        self.kept: dict[str, bytes] = {}

    def run(self) -> None:
        with contextlib.suppress(OSError, AssertionError, ValueError):
            while True:
                data = self._rng.randbytes(self._rng.choice((1, 1000, 100_000, 5_000_000)))
                blob = put(self._running, "crash.bin", data)
                assert blob["content"] == hashlib.sha1(data).hexdigest()
                self.kept[blob["hash"]] = data


def crash_rounds() -> int:
    """How often to kill; more of it on request."""
    return int(os.environ.get("JOBDECK_TEST_BLOB_CRASHES", "4"))


@pytest.mark.slow
def test_kill_9_leaves_whole_blobs_and_nothing_else(tmp_path: Path) -> None:
    rng = random.Random(11)
    with server(tmp_path / "data") as deck:
        kept: dict[str, bytes] = {}
        for number in range(crash_rounds()):
            senders = [Sender(deck, 100 * number + n) for n in range(4)]
            for sender in senders:
                sender.start()
            until(lambda: sum(len(sender.kept) for sender in senders) > rng.randrange(3, 12), 30)  # noqa: B023  # now
            deck.kill()
            for sender in senders:
                sender.join()
                kept |= sender.kept
            deck.start()
            assert not list((deck.data_dir / "blobs" / "tmp").iterdir())
            found = contents(deck.data_dir)
            for blob, data in kept.items():
                assert found[hashlib.sha1(data).hexdigest()] == len(data)
                answer = get(deck, f"{blob}/content")
                assert answer.body == data
            for items in _pages(deck):
                assert {each["content"] for each in items} <= set(found)
        assert kept


def _pages(running: Server) -> Iterator[list[dict[str, Any]]]:
    cursor = ""
    while True:
        page = json.loads(ask(running.port, "GET", f"/v1/blobs?limit=1000{cursor}").body)
        yield page["items"]
        if page["next"] is None:
            return
        cursor = f"&cursor={page['next']}"


def test_a_web_page_can_neither_send_nor_read_blobs(deck: Server) -> None:
    put(deck, "hello.txt", HELLO)
    foreign = {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"}
    assert ask(deck.port, "POST", "/v1/blobs?name=evil", b"x", foreign).status == 403
    assert ask(deck.port, "GET", f"/v1/blobs/{HELLO_BLOB}/content", headers=foreign).status == 403
    assert not _items(deck, "name=evil")
