"""What the events channel tells of things that change too often to be numbered: to those who ask, and as state only.

The client says ``watch`` as often as it likes, each time all that it wants from then on. The server tells how things
stand, at once and when they change:

    growth      how far the output of a watched job has grown
    counts      how many jobs stand in each state

These have no numbers and are not kept: the newest one is true, those in between are left out when a client is slow.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from jobdeck_protocol.message import Message, check, check_number, check_text, wired, word_of
from jobdeck_protocol.runs import Stream

_ID_LIMIT_COUNT = 256
_WORD_LIMIT_COUNT = 64
_STREAMS = (None, Stream.STDOUT, Stream.STDERR)
_stream_of = word_of(Stream)


@dataclass(frozen=True, slots=True)
class Watched:
    """Output to be watched: of a job, all of it or one stream alone (``stdout``, ``stderr``)."""

    id: str
    stream: Stream | None = None

    def __post_init__(self) -> None:
        check_text("id", self.id, limit_count=_ID_LIMIT_COUNT)
        check(self.stream in _STREAMS, "stream must be stdout or stderr")


def _watched_of(wire: object) -> tuple[Watched, ...]:
    check(isinstance(wire, list) and all(isinstance(each, dict) for each in wire), "jobs must be a list of maps")
    assert isinstance(wire, list)
    return tuple(
        Watched(each.get("id"), None if each.get("stream") is None else _stream_of(each["stream"])) for each in wire
    )


def _watched_out(jobs: tuple[Watched, ...]) -> list[dict[str, str | None]]:
    return [{"id": each.id, "stream": each.stream and each.stream.value} for each in jobs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch(Message):
    """The client says what it wants to be told beside the events; all of it, whatever it said before.

    Attributes:
        counts: How many jobs stand in each state.
        jobs: The output of these. An id that is not known is not told of; a server may limit their number.
    """

    kind: ClassVar[str] = "watch"
    counts: bool = False
    jobs: tuple[Watched, ...] = field(default=(), metadata=wired(out=_watched_out, into=_watched_of))

    def __post_init__(self) -> None:
        check(isinstance(self.counts, bool), "counts must be true or false")
        check(isinstance(self.jobs, tuple) and all(isinstance(job, Watched) for job in self.jobs), "jobs are no list")


@dataclass(frozen=True, slots=True, kw_only=True)
class Growth(Message):
    """How far a watched output has grown; at most 20 times a second for each, and always the last state of things.

    Attributes:
        id: The job.
        stream: The one that was asked for; sizes and lines are its own. None for all output.
        size: Bytes now.
        lines: As far as the index of lines has looked; a last line without its newline counts.
        indexed: How many bytes the index has looked through; less than ``size`` while it is behind.
        ended: The job has ended; ``size`` is final.
    """

    kind: ClassVar[str] = "growth"
    id: str
    stream: Stream | None = field(default=None, metadata=wired(out=str, into=_stream_of))
    size: int
    lines: int
    indexed: int
    ended: bool

    def __post_init__(self) -> None:
        check_text("id", self.id, limit_count=_ID_LIMIT_COUNT)
        check(self.stream in _STREAMS, "stream must be stdout or stderr")
        for name in ("size", "lines", "indexed"):
            check_number(name, getattr(self, name))
        check(isinstance(self.ended, bool), "ended must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Message):
    """How many jobs stand in each state, those without any included; at most 5 times a second.

    Attributes:
        states: State to number; a newer server may have further states.
    """

    kind: ClassVar[str] = "counts"
    states: Mapping[str, int]

    def __post_init__(self) -> None:
        check(isinstance(self.states, Mapping) and len(self.states) <= _WORD_LIMIT_COUNT, "states must be a map")
        for state, count in self.states.items():
            check_text("state", state, limit_count=_WORD_LIMIT_COUNT)
            check_number(state, count)
