"""The index of a job's output: which stream wrote which bytes, and when.

``runs`` is written by the pump (see ``jobdeck_keeper.records``): a header and fixed-size records, each telling where in
``output`` a run of one stream starts. A record is on disk before the first byte of its run, so for all bytes below a
size of ``output`` that was read **before** the index, the index is complete; what lies at or after that size is ignored
here. Among records with equal offset the last one holds; a record without data is normal.

Positions are found by bisection with one small read per step, never by reading the whole index. A reader mostly goes on
where it was, so the search begins there, and few records are read at first: a message of output is a run or two.
"""

from __future__ import annotations

import os
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from jobdeck_keeper import records

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_FIRST_BATCH_COUNT = 8
_BATCH_COUNT = 512
_SKIP_COUNT = 64  # after so many records of other streams a bisection is quicker


class Kind(IntEnum):
    """What a run is: the numbers on disk."""

    STDOUT = 1
    STDERR = 2
    TERMINAL = 3
    GAP = 4
    UNKNOWN = 5


class Run(NamedTuple):
    """``length`` bytes of one stream from ``offset`` of the combined output on. There can be one for each line.

    Attributes:
        offset: Position in ``output``.
        length: In bytes, at least 1.
        kind: The stream.
        time_us: When its first byte was moved, microseconds UTC.
        flags: Bits of ``jobdeck_keeper.records``: 1 order unknown, 2 first after a take-over, 4 count is a lower bound.
    """

    offset: int
    length: int
    kind: int
    time_us: int
    flags: int


class _Record(NamedTuple):
    offset: int
    boot_us: int
    stdout_bytes: int
    kind: int
    flags: int
    zero: int
    checksum: int


def open_runs(path: Path) -> int | None:
    """Open a job's ``runs``; None if it is not there yet, or only the name of it: a copy's header comes like any byte.

    Returns:
        A descriptor, which the caller closes.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    if os.fstat(fd).st_size >= records.HEADER.size:
        return fd
    os.close(fd)
    return None


class RunIndex:
    """Reads one job's ``runs``. The descriptor belongs to the caller."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        header = records.unpack_header(os.pread(fd, records.HEADER.size, 0))
        self._utc_shift_us = header.wall_us - header.boot_us
        self._hint = 0  # number of the record that was found last

    def runs(self, start: int, end: int, *, limit_count: int) -> list[Run]:
        """The runs that cover ``[start, end)``, or as much of it as ``limit_count`` of them reach.

        Args:
            start: First byte, at least 0.
            end: Not above a size of ``output`` taken before this call.
            limit_count: At least 1.
        """
        found: list[Run] = []
        for record, stop in self._from(start, end):
            begin = max(record.offset, start)
            if stop > begin:
                found.append(Run(begin, stop - begin, record.kind, record.boot_us + self._utc_shift_us, record.flags))
                if len(found) >= limit_count:
                    break
        return found

    def stream_runs(
        self, kind: Kind, position: int, end: int, *, limit_count: int, limit_bytes: int = 1 << 62
    ) -> list[Run]:
        """Runs of one stream, from a position counted in bytes of that stream.

        Args:
            kind: STDOUT or STDERR.
            position: Bytes of this stream before the first wanted one.
            end: As for ``runs``.
            limit_count: At least 1.
            limit_bytes: As soon as the runs have so many, no more are sought.
        """
        found: list[Run] = []
        at: int | None = position
        while at is not None:
            at = self._near(kind, at, end, found, limit_count, position + limit_bytes)
        return found

    def _near(self, kind: Kind, position: int, end: int, found: list[Run], limit_count: int, enough: int) -> int | None:
        """Add runs that stand near each other to ``found``; the position where to go on, None if that is all."""
        known_count, skipped_count = len(found), 0
        first = self._bisect(end, lambda record: _stream_position(record, kind) <= position)
        for record, stop in self._pairs(first, end) if first >= 0 else ():
            before = _stream_position(record, kind)
            if len(found) >= limit_count or before >= enough:
                break
            if record.kind != kind:
                skipped_count += 1
                if skipped_count > _SKIP_COUNT and len(found) > known_count:
                    return before
                continue
            skipped_count, begin = 0, record.offset + max(0, position - before)
            if stop > begin:
                found.append(Run(begin, stop - begin, kind, record.boot_us + self._utc_shift_us, record.flags))
        return None

    def stream_size(self, kind: Kind, size: int) -> int:
        """How many bytes of a stream stand in the first ``size`` bytes of the output."""
        last = self._bisect(size, lambda record: record.offset < size)
        if last < 0:
            return 0
        record = self._record(last)
        position = _stream_position(record, kind)
        return position + (size - record.offset if record.kind == kind else 0)

    # -- records --

    def _from(self, start: int, end: int) -> Iterator[tuple[_Record, int]]:
        return self._pairs(max(0, self._bisect(end, lambda record: record.offset <= start)), end)

    def _pairs(self, number: int, end: int) -> Iterator[tuple[_Record, int]]:
        """Each record that tells a stream, from ``number`` on, with the offset at which its run stops."""
        previous: _Record | None = None
        count = _FIRST_BATCH_COUNT
        while True:
            batch = self._read(number, count)
            for record in batch:
                if record.kind == Kind.GAP:
                    continue
                if record.offset >= end:
                    batch = []
                    break
                if previous is not None:
                    yield previous, record.offset
                previous = record
            if len(batch) < count:
                break
            number += count
            count = min(4 * count, _BATCH_COUNT)
        if previous is not None:
            yield previous, end

    def _bisect(self, end: int, before: Callable[[_Record], bool]) -> int:
        """Number of the last record below ``end`` that is ``before``, -1 if there is none."""
        count = self._count()
        low, high, step = 0, count, 1
        middle = min(self._hint, count - 1)
        while low < high:
            record = self._record(middle)
            if record.offset < end and before(record):
                low = middle + 1
            else:
                high = middle
            # in growing steps upwards from the hint until it is passed, then by halves
            middle = min(middle + step, count - 1) if high == count else (low + high) // 2
            step *= 2
        self._hint = max(0, low - 1)
        return low - 1

    def _count(self) -> int:
        return max(0, os.fstat(self._fd).st_size - records.HEADER.size) // records.RUN.size

    def _record(self, number: int) -> _Record:
        return self._read(number, 1)[0]

    def _read(self, number: int, count: int) -> list[_Record]:
        size = records.RUN.size
        data = os.pread(self._fd, count * size, records.HEADER.size + number * size)
        whole = len(data) // size * size
        return list(map(_Record._make, records.RUN.iter_unpack(data[:whole])))


def _stream_position(record: _Record, kind: Kind) -> int:
    """Bytes of a stream before this record; with stdout and stderr alone, what is not the one is the other."""
    return record.stdout_bytes if kind is Kind.STDOUT else record.offset - record.stdout_bytes
