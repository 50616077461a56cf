"""One job, 100 attaches: what it costs to hand each line of 1 KiB to all of them.

Paced: a line every 5 ms, so that each is a delivery of its own to every client. Flood: as fast as the job can write;
what piles up goes out together. The limit is a program that reads the job's pipe and sends each line to each socket.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.e2e.program import Server, server

from benchmarks import peers
from benchmarks.clients import Drop, DropFrames, Reader, connect, open_http, open_websocket, read_all
from benchmarks.measure import Figure, Plan, Sample, Side, Table, run_rounds, timed

_FIGURES = (Figure("cpu", "us of the server per line and client"), Figure("rate", "lines x clients / s"))
_CLIENTS_COUNT = 100
_SETTLE_S = 0.3
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


def run(plan: Plan) -> list[Table]:
    """Paced, then flood."""
    clients = plan.pick(_CLIENTS_COUNT, _CLIENTS_COUNT, 5)
    with server(plan.folder / "data") as deck:
        return [
            _compare(f"paced, 5 ms, {clients} clients", deck, plan, clients, plan.pick(300, 100, 5), 0.005),
            _compare(f"flood, {clients} clients", deck, plan, clients, plan.pick(4000, 1000, 20), 0.0),
        ]


def _compare(title: str, deck: Server, plan: Plan, clients: int, lines: int, pause_s: float) -> Table:
    opens: dict[str, Callable[[str], Reader]] = {
        "HTTP chunked": lambda job: Drop(open_http(deck.port, job)),
        "WebSocket CBOR": lambda job: DropFrames(open_websocket(deck.port, job, cbor=True)),
        "WebSocket raw": lambda job: DropFrames(open_websocket(deck.port, job, cbor=False)),
    }
    gate = plan.folder / "gate"
    sides: dict[str, Side] = {
        name: partial(_ours, deck, gate, open_, clients, lines, pause_s) for name, open_ in opens.items()
    }
    sides["send per line"] = partial(_limit, gate, clients, lines, pause_s)
    title = f"fan-out of {lines:,} lines of 1 KiB, {title}"
    return Table(title=title, figures=_FIGURES, samples=run_rounds(sides, plan), bases=("send per line",))


def _argv(gate: Path, lines: int, pause_s: float) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", _PROGRAM, str(gate), str(lines), str(pause_s)]


def _ours(deck: Server, gate: Path, open_: Callable[[str], Reader], clients: int, lines: int, pause_s: float) -> Sample:
    assert deck.process is not None
    gate.unlink(missing_ok=True)
    job = deck.submit(shlex.join(_argv(gate, lines, pause_s)))
    readers = [open_(job) for _ in range(clients)]
    return _measure(deck.process.pid, gate, readers, lines)


def _limit(gate: Path, clients: int, lines: int, pause_s: float) -> Sample:
    gate.unlink(missing_ok=True)
    with subprocess.Popen(_argv(gate, lines, pause_s), stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        with peers.peer("benchmarks.peers", "fanout", str(clients), "{port}", stdin=job.stdout.fileno()) as peer:
            readers: list[Reader] = [Drop(connect(peer.port)) for _ in range(clients)]
            return _measure(peer.pid, gate, readers, lines)


def _measure(pid: int, gate: Path, readers: list[Reader], lines: int) -> Sample:
    """Open the gate, and read until each client has every line."""
    wanted = lines * peers.LINE_BYTES
    start = time.monotonic()
    read_all(readers, until=lambda: time.monotonic() > start + _SETTLE_S)
    with timed(pid) as cost:
        gate.touch()
        read_all(readers, until=lambda: all(reader.taken_bytes >= wanted for reader in readers))
    for reader in readers:
        reader.sock.close()
    deliveries = lines * len(readers)
    return {"cpu": cost.cpu_s * 1e6 / deliveries, "rate": deliveries / cost.wall_s}
