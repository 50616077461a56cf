"""The workers' long crash test, ``make soak-workers``: kills and broken links for minutes, and what came of it.

python -m tests.e2e.worker_soak [--minutes M] [--jobs N] [--seed N] [--links proxies|packets] [--data DIR]

First links through proxies that reset, end, hold, swallow and delay, then real ones in network namespaces that lose
packets, where that is allowed. Exits 1 on any fault, and keeps the folder of the campaign then.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import trio

from tests.e2e.worker_crash import Config, Report, campaign
from tests.e2e.worker_links import why_not

_LINKS = ("proxies", "packets")
_COLUMNS = (
    "links",
    "kills",
    "troubles of links",
    "minutes",
    "jobs sent / ran (at workers)",
    "wrong bytes",
    "wrong status",
    "displaced jobs (lines)",
    "run twice",
    "wrong place",
    "not released",
    "attaches (links)",
    "events (links)",
    "left behind",
    "other faults",
)
_OWN_COLUMN = ("bytes", "status", "ran twice", "places", "not released", "left behind")


def main(words: Sequence[str] | None = None) -> int:
    """Run a campaign for each kind of links; returns the exit code."""
    options = _options(words)
    if options.data is not None:
        Path(options.data).mkdir(parents=True, exist_ok=True)
    reports = []
    for number, links in enumerate(options.links or _LINKS):
        if links == "packets" and (reason := why_not()) is not None:
            _say(f"packets: NOT RUN: {reason}")
            continue
        folder = Path(tempfile.mkdtemp(prefix="jobdeck-soak-", dir=options.data)) / "campaign"
        seed, limit_s = options.seed + number, 60.0 * options.minutes
        config = Config(data=folder, limit_s=limit_s, jobs_count=options.jobs, seed=seed, packets=links == "packets")
        _say(f"{links}: {options.jobs} jobs in {options.minutes:g} min, seed {seed}, in {folder}")
        report = trio.run(campaign, config)
        reports.append(report)
        _tell(report)
    _say("\n" + "\n".join(table(reports)))
    return 1 if any(report.verdict.faults_count for report in reports) else 0


def _options(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.worker_soak", description="kill -9 and broken links.")
    parser.add_argument("--minutes", type=float, default=5.0, help="of breaking, for each kind of links (default 5)")
    parser.add_argument("--jobs", type=int, default=300, help="for each kind of links (default 300)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of the random moments and jobs")
    parser.add_argument("--links", action="append", choices=_LINKS, help="only these; may be repeated")
    parser.add_argument("--data", help="where campaigns keep their folders (default: the temporary directory)")
    return parser.parse_args(words)


def _tell(report: Report) -> None:
    """Say what was found, each fault in full."""
    verdict = report.verdict
    _say(f"  {report.wall_s:.0f} s; kills {_counted(report.kills)}; links {_counted(report.mishaps)}")
    _say(f"  {_counted(verdict.counts)}")
    _say(f"  kinds: {_counted(verdict.kinds)}")
    for heading, texts in verdict.faults.items():
        for text in texts:
            _say(f"  FAULT {heading}: {text}")
    if verdict.faults_count:
        _say(f"  {verdict.faults_count} faults; kept: {report.config.data}")
    else:
        shutil.rmtree(report.config.data.parent, ignore_errors=True)


def _counted(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def table(reports: Sequence[Report]) -> list[str]:
    """The reports as a table in Markdown, one line each."""
    lines = [_line(_COLUMNS), _line(["---"] * len(_COLUMNS))]
    return lines + [_line(_row(report)) for report in reports]


def _row(report: Report) -> list[str]:
    verdict, counts = report.verdict, report.verdict.counts
    faults = {heading: len(texts) for heading, texts in verdict.faults.items()}
    unstarted = f", {counts['not started']} not started" if counts["not started"] else ""
    others = {heading: count for heading, count in faults.items() if heading not in _OWN_COLUMN}
    return [
        "that lose packets" if report.config.packets else "proxies",
        str(report.kills.total()),
        str(report.mishaps.total()),
        f"{report.wall_s / 60:.1f}",
        f"{counts['sent']} / {counts['ran']} ({counts['at workers']}{unstarted})",
        f"{faults.get('bytes', 0)} of {counts['bytes'] / 1e6:.1f} MB",
        str(faults.get("status", 0)),
        f"{counts['displaced jobs']} ({counts['displaced lines']})",
        str(faults.get("ran twice", 0)),
        str(faults.get("places", 0)),
        str(faults.get("not released", 0)),
        f"{counts['attaches']} ({counts['attach links']})",
        f"{counts['events']} ({counts['event links']})",
        str(faults.get("left behind", 0)),
        str(others or 0),
    ]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
