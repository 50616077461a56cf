"""Following one job over WebSocket, across any number of links, without losing or doubling a byte.

``Attach`` is an asynchronous iterator of messages. A task in the background keeps the link; what it receives waits
here until it is asked for, and credit is renewed only as messages are taken, so a program that stops asking holds at
most one window of output in memory, and stops nothing but its own.

A message counts as taken when the next one is asked for.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from jobdeck_client.errors import ClientError, EndedError, LinkClosed, RefusedError, UnreachableError
from jobdeck_client.link import Link, LinkState, Target, keep_linked
from jobdeck_protocol.attach import Eof, Error, Exit, Hello, Refusal, ServerMessage, Signal, State, Stdin, StdinAck
from jobdeck_protocol.errors import CLOSE_NOT_FOLLOWED
from jobdeck_protocol.session import ClientSession, Stage
from jobdeck_protocol.stdin import StdinQueue

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_protocol.job import Job

_STDIN_RETRY_S = 0.5  # somebody else holds standard input: after a break that is our own old link, for a while
_LATER = frozenset({Refusal.BUSY, Refusal.FAILED})
_INPUT = frozenset({Stdin.kind, Eof.kind})


class Attach:
    """One attach. Made by ``Client.attach``.

    Iterating yields ``hello`` (again after each break), ``output``, ``gap``, ``state``, ``note``, ``error`` and at the
    end ``exit``; then it stops. With ``follow=False`` it stops after what there was. One task may iterate; any may
    send.

    Attributes:
        job: The job's newest record, None before the first ``hello``.
        exit: How the job ended, None before that was told.
        linked: The link is up now.
    """

    def __init__(self, target: Target, session: ClientSession, *, follow: bool) -> None:
        self.job: Job | None = None
        self.exit: Exit | None = None
        self.linked = False
        self._target = target
        self._session = session
        self._follow = follow
        self._stdin = StdinQueue()
        self._stdin_refused: RefusedError | None = None
        self._stdin_pause: trio.CancelScope | None = None  # set while refused input waits to be sent again
        self._link: Link | None = None
        self._queue: deque[ServerMessage] = deque()
        self._taken: ServerMessage | None = None
        self._over = False
        self._error: ClientError | None = None
        self._arrived = trio.Event()  # something for the program
        self._wanted = trio.Event()  # something for the server

    def __repr__(self) -> str:
        return f"<Attach {'linked' if self.linked else 'not linked'} {self._session!r}>"

    @property
    def position(self) -> int | None:
        """Offset of the next byte to arrive; None before the first ``hello`` of an attach from the end."""
        return self._session.position

    # -- what the program calls --

    def __aiter__(self) -> Attach:
        return self

    async def __anext__(self) -> ServerMessage:
        """The next message.

        Raises:
            ClientError: What cannot be mended by a new link: see ``errors``.
        """
        await trio.lowlevel.checkpoint()
        if self._taken is not None:
            self._session.taken(self._taken)
            self._taken = None
            self._wake()
        while not self._queue:
            if self._error is not None:
                raise self._error
            if self._over:
                raise StopAsyncIteration
            await self._arrived.wait()
        self._taken = self._queue.popleft()
        return self._taken

    async def send_stdin(self, data: bytes) -> None:
        """Send standard input, across breaks; waits while too much of it is not acknowledged.

        Returns when all of it is on its way, not when the job has read it.

        Raises:
            EndedError: The job has ended.
            RefusedError: The job did not ask for standard input, or this token may not.
        """
        rest = memoryview(data)
        while rest:
            self._check_open()
            if not self._stdin.room:
                await self._arrived.wait()
                continue
            piece = rest[: self._stdin.room]
            self._stdin.put(bytes(piece))
            rest = rest[len(piece) :]
            self._wake()
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        """Standard input ends here; harmless the second time.

        Raises:
            EndedError, RefusedError: See ``send_stdin``.
        """
        self._check_open()
        self._stdin.end()
        self._wake()
        await trio.lowlevel.checkpoint()

    async def signal(self, number: int) -> None:
        """Send a signal to everything the job started, over the link; ``Client.signal`` waits for an answer.

        Raises:
            EndedError: The job has ended.
            UnreachableError: There is no link just now.
        """
        self._check_open()
        link = self._link
        if link is None:
            raise UnreachableError(self._target.url, "the connection is broken")
        try:
            await link.send(self._session.send(Signal(signal=number)))
        except LinkClosed as error:
            raise UnreachableError(self._target.url, "the connection broke") from error

    # -- the task in the background --

    async def run(self, *, reconnect: bool, patient: bool, on_link: Callable[[LinkState], None] | None) -> None:
        """Keep the link until the job's end; never raises. Run by ``Client.attach``."""
        try:
            await keep_linked(self._target, self._talk, reconnect=reconnect, patient=patient, on_link=on_link)
        except ClientError as error:
            self._error = error
        self._over = True
        self._tell()

    async def _talk(self, link: Link) -> None:
        self._stdin.begin()
        await link.send(self._session.begin())
        self._link, self.linked = link, True
        link.nursery.start_soon(self._write, link)
        try:
            while self.exit is None:
                self._take_in(await link.receive(), link)
        except LinkClosed as error:
            if error.code != CLOSE_NOT_FOLLOWED or self._follow:
                raise
        finally:
            self._link, self.linked = None, False

    def _take_in(self, data: bytes | str, link: Link) -> None:
        message = self._session.receive(data)
        match message:
            case None:
                return
            case StdinAck():
                self._stdin.acked(message)
                self._tell()
                self._wake()
                return
            case Error() if message.about in _INPUT and not self._input_refused(message, link):
                return
            case Hello() | State():
                self.job = message.job
            case Exit():
                self.exit = message
        self._queue.append(message)
        self._tell()
        self._wake()

    def _input_refused(self, message: Error, link: Link) -> bool:
        """Standard input was refused; whether the program is to hear of it."""
        if self._stdin_pause is not None:
            return False  # said of something that went out before the first refusal came
        if message.error in _LATER:
            self._stdin_pause = trio.CancelScope()
            link.nursery.start_soon(self._retry_input, self._stdin_pause)
        else:
            self._stdin_refused = RefusedError(0, message.error.value, message.text)
        return True

    async def _retry_input(self, pause: trio.CancelScope) -> None:
        try:
            with pause:
                await trio.sleep(_STDIN_RETRY_S)
        finally:
            self._stdin_pause = None
            self._stdin.again()
            self._wake()

    async def _write(self, link: Link) -> None:
        """Send what is wanted: credit first, then standard input."""
        with suppress(ClientError):
            while True:
                wanted = self._wanted
                if (credit := self._session.credit()) is not None:
                    await link.send(credit)
                while self._session.stage is Stage.OPEN and self._stdin_pause is None:
                    message = self._stdin.next()
                    if message is None:
                        break
                    await link.send(self._session.send(message))
                await wanted.wait()

    def _check_open(self) -> None:
        if self._error is not None:
            raise self._error
        if self._stdin_refused is not None:
            raise self._stdin_refused
        if self._over or self.exit is not None:
            raise EndedError("The job has ended.")

    def _tell(self) -> None:
        self._arrived.set()
        self._arrived = trio.Event()

    def _wake(self) -> None:
        self._wanted.set()
        self._wanted = trio.Event()
