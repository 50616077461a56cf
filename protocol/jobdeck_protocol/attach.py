"""The messages of the attach channel, ``jobdeck.attach.v1``: each one a frozen value that checks itself.

On the wire a message is one CBOR map (see ``codec``) whose ``kind`` names it; the other keys are the fields below.
Unknown kinds and unknown fields are ignored, so that old and new ends work together. The order in which messages may
come, credit and offsets are the business of ``session``.

Server to client:

    hello       the answer to ``attach``: the job's record, where its output starts, how long it is now
    output      bytes of the output, with the runs (stream and time) that they are made of
    gap         bytes that are not to be had
    state       the job's record after a change; may overtake output
    note        what is the matter right now; may overtake output
    exit        how the job ended, after all output; always the last
    stdin_ack   how much of standard input is safely kept, and how much more may come
    error       something that was asked for is refused; the channel goes on

Client to server:

    attach      the first: from which offset, which streams, how much credit
    credit      the server may send what lies below this offset of the combined output
    stdin, eof  bytes of standard input at an explicit offset, and its end
    signal      send a signal to everything the job started
    resize      the size of the client's terminal

A run of the stream ``skipped`` stands in ``output`` only where the client asked for some streams: it covers bytes of
the other streams, whose data is left out. So each ``output`` covers a range of offsets without holes, and the offset
after its last run is the one at which to attach again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar

from jobdeck_protocol.job import ENDED, Job, JobState
from jobdeck_protocol.message import (
    OFFSET_LIMIT,
    Message,
    check,
    check_number,
    check_text,
    job_map,
    job_of,
    wired,
    word_of,
)
from jobdeck_protocol.runs import DATA_LIMIT_BYTES, Run, Stream, check_runs, data_length, runs_list, runs_of

SUBPROTOCOL = "jobdeck.attach.v1"
VERSION = 1
STDIN_LIMIT_BYTES = 64 * 1024
SIGNAL_LIMIT = 64


class Why(StrEnum):
    """Why bytes are missing; the value is the word on the wire."""

    LIMIT = "limit"
    REMOVED = "removed"


class Refusal(StrEnum):
    """Why something is refused; the value is the word on the wire."""

    BUSY = "busy"
    UNSUPPORTED = "unsupported"
    CONFLICT = "conflict"
    FORBIDDEN = "forbidden"
    BAD = "bad"
    FAILED = "failed"


def _streams_of(wire: object) -> frozenset[Stream]:
    check(isinstance(wire, list) and len(wire) <= 16, "streams must be a short list")
    assert isinstance(wire, list)
    check(all(isinstance(word, str) for word in wire), "streams must be words")
    return frozenset(Stream(word) for word in wire if word in _WORDS)


_WORDS = frozenset(Stream) - {Stream.SKIPPED}


# -- server to client --


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """The answer to ``attach``.

    Attributes:
        version: Of the protocol.
        job: The record as it stands.
        first: First offset whose byte is kept: 0, or the end when the output was removed.
        size: Bytes of output at this moment.
        offset: Where this attach starts, from the start of the output.
        upto: Credit as the server holds it.
    """

    kind: ClassVar[str] = "hello"
    version: int = VERSION
    job: Job = field(metadata=wired(out=job_map, into=job_of))
    first: int
    size: int
    offset: int
    upto: int

    def __post_init__(self) -> None:
        check_number("version", self.version, low=1)
        check(isinstance(self.job, Job), "job must be a job")
        for name in ("first", "size", "offset", "upto"):
            check_number(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class Output(Message):
    """Bytes of the output. ``data`` is the last field, see ``runs.output_prefix``.

    Attributes:
        offset: Of the first run, in the combined output.
        runs: 1 to 512 runs, one after the other without holes.
        data: The bytes of the runs that are not ``skipped``; at most 256 KiB. May be empty: then the message only
            tells how far the server has looked.
    """

    kind: ClassVar[str] = "output"
    offset: int
    runs: tuple[Run, ...] = field(metadata=wired(out=runs_list, into=runs_of))
    data: bytes

    def __post_init__(self) -> None:
        check_runs(self.offset, self.runs)
        check(type(self.data) is bytes and len(self.data) <= DATA_LIMIT_BYTES, "data must be bytes, at most 256 KiB")
        check(data_length(self.runs) == len(self.data), "data must be as long as its runs")

    @property
    def end(self) -> int:
        """The offset after the last run."""
        return self.offset + sum(run.length for run in self.runs)

    def pieces(self) -> Iterator[tuple[int, Run, bytes]]:
        """Each run that has data: its offset, the run, its bytes."""
        offset = self.offset
        position = 0
        for run in self.runs:
            if run.stream is not Stream.SKIPPED:
                yield offset, run, self.data[position : position + run.length]
                position += run.length
            offset += run.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Message):
    """Bytes that are not to be had.

    Attributes:
        start: Offset of the first missing byte; ``from`` on the wire.
        to: The offset after the last one.
        why: ``limit``: over the job's output limit, counted and not kept; they lie beyond the end of what is kept and
            do not move the offset at which to attach again. ``removed``: retention has removed the output.
    """

    kind: ClassVar[str] = "gap"
    start: int = field(metadata=wired(name="from"))
    to: int
    why: Why = field(metadata=wired(out=str, into=word_of(Why)))

    def __post_init__(self) -> None:
        check_number("from", self.start)
        check_number("to", self.to, low=self.start + 1)
        check(isinstance(self.why, Why), "why must be limit or removed")


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Message):
    """The job's record after a change."""

    kind: ClassVar[str] = "state"
    job: Job = field(metadata=wired(out=job_map, into=job_of))

    def __post_init__(self) -> None:
        check(isinstance(self.job, Job), "job must be a job")


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Message):
    """What is the matter right now (``waiting for disk space``), None when nothing is any more."""

    kind: ClassVar[str] = "note"
    note: str | None

    def __post_init__(self) -> None:
        if self.note is not None:
            check_text("note", self.note)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit(Message):
    """How the job ended; the last message.

    Attributes:
        code: Exit code of the main process, None if it has none (a signal, never started, lost).
        signal: The signal that ended it, else None.
        state: Succeeded, failed, stopped or lost.
        output_bytes: Bytes of output kept (before retention removed them).
        dropped_bytes: Bytes counted and not kept.
        offset: The end of the output.
    """

    kind: ClassVar[str] = "exit"
    code: int | None = None
    signal: int | None = None
    state: JobState = field(metadata=wired(out=str, into=word_of(JobState)))
    output_bytes: int
    dropped_bytes: int
    offset: int

    def __post_init__(self) -> None:
        check(isinstance(self.state, JobState) and self.state in ENDED, "state must be one of an ended job")
        for name in ("code", "signal"):
            if getattr(self, name) is not None:
                check_number(name, getattr(self, name), low=-OFFSET_LIMIT)
        for name in ("output_bytes", "dropped_bytes", "offset"):
            check_number(name, getattr(self, name))


@dataclass(frozen=True, slots=True, kw_only=True)
class StdinAck(Message):
    """Standard input below ``upto`` is kept; bytes below ``upto + window`` may be sent."""

    kind: ClassVar[str] = "stdin_ack"
    upto: int
    window: int

    def __post_init__(self) -> None:
        check_number("upto", self.upto)
        check_number("window", self.window)


@dataclass(frozen=True, slots=True, kw_only=True)
class Error(Message):
    """Something that was asked for is refused; the channel goes on.

    Attributes:
        error: ``busy`` (another attach writes standard input), ``unsupported``, ``conflict`` (the job is not in a
            state for it), ``forbidden``, ``bad`` (it makes no sense here), ``failed`` (just now, or a word not known).
        about: The kind of message that is refused.
        text: A sentence for a person.
    """

    kind: ClassVar[str] = "error"
    error: Refusal = field(metadata=wired(out=str, into=word_of(Refusal, Refusal.FAILED)))
    about: str
    text: str

    def __post_init__(self) -> None:
        check(isinstance(self.error, Refusal), "error must be a word of Refusal")
        check_text("about", self.about, limit_count=64)
        check_text("text", self.text)


# -- client to server --


@dataclass(frozen=True, slots=True, kw_only=True)
class Attach(Message):
    """The first message of a client.

    Attributes:
        offset: First wanted byte of the combined output; negative: so many bytes before its present end.
        streams: Only these; None for all. A word that is not known matches nothing.
        upto: Credit, see ``Credit``; None: what the server thinks fit, told in ``hello``.
        follow: Go on with what comes; else the server ends after what there is at the moment of ``hello``.
    """

    kind: ClassVar[str] = "attach"
    offset: int = 0
    streams: frozenset[Stream] | None = field(default=None, metadata=wired(out=sorted, into=_streams_of))
    upto: int | None = None
    follow: bool = True

    def __post_init__(self) -> None:
        check_number("offset", self.offset, low=-OFFSET_LIMIT)
        check(self.streams is None or (isinstance(self.streams, frozenset) and self.streams <= _WORDS), "bad streams")
        if self.upto is not None:
            check_number("upto", self.upto)
        check(isinstance(self.follow, bool), "follow must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit(Message):
    """The server may send bytes with combined offsets below ``upto``; the greatest one holds, repeats are harmless."""

    kind: ClassVar[str] = "credit"
    upto: int

    def __post_init__(self) -> None:
        check_number("upto", self.upto)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stdin(Message):
    """Bytes of standard input, at most 64 KiB, at their offset from the start of all input."""

    kind: ClassVar[str] = "stdin"
    offset: int
    data: bytes

    def __post_init__(self) -> None:
        check_number("offset", self.offset)
        check(type(self.data) is bytes and 0 < len(self.data) <= STDIN_LIMIT_BYTES, "data must be 1 to 65536 bytes")


@dataclass(frozen=True, slots=True, kw_only=True)
class Eof(Message):
    """Standard input ends at ``offset``; may be repeated."""

    kind: ClassVar[str] = "eof"
    offset: int

    def __post_init__(self) -> None:
        check_number("offset", self.offset)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal(Message):
    """Send a signal, 1 to 64, to everything the job started."""

    kind: ClassVar[str] = "signal"
    signal: int

    def __post_init__(self) -> None:
        check_number("signal", self.signal, low=1, high=SIGNAL_LIMIT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize(Message):
    """The client's terminal has this size."""

    kind: ClassVar[str] = "resize"
    rows: int
    columns: int

    def __post_init__(self) -> None:
        check_number("rows", self.rows, low=1, high=10_000)
        check_number("columns", self.columns, low=1, high=10_000)


ServerMessage = Hello | Output | Gap | State | Note | Exit | StdinAck | Error
ClientMessage = Attach | Credit | Stdin | Eof | Signal | Resize

SERVER_KINDS: Mapping[str, type[ServerMessage]] = MappingProxyType(
    {each.kind: each for each in (Hello, Output, Gap, State, Note, Exit, StdinAck, Error)}
)
CLIENT_KINDS: Mapping[str, type[ClientMessage]] = MappingProxyType(
    {each.kind: each for each in (Attach, Credit, Stdin, Eof, Signal, Resize)}
)
