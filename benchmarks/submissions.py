"""From POST to the end of the job: how long each part takes, and how many a second.

``true`` by ``bash -c``, one at a time and 16 at a time, against ``Popen`` and ``wait`` of the same, and against one
fdatasync for each acceptance, the floor of a durable answer on a disk.

A process is gone when its supervisor has reaped it: its number has left /proc. Its number comes from the ``start`` slot
of the job's record, which is looked at (a few system calls) until it is there; after that a pidfd tells of the death
without further looking. That a client sees the end is measured in runs of their own: neither disturbs the other.
"""

from __future__ import annotations

import json
import os
import select
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from functools import partial
from pathlib import Path

from benchmarks.asking import connections, post_all
from benchmarks.clients import LIMIT_S, ask, connect, get_bytes, post_bytes
from benchmarks.measure import Figure, Plan, Sample, Side, Table, children_cpu_s, cpu_ns, keeper_pid, run_rounds
from jobdeck_keeper import records
from tests.e2e.program import Server, server

_POST = post_bytes("/", {"CommandLine": "true"})
_COMMAND = ("bash", "-c", "true")
_AT_ONCE_COUNT = 16
_LOOK_S = 0.0002
_ROW_BYTES = 4096

_ONE = (Figure("gone", "ms from POST"),)
_RATE = (Figure("rate", "jobs/s"),)
_COSTS = (Figure("cpu", "us for each job"),)
_ACCEPT = (Figure("rate", "accepted/s"), Figure("p50", "ms to the answer"))
_TIMES = (Figure("median", "ms after POST"), Figure("p90", "ms after POST"))
_STAGES = ("accepted", "forked", "exit on record", "gone", "end seen")


def run(plan: Plan) -> list[Table]:
    """Five tables; the first is job start, the second its time line."""
    count = plan.pick(60, 15, 2)
    many = plan.pick(160, 32, 4)
    with server(plan.folder / "data") as deck, connect(deck.port) as sock:
        for _ in range(5):
            _gone_once(deck, sock)
        line: dict[str, list[Sample]] = {stage: [] for stage in _STAGES}
        one: dict[str, Side] = {
            "Popen + wait": partial(_popen_one, count),
            "jobdeck": partial(_gone_one, deck, sock, count, line),
            "jobdeck, end at a client": partial(_seen_one, deck, sock, count, line),
        }
        first = _table("bash -c true, one at a time: POST to process gone", _ONE, one, plan, ("Popen + wait",))
        times = Table(title="time line of one job (bash -c true)", figures=_TIMES, samples=line)
        accept: dict[str, Side] = {
            "fdatasync": partial(_sync_one, plan.folder / "floor", many),
            "one at a time": partial(_accept, deck, many, 1),
            f"{_AT_ONCE_COUNT} at a time": partial(_accept, deck, many, _AT_ONCE_COUNT),
        }
        third = _table("accepted (durably) while jobs run", _ACCEPT, accept, plan, ("fdatasync",))
        cpu: dict[str, list[Sample]] = {}
        rate: dict[str, Side] = {
            "Popen, 1 at a time": partial(_popen_many, many, 1),
            f"Popen, {_AT_ONCE_COUNT} at a time": partial(_popen_many, many, _AT_ONCE_COUNT),
            f"jobdeck, {_AT_ONCE_COUNT} at a time": partial(_gone_many, deck, many, cpu),
        }
        bases = tuple(rate)[:2]
        fourth = _table(f"POST to gone, {_AT_ONCE_COUNT} at a time", _RATE, rate, plan, bases)
        fifth = Table(title=f"CPU for each of these jobs, {_AT_ONCE_COUNT} at a time", figures=_COSTS, samples=cpu)
        return [first, times, third, fourth, fifth]


def _table(title: str, figures: Sequence[Figure], sides: dict[str, Side], plan: Plan, bases: tuple[str, ...]) -> Table:
    return Table(title=title, figures=figures, samples=run_rounds(sides, plan), bases=bases)


# -- one at a time --


def _popen_one(count: int) -> Sample:
    took = []
    for _ in range(count):
        start = time.perf_counter()
        subprocess.Popen(_COMMAND).wait()
        took.append(1000 * (time.perf_counter() - start))
    return {"gone": statistics.median(took)}


def _gone_one(deck: Server, sock: socket.socket, count: int, line: dict[str, list[Sample]]) -> Sample:
    """Nobody is attached; each job is watched until its process is gone."""
    times = [_gone_once(deck, sock) for _ in range(count)]
    for stage in times[0]:
        line[stage].append(_summary([each[stage] for each in times]))
    return {"gone": statistics.median(each["gone"] for each in times)}


def _gone_once(deck: Server, sock: socket.socket) -> dict[str, float]:
    posted_us = records.wall_us()
    job = ask(sock, _POST)["ID"]
    accepted_us = records.wall_us()
    path = deck.data_dir / "jobs" / job / "record"
    with closing(_Watched(path)) as watched:
        while not watched.is_gone():
            time.sleep(_LOOK_S)
        gone_us = watched.gone_us
    facts = _final(path)
    at = (accepted_us, facts["start"]["t_us"], facts["exit"]["t_us"], gone_us)
    return {stage: (us - posted_us) / 1000 for stage, us in zip(_STAGES, at, strict=False)}


def _seen_one(deck: Server, sock: socket.socket, count: int, line: dict[str, list[Sample]]) -> Sample:
    """A client attaches as soon as it has the id; the end is the last chunk."""
    took = []
    for _ in range(count):
        posted_us = records.wall_us()
        job = ask(sock, _POST)["ID"]
        sock.sendall(get_bytes(f"/{job}/attach"))
        data = b""
        while not data.endswith(b"\r\n0\r\n\r\n"):
            data += sock.recv(65536)
        took.append((records.wall_us() - posted_us) / 1000)
    line["end seen"].append(_summary(took))
    return {"gone": statistics.median(took)}


def _summary(values: Sequence[float]) -> Sample:
    ordered = sorted(values)
    return {"median": statistics.median(ordered), "p90": ordered[int(0.9 * len(ordered))]}


def _final(path: Path) -> dict[str, records.Payload]:
    facts = records.read_record(path)
    until = time.monotonic() + LIMIT_S
    while "exit" not in facts:
        assert time.monotonic() < until, facts
        time.sleep(_LOOK_S)
        facts = records.read_record(path)
    return facts


class _Watched:
    """One job, from its record's birth to the moment at which its process has left /proc.

    Attributes:
        gone_us: When it was seen to be gone.
    """

    def __init__(self, path: Path) -> None:
        self.gone_us = 0
        self._path = path
        self._record = self._pidfd = -1
        self._pid = 0

    def close(self) -> None:
        for fd in (self._record, self._pidfd):
            if fd >= 0:
                os.close(fd)

    def is_gone(self) -> bool:
        """Look. Waits for the process to die if it is known and lives; its reaping follows within microseconds."""
        if not self._pid and not self._find():
            return False
        if self._pidfd >= 0:
            select.select([self._pidfd], [], [], LIMIT_S)
            while os.path.exists(f"/proc/{self._pid}"):
                time.sleep(_LOOK_S / 4)
        self.gone_us = records.wall_us()
        return True

    def _find(self) -> bool:
        if self._record < 0:
            try:
                self._record = os.open(self._path, os.O_RDONLY)
            except FileNotFoundError:
                return False
        start = records.read_slot(self._record, "start")
        if start is None:
            return False
        self._pid = start["pid"]
        with suppress(ProcessLookupError):  # gone already
            self._pidfd = os.pidfd_open(self._pid)
        return True


# -- accepting --


def _sync_one(path: Path, count: int) -> Sample:
    """Append and sync, one after the other: what one durable answer costs a disk."""
    took = []
    with path.open("ab", buffering=0) as file:
        for _ in range(count):
            start = time.perf_counter()
            file.write(bytes(_ROW_BYTES))
            os.fdatasync(file.fileno())
            took.append(time.perf_counter() - start)
    return {"rate": count / sum(took), "p50": 1000 * statistics.median(took)}


def _accept(deck: Server, count: int, at_once: int) -> Sample:
    took: list[float] = []
    with connections(deck.port, at_once) as socks:
        start = time.perf_counter()
        for _body, passed_s in post_all(socks, count, _POST):
            took.append(1000 * passed_s)
        wall_s = time.perf_counter() - start
    _settle(deck)
    return {"rate": count / wall_s, "p50": statistics.median(took)}


def _settle(deck: Server) -> None:
    """Wait until nothing runs, so that a side does not pay for the one before."""
    until = time.monotonic() + LIMIT_S
    while deck.ask("GET", "/")[2].strip() != b'{"IDs":[]}':
        assert time.monotonic() < until, "jobs do not end"
        time.sleep(0.05)
    time.sleep(0.2)


# -- 16 at a time --


def _popen_many(count: int, at_once: int) -> Sample:
    start = time.perf_counter()
    left = count
    running: list[subprocess.Popen[bytes]] = []
    while left or running:
        while left and len(running) < at_once:
            running.append(subprocess.Popen(_COMMAND))
            left -= 1
        running.pop(0).wait()
    return {"rate": count / (time.perf_counter() - start)}


def _gone_many(deck: Server, count: int, cpu: dict[str, list[Sample]]) -> Sample:
    """Keep 16 jobs under way; a new one is posted when the oldest is gone."""
    assert deck.process is not None
    keeper = keeper_pid(deck.data_dir)
    clocks: dict[str, Callable[[], float]] = {
        "server": partial(_cpu_s, deck.process.pid),
        "keeper": partial(_cpu_s, keeper),
        "shims and jobs": partial(children_cpu_s, keeper),
    }
    before = {name: clock() for name, clock in clocks.items()}
    start = time.perf_counter()
    with connections(deck.port, _AT_ONCE_COUNT) as socks:
        for batch in range(0, count, _AT_ONCE_COUNT):
            jobs = [json.loads(body)["ID"] for body, _ in post_all(socks, min(_AT_ONCE_COUNT, count - batch), _POST)]
            for job in jobs:
                with closing(_Watched(deck.data_dir / "jobs" / job / "record")) as watched:
                    while not watched.is_gone():
                        time.sleep(5 * _LOOK_S)
        wall_s = time.perf_counter() - start
    _settle(deck)
    for name, clock in clocks.items():
        cpu.setdefault(name, []).append({"cpu": 1e6 * (clock() - before[name]) / count})
    return {"rate": count / wall_s}


def _cpu_s(pid: int) -> float:
    return cpu_ns(pid) / 1e9
