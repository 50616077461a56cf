from __future__ import annotations

import random
from itertools import pairwise

import h11
import pytest
import trio
import trio.lowlevel
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from jobdeck_server.http.message import Request, Response
from tests.server.http.toy import Toy, serving

GET = b"GET /a HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


async def echo(request: Request) -> Response:
    body = await request.body.read(1 << 20)
    return Response(body=f"{request.method} {request.path}?{request.query} ".encode() + body)


async def deaf(request: Request) -> Response:
    """Answers without reading the body."""
    return Response(body=b"deaf")


async def test_keep_alive() -> None:
    async with serving(echo) as toy, toy.client() as client:
        for n in range(3):
            reply = await client.request("POST", f"/a?n={n}", body=b"x" * n)
            assert reply.status == 200
            assert reply.body == b"POST /a?n=%d " % n + b"x" * n
            assert "connection" not in reply.headers
            assert reply.headers["date"].endswith("GMT")
        assert [r["status"] for r in toy.log.requests()] == [200] * 3
        assert toy.server.statistics.connection_count == 1


async def test_head_has_the_headers_of_get_and_no_body() -> None:
    async with serving(echo) as toy, toy.client() as client:
        head = await client.request("HEAD", "/a")
        get = await client.request("GET", "/b")
        assert head.body == b""
        assert int(head.headers["content-length"]) == len(get.body) + 1
        assert get.body == b"GET /b? "


async def test_header_values_and_order_are_kept() -> None:
    seen: list[Request] = []

    async def keep(request: Request) -> Response:
        seen.append(request)
        return Response(status=204)

    async with serving(keep) as toy:
        raw = b"GET /%41?x=%20&y HTTP/1.1\r\nHost: localhost\r\nX-One:  a  b \r\nx-one:c\r\nX-Latin: \xe9\r\n\r\n"
        data = await toy.talk(raw, end=True)
        assert data.startswith(b"HTTP/1.1 204 No Content\r\n")
        assert b"content-length" not in data.lower()
    assert seen[0].path == "/%41"
    assert seen[0].query == "x=%20&y"
    assert seen[0].arguments() == {"x": " ", "y": ""}
    assert seen[0].headers == (("host", "localhost"), ("x-one", "a  b"), ("x-one", "c"), ("x-latin", "é"))
    assert seen[0].peer.startswith("127.0.0.1:")


async def test_pipelined_requests_are_answered_in_order_one_at_a_time() -> None:
    running = 0
    order: list[str] = []

    async def slow(request: Request) -> Response:
        nonlocal running
        running += 1
        assert running == 1
        await trio.sleep(0.01)
        body = await request.body.read(100)
        order.append(request.path)
        running -= 1
        return Response(body=request.path.encode() + body)

    async with serving(slow) as toy:
        post = b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
        put = b"PUT /3 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
        data = await toy.talk(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" + post + put + LAST)
        assert order == ["/1", "/2", "/3", "/last"]
        assert [part.rpartition(b"\r\n")[2] for part in data.split(b"HTTP/1.1")[1:]] == [
            b"/1",
            b"/2abc",
            b"/3hi",
            b"/last",
        ]


async def test_a_long_pipeline_does_not_keep_others_waiting() -> None:
    async with serving(deaf) as toy, toy.client() as other, trio.open_nursery() as nursery:
        nursery.start_soon(toy.talk, GET * 1000 + LAST)
        while toy.server.statistics.connection_count < 2:
            await trio.lowlevel.checkpoint()
        with trio.fail_after(5):
            await other.request("GET", "/x")
        assert len(toy.log.requests()) < 1000
    assert len(toy.log.requests()) == 1002


REQUESTS = (
    b"POST /1?q HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"
    b"POST /2 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5;ext=1\r\nhello\r\nA\r\n0123456789\r\n0\r\nX-T: 1\r\n\r\n"
    b"\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n"
    b"POST /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: close\r\n\r\nend"
)


async def bodies(toy: Toy, *pieces: bytes) -> list[bytes]:
    async with await toy.connect() as stream:
        for piece in pieces:
            await stream.send_all(piece)
            await trio.lowlevel.checkpoint()
        conn = h11.Connection(h11.CLIENT)
        found: list[bytes] = []
        while len(found) < 4:
            conn.send(h11.Request(method="POST", target="/", headers=[("Host", "a")]))
            conn.send(h11.EndOfMessage())
            found.append(b"")
            while type(event := conn.next_event()) is not h11.EndOfMessage:
                if event is h11.NEED_DATA:
                    conn.receive_data(bytes(await stream.receive_some()))
                elif isinstance(event, h11.Data):
                    found[-1] += event.data
            if conn.their_state is h11.DONE:
                conn.start_next_cycle()
        assert await stream.receive_some() == b""
        return found


EXPECTED = [b"POST /1?q hello", b"POST /2? hello0123456789", b"GET /3? ", b"POST /4? end"]


@given(cuts=st.sets(st.integers(1, len(REQUESTS) - 1), max_size=12))
@hypothesis_settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_requests_split_anywhere(cuts: set[int]) -> None:
    async def run() -> None:
        async with serving(echo) as toy:
            at = [0, *sorted(cuts), len(REQUESTS)]
            pieces = [REQUESTS[a:b] for a, b in pairwise(at)]
            assert await bodies(toy, *pieces) == EXPECTED

    trio.run(run)


async def test_requests_byte_by_byte() -> None:
    async with serving(echo) as toy:
        assert await bodies(toy, *(REQUESTS[n : n + 1] for n in range(len(REQUESTS)))) == EXPECTED


async def test_http10_is_answered_and_closed() -> None:
    async with serving(echo) as toy:
        data = await toy.talk(b"GET /a HTTP/1.0\r\n\r\n")
        assert data.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"Connection: close\r\n" in data
        assert data.endswith(b"GET /a? ")


async def test_expect_100_is_sent_when_the_body_is_read() -> None:
    read = trio.Event()

    async def late(request: Request) -> Response:
        if request.path == "/early":
            return Response(status=403, body=b"no")
        await read.wait()
        return Response(body=await request.body.read(10))

    head = b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    async with serving(late) as toy:
        async with await toy.connect() as stream:
            await stream.send_all(head % b"late")
            with trio.move_on_after(0.05) as scope:
                await stream.receive_some()
            assert scope.cancelled_caught
            read.set()
            assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
            await stream.send_all(b"abc")
            assert bytes(await stream.receive_some()).endswith(b"\r\n\r\nabc")
        # refused without reading: no 100, and the connection cannot be used further
        data = await toy.talk(head % b"early")
        assert data.startswith(b"HTTP/1.1 403")
        assert b"Connection: close" in data


async def test_expect_with_the_body_already_there_needs_no_100() -> None:
    async with serving(echo) as toy:
        head = (
            b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\nConnection: close\r\n\r\nabc"
        )
        data = await toy.talk(head)
        assert data.startswith(b"HTTP/1.1 200")


async def test_unread_small_body_is_read_past_and_a_large_one_ends_the_connection() -> None:
    async with serving(deaf, drain_limit_bytes=1000, linger_timeout_s=0.2) as toy:
        async with toy.client() as client:
            for size in (1000, 999, 1):
                reply = await client.request("POST", "/", body=b"x" * size)
                assert reply.body == b"deaf"
                assert "connection" not in reply.headers
            reply = await client.request("POST", "/", body=b"x" * 1001)
            assert reply.headers["connection"] == "close"
            assert await client.stream.receive_some() == b""
        large = await toy.talk(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n", b"x" * 3_000_000)
        assert large.endswith(b"deaf")


@pytest.mark.parametrize("chunk", [999, 1001])
async def test_unread_chunked_body(chunk: int) -> None:
    async with serving(deaf, drain_limit_bytes=1000, linger_timeout_s=0.2) as toy:
        head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        body = b"%x\r\n" % chunk + b"x" * chunk + b"\r\n0\r\n\r\n"
        data = await toy.talk(head + body + LAST)
        assert data.count(b"deaf") == (2 if chunk < 1000 else 1)


async def test_the_answer_to_a_refused_large_body_reaches_a_client_that_still_sends() -> None:
    async def limited(request: Request) -> Response:
        return Response(body=await request.body.read(10))

    async with serving(limited) as toy:
        for framing in (b"Content-Length: 4000000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n3D0900\r\n"):
            data = await toy.talk(b"POST /x HTTP/1.1\r\nHost: a\r\n" + framing, b"x" * 4_000_000)
            assert data.startswith(b"HTTP/1.1 413 ")
            assert b"Connection: close" in data
            assert data.endswith(b"/x: The body is over the limit of 10 bytes.\n")


async def test_a_bug_is_500_with_a_traceback_in_the_log_only() -> None:
    async def bug(request: Request) -> Response:
        if request.path == "/head":
            return Response(headers=(("X-Split", "a\r\nb"),))
        if request.path == "/letters":
            return Response(headers=(("X-Letters", "\N{SNOWMAN}"),))
        raise RuntimeError("canary")

    async with serving(bug) as toy, toy.client() as client:
        for path in ("/", "/other"):
            reply = await client.request("GET", path)
            assert reply.status == 500
            assert reply.body == f"{path}: Internal server error.\n".encode()
        assert len(toy.log.bugs()) == 2
        assert "canary" in str(toy.log.bugs()[0].exc_info)
    for raw in (b"/head", b"/letters"):
        async with serving(bug) as toy:
            data = await toy.talk(GET.replace(b"/a", raw))
            assert data.startswith(b"HTTP/1.1 500")
            assert len(toy.log.bugs()) == 1


async def test_words_that_fail_are_replaced() -> None:
    def broken(error: Exception, path: str) -> Response:
        raise KeyError(path)

    async def bug(request: Request) -> Response:
        raise RuntimeError

    async with serving(bug, words=broken) as toy, toy.client() as client:
        reply = await client.request("GET", "/")
        assert (reply.status, reply.body) == (500, b"Internal server error.\n")


async def test_a_refusal_within_a_nursery_of_the_handler_is_told_as_itself() -> None:
    async def grouped(request: Request) -> Response:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(request.body.read, 3)
        return Response()

    async with serving(grouped) as toy, toy.client() as client:
        assert (await client.request("POST", "/", body=b"four")).status == 413


async def test_response_close_is_called_once() -> None:
    closed: list[int] = []

    async def closing(request: Request) -> Response:
        return Response(body=b"x", close=lambda: closed.append(1))

    async with serving(closing) as toy, toy.client() as client:
        await client.request("GET", "/")
        await client.request("HEAD", "/")
        assert closed == [1, 1]


async def test_client_ends_within_a_body() -> None:
    async with serving(echo) as toy:
        data = await toy.talk(b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc", end=True)
        assert data.startswith(b"HTTP/1.1 400 ")
        data = await toy.talk(b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", end=True)
        assert data.startswith(b"HTTP/1.1 400 ")
        assert not toy.log.bugs()


async def test_client_ends_within_a_head_or_before() -> None:
    async with serving(echo) as toy:
        assert await toy.talk(b"GET / HT", end=True) == b""
        assert await toy.talk(b"", end=True) == b""
        assert toy.log.requests() == []


async def test_garbage_is_refused_and_never_a_bug() -> None:
    rng = random.Random(7)
    async with serving(echo, linger_timeout_s=0.05) as toy:
        for _ in range(100):
            noise = bytearray(REQUESTS)
            for _ in range(rng.randrange(1, 6)):
                noise[rng.randrange(len(noise))] = rng.randrange(256)
            await toy.talk(bytes(noise), end=True)
        assert not toy.log.bugs()


REFUSED = [
    (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t2\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\rX: 1\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400),
    (b"GET / HTTP/1.1\r\n\r\n", 400),
    (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /\r\n\r\n", 400),
    (b"\x16\x03\x01\x02\x00\x01\x00", 400),
    (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x3\r\n\r\nabc", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999999\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 501),
    (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 501),
    (b"POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", 415),
    (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Encoding: identity, br\r\nContent-Length: 3\r\n\r\nabc", 415),
    (b"POST / HTTP/1.1\r\nHost: a\r\nExpect: magic\r\nContent-Length: 3\r\n\r\nabc", 417),
    (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
    (b"GET / HTTP/1.9\r\nHost: a\r\n\r\n", 505),
    (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    (b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"GET /x#y HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    (b"HEAD / HTTP/1.1\r\nHost: a\r\nContent-Encoding: gzip\r\n\r\n", 415),
]


@pytest.mark.parametrize(("raw", "status"), REFUSED)
async def test_refused_heads_close_the_connection(raw: bytes, status: int) -> None:
    reached: list[str] = []

    async def canary(request: Request) -> Response:
        reached.append(request.path)
        return Response()

    async with serving(canary, linger_timeout_s=0.05) as toy:
        data = await toy.talk(raw + GET)
        assert data.startswith(b"HTTP/1.1 %d " % status), data
        assert data.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close\r\n" in data
        assert reached == []
        assert not toy.log.bugs()


BAD_CHUNKS = [
    b"3\nabc\r\n0\r\n\r\n",
    b"3\r\nabc\n0\r\n\r\n",
    b"3\r\nabcd\r\n0\r\n\r\n",
    b"0x3\r\nabc\r\n0\r\n\r\n",
    b"+3\r\nabc\r\n0\r\n\r\n",
    b"\r\nabc\r\n0\r\n\r\n",
    b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    b"3;\x00\r\nabc\r\n0\r\n\r\n",
    b"3;" + b"x" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    b"11111111111111111\r\n",
    b"3\r\nabc\r\n0\r\n\n",
    b"3\r\nabc\r\n0\r\nX: 1\n\r\n",
    b"3\r\nabc\r\n0\r\nX: 1\r\n folded\r\n\r\n",
    b"3\r\nabc\r\n0\r\nnot a field\r\n\r\n",
    b"3\r\nabc\r\n0\r\n" + b"X: 1\r\n" * 1000 + b"\r\n",
]


@pytest.mark.parametrize("body", BAD_CHUNKS)
@pytest.mark.parametrize("split", [False, True])
async def test_broken_chunks_are_400(body: bytes, split: bool) -> None:
    async with serving(echo, linger_timeout_s=0.05) as toy:
        head = b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        raw = head + body + GET
        pieces = [raw[n : n + 7] for n in range(0, len(raw), 7)] if split else [raw]
        data = await toy.talk(*pieces)
        assert data.startswith(b"HTTP/1.1 400 ")
        assert data.count(b"HTTP/1.1") == 1


async def test_absolute_form_and_asterisk() -> None:
    seen: list[Request] = []

    async def keep(request: Request) -> Response:
        seen.append(request)
        return Response()

    async with serving(keep) as toy, toy.client() as client:
        await client.request("GET", "http://Other:80/p?q")
        await client.request("GET", "http://other?q")
        await client.request("OPTIONS", "*")
    assert [(r.authority, r.path, r.query) for r in seen] == [
        ("Other:80", "/p", "q"),
        ("other", "/", "q"),
        ("", "*", ""),
    ]
