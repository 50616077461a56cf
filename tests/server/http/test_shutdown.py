from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import trio
import trio.testing
from trio_websocket import ConnectionClosed, open_websocket_url

from jobdeck_server.http.message import Answer, Piece, Request, Response, Upgrade
from jobdeck_server.http.upgrade import Socket, SocketClosed
from tests.server.http.toy import read_all, serving


class App:
    """/wait answers when told to; /follow and /stream never end; /ws waits for a message."""

    def __init__(self) -> None:
        self.go = trio.Event()
        self.asked = trio.Event()
        self.closed: list[str] = []

    async def __call__(self, request: Request) -> Answer:
        self.asked.set()
        if request.path == "/ws":
            return Upgrade(subprotocol=None, run=self.talk, message_limit_bytes=1000)
        if request.path == "/wait":
            await self.go.wait()
            return Response(body=b"done")
        return Response(body=self.pieces(request.path), follow=request.path == "/follow")

    async def pieces(self, path: str) -> AsyncIterator[Piece]:
        try:
            yield b"first"
            await trio.sleep_forever()
        finally:
            self.closed.append(path)

    async def talk(self, socket: Socket) -> None:
        try:
            await socket.receive()
        except SocketClosed as closed:
            self.closed.append(f"ws {closed.code}")
            raise


async def get(stream: trio.SocketStream, path: bytes) -> None:
    await stream.send_all(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % path)


async def test_idle_connections_are_closed_at_once_and_none_is_accepted() -> None:
    async with serving(App()) as toy, await toy.connect() as idle, await toy.connect() as half:
        await half.send_all(b"GET / HT")
        await toy.open_connections(2)
        toy.server.shutdown()
        with trio.fail_after(1):
            assert await read_all(idle) == b""
            assert await read_all(half) == b""
        await toy.open_connections(0)
        try:
            await toy.connect()
        except OSError:
            pass
        else:
            raise AssertionError("still listening")


async def test_what_is_being_answered_may_finish() -> None:
    app = App()
    async with serving(app) as toy, await toy.connect() as stream:
        await get(stream, b"/wait")
        await app.asked.wait()
        toy.server.shutdown()
        await trio.sleep(0.05)
        app.go.set()
        data = await read_all(stream)
        assert data.endswith(b"done")
        assert b"Connection: close" in data


async def test_but_not_for_ever() -> None:
    app = App()
    async with serving(app, shutdown_grace_s=0.2) as toy, await toy.connect() as stream, await toy.connect() as other:
        await get(stream, b"/wait")
        await get(other, b"/stream")
        await app.asked.wait()
        assert bytes(await other.receive_some()).startswith(b"HTTP/1.1 200")
        toy.server.shutdown()
        with trio.fail_after(3):
            assert await read_all(stream) == b""
            assert not (await read_all(other)).endswith(b"0\r\n\r\n")
        assert app.closed == ["/stream"]
        assert {r["ended"] for r in toy.log.requests()} == {"shutdown"}


async def test_followers_end_at_once_without_the_last_chunk() -> None:
    app = App()
    async with serving(app, shutdown_grace_s=60, linger_timeout_s=0.1) as toy, await toy.connect() as stream:
        await get(stream, b"/follow")
        data = b""
        while b"first" not in data:
            data += await stream.receive_some()
        toy.server.shutdown()
        with trio.fail_after(3):
            data += await read_all(stream)
        assert data.endswith(b"5\r\nfirst\r\n")
        assert app.closed == ["/follow"]
        await toy.open_connections(0)
        assert toy.log.requests()[0]["ended"] == "shutdown"


async def test_websockets_are_closed_1001() -> None:
    app = App()
    async with serving(app, shutdown_grace_s=60) as toy:
        async with open_websocket_url(f"ws://127.0.0.1:{toy.port}/ws") as ws:
            await app.asked.wait()
            await trio.testing.wait_all_tasks_blocked()
            toy.server.shutdown()
            with trio.fail_after(3), pytest.raises(ConnectionClosed) as caught:
                await ws.get_message()
        await ws._stream.aclose()
        assert caught.value.reason is not None
        assert caught.value.reason.code == 1001
        await toy.open_connections(0)
        assert app.closed == ["ws 1001"]
        assert not toy.log.bugs()


async def test_a_server_that_is_cancelled_leaves_nothing_open() -> None:
    app = App()
    async with serving(app) as toy, await toy.connect() as stream:
        await get(stream, b"/follow")
        await app.asked.wait()
        toy.nursery.cancel_scope.cancel()
    assert toy.server.statistics.connection_count == 0
