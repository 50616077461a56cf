"""Faults on the wire, told apart by whose they are.

    WireError
        LocalWireError      we were about to break the protocol: a bug on this side, nothing was sent
        RemoteWireError     the other end did; carries the WebSocket close code that tells it so

Close codes below 4000 are RFC 6455's; the others are jobdeck's own and part of the protocol.
"""

from __future__ import annotations

__all__ = [
    "CLOSE_BAD_DATA",
    "CLOSE_BAD_ORDER",
    "CLOSE_BAD_TYPE",
    "CLOSE_FORGOTTEN",
    "CLOSE_GOING_AWAY",
    "CLOSE_IDENTITY",
    "CLOSE_NORMAL",
    "CLOSE_NOT_FOLLOWED",
    "CLOSE_NO_ATTACH",
    "CLOSE_OFFSET",
    "CLOSE_REPLACED",
    "CLOSE_TOO_BIG",
    "CLOSE_TRY_LATER",
    "CLOSE_UNAUTHORIZED",
    "CLOSE_UNKNOWN_JOB",
    "CLOSE_VERSION",
    "LocalWireError",
    "RemoteWireError",
    "WireError",
]

CLOSE_NORMAL = 1000
CLOSE_GOING_AWAY = 1001
"""The server ends in good order: attach again, at the offset reached."""
CLOSE_BAD_ORDER = 1002
"""A legal message where it is not legal."""
CLOSE_BAD_TYPE = 1003
"""A text message on a channel of binary ones."""
CLOSE_BAD_DATA = 1007
"""A message that is no CBOR of the allowed kind, or whose fields are not what they must be."""
CLOSE_TOO_BIG = 1009
CLOSE_TRY_LATER = 1013
"""A limit in number (attaches) is reached."""
CLOSE_NOT_FOLLOWED = 4000
"""All that was asked for is sent, and there is no exit code or signal to tell; the reason is the job's state."""
CLOSE_UNAUTHORIZED = 4401
"""The token with which the connection came is no longer known, or its role is another now."""
CLOSE_UNKNOWN_JOB = 4404
"""The job was removed while it was attached to."""
CLOSE_NO_ATTACH = 4408
"""The client did not say in time what it wants."""
CLOSE_REPLACED = 4409
"""A newer connection of the same worker has taken this one's place."""
CLOSE_FORGOTTEN = 4410
"""Somebody has had the server forget this worker; if it dials again, it is a new one."""
CLOSE_OFFSET = 4416
"""The offset lies beyond the end of an ended job's output."""

CLOSE_IDENTITY = 4423
"""A worker whose identity somebody else has used since: it runs from a copy of that one's data directory."""
CLOSE_VERSION = 4426
"""The other end speaks a version of the channel that this end does not."""


class WireError(Exception):
    """The protocol was broken, by one end or the other."""


class LocalWireError(WireError):
    """This end was about to break the protocol; nothing was sent."""


class RemoteWireError(WireError):
    """The other end broke the protocol.

    Attributes:
        close_code: The WebSocket close code to answer with; ``str()`` of the error is the reason.
    """

    def __init__(self, text: str, *, close_code: int = CLOSE_BAD_DATA) -> None:
        super().__init__(text)
        self.close_code = close_code
