"""What a job writes is on disk, all of it, in order, with the stream known."""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobdeck_keeper import records
from jobdeck_keeper.pool import SPARES_COUNT
from tests.keeper.client import Client, KeeperProcess, digest, spec_of

ALTERNATE = """
import os, random, sys, time
count, gap, seed = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
rnd = random.Random(seed)
for i in range(count):
    os.write(1 if rnd.random() < 0.5 else 2, b"%d\\n" % i)
    if gap:
        t = time.perf_counter() + gap * 1e-6
        while time.perf_counter() < t: pass
"""


@pytest.mark.parametrize("gap_us", [0, 5, 20, 100])
def test_order_is_exact(client: Client, keeper: KeeperProcess, gap_us: int) -> None:
    count, seed = 20_000, gap_us + 1
    ident = client.spawn("python3", "-I", "-S", "-c", ALTERNATE, str(count), str(gap_us), str(seed))
    facts = client.exit(ident)
    lines = [b"%d\n" % number for number in range(count)]
    output = keeper.output(ident)
    misplaced = sum(a != b for a, b in zip(output.splitlines(keepends=True), lines, strict=True))
    assert misplaced == 0
    rnd = random.Random(seed)
    streams: dict[int, list[bytes]] = {1: [], 2: []}
    for line in lines:
        streams[1 if rnd.random() < 0.5 else 2].append(line)
    assert keeper.stream(ident, records.KIND_STDOUT) == b"".join(streams[1])
    assert keeper.stream(ident, records.KIND_STDERR) == b"".join(streams[2])
    assert facts["exit"]["bytes"] == len(output)
    assert facts["exit"]["order_unknown"] is False


BIG = """
import os, sys
size, piece = int(sys.argv[1]), int(sys.argv[2])
block = bytes(range(256)) * 16
left = size
while left:
    n = os.write(1, (block * (piece // 4096 + 1))[:min(piece, left)])
    left -= n
"""


@pytest.mark.parametrize("order", ["exact", "bulk"])
@pytest.mark.parametrize("piece", [1000, 4096, 65536])
def test_big_output(client: Client, keeper: KeeperProcess, order: str, piece: int) -> None:
    size = 4_000_000 if piece == 1000 else 24_000_000
    ident = client.spawn("python3", "-I", "-S", "-c", BIG, str(size), str(piece), order=order)
    facts = client.exit(ident)
    pattern = (bytes(range(256)) * (piece // 256 + 2))[:piece]
    assert facts["exit"]["bytes"] == size
    assert digest(keeper.output(ident)) == digest((pattern * (size // piece + 1))[:size])


def test_binary_output(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn("head", "-c", "300000", "/dev/urandom")
    client.exit(ident)
    assert len(keeper.output(ident)) == 300_000


def test_reopening_dev_stderr(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("echo 1; echo 2 >/dev/stderr; echo 3; echo 4 >/dev/stderr; echo 5 >>/dev/stdout")
    client.exit(ident)
    # What goes through a description of the job's own making has no packets: two such writes may come as one.
    assert sorted(keeper.output(ident).split()) == [b"1", b"2", b"3", b"4", b"5"]


def test_index_knows_times_and_stdout_bytes(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("for i in 1 2 3; do echo out$i; echo e$i >&2; sleep 0.02; done")
    client.exit(ident)
    runs = keeper.runs(ident)
    output = keeper.output(ident)
    before = 0
    ends = [run.offset for run in runs[1:]] + [len(output)]
    for run, end in zip(runs, ends, strict=True):
        assert run.before == before
        before += end - run.offset if run.kind == records.KIND_STDOUT else 0
    times = [run.time_us for run in runs]
    assert times == sorted(times)
    assert times[-1] - times[0] >= 38_000


def test_quota_is_exact_and_does_not_disturb(client: Client, keeper: KeeperProcess) -> None:
    for limit in (0, 1, 4095, 100_000):
        ident = client.bash("head -c 300000 /dev/zero | tr '\\0' x; echo done >&2", output_limit_bytes=limit)
        facts = client.exit(ident)
        assert keeper.output(ident) == b"x" * limit
        assert facts["exit"]["code"] == 0
        assert (facts["exit"]["bytes"], facts["exit"]["dropped"]) == (limit, 300_005 - limit)
        last = keeper.runs(ident)[-1]
        assert (last.kind, last.offset, last.before) == (records.KIND_GAP, limit, 300_005 - limit)


def test_a_quota_just_reached_is_no_gap(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("head -c 5000 /dev/zero", output_limit_bytes=5000)
    assert client.exit(ident)["exit"]["dropped"] == 0
    assert keeper.runs(ident)[-1].kind == records.KIND_STDOUT


def test_index_quota(client: Client, keeper: KeeperProcess) -> None:
    limit = 64 + 32 * 100
    ident = client.spawn("python3", "-I", "-S", "-c", ALTERNATE, "5000", "0", "9", index_limit_bytes=limit)
    facts = client.exit(ident)
    assert facts["exit"]["dropped"] > 0
    total = sum(len(b"%d\n" % number) for number in range(5000))
    assert facts["exit"]["bytes"] + facts["exit"]["dropped"] == total
    size = (keeper.folder(ident) / "runs").stat().st_size
    assert limit < size <= limit + 32 * 4  # kept, then gaps
    lines = keeper.output(ident).split(b"\n")
    assert lines[:-1] == [b"%d" % number for number in range(len(lines) - 1)]


def test_output_limit_may_stop_the_job(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("exec yes", output_limit_bytes=100_000, on_limit="stop")
    facts = client.exit(ident)
    assert facts["stop"]["reason"] == "output limit"
    assert facts["exit"]["signal"] == 15
    assert facts["exit"]["bytes"] == 100_000


def test_gaps_are_told_while_it_runs(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("for i in {1..14}; do head -c 1000 /dev/zero; sleep 0.1; done", output_limit_bytes=10)
    time.sleep(1.3)
    gaps = [run for run in all_runs(keeper, ident) if run.kind == records.KIND_GAP]
    assert len(gaps) >= 2
    assert [gap.before for gap in gaps] == sorted(gap.before for gap in gaps)
    client.exit(ident)


def all_runs(keeper: KeeperProcess, ident: str) -> list[records.RunRecord]:
    data = (keeper.folder(ident) / "runs").read_bytes()[records.HEADER.size :]
    found = [records.unpack_run(data[place : place + 32]) for place in range(0, len(data), 32)]
    return [run for run in found if run is not None]


def test_touch_sets_times(keeper: KeeperProcess) -> None:
    client = Client(keeper.data, touch=True)
    ident = client.bash("echo a; sleep 0.1; echo b; sleep 0.1; echo c")
    client.exit(ident)
    assert keeper.output(ident) == b"a\nb\nc\n"
    client.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 256 KiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"none", os.fsencode(mount), b"tmpfs", 0, b"size=256k") != 0:
        pytest.skip("a small file system cannot be mounted here (needs root)")
    yield mount
    libc.umount2(os.fsencode(mount), 2)


@pytest.fixture
def cramped(small_disk: Path) -> Iterator[KeeperProcess]:
    keeper = KeeperProcess(small_disk / "data")
    yield keeper
    keeper.end()


@pytest.mark.slow
def test_a_full_disk_loses_nothing(cramped: KeeperProcess, small_disk: Path, tmp_path: Path) -> None:
    client = Client(cramped.data)
    blocker = small_disk / "blocker"
    blocker.write_bytes(b"x" * 100_000)
    line = "head -c 200000 /dev/urandom | tee $0; echo end >&2; exit 5"
    ident = client.spawn("bash", "-c", line, str(tmp_path / "copy"))
    assert client.event("note", ident, 5)["note"] == "waiting for disk space"
    time.sleep(0.3)
    assert (cramped.folder(ident) / "output").stat().st_size < 200_000
    blocker.unlink()
    assert client.event("note", ident)["note"] is None
    assert client.exit(ident)["exit"]["code"] == 5
    assert cramped.output(ident) == (tmp_path / "copy").read_bytes() + b"end\n"
    client.close()


def fill_up(path: Path) -> None:
    with contextlib.suppress(OSError), open(path, "wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


@pytest.mark.slow
def test_an_exit_record_needs_no_space(cramped: KeeperProcess, small_disk: Path) -> None:
    client = Client(cramped.data)
    ident = client.spawn("sleep", "0.3")
    client.event("start", ident)
    time.sleep(0.1)
    fill_up(small_disk / "blocker")
    assert client.exit(ident)["exit"]["code"] == 0
    answers = [client.call("spawn", spec=spec_of("true")) for _ in range(SPARES_COUNT + 1)]
    assert "No space" in answers[-1]["error"]  # the spares were made while there was space
    client.close()
