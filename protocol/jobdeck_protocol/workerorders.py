"""The messages of the worker channel by which the server speaks of one job; see ``worker`` for the rules.

start       run this job, unless its id was decided before; the specification comes in pieces
want        tell all about this job, and send its files from these sizes on
withdraw    never start it, if it is not too late
stop        a signal to everything the job started, SIGKILL after the grace time; never start it if it did not yet
signal      send a signal to everything the job started, once
input, eof  bytes of standard input at an explicit offset, and its end
ack         of these jobs, so much is safely on the server's disk
release     all of an ended job is safe here: its files may be removed
forget      nothing of this job is wanted: end it if it runs, remove its files
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from jobdeck_protocol.message import Message, check, check_number, wired
from jobdeck_protocol.workerwords import (
    ACK_LIMIT_COUNT,
    GRACE_LIMIT_S,
    INPUT_LIMIT_BYTES,
    PIECE_LIMIT_BYTES,
    SIGNAL_LIMIT,
    SPEC_LIMIT_BYTES,
    check_data,
    check_id,
    check_index_size,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Message):
    """A piece of a job's specification; with the last one the worker decides whether it runs.

    The pieces of one job come one after the other, from offset 0 on; those of two jobs are never mixed. Other messages
    may come between them.

    Attributes:
        job_id: The worker decides by it, once and for all.
        size: Bytes of the whole specification; what they mean is between the two programs.
        offset: Of this piece.
        data: At most 256 KiB.
    """

    kind: ClassVar[str] = "start"
    job_id: str
    size: int
    offset: int
    data: bytes

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("size", self.size, low=1, high=SPEC_LIMIT_BYTES)
        check_number("offset", self.offset, high=self.size)
        check_data("data", self.data, limit_bytes=PIECE_LIMIT_BYTES)
        check(0 < len(self.data) <= self.size - self.offset, "data must be within the specification")


@dataclass(frozen=True, slots=True, kw_only=True)
class Want(Message):
    """Tell all about this job from now on: its state, its end, and its files from these sizes on.

    Said again, it takes the worker back (or forward) to these sizes; what is under way from elsewhere is passed over.
    """

    kind: ClassVar[str] = "want"
    job_id: str
    output: int
    runs: int

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("output", self.output)
        check_index_size("runs", self.runs)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withdraw(Message):
    """Never start the job. The answer is ``ended`` with ``never``, or ``state`` (or another end) if it was too late."""

    kind: ClassVar[str] = "withdraw"
    job_id: str

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop(Message):
    """Stop the job, whatever its state; may be repeated, the last one counts."""

    kind: ClassVar[str] = "stop"
    job_id: str
    signal: int
    grace_s: float

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("signal", self.signal, low=1, high=SIGNAL_LIMIT)
        fine = type(self.grace_s) in (int, float) and 0 <= self.grace_s <= GRACE_LIMIT_S
        check(fine, f"grace_s must be from 0 to {GRACE_LIMIT_S:.0f}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal(Message):
    """Send a signal, at most once; ``number`` comes back in ``signalled``."""

    kind: ClassVar[str] = "signal"
    job_id: str
    number: int
    signal: int

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("number", self.number)
        check_number("signal", self.signal, low=1, high=SIGNAL_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Input(Message):
    """Bytes of standard input, at most 64 KiB, at their offset from the start of all input."""

    kind: ClassVar[str] = "input"
    job_id: str
    offset: int
    data: bytes

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("offset", self.offset)
        check_data("data", self.data, limit_bytes=INPUT_LIMIT_BYTES)
        check(len(self.data) > 0, "data must not be empty")


@dataclass(frozen=True, slots=True, kw_only=True)
class Eof(Message):
    """Standard input ends at ``offset``; may be repeated."""

    kind: ClassVar[str] = "eof"
    job_id: str
    offset: int

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("offset", self.offset)


@dataclass(frozen=True, slots=True)
class Synced:
    """So much of a job's two files is safely on the server's disk."""

    job_id: str
    output: int
    runs: int

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("output", self.output)
        check_index_size("runs", self.runs)


def _synced_list(jobs: tuple[Synced, ...]) -> list[list[Any]]:
    return [[job.job_id, job.output, job.runs] for job in jobs]


def _synced_of(wire: object) -> tuple[Synced, ...]:
    check(isinstance(wire, list) and len(wire) <= ACK_LIMIT_COUNT, f"jobs must be at most {ACK_LIMIT_COUNT}")
    assert isinstance(wire, list)
    check(all(isinstance(row, list) and len(row) >= 3 for row in wire), "a job is [id, output, runs]")
    return tuple(Synced(row[0], row[1], row[2]) for row in wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ack(Message):
    """What is safe of some jobs, each ``[id, output, runs]`` on the wire; the greatest sizes count."""

    kind: ClassVar[str] = "ack"
    jobs: tuple[Synced, ...] = field(metadata=wired(out=_synced_list, into=_synced_of))

    def __post_init__(self) -> None:
        check(isinstance(self.jobs, tuple) and 0 < len(self.jobs) <= ACK_LIMIT_COUNT, "jobs must be 1 to 1000")
        check(all(isinstance(job, Synced) for job in self.jobs), "jobs must be sizes of jobs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Release(Message):
    """All of an ended job, its end too, is safe at the server."""

    kind: ClassVar[str] = "release"
    job_id: str

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Forget(Message):
    """Nothing of this job is wanted."""

    kind: ClassVar[str] = "forget"
    job_id: str

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
