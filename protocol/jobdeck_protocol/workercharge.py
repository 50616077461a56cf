"""What the server knows of one job that it gave to a worker, and which orders about it are still to be said.

Orders are state, never a queue: what is not said yet is a flag, and a newer order takes an older one's place. All that
belongs to a connection (what was said, what is wanted) begins anew with each.
"""

from __future__ import annotations

from enum import IntEnum

from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import Kept
from jobdeck_protocol.workermirror import Copy, Sizes
from jobdeck_protocol.workerorders import Eof, Release, Stop, Want, Withdraw
from jobdeck_protocol.workerreports import Ended, Piece
from jobdeck_protocol.workerwords import Phase


class Due(IntEnum):
    """An order to be said, in this order."""

    WITHDRAW = 1
    WANT = 2
    STOP = 3
    RELEASE = 4


class Charge:
    """One job; see the top of this file.

    Attributes:
        job_id: Its id.
        spec: What to start, None when it is decided, or is not to be started.
        copy: Its files here.
        decided: The worker has decided whether it runs.
        claimed: It has decided, and told us, that it does.
        withdrawn: It is not to be started.
        halt: A stop that was asked for, None when there is none or it has ended.
        end: How it ended, as the worker says; it counts when ``finished``.
        gone: What is not here of its files does not exist any more.
        finished: The end was told to the owner.
        recorded: The owner has written it down.
        input_bytes: Size of its standard input so far.
        eof_bytes: Its final size, None while it is open.
        input_kept: How much of it the worker keeps.
        told: On this connection: the worker knows of the job.
        wanted: On this connection: ``want`` was said.
        input_sent: On this connection: how far the input went out.
        eof_sent: On this connection: its end, too.
        due: What is to be said.
    """

    def __init__(self, job_id: str, at: Sizes, *, spec: bytes | None = None, input_kept: int = 0) -> None:
        self.job_id = job_id
        self.spec = spec
        self.copy = Copy(at)
        self.decided = spec is None
        self.claimed = False
        self.withdrawn = False
        self.halt: Stop | None = None
        self.end: Ended | None = None
        self.gone = False
        self.finished = False
        self.recorded = False
        self.input_bytes = 0
        self.eof_bytes: int | None = None
        self.input_kept = input_kept
        self.told = False
        self.wanted = False
        self.input_sent = input_kept
        self.eof_sent = False
        self.due: set[Due] = set()

    def begin(self) -> None:
        """A new connection, or none: nothing was said on it."""
        self.told = False
        self.wanted = False
        self.input_sent = self.input_kept
        self.eof_sent = False
        self.due.clear()
        self.copy.begin()

    def found(self, kept: Kept) -> None:
        """The worker has told that it has the job."""
        self.told = True
        self.input_kept = self.input_sent = kept.input
        if kept.phase is not Phase.ASKED:
            self.decide()
        if self.finished:
            self.due |= {Due.RELEASE} if self.releasable else set()
            return
        self.due.add(Due.WANT)
        if self.withdrawn and not self.decided:
            self.due.add(Due.WITHDRAW)
        if self.halt is not None:
            self.due.add(Due.STOP)

    def ask(self) -> Message:
        """The first that the worker hears of a job that is not to be started."""
        self.told = True
        self.due |= {Due.WANT}
        self.due -= {Due.WITHDRAW, Due.STOP}
        if self.halt is not None:
            return self.halt
        return Withdraw(job_id=self.job_id)

    def decide(self) -> None:
        """The worker has decided about the job."""
        self.decided = True
        self.withdrawn = False
        self.spec = None

    def finish(self) -> None:
        """The end counts: nothing is asked of the job any more."""
        self.finished = True
        self.halt = None
        self.due -= {Due.WITHDRAW, Due.WANT, Due.STOP}

    def order(self) -> Message | None:
        """The next order to say, None if there is none."""
        if not self.due:
            return None
        due = min(self.due)
        self.due.remove(due)
        match due:
            case Due.WITHDRAW:
                return Withdraw(job_id=self.job_id)
            case Due.WANT:
                self.wanted = True
                return Want(job_id=self.job_id, output=self.copy.at.output, runs=self.copy.at.runs)
            case Due.STOP:
                return self.halt
            case Due.RELEASE:
                return Release(job_id=self.job_id)

    @property
    def final(self) -> Sizes:
        """Final sizes of its files, as the worker says."""
        return Sizes(0, 0) if self.end is None else Sizes(self.end.output_bytes, self.end.runs_bytes)

    @property
    def whole(self) -> bool:
        """Whether all bytes are here, or those that are not do not exist any more."""
        return self.gone or self.copy.at.covers(self.final)

    def fits(self, piece: Piece) -> bool:
        """Whether a piece lies within the files, as far as their final sizes are known."""
        upto = Sizes(piece.offset + len(piece.data), piece.runs_offset + len(piece.runs))
        return self.end is None or self.final.covers(upto)

    @property
    def releasable(self) -> bool:
        """Whether the worker may remove what it keeps: all of it is safe here."""
        safe = self.copy.synced.covers(self.final.shared(self.copy.at))
        return self.finished and self.recorded and safe

    @property
    def input_pending(self) -> bool:
        """Whether some of its standard input, or the end of it, is to be sent."""
        if not (self.decided and self.wanted) or self.finished:
            return False
        return self.input_sent < self.input_bytes or self._at_eof

    @property
    def _at_eof(self) -> bool:
        return self.eof_bytes is not None and not self.eof_sent and self.input_sent >= self.eof_bytes

    def eof(self) -> Eof | None:
        """The end of its standard input, if it is time to say it."""
        if not self._at_eof:
            return None
        self.eof_sent = True
        return Eof(job_id=self.job_id, offset=self.input_sent)
