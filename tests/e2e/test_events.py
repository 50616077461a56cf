"""The stream of events against the real program."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trio
from trio_websocket import ConnectionClosed

from jobdeck_client import Client
from jobdeck_protocol import events as wire
from tests.e2e.attachers import websocket
from tests.e2e.native import submitted
from tests.e2e.program import Server, server
from tests.e2e.wire import ask


async def follow(url: str, since: int | None, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
    """Messages of the stream as JSON, until there are enough."""
    told: list[dict[str, Any]] = []
    query = "" if since is None else f"?since={since}"
    with trio.fail_after(10):
        async with websocket(f"{url}/v1/events{query}") as opened:
            with contextlib.suppress(ConnectionClosed):
                while not enough(told):
                    told.append(json.loads(await opened.get_message()))
    return told


def of_job(told: list[dict[str, Any]], job_id: str) -> list[str]:
    return [each["data"]["state"] for each in told if each["kind"] == "event" and each["data"]["id"] == job_id]


def has_ended(job_id: str) -> Callable[[list[dict[str, Any]]], bool]:
    return lambda told: bool({"succeeded", "failed", "stopped"} & set(of_job(told, job_id)))


async def test_events_are_told_in_order_and_resumed(deck: Server) -> None:
    last = json.loads(ask(deck.port, "GET", "/v1/info").body)["last_event"]
    job_id = submitted(deck, "exit 3", labels=["events"])
    told = await follow(deck.url, last, has_ended(job_id))
    hello, events = told[0], told[1:]
    assert (hello["kind"], hello["version"]) == ("hello", 1)
    numbers = [event["n"] for event in events]
    assert numbers == list(range(last + 1, last + 1 + len(numbers)))
    states = of_job(told, job_id)
    assert states[0] in ("starting", "queued")
    assert states[-1] == "failed"
    again = await follow(deck.url, numbers[0], has_ended(job_id))
    assert again[1:] == events[1:]


async def test_without_a_number_a_snapshot_comes_first(deck: Server) -> None:
    job_id = submitted(deck, "true")
    deck.wait(job_id)
    told = await follow(deck.url, None, lambda told: len(told) >= 2 and not told[-1].get("more"))
    assert [each["kind"] for each in told[:2]] == ["hello", "snapshot"]
    assert job_id in [job["id"] for part in told[1:] for job in part["jobs"]]


@pytest.fixture(scope="module")
def forgetful(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Keeps thirty events."""
    folder = tmp_path_factory.mktemp("forgetful")
    (folder / "config.toml").write_text("[limits]\nretention_interval_s = 0.1\nevent_retention_count = 30\n")
    with server(folder / "data", "--config", str(folder / "config.toml")) as running:
        yield running


async def test_too_old_a_number_gets_a_snapshot(forgetful: Server) -> None:
    for _ in range(25):  # of at least two events each
        forgetful.attach(forgetful.submit("true"))
    first, told = 0, []
    with trio.fail_after(10):
        while first <= 2:  # until the old ones are forgotten
            await trio.sleep(0.05)
            told = await follow(forgetful.url, 1, lambda told: len(told) >= 2)
            first = told[0]["first"]
    assert told[1]["kind"] == "snapshot"
    assert {job["state"] for job in told[1]["jobs"]} <= {"succeeded", "running", "starting"}
    assert len(told[1]["jobs"]) == 25


@pytest.mark.slow
async def test_events_with_the_subprotocol_over_a_restart(tmp_path: Path) -> None:
    """The same numbers go on after ``kill -9``: nothing is told twice, nothing is left out."""
    with server(tmp_path / "data") as running:
        client = wire.EventsClient()
        seen: list[tuple[int, str]] = []

        async def read(until_ended: str) -> None:
            with trio.fail_after(10):
                async with websocket(f"{running.url}/v1/events", wire.SUBPROTOCOL) as opened:
                    await opened.send_message(client.begin())
                    while True:
                        message = client.receive(await opened.get_message())
                        if isinstance(message, wire.Event):
                            seen.append((message.n, message.data["state"]))
                            if message.data["id"] == until_ended and message.data["state"] == "succeeded":
                                return

        first = submitted(running, "sleep 0.2")
        await read(first)
        second = submitted(running, "sleep 0.5")
        running.kill()
        running.start()
        await read(second)
        numbers = [n for n, _ in seen]
        assert numbers == sorted(set(numbers))
        assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def test_events_are_a_websocket(deck: Server) -> None:
    answer = ask(deck.port, "GET", "/v1/events")
    assert (answer.status, answer.headers["upgrade"]) == (426, "websocket")
    assert answer.text == "This is a stream of events; connect with a WebSocket.\n"


HANDSHAKE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


async def test_what_is_watched_is_told_in_json(deck: Server) -> None:
    job_id = submitted(deck, "for i in {1..40}; do echo line; sleep 0.01; done; echo -n end; echo oops >&2")
    growths: list[dict[str, Any]] = []
    counts: dict[str, int] = {}
    nobody = "00000000-0000-4000-8000-000000000000"
    with trio.fail_after(20):
        async with websocket(f"{deck.url}/v1/events?watch={nobody},{job_id}&counts=true") as opened:
            while not growths or not growths[-1]["ended"]:
                message = json.loads(await opened.get_message())
                if message["kind"] == "growth":
                    growths.append(message)
                elif message["kind"] == "counts":
                    counts = message["states"]
            now = json.loads(ask(deck.port, "GET", "/v1/info").body)["counts"]
            while counts != now:
                message = json.loads(await opened.get_message())
                counts = message.get("states", counts)
                now = json.loads(ask(deck.port, "GET", "/v1/info").body)["counts"]
    assert len(growths) > 2
    assert {each["id"] for each in growths} == {job_id}
    sizes = [each["size"] for each in growths]
    assert sizes == sorted(sizes)
    last = {"kind": "growth", "id": job_id, "stream": None, "size": 208, "lines": 41, "indexed": 208, "ended": True}
    assert growths[-1] == last
    answer = ask(deck.port, "GET", f"/v1/events?watch={'x,' * 17}", headers=HANDSHAKE)
    assert (answer.status, json.loads(answer.body)["field"]) == (400, "watch")


@pytest.mark.slow
async def test_what_is_watched_goes_on_over_kill_9(tmp_path: Path) -> None:
    with server(tmp_path / "data") as running:
        async with Client(running.url) as client, client.events(patient=True) as events:
            job = await client.submit(command="for i in {1..300}; do echo line; sleep 0.01; done")
            events.watch(counts=False, jobs=[(job.id, None)])
            last = wire.Growth(id=job.id, size=0, lines=0, indexed=0, ended=False)
            links = 0
            with trio.fail_after(30):
                async for message in events:
                    links += isinstance(message, wire.Hello)
                    if isinstance(message, wire.Growth):
                        assert message.size >= last.size
                        last = message
                        if last.size > 100 and links == 1:
                            running.kill()
                            running.start()
                    if last.ended:
                        break
    assert links > 1
    assert (last.size, last.lines, last.indexed) == (1500, 300, 1500)
