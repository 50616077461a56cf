"""Bytes of workers on this disk: in order, safe, patient when there is no room, and gone with their job."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import trio
import trio.testing

from jobdeck_keeper import records
from jobdeck_protocol.workerevents import Append
from jobdeck_protocol.workermirror import NOTHING, Sizes
from jobdeck_server.core import stdin
from jobdeck_server.engines import copies
from jobdeck_server.engines.mirror import Mirror
from tests.server.core.harness import BOOT
from tests.server.remote.deck import until
from tests.server.remote.hand import Task

JOB = "abcdefab-cdef-4abc-8def-abcdefabcdef"
OTHER = "abcdefab-cdef-4abc-8def-abcdefabcde0"
MIB = 1024 * 1024


@dataclass
class Bench:
    mirror: Mirror
    taken: list[Append] = field(default_factory=list)
    synced: list[tuple[str, Sizes]] = field(default_factory=list)
    stalled: list[tuple[frozenset[str], str]] = field(default_factory=list)


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Bench]:
    found = Bench(
        Mirror(
            folder,
            name="w1",
            taken=lambda append: found.taken.append(append),
            synced=lambda job_id, sizes: found.synced.append((job_id, sizes)),
            stalled=lambda jobs, note: found.stalled.append((jobs, note)),
        )
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(found.mirror.run)
        yield found
        nursery.cancel_scope.cancel()


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """A disk of this size, where whoever runs the tests may make one."""
    mount = folder / "small"
    mount.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(mount), b"tmpfs", 0, b"size=" + size.encode()) != 0:
        pytest.skip("no right to mount")
    try:
        yield mount
    finally:
        libc.umount2(os.fsencode(mount), 2)


def appends(count: int, size: int) -> list[Append]:
    """So many pieces of a job's output, each with its record."""
    task, found = Task(runs_it=True), []
    for number in range(count):
        at = Sizes(len(task.output), len(task.runs))
        task.write(bytes([number % 256]) * size)
        found.append(Append(JOB, at, bytes(task.runs[at.runs :]), bytes(task.output[at.output :]), size))
    return found


async def test_bytes_stand_where_they_belong_before_what_comes_after_them(tmp_path: Path) -> None:
    seen: list[int] = []
    async with running(tmp_path) as found:
        for append in appends(50, 1000):
            found.mirror.put(append)
            found.mirror.after(JOB, lambda: seen.append((tmp_path / JOB / "output").stat().st_size))
        await until(lambda: len(seen) == 50)
    assert all(size >= 1000 * number for number, size in enumerate(seen, start=1))
    assert (tmp_path / JOB / "output").read_bytes() == b"".join(append.data for append in appends(50, 1000))
    assert len(found.taken) == 50


class Held:
    """``copies.write``, which holds back what is to be written of one job until it is let go."""

    def __init__(self, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.job_id = job_id
        self.began, self.go = threading.Event(), threading.Event()
        self._write = copies.write
        monkeypatch.setattr(copies, "write", self.write)

    def write(self, jobs_dir: Path, batch: Sequence[Append]) -> tuple[int, copies.Fault | None]:
        if any(append.job_id == self.job_id for append in batch):
            self.began.set()
            assert self.go.wait(30)
        return self._write(jobs_dir, batch)


async def test_a_little_does_not_stand_behind_the_bulk_of_another_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(JOB, monkeypatch)
    bulk, little = appends(3, 100_000), [replace(append, job_id=OTHER) for append in appends(2, 10)]
    tail = replace(appends(4, 100_000)[3], data=b"tail")
    seen: list[str] = []
    async with running(tmp_path) as found:
        for append in (*bulk, tail):
            found.mirror.put(append)
        found.mirror.after(JOB, lambda: seen.append(JOB))
        await until(held.began.is_set)
        for append in little:
            found.mirror.put(append)
        found.mirror.after(OTHER, lambda: seen.append(OTHER))
        await until(lambda: seen == [OTHER])
        assert found.taken == little
        held.go.set()
        await until(lambda: seen == [OTHER, JOB])
        assert found.taken == [*little, *bulk, tail]
    assert (tmp_path / JOB / "output").read_bytes() == b"".join(append.data for append in (*bulk, tail))


async def test_the_bulk_of_a_job_waits_for_the_little_that_came_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Held(JOB, monkeypatch)
    little = appends(1, 10)[0]
    bulk = replace(appends(2, 10)[1], data=bytes(100_000))
    async with running(tmp_path) as found:
        found.mirror.put(little)
        await until(held.began.is_set)
        for append in (bulk, replace(appends(1, 100_000)[0], job_id=OTHER)):
            found.mirror.put(append)
        await trio.testing.wait_all_tasks_blocked()
        assert found.taken == []
        held.go.set()
        await until(lambda: len(found.taken) == 3)
        assert found.taken[:2] == [little, bulk]


async def test_a_little_is_safe_after_a_second_and_much_at_once(tmp_path: Path) -> None:
    async with running(tmp_path) as found:
        small = appends(1, 10)[0]
        began_s = time.monotonic()
        found.mirror.put(small)
        await until(lambda: bool(found.synced))
        assert time.monotonic() - began_s > 0.9, "many small ones are synced together"
        assert found.synced == [(JOB, Sizes(10, 96))]
        found.mirror.drop(JOB)
        for append in appends(5, MIB)[1:]:
            found.mirror.put(append)
        shutil.rmtree(tmp_path / JOB)  # whoever does this does not want it any more
        await until(lambda: len(found.taken) == 5)


async def test_a_full_disk_loses_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path, "512k") as disk:
        (disk / "ballast").write_bytes(bytes(300 * 1024))
        pieces = appends(10, 40 * 1024)
        async with running(disk) as found:
            for append in pieces:
                found.mirror.put(append)
            await until(lambda: bool(found.stalled))
            assert found.stalled[0] == (frozenset({JOB}), "waiting for disk space")
            assert 0 < len(found.taken) < 10
            (disk / "ballast").unlink()
            await until(lambda: len(found.taken) == 10)
            await until(lambda: found.stalled[-1] == (frozenset(), ""))
        assert (disk / JOB / "output").read_bytes() == b"".join(append.data for append in pieces)
        assert (disk / JOB / "runs").read_bytes() == b"".join(append.runs for append in pieces)


async def test_what_comes_for_a_job_that_was_removed_is_passed_over(tmp_path: Path) -> None:
    pieces = appends(3, 100)
    async with running(tmp_path) as found:
        found.mirror.put(pieces[0])
        await until(lambda: len(found.taken) == 1)
        shutil.rmtree(tmp_path / JOB)
        found.mirror.put(pieces[1])
        await until(lambda: len(found.taken) == 2)
    assert not (tmp_path / JOB).exists()


def test_copies_are_cut_to_what_holds(tmp_path: Path) -> None:
    folder = tmp_path / JOB
    assert copies.measure(folder) == NOTHING
    count, fault = copies.write(tmp_path, appends(4, 10))
    assert (count, fault) == (4, None)
    whole = copies.measure(folder)
    assert whole == Sizes(40, records.HEADER.size + 4 * 32)
    for torn in (b"x", bytes(32), b"x" * 40):
        with (folder / "runs").open("ab") as file:
            file.write(torn)
        assert copies.measure(folder) == whole
        assert (folder / "runs").stat().st_size == whole.runs
    os.truncate(folder / "output", 15)  # records of bytes that are not there are asked for again with them
    assert copies.measure(folder) == Sizes(15, records.HEADER.size + 2 * 32)
    os.truncate(folder / "runs", 40)
    assert copies.measure(folder) == Sizes(15, 0)
    copies.remove(folder)
    assert not folder.exists()


def test_the_clock_of_an_index_is_corrected_wherever_its_header_comes_in_two() -> None:
    header = records.pack_header(BOOT)
    there_us = records.unpack_header(header).wall_us
    assert copies.corrected(0, header, 0) is header
    for parts in ((header,), (header[:32], header[32:]), (header[:32], header[32:] + bytes(32))):
        at, found = 0, b""
        for part in parts:
            found += copies.corrected(at, part, 5_000_000)
            at += len(part)
        assert records.unpack_header(found).wall_us == there_us - 5_000_000
        assert (found[:32], found[40:64]) == (header[:32], header[40:])
    assert copies.corrected(64, bytes(64), 5_000_000) == bytes(64)
    for nonsense in (b"\xff" * 64, bytes(64)):
        assert len(copies.corrected(0, nonsense, -5_000_000)) == len(copies.corrected(0, nonsense, 1 << 60)) == 64


def test_standard_input_and_where_it_ends(tmp_path: Path) -> None:
    folder = tmp_path / JOB
    assert (copies.input_size(folder), copies.input_end(folder), copies.read_input(folder, 0, 5)) == (0, None, b"")
    folder.mkdir()
    stdin.end(folder, 7)
    stdin.end(folder, 9)  # the first word holds
    (folder / "input").write_bytes(b"0123456")
    assert (copies.input_size(folder), copies.input_end(folder)) == (7, 7)
    assert copies.read_input(folder, 2, 3) == b"234"
