"""The link to the keeper, against a keeper that breaks at chosen points."""

from __future__ import annotations

import json
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from jobdeck_server.engines.link import KeeperLink

_LENGTH = struct.Struct("<I")
_LIMIT_S = 10.0


async def _receive(stream: trio.SocketStream) -> dict[str, Any]:
    data = b""
    while len(data) < _LENGTH.size or len(data) < _LENGTH.size + _LENGTH.unpack_from(data)[0]:
        part = await stream.receive_some()
        assert part
        data += part
    found: dict[str, Any] = json.loads(data[_LENGTH.size :])
    return found


async def _answer(stream: trio.SocketStream) -> dict[str, Any]:
    """Take one request and answer it."""
    request = await _receive(stream)
    data = json.dumps({"re": request["n"], "jobs": []}).encode()
    await stream.send_all(_LENGTH.pack(len(data)) + data)
    return request


@asynccontextmanager
async def _keeper(data_dir: Path, serve: Callable[[trio.SocketStream, int], Any]) -> AsyncIterator[KeeperLink]:
    """A link to a keeper that does ``serve`` with each connection, told its number from 0, one after the other."""

    async def accept() -> None:
        count = 0
        while True:
            stream = trio.SocketStream((await listener.accept())[0])
            async with stream:
                await serve(stream, count)
            count += 1

    async def on_up(_hello: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()

    with trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM) as listener:
        await listener.bind(str(data_dir / "keeper.sock"))
        listener.listen()
        link = KeeperLink(data_dir, on_event=lambda _event: None, on_up=on_up, touch=False)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(accept)
            nursery.start_soon(link.run)
            with trio.fail_after(_LIMIT_S):
                yield link
            nursery.cancel_scope.cancel()


async def test_a_request_outlives_links_that_break_before_hello(tmp_path: Path) -> None:
    """Whoever waits for a link must not be forgotten when one breaks before it was up."""

    async def serve(stream: trio.SocketStream, count: int) -> None:
        if count < 3:
            await _receive(stream)  # hello, and then nothing: killed
            return
        while True:
            await _answer(stream)

    async with _keeper(tmp_path, serve) as link:
        assert "re" in await link.call("ping")


async def test_insist_asks_again_after_a_break(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    async def serve(stream: trio.SocketStream, count: int) -> None:
        await _answer(stream)
        if count < 2:
            asked.append(await _receive(stream))
            return
        while True:
            asked.append(await _answer(stream))

    async with _keeper(tmp_path, serve) as link:
        await link.insist("spawn", spec={"id": "x"})
    assert [each["op"] for each in asked] == ["spawn"] * 3
