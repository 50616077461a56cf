from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from jobdeck_protocol import JobState, events, from_wire
from jobdeck_server.channels.events import EventsChannel
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.engines.base import Started
from jobdeck_server.http.message import Request, Response, Upgrade
from tests.server.channels.helpers import FakeSocket, handshake, running
from tests.server.core.harness import Bench, bench, shell, until
from tests.server.nobody import NoBody


async def subscribe(
    found: Bench, *, text: bool = False, query: str = "", channel: EventsChannel | None = None
) -> Upgrade:
    channel = channel or EventsChannel(found.core)
    answer = await channel.answer(handshake(None if text else events.SUBPROTOCOL, query=query))
    assert isinstance(answer, Upgrade)
    return answer


async def following(socket: FakeSocket, client: events.EventsClient, count: int) -> list[events.ServerMessage]:
    found: list[events.ServerMessage] = []
    while len(found) < count:
        message = client.receive(await socket.get())
        if message is not None:
            found.append(message)
    return found


async def test_a_snapshot_then_every_change_once_across_links(tmp_path: Path) -> None:
    async with bench(tmp_path) as found:
        old = await found.core.submit(shell("true"))
        client = events.EventsClient()
        async with running(await subscribe(found)) as socket:
            socket.to_server.send_nowait(client.begin())
            hello, snapshot = await following(socket, client, 2)
            assert isinstance(hello, events.Hello)
            assert isinstance(snapshot, events.Snapshot)
            assert [job["id"] for job in snapshot.jobs] == [old.id]
            new = await found.core.submit(shell("false"))
            (event,) = await following(socket, client, 1)
            assert isinstance(event, events.Event)
            assert (event.event, from_wire(event.data).id) == ("job", new.id)
        found.core.report(new.id, Started(started_us=5, step=0))
        await until(lambda: found.core.events.last > event.n)
        for _ in range(30):
            await found.core.submit(shell("true"))
        async with running(await subscribe(found)) as socket:
            socket.to_server.send_nowait(client.begin())
            hello, *more = await following(socket, client, 32)
            numbers = [each.n for each in more if isinstance(each, events.Event)]
            assert numbers == list(range(event.n + 1, event.n + 32))
            first = more[0]
            assert isinstance(first, events.Event)
            assert from_wire(first.data).state is JobState.RUNNING


async def test_json_without_a_subprotocol(tmp_path: Path) -> None:
    async with bench(tmp_path) as found:
        job = await found.core.submit(shell("true"))
        async with running(await subscribe(found, text=True, query="since=0")) as socket:
            hello, event = json.loads(await socket.get()), json.loads(await socket.get())
            assert hello == {"kind": "hello", "version": 1, "store": found.core.events.store_id, "first": 1, "last": 1}
            assert (event["kind"], event["n"], event["event"], event["data"]["id"]) == ("event", 1, "job", job.id)
            socket.to_server.send_nowait("ignored")
        async with running(await subscribe(found, text=True, query="since=0&store=other")) as socket:
            await socket.get()
            assert json.loads(await socket.get())["kind"] == "snapshot"


async def test_two_subscribers_share_what_is_encoded(tmp_path: Path) -> None:
    async with bench(tmp_path) as found:
        await found.core.submit(shell("true"))
        got = []
        channel = EventsChannel(found.core)
        for _ in range(2):
            async with running(await subscribe(found, text=True, query="since=0", channel=channel)) as socket:
                await socket.get()
                got.append(await socket.get())
        assert got[0] is got[1]


async def test_what_is_refused(tmp_path: Path) -> None:
    async with bench(tmp_path, head_timeout_s=0.02) as found:
        for query in ("since=x", "since=-1", "since=1.5", f"since={'9' * 40}"):
            with pytest.raises(BadRequestError):
                await subscribe(found, text=True, query=query)
        answer = await EventsChannel(found.core).answer(Request(method="GET", path="/v1/events", body=NoBody()))
        assert isinstance(answer, Response)
        assert answer.status == 426
        async with running(await subscribe(found)) as socket:
            with pytest.raises(trio.EndOfChannel):
                await socket.get()
            assert socket.said == (4408, "no since message came")
        for data, code in (("text", 1003), (b"\x00", 1007)):
            async with running(await subscribe(found)) as socket:
                socket.to_server.send_nowait(data)
                with pytest.raises(trio.EndOfChannel):
                    await socket.get()
                assert socket.said is not None
                assert socket.said[0] == code
        async with running(await subscribe(found)) as socket:
            client = events.EventsClient()
            for _ in range(2):
                socket.to_server.send_nowait(client.begin())
            with trio.fail_after(5):
                await socket.closed.wait()
            assert socket.said is not None
            assert socket.said[0] == 1002
