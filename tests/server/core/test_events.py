from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

from jobdeck_server.core import journal
from jobdeck_server.core.events import Event, Snapshot
from jobdeck_server.engines.base import Ended, Started
from tests.server.core.harness import bench, shell, take, until

DONE = Ended(how="exit", code=0, started_us=5, finished_us=9)


async def test_events_are_numbered_in_order_and_resume_exactly(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        job = await b.core.submit(shell("true"))
        b.core.report(job.id, DONE)
        seen: list[Event] = []
        async with aclosing(b.core.events.subscribe(0)) as events:
            while not seen or seen[-1].data["state"] != "succeeded":
                found = await anext(events)
                assert not isinstance(found, Snapshot)
                seen += found
        assert [event.n for event in seen] == list(range(1, len(seen) + 1))
        last = b.core.events.last
    async with bench(tmp_path) as b:
        assert b.core.events.last == last
        again = await take(b.core.events, 1, last - 1)
        assert [event.n for event in again] == list(range(2, last + 1))
        (fresh,) = await take(b.core.events, last + 5, 1)
        assert isinstance(fresh, Snapshot)
        assert (fresh.n, [each["id"] for each in fresh.jobs]) == (last, [job.id])


async def test_what_is_there_comes_together_and_from_memory_or_table_alike(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for _ in range(150):
            await b.core.submit(shell("true"))
        last = b.core.events.last
        log = b.core.events
        async with aclosing(log.subscribe(0)) as events:
            assert len(await anext(events)) > 1  # type: ignore[arg-type]  # no snapshot: events are asked for
        for since in (0, 1, 63, 64, 65, last - 1):
            found = await take(log, since, last - since)
            assert [event.n for event in found] == list(range(since + 1, last + 1))
            assert all(isinstance(event, Event) for event in found)


async def test_an_event_that_was_committed_and_not_published_is_told_all_the_same(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        jobs = [await b.core.submit(shell("true")) for _ in range(3)]
        b.core.report(jobs[0].id, DONE)
        await b.core.wait(jobs[0].id)
        await until(lambda: b.core.live(jobs[0].id) is None)
        await b.store.write(lambda connection: journal.delete_jobs(connection, [jobs[0].id]))  # by one who went away
        await b.core.submit(shell("true"))
        last = b.core.events.last
        found = await take(b.core.events, 0, last)
        assert [event.n for event in found] == list(range(1, last + 1))
        assert {"job_removed"} < {event.kind for event in found if isinstance(event, Event)}


async def test_events_that_retention_took_are_made_up_for_by_a_snapshot(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        for _ in range(5):
            await b.core.submit(shell("true"))
    async with bench(tmp_path) as b:  # nothing of it is in memory any more
        await b.store.write(lambda connection: connection.execute("delete from event where n < 4"))
        (found,) = await take(b.core.events, 1, 1)
        assert isinstance(found, Snapshot)
        assert (found.n, len(found.jobs)) == (5, 5)


async def test_a_snapshot_has_all_that_runs_and_the_next_that_wait_beside_the_newest(tmp_path: Path) -> None:
    async with bench(tmp_path, running_limit_count=4) as b:
        jobs = [await b.core.submit(shell("true")) for _ in range(30)]
        for job in jobs[:2]:
            b.core.report(job.id, Started(started_us=5, step=0))
        await until(lambda: b.core.events.last == 32)
        found = await b.core.store.read(lambda c: journal.shown(c, newest_count=3, live_count=6))
    shown = [each["id"] for each in found]
    assert shown == [jobs[i].id for i in (29, 28, 27, 5, 4, 3, 2, 1, 0)]
    assert [each["state"] for each in found][-4:] == ["starting", "starting", "running", "running"]
