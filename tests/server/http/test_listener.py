from __future__ import annotations

import errno
import socket

import pytest
import trio

from jobdeck_server.http.listener import addresses, open_listeners
from jobdeck_server.http.message import Request, Response
from tests.server.http.toy import serving


def test_listeners_know_their_ports() -> None:
    listeners = open_listeners([("127.0.0.1", 0), ("localhost", 0)], backlog_count=5)
    try:
        assert len(listeners) == 2
        assert all(port > 0 for _, port in addresses(listeners))
        assert addresses(listeners)[0][0] == "127.0.0.1"
    finally:
        for sock in listeners:
            sock.close()


def test_a_taken_port_leaves_nothing_open() -> None:
    (first,) = open_listeners([("127.0.0.1", 0)], backlog_count=5)
    with first:
        with pytest.raises(OSError) as caught:
            open_listeners([("127.0.0.1", 0), first.getsockname()], backlog_count=5)
        assert caught.value.errno == errno.EADDRINUSE


def test_unknown_host() -> None:
    with pytest.raises(OSError):
        open_listeners([("nonexistent.invalid", 0)], backlog_count=5)


async def test_accept_survives_running_out_of_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    async def app(request: Request) -> Response:
        return Response(body=b"ok")

    failures = 2
    accept = socket.socket.accept

    def starved(self: socket.socket) -> object:
        nonlocal failures
        if failures:
            failures -= 1
            raise OSError(errno.EMFILE, "Too many open files")
        return accept(self)

    async with serving(app) as toy:
        monkeypatch.setattr(socket.socket, "accept", starved)
        data = await toy.talk(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert data.endswith(b"ok")
        assert failures == 0
        assert sum(r.getMessage() == "accept" for r in toy.log.records) == 2


async def test_sockets_are_set_up() -> None:
    async def app(request: Request) -> Response:
        return Response()

    async with serving(app) as toy, await toy.connect():
        await toy.open_connections(1)
        assert toy.server.statistics.accepted_count == 1
        await trio.lowlevel.checkpoint()
