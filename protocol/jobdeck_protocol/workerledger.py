"""All jobs of one worker, at the server: what is wanted of them, what the worker tells of them, what is done about it.

The owner of a ``WorkerHost`` reaches it as ``host.jobs``. Its calls may come at any time, with a connection or without
one; what they ask for is remembered until it has come about.
"""

from __future__ import annotations

from jobdeck_protocol.errors import CLOSE_BAD_ORDER, RemoteWireError
from jobdeck_protocol.message import check
from jobdeck_protocol.worker import Beat, Bye, Drain, Have, Hello, WorkerMessage
from jobdeck_protocol.workeragenda import Agenda
from jobdeck_protocol.workercharge import Charge, Due
from jobdeck_protocol.workerevents import Append, Gap, HostEvent, InputKept, Missing, Ready, SignalDone, Stranger
from jobdeck_protocol.workermirror import Sizes, Window
from jobdeck_protocol.workerorders import Forget, Release, Signal, Stop
from jobdeck_protocol.workerreports import Ended, Gone, InputAck, Piece, Signalled, State
from jobdeck_protocol.workerwords import SPEC_LIMIT_BYTES, How, check_id

SIGNAL_LIMIT_COUNT = 64
"""Signals that were not answered yet."""


class Ledger:
    """See the top of this file.

    Attributes:
        agenda: What is to be said.
        window: The credit.
        listening: There is a connection, and the worker was welcomed on it.
    """

    def __init__(self, window_bytes: int) -> None:
        self._jobs: dict[str, Charge] = {}
        self.agenda = Agenda(self._jobs)
        self.window = Window(window_bytes)
        self.listening = False
        self._signals: dict[int, str] = {}  # not answered yet: number -> job
        self._signal_number = 0

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def begin(self) -> list[HostEvent]:
        """A connection has ended: nothing is said on it any more."""
        self.listening = False
        self.agenda.begin()
        unknown: list[HostEvent] = [SignalDone(job_id, number, None) for number, job_id in self._signals.items()]
        self._signals.clear()
        return unknown

    # -- what the server wants --

    def start(self, job_id: str, spec: bytes, *, output: int = 0, runs: int = 0) -> None:
        """Have a job started, unless the worker has decided about its id before; a second call changes nothing.

        Args:
            job_id: Given to this worker and no other.
            spec: What to run, 1 byte to 16 MiB, as the two programs agree.
            output: Size of the copy of its output here.
            runs: Size of the copy of its index, in whole records.

        Raises:
            LocalWireError: The specification is too long, or the id is none.
        """
        check_id("job_id", job_id)
        check(0 < len(spec) <= SPEC_LIMIT_BYTES, f"a specification may have {SPEC_LIMIT_BYTES} bytes")
        if job_id not in self._jobs:
            charge = self._jobs[job_id] = Charge(job_id, Sizes(output, runs), spec=spec)
            self.agenda.ask(charge)

    def follow(self, job_id: str, *, output: int, runs: int, input_kept: int = 0) -> None:
        """Hear of a job that the worker has decided about: after a restart of the server, or of a ``Stranger``."""
        check_id("job_id", job_id)
        if job_id not in self._jobs:
            charge = self._jobs[job_id] = Charge(job_id, Sizes(output, runs), input_kept=input_kept)
            if self.listening:
                charge.told = True
                self._owe(charge, Due.WANT)

    def withdraw(self, job_id: str) -> None:
        """Have a job not started, if it is not too late: ``Ended`` with ``never`` or ``State`` tells which."""
        charge = self._jobs.get(job_id)
        if charge is not None and not charge.decided:
            charge.withdrawn = True
            self._ask_or_owe(charge, Due.WITHDRAW)

    def stop(self, job_id: str, signal: int, grace_s: float) -> None:
        """Have a job stopped, whatever its state; the last call counts."""
        charge = self._jobs.get(job_id)
        if charge is not None and not charge.finished:
            charge.halt = Stop(job_id=job_id, signal=signal, grace_s=grace_s)
            self._ask_or_owe(charge, Due.STOP)

    def signal(self, job_id: str, signal: int) -> int | None:
        """Have a job sent a signal, at most once.

        Returns:
            A number that ``SignalDone`` tells again; None if it cannot be sent now.
        """
        if not self.agenda.opened or len(self._signals) >= SIGNAL_LIMIT_COUNT:
            return None
        self._signal_number += 1
        self.agenda.signal(Signal(job_id=job_id, number=self._signal_number, signal=signal))
        self._signals[self._signal_number] = job_id
        return self._signal_number

    def input(self, job_id: str, size: int, *, eof_bytes: int | None = None) -> None:
        """A job's standard input has grown to ``size``; ``eof_bytes`` tells that it ends there."""
        charge = self._jobs.get(job_id)
        if charge is not None:
            charge.input_bytes, charge.eof_bytes = size, eof_bytes
            self.agenda.note(charge)

    def forget(self, job_id: str) -> None:
        """Hear no more of a job: the worker ends it if it runs, and removes its files."""
        self._jobs.pop(job_id, None)
        self.agenda.dismiss(job_id, Forget(job_id=job_id) if self.listening else None)

    def release(self, job_id: str) -> None:
        """Tell that all of a job is safe here: a ``Stranger`` that is on record, with its end and its files."""
        self._jobs.pop(job_id, None)
        self.agenda.dismiss(job_id, Release(job_id=job_id) if self.listening else None)

    # -- what the server has done --

    def taken(self, append: Append) -> None:
        """Bytes are written (or will not be): the worker may send as many more."""
        self.window.taken(append.cost_bytes)

    def synced(self, job_id: str, *, output: int, runs: int) -> None:
        """So much of a job's files is on disk for good."""
        charge = self._jobs.get(job_id)
        if charge is not None:
            synced = charge.copy.synced.joined(Sizes(output, runs))
            if synced != charge.copy.synced:
                charge.copy.synced = synced
                self.agenda.ack(charge)
            self._release(charge)

    def recorded(self, job_id: str) -> None:
        """The end of a job is written down for good."""
        charge = self._jobs.get(job_id)
        if charge is not None:
            charge.recorded = True
            self._release(charge)

    def rewind(self, job_id: str, *, output: int, runs: int) -> None:
        """A job's files here have only these sizes after all: what was beyond is asked for again."""
        charge = self._jobs.get(job_id)
        if charge is not None:
            charge.copy.rewind(Sizes(output, runs))
            charge.finished = charge.finished and charge.whole
            self._owe(charge, Due.WANT)

    # -- what the worker says --

    def take(self, message: WorkerMessage) -> list[HostEvent]:
        """Take a message of the worker.

        Raises:
            RemoteWireError: It comes where it may not, or was sent without credit.
        """
        match message:
            case Have():
                return self._have(message)
            case Piece():
                return self._piece(message)
            case State() | Ended() | Gone():
                return self._report(message)
            case Signalled():
                job_id = self._signals.pop(message.number, None)
                return [] if job_id is None else [SignalDone(job_id, message.number, message.done)]
            case InputAck():
                return self._input_ack(message)
            case Drain() | Beat() | Bye():
                return [message]
            case Hello():
                return []  # the host has refused it

    def _have(self, have: Have) -> list[HostEvent]:
        if self.agenda.opened:
            raise RemoteWireError("have comes once, in parts", close_code=CLOSE_BAD_ORDER)
        events: list[HostEvent] = []
        for kept in have.jobs:
            charge = self._jobs.get(kept.job_id)
            if charge is None:
                events.append(Stranger(kept))
            else:
                charge.found(kept)
                self.agenda.note(charge)
        return events if have.more else events + self._ready()

    def _ready(self) -> list[HostEvent]:
        """All is told: what the worker does not know of is either to be decided still, or lost."""
        self.agenda.opened = True
        missing: list[HostEvent] = []
        for charge in self._jobs.values():
            if charge.told or charge.finished:
                continue
            if charge.decided:
                missing.append(Missing(charge.job_id))
            else:
                self.agenda.ask(charge)
        return [*missing, Ready()]

    def _piece(self, piece: Piece) -> list[HostEvent]:
        credited = self.window.came(piece.cost_bytes)
        charge = self._wanted(piece.job_id) if credited else None
        if charge is None or not charge.fits(piece):
            self.window.taken(piece.cost_bytes)
        if not credited:
            raise RemoteWireError("a piece without credit", close_code=CLOSE_BAD_ORDER)
        if charge is None:
            return []
        if not charge.fits(piece):
            raise RemoteWireError("bytes beyond the end of their job", close_code=CLOSE_BAD_ORDER)
        taken = charge.copy.take(piece)
        if charge.copy.misses(piece):
            self._owe(charge, Due.WANT)
        used = 0 if taken is None else len(taken.runs) + len(taken.data)
        self.window.taken(piece.cost_bytes - used)
        if taken is None:
            return []
        return [Append(charge.job_id, taken.at, taken.runs, taken.data, used), *self._settle(charge)]

    def _report(self, report: State | Ended | Gone) -> list[HostEvent]:
        charge = self._wanted(report.job_id)
        if charge is None:
            return []
        if isinstance(report, Gone):
            charge.gone = True
            return self._settle(charge)
        charge.decide()
        self.agenda.note(charge)
        if isinstance(report, State):
            charge.claimed = True
            return [report]
        if report.how is How.NEVER and charge.claimed:
            raise RemoteWireError("a job that was said to run has never been started", close_code=CLOSE_BAD_ORDER)
        charge.end = report
        return self._settle(charge)

    def _settle(self, charge: Charge) -> list[HostEvent]:
        """Tell the end of a job, once, if it has ended and all is here."""
        if charge.end is None or charge.finished or not charge.whole:
            return []
        charge.finish()
        at, final = charge.copy.at.output, charge.final.output
        return [*([Gap(charge.job_id, at, final)] if at < final else []), charge.end]

    def _input_ack(self, ack: InputAck) -> list[HostEvent]:
        charge = self._wanted(ack.job_id)
        if charge is None or not charge.input_kept < ack.upto <= charge.input_sent:
            return []
        self.agenda.input_kept(ack.job_id, ack.upto - charge.input_kept)
        charge.input_kept = ack.upto
        return [InputKept(ack.job_id, ack.upto)]

    def _wanted(self, job_id: str) -> Charge | None:
        """The job that a report is about; None if nobody asked, or its end is known."""
        charge = self._jobs.get(job_id)
        return charge if charge is not None and charge.wanted and not charge.finished else None

    def _ask_or_owe(self, charge: Charge, due: Due) -> None:
        """Say it to a worker that knows of the job; let one decide that does not."""
        if charge.told:
            self._owe(charge, due)
        elif not charge.decided:
            self.agenda.ask(charge)

    def _owe(self, charge: Charge, due: Due) -> None:
        if charge.told:
            charge.due.add(due)
            self.agenda.note(charge)

    def _release(self, charge: Charge) -> None:
        if charge.releasable:
            self._owe(charge, Due.RELEASE)
