"""What waiting costs: 1,000 ended jobs, one silent running job, 110 attaches, nothing said.

50 are plain HTTP, 50 WebSocket with CBOR, 10 raw. CPU of the server, and of keeper and shim, in percent of one core, in
windows of time; memory for each attach. "No CPU" means under 0.5 %. Against uvicorn with 100 silent responses open.
WebSocket pings are part of it, and are answered.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial

from benchmarks import history, peers
from benchmarks.clients import Drop, DropFrames, Reader, connect, get_bytes, open_http, open_websocket, read_all
from benchmarks.measure import Figure, Plan, Sample, Table, cpu_ns, memory_kib
from tests.e2e.program import keeper_pids, server

_CPU = (Figure("server", "% of a core"), Figure("keeper and shims", "% of a core"))
_MEMORY = (Figure("memory", "KiB for each attach, private to the server"),)


def run(plan: Plan) -> list[Table]:
    """CPU over all windows at once for both sides, and memory, measured once."""
    windows, window_s = plan.pick((6, 10.0), (2, 5.0), (1, 0.1))
    memory: dict[str, list[Sample]] = {}
    with ExitStack() as stack:
        history.fill(plan.folder / "data", plan.pick(1000, 1000, 50))
        deck = stack.enter_context(server(plan.folder / "data", *history.RETAIN))
        assert deck.process is not None
        job = deck.submit("sleep 1000")
        pid, port = deck.process.pid, deck.port
        half = plan.pick(50, 50, 5)
        open_ = partial(_open, memory, plan.pick(0.5, 0.5, 0.05))
        readers = open_("HTTP", pid, half, lambda: Drop(open_http(port, job)))
        readers += open_("WebSocket CBOR", pid, half, lambda: DropFrames(open_websocket(port, job, cbor=True)))
        readers += open_("WebSocket raw", pid, 10, lambda: DropFrames(open_websocket(port, job, cbor=False)))
        title = f"idle: {len(readers)} attaches to a silent job, {windows} windows of {window_s:g} s"
        watched = {"jobdeck": (pid, tuple(keeper_pids(deck.data_dir)))}
        if peers.has_uvicorn():
            peer = stack.enter_context(peers.uvicorn())
            _warm(peer.port)
            readers += open_("uvicorn h11", peer.pid, 2 * half, partial(_silent, peer.port))
            watched["uvicorn h11"] = (peer.pid, ())
        samples = _watch(watched, readers, windows, window_s)
        for reader in readers:
            reader.sock.close()
    return [
        Table(title=title, figures=_CPU, samples=samples, bases=("uvicorn h11",)),
        Table(title="memory of an idle attach", figures=_MEMORY, samples=memory, bases=("uvicorn h11",)),
    ]


def _open(
    memory: dict[str, list[Sample]], settle_s: float, name: str, pid: int, count: int, open_: Callable[[], Reader]
) -> list[Reader]:
    """Open attaches and note what each takes; a few come before, so that code and buffers are there."""
    readers = [open_() for _ in range(3)]
    _serve(readers, settle_s)
    before = memory_kib(pid)
    readers += [open_() for _ in range(count - 3)]
    _serve(readers, settle_s)
    memory[name] = [{"memory": (memory_kib(pid) - before) / (count - 3)}]
    return readers


def _serve(readers: Sequence[Reader], seconds: float) -> None:
    until = time.monotonic() + seconds
    read_all(readers, until=lambda: time.monotonic() >= until)


def _silent(port: int) -> Reader:
    sock = connect(port)
    sock.sendall(get_bytes("/silent"))
    return Drop(sock)


def _warm(port: int) -> None:
    """Wait until it serves."""
    with connect(port) as sock:
        sock.sendall(get_bytes("/silent"))
        assert sock.recv(1)


def _watch(
    watched: dict[str, tuple[int, tuple[int, ...]]], readers: Sequence[Reader], windows: int, window_s: float
) -> dict[str, list[Sample]]:
    samples: dict[str, list[Sample]] = {name: [] for name in watched}
    _serve(readers, min(2.0, window_s))
    for _ in range(windows):
        with contextlib.ExitStack() as stack:
            for name, (pid, others) in watched.items():
                samples[name].append(stack.enter_context(_share(pid, others)))
            _serve(readers, window_s)
    return samples


@contextlib.contextmanager
def _share(pid: int, others: tuple[int, ...]) -> Iterator[dict[str, float]]:
    sample: dict[str, float] = {}
    start, server_ns, others_ns = time.monotonic_ns(), cpu_ns(pid), sum(map(cpu_ns, others))
    yield sample
    passed = time.monotonic_ns() - start
    sample["server"] = 100 * (cpu_ns(pid) - server_ns) / passed
    if others:
        sample["keeper and shims"] = 100 * (sum(map(cpu_ns, others)) - others_ns) / passed
