"""/rest/blob: the worked examples E1 to E6 and every row of the wire reference's section 3, against the real program.

What is sent is what was recorded of the original; where the original does harm ("D" there), what is right is asked for.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import socket
import struct
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.e2e.program import Server, server
from tests.e2e.wire import Answer, ask, curl, parse, talk

HELLO = b"Hello, blob!\n"
HELLO_ID = "b4674eed089624de91111e9a9b7c8212d95fb6dc"
HELLO_CONTENT = "1a05d6ba885624eac51de0fd66cc12a2c4159837"
ART_ID = "5652c669907ab6d7bde2ad48b6d1c37ff012e963"
EMPTY_CONTENT = "da39a3ee5e6b4b0d3255bfef95601890afd80709"
UNKNOWN = "0" * 40
FILE = {"content": HELLO_CONTENT, "contentType": "object"}
ARTIFACT = {
    "name": "art.zip",
    "size": 26,
    "mime": "application/zip",
    "content": {
        "z/b.txt": FILE,
        "a.txt": FILE,
        "B.txt": {"content": HELLO_ID, "contentType": "softLink"},
        "10": FILE,
        "9": FILE,
    },
    "contentType": "complex",
    "tags": ["z", "b"],
}


class Blob:
    """The routes of one server."""

    def __init__(self, running: Server) -> None:
        self.server = running

    def ask(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return ask(self.server.port, method, f"/rest/blob/{path}", body, named)

    def file(self, name: str, body: bytes, **headers: str) -> str:
        """Upload; its id."""
        answer = self.ask("POST", f"createFile/{quote(name, safe='')}", body, **headers)
        assert answer.status == 200, answer
        (blob_id,) = json.loads(answer.body)
        return str(blob_id)

    def record(self, value: object) -> str:
        """Store a record; its id."""
        answer = self.ask("POST", "createMetadata/", json.dumps(value).encode())
        assert answer.status == 200, answer
        (blob_id,) = json.loads(answer.body)
        return str(blob_id)

    def artifact(self, name: str, content: dict[str, Any]) -> str:
        return self.record({"name": name, "content": content, "contentType": "complex"})

    def files(self) -> set[str]:
        """Every file of the store, temporary ones too."""
        folder = self.server.data_dir / "blobs"
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def blob(jobrunner: Server) -> Blob:
    each = Blob(jobrunner)
    each.file("hello.txt", HELLO)
    return each


@pytest.fixture(scope="module")
def listing() -> Iterator[Blob]:
    """A server that lists, and that pages of one origin may ask."""
    flags = ("--blob-list", "--allow-origin", "http://deck.example")
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data", *flags) as running:
        yield Blob(running)


def told(answer: Answer) -> tuple[int, str, str]:
    return answer.status, answer.headers["content-type"], answer.text


NOT_FOUND = (404, "text/plain; charset=utf-8", "Not Found")
LOST = (500, "text/plain; charset=utf-8", "Internal Server Error")


def absent(blob_id: str) -> tuple[int, str, str]:
    return 404, "text/html; charset=utf-8", f"Requested object does not exist: {blob_id}"


# -- the worked examples --


def test_e1_create_file(blob: Blob) -> None:
    answer = blob.ask("POST", "createFile/hello.txt", HELLO)
    assert answer.status == 200
    assert b"\r\nContent-type: application/json\r\n" in answer.head
    wanted = f"""{{
    "{HELLO_ID}": {{
        "name": "hello.txt",
        "size": 13,
        "mime": "text/plain",
        "isPublic": false,
        "tags": [],
        "content": "{HELLO_CONTENT}",
        "contentType": "object",
        "lastModified": "TIME"
    }}
}}"""
    body, count = re.subn(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", "TIME", answer.text)
    assert (count, body) == (1, wanted)


def test_e2_metadata(blob: Blob) -> None:
    created = json.loads(blob.ask("POST", "createFile/hello.txt", HELLO).body)[HELLO_ID]
    answer = blob.ask("GET", f"metadata/{HELLO_ID}")
    assert told(answer) == (200, "application/json", json.dumps(created, indent=4))


def test_e3_view_and_download(blob: Blob) -> None:
    viewed = blob.ask("GET", f"view/{HELLO_ID}")
    assert told(viewed) == (200, "text/plain", HELLO.decode())
    assert "content-disposition" not in viewed.headers
    loaded = blob.ask("GET", f"download/{HELLO_ID}")
    assert told(loaded) == (200, "text/plain", HELLO.decode())
    assert loaded.headers["content-disposition"] == 'attachment; filename="hello.txt"'
    renamed = blob.ask("GET", f"download/{HELLO_ID}/sub.txt")
    assert (renamed.status, renamed.body) == (200, HELLO)
    assert renamed.headers["content-disposition"] == 'attachment; filename="sub.txt"'


def test_e4_unknown(blob: Blob) -> None:
    assert told(blob.ask("GET", f"metadata/{UNKNOWN}")) == absent(UNKNOWN)
    assert told(blob.ask("GET", "metadata/abc")) == NOT_FOUND


def test_e5_create_metadata(blob: Blob) -> None:
    answer = blob.ask("POST", "createMetadata/", json.dumps(ARTIFACT).encode())
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    ((blob_id, record),) = json.loads(answer.body).items()
    assert blob_id == ART_ID
    assert record["tags"] == ["b", "z"]
    assert list(record["content"]) == ["9", "10", "B.txt", "a.txt", "z/b.txt"]
    assert list(record) == ["name", "size", "mime", "isPublic", "tags", "content", "contentType", "lastModified"]


def test_e6_a_path_in_an_artifact(blob: Blob) -> None:
    assert blob.record(ARTIFACT) == ART_ID
    part = blob.ask("GET", f"download/{ART_ID}/z%2Fb.txt")
    assert told(part) == (200, "text/plain", HELLO.decode())
    assert part.headers["content-disposition"] == 'attachment; filename="b.txt"'
    whole = blob.ask("GET", f"download/{ART_ID}")
    assert (whole.status, whole.headers["content-type"], whole.whole) == (200, "application/zip", True)
    assert whole.headers["content-disposition"] == 'attachment; filename="art.zip"'
    assert len(zipfile.ZipFile(io.BytesIO(whole.body)).namelist()) == 5
    # The original answers 500 here; an unknown path is not the server's fault
    assert told(blob.ask("GET", f"download/{ART_ID}/nope.txt")) == NOT_FOUND


def test_the_walkthroughs_upload_as_it_is_printed(blob: Blob, tmp_path: Path) -> None:
    """curl's --data-binary calls the body a form, and the body is the file all the same."""
    archive = tmp_path / "jobdefinition.zip"
    with zipfile.ZipFile(archive, "w") as made:
        made.writestr("executor_config.json", b'{"cmd":"echo"}')
    url = f"{blob.server.url}/rest/blob/createFile/jobdefinition.zip"
    ((blob_id, record),) = json.loads(curl("-X", "POST", "--data-binary", f"@{archive}", url)).items()
    data = archive.read_bytes()
    assert (record["name"], record["size"], record["mime"]) == ("jobdefinition.zip", len(data), "application/zip")
    assert record["content"] == hashlib.sha1(data).hexdigest()
    assert curl(f"{blob.server.url}/rest/blob/download/{blob_id}") == data


def test_the_walkthroughs_record_has_the_id_that_it_prints(blob: Blob) -> None:
    record = {
        "name": "executor_config.json.zip",
        "size": 278,
        "mime": "application/zip",
        "content": "f9d5a93b1e76a5ead51d7762c9520e6998911cb5",
    }
    assert blob.record(record) == "39aa77396352b2b19c8cab7450b06791a8652e6e"


# -- createFile --

VECTORS = [
    ("data.json", b'{"1":2}', "6ca2e4cae24a3ef6cdc2b113a287e5b0c88361ca"),
    ("te%s#t.json", b'{"1":2}', "b9a10f4f271515a3edcec04bccc86e7ddecf0f47"),
    ("noext", b"x", "cc8fbbc3e2cd22be118bba7a4ab9ee28f58e5142"),
    ("a/b.txt", b"x", "3f788767f958eaff9015c6a27d1f7783b5ef9682"),
    ("1111μ222.bin", b"x", "01345ef963fdd1bfb10e218a592c2d18796d4991"),
    ("J.JSON", b"x", "ffcd29a8a336e169be81603a6c681b46c6eb4b1f"),
    ("a.tar.gz", b"x", "af927b4f7b7f815397958c4d5fa1ac87c70964fd"),
    ("p.py", b"x", "8c16bf26ef7aa28f89e861320c66c644aad3f595"),
    ("m.xml", b"x", "8d10f2268b99effb14c38f714868a8667f88d551"),
    ("empty.txt", b"", "fba61e01ae2d82eed7b790d8931385e958d9412b"),
    ("noct.bin", b"abc", "61924fefbe300ba60f31bb57527ebd661703e0e1"),
]


@pytest.mark.parametrize(("name", "body", "blob_id"), VECTORS, ids=[vector[0] for vector in VECTORS])
def test_files_have_the_originals_ids(blob: Blob, name: str, body: bytes, blob_id: str) -> None:
    assert blob.file(name, body) == blob_id
    record = json.loads(blob.ask("GET", f"metadata/{blob_id}").body)
    assert (record["name"], record["size"]) == (name, len(body))
    assert blob.ask("GET", f"view/{blob_id}").body == body


def test_a_script_is_of_the_type_of_major_4(blob: Blob) -> None:
    assert blob.file("a.js", b"x").startswith("236930e0")


@pytest.mark.parametrize(
    "content_type",
    [
        "application/x-www-form-urlencoded",
        "application/json",
        "multipart/form-data; boundary=x",
        "application/octet-stream",
        "text/plain",
        "",
    ],
)
@pytest.mark.parametrize("body", [b'{"a":1}', b"{broken", b"a=1&b=2"])
def test_the_body_is_the_file_whatever_it_calls_itself(blob: Blob, content_type: str, body: bytes) -> None:
    blob_id = blob.file("f.bin", body, Content_Type=content_type)
    assert blob.ask("GET", f"view/{blob_id}").body == body


def test_a_chunked_body_and_one_that_waits_for_leave(blob: Blob) -> None:
    head = b"POST /rest/blob/createFile/hello.txt HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
    chunked = head + b"Transfer-Encoding: chunked\r\n\r\n6\r\nHello,\r\n7\r\n blob!\n\r\n0\r\n\r\n"
    assert HELLO_ID.encode() in parse(talk(blob.server.port, chunked)).body
    waiting = head + b"Content-Length: 13\r\nExpect: 100-continue\r\n\r\n"
    with socket.create_connection(("127.0.0.1", blob.server.port), 20) as sock:
        sock.sendall(waiting)
        assert sock.recv(1000).startswith(b"HTTP/1.1 100 ")
        sock.sendall(HELLO)
        raw = b"".join(iter(lambda: sock.recv(1 << 16), b""))
    assert HELLO_ID.encode() in parse(raw).body


def test_the_same_again_renews_its_time(blob: Blob) -> None:
    def modified() -> str:
        return str(json.loads(blob.ask("GET", f"metadata/{HELLO_ID}").body)["lastModified"])

    before = modified()
    assert blob.file("hello.txt", HELLO) == HELLO_ID
    assert modified() > before


def test_a_cut_upload_leaves_nothing(blob: Blob) -> None:
    before = blob.files()
    head = b"POST /rest/blob/createFile/half.bin HTTP/1.1\r\nHost: localhost\r\n"
    for framing, part in ((b"Content-Length: 5000000", b"x" * 3_000_000), (b"Transfer-Encoding: chunked", b"5\r\nabc")):
        with socket.create_connection(("127.0.0.1", blob.server.port), 20) as sock:
            sock.sendall(head + framing + b"\r\n\r\n" + part)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    limit = time.monotonic() + 20
    while blob.files() != before and time.monotonic() < limit:
        time.sleep(0.02)
    assert blob.files() == before
    content = hashlib.sha1(b"x" * 3_000_000).hexdigest()
    assert not [path for path in blob.files() if content in path]


def test_names_are_names_and_never_paths(blob: Blob) -> None:
    outside = {path for path in blob.server.data_dir.parent.rglob("*") if "blobs" not in path.parts}
    names = [
        "..",
        "../../x",
        "/etc/passwd",
        "a\\..\\b",
        "a\0b",
        "C:\\x",
        "x" * 2000,
        "con",
        " ",
        "%2e%2e",
        "\u202egpj",
        "é\n",
    ]
    for name in names:
        blob_id = blob.file(name, b"canary")
        assert json.loads(blob.ask("GET", f"metadata/{blob_id}").body)["name"] == name
        for path in (f"download/{blob_id}", f"download/{blob_id}/{quote(name, safe='')}", f"view/{blob_id}/../../x"):
            answer = blob.ask("GET", path)
            assert (answer.status, answer.body) == (200, b"canary")
            assert answer.whole
    kept = f"{hashlib.sha1(b'canary').hexdigest()[:2]}/{hashlib.sha1(b'canary').hexdigest()}"
    assert kept in blob.files()
    assert {path for path in blob.server.data_dir.parent.rglob("*") if "blobs" not in path.parts} <= outside | {
        blob.server.data_dir / "jobdeck.sqlite3-shm",
        blob.server.data_dir / "jobdeck.sqlite3-wal",
    }


# -- createMetadata --


@pytest.mark.parametrize(
    ("record", "blob_id"),
    [
        ({}, "81582f8c9e0b805d3ed64c93f9aaea5e8a2e8dd1"),
        ([], "81582f8c9e0b805d3ed64c93f9aaea5e8a2e8dd1"),
        ({"name": "n", "unknown": 1, "content": "x"}, "e534bd77285152bd91c854186f33b23bb37292aa"),
        (
            {"name": 'uμ"\\.txt', "tags": [3, "a", 1], "isPublic": True, "size": "12", "content": HELLO_CONTENT},
            "1780998c3ac9d19145f546e1abc788e5f3259525",
        ),
        ({"name": "empty.zip", "content": {}, "contentType": "complex"}, "980d2e807733899a4972428c9c687d9768dd149a"),
    ],
)
def test_records_have_the_originals_ids(blob: Blob, record: object, blob_id: str) -> None:
    assert blob.record(record) == blob_id


def test_a_record_keeps_what_was_sent_and_how(blob: Blob) -> None:
    entry = {"z": 1, "contentType": "object", "content": HELLO_CONTENT, "more": [1.5, None]}
    sent = {"content": {"f": entry}, "contentType": "complex", "name": None, "size": 1e21, "unknown": 1}
    kept = json.loads(blob.ask("GET", f"metadata/{blob.record(sent)}").body)
    assert list(kept["content"]["f"].items()) == list(entry.items())
    assert (kept["name"], kept["size"]) == (None, 1e21)
    assert "unknown" not in kept


@pytest.mark.parametrize(
    "body",
    [
        b"hello1",
        b"",
        b"null",
        b"{bad",
        b'{"contentType":"complex","content":{"a":{"content":"x"}}}',
        b'{"contentType":"complex","content":{"a":{}}}',
        b'{"contentType":"complex"}',
        b"[" * 100_000,
    ],
)
def test_what_is_no_record(blob: Blob, body: bytes) -> None:
    assert told(blob.ask("POST", "createMetadata", body)) == (500, "application/json", "{}")


@pytest.mark.parametrize("tags", ['"abc"', "1", "true", '{"a":1}'])
def test_tags_that_are_no_list_do_no_harm(blob: Blob, tags: str) -> None:
    answer = blob.ask("POST", "createMetadata/", b'{"name":"x","tags":%s}' % tags.encode())
    assert told(answer) == (400, "text/plain; charset=utf-8", "Bad Request")
    assert blob.ask("GET", f"metadata/{HELLO_ID}").status == 200


def test_a_record_that_calls_itself_json_is_answered(blob: Blob) -> None:
    answer = blob.ask("POST", "createMetadata", b"{}", Content_Type="application/json")
    assert (answer.status, "81582f8c9e0b805d3ed64c93f9aaea5e8a2e8dd1" in answer.text) == (200, True)


# -- metadata --


def test_hashes_that_are_none(blob: Blob) -> None:
    upper = HELLO_ID.upper()
    assert told(blob.ask("GET", f"metadata/{upper}")) == absent(upper)
    for path in (f"view/{upper}", f"download/{upper}", "view/abc", "download/abc/x", "metadata/" + "g" * 40):
        assert told(blob.ask("GET", path)) == NOT_FOUND, path
    for path in (f"view/{UNKNOWN}", f"download/{UNKNOWN}", f"view/{UNKNOWN}/", f"download/{UNKNOWN}/a%2Fb"):
        assert told(blob.ask("GET", path)) == absent(UNKNOWN), path


def test_lists_are_off(blob: Blob) -> None:
    for path in ("metadata", "metadata/", "metadata?all=1"):
        answer = blob.ask("GET", path)
        assert (answer.status, answer.text) == (404, "Listing metadata only possible in debug mode.")


def test_lists_when_switched_on(listing: Blob) -> None:
    assert (listing.ask("GET", "metadata").status, json.loads(listing.ask("GET", "metadata").body)) == (200, {})
    hidden = listing.file("hidden.txt", b"x")
    public = listing.record({"name": "public.txt", "isPublic": True, "content": HELLO_CONTENT})
    odd = listing.record({"name": "odd.txt", "isPublic": "yes"})
    answer = listing.ask("GET", "metadata")
    assert answer.headers["content-type"] == "application/json"
    found = json.loads(answer.body)
    assert set(found) == {public, odd}
    assert answer.text == json.dumps(found, indent=4)
    assert found[public] == json.loads(listing.ask("GET", f"metadata/{public}").body)
    assert set(json.loads(listing.ask("GET", "metadata/?all=1").body)) == {public, odd, hidden}
    assert set(json.loads(listing.ask("GET", "metadata?all=").body)) == {public, odd}


# -- view and download --


@pytest.mark.parametrize(
    ("name", "mime", "viewed", "disposition"),
    [
        ("Case (1).zip", "application/zip", True, 'attachment; filename="Case (1).zip"'),
        ("x.bin", "application/octet-stream", True, 'attachment; filename="x.bin"'),
        ("noext", "application/octet-stream", True, 'attachment; filename="noext"'),
        ("d/e.txt", "text/plain", False, 'attachment; filename="e.txt"'),
        ("page.html", "text/html", False, 'attachment; filename="page.html"'),
        ("100%41.txt", "text/plain", False, "attachment; filename=\"100%41.txt\"; filename*=UTF-8''100%2541.txt"),
        ("é.txt", "text/plain", False, 'attachment; filename="é.txt"'),
        ("μ.txt", "text/plain", False, "attachment; filename=\"?.txt\"; filename*=UTF-8''%CE%BC.txt"),
    ],
)
def test_types_and_names(blob: Blob, name: str, mime: str, viewed: bool, disposition: str) -> None:
    blob_id = blob.file(name, b"abc")
    loaded = blob.ask("GET", f"download/{blob_id}")
    assert (loaded.headers["content-type"], loaded.headers["content-disposition"]) == (mime, disposition)
    shown = blob.ask("GET", f"view/{blob_id}")
    assert shown.headers["content-type"] == mime
    assert shown.headers.get("content-disposition") == (disposition if viewed else None)
    assert shown.headers["content-security-policy"] == "sandbox"  # a stored page has no rights here
    assert shown.headers["x-content-type-options"] == "nosniff"


def test_the_shown_name_decides_and_not_the_record(blob: Blob) -> None:
    lying = blob.record({"name": "a.json", "mime": "text/html", "content": HELLO_CONTENT})
    assert blob.ask("GET", f"view/{lying}").headers["content-type"] == "application/json"
    nameless = blob.record({"content": HELLO_CONTENT})
    answer = blob.ask("GET", f"download/{nameless}")
    assert (answer.body, answer.headers["content-disposition"]) == (HELLO, "attachment")
    assert answer.headers["content-type"] == "application/octet-stream"


def test_a_file_in_parts(blob: Blob) -> None:
    whole = blob.ask("GET", f"download/{HELLO_ID}")
    assert (whole.headers["content-length"], whole.headers["accept-ranges"]) == ("13", "bytes")
    etag = whole.headers["etag"]
    part = blob.ask("GET", f"download/{HELLO_ID}", Range="bytes=7-10", If_Range=etag)
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"blob", "bytes 7-10/13")
    assert blob.ask("GET", f"download/{HELLO_ID}", Range="bytes=-2").body == b"!\n"
    beyond = blob.ask("GET", f"download/{HELLO_ID}", Range="bytes=13-")
    assert (beyond.status, beyond.headers["content-range"]) == (416, "bytes */13")
    known = blob.ask("GET", f"view/{HELLO_ID}", If_None_Match=etag)
    assert (known.status, known.body) == (304, b"")


def test_head_is_get_without_the_body(blob: Blob) -> None:
    blob.record(ARTIFACT)
    for path in (f"view/{HELLO_ID}", f"download/{HELLO_ID}/x.txt", f"metadata/{HELLO_ID}", f"download/{ART_ID}"):
        got, headed = blob.ask("GET", path), blob.ask("HEAD", path)
        assert (headed.status, headed.body) == (200, b"")
        same = {"content-type", "content-length", "content-disposition", "etag", "accept-ranges"}
        assert {k: v for k, v in headed.headers.items() if k in same} == {
            k: v for k, v in got.headers.items() if k in same
        }


def test_a_large_file_comes_back_whole(blob: Blob) -> None:
    data = b"".join(hashlib.sha256(bytes([n % 256, n // 256])).digest() for n in range(65_536)) * 4
    blob_id = blob.file("large.bin", data)
    assert blob.ask("GET", f"view/{blob_id}").body == data
    assert blob.ask("GET", f"view/{blob_id}", Range="bytes=5000000-").body == data[5_000_000:]


def test_soft_links(blob: Blob) -> None:
    blob.record(ARTIFACT)
    link = blob.record({"name": "link.csv", "content": HELLO_ID, "contentType": "softLink"})
    twice = blob.record({"name": "twice.md", "content": link, "contentType": "softLink"})
    answer = blob.ask("GET", f"download/{twice}")
    assert told(answer) == (200, "text/markdown", HELLO.decode())
    assert answer.headers["content-disposition"] == 'attachment; filename="twice.md"'
    to_all = blob.record({"name": "all.zip", "content": ART_ID, "contentType": "softLink"})
    for path in (to_all, f"{to_all}/a.txt"):  # the path is not passed on, so both are the whole
        body = blob.ask("GET", f"view/{path}").body
        assert len(zipfile.ZipFile(io.BytesIO(body)).namelist()) == 5
    nested = blob.artifact("nested.zip", {"in.zip": {"content": ART_ID, "contentType": "softLink"}})
    inner = blob.ask("GET", f"view/{nested}/in.zip")
    assert inner.headers["content-disposition"] == 'attachment; filename="in.zip"'
    assert len(zipfile.ZipFile(io.BytesIO(inner.body)).namelist()) == 5


def test_what_cannot_be_had(blob: Blob) -> None:
    missing = blob.record({"name": "m.txt", "content": UNKNOWN})
    dangling = blob.record({"name": "d.txt", "content": UNKNOWN, "contentType": "softLink"})
    odd = blob.record({"name": "o.txt", "content": HELLO_CONTENT, "contentType": "odd"})
    entries = {
        "d/f.txt": FILE,
        "missing": {"content": UNKNOWN, "contentType": "object"},
        "dangling": {"content": UNKNOWN, "contentType": "softLink"},
        "complex": {"content": HELLO_CONTENT, "contentType": "complex"},
    }
    artifact = blob.artifact("a.zip", entries)
    lost = [missing, dangling, odd, *(f"{artifact}/{name}" for name in ("missing", "dangling", "complex"))]
    for path in lost:
        answer = blob.ask("GET", f"download/{path}")
        assert told(answer) == LOST, path
        assert "content-disposition" not in answer.headers
    for path in ("nope.txt", "d", "d/", "d%2F", "D/f.txt", "d/f.txt/"):
        assert told(blob.ask("GET", f"download/{artifact}/{path}")) == NOT_FOUND, path
    for path in ("d/f.txt", "d%2Ff.txt", "d%2ff.txt", "%64/f.txt"):
        assert blob.ask("GET", f"download/{artifact}/{path}").body == HELLO, path


def test_links_that_lead_nowhere_end(blob: Blob) -> None:
    chain = HELLO_ID
    for number in range(40):
        chain = blob.record({"name": f"{number}.txt", "content": chain, "contentType": "softLink"})
    assert told(blob.ask("GET", f"view/{chain}")) == LOST


def test_the_zip(blob: Blob) -> None:
    second = blob.file("second.bin", b"\0\1\2")
    names = ["b/é.txt", "a.txt", "10", "9", "Ω"]
    entries = {name: {"content": second, "contentType": "softLink"} for name in names}
    answer = blob.ask("GET", f"view/{blob.artifact('x.zip', entries)}/")
    assert answer.whole
    archive = zipfile.ZipFile(io.BytesIO(answer.body))
    assert archive.testzip() is None
    infos = archive.infolist()
    assert [info.filename for info in infos] == ["Ω", "b/é.txt", "a.txt", "10", "9"]
    for info in infos:
        assert archive.read(info) == b"\0\1\2"
        assert (info.compress_type, info.create_system, info.external_attr >> 16 & 0o777) == (0, 3, 0o644)
        assert info.flag_bits & 0x08
    assert blob.ask("GET", f"view/{blob.artifact('none.zip', {})}").body == b"PK\5\6" + bytes(18)


# -- what all routes have in common --


def test_paths_and_methods_that_are_none(blob: Blob) -> None:
    for method, path in (
        ("GET", "createFile/a.txt"),
        ("PUT", "createFile/a.txt"),
        ("POST", "createFile"),
        ("POST", "createFile/"),
        ("POST", "metadata"),
        ("DELETE", f"metadata/{HELLO_ID}"),
        ("POST", f"view/{HELLO_ID}"),
        ("GET", "nothing"),
        ("GET", ""),
    ):
        assert told(blob.ask(method, path)) == NOT_FOUND, (method, path)
    for path in ("createFile/%zz", "createFile/%ff"):
        assert told(blob.ask("POST", path)) == (400, "text/plain; charset=utf-8", "Bad Request")
    assert told(ask(blob.server.port, "GET", "/rest/nothing")) == NOT_FOUND


def test_only_pages_that_were_allowed_may_ask(blob: Blob, listing: Blob) -> None:
    foreign = blob.ask("POST", "createFile/evil.txt", b"x", Origin="http://evil.example")
    assert (foreign.status, foreign.text) == (403, "Forbidden")
    assert "access-control-allow-origin" not in foreign.headers
    listing.file("hello.txt", HELLO)
    allowed = listing.ask("GET", f"view/{HELLO_ID}", Origin="http://deck.example")
    assert (allowed.body, allowed.headers["access-control-allow-origin"]) == (HELLO, "http://deck.example")
    asked = listing.ask(
        "OPTIONS", "createFile/a.txt", Origin="http://deck.example", Access_Control_Request_Method="POST"
    )
    assert asked.status == 204
    assert "POST" in asked.headers["access-control-allow-methods"]
    assert blob.ask("OPTIONS", "metadata").status == 204


def test_nothing_is_compressed(blob: Blob) -> None:
    answer = blob.ask("GET", f"view/{HELLO_ID}", Accept_Encoding="gzip, deflate")
    assert ("content-encoding" in answer.headers, answer.body) == (False, HELLO)
