from __future__ import annotations

from collections.abc import Mapping

import pytest
import trio

from jobdeck_client import Client, Events, LinkClosed, link
from jobdeck_protocol.events import Counts, Event, Growth, Hello, Snapshot
from tests.client.helpers import breaking


async def test_every_number_once_through_a_wire_that_breaks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "DELAY_FIRST_S", 0.002)
    monkeypatch.setattr(link, "DELAY_LIMIT_S", 0.05)
    async with breaking(url, seed=3, least=600, most=9000) as wire, Client(url) as direct:
        last = (await direct.info())["last_event"]
        numbers: list[int] = []
        hellos = 0
        finished: set[str] = set()

        async def work() -> None:
            for i in range(25):
                await direct.submit(command=f"exit {i}", labels=["counted"])
                await trio.sleep(0.005)

        async with (
            Client(wire.url) as client,
            client.events(since=last, patient=True) as events,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(work)
            with trio.fail_after(40):
                async for message in events:
                    hellos += isinstance(message, Hello)
                    if isinstance(message, Event):
                        numbers.append(message.n)
                        if message.data.get("finished") and "counted" in message.data["labels"]:
                            finished.add(str(message.data["id"]))
                    if len(finished) == 25:
                        break
        assert numbers == list(range(last + 1, last + len(numbers) + 1))
        assert hellos > 1
        assert events.last == numbers[-1]
        async with Client(url) as client, client.events(since=events.last, store="another") as events:
            assert isinstance(await anext(events), Hello)
            snapshot = await anext(events)
            assert isinstance(snapshot, Snapshot)
            assert len(snapshot.jobs) >= 25
            assert events.store is not None


async def test_what_is_watched_is_told_through_a_wire_that_breaks(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever breaks: the last that is told of each output and of the counts is true."""
    monkeypatch.setattr(link, "DELAY_FIRST_S", 0.002)
    monkeypatch.setattr(link, "DELAY_LIMIT_S", 0.05)
    async with breaking(url, seed=5, least=400, most=4000) as wire, Client(url) as direct:
        line = "for i in {1..200}; do echo line; echo oops >&2; sleep 0.01; done"
        jobs = [await direct.submit(command=line, labels=["watched"]) for _ in range(3)]
        wanted = {(jobs[0].id, None), (jobs[1].id, "stderr"), (jobs[2].id, "stdout")}
        told: dict[tuple[str, str | None], Growth] = {}
        links = 0
        counts: Mapping[str, int] = {}
        async with Client(wire.url) as client, client.events(patient=True) as events:
            events.watch(counts=True, jobs=wanted)
            with trio.fail_after(40):
                async for message in events:
                    links += isinstance(message, Hello)
                    if isinstance(message, Growth):
                        key = (message.id, message.stream)
                        assert key in wanted
                        assert key not in told or told[key].size <= message.size
                        told[key] = message
                    elif isinstance(message, Counts):
                        counts = message.states
                    ended = sum(each.ended for each in told.values()) == 3
                    if ended and counts == (await direct.info())["counts"]:
                        break
        assert links > 1
        assert {key: (each.size, each.lines, each.indexed) for key, each in told.items()} == {
            (jobs[0].id, None): (2000, 400, 2000),
            (jobs[1].id, "stderr"): (1000, 200, 1000),
            (jobs[2].id, "stdout"): (1000, 200, 1000),
        }


async def test_another_watch_is_told_on_the_same_link_and_too_large_a_one_ends_it(url: str) -> None:
    async with Client(url) as client, client.events() as events:
        jobs = [await client.submit(command="cat", stdin=True) for _ in range(2)]
        try:
            for job in (*jobs, jobs[0]):
                events.watch(counts=False, jobs=[(job.id, None)])
                with trio.fail_after(10):
                    while not isinstance(message := await anext(events), Growth):
                        pass
                assert message.id == job.id
            events.watch(counts=False, jobs=[(f"job{number}", None) for number in range(17)])
            with trio.fail_after(10), pytest.raises(LinkClosed, match="at most 16 outputs"):
                await _pass(events)
        finally:
            for job in jobs:
                await client.stop(job.id, signal="KILL")


async def _pass(events: Events) -> None:
    async for _ in events:
        pass
