"""kill -9 of shims, of the keeper, of both: no job, byte, status or order is lost, nothing runs twice."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from jobdeck_keeper import procs, records
from tests.keeper.client import Client, KeeperProcess, alive, busy_children, kill, step, wait_until

WITH_AND_WITHOUT_CGROUPS = True
WRITER = """
import os, random, sys, time
count, seed, code, place = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
os.close(os.open(place, os.O_CREAT | os.O_EXCL | os.O_WRONLY))  # a second run would fail here
rnd = random.Random(seed)
for i in range(count):
    os.write(1 if rnd.random() < 0.5 else 2, b"%d\\n" % i)
    if rnd.random() < 0.1: time.sleep(rnd.random() * 0.004)
if code >= 256: os.kill(os.getpid(), code - 256)
os._exit(code)
"""


def writer(client: Client, place: Path, count: int, seed: int, code: int) -> str:
    return client.spawn("python3", "-I", "-S", "-c", WRITER, str(count), str(seed), str(code), str(place))


def check(keeper: KeeperProcess, ident: str, count: int, seed: int, code: int) -> bool:
    """Judge a writer: status, bytes, streams, order; True if the record owns that the order is not known."""
    facts = keeper.facts(ident)
    assert "exit" in facts, facts
    end = facts["exit"]
    assert (end["code"], end["signal"]) == ((code, None) if code < 256 else (None, code - 256)), facts
    lines = keeper.output(ident).splitlines(keepends=True)
    wanted = [b"%d\n" % number for number in range(count)]
    if end.get("cut"):  # all supervisors were dead, then the job ended: what was on its way then is gone, and said so
        assert set(lines) <= set(wanted)
        assert len(wanted) - len(lines) <= 2
        return True
    assert sorted(lines) == sorted(wanted)
    if not end["order_unknown"]:
        assert lines == wanted
        rnd = random.Random(seed)
        mine = []
        for line in wanted:
            if rnd.random() < 0.5:
                mine.append(line)
            if rnd.random() < 0.1:
                rnd.random()
        assert keeper.stream(ident, records.KIND_STDOUT) == b"".join(mine)
    return bool(end["order_unknown"])


def shim_of(keeper: KeeperProcess, ident: str) -> int:
    return int(keeper.facts(ident).get("start", {}).get("shim", 0))


CODES = [0, 3, 255, 256 + 9, 256 + 15]


@pytest.mark.slow
def test_killed_shims(client: Client, keeper: KeeperProcess, tmp_path: Path) -> None:
    rnd = random.Random(5)
    jobs = {}
    for number in range(24):
        job = (rnd.randrange(300), number, rnd.choice(CODES))
        jobs[writer(client, tmp_path / str(number), *job)] = job
    for ident in jobs:
        time.sleep(rnd.random() * 0.008)
        wait_until(lambda ident=ident: shim_of(keeper, ident) or records.is_final(keeper.facts(ident)))
        kill(shim_of(keeper, ident))
    unknown = 0
    for ident, job in jobs.items():
        facts = client.exit(ident)
        if "error" in facts:  # killed between the start record and the go: it never ran, and says so
            assert facts["error"]["text"].startswith("not started")
            assert not (tmp_path / str(job[1])).exists()
        else:
            unknown += check(keeper, ident, *job)
    assert unknown <= 1
    assert no_children(keeper)


def no_children(keeper: KeeperProcess) -> bool:
    wait_until(lambda: not busy_children(keeper.pid))
    return True


@pytest.mark.slow
def test_shims_killed_at_birth(client: Client, keeper: KeeperProcess, tmp_path: Path) -> None:
    """Killed by whoever is a child of the keeper at that moment, often before the start record."""
    rnd = random.Random(6)
    for number in range(30):
        place = tmp_path / str(number)
        ident = writer(client, place, 5, number, 7)
        until = time.monotonic() + rnd.random() * 0.006
        while time.monotonic() < until:
            pass
        for pid in procs.children(keeper.pid):
            if keeper.facts(ident).get("start", {}).get("pid") != pid:
                kill(pid)
        facts = client.exit(ident, 10)
        if "error" in facts:
            assert facts["error"]["text"].startswith("not started")
            time.sleep(0.01)
            assert not place.exists()
        else:
            check(keeper, ident, 5, number, 7)


def test_a_stop_outlives_the_shim(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("trap '' TERM; while :; do sleep 0.05; done")
    shim = client.event("start", ident)["facts"]["start"]["shim"]
    time.sleep(0.1)
    client.call("stop", id=ident, signal=15, grace_s=0.5)
    kill(shim)
    assert client.exit(ident, 4)["exit"]["signal"] == 9


def test_stop_and_signal_after_the_shim(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("trap 'echo usr1' USR1; sleep 60 >/dev/null & echo on; while :; do sleep 0.02; done")
    shim = client.event("start", ident)["facts"]["start"]["shim"]
    wait_until(lambda: keeper.output(ident) == b"on\n")
    kill(shim)
    wait_until(lambda: not alive(shim))
    client.call("ping")
    assert client.call("signal", id=ident, signal=10)["status"] == "sent"
    wait_until(lambda: b"usr1" in keeper.output(ident))
    client.call("stop", id=ident, signal=15, grace_s=5)
    assert client.exit(ident, 4)["exit"]["signal"] == 15


def test_limits_and_lingering_after_the_shim(client: Client, keeper: KeeperProcess) -> None:
    ids = [
        client.bash("sleep 0.2; exec yes", output_limit_bytes=100_000, on_limit="stop"),
        client.bash("exec sleep 60", time_limit_s=0.5),
        client.bash("sleep 0.2; (sleep 0.3; echo late) & exit 5"),
        client.bash("sleep 0.2; sleep 60 & exit 6", linger_s=0.2),
    ]
    for ident in ids:
        kill(client.event("start", ident)["facts"]["start"]["shim"])
    ends = [client.exit(ident, 6) for ident in ids]
    assert (ends[0]["stop"]["reason"], ends[0]["exit"]["bytes"]) == ("output limit", 100_000)
    assert (ends[1]["stop"]["reason"], ends[1]["exit"]["signal"]) == ("time limit", 15)
    assert (ends[2]["exit"]["code"], ends[2]["exit"]["lingered"]) == (5, False)
    assert keeper.output(ids[2]) == b"late\n"
    assert (ends[3]["exit"]["code"], ends[3]["exit"]["lingered"]) == (6, True)


def test_dropping_goes_on_after_the_shim(client: Client, keeper: KeeperProcess) -> None:
    ident = client.bash("for i in {1..20}; do echo 0123456789; sleep 0.02; done", output_limit_bytes=30)
    shim = client.event("start", ident)["facts"]["start"]["shim"]
    wait_until(lambda: keeper.output(ident) == b"0123456789\n0123456789\n01234567")
    time.sleep(0.05)
    kill(shim)
    end = client.exit(ident)["exit"]
    assert end["bytes"] == 30
    assert 0 < end["dropped"] <= 190
    last = keeper.runs(ident)[-1]
    assert (last.kind, last.flags & records.FLAG_LOWER_BOUND) == (records.KIND_GAP, records.FLAG_LOWER_BOUND)


def test_steps_go_on_after_the_shim(client: Client, keeper: KeeperProcess) -> None:
    ident = client.spawn(
        steps=[step("bash", "-c", "sleep 0.2; echo a"), step("echo", "b"), step("bash", "-c", "exit 9")]
    )
    kill(client.event("start", ident)["facts"]["start"]["shim"])
    end = client.exit(ident)["exit"]
    assert (end["code"], end["step"]) == (9, 2)
    assert keeper.output(ident) == b"a\nb\n"


def test_killed_keeper(make_keeper: Callable[..., KeeperProcess], tmp_path: Path) -> None:
    keeper = make_keeper()
    rnd = random.Random(7)
    jobs: dict[str, tuple[int, int, int]] = {}
    for round_ in range(6):
        client = Client(keeper.data)
        for number in range(round_ * 4, round_ * 4 + 4):
            job = (rnd.randrange(300), number, rnd.choice(CODES))
            jobs[writer(client, tmp_path / str(number), *job)] = job
        time.sleep(rnd.random() * 0.05)
        client.close()
        keeper.kill()
        keeper.start()
        assert keeper.word == "ready"
    wait_ended(keeper, jobs)
    for ident, job in jobs.items():
        facts = keeper.facts(ident)
        if "error" in facts:
            assert facts["error"]["text"].startswith("not started")
            assert not (tmp_path / str(job[1])).exists()
        else:
            assert not check(keeper, ident, *job)


def wait_ended(keeper: KeeperProcess, jobs: dict[str, tuple[int, int, int]]) -> None:
    client = Client(keeper.data)
    wait_until(lambda: not client.call("list")["jobs"], 20)
    assert all(records.is_final(keeper.facts(ident)) for ident in jobs)
    client.close()


@pytest.mark.skipif(
    procs.exit_status(os.pidfd_open(os.getpid())) is None and os.uname().release < "6.15",
    reason="this kernel does not tell the status of a process that somebody else has reaped",
)
def test_keeper_and_shims_killed_together(make_keeper: Callable[..., KeeperProcess], tmp_path: Path) -> None:
    keeper = make_keeper()
    rnd = random.Random(8)
    jobs: dict[str, tuple[int, int, int]] = {}
    for round_ in range(5):
        client = Client(keeper.data)
        fresh = []
        for number in range(round_ * 4, round_ * 4 + 4):
            job = (200 + rnd.randrange(200), number, rnd.choice(CODES))
            fresh.append(writer(client, tmp_path / str(number), *job))
            jobs[fresh[-1]] = job
        for ident in fresh:
            client.event("start", ident)
        time.sleep(rnd.random() * 0.01)
        client.close()
        shims = [shim_of(keeper, ident) for ident in fresh]
        assert keeper.process is not None
        for pid in [*shims, keeper.pid]:
            kill(pid)
        keeper.process.wait()
        keeper.start()
    wait_ended(keeper, jobs)
    lost = 0
    for ident, job in jobs.items():
        facts = keeper.facts(ident)
        if "lost" in facts:  # it ended in the moment when nobody was there to see it
            lost += 1
            assert "supervisor" in facts["lost"]["why"]
        else:
            check(keeper, ident, *job)
    assert lost <= 4


def test_a_keeper_finds_a_claim_that_never_ran(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper()
    keeper.kill()
    folder = keeper.folder("claimed")
    folder.mkdir()
    claim = {"v": 1, "boot": procs.boot_id(), "cgroup": None, "stdin": False, "order": "exact"}
    fd = records.create_record(str(folder), claim)
    assert fd is not None
    os.close(fd)
    keeper.start()
    assert keeper.facts("claimed")["error"]["text"].startswith("not started")


def test_a_keeper_finds_a_job_of_another_boot(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper()
    client = Client(keeper.data)
    ident = client.bash("echo hi")
    client.exit(ident)
    client.close()
    keeper.kill()
    folder = keeper.folder(ident)
    fd = os.open(folder / "record", os.O_RDWR)
    claim, start = (records.read_slot(fd, name) for name in ("claim", "start"))
    assert claim is not None
    assert start is not None
    boot = "00000000-0000-0000-0000-000000000000"
    records.write_slot(fd, "claim", claim | {"boot": boot})
    records.write_slot(fd, "start", start | {"boot": boot})
    os.pwrite(fd, b"\0" * 512, records.SLOTS.index("exit") * 512)
    os.close(fd)
    with open(folder / "runs", "ab") as file:
        file.write(records.pack_run(1000, 5, 0, 1) + b"torn")
    keeper.start()
    lost = keeper.facts(ident)["lost"]
    assert "restarted" in lost["why"]
    assert lost["bytes"] == 3
    assert (folder / "runs").stat().st_size == 64 + 32


def test_a_new_keeper_stops_and_signals_old_jobs(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper()
    client = Client(keeper.data)
    ids = [client.bash("trap 'echo usr1' USR1; echo on; while :; do sleep 0.02; done") for _ in range(2)]
    for ident in ids:
        client.event("start", ident)
        wait_until(lambda ident=ident: keeper.output(ident) == b"on\n")
    shim = shim_of(keeper, ids[1])
    client.close()
    keeper.kill()
    kill(shim)
    keeper.start()
    client = Client(keeper.data)
    assert sorted(client.greeting["jobs"]) == sorted(ids)
    for ident in ids:
        assert client.call("signal", id=ident, signal=10)["status"] == "sent"
        wait_until(lambda ident=ident: b"usr1" in keeper.output(ident))
        assert client.call("stop", id=ident, signal=15, grace_s=3)["status"] == "stopping"
        facts = client.exit(ident, 5)
        assert facts["exit"]["signal"] == 15
    client.close()


def test_a_job_kills_the_keeper(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper()
    client = Client(keeper.data)
    others = [client.bash(f"sleep 0.3; exit {code}") for code in range(5)]
    client.bash(f"sleep 0.1; kill -9 {keeper.pid}")
    assert keeper.process is not None
    keeper.process.wait()
    client.close()
    keeper.start()
    wait_until(lambda: all(records.is_final(keeper.facts(ident)) for ident in others))
    assert [keeper.facts(ident)["exit"]["code"] for ident in others] == list(range(5))


def test_polite_signals_do_nothing(make_keeper: Callable[..., KeeperProcess]) -> None:
    keeper = make_keeper()
    client = Client(keeper.data)
    ident = client.bash("sleep 0.2; exit 3")
    shim = client.event("start", ident)["facts"]["start"]["shim"]
    for pid in (keeper.pid, shim):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            os.kill(pid, number)
    assert client.exit(ident)["exit"]["code"] == 3
    client.call("ping")
    client.close()
