"""The worker's end of the worker channel: one ``WorkerAgent`` for the life of the program, over all its connections.

It does no input or output and has no clock. Its owner

- before anything else makes a new life, writes the list to disk (``workerlives.born``) and makes the agent with it,
  then tells ``jobs.keep`` of every job on record that the server has not released;
- calls ``connected`` for a new connection (which ends the one before), hands all messages to ``receive``, heeds the
  events that it returns in their order, and closes a connection of which ``RemoteWireError`` is raised;
- on ``Welcomed`` writes ``workerlives.accepted`` and the server's life to disk, then calls ``settled``;
- after any call, and when ``due_s`` has come, calls ``send`` until it returns None, and ``tick``;
- tells what happens to jobs (``jobs.state``, ``jobs.grew``, ``jobs.ended``, ...), connected or not.

After ``StartJob``, and ``Withdraw`` or ``Stop`` of a job that it had not heard of, it claims the job on its disk, once
and for all, and tells ``jobs.state`` or ``jobs.ended``: what the claim says, if there was one already.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from jobdeck_protocol.errors import CLOSE_BAD_ORDER, CLOSE_IDENTITY, RemoteWireError
from jobdeck_protocol.message import Message, check
from jobdeck_protocol.worker import (
    BEAT_S,
    SERVER_KINDS,
    SILENT_BEAT_COUNT,
    Beat,
    Bye,
    Credit,
    Drain,
    Hello,
    Pulse,
    ServerMessage,
    Welcome,
    decode,
    encode,
    welcome_of,
)
from jobdeck_protocol.workerevents import AgentEvent, Read, Silent, StartJob, Welcomed
from jobdeck_protocol.workerlives import accepted
from jobdeck_protocol.workermirror import Sizes
from jobdeck_protocol.workerorders import Ack, Eof, Forget, Input, Release, Signal, Start, Stop, Want, Withdraw
from jobdeck_protocol.workerreports import Piece, Signalled
from jobdeck_protocol.workertasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Sequence

SIGNAL_LIMIT_COUNT = 64
"""Signals that the owner has not answered yet."""


class Stage(Enum):
    """How far a connection has come."""

    AWAY = "away"  # there is none
    FRESH = "fresh"  # hello is to be said
    ASKED = "asked"  # hello was said
    WELCOMED = "welcomed"  # the owner writes down the lives
    OPEN = "open"


class WorkerAgent:
    """See the top of this file.

    Args:
        worker: The worker's UUID.
        name: What people call it.
        slots: How many jobs it runs at a time.
        labels: Words by which jobs choose it.
        lives: As on disk, the present one last.
        server_life: As on disk: the server's life that was seen last.
        software: Name and version of the program.
        bundles: It runs bundles, too.

    Raises:
        LocalWireError: One of these is over a limit of ``worker.Hello``.

    Attributes:
        jobs: What is told of its jobs.
        lives: See above; shortened by ``settled``.
        server_life: See above.
        draining: It takes no new jobs, by its own wish or the server's.
        stage: Of the connection.
        beat: What the next beat says; set it anew from time to time.
    """

    def __init__(
        self,
        worker: str,
        *,
        name: str,
        slots: int,
        labels: Sequence[str] = (),
        lives: tuple[str, ...],
        server_life: str | None = None,
        software: str = "",
        bundles: bool = False,
    ) -> None:
        self.worker = worker
        self.name = name
        self.slots = slots
        self.labels = tuple(labels)
        self.software = software
        self.bundles = bundles
        self.lives = lives
        self.server_life = server_life
        self.jobs = Tasks()
        self.stage = Stage.AWAY
        self.beat = Beat()
        self._leaving = self._drained = False  # by its own wish, by the server's
        self._link = 0
        self._welcome: Welcome | None = None
        self._heard_s = self._beat_at_s = 0.0
        self._clock_us = 0
        self._silent = False
        self._drain_due = False
        self._bye: Bye | None = None
        self._spec: tuple[str, int, bytearray] | None = None  # what came of a specification: job, size, bytes
        self._signals: set[int] = set()  # not answered by the owner
        self._answers: dict[int, bool] = {}
        self._hello()  # what cannot be told is refused here, not when a connection is there

    def __repr__(self) -> str:
        return f"<WorkerAgent {self.worker} {self.stage.value} jobs={len(self.jobs)}>"

    @property
    def draining(self) -> bool:
        """Whether it takes no new jobs."""
        return self._leaving or self._drained

    @property
    def _beat_s(self) -> float:
        return BEAT_S if self._welcome is None else self._welcome.beat_s

    # -- connections --

    def connected(self, now_s: float, clock_us: int) -> int:
        """There is a new connection, and it takes the place of the one before.

        Args:
            now_s: The caller's clock, any that does not go back.
            clock_us: Microseconds since 1970 UTC.

        Returns:
            Its number, for the other calls.
        """
        self._end()
        self._link += 1
        self.stage = Stage.FRESH
        self._heard_s = now_s
        self._clock_us = clock_us
        return self._link

    def disconnected(self, link: int) -> None:
        """A connection has ended."""
        if link == self._link:
            self._end()

    def _end(self) -> None:
        self.stage = Stage.AWAY
        self._silent = self._drain_due = False
        self._bye = self._spec = None
        self._signals.clear()
        self._answers.clear()
        self.jobs.begin()

    def settled(self, link: int) -> None:
        """What ``Welcomed`` brought is on disk; a connection that is no more does not mind."""
        if link == self._link and self.stage is Stage.WELCOMED and self._welcome is not None:
            welcome = self._welcome
            self.lives = accepted(self.lives, welcome.life)
            self.server_life = welcome.server_life
            self.stage = Stage.OPEN
            self.jobs.open(upto=welcome.upto, window_bytes=welcome.window_bytes)

    def tick(self, now_s: float) -> list[AgentEvent]:
        """Time has passed."""
        if self.stage is Stage.WELCOMED:
            self._heard_s = now_s  # the owner is busy with its disk and hears nothing, however long that takes
        silent = now_s >= self._heard_s + SILENT_BEAT_COUNT * self._beat_s
        if self.stage is Stage.AWAY or self._silent or not silent:
            return []
        self._silent = True
        return [Silent(self._heard_s)]

    def due_s(self) -> float | None:
        """When the next call of ``tick`` or ``send`` is due though nothing else happens; None for never."""
        if self.stage is Stage.AWAY:
            return None
        silence = [] if self._silent else [self._heard_s + SILENT_BEAT_COUNT * self._beat_s]
        beat = [self._beat_at_s + self._beat_s] if self.stage is Stage.OPEN else []
        return min([*silence, *beat], default=None)

    # -- what the server says --

    def receive(self, link: int, data: bytes | str, now_s: float) -> list[AgentEvent]:
        """Take one message; what still comes from an older connection is passed over.

        Raises:
            RemoteWireError: It is malformed, or comes where it may not.
        """
        if link != self._link or self.stage is Stage.AWAY:
            return []
        if self.stage in (Stage.FRESH, Stage.ASKED):
            return self._welcomed(welcome_of(data), now_s)
        message = decode(SERVER_KINDS, data)
        self._heard_s = now_s
        match message:
            case None | Pulse():
                return []
            case Welcome():
                raise RemoteWireError("a second welcome", close_code=CLOSE_BAD_ORDER)
            case Drain():
                self._drained = message.on
                return [message]
        if self.stage is not Stage.OPEN:
            raise RemoteWireError(f"{message.kind} before the worker has told what it has", close_code=CLOSE_BAD_ORDER)
        return self._take(message)

    def _welcomed(self, welcome: Welcome, now_s: float) -> list[AgentEvent]:
        if self.stage is Stage.FRESH:
            raise RemoteWireError("welcome before hello", close_code=CLOSE_BAD_ORDER)
        if welcome.life != self.lives[-1]:
            raise RemoteWireError("the server takes this worker for another", close_code=CLOSE_IDENTITY)
        self._heard_s = self._beat_at_s = now_s
        self._welcome = welcome
        self._drained = welcome.draining
        self.stage = Stage.WELCOMED
        return [Welcomed(welcome)]

    def _take(self, message: ServerMessage) -> list[AgentEvent]:
        match message:
            case Start():
                return self._start(message)
            case Withdraw():
                return [message] if self.jobs.ask(message.job_id) else []
            case Stop():
                return self._stop(message)
            case Signal():
                return self._signal(message)
            case Want():
                self.jobs.want(message.job_id, Sizes(message.output, message.runs))
            case Input():
                given = self.jobs.input(message)
                return [] if given is None else [given]
            case Eof():
                end = self.jobs.eof(message)
                return [] if end is None else [end]
            case Ack():
                for job in message.jobs:
                    self.jobs.ack(job.job_id, Sizes(job.output, job.runs))
            case Credit():
                self.jobs.credit(message.upto)
            case Release() | Forget():
                return self._drop(message)
        return []

    def _start(self, piece: Start) -> list[AgentEvent]:
        if piece.offset == 0:
            self._spec = (piece.job_id, piece.size, bytearray())
        if self._spec is None or (piece.job_id, piece.size, piece.offset) != (*self._spec[:2], len(self._spec[2])):
            raise RemoteWireError("pieces of a specification out of order", close_code=CLOSE_BAD_ORDER)
        job_id, size, spec = self._spec
        spec += piece.data
        if len(spec) < size:
            return []
        self._spec = None
        known = job_id in self.jobs
        if not self.jobs.ask(job_id) or known:
            return []  # it is being decided, or will be told again
        return [StartJob(job_id, bytes(spec))]

    def _stop(self, stop: Stop) -> list[AgentEvent]:
        task = self.jobs.find(stop.job_id)
        if task is None:
            self.jobs.ask(stop.job_id)
        return [] if task is not None and task.end is not None else [stop]

    def _signal(self, signal: Signal) -> list[AgentEvent]:
        task = self.jobs.find(signal.job_id)
        if len(self._signals) + len(self._answers) >= SIGNAL_LIMIT_COUNT:
            raise RemoteWireError("too many signals", close_code=CLOSE_BAD_ORDER)
        if task is None or task.end is not None:
            self._answers[signal.number] = False
            return []
        self._signals.add(signal.number)
        return [signal]

    def _drop(self, message: Release | Forget) -> list[AgentEvent]:
        task = self.jobs.find(message.job_id)
        if isinstance(message, Release):
            if task is None:
                return []
            if task.end is None:
                raise RemoteWireError("release of a job that has not ended", close_code=CLOSE_BAD_ORDER)
        self.jobs.drop(message.job_id)
        return [message]

    # -- what the owner tells --

    def signalled(self, number: int, *, done: bool) -> None:
        """Whether a job could be sent the signal of this number; on a connection that is no more nobody asks."""
        if number in self._signals:
            self._signals.remove(number)
            self._answers[number] = done

    def drain(self, *, on: bool) -> None:
        """Take no new jobs, or take them again."""
        self._drain_due = self._drain_due or on is not self._leaving
        self._leaving = on

    def bye(self, text: str | None = None) -> None:
        """Say a last word on this connection, after all that can be said now."""
        self._bye = Bye(text=text)

    # -- saying it --

    def send(self, link: int, now_s: float) -> bytes | Read | None:
        """The next message for a connection, None if there is none now.

        For ``Read``, read the bytes and send what ``fill`` makes of them before the next call.
        """
        if link != self._link:
            return None
        if self.stage is Stage.FRESH:
            self.stage = Stage.ASKED
            return encode(self._hello())
        if self.stage is not Stage.OPEN:
            return None
        message = self._own(now_s) or self.jobs.next()
        if message is None and self._bye is not None:
            message, self._bye = self._bye, None
        if isinstance(message, tuple):
            return Read(link, *message)
        return None if message is None else encode(message)

    def fill(self, read: Read, runs: bytes, data: bytes) -> bytes | None:
        """The piece that carries what was read; None if it is of no use any more.

        Raises:
            LocalWireError: These are not the bytes that were asked for; see ``unreadable``.
        """
        if read.link != self._link or self.stage is not Stage.OPEN:
            return None
        part = read.part
        check((len(runs), len(data)) == (part.runs_bytes, part.output_bytes), "as many bytes as were asked for")
        at = part.at
        return encode(Piece(job_id=read.job_id, runs_offset=at.runs, runs=runs, offset=at.output, data=data))

    def unreadable(self, read: Read) -> None:
        """What was to be read does not exist any more: in place of ``fill``."""
        if read.link == self._link:
            self.jobs.refund(read.part)
        self.jobs.lost(read.job_id)

    def _own(self, now_s: float) -> Message | None:
        if now_s >= self._beat_at_s + self._beat_s:
            self._beat_at_s = now_s
            return self.beat
        if self._drain_due:
            self._drain_due = False
            return Drain(on=self._leaving)
        for number in self._answers:
            return Signalled(number=number, done=self._answers.pop(number))
        return None

    def _hello(self) -> Hello:
        return Hello(
            worker=self.worker,
            name=self.name,
            slots=self.slots,
            labels=self.labels,
            lives=self.lives,
            server_life=self.server_life,
            number=self._link,
            clock_us=self._clock_us,
            draining=self._leaving,
            software=self.software,
            bundles=self.bundles,
        )
