"""All jobs at a worker of which the server has not said that it needs nothing more, and what is to be told of them.

The owner of a ``WorkerAgent`` reaches it as ``agent.jobs`` and tells what happens to its jobs at any time, connected or
not; the newest counts, and goes to the server when it wants it. What belongs to a connection begins anew with each.
"""

from __future__ import annotations

from jobdeck_protocol.errors import CLOSE_BAD_ORDER, RemoteWireError
from jobdeck_protocol.message import Message, check
from jobdeck_protocol.worker import ASK_LIMIT_COUNT, HAVE_LIMIT_COUNT, Have, Kept, encode
from jobdeck_protocol.workeragenda import INPUT_WINDOW_BYTES
from jobdeck_protocol.workerevents import InputJob
from jobdeck_protocol.workermirror import Range, Sizes, Source, Turns
from jobdeck_protocol.workerorders import Eof, Input
from jobdeck_protocol.workerreports import Ended, Gone, InputAck, State
from jobdeck_protocol.workerwords import Phase


class Task:
    """One job at the worker.

    Attributes:
        job_id: Its id.
        state: The newest that is known of it, None while it is not decided whether it runs.
        end: How it ended, None before.
        source: Its files.
        input_at: How much of its standard input came.
        input_kept: How much of that is kept.
        state_due: On this connection: ``state`` is to be said.
        gone_said: On this connection: ``gone`` was said.
        end_said: On this connection: ``ended`` was said.
        input_due: On this connection: ``input_ack`` is to be said.
    """

    __slots__ = (
        "end",
        "end_said",
        "gone_said",
        "input_at",
        "input_due",
        "input_kept",
        "job_id",
        "source",
        "state",
        "state_due",
    )

    def __init__(self, job_id: str, source: Source) -> None:
        self.job_id = job_id
        self.source = source
        self.state: State | None = None
        self.end: Ended | None = None
        self.input_at = self.input_kept = 0
        self.begin()

    def begin(self) -> None:
        """A new connection, or the server wants to hear of the job from the beginning."""
        self.state_due = self.state is not None
        self.gone_said = self.end_said = self.input_due = False

    @property
    def phase(self) -> Phase:
        """How far it has come."""
        if self.end is not None:
            return Phase.ENDED
        return Phase.ASKED if self.state is None else Phase.CLAIMED

    @property
    def wanted(self) -> bool:
        """Whether the server has said on this connection that it wants to hear of it."""
        return self.source.sent is not None

    def report(self) -> Message | None:
        """The next to be said of it now, None if there is nothing."""
        if not self.wanted:
            return None
        if self.state_due and self.state is not None:
            self.state_due = False
            return self.state
        if self.input_due:
            self.input_due = False
            return InputAck(job_id=self.job_id, upto=self.input_kept)
        if self.end is None or self.end_said:
            return None
        if self.source.gone and not self.gone_said:
            self.gone_said = True
            return Gone(job_id=self.job_id)
        if self.source.gone or self._all_sent:
            self.end_said = True
            return self.end
        return None

    @property
    def _all_sent(self) -> bool:
        final, sent = self.end, self.source.sent
        return final is not None and sent is not None and sent.covers(Sizes(final.output_bytes, final.runs_bytes))


class Tasks:
    """See the top of this file."""

    def __init__(self) -> None:
        self._tasks: dict[str, Task] = {}
        self._turns = Turns()
        self._dirty: dict[str, None] = {}
        self._listing: list[str] | None = None  # whom ``have`` has still to tell of, None when it is through

    def __len__(self) -> int:
        return len(self._tasks)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._tasks

    # -- what the owner tells --

    def keep(
        self,
        job_id: str,
        *,
        state: State | None,
        end: Ended | None,
        output: int,
        runs: int,
        input_kept: int = 0,
        gone: bool = False,
    ) -> None:
        """A job that there is a record of: when the program starts, and before ``settled`` if all are asked for.

        Args:
            job_id: A job with a claim.
            state: What is known of it; may be None if it has ended.
            end: How it ended, None if it has not.
            output: Size of its output, looked at first.
            runs: Size of its index, whole records of it.
            input_kept: Size of its standard input.
            gone: Its files were removed.
        """
        if job_id in self._tasks:
            return
        check(state is not None or end is not None, "a job with a record was decided about")
        task = self._add(job_id)
        task.source.told = Sizes(output, runs)
        task.state, task.source.gone = state, gone
        task.input_at = task.input_kept = input_kept
        if end is not None:
            self.ended(end)

    def state(self, state: State) -> None:
        """A job was claimed, runs, has a note, ...: all that is known of it now. One that is not wanted is passed over.

        Raises:
            LocalWireError: It is longer than a message may be.
        """
        encode(state)
        task = self._tasks.get(state.job_id)
        if task is not None and task.end is None:
            task.state, task.state_due = state, True
            self._dirty[state.job_id] = None

    def ended(self, end: Ended) -> None:
        """A job has ended; what it says of the sizes of its files is final.

        Raises:
            LocalWireError: It is longer than a message may be.
        """
        encode(end)
        task = self._tasks.get(end.job_id)
        if task is not None and task.end is None:
            task.end = end
            task.source.close(Sizes(end.output_bytes, end.runs_bytes))
            self._turns.wake(end.job_id)
            self._dirty[end.job_id] = None

    def grew(self, job_id: str, output: int, runs: int) -> None:
        """A job's files have these sizes now: that of ``output`` looked at first, whole records of ``runs``."""
        task = self._tasks.get(job_id)
        if task is not None and task.end is None:
            task.source.told = task.source.told.joined(Sizes(output, runs))
            self._turns.wake(job_id)

    def lost(self, job_id: str) -> None:
        """A job's files, or the end of them, do not exist any more."""
        task = self._tasks.get(job_id)
        if task is not None:
            task.source.gone = True
            self._dirty[job_id] = None

    def input_kept(self, job_id: str, upto: int) -> None:
        """A job's standard input is kept up to here."""
        task = self._tasks.get(job_id)
        if task is not None and task.input_kept < upto:
            task.input_kept, task.input_at, task.input_due = upto, max(upto, task.input_at), True
            self._dirty[job_id] = None

    def acked(self, job_id: str) -> Sizes | None:
        """What of a job's files is safely at the server; None of a job that is not kept."""
        task = self._tasks.get(job_id)
        return None if task is None else task.source.acked

    # -- what the server orders --

    def begin(self) -> None:
        """A connection has ended, or a new one begins."""
        self._turns.reset()
        self._dirty.clear()
        self._listing = None
        for task in self._tasks.values():
            task.begin()
            task.input_at = task.input_kept  # what came and is not kept comes again

    def open(self, *, upto: int, window_bytes: int) -> None:
        """The server has welcomed the worker and gives this credit; tell what there is."""
        self._turns.reset(upto=upto, window_bytes=window_bytes)
        self._listing = list(self._tasks)

    def find(self, job_id: str) -> Task | None:
        """A job, None if it is not kept."""
        return self._tasks.get(job_id)

    def ask(self, job_id: str) -> bool:
        """The server asks for a decision about a job; False if it is decided, and will be told of again.

        Raises:
            RemoteWireError: It asks for more at a time than it may.
        """
        task = self._tasks.get(job_id)
        if task is not None:
            task.state_due, task.end_said = task.state is not None, False
            self._dirty[job_id] = None
            return task.phase is Phase.ASKED
        if sum(task.phase is Phase.ASKED for task in self._tasks.values()) >= ASK_LIMIT_COUNT:
            raise RemoteWireError("too many jobs are to be decided about", close_code=CLOSE_BAD_ORDER)
        self._add(job_id)
        return True

    def want(self, job_id: str, at: Sizes) -> None:
        """The server wants to hear of a job, and has so much of its files."""
        task = self._tasks.get(job_id)
        if task is not None:
            task.begin()
            self._turns.want(job_id, at)
            self._dirty[job_id] = None

    def input(self, order: Input) -> InputJob | None:
        """Standard input has come; what is new of it.

        Raises:
            RemoteWireError: It leaves a hole, or is more than was allowed.
        """
        task = self._tasks.get(order.job_id)
        if task is None:
            return None
        if order.offset > task.input_at:
            raise RemoteWireError(f"input at {order.offset}, came up to {task.input_at}", close_code=CLOSE_BAD_ORDER)
        data = order.data[task.input_at - order.offset :]
        if not data:
            task.input_due = True  # who sends it again has not heard that it is kept
            self._dirty[order.job_id] = None
            return None
        if sum(each.input_at - each.input_kept for each in self._tasks.values()) + len(data) > INPUT_WINDOW_BYTES:
            raise RemoteWireError("more standard input than was allowed", close_code=CLOSE_BAD_ORDER)
        offset, task.input_at = task.input_at, task.input_at + len(data)
        return InputJob(order.job_id, offset, data)

    def eof(self, order: Eof) -> Eof | None:
        """Standard input ends; None for a job that is not kept.

        Raises:
            RemoteWireError: It ends where it does not stand.
        """
        task = self._tasks.get(order.job_id)
        if task is not None and order.offset != task.input_at:
            raise RemoteWireError(f"input ends at {order.offset}, is at {task.input_at}", close_code=CLOSE_BAD_ORDER)
        return None if task is None else order

    def ack(self, job_id: str, at: Sizes) -> None:
        """So much of a job is safely at the server."""
        task = self._tasks.get(job_id)
        if task is not None:
            task.source.acked = task.source.acked.joined(at)

    def credit(self, upto: int) -> None:
        """More credit."""
        self._turns.credit(upto)

    def drop(self, job_id: str) -> None:
        """Nothing of a job is to be told any more."""
        self._tasks.pop(job_id, None)
        self._turns.drop(job_id)
        self._dirty.pop(job_id, None)

    # -- telling it --

    def next(self) -> Message | tuple[str, Range] | None:
        """What to say next: a message, or what to read for a piece; None if there is nothing."""
        if self._listing is not None:
            return self._have(self._listing)
        while self._dirty:
            job_id = next(iter(self._dirty))
            del self._dirty[job_id]
            task = self._tasks.get(job_id)
            report = None if task is None else task.report()
            if report is not None:
                self._dirty[job_id] = None  # there may be more to say of it
                return report
        turn = self._turns.next()
        if turn is not None:
            self._dirty[turn[0]] = None  # its end, once all is sent
        return turn

    def refund(self, part: Range) -> None:
        """A piece is not sent after all."""
        self._turns.refund(part)

    def _have(self, job_ids: list[str]) -> Have:
        part, rest = job_ids[:HAVE_LIMIT_COUNT], job_ids[HAVE_LIMIT_COUNT:]
        self._listing = rest or None
        tasks = [self._tasks[job_id] for job_id in part if job_id in self._tasks]
        kept = (Kept(task.job_id, task.phase, *task.source.told, task.input_kept) for task in tasks)
        return Have(jobs=tuple(kept), more=bool(rest))

    def _add(self, job_id: str) -> Task:
        source = self._turns.sources[job_id] = Source(Sizes(0, 0))
        task = self._tasks[job_id] = Task(job_id, source)
        return task
