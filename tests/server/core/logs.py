"""Logs as tests make them, and what a naive program would say of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any
from unittest import mock

import trio

from jobdeck_keeper import records
from jobdeck_protocol.job import Job, JobState
from jobdeck_server.core import find, lineindex, linelog, linereader, runs, text
from jobdeck_server.core.linepage import LinePage, PageQuery
from jobdeck_server.core.linereader import Line
from jobdeck_server.core.lines import Lines
from jobdeck_server.core.runs import Kind
from jobdeck_server.settings import Settings

BOOT = "11111111-2222-3333-4444-555555555555"
RUNNING = Job(id="j", dialect="v1", state=JobState.RUNNING)
ENDED = Job(id="j", dialect="v1", state=JobState.SUCCEEDED)


class LogWriter:
    """Writes output and index as a pump does, the record first, and remembers each byte.

    Attributes:
        written: Stream and time of each byte, and the byte.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.written: list[tuple[Kind, int, int]] = []
        self._last: tuple[Kind, int] | None = None
        (folder / "output").write_bytes(b"")
        header = records.pack_header(BOOT)
        (folder / "runs").write_bytes(header)
        told = records.unpack_header(header)
        self._shift_us = told.wall_us - told.boot_us

    def write(self, kind: Kind, data: bytes, time_us: int = 0) -> None:
        """Append; ``time_us`` is that of a run, UTC but for the start of the machine."""
        with (self.folder / "runs").open("ab") as runs, (self.folder / "output").open("ab") as output:
            if (kind, time_us) != self._last:
                before = sum(1 for each in self.written if each[0] is Kind.STDOUT)
                runs.write(records.pack_run(len(self.written), time_us, before, kind))
            output.write(data)
        self._last = kind, time_us
        self.written += [(kind, time_us + self._shift_us, byte) for byte in data]

    def data(self, stream: Kind | None = None) -> bytes:
        """What a reader of a stream, or of both, must see."""
        return bytes(byte for kind, _, byte in self._bytes(stream))

    def lines(self, stream: Kind | None = None, cap_bytes: int = 1 << 30) -> list[Line]:
        """What must be told of each line."""
        marks = self._bytes(stream)
        told = []
        for n, (offset, line, newline) in enumerate(split(self.data(stream))):
            kept = line[:cap_bytes]
            whose: list[tuple[int, Kind, int]] = []
            for kind, group in groupby(marks[offset : offset + len(kept)], key=lambda mark: mark[0]):
                same = list(group)
                whose.append((len(same), kind, same[0][1]))
            told.append(Line(n, offset, len(line), newline, marks[offset][1], tuple(whose), kept))
        return told

    def _bytes(self, stream: Kind | None) -> list[tuple[Kind, int, int]]:
        return [each for each in self.written if stream is None or each[0] is stream]


def split(data: bytes) -> list[tuple[int, bytes, bool]]:
    """Offset of each line, the line, and whether it has a newline."""
    found, offset = [], 0
    for piece in data.split(b"\n"):
        newline = offset + len(piece) < len(data)
        if newline or piece:
            found.append((offset, piece, newline))
        offset += len(piece) + 1
    return found


@contextmanager
def tiny() -> Iterator[None]:
    """Blocks, pieces, slices and windows of some bytes, so that small logs have many of them."""
    with (
        mock.patch.multiple(lineindex, BLOCK_BYTES=16),
        mock.patch.multiple(linereader, BLOCK_BYTES=16, _WINDOW_BYTES=11, _STEP_BYTES=3),
        mock.patch.multiple(linelog, _PIECE_BYTES=23),
        mock.patch.multiple(runs, _SKIP_COUNT=1),
        mock.patch.multiple(text, _AHEAD_BYTES=9, _RUNS_BATCH_COUNT=3),
        mock.patch.multiple(find, WINDOW_BYTES=40, OVERLAP_BYTES=16, _SLICE_FIRST_BYTES=10, _SLICE_LEAST_BYTES=5),
    ):
        yield


def indexed(log: linelog.Log) -> linelog.Log:
    """A log, looked through to its present end."""
    log.look(least_saved_bytes=0)
    while log.behind:
        log.look(least_saved_bytes=0)
    return log


class Shelf:
    """``Lines`` over folders that the test fills, with a count of what works at the same time."""

    def __init__(self, folder: Path, **limits: Any) -> None:
        self.folder = folder
        self.running: list[str] = []
        self.lines = Lines(
            replace(Settings(data_dir=folder), **limits),
            folder=lambda name: folder / name,
            running=lambda: self.running,
        )

    def write(self, name: str, text: bytes) -> None:
        (self.folder / name).mkdir(exist_ok=True)
        with (self.folder / name / "output").open("ab") as output:
            output.write(text)

    async def page(self, job: Job, **wanted: Any) -> LinePage:
        return await self.lines.page(job, PageQuery(**{"limit_count": 10, "cap_bytes": 100, **wanted}))


@asynccontextmanager
async def shelf(folder: Path, **limits: Any) -> AsyncIterator[Shelf]:
    each = Shelf(folder, **limits)
    async with trio.open_nursery() as nursery:
        await nursery.start(each.lines.run)
        yield each
        nursery.cancel_scope.cancel()
