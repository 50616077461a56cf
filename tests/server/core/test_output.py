from __future__ import annotations

from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest
import trio
import trio.lowlevel
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_keeper import records
from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core.errors import OffsetError, OutputGoneError
from jobdeck_server.core.growth import Growth, hears_splice
from jobdeck_server.core.output import OutputReader
from jobdeck_server.core.runs import Kind, RunIndex

BOOT = "11111111-2222-3333-4444-555555555555"
writes = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(min_size=1, max_size=5)), max_size=40)


class Pump:
    """Writes output and index as a pump does: the record first."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.size, self.stdout, self.last = 0, 0, 0
        (folder / "output").write_bytes(b"")
        (folder / "runs").write_bytes(records.pack_header(BOOT))

    def write(self, kind: int, data: bytes, *, empty_first: bool = False) -> None:
        with (self.folder / "runs").open("ab") as runs, (self.folder / "output").open("ab") as output:
            if empty_first:  # a record without data is normal
                runs.write(records.pack_run(self.size, records.boot_us(), self.stdout, 3 - kind))
            if kind != self.last or empty_first:
                runs.write(records.pack_run(self.size, records.boot_us(), self.stdout, kind))
            output.write(data)
        self.last = kind
        self.size += len(data)
        self.stdout += len(data) if kind == 1 else 0


class Watched:
    """A job whose record the test changes, with a reader of its output."""

    def __init__(self, folder: Path, growth: Growth) -> None:
        self.job = Job(id="j", dialect="v1", state=JobState.RUNNING)
        self.growth = growth
        self.reader = OutputReader(folder, growth, lambda: self.job)

    def end(self, size: int) -> None:
        self.job = replace(self.job, state=JobState.SUCCEEDED, output_bytes=size)
        self.growth.poke("j")


@pytest.fixture
async def growth(nursery: trio.Nursery) -> Growth:
    each = Growth()
    nursery.start_soon(each.run)
    return each


@given(st.data(), writes)
@settings(max_examples=60, deadline=None)
def test_every_byte_has_its_stream_from_any_offset(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, parts: list[tuple[int, bytes]]
) -> None:
    pump = Pump(tmp_path_factory.mktemp("job"))
    for kind, piece in parts:
        pump.write(kind, piece, empty_first=data.draw(st.booleans()))
    streams = [kind for kind, piece in parts for _ in piece]
    start = data.draw(st.integers(0, pump.size))
    end = data.draw(st.integers(start, pump.size))
    limit = data.draw(st.integers(1, 10))
    with (pump.folder / "runs").open("rb") as file:
        index = RunIndex(file.fileno())
        seen: list[int] = []
        at = start
        while at < end:
            runs = index.runs(at, end, limit_count=limit)
            assert 0 < len(runs) <= limit
            for run in runs:
                assert run.offset == at
                seen += [run.kind] * run.length
                at += run.length
        assert seen == streams[start:end]
        for kind in (Kind.STDOUT, Kind.STDERR):
            places = [place for place, each in enumerate(streams[:end]) if each == kind]
            assert index.stream_size(kind, end) == len(places)
            position = data.draw(st.integers(0, len(places) + 1))
            found = index.stream_runs(kind, position, end, limit_count=10_000)
            assert [run.offset + n for run in found for n in range(run.length)] == places[position:]


def test_what_lies_at_or_after_the_size_is_ignored(tmp_path: Path) -> None:
    pump = Pump(tmp_path)
    pump.write(1, b"ab")
    with (tmp_path / "runs").open("ab") as runs:
        runs.write(records.pack_run(2, 0, 2, 2))  # written before its bytes, which are not there yet
        runs.write(b"torn")
    with (tmp_path / "runs").open("rb") as file:
        found = RunIndex(file.fileno()).runs(0, 2, limit_count=9)
    assert [(run.offset, run.length, run.kind) for run in found] == [(0, 2, 1)]


async def test_a_reader_waits_for_the_start_then_follows_to_the_end(tmp_path: Path, growth: Growth) -> None:
    watched = Watched(tmp_path / "job", growth)
    got = bytearray()

    async def follow() -> None:
        async with aclosing(watched.reader.extents(0, 4)) as extents:
            async for extent in extents:
                assert 0 < extent.length <= 4
                got.extend(watched.reader.read(extent.offset, extent.length))

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(follow)
            await trio.testing.wait_all_tasks_blocked()
            pump = Pump(tmp_path / "job")
            growth.poke("j")  # the start event
            for number in range(50):
                pump.write(1 + number % 2, b"line %d\n" % number)
                await trio.lowlevel.checkpoint()
            await trio.testing.wait_all_tasks_blocked(0.01)
            assert len(got) == pump.size  # by inotify alone
            pump.write(1, b"last")
            watched.end(pump.size)
    assert got == (tmp_path / "job" / "output").read_bytes()
    watched.reader.close()


async def test_one_stream_counts_its_own_bytes(tmp_path: Path, growth: Growth) -> None:
    pump = Pump(tmp_path / "job")
    for kind, piece in ((1, b"aaa"), (2, b"EE"), (1, b"bbb"), (2, b"FF")):
        pump.write(kind, piece)
    watched = Watched(tmp_path / "job", growth)
    watched.end(pump.size)

    async def read(offset: int, stream: Kind | None) -> bytes:
        with OutputReader(tmp_path / "job", growth, lambda: watched.job) as reader:
            start = reader.start_of(offset, stream)
            async with aclosing(reader.extents(start, 100, stream=stream)) as extents:
                return b"".join([reader.read(extent.offset, extent.length) async for extent in extents])

    assert await read(0, Kind.STDOUT) == b"aaabbb"
    assert await read(4, Kind.STDOUT) == b"bb"
    assert await read(-3, Kind.STDERR) == b"EFF"
    assert await read(-4, None) == b"bbFF"[-4:]
    with pytest.raises(OffsetError):
        await read(7, Kind.STDOUT)
    watched.job = replace(watched.job, output_removed=True)
    with pytest.raises(OutputGoneError):
        await read(0, None)
    watched.reader.close()


@pytest.mark.parametrize("header_bytes", [0, 32])
async def test_an_index_that_has_only_begun_to_come(tmp_path: Path, growth: Growth, header_bytes: int) -> None:
    """As of a job on another machine: its copy's files are there before their first bytes."""
    folder = tmp_path / "job"
    pump = Pump(folder)
    (folder / "runs").write_bytes(records.pack_header(BOOT)[:header_bytes])
    watched = Watched(folder, growth)
    with watched.reader as reader:
        assert reader.start_of(0, Kind.STDOUT) == 0
        (folder / "runs").write_bytes(records.pack_header(BOOT))
        pump.write(1, b"first")
        watched.end(5)
        async with aclosing(reader.extents(0, 100, stream=Kind.STDOUT)) as extents:
            assert b"".join([reader.read(extent.offset, extent.length) async for extent in extents]) == b"first"


def test_this_kernel_is_asked_whether_inotify_hears_splice(tmp_path: Path) -> None:
    assert hears_splice(tmp_path) in (True, False)
    assert list(tmp_path.iterdir()) == []
