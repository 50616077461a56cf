"""Output of jobs that run elsewhere: their workers send it in segments, and it is kept as any other job's.

The files are those of ``jobdeck_keeper.records``: ``output`` and its index ``runs``, the record of a run before its
first byte. All of it is stdout. Nothing is synced: a killed server loses nothing, a power cut may lose some seconds.

A segment that was written and not noted in the database (the server was killed in between) is sent again by its worker;
what stands behind the last noted segment is that text, or its beginning, and is not written twice.

Functions here block and belong into a thread; one thread at a time for a job.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_keeper import records
from jobdeck_server.core.executorrows import COMBINED, Segment
from jobdeck_server.core.runs import Kind, RunIndex

if TYPE_CHECKING:
    from pathlib import Path

_BATCH_COUNT = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """What is kept of a job's output, and what was counted and dropped, in bytes."""

    kept_bytes: int
    dropped_bytes: int


def append(folder: Path, number: int, data: bytes, *, noted_bytes: int, limit_bytes: int, boot_id: str) -> Segment:
    """Add a segment at the end of a job's output.

    Args:
        folder: The job's; made if it is missing.
        number: Of the segment.
        data: Its text.
        noted_bytes: Where the last segment that is noted ends.
        limit_bytes: Of all the job's output; what comes after is counted and dropped.
        boot_id: Of the machine's run, for a new index.

    Returns:
        Where it stands; at the limit, what was kept of it.

    Raises:
        OSError: The disk is full, or broken.
    """
    folder.mkdir(mode=0o700, exist_ok=True)
    with ExitStack() as stack:
        runs = _open_runs(folder, boot_id)
        stack.callback(os.close, runs)
        output = os.open(folder / "output", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, output)
        size = os.fstat(output).st_size
        behind = os.pread(output, len(data) + 1, noted_bytes) if size > noted_bytes else b""
        start = noted_bytes if behind and data.startswith(behind) else size
        kept = data[: max(0, limit_bytes - start)]
        if start + len(kept) > size:
            _note_run(runs, size, size, records.KIND_STDOUT)
            _write(output, kept[size - start :], size)
        if len(kept) < len(data):
            dropped_bytes = _dropped(runs) + len(data) - len(kept)
            _note_run(runs, start + len(kept), dropped_bytes, records.KIND_GAP)
        return Segment(number, COMBINED, start, start + len(kept))


def sizes(folder: Path) -> Sizes:
    """How much there is; nothing of a job that has sent nothing."""
    try:
        kept_bytes = (folder / "output").stat().st_size
        runs = os.open(folder / "runs", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return Sizes(kept_bytes=0, dropped_bytes=0)
    try:
        return Sizes(kept_bytes=kept_bytes, dropped_bytes=_dropped(runs))
    finally:
        os.close(runs)


def read(folder: Path, segment: Segment) -> bytes:
    """The bytes of a segment; fewer, or none, of output that is gone."""
    with ExitStack() as stack:
        try:
            output = os.open(folder / "output", os.O_RDONLY | os.O_CLOEXEC)
            stack.callback(os.close, output)
            if segment.stream == COMBINED:
                return os.pread(output, segment.end - segment.start, segment.start)
            runs = os.open(folder / "runs", os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return b""
        stack.callback(os.close, runs)
        size = os.fstat(output).st_size
        return b"".join(os.pread(output, length, offset) for offset, length in _extents(RunIndex(runs), segment, size))


def _extents(index: RunIndex, segment: Segment, size: int) -> list[tuple[int, int]]:
    """Where in ``output`` the bytes of one stream stand: offset and length."""
    found: list[tuple[int, int]] = []
    at = segment.start
    while at < segment.end:
        batch = index.stream_runs(Kind(segment.stream), at, size, limit_count=_BATCH_COUNT)
        for run in batch:
            length = min(run.length, segment.end - at)
            if length:
                found.append((run.offset, length))
            at += length
        if not batch:
            break
    return found


def _open_runs(folder: Path, boot_id: str) -> int:
    path = folder / "runs"
    if not path.exists():  # born complete: a reader never sees half a header
        fresh = folder / "runs.new"
        fresh.write_bytes(records.pack_header(boot_id))
        fresh.replace(path)
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def _note_run(runs: int, offset: int, before: int, kind: int) -> None:
    header = records.unpack_header(os.pread(runs, records.HEADER.size, 0))
    last = _last(runs)
    # Times count from the header's moment, whatever the machine's clocks have done since: they must never go back
    time_us = max(0 if last is None else last.time_us, header.boot_us + records.wall_us() - header.wall_us)
    _write(runs, records.pack_run(offset, time_us, before, kind), records.HEADER.size + _count(runs) * records.RUN.size)


def _dropped(runs: int) -> int:
    last = _last(runs)
    return last.before if last is not None and last.kind == records.KIND_GAP else 0


def _last(runs: int) -> records.RunRecord | None:
    """The last whole record."""
    count = _count(runs)
    place = records.HEADER.size + (count - 1) * records.RUN.size
    return records.unpack_run(os.pread(runs, records.RUN.size, place)) if count else None


def _count(runs: int) -> int:
    return max(0, os.fstat(runs).st_size - records.HEADER.size) // records.RUN.size


def _write(fd: int, data: bytes, at: int) -> None:
    view = memoryview(data)
    while view:
        count = os.pwrite(fd, view, at)
        view, at = view[count:], at + count
