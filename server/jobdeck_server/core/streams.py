"""One stream of a job's output, taken out of the combined one into a file. Blocks: for threads."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from jobdeck_server.core.runs import Kind, RunIndex, open_runs

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Kind", "write_stream"]

_RUNS_COUNT = 512


def write_stream(job: Path, kind: Kind, output_bytes: int, target: int) -> int:
    """Write a stream of an ended program's output to an open file.

    Args:
        job: The job's folder; without output in it there is nothing to write.
        kind: STDOUT or STDERR.
        output_bytes: Of both streams together, as far as they are to be looked at.
        target: Open for writing.

    Returns:
        How many bytes were written.
    """
    try:
        source = os.open(job / "output", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    runs = open_runs(job / "runs")
    if runs is None:
        os.close(source)
        return 0
    try:
        index, end = RunIndex(runs), min(output_bytes, os.fstat(source).st_size)
        done = 0
        while found := index.stream_runs(kind, done, end, limit_count=_RUNS_COUNT):
            for run in found:
                done += _copy(source, run.offset, run.length, target)
        return done
    finally:
        os.close(source)
        os.close(runs)


def _copy(source: int, offset: int, length: int, target: int) -> int:
    end = offset + length
    while offset < end:
        count = os.sendfile(target, source, offset, end - offset)
        if not count:
            raise EOFError("the output is shorter than its index says")
        offset += count
    return length
