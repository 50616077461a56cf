"""Ranges and conditions of a file that never changes. Source: RFC 9110 sections 13 and 14."""

import pytest

from jobdeck_server.dialects.fileanswer import Source, byte_range, file_answer
from jobdeck_server.http.message import FileSlice, Request
from tests.server.nobody import NoBody


def ask(method: str = "GET", **headers: str) -> tuple[int, dict[str, str], object, int]:
    """Status, headers, body and how often the file was closed."""
    closed: list[int] = []
    named = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    request = Request(method=method, path="/", headers=named, body=NoBody())
    source = Source(fd=7, size_bytes=10, tag="abc", close=lambda: closed.append(1))
    answer = file_answer(request, source, (("Content-type", "text/plain"),))
    assert (answer.close is None) == bool(closed)
    return answer.status, dict(answer.headers), answer.body, len(closed)


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        (None, (0, 10, 200)),
        ("bytes=0-", (0, 10, 206)),
        ("bytes=2-5", (2, 6, 206)),
        ("bytes=2-99", (2, 10, 206)),
        ("bytes=-3", (7, 10, 206)),
        ("bytes=-99", (0, 10, 206)),
        ("Bytes = 2 - 5", (2, 6, 206)),
        ("bytes=9-9", (9, 10, 206)),
        ("bytes=10-", (0, 0, 416)),
        ("bytes=-0", (0, 0, 416)),
        ("bytes=5-2", (0, 10, 200)),
        ("bytes=0-1,3-4", (0, 10, 200)),
        ("bytes=a-b", (0, 10, 200)),
        ("bytes=-", (0, 10, 200)),
        ("bytes=+1-2", (0, 10, 200)),
        ("bytes=\u0661-\u0662", (0, 10, 200)),
        ("bytes=" + "9" * 5000 + "-", (0, 10, 200)),
        ("lines=0-1", (0, 10, 200)),
    ],
)
def test_ranges(header: str | None, wanted: tuple[int, int, int]) -> None:
    assert byte_range(header, 10) == wanted


def test_nothing_of_an_empty_file_can_be_asked_for() -> None:
    assert byte_range("bytes=0-", 0) == (0, 0, 416)


def test_the_whole() -> None:
    status, headers, body, _ = ask()
    assert (status, body) == (200, FileSlice(7, 0, 10))
    assert headers == {"Content-type": "text/plain", "ETag": '"abc"', "Accept-Ranges": "bytes"}


def test_a_part() -> None:
    status, headers, body, _ = ask(range="bytes=2-5")
    assert (status, body) == (206, FileSlice(7, 2, 4))
    assert headers["Content-Range"] == "bytes 2-5/10"


def test_a_part_that_is_not_there() -> None:
    status, headers, body, closed = ask(range="bytes=10-")
    assert (status, body, closed) == (416, b"", 1)
    assert headers["Content-Range"] == "bytes */10"


@pytest.mark.parametrize("known", ['"abc"', 'W/"abc"', '"x", "abc"', "*"])
def test_what_the_client_has_is_not_sent(known: str) -> None:
    status, headers, body, closed = ask(if_none_match=known)
    assert (status, body, closed) == (304, b"", 1)
    assert headers["ETag"] == '"abc"'


def test_a_part_of_another_version_is_the_whole() -> None:
    assert ask(range="bytes=2-5", if_range='"abc"')[0] == 206
    assert ask(range="bytes=2-5", if_range='"old"')[0] == 200
    assert ask(range="bytes=2-5", if_range='W/"abc"')[0] == 200
    assert ask("HEAD", range="bytes=2-5")[0] == 200
