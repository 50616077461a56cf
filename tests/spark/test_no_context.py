"""Contexts on Spark that do not come up: each says why, at once where that can be seen, and nothing of it is left."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.spark.kit import Deck, processes, spark_server

pytestmark = pytest.mark.timeout(200)


def _refused(deck: Deck, name: str, settings: str = "") -> str:
    """Why a context could not be made, which is told at once and leaves nothing."""
    status, answer = deck.make(name, settings)
    assert (status, answer["status"]) == (500, "CONTEXT INIT ERROR"), answer
    assert deck.told("GET", "/contexts") == (200, [])
    return str(answer["result"]["message"])


def test_no_java_and_no_spark(tmp_path: Path) -> None:
    """Each says what was looked for, what was found, and what to do."""
    fake = tmp_path / "fake/bin/java"
    fake.parent.mkdir(parents=True)
    fake.write_text("#!/bin/sh\necho 'openjdk version \"25.0.1\" 2025-10-21' >&2\n")
    fake.chmod(0o755)
    nothing = tmp_path / "nothing"
    nothing.mkdir()
    for number, (flag, folder, words) in enumerate(
        [
            ("--spark-java", nothing, ["Java 17", str(nothing)]),
            ("--spark-java", fake.parent.parent, ["Java 17", "25"]),
            ("--spark-home", nothing, ["Spark", str(nothing)]),
        ]
    ):
        with spark_server(tmp_path / str(number), flag, str(folder)) as deck:
            said = _refused(deck, "none")
            assert all(word in said for word in words), said


def test_a_master_that_nobody_is(deck: Deck) -> None:
    began_s = time.monotonic()
    said = _refused(deck, "alone", 'spark.master = "spark://127.0.0.1:1"')
    assert time.monotonic() - began_s < 50  # Spark itself takes a minute
    assert "Nobody answers at spark://127.0.0.1:1" in said
    found = deck.context("alone")
    assert (found["state"], bool(found["error"])) == ("error", True)
    assert not processes(deck.server.data_dir / "work")


def test_settings_that_are_not_spark_s(deck: Deck) -> None:
    """What can be seen at once is refused; what only Spark knows is told in its words."""
    said = _refused(deck, "odd", "spark.master = nowhere")
    assert "nowhere" in said
    said = _refused(deck, "much", "launcher { spark.driver.memory = 900000g }")
    assert said
