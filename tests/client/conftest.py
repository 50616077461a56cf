from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.program import Server, server


@pytest.fixture(scope="package")
def deck() -> Iterator[Server]:
    """One real server for all of these tests; any port in Host will do, since some come through another one."""
    with server(Path(tempfile.mkdtemp(prefix="jd-client-")) / "data", "--allow-host", "127.0.0.1") as running:
        yield running


@pytest.fixture
def url(deck: Server) -> str:
    return deck.url
