from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.hooks import FLAGS, SECRET, WHEEL, Caller, package
from tests.e2e.program import Server, server


@pytest.fixture(scope="package")
def deck() -> Iterator[Server]:
    """One server for all tests that leave it as they found it."""
    with server(Path(tempfile.mkdtemp(prefix="jd-")) / "data") as running:
        yield running


@pytest.fixture(scope="package")
def hooked() -> Iterator[Server]:
    """One server for those who call others: with a binary ``hooked``, quick tries, a secret, and a folder to read."""
    folder = Path(tempfile.mkdtemp(prefix="jd-"))
    for name in ("open", "closed"):
        (folder / name).mkdir()
        package(folder / name)
    secret = folder / "secret"
    secret.write_bytes(SECRET + b"\n")
    secret.chmod(0o600)
    flags = ("--callback-secret-file", str(secret), "--fetch-folders", str(folder / "open"))
    with server(folder / "data", *FLAGS, *flags) as running:
        data = (folder / "open" / WHEEL).read_bytes()
        assert running.ask("POST", "/binaries/hooked", data, {"Content-Type": "application/python-wheel"})[0] == 201
        yield running


@pytest.fixture
def caller(hooked: Server) -> Caller:
    """Its routes."""
    return Caller(hooked)
