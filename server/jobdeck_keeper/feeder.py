"""The feeder: gives a job its standard input out of the file ``input``, which the server appends to.

Bytes move by splice from an open file that keeper and shim share, so the kernel keeps the position: whoever feeds
next goes on at the exact byte. The end of the input is a slot in the record; the job sees it when all holders of the
pipe's write end have closed it.
"""

from __future__ import annotations

import os

_PIECE_BYTES = 64 << 10
_SPLICE_NONBLOCK = 2


class Feeder:
    """Feeds one job.

    Attributes:
        sink: Write end of the job's stdin; -1 once the input has ended.
        ends_at: Size of the input, when that is known.
    """

    def __init__(self, source: int, held: int, sink: int) -> None:
        """Take three descriptors over: the file, a held read end and the write end of the FIFO."""
        self._source, self._held = source, held
        self.sink = sink
        self.ends_at: int | None = None

    @property
    def descriptors(self) -> list[int]:
        """The open descriptors: file, held read end, write end."""
        return [fd for fd in (self._source, self._held, self.sink) if fd >= 0]

    def feed(self) -> bool:
        """Move what is there and fits into the pipe; True when this ended the input."""
        while self.sink >= 0:
            count = _PIECE_BYTES
            if self.ends_at is not None:
                count = min(count, self.ends_at - os.lseek(self._source, 0, os.SEEK_CUR))
                if count <= 0:
                    self.end()
                    return True
            try:
                if os.splice(self._source, self.sink, count, flags=_SPLICE_NONBLOCK) == 0:
                    return False
            except BlockingIOError:
                return False
        return False

    def end(self) -> None:
        """Close the write end: the job reads what is in the pipe, then the end."""
        if self.sink >= 0:
            os.close(self.sink)
            self.sink = -1

    def close(self) -> None:
        """Close everything."""
        for fd in self.descriptors:
            os.close(fd)
        self._source = self._held = self.sink = -1
