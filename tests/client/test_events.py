from __future__ import annotations

import pytest
import trio

from jobdeck_client import Client, link
from jobdeck_protocol.events import Event, Hello, Snapshot
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
