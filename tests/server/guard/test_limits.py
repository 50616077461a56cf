"""Threat 4: a port that others can reach, and no token."""

from __future__ import annotations

from pathlib import Path

import pytest

from jobdeck_server.guard import BindError, TokenStore, check_bind
from jobdeck_server.http.message import Role

LOOPBACK = ["127.0.0.1", "127.3.2.1", "localhost", "LOCALHOST", "::1", "[::1]"]
OPEN = ["0.0.0.0", "::", "", "192.168.1.5", "fe80::1%eth0", "myhost", "localhost.example", "127.1", "0"]


@pytest.mark.parametrize("host", LOOPBACK)
def test_loopback_needs_nothing(tmp_path: Path, host: str) -> None:
    store = TokenStore(tmp_path)
    assert check_bind([(host, 8080)], store, insecure=False) is False
    store.create("x", Role.RUN)
    assert check_bind([(host, 8080)], store, insecure=False) is False
    assert check_bind([(host, 8080)], store, insecure=True) is False


@pytest.mark.parametrize("host", OPEN)
def test_others_need_a_token_or_the_flag(tmp_path: Path, host: str) -> None:
    store = TokenStore(tmp_path)
    listen = [("127.0.0.1", 8080), (host, 8090)]
    with pytest.raises(BindError) as caught:
        check_bind(listen, store, insecure=False)
    assert "jobdeck token create" in str(caught.value)
    assert "--insecure-no-auth" in str(caught.value)
    assert check_bind(listen, store, insecure=True) is False
    store.create("x", Role.RUN)
    assert check_bind(listen, store, insecure=False) is True
