"""What the server is going to say to a worker about its jobs, and in which order.

First what is short and urgent (what was asked for again, stops, releases, signals, acknowledgements), then starts in
their order, then standard input in turns. Nothing is queued by its content: what is kept is whose turn it is, and the
message is made from the job's ``Charge`` when it goes out.
"""

from __future__ import annotations

from jobdeck_protocol.message import Message
from jobdeck_protocol.worker import ASK_LIMIT_COUNT
from jobdeck_protocol.workercharge import Charge, Due
from jobdeck_protocol.workerorders import Ack, Eof, Release, Signal, Start, Synced
from jobdeck_protocol.workerwords import ACK_LIMIT_COUNT, INPUT_LIMIT_BYTES, PIECE_LIMIT_BYTES

INPUT_WINDOW_BYTES = 4 * INPUT_LIMIT_BYTES
"""Standard input that is sent and not yet kept by the worker, of all jobs."""


class InputTurn:
    """A piece of a job's standard input that is to be read and sent."""

    __slots__ = ("job_id", "length", "offset")

    def __init__(self, job_id: str, offset: int, length: int) -> None:
        self.job_id = job_id
        self.offset = offset
        self.length = length


class Agenda:
    """See the top of this file.

    Args:
        jobs: All jobs of the worker, shared with the host.
    """

    def __init__(self, jobs: dict[str, Charge]) -> None:
        self._jobs = jobs
        self.begin()

    def begin(self) -> None:
        """A new connection, or none: nothing was said on it, and nothing is said before it is open."""
        self.opened = False
        self._dirty: dict[str, None] = {}
        self._asks: dict[str, None] = {}
        self._starts: dict[str, None] = {}
        self._undecided: set[str] = set()  # the worker knows of them and has not decided
        self._done: dict[str, Message] = {}  # releases and forgets of jobs that are not kept here
        self._acks: dict[str, None] = {}
        self._signals: dict[int, Signal] = {}
        self._spec: tuple[str, bytes, int] | None = None  # the specification that goes out: job, all of it, how far
        self._inputs: dict[str, None] = {}
        self._input_flying: dict[str, int] = {}
        for charge in self._jobs.values():
            charge.begin()

    # -- what there is to say --

    def note(self, charge: Charge) -> None:
        """Something about a job may be due, or has changed."""
        if charge.told and not charge.decided:
            self._undecided.add(charge.job_id)
        else:
            self._undecided.discard(charge.job_id)
        if charge.due:
            self._dirty[charge.job_id] = None
        if charge.input_pending:
            self._inputs[charge.job_id] = None

    def ask(self, charge: Charge) -> None:
        """The worker does not know of this job, and is to decide about it."""
        if not self.opened:
            return
        if charge.withdrawn or charge.halt is not None or charge.spec is None:
            self._starts.pop(charge.job_id, None)
            self._asks[charge.job_id] = None
        else:
            self._starts[charge.job_id] = None

    def dismiss(self, job_id: str, last: Message | None) -> None:
        """A job that is not kept here any more; ``last`` is what is still to be said of it."""
        self._undecided.discard(job_id)
        self._input_flying.pop(job_id, None)
        if self._spec is not None and self._spec[0] == job_id:
            self._spec = None
        if last is not None:
            self._done[job_id] = last

    def ack(self, charge: Charge) -> None:
        """More of a job is on disk."""
        if self.opened and charge.wanted:
            self._acks[charge.job_id] = None

    def signal(self, order: Signal) -> None:
        """A signal, to be sent once."""
        self._signals[order.number] = order

    def input_kept(self, job_id: str, count: int) -> None:
        """The worker keeps so many more bytes of a job's standard input."""
        left = self._input_flying.pop(job_id, 0) - count
        if left > 0:
            self._input_flying[job_id] = left

    # -- saying it --

    def next(self, *, starting: bool) -> Message | InputTurn | None:
        """What to say next, None if there is nothing.

        Args:
            starting: Whether jobs may be started now.
        """
        if not self.opened:
            return None
        return (
            self._done_next() or self._order() or self._ack() or self._ask() or self._start(starting) or self._input()
        )

    def _done_next(self) -> Message | None:
        for job_id in self._done:
            return self._done.pop(job_id)
        for number in self._signals:
            return self._signals.pop(number)
        return None

    def _order(self) -> Message | None:
        while self._dirty:
            job_id = next(iter(self._dirty))
            del self._dirty[job_id]
            charge = self._jobs.get(job_id)
            order = None if charge is None else charge.order()
            if charge is not None and order is not None:
                self._said(charge, order)
                return order
        return None

    def _said(self, charge: Charge, order: Message) -> None:
        if isinstance(order, Release):
            del self._jobs[charge.job_id]
            self._input_flying.pop(charge.job_id, None)
        else:
            self.note(charge)

    def _ack(self) -> Message | None:
        if not self._acks:
            return None
        job_ids = list(self._acks)[:ACK_LIMIT_COUNT]
        for job_id in job_ids:
            del self._acks[job_id]
        found = [self._jobs[job_id] for job_id in job_ids if job_id in self._jobs]
        synced = tuple(Synced(charge.job_id, *charge.copy.synced) for charge in found)
        return Ack(jobs=synced) if synced else None

    def _ask(self) -> Message | None:
        while self._asks and len(self._undecided) < ASK_LIMIT_COUNT:
            job_id = next(iter(self._asks))
            del self._asks[job_id]
            charge = self._jobs.get(job_id)
            if charge is not None and not charge.told:
                order = charge.ask()
                self.note(charge)
                return order
        return None

    def _start(self, starting: bool) -> Message | None:
        if self._spec is not None:
            return self._spec_next(*self._spec)
        while starting and self._starts and len(self._undecided) < ASK_LIMIT_COUNT:
            job_id = next(iter(self._starts))
            del self._starts[job_id]
            charge = self._jobs.get(job_id)
            if charge is not None and not charge.told and charge.spec is not None:
                charge.told = True
                self.note(charge)
                return self._spec_next(job_id, charge.spec, 0)
        return None

    def _spec_next(self, job_id: str, spec: bytes, offset: int) -> Message:
        data = spec[offset : offset + PIECE_LIMIT_BYTES]
        end = offset + len(data)
        self._spec = (job_id, spec, end) if end < len(spec) else None
        charge = self._jobs[job_id]
        if self._spec is None:
            charge.due.add(Due.WANT)
            self.note(charge)
        return Start(job_id=job_id, size=len(spec), offset=offset, data=data)

    def _input(self) -> Eof | InputTurn | None:
        while self._inputs:
            job_id = next(iter(self._inputs))
            charge = self._jobs.get(job_id)
            if charge is None or not charge.input_pending:
                del self._inputs[job_id]
                continue
            eof = charge.eof()
            room = INPUT_WINDOW_BYTES - sum(self._input_flying.values())
            length = min(charge.input_bytes - charge.input_sent, INPUT_LIMIT_BYTES, room)
            if eof is None and length <= 0:
                return None
            del self._inputs[job_id]
            if eof is not None:
                return eof
            return self._input_turn(charge, length)
        return None

    def _input_turn(self, charge: Charge, length: int) -> InputTurn:
        turn = InputTurn(charge.job_id, charge.input_sent, length)
        charge.input_sent += length
        self._input_flying[charge.job_id] = self._input_flying.get(charge.job_id, 0) + length
        self.note(charge)
        return turn
