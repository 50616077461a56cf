"""The scheduler API on the server's own worker: ``POST /query`` and ``POST /start``.

Queries on kept connections, of a job that runs and of one that has ended, against h11 on trio that sends the same bytes
and does nothing else. Starts of ``bash true.sh`` on one connection and on eight, against ``posix_spawn`` and ``wait``
of the same, one and eight at once; CPU is that of all who take part: of ours server, keeper, shims and jobs, of theirs
the parent and its children.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks import peers
from benchmarks.asking import FIGURES, ask_for, connections, post_all
from benchmarks.clients import LIMIT_S, ask, connect, post_bytes, take_answer
from benchmarks.measure import Figure, Plan, Sample, Side, Table, children_cpu_s, cpu_ns, keeper_pid, run_rounds
from jobdeck_keeper import records
from tests.e2e.program import Server, server

_STARTS = (
    Figure("per CPU-second", "jobs, CPU of all who take part"),
    Figure("accepted", "jobs/s"),
    Figure("finished", "jobs/s"),
)
_COSTS = (Figure("cpu", "us for each job"),)
_AT_ONCE_COUNT = 8
_LOOK_S = 0.02
_H11 = "h11 on trio, same bytes"
_ORIGINAL = "For information: the original was seen to make about {} a second on a busy machine of two processors."


def run(plan: Plan) -> list[Table]:
    """Queries on 1 connection and on 32, starts on 1 and on 8, and where the CPU of the latter goes."""
    with ExitStack() as stack:
        bench = _Bench(stack.enter_context(server(plan.folder / "data")), plan)
        return [*bench.queries(stack), *bench.starts()]


class _Bench:
    """One server, and what is asked of it."""

    def __init__(self, deck: Server, plan: Plan) -> None:
        assert deck.process is not None
        self._deck = deck
        self._plan = plan
        self._pid = deck.process.pid
        self._keeper = keeper_pid(deck.data_dir)
        (self._worker,) = json.loads(deck.ask("GET", "/workers/list")[2])
        script = plan.folder / "true.sh"
        script.write_text("true\n")
        self._argv = ("bash", str(script))
        self._start = self._post("/start", command="bash", path=str(script))
        self._clocks: dict[str, Callable[[], float]] = {
            "server": lambda: cpu_ns(self._pid) / 1e9,
            "keeper": lambda: cpu_ns(self._keeper) / 1e9,
            "shims and jobs": lambda: children_cpu_s(self._keeper),
        }
        self._costs: dict[str, list[Sample]] = {}

    def _post(self, route: str, **fields: str) -> bytes:
        return post_bytes(route, {"worker_id": self._worker, **fields})

    # -- queries --

    def queries(self, stack: ExitStack) -> list[Table]:
        """The peer is shown an answer and knows it by heart."""
        running, ended = (self._query_of(*words) for words in (("sleep", "1000"), self._argv))
        self._settle(running_count=1)
        peer = stack.enter_context(peers.peer("benchmarks.h11_peer", "{port}", env=self._by_heart(ended)))
        targets = {
            _H11: (peer.port, peer.pid, ended),
            "a job that runs": (self._deck.port, self._pid, running),
            "a job that has ended": (self._deck.port, self._pid, ended),
        }
        return [self._ask(targets, at_once) for at_once in (1, 32)]

    def _ask(self, targets: dict[str, tuple[int, int, bytes]], at_once: int) -> Table:
        seconds = self._plan.pick(1.0, 0.2, 0.02)
        sides: dict[str, Side] = {name: partial(ask_for, *words, at_once, seconds) for name, words in targets.items()}
        samples, notes = run_rounds(sides, self._plan), (_ORIGINAL.format("1,000 queries"),)
        title = f"POST /query, {at_once} connection{'s' * (at_once > 1)}"
        return Table(title=title, figures=FIGURES, samples=samples, bases=(_H11,), notes=notes)

    def _query_of(self, command: str, path: str) -> bytes:
        with connect(self._deck.port) as sock:
            job = ask(sock, self._post("/start", command=command, path=path))["job_id"]
        return self._post("/query", job_id=job)

    def _by_heart(self, request: bytes) -> dict[str, str]:
        with connect(self._deck.port) as sock:
            sock.sendall(request)
            head, body = take_answer(sock)
        fields = (line.partition(": ") for line in head.decode().split("\r\n")[1:])
        headers = [(name, value) for name, _, value in fields if name.lower() != "content-length"]
        return {"BENCH_ANSWER": json.dumps({"headers": headers, "body": body.decode()})}

    # -- starts --

    def starts(self) -> list[Table]:
        """The last table says whose the CPU is."""
        tables = [self._compare(at_once) for at_once in (1, _AT_ONCE_COUNT)]
        title = f"CPU for each of these jobs, {_AT_ONCE_COUNT} connections"
        return [*tables, Table(title=title, figures=_COSTS, samples=self._costs)]

    def _compare(self, at_once: int) -> Table:
        count = self._plan.pick(160, 48, 8)
        spawn = f"posix_spawn + wait, {at_once} at once"
        sides: dict[str, Side] = {
            spawn: partial(_spawn_all, self._argv, count, at_once),
            "jobdeck": partial(self._start_all, count, at_once),
        }
        samples, notes = run_rounds(sides, self._plan), (_ORIGINAL.format("300 starts"),)
        title = f"POST /start of bash true.sh, {count} jobs, {at_once} connection{'s' * (at_once > 1)}"
        return Table(title=title, figures=_STARTS, samples=samples, bases=(spawn,), notes=notes)

    def _start_all(self, count: int, at_once: int) -> Sample:
        """Accepted until the last answer; finished until the last end on record; CPU until nothing runs any more."""
        before = {name: clock() for name, clock in self._clocks.items()}
        with connections(self._deck.port, at_once) as socks:
            start_us = records.wall_us()
            jobs = [json.loads(body)["job_id"] for body, _ in post_all(socks, count, self._start)]
            accepted_us = records.wall_us()
        self._settle(running_count=1)
        spent = {name: clock() - before[name] for name, clock in self._clocks.items()}
        if at_once == _AT_ONCE_COUNT:
            for name, spent_s in spent.items():
                self._costs.setdefault(name, []).append({"cpu": 1e6 * spent_s / count})
        ended_us = max(_ended_us(self._deck.data_dir / "jobs" / job / "record") for job in jobs)
        return {
            "per CPU-second": count / sum(spent.values()),
            "accepted": 1e6 * count / (accepted_us - start_us),
            "finished": 1e6 * count / (ended_us - start_us),
        }

    def _settle(self, *, running_count: int) -> None:
        """Wait until no more than so many jobs run, and what they leave to do is done."""
        until = time.monotonic() + LIMIT_S
        while len(json.loads(self._deck.ask("GET", "/")[2])["IDs"]) > running_count:
            assert time.monotonic() < until, "jobs do not end"
            time.sleep(_LOOK_S)
        time.sleep(self._plan.pick(0.2, 0.2, 0.02))


def _ended_us(path: Path) -> int:
    return int(records.read_record(path)["exit"]["t_us"])


def _spawn_all(argv: tuple[str, ...], count: int, at_once: int) -> Sample:
    """No shell, output to nowhere, as little as there can be."""
    program = shutil.which(argv[0])
    assert program is not None
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    start, own_s, children_s = time.perf_counter(), time.process_time(), _waited_cpu_s()
    left, running = count, 0
    while left or running:
        if left and running < at_once:
            os.posix_spawn(program, argv, os.environ, file_actions=nowhere)
            left, running = left - 1, running + 1
        else:
            os.wait()
            running -= 1
    took_s = time.perf_counter() - start
    cpu_s = time.process_time() - own_s + _waited_cpu_s() - children_s
    return {"per CPU-second": count / cpu_s, "finished": count / took_s}


def _waited_cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
