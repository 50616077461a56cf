"""How the console shows a log of ten million lines, beside ``less +F`` on the same file: until something is seen, from
one end to the other, line by line, and all of that while 60 MB a second are written to it.

Each is a real program in a terminal of 120 x 40. A time is that from the key to the text which it brings, as the
terminal receives it. lnav and toolong are measured where they are installed.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

from benchmarks.measure import MIB, Figure, Plan, Sample, Side, Table, cpu_ns, memory_kib, quantile, run_rounds
from benchmarks.terminals import ROWS, SilentError, Terminal
from tests.e2e.program import JOBDECK, Server, server

_FIGURES = (
    Figure("first", "s until lines are seen, from the start of the program"),
    Figure("open", "ms until lines are seen, from the key in the list of jobs"),
    Figure("memory", "MiB of its own, log open"),
    Figure("home", "ms, p50"),
    Figure("end", "ms, p50"),
    Figure("down", "ms, p50"),
    Figure("down p90", "ms"),
    Figure("pictures", "a second, while it follows 60 MB/s"),
    Figure("following cpu", "cores, meanwhile"),
    Figure("busy down", "ms, p50, while 60 MB/s are written"),
    Figure("busy down p90", "ms"),
    Figure("busy home", "ms, p50"),
    Figure("memory after", "MiB"),
)
_LINE_BYTES = 109
_READY_LIMIT_S = 20.0
_RATE_BYTES = 60_000_000
_LINE = re.compile(rb"line (\d{8}):")
_LISTED = re.compile(rb"exec /")
_APART_COUNT = 1000  # two pictures of an end that moves are so many lines apart

# Writes as long as a file stands; the lines' numbers start above those of the file that was copied before.
_WRITER = """
import os, sys, time
rate, folder = int(sys.argv[1]), sys.argv[2]
lines = b"".join(b"line %08d: " % (90000000 + n) + b"x" * 93 + b"\\n" for n in range(5500))
while not os.path.exists(folder + "/stop"):
    start, done = time.monotonic(), 0
    while os.path.exists(folder + "/go"):
        os.write(1, lines)
        done += len(lines)
        time.sleep(max(0, start + done / rate - time.monotonic()))
    time.sleep(0.01)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How long each is looked at.

    Attributes:
        jumps_count: From one end to the other.
        steps_count: Lines down.
        settle_s: What a program has to finish what it began.
        busy_s: It follows, and goes down, while the log grows.
    """

    jumps_count: int
    steps_count: int
    settle_s: float
    busy_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class _Viewer:
    """How to drive a program.

    Attributes:
        argv: What is started.
        leave: Ends its following.
        home: Shows the first line.
        end: Shows the last one.
        follow: Follows again.
        chosen: Started so it shows a list, and a key opens the log.
        ready: What it writes once it is at the end, if that takes longer than to show lines.
    """

    argv: Sequence[str]
    leave: bytes = b""
    home: bytes = b"g"
    end: bytes = b"G"
    down: bytes = b"j"
    follow: bytes = b""
    chosen: Sequence[str] = ()
    ready: bytes = b""


def run(plan: Plan) -> list[Table]:
    """One log, on which all viewers are let loose in turn."""
    count = plan.pick(10_000_000, 1_000_000, 20_000)
    pace = plan.pick(
        _Pace(jumps_count=5, steps_count=60, settle_s=0.4, busy_s=2.0),
        _Pace(jumps_count=5, steps_count=40, settle_s=0.4, busy_s=2.0),
        _Pace(jumps_count=1, steps_count=3, settle_s=0.1, busy_s=0.3),
    )
    base, switches = plan.folder / "base.log", plan.folder / "switches"
    switches.mkdir()
    _write_lines(base, count)
    with server(plan.folder / "data", "--output-limit", "64GiB") as deck:
        writer = plan.folder / "writer.py"
        writer.write_text(_WRITER)
        job = deck.submit(f"cat {base}; exec {sys.executable} {writer} {_RATE_BYTES} {switches}", PATH="/usr/bin:/bin")
        _wait_indexed(deck, job, count * _LINE_BYTES)
        log = plan.folder / "data" / "jobs" / job / "output"
        sides: dict[str, Side] = {}
        for name, viewer in _viewers(deck, job, log).items():
            sides[name] = partial(_measure, viewer, switches, pace)
        samples = run_rounds(sides, plan)
        (switches / "stop").touch()
        deck.wait(job)
    title = f"a log of {count * _LINE_BYTES / MIB:,.0f} MiB, {count:,} lines, in a terminal of 120 x 40"
    return [Table(title=title, figures=_FIGURES, samples=samples, bases=("less +F",))]


def _write_lines(path: Path, count: int) -> None:
    filler = b"x" * (_LINE_BYTES - len(b"line 00000000: \n")) + b"\n"
    with path.open("wb") as file:
        for start in range(1, count + 1, 10_000):
            end = min(start + 10_000, count + 1)
            file.write(b"".join(b"line %08d: " % n + filler for n in range(start, end)))


def _wait_indexed(deck: Server, job: str, size_bytes: int) -> None:
    while True:
        status, _, body = deck.ask("GET", f"/v1/jobs/{job}/lines?from=-1&count=1")
        if status == 200 and json.loads(body)["indexed"] >= size_bytes:
            return
        time.sleep(0.1)


def _viewers(deck: Server, job: str, log: Path) -> dict[str, _Viewer]:
    found = {
        "console": _Viewer(
            argv=[*JOBDECK, "console", job, "--server", deck.url],
            follow=b"G",
            chosen=[*JOBDECK, "console", "--server", deck.url],
        ),
    }
    if shutil.which("less"):
        found["less +F"] = _Viewer(argv=["less", "+F", str(log)], leave=b"\x03", follow=b"F", ready=b"Waiting for data")
    if shutil.which("lnav"):
        found["lnav"] = _Viewer(argv=["lnav", str(log)])
    if shutil.which("tl"):
        home, end, down = b"\x1b[H", b"\x1b[F", b"\x1b[B"
        found["toolong"] = _Viewer(argv=["tl", str(log)], home=home, end=end, down=down)
    return found


def _measure(viewer: _Viewer, switches: Path, pace: _Pace) -> Sample:
    found: dict[str, float] = {}
    if viewer.chosen:
        with Terminal(viewer.chosen) as terminal:
            terminal.wait(_LISTED)
            terminal.drain(2 * pace.settle_s)
            found["open"] = terminal.key(b"\r", _LINE) * 1000
    with Terminal(viewer.argv) as terminal:
        try:
            _look(terminal, viewer, pace, found)
            _look_while_busy(terminal, viewer, switches, pace, found)
        except SilentError as error:  # another program's display, which ours does not know in all its moods
            print(f"  {viewer.argv[0]}: {error}", file=sys.stderr)
        finally:
            (switches / "go").unlink(missing_ok=True)
    return found


def _look(terminal: Terminal, viewer: _Viewer, pace: _Pace, found: dict[str, float]) -> None:
    found["first"] = terminal.wait(_LINE, 120.0) - terminal.started_s
    if viewer.ready not in terminal.seen:
        with suppress(SilentError):
            terminal.wait(re.compile(re.escape(viewer.ready)), _READY_LIMIT_S)
    terminal.drain(pace.settle_s)
    found["memory"] = memory_kib(terminal.pid) / 1024
    terminal.press(viewer.leave)
    terminal.drain(pace.settle_s)
    homes, ends = [], []
    for _ in range(pace.jumps_count):
        homes.append(terminal.key(viewer.home, _line(1)))
        terminal.drain(pace.settle_s / 4)
        ends.append(_to_end(terminal, viewer))
        terminal.drain(pace.settle_s / 4)
    found["home"], found["end"] = quantile(homes, 0.5) * 1000, quantile(ends, 0.5) * 1000
    steps = _steps(terminal, viewer, pace, 60.0)
    found["down"], found["down p90"] = quantile(steps, 0.5) * 1000, quantile(steps, 0.9) * 1000


def _to_end(terminal: Terminal, viewer: _Viewer) -> float:
    """Go to the end; any line that is not one of the first screen shows that it came."""
    terminal.drain(0.0)
    start = time.perf_counter()
    terminal.press(viewer.end)
    while True:
        numbers = [int(each) for each in _LINE.findall(terminal.drain(0.002))]
        if any(number > _APART_COUNT for number in numbers):
            return time.perf_counter() - start
        if time.perf_counter() - start > 30:
            raise SilentError("the end")


def _steps(terminal: Terminal, viewer: _Viewer, pace: _Pace, limit_s: float) -> list[float]:
    """Go down line by line from the first; the times until each next line was seen."""
    _go_away(terminal, viewer, pace)
    terminal.key(viewer.home, _line(1))
    shown = {int(each) for each in _LINE.findall(terminal.seen + terminal.drain(pace.settle_s))}
    bottom = next(n for n in range(1, ROWS + 1) if n + 1 not in shown)
    steps: list[float] = []
    deadline = time.perf_counter() + limit_s
    while len(steps) < pace.steps_count and (not steps or time.perf_counter() < deadline):
        bottom += 1
        steps.append(terminal.key(viewer.down, _line(bottom)))
    return steps


def _go_away(terminal: Terminal, viewer: _Viewer, pace: _Pace) -> None:
    """Leave the first line: who is there already may draw nothing when it is asked for.

    By following, where a program can: less goes on looking for the end of a log as long as there is a further one.
    """
    terminal.press(viewer.follow or viewer.end)
    terminal.drain(pace.settle_s)
    terminal.press(viewer.leave)
    terminal.drain(pace.settle_s / 4)


def _look_while_busy(terminal: Terminal, viewer: _Viewer, switches: Path, pace: _Pace, found: dict[str, float]) -> None:
    (switches / "go").touch()
    if viewer.follow:
        terminal.press(viewer.follow)
        terminal.drain(pace.settle_s)
        cpu, start = cpu_ns(terminal.pid), time.perf_counter()
        data = terminal.drain(pace.busy_s)
        took_s = time.perf_counter() - start
        found["following cpu"] = (cpu_ns(terminal.pid) - cpu) / 1e9 / took_s
        found["pictures"] = _pictures(data) / took_s
        terminal.press(viewer.leave)
        terminal.drain(pace.settle_s)
    homes = [terminal.key(viewer.home, _line(1))]
    steps = _steps(terminal, viewer, pace, pace.busy_s)
    for _ in range(pace.jumps_count):
        _go_away(terminal, viewer, pace)
        homes.append(terminal.key(viewer.home, _line(1)))
    found["busy down"], found["busy down p90"] = quantile(steps, 0.5) * 1000, quantile(steps, 0.9) * 1000
    found["busy home"] = quantile(homes, 0.5) * 1000
    found["memory after"] = memory_kib(terminal.pid) / 1024


def _pictures(data: bytes) -> int:
    """How often another end of the log was shown: rows go up by one within a picture, and further between them."""
    numbers = [int(each) for each in _LINE.findall(data)]
    return sum(1 for before, after in pairwise(numbers) if after != before + 1)


def _line(n: int) -> re.Pattern[bytes]:
    return re.compile(b"line %08d:" % n)
