from __future__ import annotations

import importlib
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from jobdeck_server.spark import launch

PROCESSPATH = Path(launch.__file__).parent / "processpath"


@pytest.fixture
def masters(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, as the process of a context imports it."""
    monkeypatch.setattr(sys, "path", [str(PROCESSPATH), *sys.path])
    return importlib.import_module("sparkprocess.masters")


@pytest.mark.parametrize(
    ("master", "found"),
    [
        ("local[2]", []),
        ("yarn", []),
        ("spark://head:7077", [("head", 7077)]),
        ("spark://a:1, b:2", [("a", 1), ("b", 2)]),
        ("spark://[::1]:7077", [("::1", 7077)]),
        ("spark://head", [("head", 7077)]),
    ],
)
def test_addresses(masters: Any, master: str, found: list[tuple[str, int]]) -> None:
    assert masters.addresses(master) == found


def test_somebody_and_nobody(masters: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert masters.nobody_at(f"spark://127.0.0.1:1,127.0.0.1:{port}", 0.0) is None
    why = masters.nobody_at(f"spark://127.0.0.1:{port}", 0.6)
    assert why == f"127.0.0.1:{port}: Connection refused"
    assert masters.nobody_at("spark://no such host:99999999", 0.0) is not None
    assert masters.nobody_at("local[*]", 0.0) is None


def test_who_was_taken(masters: Any) -> None:
    assert masters.is_registered("spark://a:1", "app-20261122184303-0000")
    assert not masters.is_registered("spark://a:1", "spark-application-1795372922901")
    assert masters.is_registered("local[2]", "local-1795372922901")
