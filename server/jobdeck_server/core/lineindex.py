"""Where lines begin: the number of newlines in every block of 64 KiB, and nothing else.

One integer a block: 16,384 of them for 1 GiB, however many lines it has. The start of line n is found by one bisection
and a look into one block; the line of an offset likewise. The index holds counts alone, no text and no file.

One thread extends an index while others look into it. What is complete is told by ``mark``, one value that is replaced
after everything it speaks of is in its place; who looks takes it once and trusts nothing beyond it.

On disk (``jobs/<id>/lines``) it is a cache that may be removed at any time: a header, then the counts. What is new is
added at its end, the header comes last, and checksums cover both, so a file left half written tells less than there is,
and one that is damaged tells nothing.
"""

from __future__ import annotations

import os
import sys
from array import array
from bisect import bisect_left
from struct import Struct
from typing import NamedTuple
from zlib import crc32

BLOCK_BYTES = 64 * 1024
_NEWLINE = b"\n"
_HEADER = Struct("<8sIIQQQ20s")  # magic, block size, checksum of the counts, then a Mark
_CRC = Struct("<I")
_HEADER_BYTES = _HEADER.size + _CRC.size
_MAGIC = b"JDLINE1\0"
_COUNT_BYTES = 8


class Mark(NamedTuple):
    """How far an index reaches.

    Attributes:
        indexed_bytes: Everything before this offset was looked through.
        newline_count: Newlines in it.
        open: The last byte of it is no newline, so one more line has begun.
    """

    indexed_bytes: int = 0
    newline_count: int = 0
    open: bool = False

    @property
    def line_count(self) -> int:
        """Lines, a last one without newline among them."""
        return self.newline_count + self.open


class Place(NamedTuple):
    """Where to look: a block's offset, and how many newlines stand before it."""

    offset: int
    newline_count: int


class LineIndex:
    """See the top of this file.

    Attributes:
        mark: How far it reaches.
    """

    def __init__(self) -> None:
        self._counts = array("Q")  # newlines up to the end of each complete block
        self.mark = Mark()

    def __repr__(self) -> str:
        return f"<LineIndex {self.mark}>"

    @property
    def memory_bytes(self) -> int:
        """What the counts take."""
        return len(self._counts) * _COUNT_BYTES

    def feed(self, data: bytes) -> None:
        """Take in the bytes that follow those which were looked through."""
        if not data:
            return
        indexed, count, at = self.mark.indexed_bytes, self.mark.newline_count, 0
        while at < len(data):
            stop = min(len(data), at + BLOCK_BYTES - indexed % BLOCK_BYTES)
            count += data.count(_NEWLINE, at, stop)
            indexed += stop - at
            at = stop
            if not indexed % BLOCK_BYTES:
                self._counts.append(count)
        self.mark = Mark(indexed, count, not data.endswith(_NEWLINE))

    def place_of_newline(self, number: int) -> Place:
        """The block that holds a newline.

        Args:
            number: Of the newline, from 1 to ``mark.newline_count``. Line n begins after newline n.
        """
        block = bisect_left(self._counts, number, 0, self.mark.indexed_bytes // BLOCK_BYTES)
        return self._place(block)

    def place_of_offset(self, offset: int) -> Place:
        """The block in which an offset lies that is not beyond ``mark.indexed_bytes``."""
        return self._place(offset // BLOCK_BYTES)

    def _place(self, block: int) -> Place:
        return Place(block * BLOCK_BYTES, self._counts[block - 1] if block else 0)

    # -- on disk --

    def save(self, path: str | os.PathLike[str], *, saved_bytes: int) -> None:
        """Bring the file up to date.

        Args:
            path: Of the file.
            saved_bytes: What its header said when this index was loaded from it or saved to it last; 0 for all anew.

        Raises:
            OSError: It cannot be written.
        """
        mark = self.mark
        counts = _little(self._counts[: mark.indexed_bytes // BLOCK_BYTES])
        done_bytes = saved_bytes // BLOCK_BYTES * _COUNT_BYTES
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _HEADER_BYTES + done_bytes:  # somebody removed it
                done_bytes = 0
            if not done_bytes:
                os.ftruncate(fd, 0)
            os.pwrite(fd, counts[done_bytes:], _HEADER_BYTES + done_bytes)
            os.pwrite(fd, _header(mark, crc32(counts)), 0)
        finally:
            os.close(fd)


def load(path: str | os.PathLike[str], size_bytes: int) -> LineIndex | None:
    """The index that a file holds; None if there is none, or what is there cannot be one of ``size_bytes`` of text."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        mark, checksum = _read_header(os.pread(fd, _HEADER_BYTES, 0))
        blocks = mark.indexed_bytes // BLOCK_BYTES
        data = os.pread(fd, blocks * _COUNT_BYTES, _HEADER_BYTES)
    except ValueError:
        return None
    finally:
        os.close(fd)
    if mark.indexed_bytes > size_bytes or len(data) != blocks * _COUNT_BYTES or crc32(data) != checksum:
        return None
    index = LineIndex()
    index._counts.frombytes(data)
    if sys.byteorder == "big":
        index._counts.byteswap()
    index.mark = mark
    return index


def _header(mark: Mark, checksum: int) -> bytes:
    body = _HEADER.pack(_MAGIC, BLOCK_BYTES, checksum, mark.indexed_bytes, mark.newline_count, mark.open, b"")
    return body + _CRC.pack(crc32(body))


def _read_header(raw: bytes) -> tuple[Mark, int]:
    """How far the counts reach, and their checksum.

    Raises:
        ValueError: This is no header of this version.
    """
    if len(raw) != _HEADER_BYTES or _CRC.unpack_from(raw, _HEADER.size)[0] != crc32(raw[: _HEADER.size]):
        raise ValueError("the header is damaged")
    magic, block_bytes, checksum, indexed, count, is_open, _ = _HEADER.unpack_from(raw)
    if magic != _MAGIC or block_bytes != BLOCK_BYTES:
        raise ValueError("the header is not one of this version")
    return Mark(indexed, count, bool(is_open)), checksum


def _little(counts: array[int]) -> bytes:
    if sys.byteorder == "big":
        counts = counts[:]
        counts.byteswap()
    return counts.tobytes()
