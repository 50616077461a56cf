"""What all benchmarks share: rounds, medians, ratios, clocks of other processes, and how a result looks.

Absolute figures of one machine say little and those of a busy one nothing. So each figure is taken side by side with a
peer or a limit: all sides once per round, in shuffled order, and a ratio is the median of the ratios within a round.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tests.e2e.program import keeper_pids

T = TypeVar("T")

Sample = Mapping[str, float]
"""One round of one side: figure to value."""
Side = Callable[[], Sample]

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much to do.

    Attributes:
        size: ``full``, ``quick``, or ``tiny`` (which only shows that a benchmark works).
        rounds_count: Of all sides.
        folder: Empty, for all that a benchmark makes.
    """

    size: str
    rounds_count: int
    folder: Path

    def pick(self, full: T, quick: T, tiny: T) -> T:
        """The value for this size."""
        return {"full": full, "quick": quick, "tiny": tiny}[self.size]


@dataclass(frozen=True, slots=True)
class Figure:
    """What a column of values means."""

    name: str
    unit: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, least and greatest of some values."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        return cls(statistics.median(values), min(values), max(values))

    def plain(self) -> dict[str, float]:
        return {"median": self.median, "min": self.low, "max": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """The result of one comparison.

    Attributes:
        title: What was done.
        figures: The columns.
        samples: Side to its rounds, all of the same number.
        bases: Sides by which the others are divided.
        notes: Words to go with it.
    """

    title: str
    figures: Sequence[Figure]
    samples: Mapping[str, Sequence[Sample]]
    bases: Sequence[str] = ()
    notes: Sequence[str] = field(default=())

    def spread(self, side: str, figure: str) -> Spread | None:
        values = [sample[figure] for sample in self.samples[side] if figure in sample]
        return Spread.of(values) if values else None

    def ratio(self, side: str, figure: str, base: str) -> Spread | None:
        """The spread of side / base, each within one round."""
        pairs = zip(self.samples[side], self.samples.get(base, ()), strict=False)
        values = [a[figure] / b[figure] for a, b in pairs if figure in a and b.get(figure)]
        return Spread.of(values) if values and side != base else None

    def plain(self) -> dict[str, Any]:
        """As JSON values."""
        sides: dict[str, Any] = {}
        for side in self.samples:
            sides[side] = {}
            for figure in self.figures:
                spread = self.spread(side, figure.name)
                if spread is not None:
                    ratios = {base: self.ratio(side, figure.name, base) for base in self.bases}
                    told = {base: ratio.plain() for base, ratio in ratios.items() if ratio is not None}
                    sides[side][figure.name] = {"unit": figure.unit, **spread.plain(), "ratios": told}
        rounds = max((len(each) for each in self.samples.values()), default=0)
        return {"title": self.title, "rounds": rounds, "sides": sides, "notes": list(self.notes)}

    def text(self) -> str:
        """For people."""
        rounds = max((len(each) for each in self.samples.values()), default=0)
        lines = [f"{self.title}  ({rounds} rounds: median, least - greatest)"]
        width = max((len(side) for side in self.samples), default=0) + 4
        for figure in self.figures:
            heads = "".join(f"{'/ ' + base:>28}" for base in self.bases)
            lines.append(f"  {figure.name + ', ' + figure.unit:<{width}}{'':>28}{heads}".rstrip())
            lines += [line for side in self.samples if (line := self._line(side, figure, width))]
        return "\n".join([*lines, *(f"  {note}" for note in self.notes)])

    def _line(self, side: str, figure: Figure, width: int) -> str:
        spread = self.spread(side, figure.name)
        if spread is None:
            return ""
        cells = [_cell(spread)]
        for base in self.bases:
            ratio = self.ratio(side, figure.name, base)
            cells.append("" if ratio is None else _cell(ratio))
        return (f"    {side:<{width - 2}}" + "".join(f"{cell:>28}" for cell in cells)).rstrip()


def _cell(spread: Spread) -> str:
    return f"{_short(spread.median)} ({_short(spread.low)} - {_short(spread.high)})"


def _short(value: float) -> str:
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.3g}"


def run_rounds(sides: Mapping[str, Side], plan: Plan) -> dict[str, list[Sample]]:
    """All sides once per round, in an order of its own each time, which is the same in every run."""
    samples: dict[str, list[Sample]] = {side: [] for side in sides}
    order = random.Random(20)
    for _ in range(plan.rounds_count):
        for side in order.sample(list(sides), len(sides)):
            samples[side].append(sides[side]())
    return samples


def cpu_ns(pid: int) -> int:
    """CPU time that a process has used so far, in nanoseconds, from its own clock.

    The counters of /proc tick every 10 ms, which is too coarse here. Source: clock_getcpuclockid(3), whose id is the
    inverted process number with 2 (CPUCLOCK_SCHED) in the low three bits.
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def children_cpu_s(pid: int) -> float:
    """CPU time of the children that a process has waited for, in seconds; ticks of 10 ms."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def keeper_pid(data_dir: Path) -> int:
    """The keeper of a data directory: of the processes that bear its command line, the one whose parent does not."""
    pids = set(keeper_pids(data_dir))
    (found,) = (pid for pid in pids if _parent(pid) not in pids | {None})
    return found


def _parent(pid: int) -> int | None:
    try:
        return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return None


def memory_kib(pid: int) -> int:
    """Memory that would be free if the process ended, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("Private_Clean", "Private_Dirty")))


@dataclass(slots=True)
class Cost:
    """Filled in by ``timed``: seconds by the clock, and CPU seconds of a process."""

    wall_s: float = 0.0
    cpu_s: float = 0.0


@contextmanager
def timed(pid: int | None) -> Iterator[Cost]:
    """Measure a block, and what a process spends meanwhile."""
    cost = Cost()
    cpu = cpu_ns(pid) if pid is not None else 0
    start = time.perf_counter()
    yield cost
    cost.wall_s = time.perf_counter() - start
    cost.cpu_s = (cpu_ns(pid) - cpu) / 1e9 if pid is not None else 0.0


def quantile(values: Sequence[float], part: float) -> float:
    """The value below which ``part`` (0 to 1) of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
