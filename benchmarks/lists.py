"""What a list costs: ``GET /`` and ``GET /v1/jobs?limit=50`` on kept connections, with a short and a long history.

20 jobs run; beside them 1,000 ended jobs, or 100,000. Against uvicorn with h11, which serves the same bytes from
memory and does nothing else. Requests per CPU-second of the server is the steadier figure.
"""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from functools import partial

from benchmarks import history, peers
from benchmarks.asking import FIGURES, ask_for
from benchmarks.clients import get_bytes
from benchmarks.measure import Plan, Side, Table, run_rounds
from tests.e2e.program import Server, server

_PATHS = ("/", "/v1/jobs?limit=50")


def run(plan: Plan) -> list[Table]:
    """A table for each path and number of connections."""
    sizes = plan.pick((1_000, 100_000), (1_000, 5_000), (20,))
    seconds = plan.pick(1.0, 0.15, 0.02)
    with ExitStack() as stack:
        targets: dict[str, tuple[int, int]] = {}
        for count in sizes:
            deck = _server(plan, stack, count)
            assert deck.process is not None
            targets[f"{count:,} ended jobs"] = (deck.process.pid, deck.port)
        bodies = {path: deck.ask("GET", path)[2].decode() for path in _PATHS}
        if peers.has_uvicorn():
            found = stack.enter_context(peers.uvicorn(BENCH_BODIES=json.dumps(bodies)))
            targets["uvicorn h11"] = (found.pid, found.port)
        return [
            _compare(path, connections, targets, plan, seconds, len(bodies[path]))
            for path in _PATHS
            for connections in (1, 32)
        ]


def _server(plan: Plan, stack: ExitStack, count: int) -> Server:
    folder = plan.folder / f"data{count}"
    history.fill(folder, count)
    deck = stack.enter_context(server(folder, *history.RETAIN))
    jobs = [deck.submit("sleep 1000") for _ in range(plan.pick(20, 20, 2))]
    while any(deck.job(job)["state"] != "running" for job in jobs):
        time.sleep(0.05)
    return deck


def _compare(
    path: str, connections: int, targets: dict[str, tuple[int, int]], plan: Plan, seconds: float, body_bytes: int
) -> Table:
    sides: dict[str, Side] = {
        name: partial(ask_for, port, pid, get_bytes(path), connections, seconds)
        for name, (pid, port) in targets.items()
    }
    title = f"GET {path} ({body_bytes} bytes), {connections} connection{'s' * (connections > 1)}"
    notes = () if peers.has_uvicorn() else (peers.NO_UVICORN,)
    samples = run_rounds(sides, plan)
    bases = (next(iter(targets)), "uvicorn h11")
    return Table(title=title, figures=FIGURES, samples=samples, bases=bases, notes=notes)
