"""Records and their hashes: every vector of the original, to the byte."""

import hashlib
import json

import pytest

from jobdeck_server.core.blobrecord import file_record, metadata_hash, record_of, serialize
from jobdeck_server.core.errors import BadRequestError

VECTORS = [
    ("hello.txt", b"Hello, blob!\n", "text/plain", "b4674eed089624de91111e9a9b7c8212d95fb6dc"),
    ("data.json", b'{"1":2}', "application/json", "6ca2e4cae24a3ef6cdc2b113a287e5b0c88361ca"),
    ("te%s#t.json", b'{"1":2}', "application/json", "b9a10f4f271515a3edcec04bccc86e7ddecf0f47"),
    ("noext", b"x", "application/octet-stream", "cc8fbbc3e2cd22be118bba7a4ab9ee28f58e5142"),
    ("a/b.txt", b"x", "text/plain", "3f788767f958eaff9015c6a27d1f7783b5ef9682"),
    ("1111μ222.bin", b"x", "application/octet-stream", "01345ef963fdd1bfb10e218a592c2d18796d4991"),
    ("J.JSON", b"x", "application/json", "ffcd29a8a336e169be81603a6c681b46c6eb4b1f"),
    ("a.tar.gz", b"x", "application/gzip", "af927b4f7b7f815397958c4d5fa1ac87c70964fd"),
    ("p.py", b"x", "application/octet-stream", "8c16bf26ef7aa28f89e861320c66c644aad3f595"),
    ("m.xml", b"x", "application/xml", "8d10f2268b99effb14c38f714868a8667f88d551"),
    ("empty.txt", b"", "text/plain", "fba61e01ae2d82eed7b790d8931385e958d9412b"),
    ("noct.bin", b"abc", "application/octet-stream", "61924fefbe300ba60f31bb57527ebd661703e0e1"),
]


@pytest.mark.parametrize(("name", "body", "mime", "wanted"), VECTORS, ids=[vector[0] for vector in VECTORS])
def test_a_file_has_the_hash_that_the_original_gives_it(name: str, body: bytes, mime: str, wanted: str) -> None:
    assert metadata_hash(file_record(name, len(body), mime, hashlib.sha1(body).hexdigest())) == wanted


def test_the_type_of_a_script_is_part_of_its_hash() -> None:
    content = hashlib.sha1(b"x").hexdigest()
    assert metadata_hash(file_record("a.js", 1, "application/javascript", content)).startswith("88f178c3")
    new = metadata_hash(file_record("a.js", 1, "text/javascript", content))
    assert (new[:8], new[-7:]) == ("236930e0", "0daa1f5")


HELLO = "1a05d6ba885624eac51de0fd66cc12a2c4159837"
RECORDS = [
    ({}, "81582f8c9e0b805d3ed64c93f9aaea5e8a2e8dd1"),
    ([], "81582f8c9e0b805d3ed64c93f9aaea5e8a2e8dd1"),
    ({"name": "n", "unknown": 1, "content": "x"}, "e534bd77285152bd91c854186f33b23bb37292aa"),
    (
        {"name": 'uμ"\\.txt', "tags": [3, "a", 1], "isPublic": True, "size": "12", "content": HELLO},
        "1780998c3ac9d19145f546e1abc788e5f3259525",
    ),
    ({"name": "empty.zip", "content": {}, "contentType": "complex"}, "980d2e807733899a4972428c9c687d9768dd149a"),
    (
        {
            "name": "executor_config.json.zip",
            "size": 278,
            "mime": "application/zip",
            "content": "f9d5a93b1e76a5ead51d7762c9520e6998911cb5",
        },
        "39aa77396352b2b19c8cab7450b06791a8652e6e",
    ),
]


@pytest.mark.parametrize(("sent", "wanted"), RECORDS)
def test_a_record_has_the_hash_that_the_original_gives_it(sent: object, wanted: str) -> None:
    assert metadata_hash(record_of(sent)) == wanted


def test_an_artifact_has_the_hash_that_the_original_gives_it() -> None:
    same = {"content": HELLO, "contentType": "object"}
    link = {"content": "b4674eed089624de91111e9a9b7c8212d95fb6dc", "contentType": "softLink"}
    record = record_of(
        {
            "name": "art.zip",
            "size": 26,
            "mime": "application/zip",
            "content": {"z/b.txt": same, "a.txt": same, "B.txt": link, "10": same, "9": same},
            "contentType": "complex",
            "tags": ["z", "b"],
        }
    )
    assert list(json.loads(serialize(record))["content"]) == ["9", "10", "B.txt", "a.txt", "z/b.txt"]
    assert record.tags == ("b", "z")
    assert metadata_hash(record) == "5652c669907ab6d7bde2ad48b6d1c37ff012e963"


def test_the_walkthroughs_job_has_the_result_that_the_original_gives_it() -> None:
    files = {
        "executor_config.json": "4ecb3ae6d3bb39bd32e4e2216ad0c02fbdf12e87",
        "job_stderr.txt": "2a27cca4720fe1388bbe10d4340ec1a4a1d0c6e5",
        "job_stdout.txt": "0c09012570549ca3f86d66bf03312bbd75e7bcbd",
    }
    content = {name: {"content": link, "contentType": "softLink"} for name, link in files.items()}
    sent = {"name": "all.zip", "size": 254, "mime": "application/zip", "content": content, "contentType": "complex"}
    assert metadata_hash(record_of(sent)) == "efd50a01f08ef5b256b4169db9987eae8353a917"


@pytest.mark.parametrize(
    "sent",
    [
        None,
        "text",
        12,
        True,
        {"tags": "abc"},
        {"tags": {"a": 1}},
        {"tags": 1},
        {"contentType": "complex"},
        {"contentType": "complex", "content": None},
        {"contentType": "complex", "content": {"a": None}},
        {"contentType": "complex", "content": {"a": {"content": "x"}}},
        {"contentType": "complex", "content": {"a": {"content": HELLO.upper()}}},
        {"contentType": "complex", "content": {"a": {"content": HELLO + "\n"}}},
    ],
)
def test_what_is_no_record_is_refused(sent: object) -> None:
    with pytest.raises(BadRequestError):
        record_of(sent)
