"""The copies of remote jobs' files on this disk: measured, written, synced. All of it blocks and belongs into threads.

A copy is the two files of a local job, in the same place (``jobs/<id>/output`` and ``runs``), byte for byte but for one
field: the clock in the header of ``runs``, where the worker's clock is wrong (``corrected``). So everybody who reads
output finds a remote job's like any other. ``input`` and ``input.end`` are its standard input.

``runs`` is written before ``output``. After a power cut either may be torn: ``measure`` cuts it to what holds, and the
worker sends the rest again.
"""

from __future__ import annotations

import errno
import os
import struct
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_keeper import records
from jobdeck_keeper.feeder import END_FILE, known_end
from jobdeck_keeper.indexfile import cut_to_valid
from jobdeck_protocol.workermirror import NOTHING, Sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from jobdeck_protocol.workerevents import Append

_CLOCK = struct.Struct("<Q")
_CLOCK_AT = 32  # in the header of ``runs``; whole records of 32 bytes come, so the field is never cut in two
_CLOCK_LIMIT_US = (1 << 63) - 1
_GONE = frozenset({errno.ENOENT, errno.ENOTDIR})
_INPUT = "input"


class _File:
    """A descriptor that ``closing`` closes."""

    def __init__(self, path: Path, flags: int) -> None:
        self.fd = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def close(self) -> None:
        os.close(self.fd)


# -- measuring --


def measure(folder: Path) -> Sizes:
    """Sizes of a job's two files, the index cut to its last record that holds; of a fresh job there are none."""
    try:
        output_bytes = (folder / "output").stat().st_size
        with closing(_File(folder / "runs", os.O_RDWR)) as runs:
            return Sizes(output_bytes, _cut(runs.fd, output_bytes))
    except OSError as error:
        if error.errno in _GONE:
            return NOTHING
        raise


def _cut(fd: int, output_bytes: int) -> int:
    size = os.fstat(fd).st_size
    try:
        records.unpack_header(os.pread(fd, records.HEADER.size, 0))
    except ValueError:
        os.ftruncate(fd, 0)
        return 0
    return cut_to_valid(fd, size, output_bytes)[1]


# -- writing --


@dataclass(frozen=True, slots=True)
class Fault:
    """What kept a write from being done."""

    job_id: str
    error: OSError


def write(jobs_dir: Path, appends: Sequence[Append]) -> tuple[int, Fault | None]:
    """Write what has come for jobs' files, each job's records before its bytes.

    What has come for files that are not there any more is passed over: their job was removed.

    Args:
        jobs_dir: Where the folders of jobs are.
        appends: In the order in which they came. One at the beginning of its files makes them.

    Returns:
        How many were written, from the first on, and what kept the next one from it.
    """
    for number, append in enumerate(appends):
        try:
            _write(jobs_dir / append.job_id, append)
        except OSError as error:
            if error.errno not in _GONE:
                return number, Fault(append.job_id, error)
    return len(appends), None


def _write(folder: Path, append: Append) -> None:
    for name, at, data in (("runs", append.at.runs, append.runs), ("output", append.at.output, append.data)):
        fresh = append.at == NOTHING
        if not data and not fresh:
            continue
        if fresh:
            folder.mkdir(mode=0o700, exist_ok=True)
        with closing(_File(folder / name, os.O_WRONLY | (os.O_CREAT if at == 0 else 0))) as file:
            _put(file.fd, at, data)


def _put(fd: int, offset: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        count = os.pwrite(fd, rest, offset)
        rest, offset = rest[count:], offset + count


def corrected(at_runs: int, runs: bytes, skew_us: int) -> bytes:
    """Bytes of ``runs`` with the clock in its header set right, if they hold it.

    Args:
        at_runs: Where they stand.
        runs: Whole records.
        skew_us: The worker's clock less ours.
    """
    place = _CLOCK_AT - at_runs
    if not skew_us or not 0 <= place < len(runs):
        return runs
    clock_us = min(max(0, _CLOCK.unpack_from(runs, place)[0] - skew_us), _CLOCK_LIMIT_US)
    return runs[:place] + _CLOCK.pack(clock_us) + runs[place + _CLOCK.size :]


# -- syncing --


def sync(jobs_dir: Path, job_ids: Iterable[str]) -> tuple[list[str], Fault | None]:
    """Bring jobs' files to the disk for good; of files that are not there any more nothing is said.

    Returns:
        The jobs whose files are safe, and what was wrong with the last one that are not.
    """
    safe: list[str] = []
    fault: Fault | None = None
    for job_id in job_ids:
        try:
            for name in ("runs", "output"):
                with closing(_File(jobs_dir / job_id / name, os.O_RDONLY)) as file:
                    os.fdatasync(file.fd)
            safe.append(job_id)
        except OSError as error:
            if error.errno not in _GONE:
                fault = Fault(job_id, error)
    return safe, fault


def remove(folder: Path) -> None:
    """Remove what was copied for a job that nobody knows."""
    for name in ("runs", "output", _INPUT, END_FILE):
        (folder / name).unlink(missing_ok=True)
    with suppress(OSError):
        folder.rmdir()


# -- standard input --


def input_size(folder: Path) -> int:
    """How much standard input there is of a job."""
    try:
        return (folder / _INPUT).stat().st_size
    except FileNotFoundError:
        return 0


def read_input(folder: Path, offset: int, length: int) -> bytes:
    """A piece of a job's standard input; shorter, or empty, if it is not there any more."""
    try:
        with closing(_File(folder / _INPUT, os.O_RDONLY)) as file:
            return os.pread(file.fd, length, offset)
    except FileNotFoundError:
        return b""


def input_end(folder: Path) -> int | None:
    """Where a job's standard input ends, None while it is open."""
    return known_end(str(folder))
