"""How the console shows a long list of jobs: until something is seen, filter, sort, both ends, a key while it changes.

The console is the real one, in a terminal of 120 x 40, on a real server; a time is that from the key to the text which
it brings, as the terminal receives it. Beside a long history stand a short one, and a Textual program that does next to
nothing: that is the floor. Changes are submissions and stops of jobs that wait, so that no processes are measured.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from benchmarks import history
from benchmarks.measure import Figure, Plan, Sample, Side, Table, cpu_ns, memory_kib, quantile, run_rounds
from benchmarks.terminals import Terminal
from tests.e2e.program import JOBDECK, Server, server

_FIGURES = (
    Figure("first", "s until the newest job is seen, from the start of the program"),
    Figure("memory", "MiB of its own"),
    Figure("key", "ms, p50, quiet"),
    Figure("key p99", "ms"),
    Figure("filter", "ms until the first row that matches"),
    Figure("filter done", "ms until all of it is searched"),
    Figure("sort", "ms"),
    Figure("end", "ms"),
    Figure("home", "ms"),
    Figure("changes", "a second, while busy"),
    Figure("busy key", "ms, p50"),
    Figure("busy key p99", "ms"),
    Figure("busy cpu", "cores of the console"),
    Figure("memory after", "MiB"),
)
_RATE = 200
_SETTLE_S = 0.3
_KEY = b" "
_KEYS_APART_S = 0.03
_NEWEST = re.compile(b"echo newest")
_FLOOR = "floor"


def run(plan: Plan) -> list[Table]:
    """Short and long history in turn with the floor."""
    counts = plan.pick((1_000, 100_000), (5_000,), (50,))
    with ExitStack() as stack:
        sides: dict[str, Side] = {_FLOOR: partial(_measure_floor, plan)}
        for count in counts:
            deck = _server(plan, stack, count)
            sides[f"{count:,} jobs"] = partial(_measure, plan, deck, count)
        samples = run_rounds(sides, plan)
    title = f"a list of {counts[-1]:,} jobs in a terminal of 120 x 40"
    return [Table(title=title, figures=_FIGURES, samples=samples, bases=(_FLOOR, f"{counts[0]:,} jobs"))]


def _server(plan: Plan, stack: ExitStack, count: int) -> Server:
    """A server with ended jobs, and one running that lets no other run."""
    folder = plan.folder / f"data{count}"
    history.fill(folder, count)
    deck = stack.enter_context(server(folder, *history.RETAIN, "--running-limit", "1"))
    job = deck.submit("sleep 10000")
    while deck.job(job)["state"] != "running":
        time.sleep(0.02)
    return deck


def _measure_floor(plan: Plan) -> Sample:
    found: dict[str, float] = {}
    with Terminal([sys.executable, str(Path(__file__).with_name("floor_app.py"))]) as terminal:
        found["first"] = terminal.wait(re.compile(b"PART=3")) - terminal.started_s
        terminal.drain(_SETTLE_S)
        _look_at_keys(plan, terminal, found, "key")
        found["memory"] = memory_kib(terminal.pid) / 1024
    return found


def _measure(plan: Plan, deck: Server, count: int) -> Sample:
    found: dict[str, float] = {}
    deck.submit("echo newest")  # it waits; those of the round before stand above the ones of then
    with Terminal([*JOBDECK, "console", "--server", deck.url]) as terminal:
        found["first"] = terminal.wait(_NEWEST) - terminal.started_s
        terminal.drain(_SETTLE_S)
        found["memory"] = memory_kib(terminal.pid) / 1024
        _look_at_keys(plan, terminal, found, "key")
        terminal.press(b"u")
        _look_around(terminal, count, found)
        with _churn(deck, found):
            terminal.drain(_SETTLE_S)
            start, cpu = time.perf_counter(), cpu_ns(terminal.pid)
            _look_at_keys(plan, terminal, found, "busy key")
            found["busy cpu"] = (cpu_ns(terminal.pid) - cpu) / 1e9 / (time.perf_counter() - start)
        found["memory after"] = memory_kib(terminal.pid) / 1024
    return found


def _look_at_keys(plan: Plan, terminal: Terminal, found: dict[str, float], name: str) -> None:
    """A key that changes a number: no other picture has that text."""
    times = []
    for number in range(1, plan.pick(120, 20, 5) + 1):
        times.append(terminal.key(_KEY, re.compile(rb"(?<!\d)%d marked" % number)) * 1000)
        terminal.drain(_KEYS_APART_S)
    found[name], found[f"{name} p99"] = quantile(times, 0.5), quantile(times, 0.99)


def _look_around(terminal: Terminal, count: int, found: dict[str, float]) -> None:
    """Both ends, a sort, a filter; each from the newest jobs on."""

    def timed(keys: bytes, wanted: re.Pattern[bytes]) -> float:
        took_s = terminal.key(keys, wanted)
        terminal.drain(_SETTLE_S)
        return took_s * 1000

    oldest = re.compile(rb"test PART=0\b")
    found["end"] = timed(b"G", oldest)
    found["home"] = timed(b"g", _NEWEST)
    found["sort"] = timed(b"S", oldest)
    timed(b"A", _NEWEST)
    timed(b"/", re.compile(b"dialect"))
    number = str(count // 3)
    matches = sum(str(each).startswith(number) for each in range(count))
    first, all_of_them = re.compile(b"test PART=" + number.encode()), re.compile(rb"1 / %d\b" % matches)
    start = time.perf_counter()
    terminal.press(b"PART=" + number.encode())
    seen = terminal.wait(first)
    found["filter"] = (seen - start) * 1000
    if all_of_them.search(terminal.seen) is None:
        seen = terminal.wait(all_of_them)
    found["filter done"] = (seen - start) * 1000
    timed(b"\x1b", _NEWEST)


@contextmanager
def _churn(deck: Server, found: dict[str, float]) -> Iterator[None]:
    """Jobs change meanwhile; says how many did."""
    argv = [sys.executable, "-m", "benchmarks.churn", str(deck.port), str(_RATE)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.stdin.close()
        found["changes"] = float(process.stdout.readline())
