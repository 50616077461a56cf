from __future__ import annotations

import errno
import os
import random
import socket
import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

import h11
import pytest
import trio

from jobdeck_server.http.message import FileSlice, Handler, Headers, Piece, Request, Response
from jobdeck_server.http.wire import COPY_LIMIT_BYTES
from tests.server.http.toy import read_all, serving

GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
GET10 = b"GET /x HTTP/1.0\r\n\r\n"
DATA = random.Random(1).randbytes(3 * 1024 * 1024 + 12345)


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


class Source:
    """Pieces as the test hands them out; tells what became of it."""

    def __init__(self, *pieces: Piece | Exception) -> None:
        self.send, self._receive = trio.open_memory_channel[Piece | Exception](100)
        for piece in pieces:
            self.send.send_nowait(piece)
        self.closed = trio.Event()
        self.asked = trio.Event()

    async def pieces(self) -> AsyncIterator[Piece]:
        try:
            self.asked.set()
            async for piece in self._receive:
                if isinstance(piece, Exception):
                    raise piece
                yield piece
        finally:
            self.closed.set()
            self.send.close()
            self._receive.close()


def answering(source: Source, *, follow: bool = False, trailers: Headers | None = None) -> Handler:
    async def app(request: Request) -> Response:
        if request.path == "/other":
            return Response(body=b"other")
        body = source.pieces()
        return Response(body=body, follow=follow, trailers=None if trailers is None else lambda: trailers)

    return app


async def test_head_and_pieces_are_flushed_as_they_come() -> None:
    source = Source()
    async with serving(answering(source)) as toy, await toy.connect() as stream:
        await stream.send_all(GET)
        head = bytes(await stream.receive_some())
        assert head.startswith(b"HTTP/1.1 200 OK\r\n")
        assert head.endswith(b"\r\n\r\n")
        assert b"Transfer-Encoding: chunked\r\n" in head
        for piece in (b"a", b"line\n", b"z" * 1000):
            await source.send.send(piece)
            expected = b"%x\r\n%b\r\n" % (len(piece), piece)
            got = b""
            while len(got) < len(expected):
                got += await stream.receive_some()
            assert got == expected
        await source.send.send(b"")  # an empty piece is no last chunk
        source.send.close()
        assert await stream.receive_some() == b"0\r\n\r\n"
        await source.closed.wait()


@pytest.mark.parametrize("length", [1, COPY_LIMIT_BYTES, COPY_LIMIT_BYTES + 1, 1024 * 1024, len(DATA) - 7])
@pytest.mark.parametrize("mode", ["length", "chunked", "http10"])
async def test_sendfile_is_exact(length: int, mode: str) -> None:
    with file_of(DATA) as fd:
        piece = FileSlice(fd, 7, length)

        async def app(request: Request) -> Response:
            if mode == "length":
                return Response(body=piece)
            return Response(body=Source(piece, b"|", piece).pieces())

        async with serving(app) as toy, await toy.connect() as stream:
            await stream.send_all(GET10 if mode == "http10" else GET)
            expected = DATA[7 : 7 + length] if mode == "length" else DATA[7 : 7 + length] + b"|" + DATA[7 : 7 + length]
            conn = h11.Connection(h11.CLIENT)
            conn.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
            conn.send(h11.EndOfMessage())
            got = bytearray()
            while len(got) < len(expected):
                event = conn.next_event()
                if event is h11.NEED_DATA:
                    conn.receive_data(bytes(await stream.receive_some(1 << 20)))
                elif isinstance(event, h11.Data):
                    got += event.data
            assert bytes(got) == expected


async def test_parts_of_a_known_length() -> None:
    """What is around a file is told in its length, too; the connection goes on behind it."""
    with file_of(DATA) as fd:
        bodies: dict[str, tuple[Piece, ...]] = {
            "/around": (b"{", FileSlice(fd, 7, len(DATA) - 7), b"}"),
            "/twice": (FileSlice(fd, 0, 3), b"", FileSlice(fd, 1, 0), FileSlice(fd, 2, 5)),
            "/text": (b"a", b"b"),
            "/nothing": (),
        }
        expected = (b"{" + DATA[7:] + b"}", DATA[:3] + DATA[2:7], b"ab", b"")

        async def app(request: Request) -> Response:
            return Response(body=bodies[request.path])

        async with serving(app) as toy, toy.client() as client:
            for path, body in zip(bodies, expected, strict=True):
                reply = await client.request("GET", path)
                assert (reply.body, reply.ended, reply.headers["content-length"]) == (body, True, str(len(body)))
                head = await client.request("HEAD", path)
                assert (head.body, head.headers["content-length"]) == (b"", str(len(body)))


async def test_empty_slices() -> None:
    with file_of(b"") as fd:

        async def app(request: Request) -> Response:
            async def none() -> AsyncIterator[Piece]:
                yield FileSlice(fd, 0, 0)

            return Response(body=FileSlice(fd, 0, 0) if request.path == "/length" else none())

        async with serving(app) as toy, toy.client() as client:
            for path in ("/length", "/chunked"):
                reply = await client.request("GET", path)
                assert (reply.body, reply.ended) == (b"", True)


@pytest.mark.parametrize("extra", [0, 1])
async def test_where_sendfile_cannot_bytes_are_copied(monkeypatch: pytest.MonkeyPatch, extra: int) -> None:
    def cannot(*args: object) -> int:
        raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "sendfile", cannot)
    with file_of(DATA) as fd:

        async def app(request: Request) -> Response:
            return Response(body=FileSlice(fd, 0, len(DATA) + extra))

        async with serving(app, linger_timeout_s=0.1) as toy, await toy.connect() as stream:
            await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
            body = (await read_all(stream)).partition(b"\r\n\r\n")[2]
            assert body == DATA if not extra else DATA.startswith(body)
            await toy.open_connections(0)
            assert toy.log.requests()[0].get("ended") == ("a file is shorter than promised" if extra else None)


async def test_a_fast_sender_does_not_starve_others() -> None:
    async def app(request: Request) -> Response:
        count = 0
        async for piece in request.body:
            count += len(piece)
        return Response(body=b"%d" % count)

    async with serving(app) as toy, toy.client() as quick, await toy.connect() as fast:

        async def flood() -> None:
            await fast.send_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000000\r\n\r\n")
            with suppress(trio.ClosedResourceError):  # at the end of the test either comes first
                while True:
                    await fast.send_all(bytes(1 << 20))

        toy.nursery.start_soon(flood)
        for _ in range(20):
            with trio.fail_after(2):
                assert (await quick.request("GET", "/")).body == b"0"
        toy.nursery.cancel_scope.cancel()


async def test_trailers_are_not_for_http10() -> None:
    source = Source(b"data")
    source.send.close()
    async with serving(answering(source, trailers=(("X", "1"),))) as toy:
        data = await toy.talk(b"GET / HTTP/1.0\r\nTE: trailers\r\n\r\n")
        assert data.endswith(b"\r\n\r\ndata")
        assert not toy.log.bugs()


async def test_head_of_a_stream_closes_it_unread() -> None:
    source = Source(b"never")
    async with serving(answering(source, follow=True)) as toy, toy.client() as client:
        reply = await client.request("HEAD", "/x")
        assert reply.headers["transfer-encoding"] == "chunked"
        assert not source.asked.is_set()
        assert (await client.request("GET", "/other")).body == b"other"


async def test_trailers_only_for_who_asked() -> None:
    for te, expected in (((), {}), ((("TE", "trailers"),), {"jobdeck-exit-code": "3"}), ((("TE", "x"),), {})):
        source = Source(b"data")
        source.send.close()
        app = answering(source, trailers=(("Jobdeck-Exit-Code", "3"),))
        async with serving(app) as toy, toy.client() as client:
            headers = [*te, ("Connection", "TE")] if te else []
            reply = await client.request("GET", "/x", headers)
            assert reply.trailers == expected
            assert reply.ended


async def test_http10_stream_ends_by_close() -> None:
    source = Source(b"one", b"two")
    source.send.close()
    async with serving(answering(source)) as toy:
        data = await toy.talk(GET10)
        assert data.endswith(b"\r\n\r\nonetwo")
        assert b"chunked" not in data


async def cut_answer(app: Handler, request: bytes) -> bytes:
    async with serving(app, linger_timeout_s=0.1) as toy:
        data = await toy.talk(request)
        assert len(toy.log.requests()) == 1
        assert toy.log.requests()[0]["ended"]
        return data


@pytest.mark.parametrize("follow", [False, True])
async def test_a_source_that_fails_ends_without_the_last_chunk(follow: bool) -> None:
    source = Source(b"part", RuntimeError("canary"))
    data = await cut_answer(answering(source, follow=follow), GET)
    assert data.endswith(b"4\r\npart\r\n")
    assert source.closed.is_set()
    source = Source(b"part", RuntimeError("canary"))
    data = await cut_answer(answering(source, follow=follow), GET10)
    assert data.endswith(b"<reset>")


@pytest.mark.parametrize("length", [100, 100_000])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_short_file_ends_the_connection(length: int, chunked: bool) -> None:
    with file_of(b"x" * (length - 1)) as fd:
        piece = FileSlice(fd, 0, length)

        async def app(request: Request) -> Response:
            return Response(body=Source(piece).pieces() if chunked else piece)

        data = await cut_answer(app, GET)
        assert data == b"" or data.startswith(b"HTTP/1.1 200")
        assert not data.endswith(b"0\r\n\r\n")
        assert data.partition(b"\r\n\r\n")[2].count(b"x") < length
        assert (await cut_answer(app, GET10)).endswith(b"<reset>")


@pytest.mark.parametrize("way", ["fin", "rst", "pipelined", "close"])
async def test_client_gone_ends_a_follower_at_once(way: str) -> None:
    source = Source(b"first")
    async with serving(answering(source, follow=True)) as toy:
        stream = await toy.connect()
        await stream.send_all(GET + (GET * 100 if way == "pipelined" else b""))
        await source.asked.wait()
        assert b"HTTP/1.1 200" in bytes(await stream.receive_some())
        if way == "fin" or way == "pipelined":
            if way == "pipelined":
                await stream.send_all(GET * 10)
                await trio.sleep(0.05)
                assert not source.closed.is_set()
            await stream.send_eof()
        elif way == "rst":
            stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            stream.socket.close()
        else:
            await stream.aclose()
        with trio.fail_after(2):
            await source.closed.wait()
        await toy.open_connections(0)
        assert toy.log.requests()[0]["ended"] == "client gone"
        await stream.aclose()
        assert not toy.log.bugs()


async def test_a_follower_may_stay_unread_for_longer_than_the_send_limit() -> None:
    source = Source(*[b"x" * 1_000_000] * 20)
    app = answering(source, follow=True)
    async with serving(app, send_timeout_s=0.1, user_timeout_s=0.1) as toy, await toy.connect() as stream:
        await stream.send_all(GET)
        await source.asked.wait()
        await trio.sleep(1.0)
        source.send.close()
        data = await _read_until_last_chunk(stream)
        assert data.count(b"x") == 20_000_000


async def _read_until_last_chunk(stream: trio.SocketStream) -> bytes:
    data = bytearray()
    while not data.endswith(b"0\r\n\r\n"):
        piece = await stream.receive_some(1 << 20)
        assert piece, "cut"
        data += piece
    return bytes(data)


async def test_after_a_follower_the_connection_goes_on() -> None:
    source = Source(b"x")
    source.send.close()
    async with serving(answering(source, follow=True)) as toy, toy.client() as client:
        assert (await client.request("GET", "/x")).body == b"x"
        assert (await client.request("GET", "/other")).body == b"other"


async def test_a_fast_reader_does_not_starve_others() -> None:
    async def endless() -> AsyncIterator[Piece]:
        while True:
            yield FileSlice(fd, 0, len(DATA))

    async def app(request: Request) -> Response:
        return Response(body=b"quick") if request.path == "/quick" else Response(body=endless())

    with file_of(DATA) as fd:
        async with (
            serving(app) as toy,
            toy.client() as quick,
            await toy.connect() as fast,
            trio.open_nursery() as nursery,
        ):

            async def drain() -> None:
                await fast.send_all(GET)
                while await fast.receive_some(1 << 20):
                    pass

            nursery.start_soon(drain)
            for _ in range(20):
                with trio.fail_after(2):
                    assert (await quick.request("GET", "/quick")).body == b"quick"
            toy.nursery.cancel_scope.cancel()


async def test_slow_cleanup_of_a_source_is_waited_for_within_limits() -> None:
    cleaned = trio.Event()

    async def pieces() -> AsyncIterator[Piece]:
        try:
            yield b"x"
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(0.05)
            cleaned.set()

    async def app(request: Request) -> Response:
        return Response(body=pieces(), follow=True)

    async with serving(app) as toy:
        async with await toy.connect() as stream:
            await stream.send_all(GET)
            await stream.receive_some()
        await toy.open_connections(0)
        assert cleaned.is_set()


async def test_large_bytes_are_exact() -> None:
    async def app(request: Request) -> Response:
        return Response(body=DATA)

    async with serving(app) as toy, await toy.connect() as stream:
        await stream.send_all(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
        assert (await read_all(stream)).partition(b"\r\n\r\n")[2] == DATA
