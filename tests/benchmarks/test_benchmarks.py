"""Each benchmark runs to its end and says what it should; what it measures is no matter here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from benchmarks.__main__ import NAMES, main
from benchmarks.measure import Figure, Table

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

TABLES_COUNT = {
    "throughput": 2,
    "live": 2,
    "latency": 1,
    "submissions": 5,
    "lists": 4,
    "idle": 2,
    "fanout": 2,
    "blobs": 3,
    "executor": 2,
    "scheduler": 5,
    "workers": 5,
    "packages": 2,
}


def check_spread(told: dict[str, Any]) -> None:
    assert told["min"] <= told["median"] <= told["max"]


# Those of the console drive a terminal with time limits of their own: for a quiet machine, by hand. That of Spark needs
# Java, and is tested where that is.
@pytest.mark.parametrize("name", [name for name in NAMES if not name.startswith("console") and name != "spark"])
def test_runs(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--size", "tiny", "--rounds", "1", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    (result,) = told["results"]
    assert result["benchmark"] == name
    assert len(result["tables"]) == TABLES_COUNT[name]
    for table in result["tables"]:
        assert table["title"]
        assert table["sides"]
        for figures in table["sides"].values():
            assert figures
            for figure in figures.values():
                check_spread(figure)
                for ratio in figure["ratios"].values():
                    check_spread(ratio)


def test_a_ratio_is_taken_within_each_round() -> None:
    samples = {"ours": [{"rate": 10.0}, {"rate": 1.0}], "limit": [{"rate": 20.0}, {"rate": 2.0}]}
    table = Table(title="of a noisy machine", figures=(Figure("rate", "1/s"),), samples=samples, bases=("limit",))
    ratio = table.ratio("ours", "rate", "limit")
    assert ratio is not None
    assert (ratio.median, ratio.low, ratio.high) == (0.5, 0.5, 0.5)
    assert table.ratio("limit", "rate", "limit") is None
    text = table.text()
    assert "ours" in text
    assert "0.5 (0.5 - 0.5)" in text
