"""The short form of the crash test of classes; ``python -m tests.e2e.class_crash`` is the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.class_crash import TARGETS, Config, campaign


@pytest.mark.slow
@pytest.mark.timeout(250)
@pytest.mark.parametrize("target", TARGETS)
def test_classes_run_once_and_their_ends_are_told(target: str, tmp_path: Path) -> None:
    report = campaign(
        Config(target=target, data=tmp_path / "campaign", limit_s=8, seed=7, open_limit_count=6, peace_s=0.5)
    )
    assert report.faults == []
    assert report.counts["kills"] >= 1
    assert report.counts["jobs"] >= 1
