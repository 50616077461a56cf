"""The breaking link of the workers' crash test does what it says: otherwise what is proved by it would be nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing

from tests.e2e.worker_proxy import Cut, Flow, Proxy

_LIMIT_S = 10.0
_QUIET_S = 0.2


@asynccontextmanager
async def linked() -> AsyncIterator[tuple[Proxy, trio.SocketStream, trio.SocketStream]]:
    """A proxy, and both ends of one connection through it."""
    send, receive = trio.open_memory_channel[trio.SocketStream](10)
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with listener, trio.open_nursery() as nursery:

        async def accept() -> None:
            while True:
                await send.send(await listener.accept())

        nursery.start_soon(accept)
        proxy = Proxy(("127.0.0.1", listener.socket.getsockname()[1]))
        await nursery.start(proxy.run)
        with trio.fail_after(_LIMIT_S):
            async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as near, await receive.receive() as far:
                await near.send_all(b"hi")
                assert await far.receive_some() == b"hi"
                yield proxy, near, far
        nursery.cancel_scope.cancel()


async def silent(stream: trio.SocketStream) -> bool:
    """Whether nothing comes, not even an end."""
    with trio.move_on_after(_QUIET_S):
        await stream.receive_some()
        return False
    return True


async def test_bytes_pass_both_ways_and_so_does_the_end() -> None:
    async with linked() as (_, near, far), trio.open_nursery() as nursery:

        async def send() -> None:
            await far.send_all(b"x" * 1_000_000)
            await far.send_eof()

        nursery.start_soon(send)
        got = b""
        while part := await near.receive_some():
            got += part
        assert got == b"x" * 1_000_000
        await near.send_all(b"and back")  # one direction's end is not the other's
        assert await far.receive_some() == b"and back"
        await near.send_eof()
        assert await far.receive_some() == b""


async def test_a_reset() -> None:
    async with linked() as (proxy, near, far):
        assert proxy.cut(Cut.RST) == 1
        for stream in (near, far):
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()


async def test_an_end_without_a_word() -> None:
    async with linked() as (proxy, near, far):
        proxy.cut(Cut.FIN)
        assert await near.receive_some() == b""
        assert await far.receive_some() == b""


@pytest.mark.parametrize("held", ["up", "down"])
async def test_what_is_held_comes_later_and_the_other_direction_moves(held: str) -> None:
    async with linked() as (proxy, near, far), trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def hold() -> None:
            with scope:
                await proxy.trouble(Flow.HOLD, up=held == "up", down=held == "down", for_s=60)

        nursery.start_soon(hold)
        await trio.testing.wait_all_tasks_blocked()
        here, there = (near, far) if held == "up" else (far, near)
        await here.send_all(b"late")
        await there.send_all(b"now")
        assert await here.receive_some() == b"now"
        assert await silent(there)
        scope.cancel()
        assert await there.receive_some() == b"late"


async def test_what_is_swallowed_is_lost_and_nobody_is_told_until_it_is_over() -> None:
    async with linked() as (proxy, near, far), trio.open_nursery() as nursery:
        scope = trio.CancelScope()

        async def swallow() -> None:
            with scope:
                await proxy.trouble(Flow.SWALLOW, up=True, down=True, for_s=60)

        nursery.start_soon(swallow)
        await trio.testing.wait_all_tasks_blocked()
        await near.send_all(b"lost")
        await far.send_all(b"lost")
        assert await silent(near)
        await near.send_eof()
        assert await silent(far)
        scope.cancel()
        with pytest.raises(trio.BrokenResourceError):
            await far.receive_some()


async def test_a_connection_that_lost_nothing_outlives_a_swallow() -> None:
    async with linked() as (proxy, near, far):
        await proxy.trouble(Flow.SWALLOW, up=True, down=True, for_s=0.01)
        await near.send_all(b"still here")
        assert await far.receive_some() == b"still here"


async def test_delay_and_closed_doors() -> None:
    async with linked() as (proxy, near, far):
        proxy.up.delay_s = 0.2
        began_s = trio.current_time()
        await near.send_all(b"slow")
        assert await far.receive_some() == b"slow"
        assert trio.current_time() - began_s > 0.15
        proxy.shut = True
        async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as other:
            with pytest.raises(trio.BrokenResourceError):
                await other.receive_some()
        assert proxy.connections_count == 2


async def test_nobody_behind_it() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listener.socket.getsockname()[1]
    await listener.aclose()
    async with trio.open_nursery() as nursery:
        proxy = Proxy(("127.0.0.1", port))
        await nursery.start(proxy.run)
        with trio.fail_after(_LIMIT_S):
            async with await trio.open_tcp_stream("127.0.0.1", proxy.port) as near:
                with pytest.raises(trio.BrokenResourceError):
                    await near.receive_some()
        nursery.cancel_scope.cancel()
