"""The feeder: gives a job its standard input out of the file ``input``, which the server appends to.

Bytes move by splice from an open file that keeper and shim share, so the kernel keeps the position: whoever feeds
next goes on at the exact byte. The end of the input is a slot in the record; the job sees it when all holders of the
pipe's write end have closed it. An input that is complete before its job is claimed has its size in a file beside it.
"""

from __future__ import annotations

import os

END_FILE = "input.end"
_PIECE_BYTES = 64 << 10
_SPLICE_NONBLOCK = 2


def known_end(folder: str) -> int | None:
    """Where a job's input ends, if that was written down before there was a record; else None."""
    try:
        with open(f"{folder}/{END_FILE}", encoding="ascii") as file:
            return int(file.read())
    except (FileNotFoundError, ValueError):
        return None


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

    def size(self) -> int:
        """Tell how much input there is, in bytes."""
        return os.fstat(self._source).st_size

    def feed(self, size_bytes: int) -> bool:
        """Move what fits into the pipe, up to a size of the input; True when this ended the input.

        Args:
            size_bytes: From ``size``, taken before ``ends_at`` was looked up: input beyond its end is only written once
                the end is on record, so what was there by then is within it or is cut here.
        """
        upto = size_bytes if self.ends_at is None else min(size_bytes, self.ends_at)
        while self.sink >= 0:
            left = upto - os.lseek(self._source, 0, os.SEEK_CUR)
            if left <= 0:
                if self.ends_at is None or upto < self.ends_at:
                    return False
                self.end()
                return True
            try:
                if os.splice(self._source, self.sink, min(left, _PIECE_BYTES), flags=_SPLICE_NONBLOCK) == 0:
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
