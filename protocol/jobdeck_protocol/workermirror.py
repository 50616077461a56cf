"""How a job's two files come from a worker to the server: what is sent when, what is taken, and the credit for it.

``Source`` is one job's files at the worker, ``Turns`` decides whose bytes go next; ``Copy`` is the same files at the
server, ``Window`` the credit that it gives. Sizes come in pairs, ``Sizes(output, runs)``.

The worker sends by snapshots. A snapshot is the size of ``output`` and then that of ``runs``: so the records of a
snapshot tell of all its bytes, and all its records go before any of its bytes. Only when it has been sent, the next
one, the newest, is begun; so a job that writes more records than the link carries does not keep its bytes back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

from jobdeck_protocol.workerreports import Piece
from jobdeck_protocol.workerwords import RECORD_BYTES

QUANTUM_BYTES = 64 * 1024
"""What one job may send at a time while others wait."""
SMALL_BYTES = 4 * 1024
"""Jobs that have no more than this to send go before the others; a job that has more starts with so much."""
SMALL_TURN_COUNT = 8
"""After so many of those a job with more has its turn."""


class Sizes(NamedTuple):
    """Sizes of, or positions in, a job's two files."""

    output: int
    runs: int

    def covers(self, other: Sizes) -> bool:
        """Whether both are at least as great."""
        return self.output >= other.output and self.runs >= other.runs

    def joined(self, other: Sizes) -> Sizes:
        """The greater of each."""
        return Sizes(max(self.output, other.output), max(self.runs, other.runs))

    def shared(self, other: Sizes) -> Sizes:
        """The lesser of each."""
        return Sizes(min(self.output, other.output), min(self.runs, other.runs))


NOTHING = Sizes(0, 0)


@dataclass(frozen=True, slots=True)
class Range:
    """What is to be read of a job's files for one piece.

    Attributes:
        at: Where both parts start.
        runs_bytes: How much of ``runs``.
        output_bytes: How much of ``output``.
    """

    at: Sizes
    runs_bytes: int
    output_bytes: int

    @property
    def cost_bytes(self) -> int:
        """How much credit it takes."""
        return self.runs_bytes + self.output_bytes


class Source:
    """One job's files at the worker.

    Attributes:
        told: Their newest sizes, ``output`` looked at first.
        sent: What went out on this connection, from what was wanted on; None while nothing is wanted.
        acked: What is safely at the server.
        gone: They do not exist any more, and nothing of them can be sent.
    """

    __slots__ = ("_snapshot", "acked", "gone", "sent", "told")

    def __init__(self, told: Sizes) -> None:
        self.told = told
        self.sent: Sizes | None = None
        self.acked = NOTHING
        self.gone = False
        self._snapshot = NOTHING

    def want(self, at: Sizes) -> None:
        """Send from there on."""
        self.sent = at
        self._snapshot = self.told

    def close(self, final: Sizes) -> None:
        """They do not grow any more; nothing beyond their final sizes is sent."""
        self.told = final
        self._snapshot = self._snapshot.shared(final)

    @property
    def pending_bytes(self) -> int:
        """How much there is to send now."""
        if self.sent is None or self.gone:
            return 0
        return max(0, self.told.output - self.sent.output) + max(0, self.told.runs - self.sent.runs)

    def next(self, limit_bytes: int) -> Range | None:
        """What to send next, at most so many bytes; None if there is nothing or it would be too much.

        Counts as sent: whoever cannot send it has to call ``want`` again.
        """
        if self.sent is None or self.gone:
            return None
        if self.sent.covers(self._snapshot):
            self._snapshot = self.told
        at, snapshot = self.sent, self._snapshot
        room = limit_bytes - limit_bytes % RECORD_BYTES
        runs_bytes = max(0, min(snapshot.runs - at.runs, room))
        output_bytes = 0
        if at.runs + runs_bytes >= snapshot.runs:
            output_bytes = max(0, min(snapshot.output - at.output, limit_bytes - runs_bytes))
        if runs_bytes + output_bytes == 0:
            return None
        self.sent = Sizes(at.output + output_bytes, at.runs + runs_bytes)
        return Range(at, runs_bytes, output_bytes)


class Turns:
    """Whose bytes go next, and how many: the worker's side of credit and fairness.

    Jobs with little to send wait in one line, those with more in another. The first line goes first, but every so often
    the other has its turn; and some credit is left to the first, so that a line of output never waits until the
    server has taken a whole window of somebody else's bytes.

    Attributes:
        sources: The files of each job, by its id.
    """

    def __init__(self, *, quantum_bytes: int = QUANTUM_BYTES, small_bytes: int = SMALL_BYTES) -> None:
        self.sources: dict[str, Source] = {}
        self._quantum_bytes = quantum_bytes
        self._small_bytes = small_bytes
        self._small: deque[str] = deque()
        self._large: deque[str] = deque()
        self._waiting: set[str] = set()
        self._small_turns = 0
        self._sent_bytes = 0
        self._upto = 0
        self._reserve_bytes = 0

    def reset(self, *, upto: int = 0, window_bytes: int = 0) -> None:
        """A new connection: nothing is wanted yet, and this is the credit."""
        self._small.clear()
        self._large.clear()
        self._waiting.clear()
        for source in self.sources.values():
            source.sent = None
        self._sent_bytes = 0
        self._upto = upto
        self._reserve_bytes = min(4 * self._small_bytes, window_bytes // 4)

    def credit(self, upto: int) -> None:
        """More credit; the greatest counts."""
        self._upto = max(self._upto, upto)

    def refund(self, part: Range) -> None:
        """A part was not sent after all."""
        self._sent_bytes -= part.cost_bytes

    def want(self, job_id: str, at: Sizes) -> None:
        """Send a job's files from there on."""
        self.sources[job_id].want(at)
        self.wake(job_id)

    def wake(self, job_id: str) -> None:
        """A job may have something to send."""
        if job_id not in self._waiting and self.sources[job_id].pending_bytes > 0:
            self._waiting.add(job_id)
            self._small.append(job_id)

    def drop(self, job_id: str) -> None:
        """Nothing of a job is to be sent any more."""
        self.sources.pop(job_id, None)

    def next(self) -> tuple[str, Range] | None:
        """The job whose turn it is and what to send of it; None if there is nothing to send, or no credit."""
        while (line := self._line()) is not None:
            job_id = line[0]
            source = self.sources.get(job_id)
            limit = self._limit_bytes(small=line is self._small)
            part = None if source is None else source.next(limit)
            if part is None and source is not None and source.pending_bytes > 0:
                return None  # not even one record's worth of credit
            line.popleft()
            self._waiting.discard(job_id)
            if part is not None and source is not None:
                self._count(part, small=line is self._small)
                self._again(job_id, source)
                return job_id, part
        return None

    def _line(self) -> deque[str] | None:
        """The line whose first is next."""
        large_may = bool(self._large) and self._limit_bytes(small=False) >= RECORD_BYTES
        if self._small and not (large_may and self._small_turns >= SMALL_TURN_COUNT):
            return self._small
        return self._large if large_may else None

    def _limit_bytes(self, *, small: bool) -> int:
        room = self._upto - self._sent_bytes
        return min(room, self._small_bytes) if small else min(room - self._reserve_bytes, self._quantum_bytes)

    def _count(self, part: Range, *, small: bool) -> None:
        self._sent_bytes += part.cost_bytes
        self._small_turns = self._small_turns + 1 if small else 0

    def _again(self, job_id: str, source: Source) -> None:
        """A job that has had its turn goes to the end of its line, if there is more to send."""
        pending = source.pending_bytes
        if pending > 0:
            self._waiting.add(job_id)
            (self._small if pending <= self._small_bytes else self._large).append(job_id)


@dataclass(frozen=True, slots=True)
class Taken:
    """What is new in a piece, and where it goes; ``runs`` is to be written first."""

    at: Sizes
    runs: bytes
    data: bytes


class Copy:
    """One job's files at the server.

    Attributes:
        at: What was taken so far (it may not be on disk yet).
        synced: What is on disk for good.
    """

    __slots__ = ("_asked", "at", "synced")

    def __init__(self, at: Sizes) -> None:
        self.at = at
        self.synced = NOTHING
        self._asked = False

    def begin(self) -> None:
        """A new connection: nothing is under way."""
        self._asked = False

    def rewind(self, at: Sizes) -> None:
        """What was taken beyond these sizes is lost after all; the worker is told what is wanted."""
        self.at = self.at.shared(at)
        self.synced = self.synced.shared(at)
        self._asked = True

    def take(self, piece: Piece) -> Taken | None:
        """What is new in a piece, None if nothing is."""
        runs = piece.runs[max(0, self.at.runs - piece.runs_offset) :] if piece.runs_offset <= self.at.runs else None
        if runs is None:
            return None  # no byte of output before the records that tell of it
        data = piece.data[max(0, self.at.output - piece.offset) :] if piece.offset <= self.at.output else b""
        if not runs and not data:
            return None
        taken = Taken(self.at, runs, data)
        self.at = Sizes(self.at.output + len(data), self.at.runs + len(runs))
        return taken

    def misses(self, piece: Piece) -> bool:
        """Whether a piece lies beyond the end and the worker is to be asked again: once, until one fits again."""
        hole = piece.runs_offset > self.at.runs or piece.offset > self.at.output
        asked, self._asked = self._asked, hole
        return hole and not asked


class Window:
    """The credit that the server gives: it never has to hold more than a window of bytes, over all connections.

    Attributes:
        window_bytes: See ``worker.Welcome``.
    """

    def __init__(self, window_bytes: int) -> None:
        self.window_bytes = window_bytes
        self._held_bytes = 0
        self._came_bytes = 0
        self._given = 0

    @property
    def held_bytes(self) -> int:
        """Bytes that came and were not taken yet."""
        return self._held_bytes

    def reset(self) -> int:
        """A new connection; its credit to begin with."""
        self._came_bytes = 0
        self._given = self._upto()
        return self._given

    def came(self, count: int) -> bool:
        """Bytes of a piece came; False if there was no credit for them."""
        self._came_bytes += count
        self._held_bytes += count
        return self._came_bytes <= self._given

    def taken(self, count: int) -> None:
        """Bytes that came are written, or were thrown away."""
        self._held_bytes -= count

    def due(self) -> int | None:
        """New credit, if it is time for it: when half of the window is used."""
        upto = self._upto()
        if 2 * (upto - self._given) < self.window_bytes:
            return None
        self._given = upto
        return upto

    def _upto(self) -> int:
        return self._came_bytes + max(0, self.window_bytes - self._held_bytes)
