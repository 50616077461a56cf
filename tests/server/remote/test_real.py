"""The channel of a real server: who is let in, for how long, and a worker program that stands still."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from jobdeck_client.errors import ClientError, LinkClosed
from jobdeck_client.link import Link, Target, talk_over
from jobdeck_protocol.worker import SUBPROTOCOL
from jobdeck_server.guard.tokens import TokenStore
from jobdeck_server.http.message import Role
from tests.e2e.program import Server
from tests.server.remote.hand import Hand

LIMIT_S = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(tmp_path_factory.mktemp("real") / "data")
    made.start()
    yield made
    made.close()


async def link_up(server: Server, secret: str | None, hand: Hand, revoke: trio.Event | None = None) -> ClientError:
    """Connect as a worker, and say why that ended."""
    headers = () if secret is None else ((b"authorization", f"Bearer {secret}".encode()),)
    target = Target(url=f"ws://127.0.0.1:{server.port}/v1/worker", subprotocol=SUBPROTOCOL, headers=headers)

    async def talk(link: Link) -> None:
        number = hand.agent.connected(trio.current_time(), hand.clock_us)
        while True:
            while isinstance(message := hand.agent.send(number, trio.current_time()), bytes):
                await link.send(message)
            for event in hand.agent.receive(number, await link.receive(), trio.current_time()):
                hand.link = number
                hand.heed(event)
            if revoke is not None and hand.agent.stage.value == "open":
                revoke.set()

    with trio.fail_after(LIMIT_S):
        try:
            await talk_over(target, talk)
        except ClientError as error:
            return error
    raise AssertionError("it goes on for ever")


async def test_a_plain_request_is_told_to_upgrade(server: Server) -> None:
    status, headers, _ = server.ask("GET", "/v1/worker")
    assert (status, headers["upgrade"]) == (426, "websocket")
    _, _, body = server.ask("GET", "/openapi.json")
    assert "101" in json.loads(body)["paths"]["/v1/worker"]["get"]["responses"]


@pytest.mark.parametrize("role", [Role.VIEW, Role.RUN, Role.ADMIN])
async def test_no_other_token_is_good_for_a_worker(server: Server, role: Role) -> None:
    _, secret = TokenStore(server.data_dir).create("x", role)
    assert "does not allow" in str(await link_up(server, secret, Hand(5)))


async def test_a_worker_joins_and_leaves_with_its_token(server: Server) -> None:
    tokens, hand, revoke = TokenStore(server.data_dir), Hand(6, name="six"), trio.Event()
    token, secret = tokens.create("six", Role.WORKER)
    at_s: list[float] = []

    async def take_away() -> None:
        await revoke.wait()
        _, _, body = server.ask("GET", "/v1/workers")
        assert [(each["name"], each["state"]) for each in json.loads(body)["items"][1:]] == [("six", "online")]
        tokens.revoke(token.id)
        at_s.append(time.monotonic())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(take_away)
        error = await link_up(server, secret, hand, revoke)
    assert isinstance(error, LinkClosed)
    assert error.code == 4401
    assert time.monotonic() - at_s[0] < LIMIT_S / 3
    assert "not known" in str(await link_up(server, secret, hand))


async def test_where_no_token_is_needed_a_worker_needs_none(server: Server, tmp_path: Path) -> None:
    hand, revoke = Hand(7, name="seven"), trio.Event()
    async with trio.open_nursery() as nursery:

        async def join() -> None:
            await link_up(server, None, hand, revoke)

        nursery.start_soon(join)
        with trio.fail_after(LIMIT_S):
            await revoke.wait()
        nursery.cancel_scope.cancel()
