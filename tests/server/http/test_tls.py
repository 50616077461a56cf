"""TLS against clients that are not ours: Python's, curl and openssl, and one that says what it likes."""

from __future__ import annotations

import hashlib
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from jobdeck_server.http.certificates import Certificates
from jobdeck_server.http.message import FileSlice, Handler, Request, Response
from tests.pki import Pki, certificates
from tests.server.http.toy import Toy, serving

GET = b"GET /x HTTP/1.1\r\nHost: localhost\r\n\r\n"
LAST = b"GET /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
DATA = os.urandom(3_000_000)
LIMIT_S = 20.0


@pytest.fixture(scope="module")
def pki() -> Iterator[Pki]:
    with tempfile.TemporaryDirectory() as folder:
        yield Pki(Path(folder))


@pytest.fixture(scope="module")
def own(pki: Pki) -> Certificates:
    return certificates(pki.issue("own"))


async def echo(request: Request) -> Response:
    """The body's length and hash, or a body of ours."""
    found = hashlib.sha256()
    count = 0
    async for piece in request.body:
        found.update(piece)
        count += len(piece)
    return Response(body=b"%d %s" % (count, found.hexdigest().encode()))


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


def talk(port: int, context: ssl.SSLContext, data: bytes, *, host: str = "localhost") -> bytes:
    """Send, then read to the end, which must be said (``close_notify``). Blocks."""
    with (
        socket.create_connection(("127.0.0.1", port), LIMIT_S) as sock,
        context.wrap_socket(sock, server_hostname=host, suppress_ragged_eofs=False) as stream,
    ):
        stream.sendall(data)
        pieces = []
        while piece := stream.recv(1 << 20):
            pieces.append(piece)
        return b"".join(pieces)


async def in_thread(*args: Any, **given: Any) -> bytes:
    return await trio.to_thread.run_sync(lambda: talk(*args, **given))


class Raw:
    """A client whose every byte on the wire is in the test's hand."""

    def __init__(self, stream: trio.SocketStream, context: ssl.SSLContext) -> None:
        self.stream = stream
        self.come, self.go = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.come, self.go, server_hostname="localhost")

    async def shake(self) -> None:
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.stream.send_all(self.go.read())
                self.come.write(await self.stream.receive_some())
            else:
                break
        await self.stream.send_all(self.go.read())

    def sealed(self, data: bytes) -> bytes:
        """Data as it goes over the wire."""
        self.tls.write(data)
        return self.go.read()

    def farewell(self) -> bytes:
        """``close_notify`` as it goes over the wire."""
        with suppress(ssl.SSLError):  # the other end has not said it yet, and may have said more
            self.tls.unwrap()
        return self.go.read()

    async def read_all(self) -> bytes:
        """What comes until the server's end; that this was said is not asked for."""
        data = b""
        while True:
            try:
                piece = self.tls.read(1 << 16)
            except ssl.SSLWantReadError:
                self.come.write(more) if (more := await self.stream.receive_some()) else self.come.write_eof()
                continue
            except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
                return data
            if not piece:
                return data
            data += piece


@asynccontextmanager
async def raw(toy: Toy, pki: Pki) -> AsyncIterator[Raw]:
    with trio.fail_after(LIMIT_S):
        async with await toy.connect() as stream:
            client = Raw(stream, pki.client())
            await client.shake()
            yield client


def sending(fd: int, offset: int, length: int, *, chunked: bool) -> Handler:
    async def pieces() -> AsyncIterator[bytes | FileSlice]:
        yield FileSlice(fd, offset, length)
        yield b"."

    async def answer(request: Request) -> Response:
        return Response(body=pieces() if chunked else FileSlice(fd, offset, length))

    return answer


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_large_bodies_both_ways(pki: Pki, own: Certificates, version: ssl.TLSVersion) -> None:
    context = pki.client()
    context.minimum_version = context.maximum_version = version
    head = b"PUT /x HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(DATA)
    with file_of(DATA) as fd:
        async with serving(sending(fd, 0, len(DATA), chunked=False), certificates=own) as toy:
            answer = await in_thread(toy.port, context, LAST)
            assert answer.partition(b"\r\n\r\n")[2] == DATA
    async with serving(echo, certificates=own) as toy:
        answer = await in_thread(toy.port, context, head + DATA)
        assert answer.endswith(b"%d %s" % (len(DATA), hashlib.sha256(DATA).hexdigest().encode()))


async def test_older_versions_are_refused(pki: Pki, own: Certificates) -> None:
    context = pki.client()
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.minimum_version = ssl.TLSVersion.TLSv1
    with pytest.warns(DeprecationWarning, match="deprecated"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    async with serving(echo, certificates=own) as toy:
        with pytest.raises(ssl.SSLError):
            await in_thread(toy.port, context, LAST)
        assert not toy.log.bugs()


@pytest.mark.parametrize("length", [1, 16 * 1024, 16 * 1024 + 1, 64 * 1024, 64 * 1024 + 1, 1024 * 1024 + 5])
async def test_slices_are_exact(pki: Pki, own: Certificates, length: int) -> None:
    with file_of(DATA) as fd:
        for chunked in (False, True):
            async with serving(sending(fd, 7, length, chunked=chunked), certificates=own) as toy:
                answer = (await in_thread(toy.port, pki.client(), LAST)).partition(b"\r\n\r\n")[2]
                wanted = DATA[7 : 7 + length]
                assert answer == (b"%x\r\n%b\r\n1\r\n.\r\n0\r\n\r\n" % (length, wanted) if chunked else wanted)


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
async def test_curl(pki: Pki, own: Certificates) -> None:
    async with serving(echo, certificates=own) as toy:
        command = ["curl", "-sS", "--fail", "--noproxy", "*", "--cacert", str(pki.ca_file), "--data-binary", "@-"]
        url = f"https://localhost:{toy.port}/x"
        done = await trio.run_process([*command, url, url], stdin=DATA, capture_stdout=True)
        assert done.stdout.startswith(b"%d %s" % (len(DATA), hashlib.sha256(DATA).hexdigest().encode()))


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not there")
async def test_key_updates_in_both_directions(pki: Pki, own: Certificates) -> None:
    async def large(request: Request) -> Response:
        return Response(body=b"answer" * 100_000)

    async with serving(large, certificates=own) as toy, trio.open_nursery() as nursery:
        command = ["openssl", "s_client", "-connect", f"127.0.0.1:{toy.port}", "-CAfile", str(pki.ca_file)]
        process = await nursery.start(
            partial(
                trio.run_process,
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                check=False,
            )
        )
        with trio.fail_after(LIMIT_S):
            await _until(process, b"Verify return code: 0 (ok)")
            for request in (GET, LAST):
                await process.stdin.send_all(b"K\n")  # a new key, and may the other end take one too
                await _until(process, b"KEYUPDATE")
                await process.stdin.send_all(request)
                assert (await _until(process, b"answer" * 100_000)).count(b"HTTP/1.1 200 OK") == 1
        await process.stdin.aclose()


async def _until(process: trio.Process, wanted: bytes) -> bytes:
    said = bytearray()
    assert process.stdout is not None
    while wanted not in said:
        piece = await process.stdout.receive_some()
        assert piece, said[-1000:]
        said += piece
    return bytes(said)


async def test_sessions_are_taken_up_again(pki: Pki, own: Certificates) -> None:
    context = pki.client()

    def twice(port: int) -> list[bool]:
        session: ssl.SSLSession | None = None
        reused = []
        for _ in range(2):
            with (
                socket.create_connection(("127.0.0.1", port), LIMIT_S) as sock,
                context.wrap_socket(sock, server_hostname="localhost", session=session) as stream,
            ):
                stream.sendall(LAST)
                while stream.recv(1000):
                    pass
                session = stream.session
                reused.append(bool(stream.session_reused))
        return reused

    async with serving(echo, certificates=own) as toy:
        assert await trio.to_thread.run_sync(twice, toy.port) == [False, True]


# ends


@pytest.mark.parametrize("said", [False, True])
async def test_a_client_that_ends_its_side_is_answered(pki: Pki, own: Certificates, said: bool) -> None:
    async with serving(echo, certificates=own) as toy, raw(toy, pki) as client:
        data = client.sealed(GET) + (client.farewell() if said else b"")
        await client.stream.send_all(data)
        if said:
            assert b"200 OK" in await client.read_all()
            return  # the server has ended too, and closed
        await client.stream.send_eof()
        assert b"200 OK" in await client.read_all()


async def test_what_came_before_a_cut_within_a_record_is_not_lost(pki: Pki, own: Certificates) -> None:
    got = bytearray()

    async def keep(request: Request) -> Response:
        async for piece in request.body:
            got.extend(piece)
        return Response(body=b"whole")

    async with serving(keep, certificates=own) as toy, raw(toy, pki) as client:
        head = b"PUT /x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 300000\r\n\r\n"
        first, second = client.sealed(head + DATA[:100_000]), client.sealed(DATA[100_000:150_000])
        await client.stream.send_all(first + second[:-20_000])
        await client.stream.send_eof()
        answer = await client.read_all()
        assert b" 400 " in answer.partition(b"\r\n")[0]
        assert b"ended early" in answer
        assert got.startswith(DATA[:100_000])
        assert DATA.startswith(got)


@pytest.mark.parametrize("at", [0, 5, -1])
async def test_mutated_records_end_the_connection_and_no_more(pki: Pki, own: Certificates, at: int) -> None:
    async with serving(echo, certificates=own) as toy, raw(toy, pki) as client:
        await client.stream.send_all(client.sealed(GET))
        data = bytearray(client.sealed(GET))
        data[at] ^= 0x55
        with suppress(trio.BrokenResourceError):
            await client.stream.send_all(data)
            with suppress(ssl.SSLError):  # the alert that says so
                assert (await client.read_all()).count(b"200 OK") <= 1
        await toy.open_connections(0)
        assert not toy.log.bugs()


@pytest.mark.parametrize("way", ["said", "fin", "reset"])
async def test_a_client_that_goes_ends_what_follows(pki: Pki, own: Certificates, way: str) -> None:
    left = trio.Event()

    async def pieces() -> AsyncIterator[bytes]:
        yield b"first"
        try:
            await trio.sleep_forever()
        finally:
            left.set()

    async def follow(request: Request) -> Response:
        return Response(body=pieces(), follow=True)

    async with serving(follow, certificates=own) as toy, raw(toy, pki) as client:
        # a request that waits in the pipeline is no end
        await client.stream.send_all(client.sealed(GET) + client.sealed(GET))
        client.come.write(await client.stream.receive_some())
        if way == "said":
            await client.stream.send_all(client.farewell())
            await client.stream.send_eof()
        elif way == "fin":
            await client.stream.send_eof()
        else:
            client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            await client.stream.aclose()
        await left.wait()
        await toy.open_connections(0)
        assert toy.log.requests()[0]["ended"] == "client gone"


async def test_an_answer_that_is_cut_has_no_end_of_tls(pki: Pki, own: Certificates) -> None:
    """HTTP/1.0 has no other way to tell: only the end that is said is a whole answer."""

    def answering(*, whole: bool) -> Handler:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"x" * 1000
            if not whole:
                raise ValueError("the source fails")

        async def answer(request: Request) -> Response:
            return Response(body=pieces())

        return answer

    old = b"GET /x HTTP/1.0\r\n\r\n"
    async with serving(answering(whole=True), certificates=own) as toy:
        assert (await in_thread(toy.port, pki.client(), old)).endswith(b"x" * 1000)
    async with serving(answering(whole=False), certificates=own) as toy:
        with pytest.raises(OSError, match=r"reset|EOF"):
            await in_thread(toy.port, pki.client(), old)


async def test_a_client_that_takes_nothing_is_cut_and_others_are_served(pki: Pki, own: Certificates) -> None:
    async def large(request: Request) -> Response:
        return Response(body=b"x" * (30_000_000 if request.path == "/x" else 10))

    async with serving(large, certificates=own, send_timeout_s=0.3) as toy, raw(toy, pki) as client:
        await client.stream.send_all(client.sealed(GET))
        small = LAST.replace(b"/x", b"/small")
        assert (await in_thread(toy.port, pki.client(), small)).endswith(b"x" * 10)
        await toy.open_connections(0)
        assert sorted(each.get("ended", "") for each in toy.log.requests()) == ["", "client stalled"]


async def test_a_slow_client_gets_all(pki: Pki, own: Certificates) -> None:
    with file_of(DATA) as fd:
        async with (
            serving(sending(fd, 0, len(DATA), chunked=False), certificates=own) as toy,
            raw(toy, pki) as client,
        ):
            client.stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
            data = client.sealed(LAST)
            for at in range(len(data)):
                await client.stream.send_all(data[at : at + 1])
            assert (await client.read_all()).partition(b"\r\n\r\n")[2] == DATA


# what is no TLS, and handshakes that do not come to an end


@pytest.mark.parametrize("sent", [LAST, b"\x00\x01\x02", b"SSH-2.0-x\r\n"])
async def test_plain_clients_are_told(own: Certificates, sent: bytes) -> None:
    async with serving(echo, certificates=own) as toy:
        answer = await toy.talk(sent, end=True)
        assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
        assert answer.endswith(b"\r\n\r\nThis port speaks TLS: use https://\n")
        assert [record.getMessage() for record in toy.log.records] == ["no TLS"]


@pytest.mark.parametrize("sent", [b"\x16", b"\x16\x03\x01\x02\x00" + b"\xff" * 512, b""])
async def test_broken_handshakes_are_one_line_of_the_log(own: Certificates, sent: bytes) -> None:
    async with serving(echo, certificates=own) as toy:
        await toy.talk(sent, end=True)
        await toy.open_connections(0)
        assert [record.levelname for record in toy.log.records] == ["INFO"]
        assert not toy.log.bugs()


async def test_stalled_handshakes_stop_nobody(pki: Pki, own: Certificates) -> None:
    async with serving(echo, certificates=own, head_timeout_s=60.0, linger_timeout_s=0.1) as toy:
        streams = [await toy.connect() for _ in range(200)]
        for stream in streams[::2]:
            await stream.send_all(b"\x16\x03\x01\x02\x00\x01")
        await toy.open_connections(200)
        with trio.fail_after(LIMIT_S):
            assert b"200 OK" in await in_thread(toy.port, pki.client(), LAST)
        for stream in streams:
            await stream.aclose()
        await toy.open_connections(0)
        assert not toy.log.bugs()


@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01\x02\x00\x01"])
async def test_a_handshake_has_its_time(own: Certificates, sent: bytes) -> None:
    async with serving(echo, certificates=own, head_timeout_s=0.3, linger_timeout_s=0.1) as toy:
        assert await toy.talk(sent) == b""
        await toy.open_connections(0)
        assert [record.getMessage() for record in toy.log.records] == ["no TLS"]


async def test_the_end_of_the_server_does_not_wait_for_handshakes(own: Certificates) -> None:
    async with (
        serving(echo, certificates=own, head_timeout_s=60.0, linger_timeout_s=0.1) as toy,
        await toy.connect(),
    ):
        await toy.open_connections(1)
        toy.server.shutdown()
        await toy.open_connections(0)


async def test_too_many_connections_are_closed(pki: Pki, own: Certificates) -> None:
    async with serving(echo, certificates=own, connection_limit_count=1) as toy, raw(toy, pki) as client:
        assert await toy.talk() == b""
        await client.stream.send_all(client.sealed(LAST))
        assert b"200 OK" in await client.read_all()


# certificates


@pytest.mark.parametrize("required", [False, True])
async def test_client_certificates(pki: Pki, required: bool) -> None:
    stranger = Pki(Path(tempfile.mkdtemp(dir=pki.folder)))
    found = certificates(pki.issue("asking"), client_ca=pki.ca_file, require_client=required)
    async with serving(echo, certificates=found, linger_timeout_s=0.5) as toy:
        assert b"200 OK" in await in_thread(toy.port, pki.client(pki.issue("right")), LAST)
        if not required:
            assert b"200 OK" in await in_thread(toy.port, pki.client(), LAST)
        for cert, words in ((None, "REQUIRED"), (stranger.issue("wrong"), "UNKNOWN_CA")):
            if cert is not None or required:
                with pytest.raises(ssl.SSLError, match=words):
                    await in_thread(toy.port, pki.client(cert), LAST)
        await toy.open_connections(0)
        assert not toy.log.bugs()


async def test_a_renewed_certificate_is_shown_to_new_connections(pki: Pki) -> None:
    other = Pki(Path(tempfile.mkdtemp(dir=pki.folder)))
    cert = pki.issue("renewed")
    async with serving(echo, certificates=certificates(cert, check_s=0.0)) as toy, raw(toy, pki) as client:
        other.issue("renewed").replace(cert)
        assert b"200 OK" in await in_thread(toy.port, other.client(), LAST)
        with pytest.raises(ssl.SSLCertVerificationError):
            await in_thread(toy.port, pki.client(), LAST)
        await client.stream.send_all(client.sealed(LAST))  # the old connection goes on
        assert b"200 OK" in await client.read_all()
