"""The keeper's socket: accepts, reads frames, answers, and tells events to the server.

A connection that has said hello is the server; there is one at a time, the newest. One that sends nonsense is closed,
the others do not notice. What a slow reader leaves unread is bounded: then it is closed, and asks again later.
"""

from __future__ import annotations

import os
import select
import socket
import struct
from typing import TYPE_CHECKING

from jobdeck_keeper import wire

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_keeper.wire import Message

_UNREAD_LIMIT_BYTES = 16 << 20
_CONNECTIONS_LIMIT = 64
_READ_BYTES = 256 << 10
_BACKLOG = 64


class Connection:
    """One client.

    Attributes:
        is_server: It has said hello.
    """

    __slots__ = ("inbox", "is_server", "outbox", "socket")

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.inbox = wire.Inbox()
        self.outbox = bytearray()
        self.is_server = False


class Hub:
    """All connections of one keeper."""

    def __init__(self, loop: select.epoll, answer: Callable[[Connection, Message], Message]) -> None:
        """Register with ``loop``; ``answer`` turns a request into its answer, without ``re``."""
        self._loop, self._answer = loop, answer
        self._listener: socket.socket | None = None
        self._connections: dict[int, Connection] = {}

    def listen(self, data: str) -> None:
        """Bind ``keeper.sock`` in the data directory, however long its path is."""
        folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        path = f"/proc/self/fd/{folder}/keeper.sock"
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            if os.path.lexists(path):
                os.unlink(path)  # we hold the lock of the data directory: it is a dead keeper's
            listener.bind(path)
            os.chmod(path, 0o600)
        finally:
            os.close(folder)
        listener.listen(_BACKLOG)
        listener.setblocking(False)
        self._listener = listener
        self._loop.register(listener.fileno(), select.EPOLLIN)

    @property
    def is_idle(self) -> bool:
        """Tell whether nobody is connected."""
        return not self._connections

    def owns(self, fd: int) -> bool:
        """Tell whether events of this descriptor are ours."""
        return fd in self._connections or (self._listener is not None and fd == self._listener.fileno())

    def handle(self, fd: int, events: int) -> None:
        """Do what an event asks for."""
        connection = self._connections.get(fd)
        if connection is None:
            self._accept()
            return
        if events & select.EPOLLOUT:
            self._flush(connection)
        if events & ~select.EPOLLOUT and connection.socket.fileno() == fd:
            self._read(connection)

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            sock, _ = self._listener.accept()
        except OSError:
            return
        uid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[1]
        if uid not in (0, os.geteuid()) or len(self._connections) >= _CONNECTIONS_LIMIT:
            sock.close()
            return
        sock.setblocking(False)
        self._connections[sock.fileno()] = Connection(sock)
        self._loop.register(sock.fileno(), select.EPOLLIN)

    def _read(self, connection: Connection) -> None:
        try:
            data = connection.socket.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self.close(connection)
            return
        connection.inbox.feed(data)
        try:
            while connection.socket.fileno() >= 0 and (message := connection.inbox.take()) is not None:
                self.send(connection, {"re": message.get("n"), **self._answer(connection, message)})
        except wire.WireError:
            self.close(connection)

    def send(self, connection: Connection, message: Message) -> None:
        """Send, or keep what the peer does not take yet."""
        connection.outbox += wire.encode(message)
        self._flush(connection)

    def tell(self, message: Message) -> None:
        """Send an event to the server, if it is there."""
        for connection in list(self._connections.values()):
            if connection.is_server:
                self.send(connection, message)

    def _flush(self, connection: Connection) -> None:
        blocked = False
        try:
            while connection.outbox:
                sent = connection.socket.send(connection.outbox)
                del connection.outbox[:sent]
        except BlockingIOError:
            blocked = True
        except OSError:
            self.close(connection)
            return
        if len(connection.outbox) > _UNREAD_LIMIT_BYTES:
            self.close(connection)
            return
        events = select.EPOLLIN | (select.EPOLLOUT if blocked else 0)
        self._loop.modify(connection.socket.fileno(), events)

    def adopt_server(self, connection: Connection) -> None:
        """Make this connection the server; older ones are closed and what they sent and we did not read is void."""
        for other in list(self._connections.values()):
            if other.is_server and other is not connection:
                self.close(other)
        connection.is_server = True

    def close(self, connection: Connection) -> None:
        """Forget a connection."""
        fd = connection.socket.fileno()
        if fd >= 0:
            del self._connections[fd]
            # A fork under way may hold a copy: only this takes the descriptor out of the set for certain.
            self._loop.unregister(fd)
            connection.inbox.clear()
            connection.socket.close()

    def shut(self) -> None:
        """Close the listener and remove its name.

        The keeper's own folder is its working directory. By its path another one may be there by now: somebody has
        removed the folder and begun anew, and the socket in that one is another keeper's.
        """
        if self._listener is not None:
            self._loop.unregister(self._listener.fileno())
            self._listener.close()
            self._listener = None
            if os.path.lexists("keeper.sock"):
                os.unlink("keeper.sock")
