"""Collection: what nobody needs goes, what anybody needs stays, whatever happens meanwhile."""

from __future__ import annotations

import os
import sqlite3
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import JobState
from jobdeck_server.core import journal
from jobdeck_server.core.blobs import ArchiveTarget
from jobdeck_server.core.errors import MissingContentError, UnknownBlobError
from jobdeck_server.core.events import Event
from tests.server.core.blobbench import BlobBench, blobbench, unzipped
from tests.server.core.harness import take, until

HOUR_S = 3600.0


async def grown_old(b: BlobBench, seconds: float = 2 * HOUR_S) -> None:
    """As if everything had come so long ago."""
    for path in b.files():
        b.age(path.rpartition("/")[2], seconds)
    await b.age_records(seconds)


async def test_bytes_without_a_record_go_after_the_grace_time(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        kept = await b.file("kept", b"kept")
        loose = await b.send(b"loose")
        removed = await b.file("removed", b"removed!")
        await b.blobs.delete(removed.hash)
        found = await b.blobs.collect()
        assert (found.content_count, found.young_count, found.kept_count, found.kept_bytes) == (0, 2, 3, 17)
        await grown_old(b)
        for dry_run in (True, False):
            found = await b.blobs.collect(dry_run=dry_run)
            assert (found.content_count, found.content_bytes, found.young_count) == (2, 13, 0)
            assert (found.kept_count, found.kept_bytes, found.record_count) == (1, 4, 0)
            assert found.dry_run is dry_run
            assert len(b.files()) == (3 if dry_run else 1)
        assert await b.read(kept.hash) == b"kept"
        with pytest.raises(MissingContentError):
            await b.blobs.content(loose.hash)


async def test_sending_it_again_keeps_it(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        loose = await b.send(b"loose")
        await grown_old(b)
        await b.send(b"loose")
        assert (await b.blobs.collect()).content_count == 0
        with await b.blobs.content(loose.hash) as file:
            assert file.size_bytes == 5


async def test_what_jobs_made_goes_with_the_last_of_them(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        for job in ("j1", "j2"):
            await b.job(job, state=JobState.SUCCEEDED)
            empty = await b.file("job_stderr.txt", b"", job_id=job)
            own = await b.file("out.txt", job.encode(), job_id=job)
            await b.artifact("all.zip", {"e": (empty.hash, "softLink"), "o": (own.hash, "softLink")}, job_id=job)
        sent = await b.file("sent", b"sent")
        assert not (await b.blobs.show(own.hash)).uploaded
        await grown_old(b)
        assert (await b.blobs.collect(dry_run=True)).record_count == 0
        await b.store.write(lambda c: journal.delete_jobs(c, ["j1"]))
        dry = await b.blobs.collect(dry_run=True)
        assert (dry.record_count, dry.content_count, dry.content_bytes) == (2, 1, 2)
        found = await b.blobs.collect()
        assert set(found.records) == set(dry.records)
        assert (found.record_count, found.content_count) == (2, 1)
        told = await take(b.events, 0, b.events.last)
        gone = [each.data["hash"] for each in told if isinstance(each, Event) and each.kind == "blob_removed"]
        assert sorted(gone) == sorted(found.records)
        assert await b.read(own.hash) == b"j2"
        await b.store.write(lambda c: journal.delete_jobs(c, ["j2"]))
        assert (await b.blobs.collect()).record_count == 3
        assert await b.read(sent.hash) == b"sent"
        assert len(b.files()) == 1


async def test_pins_jobs_links_and_clients_keep_what_jobs_made(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        await b.job("j", state=JobState.SUCCEEDED)
        made = {
            name: await b.file(name, name.encode(), job_id="j") for name in ("pinned", "key", "linked", "sent", "no")
        }
        await b.blobs.pin(made["pinned"].hash, pinned=True)
        await b.job("later", key=made["key"].hash, state=JobState.FAILED)
        await b.artifact("a client's", {"x": (made["linked"].hash, "softLink")})
        await b.file("sent", b"sent")
        await b.store.write(lambda c: journal.delete_jobs(c, ["j"]))
        await grown_old(b)
        found = await b.blobs.collect()
        assert found.records == (made["no"].hash,)
        assert len(b.files()) == 4


async def test_what_clients_sent_goes_by_age_and_only_on_request(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        old = await b.file("old", b"old")
        used = await b.file("used", b"used")
        pinned = await b.artifact("pinned", {"x": (used.hash, "softLink")})
        await b.blobs.pin(pinned.hash, pinned=True)
        await grown_old(b, 10 * HOUR_S)
        young = await b.file("young", b"young")
        assert (await b.blobs.collect()).record_count == 0
        assert (await b.blobs.collect(unused_s=11 * HOUR_S)).record_count == 0
        found = await b.blobs.collect(unused_s=9 * HOUR_S)
        assert found.records == (old.hash,)
        await grown_old(b, 1.5 * HOUR_S)
        assert (await b.blobs.collect(unused_s=0)).records == (young.hash,)
        assert await b.read(used.hash) == b"used"


async def test_an_archive_under_way_keeps_its_files(tmp_path: Path) -> None:
    async with blobbench(tmp_path) as b:
        contents = [await b.send(bytes([n]) * 100_000) for n in range(5)]
        art = await b.artifact("a", {str(n): (each.hash, "object") for n, each in enumerate(contents)})
        target = await b.blobs.resolve(art.hash)
        assert isinstance(target, ArchiveTarget)
        made = b.blobs.archive(target)
        first = await anext(made)
        await b.blobs.delete(art.hash)
        await grown_old(b)
        assert (await b.blobs.collect()).content_count == 0
        assert isinstance(first, bytes)
        data = first
        async for piece in made:
            data += piece if isinstance(piece, bytes) else os.pread(piece.fd, piece.length, piece.offset)
        assert len(unzipped(data)) == 5
        assert (await b.blobs.collect()).content_count == 5


async def test_what_comes_into_use_while_records_go_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between the look at all and the removal somebody pins, links, sends again, and makes a job."""
    async with blobbench(tmp_path) as b:
        await b.job("j", state=JobState.SUCCEEDED)
        names = ("pinned", "linked", "sent", "key", "no")
        parts = {name: await b.file(name, name.encode(), job_id="j") for name in names}
        made = {
            name: await b.artifact(name + ".zip", {"x": (part.hash, "softLink")}, job_id="j")
            for name, part in parts.items()
        }
        await b.store.write(lambda c: journal.delete_jobs(c, ["j"]))
        await grown_old(b)
        assert (await b.blobs.collect(dry_run=True)).record_count == 10
        read = b.store.read

        async def meanwhile() -> None:
            await b.blobs.pin(made["pinned"].hash, pinned=True)
            await b.artifact("new", {"y": (made["linked"].hash, "softLink")})
            await b.blobs.put(made["sent"].record)
            await b.job("new", key=made["key"].hash)

        async def read_then(work: Callable[[sqlite3.Connection], Any]) -> object:
            found: object = await read(work)
            monkeypatch.setattr(b.store, "read", read)
            await meanwhile()
            return found

        monkeypatch.setattr(b.store, "read", read_then)
        found = await b.blobs.collect()
        assert set(found.records) == {parts["no"].hash, made["no"].hash}
        for name in names[:4]:
            assert unzipped(await b.read(made[name].hash)) == {"x": name.encode()}


async def test_removing_in_a_collection_and_sending_at_once(tmp_path: Path) -> None:
    """Many rounds of both at the same time: what was answered as kept is there."""
    async with blobbench(tmp_path, blob_grace_s=0) as b:
        stop = trio.Event()

        async def collect() -> None:
            while not stop.is_set():
                await b.blobs.collect()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(collect)
            for n in range(60):
                data = b"%d" % (n % 3)
                try:
                    stored = await b.file("x", data)
                    assert await b.read(stored.hash) == data
                except MissingContentError:
                    # With no grace time a collection may come between the bytes and their record.
                    continue
                await b.blobs.delete(stored.hash)
            stop.set()


async def test_a_sweep_comes_by_itself(tmp_path: Path) -> None:
    async with blobbench(tmp_path, blob_grace_s=0, blob_sweep_interval_s=0.01) as b:
        await b.send(b"loose")
        await until(lambda: not b.files())


async def test_a_sweep_that_fails_is_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with blobbench(tmp_path, blob_grace_s=0, blob_sweep_interval_s=0.01) as b:
        failed = []

        def fail() -> list[str]:
            failed.append(1)
            raise OSError("the disk is ill")

        with monkeypatch.context() as patch:
            patch.setattr(b.blobs._files, "groups", fail)
            await b.send(b"loose")
            await until(lambda: len(failed) > 1)
        await until(lambda: not b.files())


KINDS = st.lists(st.tuples(st.sampled_from("fjpl"), st.integers(0, 5), st.booleans()), min_size=1, max_size=12)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(KINDS)
async def test_collection_against_a_naive_one(tmp_path: Path, steps: list[tuple[str, int, bool]]) -> None:
    """Files, job's files, pins, links in any mixture: exactly what can be reached from a root stays."""
    async with blobbench(tmp_path) as b:
        await b.blobs.collect(unused_s=0)
        for each in [stored.hash async for stored in b.blobs.every(private_too=True)]:
            await b.blobs.pin(each, pinned=False)
            await b.blobs.delete(each, force=True)
        job = str(uuid.uuid4())
        await b.job(job, state=JobState.SUCCEEDED)
        hashes: list[str] = []
        links: dict[str, set[str]] = {}
        roots: set[str] = set()
        for n, (kind, at, sent) in enumerate(steps):
            job_id = None if sent else job
            if kind in "fj" or not hashes:
                stored = await b.file(f"{n}", b"%d" % n, job_id=job_id)
            elif kind == "p":
                stored = await b.blobs.get(hashes[at % len(hashes)])
                await b.blobs.pin(stored.hash, pinned=True)
                roots.add(stored.hash)
                continue
            else:
                target = hashes[at % len(hashes)]
                stored = await b.artifact(f"{n}", {"x": (target, "softLink")}, job_id=job_id)
                links.setdefault(stored.hash, set()).add(target)
            hashes.append(stored.hash)
            if sent:
                roots.add(stored.hash)
        await b.store.write(lambda c: journal.delete_jobs(c, [job]))
        await grown_old(b)
        left = list(roots)
        reached = set(roots)
        while left:
            new = links.get(left.pop(), set()) - reached
            reached |= new
            left += new
        dry = await b.blobs.collect(dry_run=True)
        found = await b.blobs.collect()
        assert set(found.records) == set(hashes) - reached == set(dry.records)
        assert (dry.content_count, dry.content_bytes) == (found.content_count, found.content_bytes)
        for each in hashes:
            if each in reached:
                await b.blobs.get(each)
            else:
                with pytest.raises(UnknownBlobError):
                    await b.blobs.get(each)
