"""Standard input on its way from a client to a job: kept until it is acknowledged, sent again after a break.

Every byte has an offset from the start of all input, so that sending it twice does no harm. Where the input stands is
told by the server with each link (``stdin_ack`` after ``hello``); only then does sending start.
"""

from __future__ import annotations

from jobdeck_protocol.attach import STDIN_LIMIT_BYTES, Eof, Stdin, StdinAck
from jobdeck_protocol.errors import LocalWireError, RemoteWireError

BUFFER_BYTES = 256 * 1024
"""A client keeps at most about so many unacknowledged bytes."""


class StdinQueue:
    """Bytes that a client wants to send, in order.

    Attributes:
        ended: ``end`` was called.
    """

    def __init__(self) -> None:
        self.ended = False
        self._base: int | None = None  # offset of the first byte in _bytes; None until the server told it
        self._bytes = bytearray()
        self._sent = 0  # how many of _bytes went out on this link
        self._eof_sent = False
        self._upto: int | None = None  # bytes below may go out on this link; None before its first acknowledgement

    @property
    def room(self) -> int:
        """How many bytes may be put without keeping more than ``BUFFER_BYTES``."""
        return max(0, BUFFER_BYTES - len(self._bytes))

    @property
    def idle(self) -> bool:
        """Everything that was put is acknowledged."""
        return not self._bytes

    def put(self, data: bytes) -> None:
        """Append bytes.

        Raises:
            LocalWireError: After ``end``.
        """
        if self.ended:
            raise LocalWireError("standard input has ended")
        self._bytes += data

    def end(self) -> None:
        """Nothing follows what was put; harmless the second time."""
        self.ended = True

    def begin(self) -> None:
        """A new link: what was not acknowledged goes out again, once the server has told where the input stands."""
        self._upto = None
        self._sent = 0
        self._eof_sent = False

    def again(self) -> None:
        """What was sent on this link was refused for now: it goes out again."""
        self._sent = 0
        self._eof_sent = False

    def acked(self, ack: StdinAck) -> None:
        """Take an acknowledgement.

        Raises:
            RemoteWireError: It contradicts what was sent.
        """
        if self._base is None or (not self._bytes and ack.upto >= self._base):
            self._base = ack.upto
        done = ack.upto - self._base
        if not 0 <= done <= len(self._bytes):
            raise RemoteWireError(f"standard input stands at {ack.upto}; somebody else has written to it")
        del self._bytes[:done]
        self._base = ack.upto
        self._sent = max(0, self._sent - done)
        self._upto = ack.upto + ack.window

    def next(self) -> Stdin | Eof | None:
        """The next message to send now, None if there is none or no room for it at the other end."""
        if self._base is None or self._upto is None:
            return None
        offset = self._base + self._sent
        length = min(len(self._bytes) - self._sent, STDIN_LIMIT_BYTES, self._upto - offset)
        if length > 0:
            data = bytes(self._bytes[self._sent : self._sent + length])
            self._sent += length
            return Stdin(offset=offset, data=data)
        if self.ended and not self._eof_sent and self._sent == len(self._bytes):
            self._eof_sent = True
            return Eof(offset=offset)
        return None
