"""What a worker keeps on its disk: lives, and jobs of which the server has all."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path

import pytest
import trio
import trio.testing

from jobdeck_protocol import RemoteWireError
from jobdeck_protocol.workermirror import Range, Sizes
from jobdeck_protocol.workerwords import How
from jobdeck_server.core.datadir import DataDirError
from jobdeck_server.engines.base import Ended
from jobdeck_server.worker.jobfiles import JobFiles
from jobdeck_server.worker.lanes import LIMIT_COUNT, Lanes
from jobdeck_server.worker.lives import Lives
from jobdeck_server.worker.settings import WorkerSettings
from jobdeck_server.worker.starts import Starts
from jobdeck_server.worker.upkeep import keep_up
from tests.worker.place import place

_DAY_US = 86_400 * 1_000_000
BOOT = "11111111-2222-3333-4444-555555555555"


def make(jobs_dir: Path) -> str:
    job_id = str(uuid.uuid4())
    folder = jobs_dir / job_id
    folder.mkdir(parents=True)
    (folder / "record").write_bytes(bytes(4096))
    (folder / "output").write_bytes(b"x" * 100)
    (folder / "runs").write_bytes(bytes(64 + 32 + 7))
    (folder / "input").write_bytes(b"in")
    (folder / "sub").mkdir()
    (folder / "sub" / "file").touch()
    return job_id


def test_files_go_after_a_day_and_the_record_after_thirty(tmp_path: Path) -> None:
    files = JobFiles(tmp_path, tmp_path / "work")
    released, other = make(tmp_path), make(tmp_path)
    (tmp_path / "no-job").mkdir()

    def sweep(now_us: int) -> set[str]:
        files.sweep(now_us, output_keep_s=86_400.0, output_keep_bytes=10_000, record_keep_s=30 * 86_400.0)
        return {each.name for each in (tmp_path / released).glob("*")}

    files.release(released, 5)
    files.release(released, 5 + 20 * _DAY_US)  # said again: the first counts
    assert len(sweep(4 + _DAY_US)) == 6
    ended = Ended(how="exit", code=0, finished_us=3, output_bytes=100)
    before = files.final(released, ended)
    assert (before.end.runs_bytes, before.gone) == (96, False)
    assert sweep(5 + _DAY_US) == {"record", "released"}
    after = files.final(released, ended)
    assert (after.end, after.gone) == (before.end, True)
    assert sweep(4 + 30 * _DAY_US) == {"record", "released"}
    sweep(5 + 30 * _DAY_US)
    assert not (tmp_path / released).exists()
    assert len(list((tmp_path / other).iterdir())) == 5
    assert files.ids(released=True) == files.ids(released=False) == [other]


def test_of_more_than_may_be_kept_the_oldest_goes_first(tmp_path: Path) -> None:
    files = JobFiles(tmp_path, tmp_path / "work")
    jobs = [make(tmp_path) for _ in range(3)]
    unknown = make(tmp_path)  # the server does not have all of it
    for number, job_id in enumerate(jobs):
        files.release(job_id, number + 1)
    files.sweep(9, output_keep_s=1e6, output_keep_bytes=2 * (100 + 96 + 2), record_keep_s=1e6)
    assert [(tmp_path / job_id / "output").exists() for job_id in [*jobs, unknown]] == [False, True, True, True]
    assert files.claimed(jobs[0])


async def test_the_sweep_comes_again(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    del autojump_clock
    files, job_id = JobFiles(tmp_path, tmp_path / "work"), make(tmp_path)
    starts = Starts(tmp_path, files, boot_id=BOOT, keep_s=1e6)
    files.release(job_id, 5)
    own = WorkerSettings(server="", token_file=tmp_path, name="", slots_count=1, output_keep_s=0.0, record_keep_s=1e12)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keep_up, files, starts, own)
        while (tmp_path / job_id / "output").exists():  # noqa: ASYNC110  # a thread does it, and nobody tells
            await trio.sleep(600)
        nursery.cancel_scope.cancel()


def test_notes_that_cannot_be_read(tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path, tmp_path / "work"), make(tmp_path)
    (tmp_path / job_id / "released").write_text("{")
    assert files.released(job_id) is None
    assert files.ids(released=False) == [job_id], "it is told again"
    nobody = str(uuid.uuid4())
    files.release(nobody, 1)
    files.remove_files(nobody)
    files.accept(nobody)
    assert not (tmp_path / nobody).exists()


def test_an_end_is_told_with_all_that_is_known(tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path, tmp_path / "work"), make(tmp_path)
    died = files.final(job_id, Ended(how="exit", signal=11, core=True, finished_us=1)).end
    assert (died.signal, died.core) == (11, True)
    end = files.final(job_id, Ended(how="lost", text="t" * 100_000, finished_us=1)).end
    assert (end.how, end.output_bytes, end.runs_bytes, len(end.text or "")) == (How.LOST, 100, 96, 4096), (
        "what is there"
    )


def test_pieces_are_read_whole_or_not_at_all(tmp_path: Path) -> None:
    files, job_id = JobFiles(tmp_path, tmp_path / "work"), make(tmp_path)
    assert files.read(job_id, Range(Sizes(90, 64), 32, 10)) == (bytes(32), b"x" * 10)
    assert files.read(job_id, Range(Sizes(90, 64), 32, 11)) is None
    assert files.read(job_id, Range(Sizes(90, 64), 32, 11), wait=False) is None
    assert files.read(job_id, Range(Sizes(90, 64), 32, 10), wait=False) in (None, (bytes(32), b"x" * 10))
    (tmp_path / job_id / "output").unlink()
    assert files.read(job_id, Range(Sizes(0, 0), 32, 0)) == (bytes(32), b"")
    assert files.read(job_id, Range(Sizes(0, 0), 0, 1)) is None


def test_a_connection_that_brings_nothing_new_needs_no_room_on_the_disk(tmp_path: Path) -> None:
    """Else a worker whose disk is full could not come back, and what it has to tell would make no room either."""
    lives = Lives(tmp_path)
    server = str(uuid.uuid4())
    lives.welcomed(lives.lives[-1], server)
    tmp_path.joinpath("worker.json.new").mkdir()  # in the way of whoever writes
    lives.welcomed(lives.lives[-1], server)
    other = str(uuid.uuid4())
    for _ in range(2):  # what could not be written is news the next time, too
        with pytest.raises(OSError, match="directory"):
            lives.welcomed(lives.lives[-1], other)
    tmp_path.joinpath("worker.json.new").rmdir()
    lives.welcomed(lives.lives[-1], other)
    assert Lives(tmp_path).server_life == other


def test_lives_are_on_disk_before_they_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    fsync = os.fsync

    def noted(fd: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{fd}"))
        fsync(fd)

    monkeypatch.setattr(os, "fsync", noted)
    first = Lives(tmp_path)
    assert synced == [str(tmp_path / "worker.json.new"), str(tmp_path)]
    assert (len(first.lives), first.server_life) == (1, None)
    second = Lives(tmp_path)
    assert second.lives[:1] == first.lives
    third = Lives(tmp_path)
    assert third.lives[:2] == second.lives
    server = str(uuid.uuid4())
    third.welcomed(third.lives[-1], server)
    fourth = Lives(tmp_path)
    assert (fourth.lives[:-1], fourth.server_life) == (third.lives[-1:], server)
    assert len(synced) == 10


@pytest.mark.parametrize(
    "content", ["", "{}", '{"lives": ["x"], "server_life": null}', '{"lives": 5, "server_life": 1}']
)
def test_lives_that_are_none(tmp_path: Path, content: str) -> None:
    (tmp_path / "worker.json").write_text(content)
    with pytest.raises(DataDirError, match=r"worker\.json does not hold the lives of a worker"):
        Lives(tmp_path)


async def test_a_copy_of_the_folder_is_told_apart(tmp_path: Path) -> None:
    async with place(tmp_path) as here:
        await here.host.until(lambda: here.host.hellos)
        path = here.data_dir / "worker.json"
        await here.host.until(lambda: json.loads(path.read_text())["server_life"] == here.host.lives[-1])
        old = path.read_text()
        await here.end()
        await here.boot()
        await here.host.until(lambda: len(here.host.hellos) >= 2)
        await here.end()
        path.write_text(old)
        await here.boot()
        assert "this worker's identity was used by another since" in str(await here.dismissed())
        assert len(here.host.faults) == 1
        here.host.faults.clear()


async def test_lanes_keep_the_order_of_one_and_do_not_hold_up_others() -> None:
    done: list[str] = []
    gate = trio.Event()

    async def work(order: str) -> None:
        if order == "a1":
            await gate.wait()
        done.append(order)

    async with trio.open_nursery() as nursery:
        lanes = Lanes(work, nursery)
        for order in ("a1", "b1", "a2", "b2"):
            lanes.put(order[0], order)
        await trio.testing.wait_all_tasks_blocked()
        assert done == ["b1", "b2"]
        for _ in range(LIMIT_COUNT - 1):
            lanes.put("a", "a3")
        with pytest.raises(RemoteWireError, match="too many orders"):
            lanes.put("a", "a3")
        gate.set()
    assert done[2:4] == ["a1", "a2"]
