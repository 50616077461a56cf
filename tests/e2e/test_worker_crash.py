"""The short forms of the workers' crash test: ``make soak-workers`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.worker_crash import Config, campaign
from tests.e2e.worker_links import why_not


@pytest.mark.timeout(300)
async def test_a_few_kills_and_cuts(tmp_path: Path) -> None:
    config = Config(
        data=tmp_path / "campaign",
        limit_s=4,
        jobs_count=12,
        workers_count=2,
        pace_s=2,
        span_s=(0.3, 1.0),
        down_s=0.3,
        beat_s=1.0,
        seed=11,
        submitters_count=2,
        attachers_count=2,
    )
    report = await campaign(config)
    assert report.verdict.faults == {}
    assert report.kills.total() >= 1
    assert report.mishaps.total() >= 1
    assert report.verdict.counts["at workers"] >= 4


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("links", ["proxies", "packets"])
async def test_nothing_is_lost(links: str, tmp_path: Path) -> None:
    if links == "packets" and (reason := why_not()) is not None:
        pytest.skip(f"NOT RUN: {reason}")
    config = Config(
        data=tmp_path / "campaign",
        limit_s=40,
        jobs_count=60,
        pace_s=4,
        span_s=(0.5, 6.0),
        beat_s=1.0,
        seed=12,
        packets=links == "packets",
    )
    report = await campaign(config)
    assert report.verdict.faults == {}
    assert report.kills.total() >= 4
    assert report.mishaps.total() >= 4
    assert report.verdict.counts["at workers"] >= 20
