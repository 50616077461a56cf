from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.scheduling import Deck, write_scripts
from tests.e2e.program import Server, server


@pytest.fixture(scope="package")
def jobrunner() -> Iterator[Server]:
    """One server for all tests of the contract. Its own environment must not be seen by any job."""
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data") as running:
        yield running


@pytest.fixture(scope="package")
def deck() -> Iterator[Deck]:
    """A server whose jobs of the scheduler API run in a folder of scripts."""
    folder = Path(tempfile.mkdtemp(prefix="jd-"))
    write_scripts(folder / "scripts")
    environ = {**os.environ, "SECRET": "not for jobs"}
    flags = ("--scripts", str(folder / "scripts"), "--worker-name", "deck")
    with server(folder / "data", *flags, env=environ) as running:
        yield Deck(running, folder / "scripts")
