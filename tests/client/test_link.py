"""Servers that misbehave: what a link makes of each."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed, WebSocketRequest, serve_websocket, wrap_server_stream

from jobdeck_client import (
    Client,
    LinkClosed,
    LinkState,
    NotAllowedError,
    RefusedError,
    ServerFaultError,
    UnreachableError,
    link,
)
from jobdeck_protocol import JobState, Run, ServerSession, Stream, attach, codec
from tests.client.helpers import collect
from tests.protocol.helpers import job


@asynccontextmanager
async def tcp(serve: Callable[[trio.SocketStream], Awaitable[None]]) -> AsyncIterator[Client]:
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, serve, 0)
        async with Client(f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}") as client:
            yield client
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def websocket(handler: Callable[[WebSocketRequest], Awaitable[None]]) -> AsyncIterator[Client]:
    async def quiet(request: WebSocketRequest) -> None:
        with suppress(ConnectionClosed):
            await handler(request)

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve_websocket, quiet, "127.0.0.1", 0, None)
        async with Client(f"http://127.0.0.1:{server.port}") as client:
            yield client
        nursery.cancel_scope.cancel()


async def follow(client: Client, **given: Any) -> bytes:
    async with client.attach("x", **given) as following:
        return await collect(following)


async def test_a_server_that_closes_during_the_handshake() -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with tcp(serve) as client:
        with trio.fail_after(5), pytest.raises(UnreachableError, match="closed the connection"):
            await follow(client)


async def test_a_server_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "CONNECT_TIMEOUT_S", 0.1)

    async def serve(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    async with tcp(serve) as client:
        with trio.fail_after(5), pytest.raises(UnreachableError, match="too long"):
            await follow(client)


@pytest.mark.parametrize(
    "noise", [b"\x00" * 100, b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 101 X\r\nUpgrade: h2c\r\n\r\n"]
)
async def test_a_server_that_speaks_something_else(noise: bytes) -> None:
    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(noise)

    async with tcp(serve) as client:
        with trio.fail_after(5), pytest.raises((UnreachableError, RefusedError, LinkClosed)):
            await follow(client)


async def test_refusals_of_the_handshake() -> None:
    statuses = [503, 503, 403]

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        head = b"HTTP/1.1 %d X\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nNope\n"
        await stream.send_all(head % statuses.pop(0))

    async with tcp(serve) as client:
        with trio.fail_after(5), pytest.raises(RefusedError) as caught:
            await follow(client)
        assert caught.value.status == 503
        with trio.fail_after(5), pytest.raises(NotAllowedError, match="Nope"):
            await follow(client, patient=True)


async def test_a_server_without_our_subprotocol() -> None:
    async def handler(request: WebSocketRequest) -> None:
        await (await request.accept()).get_message()

    async with websocket(handler) as client:
        with trio.fail_after(5), pytest.raises(UnreachableError, match="does not speak"):
            await follow(client)


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("text", 1003),
        (b"junk", 1007),
        (codec.encode(attach.Note(note="before hello").to_map()), 1002),
    ],
)
async def test_a_server_that_breaks_the_protocol(said: bytes | str, code: int) -> None:
    codes: list[int] = []

    async def handler(request: WebSocketRequest) -> None:
        ws = await request.accept(subprotocol=attach.SUBPROTOCOL)
        await ws.get_message()
        await ws.send_message(said)
        with suppress(ConnectionClosed):
            await ws.get_message()
        assert ws.closed is not None
        codes.append(int(ws.closed.code))

    async with websocket(handler) as client:
        with trio.fail_after(5), pytest.raises(ServerFaultError):
            await follow(client)
        assert codes == [code]


async def test_our_own_faults_are_not_repeated() -> None:
    tries = 0

    async def handler(request: WebSocketRequest) -> None:
        nonlocal tries
        tries += 1
        ws = await request.accept(subprotocol=attach.SUBPROTOCOL)
        await ws.aclose(1007, "bad message")

    async with websocket(handler) as client:
        with trio.fail_after(5), pytest.raises(LinkClosed, match="bad message"):
            await follow(client)
    assert tries == 1


async def test_a_server_that_ends_in_good_order_is_met_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "DELAY_FIRST_S", 0.01)
    tries = 0

    async def handler(request: WebSocketRequest) -> None:
        nonlocal tries
        tries += 1
        ws = await request.accept(subprotocol=attach.SUBPROTOCOL)
        session = ServerSession()
        message = await ws.get_message()
        session.receive(message)
        ended = job(state=JobState.SUCCEEDED, exit_code=0)
        await ws.send_message(session.hello(ended, first=0, size=2))
        if tries < 4:
            await ws.aclose(1001, "shutting down")
            return
        run = Run(2, Stream.STDOUT, 0)
        await ws.send_message(session.output((run,)) + b"ok")
        end = attach.Exit(code=0, state=JobState.SUCCEEDED, output_bytes=2, dropped_bytes=0, offset=2)
        await ws.send_message(session.send(end))
        await ws.aclose(1000)

    states: list[LinkState] = []
    async with websocket(handler) as client:
        with trio.fail_after(10):
            async with client.attach("x", on_link=states.append) as following:
                assert await collect(following) == b"ok"
    assert [state.up for state in states] == [True, False] * 3 + [True]
    waits = [state.retry_s for state in states if state.retry_s is not None]
    assert waits[2] > waits[0] / 2  # growing, with chance in it
    assert states[1].error == "The connection was closed (1001: shutting down)."


async def test_a_dead_link_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "PING_S", 0.05)
    monkeypatch.setattr(link, "PING_TIMEOUT_S", 0.1)

    async def deaf(stream: trio.SocketStream) -> None:
        async with trio.open_nursery() as nursery:
            request = await wrap_server_stream(nursery, stream)
            await request.accept(subprotocol=attach.SUBPROTOCOL)
            nursery.cancel_scope.cancel()
        await trio.sleep_forever()

    async with tcp(deaf) as client:
        with trio.fail_after(5), pytest.raises(LinkClosed):
            await follow(client, reconnect=False)
