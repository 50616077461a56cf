"""The server is killed while a package is sent: its name always stands for the old version or for the new one."""

from __future__ import annotations

import hashlib
import http.client
import json
import random
import socket
import sys
from pathlib import Path

import pytest

from tests.e2e import killpoints
from tests.e2e.program import Server, server

WHEEL = {"Content-Type": "application/python-wheel"}
PATH = "/v1/packages/test"
MOST_POINTS = 80


def version(number: int, size_bytes: int = 3_000_000) -> bytes:
    """A package of its own content: longer than what is taken in one visit to a thread."""
    return b"PK\x03\x04" + random.Random(number).randbytes(size_bytes)


def sha1(data: bytes) -> str:
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()


def send(deck: Server, data: bytes) -> bool:
    """Whether it was acknowledged."""
    try:
        status, _, _ = deck.ask("PUT", PATH, data, WHEEL)
    except (OSError, http.client.HTTPException):
        return False
    assert status == 201
    return True


def standing(deck: Server) -> str:
    """The content that the name stands for, all of which is there and is what it says."""
    status, _, body = deck.ask("GET", PATH)
    assert status == 200
    found = json.loads(body)
    for each in found["versions"]:
        status, _, data = deck.ask("GET", f"/v1/blobs/{each['hash']}/content")
        assert (status, sha1(data), len(data)) == (200, each["content"], each["size_bytes"])
    listed = json.loads(deck.ask("GET", "/v1/packages")[2])["packages"]
    assert [each["content"] for each in listed] == [found["content"]] == [found["versions"][0]["content"]]
    assert found["versions_count"] == len(found["versions"])
    assert not list((deck.data_dir / "blobs" / "tmp").iterdir())
    content: str = found["content"]
    return content


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_killed_at_each_step(tmp_path: Path) -> None:
    told = tmp_path / "count"
    with server(tmp_path / "data") as deck:
        assert send(deck, version(0))
        may_stand = {sha1(version(0))}
        for point in range(1, MOST_POINTS):
            deck.kill()
            deck.program = (sys.executable, killpoints.__file__, str(point), str(told))
            deck.start()
            old = standing(deck)
            assert old in may_stand
            sent = version(point)
            acknowledged = send(deck, sent)
            may_stand = {sha1(sent)} if acknowledged else {old, sha1(sent)}
            if acknowledged and int(told.read_text()) < point:
                break
        assert standing(deck) == sha1(sent)
    assert 8 < point < MOST_POINTS - 1


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_killed_while_bytes_come(tmp_path: Path) -> None:
    rng = random.Random(7)
    with server(tmp_path / "data") as deck:
        assert send(deck, version(0))
        old = standing(deck)
        for number in range(1, 5):
            data = version(number, 8_000_000)
            head = f"PUT {PATH} HTTP/1.1\r\nHost: {deck.url[7:]}\r\nContent-Type: {WHEEL['Content-Type']}\r\n"
            with socket.create_connection(("127.0.0.1", deck.port), timeout=30) as connection:
                connection.sendall(f"{head}Content-Length: {len(data)}\r\n\r\n".encode())
                connection.sendall(data[: rng.randrange(len(data))])
                deck.kill()
            deck.start()
            assert standing(deck) == old
