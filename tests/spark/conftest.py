"""What the tests of Spark stand on: Java, pyspark, a server. ``make test-spark`` brings the first two."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.spark.cluster import Cluster, standing
from tests.spark.kit import Deck, spark_server
from tests.spark.places import missing


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    lacks = missing()
    if lacks is not None:
        pytest.skip(f"there is no {lacks}: run make test-spark, which brings it")


@pytest.fixture(scope="module")
def deck(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deck]:
    """One server for all tests of a module that leave it as they found it."""
    with spark_server(tmp_path_factory.mktemp("spark")) as running:
        yield running


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster for all tests of a module."""
    with standing(tmp_path_factory.mktemp("cluster")) as up:
        yield up
