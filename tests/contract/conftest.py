from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Server, server


@pytest.fixture(scope="package")
def jobrunner() -> Iterator[Server]:
    """One server for all tests of the contract. Its own environment must not be seen by any job."""
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data") as running:
        yield running
