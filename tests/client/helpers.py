"""A wire in front of a server that breaks at random, and what tests often ask."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import trio

from jobdeck_client import Attach, Client
from jobdeck_protocol import attach


@asynccontextmanager
async def breaking(url: str, *, seed: int, least: int = 1, most: int = 20_000) -> AsyncIterator[Proxy]:
    """A TCP proxy in front of a server that cuts each connection after a random number of bytes."""
    proxy = Proxy(int(url.rsplit(":", 1)[1]), random.Random(seed), least, most)
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, proxy.serve, 0)
        proxy.url = f"http://127.0.0.1:{listeners[0].socket.getsockname()[1]}"
        yield proxy
        nursery.cancel_scope.cancel()


class Proxy:
    def __init__(self, port: int, rng: random.Random, least: int, most: int) -> None:
        self.url = ""
        self.cuts = 0
        self.mend = False  # cut no more
        self._port = port
        self._rng = rng
        self._least = least
        self._most = most

    async def serve(self, stream: trio.SocketStream) -> None:
        budget = self._rng.randrange(self._least, self._most)
        try:
            async with await trio.open_tcp_stream("127.0.0.1", self._port) as there, trio.open_nursery() as nursery:

                async def pump(source: trio.SocketStream, sink: trio.SocketStream) -> None:
                    nonlocal budget
                    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                        while data := await source.receive_some(4096):
                            if not self.mend and len(data) >= budget:
                                await sink.send_all(data[:budget])
                                self.cuts += 1
                                break
                            budget -= len(data)
                            await sink.send_all(data)
                    nursery.cancel_scope.cancel()

                nursery.start_soon(pump, stream, there)
                nursery.start_soon(pump, there, stream)
        except OSError:
            pass


async def collect(following: Attach) -> bytes:
    """All output that arrives until the end."""
    return b"".join([message.data async for message in following if isinstance(message, attach.Output)])


async def ended(client: Client, job_id: str) -> None:
    with trio.fail_after(20):
        async with client.attach(job_id, offset=-1) as following:
            await collect(following)
