"""The long crash test, ``make soak``: hundreds of ``kill -9`` of each of our processes, and a table of what came of it.

python -m tests.e2e.soak [--rounds KILLS] [--minutes M] [--seed N] [--target T] [--data DIR]

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

import trio

from tests.e2e.crash import Config, Report, campaign
from tests.e2e.crash_killers import TARGETS

_COLUMNS = (
    "killed",
    "kills",
    "minutes",
    "jobs sent / ran",
    "wrong bytes",
    "wrong status",
    "displaced jobs (lines)",
    "run twice",
    "attaches (links)",
    "events (links)",
    "left behind",
    "keeper fds",
    "other faults",
)
_OWN_COLUMN = ("bytes", "status", "ran twice", "left behind")


def main(words: Sequence[str] | None = None) -> int:
    """Run a campaign for each target; returns the exit code."""
    options = _options(words)
    if options.data is not None:
        Path(options.data).mkdir(parents=True, exist_ok=True)
    reports = []
    for number, target in enumerate(options.target or TARGETS):
        folder = Path(tempfile.mkdtemp(prefix="jobdeck-soak-", dir=options.data)) / "campaign"
        seed = options.seed + number
        config = Config(
            target=target, data=folder, kills_count=options.rounds, limit_s=60.0 * options.minutes, seed=seed
        )
        _say(f"{target}: {options.rounds} kills, seed {seed}, in {folder}")
        report = trio.run(campaign, config)
        reports.append(report)
        _tell(report)
    _say("\n" + "\n".join(table(reports)))
    return 1 if any(report.verdict.faults_count for report in reports) else 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.soak", description="kill -9 at random moments.")
    parser.add_argument("--rounds", type=int, default=200, help="kills for each target (default 200)")
    parser.add_argument("--minutes", type=float, default=30.0, help="at most so long for each target (default 30)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments and jobs")
    parser.add_argument("--target", action="append", choices=TARGETS, help="only this one; may be repeated")
    parser.add_argument("--data", help="where campaigns keep their folders (default: the temporary directory)")
    return parser.parse_args(words)


def _tell(report: Report) -> None:
    """Say what was found, each fault in full."""
    verdict = report.verdict
    _say(f"  {report.kills_count} kills in {report.wall_s:.0f} s; {dict(sorted(verdict.counts.items()))}")
    _say(f"  kinds: {dict(sorted(verdict.kinds.items()))}")
    for heading, texts in verdict.faults.items():
        for text in texts:
            _say(f"  FAULT {heading}: {text}")
    if verdict.faults_count:
        _say(f"  {verdict.faults_count} faults; kept: {report.config.data}")
    else:
        shutil.rmtree(report.config.data.parent, ignore_errors=True)


def table(reports: Sequence[Report]) -> list[str]:
    """The reports as a table in Markdown, one line each."""
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    return lines + [_line(_row(report)) for report in reports]


def _row(report: Report) -> list[str]:
    verdict, counts = report.verdict, report.verdict.counts
    faults = {heading: len(texts) for heading, texts in verdict.faults.items()}
    unstarted = f" ({counts['not started']} not started)" if counts["not started"] else ""
    displaced = f"{counts['displaced jobs']} ({counts['displaced lines']})"
    others = {heading: count for heading, count in faults.items() if heading not in _OWN_COLUMN}
    return [
        report.config.target,
        str(report.kills_count),
        f"{report.wall_s / 60:.1f}",
        f"{counts['sent']} / {counts['ran']}{unstarted}",
        f"{faults.get('bytes', 0)} of {counts['bytes'] / 1e6:.1f} MB",
        str(faults.get("status", 0)),
        displaced,
        str(faults.get("ran twice", 0)),
        f"{counts['attaches']} ({counts['attach links']})",
        f"{counts['events']} ({counts['event links']})",
        str(faults.get("left behind", 0)),
        f"{report.descriptors[0]} -> {report.descriptors[1]}",
        str(others or 0),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
