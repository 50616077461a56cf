"""The server's end of the worker channel: one ``WorkerHost`` for each worker, over all its connections and lives.

It does no input or output and has no clock. Its owner

- reads the first message of a connection with ``worker.hello_of``, finds the worker's host and calls ``connect``;
- hands all other messages to ``receive``, heeds the events that it returns in their order, and closes a connection of
  which ``RemoteWireError`` is raised, with its code and words; then, or when it ends by itself, calls ``disconnected``;
- after any call, and when ``due_s`` has come, calls ``send`` until it returns None, and ``tick``;
- says what it wants of jobs (``start``, ``stop``, ...) at any time, connected or not: it is remembered, not queued;
- tells what is written (``taken``), what is on disk (``synced``), and which ends are (``recorded``).

After a restart of the server it makes the host anew and gives it all jobs that are that worker's and have not ended:
``start`` for those of which it is not known whether they were started, ``follow`` for the others.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import Enum

from jobdeck_protocol.errors import CLOSE_BAD_ORDER, CLOSE_REPLACED, LocalWireError, RemoteWireError
from jobdeck_protocol.message import Message, check
from jobdeck_protocol.worker import (
    BEAT_S,
    SILENT_BEAT_COUNT,
    WINDOW_BYTES,
    WORKER_KINDS,
    Credit,
    Drain,
    Hello,
    Pulse,
    Welcome,
    decode,
    encode,
)
from jobdeck_protocol.workeragenda import InputTurn
from jobdeck_protocol.workerevents import Greeted, HostEvent, Reachable, ReadInput, Replaced, Unreachable
from jobdeck_protocol.workerledger import Ledger
from jobdeck_protocol.workerlives import check_life
from jobdeck_protocol.workerorders import Input


class Stage(Enum):
    """How far a connection has come."""

    AWAY = "away"  # there is none
    GREETED = "greeted"  # hello came; the owner writes down the life
    OPEN = "open"


class WorkerHost:
    """See the top of this file.

    Args:
        worker: The worker's UUID.
        server_life: The server's present life.
        server_lives: All that its database knows, this one included.
        last_life: The last life of the worker that was accepted, None if there was none.
        now_s: The caller's clock, any that does not go back.
        restored: The server was restored from a backup, and nobody has agreed yet that it starts jobs.
        window_bytes: How much of jobs' output may have come and not be ``taken``.
        beat_s: Seconds between two beats.

    Attributes:
        worker: See above.
        jobs: What is wanted of its jobs and told of them.
        restored: See above; set when a worker's ``hello`` shows it. Unset by ``resume``.
        draining: The worker is to take no new jobs, by the server's wish.
        leaving: The same, by the worker's.
        last_life: See above.
        stage: Of the newest connection.
        heard_s: When the last message came.
        reachable: Something was heard within the last three beats.
    """

    def __init__(
        self,
        worker: str,
        *,
        server_life: str,
        server_lives: Collection[str],
        last_life: str | None = None,
        now_s: float,
        restored: bool = False,
        window_bytes: int = WINDOW_BYTES,
        beat_s: float = BEAT_S,
    ) -> None:
        self.worker = worker
        self.restored = restored
        self.draining = False
        self.leaving = False
        self.last_life = last_life
        self.stage = Stage.AWAY
        self.heard_s = now_s
        self.reachable = True
        self._server_life = server_life
        self._server_lives = server_lives
        self._beat_s = beat_s
        self.jobs = Ledger(window_bytes)
        self._link = 0
        self._hello: Hello | None = None
        self._welcome_due = self._drain_due = False
        self._pulse_s = now_s  # when the last beat of ours went out

    def __repr__(self) -> str:
        return f"<WorkerHost {self.worker} {self.stage.value} jobs={len(self.jobs)}>"

    # -- connections --

    def connect(self, hello: Hello, now_s: float) -> tuple[int, list[HostEvent]]:
        """A connection has come, and said who it is.

        Returns:
            Its number, for the other calls, and what to do: in any case ``Greeted``.

        Raises:
            RemoteWireError: It is refused, see ``workerlives``; nothing has changed.
        """
        if hello.worker != self.worker:
            raise LocalWireError(f"{hello.worker} is not {self.worker}")
        # A life that has come counts from then on, though it may not be written down yet
        last_life = self.last_life if self._hello is None else self._hello.life
        restored = check_life(hello, last_life=last_life, server_lives=self._server_lives)
        if self._hello is not None and hello.life == self._hello.life and hello.number <= self._hello.number:
            raise RemoteWireError("a newer connection of this worker came before", close_code=CLOSE_REPLACED)
        events: list[HostEvent] = []
        if self.stage is not Stage.AWAY:
            events.append(Replaced(self._link))
            events += self.disconnected(self._link)
        self._link += 1
        self._hello = hello
        self._welcome_due = False
        self.stage = Stage.GREETED
        self.restored = self.restored or restored
        self.leaving = hello.draining
        events += self._heard(now_s)
        return self._link, [*events, Greeted(self._link, hello, restored)]

    def welcome(self, link: int) -> None:
        """The life that the worker came with is written down; a connection that is no more does not mind."""
        if link == self._link and self.stage is Stage.GREETED and self._hello is not None:
            self.last_life = self._hello.life
            self.stage = Stage.OPEN
            self.jobs.listening = True
            self._welcome_due = True
            self._drain_due = False

    def disconnected(self, link: int) -> list[HostEvent]:
        """A connection has ended, or is not to be listened to any more."""
        if link != self._link or self.stage is Stage.AWAY:
            return []
        self.stage = Stage.AWAY
        return self.jobs.begin()

    def tick(self, now_s: float) -> list[HostEvent]:
        """Time has passed."""
        if self.reachable and now_s >= self.heard_s + SILENT_BEAT_COUNT * self._beat_s:
            self.reachable = False
            return [Unreachable(self.heard_s)]
        return []

    def due_s(self) -> float | None:
        """When the next call of ``tick`` or ``send`` is due though nothing else happens; None for never."""
        beat = [self._pulse_s + self._beat_s] if self.stage is Stage.OPEN else []
        silence = [self.heard_s + SILENT_BEAT_COUNT * self._beat_s] if self.reachable else []
        return min([*beat, *silence], default=None)

    def _heard(self, now_s: float) -> list[HostEvent]:
        self.heard_s = now_s
        was, self.reachable = self.reachable, True
        return [] if was else [Reachable()]

    # -- what the worker says --

    def receive(self, link: int, data: bytes | str, now_s: float) -> list[HostEvent]:
        """Take one message of a connection, any but its first.

        Raises:
            RemoteWireError: It is malformed, comes where it may not, was sent without credit, or is from a connection
                that a newer one has replaced (4409).
        """
        if link != self._link or self.stage is Stage.AWAY:
            raise RemoteWireError("a newer connection of this worker has come", close_code=CLOSE_REPLACED)
        message = decode(WORKER_KINDS, data)
        if self.stage is Stage.GREETED or isinstance(message, Hello):
            raise RemoteWireError(
                "nothing comes between hello and welcome, and no second hello", close_code=CLOSE_BAD_ORDER
            )
        events = self._heard(now_s)
        if isinstance(message, Drain):
            self.leaving = message.on
        return events if message is None else events + self.jobs.take(message)

    def drain(self, *, on: bool) -> None:
        """Have the worker take no new jobs, or take them again."""
        self._drain_due = self._drain_due or on is not self.draining
        self.draining = on

    def resume(self) -> None:
        """Somebody has agreed that a restored server starts jobs."""
        self.restored = False

    # -- saying it --

    def send(self, link: int, now_s: float) -> bytes | ReadInput | None:
        """The next message for a connection, None if there is none now.

        For ``ReadInput`` read the bytes and send what ``fill`` makes of them.
        """
        if link != self._link or self.stage is not Stage.OPEN:
            return None
        message = self._next(now_s)
        if isinstance(message, InputTurn):
            return ReadInput(link, message.job_id, message.offset, message.length)
        return None if message is None else encode(message)

    def fill(self, read: ReadInput, data: bytes) -> bytes | None:
        """The message that carries what was read; None if it is of no use any more.

        Raises:
            LocalWireError: These are not the bytes that were asked for.
        """
        if read.link != self._link or self.stage is not Stage.OPEN:
            return None
        check(len(data) == read.length, "as many bytes as were asked for")
        return encode(Input(job_id=read.job_id, offset=read.offset, data=data))

    def _next(self, now_s: float) -> Message | InputTurn | None:
        if self._welcome_due:
            return self._welcome(now_s)
        if now_s >= self._pulse_s + self._beat_s:
            self._pulse_s = now_s
            return Pulse()
        if (upto := self.jobs.window.due()) is not None:
            return Credit(upto=upto)
        if self._drain_due:
            self._drain_due = False
            return Drain(on=self.draining)
        return self.jobs.agenda.next(starting=not self.restored)

    def _welcome(self, now_s: float) -> Welcome:
        assert self.last_life is not None
        self._welcome_due = False
        self._pulse_s = now_s
        return Welcome(
            life=self.last_life,
            server_life=self._server_life,
            all=self.restored,
            beat_s=self._beat_s,
            upto=self.jobs.window.reset(),
            window_bytes=self.jobs.window.window_bytes,
            draining=self.draining,
        )
