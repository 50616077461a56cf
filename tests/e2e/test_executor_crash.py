"""The short form of the executor's crash test; ``make soak-executor`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.executor_crash import TARGETS, Config, campaign

_KILLS_COUNT = {"server": 4, "keeper": 4, "server and keeper": 1}


@pytest.mark.slow
@pytest.mark.timeout(200)
@pytest.mark.parametrize("target", [TARGETS[0], *(pytest.param(each, marks=pytest.mark.slow) for each in TARGETS[1:])])
def test_nothing_is_lost_and_nothing_runs_twice(target: str, tmp_path: Path) -> None:
    report = campaign(
        Config(
            target=target,
            data=tmp_path / "campaign",
            kills_count=_KILLS_COUNT[target],
            limit_s=4,
            seed=7,
            open_limit_count=3,
            peace_s=0.1,
        )
    )
    assert report.faults == []
    assert report.kills_count >= 1
    assert report.counts["jobs"] >= 1
