"""A plain blocking link to the keeper of a data directory, for commands that work without a server.

It never says ``hello``: that would make it the server and cut the real one off. The keeper answers requests on any
connection; only events need a greeting. The wire (version 1): frames of a little-endian u32 length and that many bytes
of JSON; a request has ``op`` and ``n``, its answer ``re`` with the same number.
"""

from __future__ import annotations

import json
import socket
import struct
from pathlib import Path
from typing import Any, Self

from jobdeck_server.engines.starting import dial

__all__ = ["KeeperLink", "NoKeeperError"]

_LENGTH = struct.Struct("<I")
_FRAME_LIMIT_BYTES = 16 * 1024 * 1024
_TIMEOUT_S = 10.0


class NoKeeperError(Exception):
    """No keeper runs for this data directory: nothing that a job server started here is alive."""


class KeeperLink:
    """One connection. Use it as a context manager.

    Raises:
        NoKeeperError: Nobody listens on the socket, or there is none.
    """

    def __init__(self, data_dir: Path) -> None:
        self._last = 0
        try:
            self._socket = dial(data_dir, timeout_s=_TIMEOUT_S)
        except (FileNotFoundError, ConnectionRefusedError) as error:
            raise NoKeeperError(f"no keeper runs for {data_dir}") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def ask(self, op: str, **fields: object) -> dict[str, Any]:
        """Send a request and return its answer; ``op`` is one of the keeper's words.

        Raises:
            OSError: The keeper has gone, or does not answer within ten seconds.
        """
        self._last += 1
        body = json.dumps({"op": op, "n": self._last, **fields}).encode()
        self._socket.sendall(_LENGTH.pack(len(body)) + body)
        while True:
            (size,) = _LENGTH.unpack(self._receive(_LENGTH.size))
            if size > _FRAME_LIMIT_BYTES:
                raise ConnectionError(f"the keeper sent a frame of {size} bytes")
            answer: dict[str, Any] = json.loads(self._receive(size))
            if answer.get("re") == self._last:
                return answer

    def _receive(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            piece = self._socket.recv(size - len(data))
            if not piece:
                raise ConnectionError("the keeper closed the connection")
            data += piece
        return bytes(data)

    def peer_pid(self) -> int:
        """The keeper's process id."""
        return int(struct.unpack("iII", self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
