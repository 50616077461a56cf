"""The short form of the crash test: a few seconds of ``kill -9`` for each target. ``make soak`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.crash import Config, campaign
from tests.e2e.crash_killers import TARGETS

_KILLS_COUNT = {"server": 4, "keeper": 8, "shim": 20, "server and keeper": 4}


@pytest.mark.timeout(100)
@pytest.mark.parametrize("target", [TARGETS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in TARGETS[1:])])
async def test_nothing_is_lost(target: str, tmp_path: Path) -> None:
    report = await campaign(
        Config(target=target, data=tmp_path / "campaign", kills_count=_KILLS_COUNT[target], limit_s=3, seed=7)
    )
    assert report.verdict.faults == {}
    assert report.kills_count >= 1
    assert report.verdict.counts["ran"] > 1
    assert report.verdict.counts["events"] > 1
