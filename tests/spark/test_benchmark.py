"""The benchmark of starts runs to its end; what it measures is no matter here."""

from __future__ import annotations

import json

import pytest

from benchmarks.__main__ import main


@pytest.mark.timeout(120)
def test_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["spark", "--size", "tiny", "--rounds", "1", "--json"]) == 0
    ((table,),) = [result["tables"] for result in json.loads(capsys.readouterr().out)["results"]]
    assert len(table["sides"]) == 3
    for figures in table["sides"].values():
        assert figures["cpu"]["median"] > 0.1
