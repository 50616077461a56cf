"""Jobs that may have run before the power failed."""

from __future__ import annotations

import json
import os
import time
import uuid
from pathlib import Path

import pytest
import trio

from jobdeck_protocol.workerwords import How
from jobdeck_server.worker import starts as module
from jobdeck_server.worker.jobfiles import JobFiles
from jobdeck_server.worker.starts import Starts
from tests.worker.place import order, place

BOOT, OTHER = "11111111-2222-3333-4444-555555555555", "22222222-2222-3333-4444-555555555555"
DAY_S = 86_400.0


def make(folder: Path, boot_id: str = BOOT) -> Starts:
    (folder / "jobs").mkdir(exist_ok=True)
    return Starts(folder, JobFiles(folder / "jobs", folder / "work"), boot_id=boot_id, keep_s=DAY_S)


def claim(folder: Path, job_id: str) -> None:
    (folder / "jobs" / job_id).mkdir()
    (folder / "jobs" / job_id / "record").write_bytes(bytes(4096))


async def test_a_start_without_a_claim_is_suspect_in_the_next_life_of_the_machine(tmp_path: Path) -> None:
    kept, lost = str(uuid.uuid4()), str(uuid.uuid4())
    first = make(tmp_path)
    for job_id in (kept, lost):
        await first.note(job_id)
    claim(tmp_path, kept)
    same = make(tmp_path)
    assert not same.suspect(lost)
    for _ in range(2):  # it stays one over restarts of the program
        later = make(tmp_path, OTHER)
        assert (later.suspect(kept), later.suspect(lost)) == (False, True)
    claim(tmp_path, lost)
    assert not make(tmp_path, OTHER).suspect(lost)
    assert (tmp_path / "starts").read_text() == ""


async def test_starts_that_come_together_are_synced_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[None] = []
    starts, sync = make(tmp_path), os.fdatasync
    monkeypatch.setattr(os, "fdatasync", lambda fd: synced.append(sync(fd)))
    names = [str(uuid.uuid4()) for _ in range(20)]
    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(starts.note, name)
    assert len(synced) <= 2
    later = make(tmp_path, OTHER)
    assert all(later.suspect(name) for name in names)


async def test_a_full_disk_is_told_to_one_and_tried_again_by_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed: list[str] = []
    starts, append = make(tmp_path), module._append

    def full(path: Path, data: bytes) -> None:
        if not failed:
            append(path, data[:-10])  # a part of it had room
            raise OSError(28, "No space left on device")
        append(path, data)

    monkeypatch.setattr(module, "_append", full)
    names = [str(uuid.uuid4()) for _ in range(5)]

    async def note(name: str) -> None:
        try:
            await starts.note(name)
        except OSError:
            failed.append(name)

    async with trio.open_nursery() as nursery:
        for name in names:
            nursery.start_soon(note, name)
    assert len(failed) == 1
    later = make(tmp_path, OTHER)
    assert all(later.suspect(name) for name in names if name not in failed)


async def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    starts = make(tmp_path)
    names = [str(uuid.uuid4()) for _ in range(3)]
    for name in names:
        await starts.note(name)
    for name in names[:2]:
        claim(tmp_path, name)
    await starts.trim()
    assert len((tmp_path / "starts").read_text().split()) == 9, "it is short"
    monkeypatch.setattr(module, "_LONG_BYTES", 10)
    await starts.trim()
    assert (tmp_path / "starts").read_text().split()[::3] == names[2:]


def test_old_lines_and_such_as_cannot_be_read(tmp_path: Path) -> None:
    now_us = time.time_ns() // 1000
    old = f"a {OTHER} {now_us - int(2 * DAY_S * 1e6)}"
    (tmp_path / "starts").write_bytes(f"{old}\nb {OTHER} x\nc {OTHER}\n\xff\nd {OTHER} {now_us}\n".encode("latin-1"))
    starts = make(tmp_path)
    assert [starts.suspect(name) for name in "abcd"] == [False, False, False, True]


async def test_a_suspect_is_lost_and_never_runs(tmp_path: Path) -> None:
    async with place(tmp_path, boot=False) as here:
        started, withdrawn = str(uuid.uuid4()), str(uuid.uuid4())
        here.data_dir.mkdir()
        lines = [f"{job_id} {OTHER} {time.time_ns() // 1000}\n" for job_id in (started, withdrawn)]
        (here.data_dir / "starts").write_text("".join(lines))
        here.host.keep = True
        for job_id in (started, withdrawn):
            here.host.start(job_id, order(f"touch {tmp_path}/ran"))
        here.host.say(lambda host: host.jobs.withdraw(withdrawn))
        await here.boot()
        first = await here.host.ended(started)
        assert (first.how, first.text) == (How.LOST, "the machine was restarted while it was being started")
        assert (await here.host.ended(withdrawn)).how is How.LOST
        await here.end()
        await here.boot()
        here.host.keep = False
        here.host.say(lambda host: host.jobs.recorded(started))
        await here.host.until(here.job_file(started, "released").exists)
        here.host.start(started, order("true"))
        assert await here.host.ended(started) == first
        assert not (tmp_path / "ran").exists()


async def test_a_record_that_the_power_cut_has_emptied(tmp_path: Path) -> None:
    async with place(tmp_path, boot=False) as here:
        found, asked, stopped = (str(uuid.uuid4()) for _ in range(3))
        for job_id in (found, asked, stopped):
            (here.data_dir / "jobs" / job_id).mkdir(parents=True)
            here.job_file(job_id, "record").write_bytes(b"")
            here.job_file(job_id, "output").write_bytes(b"left")
        note = {"t_us": time.time_ns() // 1000, "sizes": [4, 0]}
        for job_id in (asked, stopped):
            here.job_file(job_id, "released").write_text(json.dumps(note))
        await here.boot()
        for job_id in (asked, stopped):
            here.host.start(job_id, order(f"touch {tmp_path}/ran"))
        here.host.say(lambda host: host.jobs.stop(stopped, 15, 5.0))
        for job_id in (found, asked, stopped):
            end = await here.host.ended(job_id)
            assert (end.how, bytes(here.host.copy(job_id).output)) == (How.LOST, b"left")
        assert not (tmp_path / "ran").exists()
