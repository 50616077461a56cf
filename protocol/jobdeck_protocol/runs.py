"""Runs: the pieces of an ``output`` message, each of one stream and one time, and the message's head for sendfile.

Runs follow each other without holes in the combined output. One of the stream ``skipped`` covers bytes that the client
did not ask for; no data belongs to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from jobdeck_protocol import codec
from jobdeck_protocol.message import OFFSET_LIMIT, check, check_number, word_of

DATA_LIMIT_BYTES = 256 * 1024
RUNS_LIMIT_COUNT = 512


class Stream(StrEnum):
    """Who wrote a run of output; the value is the word on the wire."""

    STDOUT = "stdout"
    STDERR = "stderr"
    TERMINAL = "terminal"
    UNKNOWN = "unknown"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Run:
    """``length`` bytes of one stream, moved at ``time_us`` (microseconds since 1970 UTC)."""

    length: int
    stream: Stream
    time_us: int

    def __post_init__(self) -> None:
        check_number("length", self.length, low=1)
        check(isinstance(self.stream, Stream), "stream must be a stream")
        check_number("time", self.time_us, low=-OFFSET_LIMIT)


_stream_of = word_of(Stream, Stream.UNKNOWN)
"""A stream of which we have not heard is ``unknown``."""


def runs_list(runs: Iterable[Run]) -> list[list[Any]]:
    """Runs as they go over the wire: ``[length, stream, time_us]`` each."""
    return [[run.length, run.stream.value, run.time_us] for run in runs]


def runs_of(wire: object) -> tuple[Run, ...]:
    """The inverse of ``runs_list``; what a newer end adds to a run is ignored."""
    check(isinstance(wire, list) and len(wire) <= RUNS_LIMIT_COUNT, "runs must be a list of at most 512")
    assert isinstance(wire, list)
    check(all(isinstance(run, list) and len(run) >= 3 for run in wire), "a run is [length, stream, time]")
    return tuple(Run(run[0], _stream_of(run[1]), run[2]) for run in wire)


def data_length(runs: Iterable[Run]) -> int:
    """Bytes of data that belong to runs: all but the skipped ones."""
    return sum(run.length for run in runs if run.stream is not Stream.SKIPPED)


def check_runs(offset: object, runs: object) -> None:
    """An offset, and 1 to 512 runs that stay in bounds from there on."""
    check_number("offset", offset)
    check(isinstance(runs, tuple) and 0 < len(runs) <= RUNS_LIMIT_COUNT, "runs must be a tuple of 1 to 512")
    assert isinstance(runs, tuple)
    assert isinstance(offset, int)
    check(all(isinstance(run, Run) for run in runs), "runs must be runs")
    check(offset + sum(run.length for run in runs) <= OFFSET_LIMIT, "runs reach too far")


def output_prefix(offset: int, runs: tuple[Run, ...], length: int) -> bytes:
    """What goes before the raw bytes of an ``output``: prefix + bytes is exactly the encoded message.

    ``data`` is the last key of the map, so that the bytes themselves can go from file to socket in the kernel.

    Args:
        offset: Of the first run.
        runs: See ``Output``.
        length: Bytes that will follow, as many as the runs that are not skipped have.

    Raises:
        LocalWireError: There is no such message.
    """
    check_runs(offset, runs)
    check(length == data_length(runs) <= DATA_LIMIT_BYTES, "data must be as long as its runs, at most 256 KiB")
    head = codec.encode({"kind": "output", "offset": offset, "runs": runs_list(runs)})
    # 0xA3 is the head of a map of three pairs; the fourth follows here.
    return b"\xa4" + head[1:] + b"\x64data" + codec.bytes_head(length)
