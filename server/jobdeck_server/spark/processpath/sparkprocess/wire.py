"""The control socket: who is there, and the lines between.

A line is one JSON object, UTF-8, bounded. Only processes of the same user get in. The socket's path is taken through
``/proc/self/fd``, since it may be longer than a socket's address allows.
"""

from __future__ import annotations

import os
import socket
import struct
from contextlib import suppress

__all__ = ["Connection", "LineTooLongError", "accept", "listen", "unlink"]

NAME = "control.sock"
_NEW = f"{NAME}.new"
_PIECE_BYTES = 64 * 1024
_BACKLOG_COUNT = 128


class LineTooLongError(Exception):
    """A peer has sent a line without an end, or reads no answers."""


def listen(folder: str) -> socket.socket:
    """Listen on ``FOLDER/control.sock``, in place of one that was left behind; it has its name once it takes calls.

    Raises:
        OSError: That cannot be.
    """
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(FileNotFoundError):
            os.unlink(_NEW, dir_fd=place)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(f"/proc/self/fd/{place}/{_NEW}")
        listener.listen(_BACKLOG_COUNT)
        os.chmod(_NEW, 0o600, dir_fd=place)
        os.rename(_NEW, NAME, src_dir_fd=place, dst_dir_fd=place)
    finally:
        os.close(place)
    listener.setblocking(False)
    return listener


def unlink(folder: str) -> None:
    """Nobody listens there any more."""
    with suppress(OSError):
        os.unlink(os.path.join(folder, NAME))


class Connection:
    """A client.

    Attributes:
        sock: Its socket; it never blocks.
        pid: Its process as the kernel says, 0 for one that is not seen from here.
        job_id: The job whose lifeline this is, or None.
        pidfd: Of the process behind a lifeline, or -1.
    """

    __slots__ = ("_came", "_line_bytes", "_unsent", "_unsent_bytes", "job_id", "pid", "pidfd", "sock")

    def __init__(self, sock: socket.socket, pid: int, *, line_bytes: int, unsent_bytes: int) -> None:
        self.sock = sock
        self.pid = pid
        self.job_id: str | None = None
        self.pidfd = -1
        self._came = bytearray()
        self._unsent = bytearray()
        self._line_bytes = line_bytes
        self._unsent_bytes = unsent_bytes

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for the client to read."""
        return bool(self._unsent)

    def receive(self) -> list[bytes] | None:
        """The lines that have come whole; None at the end.

        Raises:
            LineTooLongError: That is no request of ours.
        """
        try:
            data = self.sock.recv(_PIECE_BYTES)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self._came += data
        *lines, self._came = self._came.split(b"\n")
        if any(len(line) > self._line_bytes for line in (*lines, self._came)):
            raise LineTooLongError
        return [bytes(line) for line in lines]

    def send(self, line: bytes) -> None:
        """Send a line, or keep what of it cannot be sent yet.

        Raises:
            LineTooLongError: Too much is unread.
            OSError: The client is gone.
        """
        self._unsent += line
        if len(self._unsent) > self._unsent_bytes:
            raise LineTooLongError
        self.flush()

    def flush(self) -> None:
        """Send what is kept, as far as it goes."""
        while self._unsent:
            try:
                sent = self.sock.send(self._unsent)
            except BlockingIOError:
                return
            del self._unsent[:sent]

    def close(self) -> None:
        """Let go of everything."""
        self.sock.close()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1


def accept(listener: socket.socket, *, line_bytes: int, unsent_bytes: int) -> Connection | None:
    """The next client; None for one that is gone again or is of another user.

    Raises:
        BlockingIOError: There is none.
    """
    sock, _ = listener.accept()
    size = struct.calcsize("3i")
    pid, uid, _gid = struct.unpack("3i", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, size))
    if uid != os.getuid():
        sock.close()
        return None
    sock.setblocking(False)
    return Connection(sock, pid, line_bytes=line_bytes, unsent_bytes=unsent_bytes)
