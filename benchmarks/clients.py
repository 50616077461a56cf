"""Clients that cost as little as they can: plain sockets, one thread, readers that throw away what comes.

A discarding reader asks the kernel to drop the bytes (MSG_TRUNC on a TCP socket, see tcp(7)) rather than copy them, so
that it is the sender that is measured. Everything is counted, and the counts are checked by whoever calls.
"""

from __future__ import annotations

import base64
import json
import os
import select
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from jobdeck_protocol import attach, codec

LIMIT_S = 120.0
CREDIT_BYTES = 1 << 50
_DROP_BYTES = 1 << 20
_PING, _PONG, _CLOSE = 9, 10, 8


def connect(port: int) -> socket.socket:
    """A connection on which nothing waits for full segments."""
    sock = socket.create_connection(("127.0.0.1", port), LIMIT_S)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def get_bytes(path: str, *, close: bool = False) -> bytes:
    """A request as a plain client sends it."""
    end = "Connection: close\r\n" if close else ""
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n{end}\r\n".encode()


def post_bytes(path: str, value: object) -> bytes:
    """A request with a JSON body."""
    return post(path, json.dumps(value).encode(), "application/json")


def post(path: str, body: bytes, mime: str) -> bytes:
    """A request with a body of any kind."""
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: bench\r\nAccept: */*\r\n"
    return f"{head}Content-Type: {mime}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def take_answer(sock: socket.socket) -> tuple[bytes, bytes]:
    """Head and body of one answer with Content-Length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += _some(sock)
    head, _, body = data.partition(b"\r\n\r\n")
    fields = {name.lower(): value for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))}
    length = int(fields[b"content-length"])
    while len(body) < length:
        body += _some(sock)
    assert len(body) == length, "more came than was promised"
    return head, body


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(1 << 16)
    assert data, "the connection ended in the middle of an answer"
    return data


def ask(sock: socket.socket, data: bytes) -> dict[str, Any]:
    """Send a request on a kept connection; the JSON object that comes back."""
    sock.sendall(data)
    head, body = take_answer(sock)
    assert head.startswith(b"HTTP/1.1 20"), (head, body)
    found: dict[str, Any] = json.loads(body)
    return found


# -- WebSocket --


def handshake(path: str, subprotocol: str | None) -> bytes:
    """The request that opens a WebSocket."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [
        f"GET {path} HTTP/1.1",
        "Host: 127.0.0.1",
        *("Connection: Upgrade", "Upgrade: websocket"),
        *("Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}"),
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    return "\r\n".join([*lines, "", ""]).encode()


def frame(opcode: int, payload: bytes) -> bytes:
    """A short client frame, masked with zeros (which RFC 6455 allows, and which cost nothing)."""
    assert len(payload) < 126
    return struct.pack("!BB4x", 0x80 | opcode, 0x80 | len(payload)) + payload


def open_websocket(port: int, job_id: str, *, cbor: bool, offset: int = 0) -> socket.socket:
    """A WebSocket attach, with all the credit there can be; what follows the handshake is unread."""
    sock = connect(port)
    path = f"/{job_id}/attach" + ("" if cbor else f"?offset={offset}")
    sock.sendall(handshake(path, attach.SUBPROTOCOL if cbor else None))
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += sock.recv(1)
        assert len(head) < 4096
    assert head.startswith(b"HTTP/1.1 101"), head
    if cbor:
        wanted = {"kind": "attach", "offset": offset, "upto": CREDIT_BYTES, "follow": True}
        sock.sendall(frame(2, codec.encode(wanted)))
    return sock


def open_http(port: int, job_id: str, offset: int = 0) -> socket.socket:
    """A plain HTTP attach; the answer is unread."""
    sock = connect(port)
    sock.sendall(get_bytes(f"/{job_id}/attach?offset={offset}", close=True))
    return sock


# -- readers --


class Reader(Protocol):
    """Reads one socket to its end.

    Attributes:
        taken_bytes: Of payload and framing so far.
    """

    sock: socket.socket
    taken_bytes: int

    def read(self) -> bool:
        """Take what is there; False once all has come."""


class Drop:
    """Counts bytes until the end of the connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.taken_bytes = 0
        sock.setblocking(False)

    def read(self) -> bool:
        count = drop(self.sock, _DROP_BYTES)
        self.taken_bytes += count or 0
        return count != 0


class DropFrames:
    """Counts the payload of WebSocket frames until the close frame; answers pings."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.taken_bytes = 0
        self.frames_count = 0
        self._left = 0
        sock.setblocking(False)

    def read(self) -> bool:
        if not self._left:
            return self._head()
        count = drop(self.sock, min(self._left, _DROP_BYTES))
        assert count != 0, "the connection ended without a close frame"
        self.taken_bytes += count or 0
        self._left -= count or 0
        return True

    def _head(self) -> bool:
        try:
            head = self.sock.recv(10, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        assert head, "the connection ended without a close frame"
        extra = {126: 2, 127: 8}.get(head[1] & 0x7F, 0) if len(head) > 1 else 8
        if len(head) < 2 + extra:
            return True
        self.sock.recv(2 + extra)
        self._left = int.from_bytes(head[2 : 2 + extra]) if extra else head[1]
        opcode = head[0] & 0x0F
        if opcode == _PING:
            self.sock.sendall(frame(_PONG, self.sock.recv(self._left)))
            self._left = 0
        self.frames_count += opcode < _CLOSE
        return opcode != _CLOSE


def drop(sock: socket.socket, limit_bytes: int) -> int | None:
    """Have the kernel throw away what has come; how much, None if nothing has."""
    try:
        return sock.recv_into(_scratch, limit_bytes, socket.MSG_TRUNC)
    except BlockingIOError:
        return None


_scratch = bytearray(_DROP_BYTES)


def read_all(readers: Sequence[Reader], *, until: Callable[[], bool] | None = None, limit_s: float = LIMIT_S) -> None:
    """Serve readers until each has ended (their sockets are closed then), or until ``until`` says so."""
    by_fd = {reader.sock.fileno(): reader for reader in readers}
    with select.epoll() as poller:
        for fd in by_fd:
            poller.register(fd, select.EPOLLIN)
        while by_fd and not (until is not None and until()):
            ready = poller.poll(limit_s if until is None else 0.05)
            assert ready or until is not None, "nothing comes any more"
            for fd, _ in ready:
                if not by_fd[fd].read():
                    poller.unregister(fd)
                    by_fd.pop(fd).sock.close()
