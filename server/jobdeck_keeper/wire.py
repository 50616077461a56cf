"""Frames on the keeper's socket: a u32 little-endian length, then that many bytes of JSON, one object."""

from __future__ import annotations

import json
from struct import Struct
from typing import Any

_HEAD = Struct("<I")
FRAME_LIMIT_BYTES = 16 << 20

Message = dict[str, Any]


class WireError(Exception):
    """The peer sent something that is no frame; the connection is of no more use."""


def encode(message: Message) -> bytes:
    """Make a frame."""
    body = json.dumps(message, separators=(",", ":")).encode()
    return _HEAD.pack(len(body)) + body


class Inbox:
    """Bytes in, messages out; holds at most one unfinished frame."""

    __slots__ = ("_bytes",)

    def __init__(self) -> None:
        self._bytes = bytearray()

    def feed(self, data: bytes) -> None:
        """Add what has arrived."""
        self._bytes += data

    def clear(self) -> None:
        """Forget what has arrived and was not taken."""
        self._bytes.clear()

    def take(self) -> Message | None:
        """Take the next message; None if there is no whole one yet.

        Raises:
            WireError: Too long, no JSON, or no object.
        """
        if len(self._bytes) < _HEAD.size:
            return None
        (length,) = _HEAD.unpack_from(self._bytes)
        if length > FRAME_LIMIT_BYTES:
            raise WireError(f"a frame of {length} bytes")
        end = _HEAD.size + length
        if len(self._bytes) < end:
            return None
        body = bytes(self._bytes[_HEAD.size : end])
        del self._bytes[:end]
        try:
            message = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise WireError(f"a frame that is not JSON: {error}") from error
        if not isinstance(message, dict):
            raise WireError("a frame that is not an object")
        return message
