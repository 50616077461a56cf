"""The link to the keeper, against a keeper that breaks at chosen points."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from jobdeck_server.engines.link import KeeperLink
from tests.server.engines.fake import answer, keeper, receive

_LIMIT_S = 10.0


@asynccontextmanager
async def _link(
    data_dir: Path, serve: Callable[[trio.SocketStream, int], Awaitable[None]]
) -> AsyncIterator[KeeperLink]:
    async def on_up(_hello: dict[str, Any]) -> None:
        await trio.lowlevel.checkpoint()

    link = KeeperLink(data_dir, on_event=lambda _event: None, on_up=on_up, touch=False)
    async with keeper(data_dir, serve), trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        with trio.fail_after(_LIMIT_S):
            yield link
        nursery.cancel_scope.cancel()


async def test_a_request_outlives_links_that_break_before_hello(tmp_path: Path) -> None:
    """Whoever waits for a link must not be forgotten when one breaks before it was up."""

    async def serve(stream: trio.SocketStream, count: int) -> None:
        if count < 3:
            await receive(stream)  # hello, and then nothing: killed
            return
        while True:
            await answer(stream)

    async with _link(tmp_path, serve) as link:
        assert "re" in await link.call("ping")


async def test_insist_asks_again_after_a_break(tmp_path: Path) -> None:
    asked: list[dict[str, Any]] = []

    async def serve(stream: trio.SocketStream, count: int) -> None:
        await answer(stream)
        if count < 2:
            asked.append(await receive(stream))
            return
        while True:
            asked.append(await answer(stream))

    async with _link(tmp_path, serve) as link:
        await link.insist("spawn", spec={"id": "x"})
    assert [each["op"] for each in asked] == ["spawn"] * 3
