"""A keeper that does what a test tells it to: a socket, and frames taken and sent by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import trio

_LENGTH = struct.Struct("<I")


async def receive(stream: trio.SocketStream) -> dict[str, Any]:
    """One request; the link sends the next only after its answer, or the test does not care."""
    data = b""
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
        part = await stream.receive_some()
        if not part:
            raise EOFError
        data += part
    found: dict[str, Any] = json.loads(data[_LENGTH.size :])
    return found


async def answer(stream: trio.SocketStream, **fields: object) -> dict[str, Any]:
    """Take one request and answer it."""
    request = await receive(stream)
    data = json.dumps({"re": request["n"], "jobs": [], **fields}).encode()
    await stream.send_all(_LENGTH.pack(len(data)) + data)
    return request


@asynccontextmanager
async def keeper(data_dir: Path, serve: Callable[[trio.SocketStream, int], Awaitable[None]]) -> AsyncIterator[None]:
    """Does ``serve`` with each connection, told its number from 0, one after the other."""

    async def accept() -> None:
        count = 0
        while True:
            async with trio.SocketStream((await listener.accept())[0]) as stream:
                with suppress(EOFError):  # the test is over
                    await serve(stream, count)
            count += 1

    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listener:
        await listener.bind(str(data_dir / "keeper.sock"))
        listener.listen()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            yield
            nursery.cancel_scope.cancel()
