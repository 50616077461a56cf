from __future__ import annotations

import time
from typing import Any

import pytest
import trio

from jobdeck_server.http.message import Request, Response
from tests.server.http.toy import read_all, serving


async def ok(request: Request) -> Response:
    return Response(body=await request.body.read(1000))


def head_of(size: int) -> bytes:
    start = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nX: "
    return start + b"y" * (size - len(start) - 4) + b"\r\n\r\n"


@pytest.mark.parametrize(("extra", "status"), [(-1, 200), (0, 200), (1, 431), (100_000, 431)])
@pytest.mark.parametrize("step", [1 << 30, 1000])
async def test_head_size(extra: int, status: int, step: int) -> None:
    async with serving(ok, head_limit_bytes=4096, linger_timeout_s=0.05) as toy:
        raw = head_of(4096 + extra)
        assert len(raw) == 4096 + extra
        data = await toy.talk(*(raw[n : n + step] for n in range(0, len(raw), step)))
        assert data.startswith(b"HTTP/1.1 %d " % status)
        if status != 200:
            assert b"/x: The request head is over" in data


@pytest.mark.parametrize(("count", "status"), [(99, 200), (100, 200), (101, 431)])
async def test_header_count(count: int, status: int) -> None:
    async with serving(ok, linger_timeout_s=0.05) as toy:
        raw = b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n" + b"X: 1\r\n" * (count - 2) + b"\r\n"
        assert (await toy.talk(raw)).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(("size", "status"), [(8191, 200), (8192, 200), (8193, 414), (17_000, 414)])
async def test_target_size(size: int, status: int) -> None:
    async with serving(ok, linger_timeout_s=0.05) as toy:
        raw = b"GET /" + b"t" * (size - 1) + b" HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        assert (await toy.talk(raw)).startswith(b"HTTP/1.1 %d " % status)


@pytest.mark.parametrize(("size", "status"), [(0, 200), (999, 200), (1000, 200), (1001, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_body_size(size: int, status: int, chunked: bool) -> None:
    async with serving(ok, linger_timeout_s=0.05) as toy:
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
        if chunked:
            half = size // 2
            chunks = b"".join(b"%x\r\n" % n + b"z" * n + b"\r\n" for n in (half, size - half) if n)
            raw = head + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"
        else:
            raw = head + b"Content-Length: %d\r\n\r\n" % size + b"z" * size
        data = await toy.talk(raw)
        assert data.startswith(b"HTTP/1.1 %d " % status)
        if status == 200:
            assert data.count(b"z") == size


async def test_idle_connection_is_closed_without_a_word() -> None:
    async with serving(ok, idle_timeout_s=0.1) as toy:
        started = time.monotonic()
        assert await toy.talk() == b""
        assert 0.05 < time.monotonic() - started < 3


async def test_slow_head_is_408_at_an_absolute_deadline() -> None:
    async with serving(ok, head_timeout_s=0.3, linger_timeout_s=0.05) as toy, await toy.connect() as stream:
        started = time.monotonic()
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                for byte in head_of(200):
                    await stream.send_all(bytes([byte]))
                    await trio.sleep(0.02)

            nursery.start_soon(drip)
            data = await read_all(stream)
            nursery.cancel_scope.cancel()
        assert data.startswith(b"HTTP/1.1 408 ")
        assert b"/x: The request head came too slowly" in data
        assert time.monotonic() - started < 3


async def test_the_idle_clock_starts_anew_after_each_answer() -> None:
    async with serving(ok, idle_timeout_s=0.4) as toy, toy.client() as client:
        for _ in range(4):
            assert (await client.request("GET", "/")).status == 200
            await trio.sleep(0.2)


async def test_slow_body_is_408() -> None:
    async with serving(ok, body_grace_s=0.2, body_rate_floor_bytes_per_s=1000, linger_timeout_s=0.05) as toy:
        data = await toy.talk(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nabc")
        assert data.startswith(b"HTTP/1.1 408 ")
        assert b"Connection: close" in data


async def test_a_body_above_the_floor_may_take_longer_than_the_grace() -> None:
    async with serving(ok, body_grace_s=0.2, body_rate_floor_bytes_per_s=1000) as toy, toy.client() as client:
        await client.stream.send_all(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n")
        for _ in range(5):
            await trio.sleep(0.1)
            await client.stream.send_all(b"z" * 200)
        assert b"200 OK" in bytes(await client.stream.receive_some())


async def test_a_slow_handler_is_not_the_clients_fault() -> None:
    async def slow(request: Request) -> Response:
        body = b""
        async for piece in request.body:
            body += piece
            await trio.sleep(0.15)
        return Response(body=body)

    limits: dict[str, Any] = {"body_grace_s": 0.2, "body_rate_floor_bytes_per_s": 10**9, "receive_size_bytes": 100}
    async with serving(slow, **limits) as toy, toy.client() as client:
        assert (await client.request("POST", "/", body=b"q" * 400)).body == b"q" * 400


async def test_a_reader_that_takes_nothing_is_cut() -> None:
    async def large(request: Request) -> Response:
        return Response(body=b"x" * 50_000_000)

    async with serving(large, send_timeout_s=0.2) as toy, await toy.connect() as stream:
        await stream.send_all(head_of(100))
        await toy.open_connections(0)
        assert toy.log.requests()[0]["ended"] == "client stalled"


async def test_a_slow_reader_that_takes_something_is_not_cut() -> None:
    size = 12_000_000

    async def large(request: Request) -> Response:
        return Response(body=b"x" * size)

    async with serving(large, send_timeout_s=0.4) as toy, await toy.connect() as stream:
        await stream.send_all(head_of(100))
        count = 0
        while piece := await stream.receive_some(1_000_000):
            count += len(piece)
            await trio.sleep(0.03)
        assert count > size


async def test_connections_over_the_limit_are_answered_503() -> None:
    async with serving(ok, connection_limit_count=3) as toy:
        streams = [await toy.connect() for _ in range(3)]
        await toy.open_connections(3)
        refused = await toy.talk()
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert toy.server.statistics.refused_count == 1
        await streams[0].aclose()
        await toy.open_connections(2)
        assert (await toy.talk(head_of(100))).startswith(b"HTTP/1.1 200 ")
        for stream in streams:
            await stream.aclose()


async def test_connections_over_the_limit_of_one_peer() -> None:
    async with serving(ok, connection_limit_per_peer_count=1) as toy:
        async with toy.client() as client:
            assert (await client.request("GET", "/")).status == 200
            assert (await toy.talk()).startswith(b"HTTP/1.1 503 ")
        await toy.open_connections(0)
        assert (await toy.talk(head_of(100))).startswith(b"HTTP/1.1 200 ")


@pytest.mark.slow
async def test_three_hundred_attackers_do_not_keep_others_out() -> None:
    async with serving(ok, head_timeout_s=1.0, linger_timeout_s=0.1) as toy:
        attackers = [await toy.connect() for _ in range(300)]
        for stream in attackers:
            await stream.send_all(b"GET /slow HTTP/1.1\r\nHost: a\r\nX")
        started = time.monotonic()
        assert (await toy.talk(head_of(100))).startswith(b"HTTP/1.1 200 ")
        assert time.monotonic() - started < 2
        await toy.open_connections(0)
        for stream in attackers:
            await stream.aclose()
