from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.http.body import ChunkScanner
from jobdeck_server.http.errors import BadMessageError, HttpError
from jobdeck_server.http.head import HeadBuffer, parse_target
from tests.server.http.toy import settings

HEAD = b"GET /path?q HTTP/1.1\r\nHost: a\r\nX: yz\r\n\r\n"
TAIL = b"body and more"


@given(st.lists(st.integers(1, len(HEAD + TAIL) - 1), max_size=8))
def test_heads_are_found_however_they_come(cuts: list[int]) -> None:
    buffer = HeadBuffer(settings())
    raw = HEAD + TAIL
    at = [0, *sorted(set(cuts)), len(raw)]
    head = None
    for start, end in pairwise(at):
        buffer.feed(raw[start:end])
        if head is None:
            head = buffer.take_head()
    assert head == HEAD
    assert buffer.path() == "/path"
    assert buffer.take(1000) == TAIL
    assert len(buffer) == 0


@given(st.binary(max_size=200))
def test_any_bytes_are_a_head_or_not_yet_one_or_refused(data: bytes) -> None:
    buffer = HeadBuffer(settings(head_limit_bytes=150, target_limit_bytes=50))
    buffer.feed(data)
    refused = 0
    head = None
    try:
        head = buffer.take_head()
    except HttpError as error:
        refused = error.status
    assert buffer.path().startswith("/")
    if refused:
        assert refused in (400, 414, 431)
    else:
        assert head is None or (head.endswith(b"\r\n\r\n") and len(head) <= 150)
        assert len(buffer) + len(head or b"") >= len(data) - 2


@given(st.lists(st.binary(min_size=1, max_size=30), max_size=5), st.integers(1, 40), st.booleans())
def test_the_scanner_stops_exactly_at_the_end(chunks: list[bytes], step: int, trailer: bool) -> None:
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n"
    body += b"X: 1\r\n\r\n" if trailer else b"\r\n"
    raw = body + b"GET / next"
    scanner = ChunkScanner()
    used = 0
    while not scanner.done:
        used += scanner.scan(raw[used : used + step])
    assert used == len(body)


@given(st.binary(max_size=100))
def test_the_scanner_takes_or_refuses_anything(data: bytes) -> None:
    scanner = ChunkScanner()
    try:
        used = scanner.scan(data)
    except BadMessageError:
        return
    assert used == len(data) or scanner.done


@pytest.mark.parametrize(
    ("target", "path", "query", "authority"),
    [
        ("/", "/", "", ""),
        ("//x", "//x", "", ""),
        ("/a?b?c", "/a", "b?c", ""),
        ("HTTP://Host/a", "/a", "", "Host"),
        ("https://u@h:1?x", "/", "x", "u@h:1"),
    ],
)
def test_targets(target: str, path: str, query: str, authority: str) -> None:
    parsed = parse_target("GET", target)
    assert (parsed.path, parsed.query, parsed.authority) == (path, query, authority)
