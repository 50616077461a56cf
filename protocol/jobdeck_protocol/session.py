"""The attach channel as two state machines without input or output, in the manner of h11.

All transitions live in ``TABLE``; a message that is not in it is an error, of ours (``LocalWireError``) or of the other
end (``RemoteWireError``). A machine turns messages into values and bytes; who owns the socket decides when.

Three messages move the stage, the same for both ends; everything else leaves it where it is:

    IDLE  --attach (client)-->  ASKED  --hello (server)-->  OPEN  --exit (server)-->  DONE

What a client says may still be under way when the job exits; so that is legal in DONE, and of no effect.

**Offsets.** ``position`` is the offset of the next byte in the combined output. Each ``output`` starts there and moves
it to its end; ``exit`` comes at the very end of the output and nowhere else. After any break a client attaches again at
its ``position``: nothing is lost and nothing doubled.

**Credit** is absolute: the server sends data only of offsets below the greatest ``upto`` it was given. A client grants
what it has taken plus a window, and renews when half of the window is used, so at most one window of data is ever in
the sockets and in its memory. Only data needs credit: a message of skipped runs alone goes without, and must, since
else a client that asked for one stream could never learn how far the server has looked.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from types import MappingProxyType

from jobdeck_protocol import codec
from jobdeck_protocol.attach import (
    CLIENT_KINDS,
    SERVER_KINDS,
    Attach,
    ClientMessage,
    Credit,
    Eof,
    Error,
    Exit,
    Gap,
    Hello,
    Note,
    Output,
    Resize,
    ServerMessage,
    Signal,
    State,
    Stdin,
    StdinAck,
    Why,
)
from jobdeck_protocol.errors import CLOSE_BAD_ORDER, CLOSE_BAD_TYPE, CLOSE_OFFSET, LocalWireError, RemoteWireError
from jobdeck_protocol.job import Job
from jobdeck_protocol.message import parse
from jobdeck_protocol.runs import Run, Stream, data_length, output_prefix

CREDIT_BYTES = 4 * 1024 * 1024
"""What a server grants by itself, and the window of a client that says nothing else."""


class Role(Enum):
    """Which end sends."""

    CLIENT = "client"
    SERVER = "server"


class Stage(Enum):
    """How far an attach has come; see the top of this file."""

    IDLE = "idle"
    ASKED = "asked"
    OPEN = "open"
    DONE = "done"


_Row = Mapping[type[ServerMessage | ClientMessage], Stage]


def _row(stage: Stage, *stay: type[ServerMessage | ClientMessage]) -> dict[type[ServerMessage | ClientMessage], Stage]:
    return dict.fromkeys(stay, stage)


_WISHES = (Credit, Stdin, Eof, Signal, Resize)

TABLE: Mapping[Role, Mapping[Stage, _Row]] = MappingProxyType(
    {
        Role.CLIENT: {
            Stage.IDLE: {Attach: Stage.ASKED},
            Stage.ASKED: _row(Stage.ASKED, *_WISHES),
            Stage.OPEN: _row(Stage.OPEN, *_WISHES),
            Stage.DONE: _row(Stage.DONE, *_WISHES),
        },
        Role.SERVER: {
            Stage.IDLE: {},
            Stage.ASKED: {Hello: Stage.OPEN},
            Stage.OPEN: _row(Stage.OPEN, Output, Gap, State, Note, StdinAck, Error) | {Exit: Stage.DONE},
            Stage.DONE: {},
        },
    }
)


def _next(role: Role, stage: Stage, message: ServerMessage | ClientMessage) -> Stage | None:
    return TABLE[role][stage].get(type(message))


def _wire(data: bytes | str) -> dict[str, object]:
    if isinstance(data, str):
        raise RemoteWireError("a text on a channel of binary messages", close_code=CLOSE_BAD_TYPE)
    return codec.decode(data)


def _credit_needed(offset: int, runs: tuple[Run, ...]) -> int:
    """The least ``upto`` under which these runs may be sent: the end of the last one that has data, 0 without any."""
    needed = 0
    for run in runs:
        offset += run.length
        if run.stream is not Stream.SKIPPED:
            needed = offset
    return needed


class ServerSession:
    """The server's end of one attach.

    Attributes:
        stage: See the top of this file.
        asked: The client's ``attach``, None before it came.
        position: Offset of the next byte to send; counts from ``hello`` on.
        upto: Offsets below it may be sent.
    """

    def __init__(self, *, credit_bytes: int = CREDIT_BYTES) -> None:
        self.stage = Stage.IDLE
        self.asked: Attach | None = None
        self.position = 0
        self.upto = 0
        self._credit_bytes = credit_bytes

    def __repr__(self) -> str:
        return f"<ServerSession {self.stage.value} position={self.position} upto={self.upto}>"

    def receive(self, data: bytes | str) -> ClientMessage | None:
        """Take one message of the client; credit is accounted for here.

        Returns:
            The message, for the caller to act on; None if there is nothing to do (a kind that is not known, or one
            that came after the exit).

        Raises:
            RemoteWireError: It is malformed or comes where it may not.
        """
        message = parse(CLIENT_KINDS, _wire(data))
        if message is None:
            return None
        stage = _next(Role.CLIENT, self.stage, message)
        if stage is None:
            raise RemoteWireError(f"{message.kind} where it may not come", close_code=CLOSE_BAD_ORDER)
        if isinstance(message, Attach):
            self.asked = message
            self.upto = message.upto or 0
        elif isinstance(message, Credit):
            self.upto = max(self.upto, message.upto)
        self.stage = stage
        return None if stage is Stage.DONE else message

    def hello(self, job: Job, *, first: int, size: int) -> bytes:
        """The answer to ``attach``; settles where the output starts.

        Args:
            job: The record as it stands.
            first: First kept offset.
            size: Bytes of output now; of a removed output, as many as there were.

        Raises:
            RemoteWireError: The offset asked for is beyond the end of an ended job's output (close code 4416).
        """
        if self.asked is None:
            raise LocalWireError("hello before attach")
        offset = self.asked.offset if self.asked.offset >= 0 else max(0, size + self.asked.offset)
        if job.ended and offset > size:
            raise RemoteWireError(f"offset {offset} is beyond the end at {size}", close_code=CLOSE_OFFSET)
        self.position = offset
        if self.asked.upto is None:
            self.upto = max(self.upto, offset + self._credit_bytes)
        return self.send(Hello(job=job, first=first, size=size, offset=offset, upto=self.upto))

    def room(self) -> int:
        """Bytes of data that may be sent from ``position`` on."""
        return max(0, self.upto - self.position) if self.stage is Stage.OPEN else 0

    def output(self, runs: tuple[Run, ...]) -> bytes:
        """The head of an ``output`` that starts at ``position``; the data of its runs must follow in the same message.

        Raises:
            LocalWireError: There is no such message, no credit for it, or runs are skipped that were asked for.
        """
        self._check(Output)
        assert self.asked is not None
        if self.asked.streams is None and any(run.stream is Stream.SKIPPED for run in runs):
            raise LocalWireError("all streams were asked for")
        if _credit_needed(self.position, runs) > self.upto:
            raise LocalWireError(f"credit reaches to {self.upto}")
        prefix = output_prefix(self.position, runs, data_length(runs))
        self.position += sum(run.length for run in runs)
        return prefix

    def send(self, message: ServerMessage) -> bytes:
        """Any message but ``output``, for the wire.

        Raises:
            LocalWireError: It may not be sent now; ``exit`` only at the end of the output.
        """
        stage = self._check(type(message))
        if isinstance(message, Output):
            raise LocalWireError("output goes by its runs")
        if isinstance(message, Exit) and message.offset != self.position:
            raise LocalWireError(f"exit at {message.offset}, sent up to {self.position}")
        if isinstance(message, Gap):
            if message.start != self.position:
                raise LocalWireError(f"gap at {message.start}, sent up to {self.position}")
            if message.why is Why.REMOVED:
                self.position = message.to
        data = codec.encode(message.to_map())
        self.stage = stage
        return data

    def _check(self, kind: type[ServerMessage]) -> Stage:
        stage = TABLE[Role.SERVER][self.stage].get(kind)
        if stage is None:
            raise LocalWireError(f"{kind.kind} may not be sent when {self.stage.value}")
        return stage


class ClientSession:
    """The client's end of one attach, across any number of links.

    For each link: send ``begin()``, hand all that comes to ``receive``, tell ``taken`` when the program has done with a
    message, and after either send ``credit()`` if there is any.

    Attributes:
        stage: See the top of this file; IDLE again with each link.
        position: Offset of the next byte, None until the first ``hello`` has settled a negative one.
    """

    def __init__(
        self,
        *,
        offset: int = 0,
        streams: frozenset[Stream] | None = None,
        follow: bool = True,
        window_bytes: int = CREDIT_BYTES,
    ) -> None:
        self.stage = Stage.IDLE
        self.position = offset if offset >= 0 else None
        self._first_attach = Attach(offset=offset, streams=streams, follow=follow)
        self._window_bytes = window_bytes
        self._taken = max(0, offset)
        self._granted = 0
        self._gap: Gap | None = None

    def __repr__(self) -> str:
        return f"<ClientSession {self.stage.value} position={self.position} granted={self._granted}>"

    def begin(self) -> bytes:
        """The first message on a new link, at the offset that was reached on the last one."""
        first = self._first_attach
        self.stage = Stage.IDLE
        if self.position is None:
            self._granted = 0
            return self.send(first)
        self._granted = self._taken + self._window_bytes
        return self.send(Attach(offset=self.position, streams=first.streams, upto=self._granted, follow=first.follow))

    def send(self, message: ClientMessage) -> bytes:
        """Any message of a client, for the wire.

        Raises:
            LocalWireError: It may not be sent now.
        """
        stage = _next(Role.CLIENT, self.stage, message)
        if stage is None:
            raise LocalWireError(f"{message.kind} may not be sent when {self.stage.value}")
        self.stage = stage
        return codec.encode(message.to_map())

    def receive(self, data: bytes | str) -> ServerMessage | None:
        """Take one message of the server.

        Returns:
            The message; None for one of a kind that is not known and for a gap that was told before.

        Raises:
            RemoteWireError: It is malformed, comes where it may not, leaves a hole, or was sent without credit.
        """
        message = parse(SERVER_KINDS, _wire(data))
        if message is None:
            return None
        stage = _next(Role.SERVER, self.stage, message)
        if stage is None:
            raise RemoteWireError(f"{message.kind} where it may not come", close_code=CLOSE_BAD_ORDER)
        if isinstance(message, Hello):
            self._hello(message)
        elif isinstance(message, Output):
            self._output(message)
        elif isinstance(message, Gap):
            if message == self._gap:
                return None
            self._missing(message)
        elif isinstance(message, Exit) and message.offset != self.position:
            raise RemoteWireError(f"exit at {message.offset}, output came up to {self.position}")
        self.stage = stage
        return message

    def taken(self, message: ServerMessage) -> None:
        """The program has done with a message: its bytes no longer take up memory here."""
        if isinstance(message, Output):
            self._taken = message.end

    def credit(self) -> bytes | None:
        """New credit for the wire, if it is time for it."""
        if self.stage is not Stage.OPEN:
            return None
        upto = self._taken + self._window_bytes
        if 2 * (upto - self._granted) < self._window_bytes:
            return None
        self._granted = upto
        return self.send(Credit(upto=upto))

    def _hello(self, hello: Hello) -> None:
        if self.position is None:
            self.position = self._taken = hello.offset
        elif hello.offset != self.position:
            raise RemoteWireError(f"attached at {hello.offset} in place of {self.position}")
        self._granted = max(self._granted, hello.upto)

    def _output(self, output: Output) -> None:
        filtered = self._first_attach.streams is not None
        # With a filter the server may jump over what was not asked for; that is no gap.
        if output.offset != self.position and not (filtered and output.offset > (self.position or 0)):
            raise RemoteWireError(f"output at {output.offset} in place of {self.position}")
        if not filtered and len(output.data) != output.end - output.offset:
            raise RemoteWireError("runs are skipped that were asked for")
        if _credit_needed(output.offset, output.runs) > self._granted:
            raise RemoteWireError(f"output up to {output.end}, credit was given to {self._granted}")
        self.position = output.end

    def _missing(self, gap: Gap) -> None:
        if gap.start != self.position:
            raise RemoteWireError(f"gap at {gap.start} in place of {self.position}")
        self._gap = gap
        if gap.why is Why.REMOVED:
            self.position = gap.to
            self._taken = max(self._taken, gap.to)
