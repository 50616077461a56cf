"""What a list costs: ``GET /`` and ``GET /v1/jobs?limit=50`` on kept connections, with a short and a long history.

20 jobs run; beside them 1,000 ended jobs, or 100,000. Against uvicorn with h11, which serves the same bytes from
memory and does nothing else. Requests per CPU-second of the server is the steadier figure.
"""

from __future__ import annotations

import json
import select
import time
from contextlib import ExitStack
from functools import partial

from benchmarks import history, peers
from benchmarks.clients import LIMIT_S, connect, get_bytes, take_answer
from benchmarks.measure import Figure, Plan, Sample, Side, Table, run_rounds, timed
from tests.e2e.program import Server, server

_FIGURES = (Figure("per CPU-second", "requests"), Figure("rate", "requests/s"))
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
        name: partial(_ask_for, port, pid, path, connections, seconds) for name, (pid, port) in targets.items()
    }
    title = f"GET {path} ({body_bytes} bytes), {connections} connection{'s' * (connections > 1)}"
    notes = () if peers.has_uvicorn() else (peers.NO_UVICORN,)
    samples = run_rounds(sides, plan)
    bases = (next(iter(targets)), "uvicorn h11")
    return Table(title=title, figures=_FIGURES, samples=samples, bases=bases, notes=notes)


def _ask_for(port: int, pid: int, path: str, connections: int, seconds: float) -> Sample:
    """Keep one request under way on each connection for so many seconds."""
    request = get_bytes(path)
    socks = {sock.fileno(): sock for sock in (connect(port) for _ in range(connections))}
    answer_bytes = 0
    for sock in socks.values():
        sock.sendall(request)
        head, body = take_answer(sock)
        assert head.startswith(b"HTTP/1.1 200")
        answer_bytes = len(head) + 4 + len(body)
    left = dict.fromkeys(socks, answer_bytes)
    done = 0
    with select.epoll() as poller, timed(pid) as cost:
        for fd, sock in socks.items():
            poller.register(fd, select.EPOLLIN)
            sock.sendall(request)
        until = time.perf_counter() + seconds
        under_way = connections
        while under_way:
            for fd, _ in poller.poll(LIMIT_S):
                data = socks[fd].recv(1 << 16)
                assert data, "the connection ended"
                left[fd] -= len(data)
                assert left[fd] >= 0, "the answer has changed"
                if left[fd]:
                    continue
                left[fd] = answer_bytes
                done += 1
                if time.perf_counter() < until:
                    socks[fd].sendall(request)
                else:
                    under_way -= 1
    for sock in socks.values():
        sock.close()
    return {"per CPU-second": done / cost.cpu_s, "rate": done / cost.wall_s}
