from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Server, server


@pytest.fixture(scope="package")
def deck() -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data") as running:
        yield running
