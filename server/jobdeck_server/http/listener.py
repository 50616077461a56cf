"""Listening sockets, the accept loop, and the end of a server.

``HttpServer.run`` owns every connection. Its end has an order: stop accepting, close what waits, let what is being
answered finish within ``shutdown_grace_s``, then cancel what is left.

Too many connections, in all or from one address, are answered 503 on the spot, without a task: refusing has to be
cheaper than asking. (To a client that speaks TLS nothing can be said so cheaply: it is closed.)

With certificates every connection begins with a handshake of TLS, in the connection's own task.
"""

from __future__ import annotations

import errno
import socket
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_server.http.connection import Connection
from jobdeck_server.http.service import Service, Shutdown
from jobdeck_server.http.tls import secure
from jobdeck_server.http.wire import Wire, prepare, set_user_timeout

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Sequence

    from jobdeck_server.http.certificates import Certificates
    from jobdeck_server.http.message import Handler, Response
    from jobdeck_server.settings import Settings

ACCEPT_BATCH_COUNT = 64  # connections taken at one wake-up, so that a flood does not starve those that are open
FULL = b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
# The system has run out of something for now; waiting a little is all that can be done.
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_PAUSE_S = 0.1


def open_listeners(listen: Sequence[tuple[str, int]], *, backlog_count: int) -> list[socket.socket]:
    """Bind and listen on every address of every (host, port).

    Args:
        listen: Hosts as names or literal addresses; an empty host is every IPv4 and IPv6 address. Port 0 takes a free
            one, on the first address of the host only, since two would differ.
        backlog_count: Connections that may wait to be accepted.

    Raises:
        OSError: A name is not known, or an address cannot be bound. Nothing is left open.
    """
    listeners: list[socket.socket] = []
    try:
        for host, port in listen:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            for family, kind, _, _, address in found[:1] if port == 0 else found:
                listeners.append(_listen(family, kind, address, backlog_count))
    except OSError:
        for sock in listeners:
            sock.close()
        raise
    return listeners


def _listen(
    family: int, kind: int, address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes], backlog: int
) -> socket.socket:
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(address)
        sock.listen(backlog)
    except OSError:
        sock.close()
        raise
    return sock


def addresses(listeners: Sequence[socket.socket]) -> list[tuple[str, int]]:
    """(host, port) of each listener, port 0 resolved."""
    return [sock.getsockname()[:2] for sock in listeners]


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics:
    """How a server stands.

    Attributes:
        connection_count: Open now.
        accepted_count: Since the start, refused ones among them.
        refused_count: Closed at once, because there were too many.
    """

    connection_count: int
    accepted_count: int
    refused_count: int


class HttpServer:
    """All listeners and connections of one server; see the top of the file.

    Args:
        app, failure, settings, log: See ``Service``.
        certificates: For TLS on all listeners; None for plain HTTP.
    """

    def __init__(
        self,
        *,
        app: Handler,
        failure: Callable[[Exception, str], Response],
        settings: Settings,
        log: logging.Logger,
        certificates: Certificates | None = None,
    ) -> None:
        self._certificates = certificates
        self._service = Service(app=app, failure=failure, settings=settings, log=log, shutdown=Shutdown())
        self._peers: Counter[str] = Counter()  # open connections by address, without port
        self._count = 0
        self._accepted_count = 0
        self._refused_count = 0

    @property
    def statistics(self) -> Statistics:
        """A value that does not change any more."""
        return Statistics(
            connection_count=self._count, accepted_count=self._accepted_count, refused_count=self._refused_count
        )

    def shutdown(self) -> None:
        """Begin to end; ``run`` returns when all is closed."""
        self._service.shutdown.begin()

    async def run(
        self,
        listeners: Sequence[socket.socket],
        *,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        """Serve until ``shutdown``; closes the listeners.

        Cancelling ends all at once: what is being answered breaks off.
        """
        try:
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(self._accept_all, listener, connections)
                    task_status.started()
                    await self._service.shutdown.wait()
                    accepting.cancel_scope.cancel()
                self._close(listeners)
                connections.cancel_scope.deadline = trio.current_time() + self._service.settings.shutdown_grace_s
        finally:
            self._close(listeners)

    @staticmethod
    def _close(listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            if listener.fileno() >= 0:
                trio.lowlevel.notify_closing(listener)
                listener.close()

    async def _accept_all(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(listener)
            try:
                self._accept_some(listener, nursery)
            except OSError as error:
                if error.errno not in EXHAUSTED:
                    raise
                self._service.log.error("accept", extra={"fields": {"error": str(error)}})
                await trio.sleep(EXHAUSTED_PAUSE_S)

    def _accept_some(self, listener: socket.socket, nursery: trio.Nursery) -> None:
        for _ in range(ACCEPT_BATCH_COUNT):
            try:
                sock, address = listener.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            self._accepted_count += 1
            host = str(address[0]) if isinstance(address, tuple) else ""
            if self._full(host):
                self._refused_count += 1
                refuse(sock, FULL if self._certificates is None else b"")
            else:
                self._count += 1
                self._peers[host] += 1
                nursery.start_soon(self._serve, sock, host, _peer_text(address))

    def _full(self, host: str) -> bool:
        settings = self._service.settings
        return (
            self._count >= settings.connection_limit_count
            or self._peers[host] >= settings.connection_limit_per_peer_count
        )

    async def _serve(self, sock: socket.socket, host: str, peer: str) -> None:
        try:
            wire = await self._open(sock, peer)
            if wire is not None:
                await Connection(wire, self._service, peer=peer).serve()
        except OSError:
            pass  # the client has gone before it could be talked to
        except Exception:
            # the last boundary: a bug here must end this connection only
            self._service.log.exception("bug", extra={"fields": {"peer": peer}})
        finally:
            sock.close()
            self._leave(host)

    async def _open(self, sock: socket.socket, peer: str) -> Wire | None:
        settings = self._service.settings
        prepare(sock)
        set_user_timeout(sock, settings.user_timeout_s)
        if self._certificates is not None:
            return await secure(sock, await self._certificates.context(), self._service, peer=peer)
        return Wire(
            sock,
            receive_bytes=settings.receive_size_bytes,
            chunk_bytes=settings.sendfile_chunk_bytes,
            stall_s=settings.send_timeout_s,
        )

    def _leave(self, host: str) -> None:
        self._count -= 1
        self._peers[host] -= 1
        if self._peers[host] <= 0:
            del self._peers[host]


def refuse(sock: socket.socket, answer: bytes = FULL) -> None:
    """Answer 503 as far as that goes without waiting, and close."""
    with sock, suppress(OSError):
        sock.setblocking(False)
        sock.send(answer)
        sock.shutdown(socket.SHUT_WR)
        sock.recv(65536)  # what has come already would turn the close into a reset


def _peer_text(address: object) -> str:
    if not isinstance(address, tuple):
        return "local"
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in str(host) else f"{host}:{port}"
