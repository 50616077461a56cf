"""``python -m benchmarks [NAMES] [--rounds N] [--quick] [--json]``: run them, and say what was seen."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.measure import Plan, Table

NAMES = (
    *("throughput", "live", "latency", "submissions", "lists", "idle", "fanout", "blobs", "executor"),
    *("scheduler", "workers", "packages", "spark", "console", "console_jobs"),
)
_ROUNDS_COUNT: Mapping[str, int] = {"full": 5, "quick": 2, "tiny": 1}


def main(words: Sequence[str]) -> int:
    """Run the benchmarks that are named, or all."""
    options = _options(words)
    size = "quick" if options.quick else options.size
    rounds = options.rounds or _ROUNDS_COUNT[size]
    results: list[dict[str, Any]] = []
    for name in options.names or NAMES:
        start, load = time.perf_counter(), os.getloadavg()[0]
        tables = _run(name, size, rounds)
        took_s = time.perf_counter() - start
        results.append(
            {"benchmark": name, "took_s": took_s, "load_before": load, "tables": [table.plain() for table in tables]}
        )
        if not options.json:
            _tell(name, tables, took_s, load)
    if options.json:
        json.dump({"size": size, "machine": _machine(), "results": results}, sys.stdout, indent=1)
        print()
    return 0


def _options(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="See benchmarks/README.md.")
    parser.add_argument("names", nargs="*", choices=[[], *NAMES], metavar="NAMES", help=", ".join(NAMES))
    parser.add_argument("--rounds", type=int, help="how often each side is measured (default 5; quick: 2)")
    parser.add_argument("--quick", action="store_true", help="small sizes: less than a minute for all")
    parser.add_argument("--size", choices=tuple(_ROUNDS_COUNT), default="full", help="tiny only shows that they work")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of tables")
    return parser.parse_args(words)


def _run(name: str, size: str, rounds: int) -> list[Table]:
    run: Callable[[Plan], list[Table]] = import_module(f"benchmarks.{name}").run
    with tempfile.TemporaryDirectory(prefix=f"jobdeck-bench-{name}-") as folder:
        return run(Plan(size=size, rounds_count=rounds, folder=Path(folder)))


def _tell(name: str, tables: Sequence[Table], took_s: float, load: float) -> None:
    print(f"== {name} ({took_s:.0f} s; load before: {load:.1f})\n")
    for table in tables:
        print(table.text(), end="\n\n", flush=True)


def _machine() -> dict[str, object]:
    return {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
