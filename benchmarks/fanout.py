"""One job, 100 attaches: what it costs to hand each line of 1 KiB to all of them.

Paced: a line every 5 ms, so that each is a delivery of its own to every client. Flood: as fast as the job can write;
what piles up goes out together. The limit is a program that reads the job's pipe and sends each line to each socket.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from benchmarks import peers
from benchmarks.clients import Drop, DropFrames, Reader, connect, open_http, open_websocket, read_all
from benchmarks.measure import Figure, Plan, Sample, Side, Table, run_rounds, timed
from tests.e2e.program import Server, server

_FIGURES = (Figure("cpu", "us of the server per line and client"), Figure("rate", "lines x clients / s"))
# Waits until the gate is there, so that all clients are there before the first line.
_PROGRAM = """
import os, sys, time
gate, count, pause_s = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
while not os.path.exists(gate):
    time.sleep(0.02)
for _ in range(count):
    os.write(1, b"x" * 1023 + b"\\n")
    if pause_s:
        time.sleep(pause_s)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What is printed, and to how many.

    Attributes:
        gate: A file whose birth lets the printing begin.
        pause_s: Between lines, 0 for none.
        settle_s: For heads and greetings to be read before that.
    """

    gate: Path
    clients_count: int
    lines_count: int
    pause_s: float
    settle_s: float

    @property
    def argv(self) -> list[str]:
        """The program that prints."""
        words = (str(self.gate), str(self.lines_count), str(self.pause_s))
        return [sys.executable, "-I", "-S", "-c", _PROGRAM, *words]


def run(plan: Plan) -> list[Table]:
    """Paced, then flood."""
    paced = Load(
        gate=plan.folder / "gate",
        clients_count=plan.pick(100, 100, 5),
        lines_count=plan.pick(300, 50, 2),
        pause_s=0.005,
        settle_s=plan.pick(0.3, 0.3, 0.05),
    )
    flood = replace(paced, lines_count=plan.pick(4000, 500, 10), pause_s=0.0)
    with server(plan.folder / "data") as deck:
        return [_compare("a line every 5 ms", deck, plan, paced), _compare("flood", deck, plan, flood)]


def _compare(title: str, deck: Server, plan: Plan, load: Load) -> Table:
    opens: dict[str, Callable[[str], Reader]] = {
        "HTTP chunked": lambda job: Drop(open_http(deck.port, job)),
        "WebSocket CBOR": lambda job: DropFrames(open_websocket(deck.port, job, cbor=True)),
        "WebSocket raw": lambda job: DropFrames(open_websocket(deck.port, job, cbor=False)),
    }
    sides: dict[str, Side] = {name: partial(_ours, deck, load, open_) for name, open_ in opens.items()}
    sides["send per line"] = partial(_limit, load)
    title = f"fan-out of {load.lines_count:,} lines of 1 KiB to {load.clients_count} clients, {title}"
    return Table(title=title, figures=_FIGURES, samples=run_rounds(sides, plan), bases=("send per line",))


def _ours(deck: Server, load: Load, open_: Callable[[str], Reader]) -> Sample:
    assert deck.process is not None
    load.gate.unlink(missing_ok=True)
    job = deck.submit(shlex.join(load.argv))
    return _measure(deck.process.pid, load, [open_(job) for _ in range(load.clients_count)])


def _limit(load: Load) -> Sample:
    load.gate.unlink(missing_ok=True)
    with subprocess.Popen(load.argv, stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        words = ("benchmarks.peers", "fanout", str(load.clients_count), "{port}")
        with peers.peer(*words, stdin=job.stdout.fileno()) as peer:
            return _measure(peer.pid, load, [Drop(connect(peer.port)) for _ in range(load.clients_count)])


def _measure(pid: int, load: Load, readers: Sequence[Reader]) -> Sample:
    """Open the gate, and read until each client has every line."""
    wanted = load.lines_count * peers.LINE_BYTES
    start = time.monotonic()
    read_all(readers, until=lambda: time.monotonic() > start + load.settle_s)
    with timed(pid) as cost:
        load.gate.touch()
        read_all(readers, until=lambda: all(reader.taken_bytes >= wanted for reader in readers))
    for reader in readers:
        reader.sock.close()
    deliveries = load.lines_count * len(readers)
    return {"cpu": cost.cpu_s * 1e6 / deliveries, "rate": deliveries / cost.wall_s}
