"""Whatever the code under test does: nothing leaves this machine, and a test that would have let it out fails."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest


def _is_here(host: object) -> bool:
    try:
        return host is None or host == "localhost" or ip_address(str(host)).is_loopback
    except ValueError:
        return False


@pytest.fixture(autouse=True)
def _loopback_alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    connect, look_up = socket.socket.connect, socket.getaddrinfo
    strays: list[object] = []

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
            strays.append(address)
            raise OSError("not in a test")
        connect(self, address)

    def guarded_look_up(host: Any, *rest: Any, **more: Any) -> Any:
        name = host.decode() if isinstance(host, bytes) else host
        try:
            ip_address(str(name))
        except ValueError:
            if not _is_here(name):
                strays.append(name)
                raise socket.gaierror("not in a test") from None
        return look_up(host, *rest, **more)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_look_up)
    yield
    assert strays == []


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("data", "open", "closed"):
        (tmp_path / name).mkdir()
    (tmp_path / "closed" / "secret").write_bytes(b"secret")
    return tmp_path
