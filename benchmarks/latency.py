"""From a line written by a job to that line at a client: each line carries the time at which it was written.

Against the same program on a pipe that a blocking reader holds: what is left is the price of keeping the output and of
the way through the server. The lines come one by one, far enough apart that none waits for another.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.clients import ask, connect, open_http, open_websocket, post_bytes
from benchmarks.measure import Figure, Plan, Sample, Side, Table, quantile, run_rounds
from tests.e2e.program import Server, server

_FIGURES = (Figure("p50", "us"), Figure("p90", "us"))
_STAMP = re.compile(rb"@(\d+)\n")
_PROGRAM = """
import os, sys, time
time.sleep(0.2)
for _ in range(int(sys.argv[1])):
    time.sleep(float(sys.argv[2]))
    os.write(1, b"@%d\\n" % time.clock_gettime_ns(time.CLOCK_MONOTONIC))
"""


def run(plan: Plan) -> list[Table]:
    """One table: lines 10 ms apart."""
    count = plan.pick(150, 30, 5)
    argv = [sys.executable, "-I", "-S", "-c", _PROGRAM, str(count), "0.01"]
    with server(plan.folder / "data") as deck:
        sides: dict[str, Side] = {
            "pipe": partial(_pipe, argv, count),
            "HTTP chunked": partial(_attach, deck, argv, count, "http"),
            "WebSocket CBOR": partial(_attach, deck, argv, count, "cbor"),
            "WebSocket raw": partial(_attach, deck, argv, count, "raw"),
        }
        title = f"line written to line at the client, {count} lines 10 ms apart"
        return [Table(title=title, figures=_FIGURES, samples=run_rounds(sides, plan), bases=("pipe",))]


def _pipe(argv: Sequence[str], count: int) -> Sample:
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as job:
        assert job.stdout is not None
        return _collect(partial(os.read, job.stdout.fileno(), 65536), count)


def _attach(deck: Server, argv: Sequence[str], count: int, way: str) -> Sample:
    with connect(deck.port) as control:
        job = ask(control, post_bytes("/v1/jobs", {"argv": list(argv)}))["id"]
    with _open(deck.port, job, way) as sock:
        return _collect(partial(sock.recv, 65536), count)


def _open(port: int, job: str, way: str) -> socket.socket:
    return open_http(port, job) if way == "http" else open_websocket(port, job, cbor=way == "cbor")


def _collect(read: Callable[[], bytes], count: int) -> Sample:
    """Ages of the lines in microseconds; a stamp is found whatever framing is around it."""
    ages: list[float] = []
    while data := read():
        now_ns = time.clock_gettime_ns(time.CLOCK_MONOTONIC)
        ages += [(now_ns - int(stamp)) / 1000 for stamp in _STAMP.findall(data)]
        if len(ages) >= count:
            break
    assert len(ages) == count, (len(ages), count)
    return {"p50": quantile(ages, 0.5), "p90": quantile(ages, 0.9)}
