"""A real server for consoles in real terminals."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e import program


@pytest.fixture
def server(tmp_path: Path) -> Iterator[program.Server]:
    """One of its own for each test: they kill it."""
    with program.server(tmp_path / "data") as each:
        yield each
