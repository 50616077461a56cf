from __future__ import annotations

import math
import os
import random
import struct
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from trio_websocket import (
    CloseReason,
    ConnectionClosed,
    WebSocketConnection,
    open_websocket_url,
)

from jobdeck_server.http import upgrade as upgrade_module
from jobdeck_server.http.errors import HttpError
from jobdeck_server.http.frames import frame_head
from jobdeck_server.http.message import Answer, Handler, Request, Response, Upgrade
from jobdeck_server.http.upgrade import Socket, SocketClosed, offered, wants_upgrade
from jobdeck_server.http.wire import ShortFileError
from tests.server.http.toy import Toy, read_all, serving

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n" + KEY + b"\r\n"
)


def talking(
    run: Callable[[Socket], Awaitable[None]], *, limit: int = 1 << 20, subprotocol: str | None = None
) -> Handler:
    async def app(request: Request) -> Answer:
        if request.path == "/plain":
            return Response(body=b"plain")
        return Upgrade(subprotocol=subprotocol, run=run, message_limit_bytes=limit)

    return app


async def echo(socket: Socket) -> None:
    while True:
        await socket.send(await socket.receive())


@asynccontextmanager
async def opened(toy: Toy, **options: Any) -> AsyncIterator[WebSocketConnection]:
    async with open_websocket_url(f"ws://127.0.0.1:{toy.port}/ws", **options) as ws:
        yield ws
    await ws._stream.aclose()  # trio-websocket's client leaves its socket open when the server closes first


async def reason_of(ws: WebSocketConnection) -> CloseReason:
    async def drain() -> None:
        while True:
            await ws.get_message()

    with trio.fail_after(5), pytest.raises(ConnectionClosed) as caught:
        await drain()
    assert caught.value.reason is not None
    return caught.value.reason


def masked(opcode: int, payload: bytes, *, final: bool = True) -> bytes:
    head = frame_head(opcode, len(payload))
    mask = b"\x01\x02\x03\x04"
    body = bytes(byte ^ mask[n % 4] for n, byte in enumerate(payload))
    return bytes((head[0] if final else head[0] & 0x7F, head[1] | 0x80)) + head[2:] + mask + body


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 1 << 20])
async def test_echo_of_every_length_form(size: int) -> None:
    data = random.Random(size).randbytes(size)
    async with serving(talking(echo)) as toy, opened(toy, max_message_size=1 << 24) as ws:
        await ws.send_message(data)
        assert await ws.get_message() == data
        await ws.send_message("é" * 100)
        assert await ws.get_message() == "é" * 100


async def test_subprotocol_is_told_and_others_are_not() -> None:
    async def run(socket: Socket) -> None:
        await socket.send(str(socket.subprotocol))

    for chosen in ("jobdeck.attach.v1", None):
        app = talking(run, subprotocol=chosen)
        async with serving(app) as toy, opened(toy, subprotocols=["other", "jobdeck.attach.v1"]) as ws:
            assert ws.subprotocol == chosen
            assert await ws.get_message() == str(chosen)
            assert (await reason_of(ws)).code == 1000


async def test_no_compression_is_agreed_on() -> None:
    async with serving(talking(echo)) as toy, await toy.connect() as stream:
        await stream.send_all(HANDSHAKE[:-2] + b"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n")
        head = bytes(await stream.receive_some())
        assert head.startswith(b"HTTP/1.1 101 ")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head
        assert b"extensions" not in head.lower()


async def test_frames_that_came_with_the_handshake_and_byte_by_byte() -> None:
    async def twice(socket: Socket) -> None:
        for _ in range(2):
            await socket.send(await socket.receive())

    raw = HANDSHAKE + masked(1, b"one") + masked(2, b"two")
    for step in (len(raw), 1, 50):
        async with serving(talking(twice), ws_close_timeout_s=0.05) as toy:
            data = await toy.talk(*(raw[n : n + step] for n in range(0, len(raw), step)))
            frames = data.partition(b"\r\n\r\n")[2]
            assert frames == frame_head(1, 3) + b"one" + frame_head(2, 3) + b"two" + frame_head(8, 2) + b"\x03\xe8"


BROKEN = [
    (HANDSHAKE.replace(b"GET", b"POST"), 400),
    (HANDSHAKE.replace(b"HTTP/1.1", b"HTTP/1.0"), 400),
    (HANDSHAKE.replace(b"Upgrade: WebSocket\r\n", b""), 400),
    (HANDSHAKE.replace(b"Upgrade: WebSocket", b"Upgrade: h2c"), 400),
    (HANDSHAKE.replace(b"keep-alive, Upgrade", b"keep-alive"), 400),
    (HANDSHAKE.replace(b"Version: 13", b"Version: 12"), 426),
    (HANDSHAKE.replace(b"Sec-WebSocket-Version: 13\r\n", b""), 426),
    (HANDSHAKE.replace(KEY, b""), 400),
    (HANDSHAKE.replace(KEY, KEY + KEY), 400),
    (HANDSHAKE.replace(KEY, b"Sec-WebSocket-Key: short\r\n"), 400),
    (HANDSHAKE.replace(KEY, b"Sec-WebSocket-Key: !!!!\r\n"), 400),
]


@pytest.mark.parametrize(("raw", "status"), BROKEN)
async def test_what_is_no_handshake_is_an_http_error(raw: bytes, status: int) -> None:
    ran: list[bool] = []

    async def canary(socket: Socket) -> None:
        ran.append(True)

    async with serving(talking(canary)) as toy:
        plain = b"GET /plain HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
        data = await toy.talk(raw + plain, end=True)
        assert data.startswith(b"HTTP/1.1 %d " % status)
        assert (b"Sec-WebSocket-Version: 13\r\n" in data) == (status == 426)
        # the connection goes on, unless it was HTTP/1.0
        assert data.endswith(b"plain") == (b"HTTP/1.0" not in raw)
        assert ran == []


async def test_refusal_before_the_upgrade() -> None:
    class No(HttpError):
        status = 403

    async def app(request: Request) -> Answer:
        raise No("not you")

    async with serving(app) as toy:
        data = await toy.talk(HANDSHAKE + masked(2, b"never read"))
        assert data.startswith(b"HTTP/1.1 403 ")
        assert data.endswith(b"/ws: not you\n")


async def test_helpers_see_the_offer() -> None:
    seen: list[Request] = []

    async def app(request: Request) -> Answer:
        seen.append(request)
        return Response()

    async with serving(app) as toy:
        two = b"Sec-WebSocket-Protocol: a, b\r\nSec-WebSocket-Protocol: c\r\nConnection: close\r\n\r\n"
        await toy.talk(HANDSHAKE[:-2] + two)
        await toy.talk(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
    assert [wants_upgrade(request) for request in seen] == [True, False]
    assert [offered(request) for request in seen] == [("a", "b", "c"), ()]


async def test_frames_are_never_torn_by_pings_and_pongs() -> None:
    """Frames by sendfile, many at once and single ones from three tasks, while pings go both ways."""
    data = random.Random(3).randbytes(300_000)
    rounds = 20

    async def run(socket: Socket) -> None:
        async def files() -> None:
            for _ in range(rounds):
                await socket.send_file(b"file", file.fileno(), 0, len(data))
                await socket.send_file(b"tiny", file.fileno(), 5, 7)

        async def many() -> None:
            for _ in range(rounds):
                await socket.send_many([b"many" + bytes([n]) * n for n in range(200)])

        async def texts() -> None:
            for n in range(rounds * 5):
                await socket.send(f"text{n}")

        async with trio.open_nursery() as nursery:
            for task in (files, many, texts):
                nursery.start_soon(task)

    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        async with serving(talking(run), ws_ping_s=0.002) as toy, await toy.connect() as stream:
            await stream.send_all(HANDSHAKE)

            async def ping() -> None:
                for n in range(300):
                    await stream.send_all(masked(9, b"%d" % n))
                    await trio.sleep(0.001)

            toy.nursery.start_soon(ping)
            frames = parse(await until_close(stream))
            toy.nursery.cancel_scope.cancel()
    kinds = [opcode for opcode, _ in frames]
    assert kinds[-1] == 8
    assert kinds.count(8) == 1
    assert 9 in kinds
    assert 10 in kinds
    binary = [payload for opcode, payload in frames if opcode == 2]
    assert [p for p in binary if p.startswith(b"file")] == [b"file" + data] * rounds
    assert [p for p in binary if p.startswith(b"tiny")] == [b"tiny" + data[5:12]] * rounds
    assert [p for p in binary if p.startswith(b"many")] == [b"many" + bytes([n]) * n for n in range(200)] * rounds
    assert [p for op, p in frames if op == 1] == [b"text%d" % n for n in range(rounds * 5)]
    assert len(binary) == rounds * 202


async def until_close(stream: trio.SocketStream) -> bytes:
    """All frames up to the server's close frame, which is the last one."""
    data = bytearray()
    while (piece := await stream.receive_some(1 << 20)) != b"":
        data += piece
        if data.endswith(frame_head(8, 2) + b"\x03\xe8"):
            break
    return bytes(data).partition(b"\r\n\r\n")[2]


def parse(data: bytes) -> list[tuple[int, bytes]]:
    frames: list[tuple[int, bytes]] = []
    at = 0
    while at < len(data):
        opcode, length = data[at] & 0x0F, data[at + 1]
        assert data[at] & 0xF0 == 0x80
        at += 2
        if length == 126:
            (length,) = struct.unpack_from("!H", data, at)
            at += 2
        elif length == 127:
            (length,) = struct.unpack_from("!Q", data, at)
            at += 8
        frames.append((opcode, data[at : at + length]))
        assert len(frames[-1][1]) == length
        at += length
    return frames


@pytest.mark.parametrize(("extra", "code"), [(-1, 1000), (0, 1000), (1, 1009), (100_000, 1009)])
@pytest.mark.parametrize("text", [False, True])
async def test_message_limit(extra: int, code: int, text: bool) -> None:
    async def run(socket: Socket) -> None:
        await socket.receive()

    async with serving(talking(run, limit=10_000)) as toy, opened(toy) as ws:
        size = 10_000 + extra
        await ws.send_message("é" * (size // 2) + "x" * (size % 2) if text else b"x" * size)
        assert (await reason_of(ws)).code == code


async def test_fragments_are_one_message_and_their_sum_is_limited() -> None:
    async with serving(talking(echo, limit=10)) as toy:
        async with opened(toy) as ws:
            await ws._stream.send_all(masked(2, b"12345", final=False) + masked(0, b"67890"))
            assert await ws.get_message() == b"1234567890"
        data = await toy.talk(HANDSHAKE + masked(2, b"12345", final=False) + masked(0, b"678901"))
        assert b"\x03\xf1" in data.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    ("raw", "code"),
    [
        (frame_head(2, 3) + b"abc", 1002),  # not masked
        (masked(1, b"\xff\xfe"), 1007),
        (masked(3, b""), 1002),
        (masked(9, b"x" * 126), 1002),
        (masked(0, b"x"), 1002),
        (b"\xc2" + masked(2, b"abc")[1:], 1002),  # a reserved bit
    ],
)
async def test_protocol_errors_close_with_a_code(raw: bytes, code: int) -> None:
    closed: list[int] = []

    async def run(socket: Socket) -> None:
        try:
            await socket.receive()
        except SocketClosed as error:
            closed.append(error.code)
            raise

    async with serving(talking(run), linger_timeout_s=0.05) as toy:
        data = await toy.talk(HANDSHAKE + raw)
        frames = parse(data.partition(b"\r\n\r\n")[2])
        assert struct.unpack("!H", frames[0][1][:2]) == (code,)
        assert len(closed) == 1
        assert not toy.log.bugs()


async def test_mutated_frames_give_close_codes_only() -> None:
    rng = random.Random(5)
    async with serving(talking(echo, limit=1000), linger_timeout_s=0.02, ws_close_timeout_s=0.02) as toy:
        for _ in range(150):
            raw = bytearray(masked(2, rng.randbytes(20)) + masked(1, b"text") + masked(9, b"p"))
            for _ in range(rng.randrange(1, 5)):
                raw[rng.randrange(len(raw))] = rng.randrange(256)
            await toy.talk(HANDSHAKE + bytes(raw), end=True)
        assert not toy.log.bugs()


async def test_close_by_the_server_with_code_and_reason() -> None:
    async def run(socket: Socket) -> None:
        await socket.close(4416, "é" * 100)
        assert socket.closed.is_set()
        with pytest.raises(SocketClosed) as caught:
            await socket.send(b"late")
        assert caught.value.code == 4416
        with pytest.raises(SocketClosed):
            await socket.receive()
        await socket.close(1000)

    async with serving(talking(run), linger_timeout_s=0.1) as toy, opened(toy) as ws:
        reason = await reason_of(ws)
        assert reason.code == 4416
        assert reason.reason == "é" * 61
        await toy.open_connections(0)
        assert not toy.log.bugs()


async def test_close_by_the_client_after_its_messages() -> None:
    seen: list[object] = []

    async def run(socket: Socket) -> None:
        await trio.sleep(0.05)
        try:
            while True:
                seen.append(await socket.receive())
        except SocketClosed as closed:
            seen.append((closed.code, closed.reason))
        with pytest.raises(SocketClosed):
            await socket.send_many([b"a", b"b"])
        with pytest.raises(SocketClosed):
            await socket.send_file(b"", 0, 0, 1)

    async with serving(talking(run)) as toy:
        async with opened(toy) as ws:
            await ws.send_message("one")
            await ws.aclose(3000, "bye")
        await toy.open_connections(0)
        assert seen == ["one", (3000, "bye")]
        assert not toy.log.bugs()


@pytest.mark.parametrize("way", ["fin", "rst"])
async def test_client_lost_is_1006(way: str) -> None:
    seen: list[int] = []

    async def run(socket: Socket) -> None:
        try:
            await socket.receive()
        except SocketClosed as closed:
            seen.append(closed.code)
        assert socket.closed.is_set()

    async with serving(talking(run)) as toy:
        stream = await toy.connect()
        await stream.send_all(HANDSHAKE)
        await stream.receive_some()
        if way == "rst":
            stream.socket.setsockopt(trio.socket.SOL_SOCKET, trio.socket.SO_LINGER, struct.pack("ii", 1, 0))
        await stream.aclose()
        await toy.open_connections(0)
        assert seen == [1006]
        assert not toy.log.bugs()


async def test_a_client_that_never_answers_the_close_is_left() -> None:
    async def run(socket: Socket) -> None:
        await socket.close(1000, "done")

    async with (
        serving(talking(run), ws_close_timeout_s=0.1, linger_timeout_s=0.1) as toy,
        await toy.connect() as stream,
    ):
        await stream.send_all(HANDSHAKE)
        with trio.fail_after(3):
            assert b"done" in await read_all(stream)


async def test_ping_that_the_clients_machine_does_not_take_closes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upgrade_module, "_vanished", lambda wire, silent_s: True)
    seen: list[int] = []

    async def run(socket: Socket) -> None:
        try:
            await socket.receive()
        except SocketClosed as closed:
            seen.append(closed.code)

    limits: dict[str, Any] = {
        "ws_ping_s": 0.1,
        "ws_ping_timeout_s": 0.1,
        "ws_close_timeout_s": 0.1,
        "linger_timeout_s": 0.1,
    }
    async with serving(talking(run), **limits) as toy, await toy.connect() as stream:
        await stream.send_all(HANDSHAKE)
        with trio.fail_after(3):
            data = await read_all(stream)
        frames = parse(data.partition(b"\r\n\r\n")[2])
        assert [opcode for opcode, _ in frames] == [9, 8]
        assert frames[1][1] == struct.pack("!H", 1011) + b"no answer to a ping"
        await toy.open_connections(0)
        assert seen == [1011]


async def test_ping_answered_keeps_an_idle_connection_open() -> None:
    async with serving(talking(echo), ws_ping_s=0.05, ws_ping_timeout_s=0.2) as toy, opened(toy) as ws:
        await trio.sleep(0.6)
        await ws.send_message("still here")
        assert await ws.get_message() == "still here"


async def test_a_client_that_never_answers_is_kept_while_its_machine_does() -> None:
    async with serving(talking(echo), ws_ping_s=0.05, ws_ping_timeout_s=0.1) as toy, await toy.connect() as stream:
        await stream.send_all(HANDSHAKE)
        await trio.sleep(1)
        await toy.open_connections(1)


@pytest.mark.parametrize(
    ("unacknowledged", "last_ack_ms", "vanished"), [(1, 5000, True), (1, 10, False), (0, 5000, False)]
)
def test_only_unacknowledged_bytes_tell_of_a_vanished_machine(
    unacknowledged: int, last_ack_ms: int, vanished: bool
) -> None:
    class Sock:
        def getsockopt(self, level: int, option: int, size: int) -> bytes:
            info = bytearray(size)
            struct.pack_into("I", info, 24, unacknowledged)
            struct.pack_into("I", info, 56, last_ack_ms)
            return bytes(info)

    class FakeWire:
        sock = Sock()

    assert upgrade_module._vanished(FakeWire(), 3.0) is vanished  # type: ignore[arg-type]


async def test_a_slow_reader_is_not_a_dead_one() -> None:
    """It takes a little now and then; its pong comes long after the ping's time."""
    size, count = 100_000, 200

    async def run(socket: Socket) -> None:
        for _ in range(count):
            await socket.send(bytes(size))

    async with serving(talking(run), ws_ping_s=0.05, ws_ping_timeout_s=0.3) as toy, await toy.connect() as stream:
        await stream.send_all(HANDSHAKE)
        got = 0
        with trio.fail_after(20):
            while got < size * count:
                await trio.sleep(0.01)
                piece = await stream.receive_some(300_000)
                assert piece
                got += len(piece)


async def test_a_bug_in_a_channel_closes_1011_and_is_logged() -> None:
    async def run(socket: Socket) -> None:
        raise RuntimeError("canary")

    async with serving(talking(run)) as toy, opened(toy) as ws:
        reason = await reason_of(ws)
        assert (reason.code, reason.reason) == (1011, None)
        assert len(toy.log.bugs()) == 1


async def test_a_short_file_tears_the_connection() -> None:
    raised: list[Exception] = []

    async def run(socket: Socket) -> None:
        with pytest.raises(ShortFileError) as caught:
            await socket.send_file(b"p", file.fileno(), 0, 100_000)
        raised.append(caught.value)
        with pytest.raises(SocketClosed):
            await socket.send(b"x")

    with tempfile.TemporaryFile() as file:
        os.truncate(file.fileno(), 99_999)
        async with serving(talking(run)) as toy:
            assert (await toy.talk(HANDSHAKE)).endswith(b"<reset>")
            assert len(raised) == 1


async def test_a_sender_cancelled_within_a_frame_tears_the_connection() -> None:
    async def run(socket: Socket) -> None:
        with trio.move_on_after(0.1):
            await socket.send(bytes(50_000_000))
        with pytest.raises(SocketClosed):
            await socket.send(b"x")

    async with serving(talking(run)) as toy, await toy.connect() as stream:
        await stream.send_all(HANDSHAKE)
        await toy.open_connections(0)
        data = await read_all(stream)
        assert data.endswith(b"<reset>")
        assert math.inf > len(data)


async def test_idle_sockets_cost_little_memory() -> None:
    """No receive buffer is held while idle: 100 connections stay far below 100 times 256 KiB."""

    def resident_bytes() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")

    async def run(socket: Socket) -> None:
        await socket.receive()

    async with serving(talking(run)) as toy:
        streams = [await toy.connect() for _ in range(100)]
        before = resident_bytes()
        for stream in streams:
            await stream.send_all(HANDSHAKE)
            await stream.receive_some()
        assert resident_bytes() - before < 100 * 100 * 1024
        for stream in streams:
            await stream.aclose()
