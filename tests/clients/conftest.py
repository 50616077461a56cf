"""What the tests of the published clients stand on: node, the packages, a server. ``make test-clients`` brings them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.clients.executor import Clients
from tests.clients.places import HERE, PACKAGES, TOLD
from tests.e2e.program import Server, server


class Oracle:
    """The originals, in a node process that answers one question after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            ["node", str(HERE / "oracle.cjs"), str(PACKAGES)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
        )

    def ask(self, kind: str, *arguments: object) -> list[dict[str, Any]]:
        """``{"value": ...}`` or ``{"error": ...}`` for each argument."""
        answers = []
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        for argument in arguments:
            self.process.stdin.write(json.dumps([kind, argument]) + "\n")
            self.process.stdin.flush()
            answers.append(json.loads(self.process.stdout.readline()))
        return answers

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(20)
        if self.process.stdout is not None:
            self.process.stdout.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell figures that tests have found, also where they ran in other processes."""
    for report in terminalreporter.getreports("passed"):
        for text in (value for name, value in report.user_properties if name == TOLD):
            terminalreporter.write_line(str(text))


@pytest.fixture(scope="session", autouse=True)
def _prepared() -> None:
    if shutil.which("node") is None or not (PACKAGES / ".prepared").is_file():
        pytest.skip("run make test-clients, which brings node and the packages")


@pytest.fixture(scope="session")
def oracle() -> Iterator[Oracle]:
    each = Oracle()
    yield each
    each.close()


@pytest.fixture(scope="session")
def clients() -> Iterator[Clients]:
    """The published clients."""
    each = Clients()
    yield each
    each.close()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Server]:
    """A server of its own."""
    with server(tmp_path / "data") as each:
        yield each
