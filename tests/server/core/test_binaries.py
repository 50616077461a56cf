"""Binaries in their versions, with real files and a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_protocol import packageinfo
from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import journal
from jobdeck_server.core.binaries import Binaries, Binary, PreloadError, kind_of
from jobdeck_server.core.errors import (
    BadBinaryError,
    BadRequestError,
    BinaryInUseError,
    BinaryTypeError,
    CapacityError,
    ConflictError,
    MissingContentError,
    TooLargeError,
    UnknownBinaryError,
    UnknownBlobError,
)
from jobdeck_server.core.events import Event
from tests.server.core.blobbench import BlobBench, blobbench
from tests.server.core.harness import take

ZIP = b"PK\x03\x04 and so on"
HOUR_S = 3600.0


@dataclass
class Bench:
    """Binaries over a blob store."""

    binaries: Binaries
    blobs: BlobBench

    async def send(self, name: str, data: bytes = ZIP, kind: str = "wheel") -> Binary:
        async with self.binaries.upload(name, kind) as upload:
            await upload.write(data)
            return await upload.commit()

    async def job(self, job_id: str, *names: str, content: str = "", state: JobState = JobState.QUEUED) -> Job:
        """A job out of packages is accepted."""
        job = Job(id=job_id, dialect="spark", state=state, packages=names)
        spec: dict[str, Any] = {"package": {"packages": [{"name": "x", "kind": "wheel", "content": content}]}}
        await self.blobs.store.write(lambda c: journal.insert_job(c, job, spec, boot_id=None, idempotency=None))
        return job

    async def end(self, job: Job) -> Job:
        ended = replace(job, state=JobState.SUCCEEDED, finished_us=5)
        await self.blobs.events.commit(lambda c: journal.update_job(c, ended))
        return ended

    async def collect(self) -> None:
        """As if everything had come long ago, and the collector came by."""
        for path in self.blobs.files():
            self.blobs.age(path.rpartition("/")[2], 2 * HOUR_S)
        await self.blobs.age_records(2 * HOUR_S)
        await self.blobs.blobs.collect()

    async def read(self, content: str) -> int:
        """Length of what is there."""
        with await self.blobs.blobs.content(content) as file:
            return file.size_bytes

    async def blob_hashes(self) -> list[str]:
        return [stored.hash async for stored in self.blobs.blobs.every(private_too=True)]


@asynccontextmanager
async def bench(folder: Path, core: Any = None, **changes: object) -> AsyncIterator[Bench]:  # enough of a core
    async with blobbench(folder, **changes) as b:
        binaries = Binaries(b.blobs.settings, store=b.store, events=b.events, blobs=b.blobs, core=core)
        yield Bench(binaries, b)


# -- coming in --


async def test_what_was_sent_last_is_what_a_name_stands_for(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.send("other", kind="jar")
        first = await b.send("test")
        second = await b.send("test", ZIP + b"!", "egg")
        assert (first.versions_count, second.versions_count) == (1, 2)
        assert (second.kind, second.size_bytes, second.blob != first.blob) == ("egg", len(ZIP) + 1, True)
        assert second.uploaded_us >= first.uploaded_us
        assert [each.name for each in await b.binaries.list()] == ["other", "test"]
        assert (await b.binaries.list())[1] == second == await b.binaries.get("test")
        assert [each.content for each in await b.binaries.versions("test")] == [second.content, first.content]
        await b.binaries.delete("test")
        assert [each.name for each in await b.binaries.list()] == ["other"]
        assert not await b.binaries.versions("test")
        for ask in (b.binaries.get, b.binaries.delete):
            with pytest.raises(UnknownBinaryError):
                await ask("test")


async def test_the_same_bytes_again_are_a_new_version_and_are_kept_once(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.send("test")
        second = await b.send("test")
        third = await b.send("again")
        assert first.content == second.content == third.content
        assert (second.versions_count, second.blob) == (2, first.blob)
        assert third.blob != first.blob  # its name is another
        assert list(b.blobs.files().values()) == [len(ZIP)]


class Pieces:
    """A source that gives what it has as there is room."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = [piece for piece in pieces if piece]

    async def read_into(self, room: memoryview) -> int:
        await trio.lowlevel.checkpoint()
        if not self._pieces:
            return 0
        piece = self._pieces.pop(0)
        count = min(len(piece), len(room))
        room[:count] = piece[:count]
        if piece[count:]:
            self._pieces.insert(0, piece[count:])
        return count


CUTS = st.lists(st.integers(0, 12), max_size=6).map(sorted)
HEADS = st.one_of(st.binary(max_size=8), st.sampled_from([b"PK\x03\x04" + b"x" * n for n in range(4)]), st.just(b"PK"))


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)  # each makes files of its own
@given(examples=st.lists(st.tuples(HEADS, CUTS, st.booleans()), min_size=12, max_size=12))
def test_only_what_begins_as_a_zip_is_kept_however_it_comes(
    tmp_path_factory: pytest.TempPathFactory, examples: list[tuple[bytes, list[int], bool]]
) -> None:
    async def main() -> None:
        async with bench(tmp_path_factory.mktemp("b")) as b:
            for data, cuts, filled in examples:
                pieces = [data[at:to] for at, to in zip([0, *cuts], [*cuts, len(data)], strict=True)]
                good = len(data) > 4 and data.startswith(b"PK\x03\x04")
                try:
                    async with b.binaries.upload("test", "wheel") as upload:
                        if filled:
                            await upload.fill(Pieces(pieces))
                        else:
                            for piece in pieces:
                                await upload.write(piece)
                        kept = await upload.commit()
                except BadBinaryError:
                    assert not good
                else:
                    assert good
                    assert (kept.size_bytes, await b.read(kept.content)) == (len(data), len(data))
                    await b.binaries.delete("test")
            assert not [path for path in b.blobs.files() if path.startswith("tmp/")]

    trio.run(main)


async def test_what_is_broken_off_leaves_the_name_as_it_was(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        first = await b.send("test")
        with suppress(ConnectionError):
            async with b.binaries.upload("test", "wheel", expected_bytes=1000) as upload:
                await upload.write(ZIP * 2)
                raise ConnectionError
        async with b.binaries.upload("test", "egg") as upload:
            await upload.write(ZIP * 3)
        assert await b.binaries.list() == [first]
        assert len(b.blobs.files()) == 1


async def test_what_is_no_name_and_no_kind(tmp_path: Path) -> None:
    async with bench(tmp_path, binary_name_limit_bytes=8) as b:
        for name in ("", "a\0b", "\udc80"):
            with pytest.raises(BadRequestError):
                await b.send(name)
            with pytest.raises(UnknownBinaryError):
                await b.binaries.get(name)
        with pytest.raises(TooLargeError):
            await b.send("ü" * 5)
        with pytest.raises(BadRequestError, match="kind"):
            await b.send("x", kind="Wheel")
        for name in ("ü" * 4, "../..", "a,b=\n", "\x1b[0m"):
            assert (await b.send(name)).name == name
            assert (await b.binaries.get(name)).name == name
            await b.binaries.delete(name)
        assert b.blobs.files() != {}


async def test_there_may_be_so_many_names(tmp_path: Path) -> None:
    async with bench(tmp_path, binary_limit_count=2) as b:
        await b.send("a")
        await b.send("b")
        with pytest.raises(CapacityError):
            await b.send("c")
        await b.send("b", ZIP + b"2")
        await b.binaries.delete("a")
        await b.send("c")
        assert [each.name for each in await b.binaries.list()] == ["b", "c"]


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        ("application/java-archive", "jar"),
        ("application/python-egg", "egg"),
        ("application/python-archive", "egg"),
        ("Application/Python-Wheel ; charset=binary", "wheel"),
    ],
)
def test_content_types(said: str, kind: str) -> None:
    assert kind_of(said) == kind


@pytest.mark.parametrize("said", [None, "", "application/octet-stream", "application/x-www-form-urlencoded", "wheel"])
def test_other_content_types(said: str | None) -> None:
    with pytest.raises(BinaryTypeError, match=f"^Unsupported binary type {said or 'application/octet-stream'}$"):
        kind_of(said)


# -- what is told --


async def test_coming_and_going_is_told(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        last = b.blobs.events.last
        sent = await b.send("test")
        await b.binaries.delete("test")
        told = await take(b.blobs.events, last, 3)
        kinds = {event.kind: event.data for event in told if isinstance(event, Event)}
        assert list(kinds) == ["blob", "package", "package_removed"]
        assert kinds["blob"]["hash"] == sent.blob
        assert packageinfo.from_wire(kinds["package"]) == sent.info()
        assert kinds["package_removed"] == {"name": "test"}


async def test_its_blob_is_listed_and_nobodys_upload(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        sent = await b.send("test")
        blob = await b.blobs.blobs.show(sent.blob)
        assert (blob.name, blob.tags, blob.mime) == ("test", ("package",), "application/python-wheel")
        assert not blob.uploaded
        with pytest.raises(ConflictError, match="is the package 'test'"):
            await b.blobs.blobs.delete(sent.blob, force=True)
        await b.binaries.delete("test")
        await b.blobs.blobs.delete(sent.blob)
        with pytest.raises(UnknownBlobError):
            await b.blobs.blobs.show(sent.blob)


# -- what stays and what goes --


async def test_a_version_stays_and_what_is_deleted_goes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        versions = [await b.send("test", ZIP + bytes([n])) for n in range(3)]
        await b.collect()
        assert [await b.read(each.content) for each in versions] == [len(ZIP) + 1] * 3
        await b.binaries.delete("test")
        await b.blobs.blobs.collect()
        assert len(b.blobs.files()) == 3, "a job may be about to be accepted that runs one"
        await b.collect()
        assert b.blobs.files() == {}
        assert await b.blob_hashes() == []


async def test_the_same_bytes_sent_as_a_blob_stay(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        own = await b.blobs.file("test", ZIP)
        sent = await b.send("test")
        assert own.hash != sent.blob
        await b.blobs.blobs.delete(own.hash)
        await b.collect()
        assert await b.read(sent.content) == len(ZIP)
        again = await b.blobs.file("test", ZIP)
        await b.binaries.delete("test")
        await b.collect()
        assert await b.blob_hashes() == [again.hash]
        assert await b.blobs.read(again.hash) == ZIP


async def test_old_versions_go_but_for_those_that_jobs_need(tmp_path: Path) -> None:
    async with bench(tmp_path, binary_version_limit_count=2) as b:
        first = await b.send("test", ZIP + b"1")
        job = await b.job("j1", "other", content=first.content)
        for n in b"2345":
            last = await b.send("test", ZIP + bytes([n]))
        assert last.versions_count == 3
        assert [each.content for each in await b.binaries.versions("test")][2] == first.content
        await b.collect()
        assert await b.read(first.content) == len(ZIP) + 1
        assert len(b.blobs.files()) == 3
        await b.end(job)
        assert (await b.send("test", ZIP + b"6")).versions_count == 2
        await b.collect()
        assert len(b.blobs.files()) == 2


async def test_the_same_bytes_sent_beside_a_long_job_do_not_pile_up(tmp_path: Path) -> None:
    async with bench(tmp_path, binary_version_limit_count=2) as b:
        await b.job("j1", "test", content=(await b.send("test")).content)
        for _ in range(5):
            assert (await b.send("test")).versions_count <= 2


@pytest.mark.parametrize("state", [JobState.QUEUED, JobState.STARTING, JobState.RUNNING])
async def test_what_a_job_needs_stays_whatever_becomes_of_its_name(tmp_path: Path, state: JobState) -> None:
    async with bench(tmp_path) as b:
        sent = await b.send("test")
        job = await b.job("j1", "some-uri", content=sent.content, state=state)
        await b.binaries.delete("test")
        await b.collect()
        await b.collect()
        assert await b.read(sent.content) == len(ZIP)
        await b.end(job)
        await b.collect()
        with pytest.raises(MissingContentError):
            await b.read(sent.content)
        left = await b.blobs.store.read(lambda c: c.execute("select count(*) from package_use").fetchone()[0])
        assert left == 0


async def test_what_jobs_name_is_not_deleted(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        await b.send("test")
        jobs = [await b.job(f"j{n}", "test", "b") for n in range(3)]
        with pytest.raises(BinaryInUseError, match=r"^Binary is in use by job\(s\): j0, j1, j2$") as caught:
            await b.binaries.delete("test")
        assert caught.value.job_ids == ("j0", "j1", "j2")
        await b.end(jobs[1])
        with pytest.raises(BinaryInUseError, match=r": j0, j2$"):
            await b.binaries.delete("test")
        for job in (jobs[0], jobs[2]):
            await b.end(job)
        await b.binaries.delete("test")


class Told:
    """A core that has told ends which are not yet in the database."""

    def __init__(self) -> None:
        self.ended: dict[str, Job] = {}
        self.bench: Bench | None = None

    async def find(self, job_id: str) -> Job | None:
        return self.ended.get(job_id, Job(id=job_id, dialect="spark"))

    async def committed(self, job_id: str) -> None:
        assert self.bench is not None
        await self.bench.end(self.ended[job_id])


async def test_an_end_that_was_told_counts_though_the_database_is_behind(tmp_path: Path) -> None:
    core = Told()
    async with bench(tmp_path, core) as b:
        core.bench = b
        await b.send("test")
        for name in ("j1", "j2"):
            job = await b.job(name, "test")
            core.ended[name] = replace(job, state=JobState.FAILED, finished_us=1)
        await b.job("j3", "test")
        with pytest.raises(BinaryInUseError, match=r": j3$"):
            await b.binaries.delete("test")
        assert len(await b.binaries.list()) == 1


# -- from the start --


async def test_files_are_there_from_the_start_and_are_sent_again_when_they_change(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a.whl", "b.EGG", "c.jar")}
    for path in files.values():
        path.write_bytes(ZIP + path.name.encode())
    paths = [(path.stem, path) for path in files.values()]
    async with bench(tmp_path) as b:
        for _ in range(2):
            await b.binaries.load(paths)
            found = await b.binaries.list()
            assert [(each.name, each.kind, each.versions_count) for each in found] == [
                *[("a", "wheel", 1), ("b", "egg", 1), ("c", "jar", 1)]
            ]
        files["a.whl"].write_bytes(ZIP + b"new")
        await b.send("c", ZIP + b"by a client", "jar")
        await b.binaries.load(paths)
        assert [each.versions_count for each in await b.binaries.list()] == [2, 1, 3]
        assert (await b.binaries.get("c")).size_bytes == len(ZIP + b"c.jar")


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("a.whl", None, "No such file or directory"),
        ("a.whl", b"text, not a zip", "Binary is not of the right format"),
        ("a.whl", b"", "Binary is not of the right format"),
        ("a.zip", ZIP, r"its name must end in one of \.jar, \.egg, \.whl"),
    ],
)
async def test_a_file_that_cannot_be_had_is_told(tmp_path: Path, name: str, data: bytes | None, why: str) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    async with bench(tmp_path) as b:
        with pytest.raises(PreloadError, match=f"^cannot load the package 'x' from {path}: {why}$"):
            await b.binaries.load([("x", path)])
        assert await b.binaries.list() == []
