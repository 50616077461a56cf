"""The executor's long crash test, ``make soak-executor``: ``kill -9`` in each stage of a job, and what came of it.

python -m tests.e2e.executor_soak [--rounds KILLS] [--minutes M] [--seed N] [--target T] [--data DIR]

Exits 1 on any fault, and keeps the folder of the campaign then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.e2e.executor_crash import STAGES, TARGETS, Config, Report, campaign

_KILLS_COUNT = {"server": 100, "keeper": 50, "server and keeper": 30}


def main(words: Sequence[str] | None = None) -> int:
    """Run a campaign for each target; returns the exit code."""
    options = _options(words)
    if options.data is not None:
        Path(options.data).mkdir(parents=True, exist_ok=True)
    reports = []
    for number, target in enumerate(options.target or TARGETS):
        folder = Path(tempfile.mkdtemp(prefix="jobdeck-soak-", dir=options.data)) / "campaign"
        kills, seed = options.rounds or _KILLS_COUNT[target], options.seed + number
        _say(f"{target}: {kills} kills, seed {seed}, in {folder}")
        limit_s = 60.0 * options.minutes
        report = campaign(Config(target=target, data=folder, kills_count=kills, limit_s=limit_s, seed=seed))
        reports.append(report)
        for fault in report.faults:
            _say(f"  FAULT {fault}")
        if report.faults:
            _say(f"  {len(report.faults)} faults; kept: {folder}")
        else:
            shutil.rmtree(folder.parent, ignore_errors=True)
    _say("\n" + "\n".join(_table(reports)))
    return 1 if any(report.faults for report in reports) else 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.executor_soak", description="kill -9 in every stage.")
    parser.add_argument(
        "--rounds", type=int, help="kills for each target (default: 100 of the server, fewer of others)"
    )
    parser.add_argument("--minutes", type=float, default=30.0, help="at most so long for each target (default 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments and jobs")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument("--data", help="where campaigns keep their folders (default: the temporary directory)")
    return parser.parse_args(words)


def _table(reports: Sequence[Report]) -> list[str]:
    """The reports as a table in Markdown, one line each."""
    columns = ("killed", "kills", *(f"while {stage}" for stage in STAGES), "minutes", "jobs", "blobs", "faults")
    rows = [
        (
            report.config.target,
            report.kills_count,
            *(report.counts[f"while {stage}"] for stage in STAGES),
            f"{report.wall_s / 60:.1f}",
            report.counts["jobs"],
            report.counts["blobs"],
            len(report.faults),
        )
        for report in reports
    ]
    return [f"| {' | '.join(map(str, cells))} |" for cells in (columns, ["---"] * len(columns), *rows)]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
