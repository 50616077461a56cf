from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.scheduling import Deck, write_scripts
from tests.contract.sparking import ZONE, Sparks, sparks
from tests.e2e.program import Server, server


@pytest.fixture(scope="package")
def jobrunner() -> Iterator[Server]:
    """One server for all tests of the contract. Its own environment must not be seen by any job."""
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data") as running:
        yield running


@pytest.fixture(scope="package")
def deck() -> Iterator[Deck]:
    """A server whose jobs of the scheduler API run in a folder of scripts."""
    environ = {**os.environ, "SECRET": "not for jobs"}
    with tempfile.TemporaryDirectory(prefix="jd-", ignore_cleanup_errors=True) as made:
        data, scripts = Path(made, "data"), Path(made, "scripts")
        write_scripts(scripts)
        with server(data, "--scripts", str(scripts), "--worker-name", "deck", env=environ) as running:
            yield Deck(running, scripts)


@pytest.fixture(scope="package")
def spark() -> Iterator[Sparks]:
    """A server in the time zone of Spark JobServer's document, with a package."""
    environ = {**os.environ, "TZ": ZONE}
    folder = tempfile.TemporaryDirectory(prefix="jd-", ignore_cleanup_errors=True)
    with folder as made, sparks(Path(made), env=environ) as running:
        yield running
