"""Bodies of every size and framing, read in every way, with requests before and behind them."""

from __future__ import annotations

import hashlib
from itertools import pairwise

import pytest
import trio
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobdeck_server.http.body import PAST_H11_BYTES
from jobdeck_server.http.message import Request, Response
from tests.server.http.toy import serving

SIZES = (1, PAST_H11_BYTES - 1, PAST_H11_BYTES, PAST_H11_BYTES + 1, 3_000_000)
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def digest(request: Request) -> Response:
    """Says what came; the path says how to read it."""
    way, _, number = request.path[1:].partition("/")
    sha1 = hashlib.sha1()
    size = 0
    if way == "read":
        data = await request.body.read(1 << 30)
        sha1.update(data)
        size = len(data)
    elif way == "pieces":
        async for piece in request.body:
            assert piece
            sha1.update(piece)
            size += len(piece)
    elif way == "into":
        room = memoryview(bytearray(int(number)))
        while count := await request.body.read_into(room):
            sha1.update(room[:count])
            size += count
        assert await request.body.read_into(room) == 0
    return Response(body=f"<{size} {sha1.hexdigest()}>".encode())


def said(body: bytes) -> bytes:
    return f"<{len(body)} {hashlib.sha1(body).hexdigest()}>".encode()


def body_of(size: int) -> bytes:
    return hashlib.sha256(b"%d" % size).digest() * (size // 32) + b"x" * (size % 32)


def post(path: str, body: bytes, *, chunked: bool = False) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: a\r\n".encode()
    if not chunked:
        return head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = [body[at : at + 70_000] for at in range(0, len(body), 70_000)]
    framed = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed + b"0\r\n\r\n"


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.parametrize("way", ["read", "pieces", "into/1000", "into/65536", "into/1048576"])
async def test_any_size_read_in_any_way_and_the_connection_goes_on(way: str, chunked: bool) -> None:
    async with serving(digest) as toy:
        bodies = [body_of(size) for size in SIZES for _ in range(2)]
        data = await toy.talk(*(post(f"/{way}", body, chunked=chunked) for body in bodies), LAST)
        assert [part for part in data.split(b"\r\n\r\n")[1:-1] if part]
        for body in bodies:
            before, found, data = data.partition(said(body))
            assert found
            assert b"close" not in before
        assert said(b"") in data
        assert not toy.log.bugs()


@given(
    st.lists(st.tuples(st.sampled_from((0, *SIZES[:4], 200_000)), st.booleans()), min_size=1, max_size=4),
    st.lists(st.integers(1, 400_000), max_size=6),
)
@hypothesis_settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pipelines_split_anywhere(bodies: list[tuple[int, bool]], cuts: list[int]) -> None:
    async def run() -> None:
        async with serving(digest) as toy:
            raw = b"".join(post("/into/30000", body_of(size), chunked=chunked) for size, chunked in bodies) + LAST
            at = [0, *sorted({cut for cut in cuts if cut < len(raw)}), len(raw)]
            data = await toy.talk(*(raw[a:b] for a, b in pairwise(at)))
            for size, _ in bodies:
                found, data = data.partition(said(body_of(size)))[1:]
                assert found

    trio.run(run)


async def test_expect_100_with_a_large_body() -> None:
    head = b"POST /into/65536 HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\nExpect: 100-continue\r\n\r\n"
    async with serving(digest) as toy, await toy.connect() as stream:
        for _ in range(2):
            await stream.send_all(head)
            assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(body_of(100_000))
            assert said(body_of(100_000)) in bytes(await stream.receive_some())


async def test_a_large_body_that_is_left_unread_is_read_past_within_limits() -> None:
    async def deaf(request: Request) -> Response:
        return Response(body=b"deaf")

    async with serving(deaf, drain_limit_bytes=PAST_H11_BYTES) as toy:
        data = await toy.talk(post("/", body_of(PAST_H11_BYTES)), post("/", body_of(PAST_H11_BYTES)), LAST)
        assert data.count(b"deaf") == 3
        data = await toy.talk(post("/", body_of(PAST_H11_BYTES + 1)), LAST)
        assert data.count(b"deaf") == 1


@pytest.mark.parametrize("way", ["read", "pieces", "into/1000"])
async def test_a_large_body_that_ends_early_is_400(way: str) -> None:
    async with serving(digest) as toy:
        raw = post(f"/{way}", body_of(100_000))
        assert (await toy.talk(raw[:-1], end=True)).startswith(b"HTTP/1.1 400 ")
        assert not toy.log.bugs()


async def test_a_large_body_that_stops_coming_is_408() -> None:
    async with serving(digest, body_grace_s=0.1, body_rate_floor_bytes_per_s=10**9, linger_timeout_s=0.05) as toy:
        data = await toy.talk(post("/into/65536", body_of(100_000))[:50_000])
        assert data.startswith(b"HTTP/1.1 408 ")
