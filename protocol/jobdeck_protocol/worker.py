"""The worker channel, ``jobdeck.worker.v1``: what it is, and the messages that are about the worker as a whole.

A worker dials the server and opens one WebSocket with this subprotocol. One binary message is one CBOR map (see
``codec``) whose ``kind`` names it. Unknown kinds and unknown fields are ignored. ``workerorders`` and ``workerreports``
hold the messages that are about one job; ``workerhost`` is the server's end as a state machine, ``workeragent`` the
worker's. The others:

    hello       worker: who it is; the first message, answered by
    welcome     server: it is taken; with credit, and how often to beat
    have        worker: the jobs of which it has something, in parts; after it the server gives its orders
    credit      server: how many bytes of jobs' files may come
    drain       either: no new jobs, or new ones again
    beat        either: a sign of life
    bye         worker: it leaves in good order

**Who is who.** A worker has a UUID that it keeps for good, and each life of its program a new one, written to disk
before it connects. ``hello``, its first message, lists the last life that a server accepted and all that were offered
to one since, the present one last. The server likewise has lives, kept in its database. It

- refuses a ``hello`` of another version of the protocol (close code 4426, in words; nothing else of it is read);
- takes itself for restored from a backup when the server's life that the worker saw last is not one of its own;
- refuses, unless it was restored, a worker in whose list the last life known here is missing (4423): the worker runs
  from a copy of a data directory, and another one has gone on from there;
- writes the new life to its database, then answers ``welcome`` with both lives. Of two connections of one life the one
  with the greater number wins, whichever came first; the other is closed with 4409, and what still comes from it is
  passed over.

The worker writes what ``welcome`` says to its disk before it goes on.

**What is where.** The worker then tells in ``have`` every job of which the server has not said yet that it has all
(``release``), in as many parts as it needs; every job that it has a record of, if ``welcome`` says ``all``. Now the
server knows what became of its orders, and gives those that did not arrive: again. For each job that it is to hear of,
it says ``want`` with the sizes that its copies of the two files have. Only what is wanted is told, and it is told from
the beginning with each connection: so nothing has to be kept for a connection, and whatever is lost with one is made
good by the next. Jobs that the server does not know it looks up: it wants them, releases them, or has them forgotten.

**Once.** ``start`` is decided by the worker by the job's id, once and for all: it writes a claim to its disk before it
answers ``state``, and keeps it for thirty days. ``withdraw`` of a job that has no claim claims that it never runs, and
so does ``stop``; the answer is ``ended`` with ``never``. Only after that answer the job may be given to another worker:
silence never is an answer. Orders that are not decided yet are at most ``ASK_LIMIT_COUNT`` at a time.

**Files.** A job's output is two files that only grow, ``output`` and the index ``runs``. The worker takes the size of
``output`` first, that of ``runs`` second, and sends the records of that moment before the bytes of that moment; the
server writes ``runs`` before ``output``. In ``piece`` bytes stand at their offset: what the server has it trims, what
lies beyond its end it does not take but says ``want`` again, once, and passes over what comes until it fits.
``ended`` comes after the last byte and counts only once all bytes are there. ``ack`` tells what is on the server's disk
for good. After ``release`` the worker may remove the files, and does so a day later: a server that was restored asks
again. What does not exist any more then is told by ``gone``, and is a gap.

**Credit** is one for the connection: the bytes of all pieces so far may come up to ``upto``, absolute. The server gives
as much as it is ready to hold in memory; all else has bounds of its own and goes without. So that one job does not
delay another, a worker sends its jobs' bytes in turns, small amounts first, and leaves part of the window to those.

**Beats.** Each end says ``beat`` every ``beat_s`` seconds (told by ``welcome``). Who has heard nothing at all for three
of them says so: the server calls the worker unreachable, whose jobs keep their state; the worker dials again.

**Leaving.** ``drain``, said by either end, means that the worker is to be given no new jobs. What was given to it
before it runs, also if that is under way still. ``bye`` is a worker's last word; its jobs may go on all the same, and
it may come back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, ClassVar

from jobdeck_protocol import codec
from jobdeck_protocol.errors import (
    CLOSE_BAD_ORDER,
    CLOSE_BAD_TYPE,
    CLOSE_IDENTITY,
    CLOSE_REPLACED,
    CLOSE_VERSION,
    RemoteWireError,
)
from jobdeck_protocol.message import M, Message, check, check_number, check_text, parse, wired, word_of
from jobdeck_protocol.workerorders import Ack, Eof, Forget, Input, Release, Signal, Start, Stop, Want, Withdraw
from jobdeck_protocol.workerreports import Ended, Gone, InputAck, Piece, Signalled, State
from jobdeck_protocol.workerwords import WORD_LIMIT_COUNT, Phase, check_id, check_index_size, check_optional_text

SUBPROTOCOL = "jobdeck.worker.v1"
VERSION = 1
BEAT_S = 5.0
SILENT_BEAT_COUNT = 3
WINDOW_BYTES = 1024 * 1024
WINDOW_FLOOR_BYTES = 1024
ASK_LIMIT_COUNT = 32
LABEL_LIMIT_COUNT = 64
LIFE_LIMIT_COUNT = 1000
HAVE_LIMIT_COUNT = 1000
SLOT_LIMIT_COUNT = 100_000
REASON_LIMIT_BYTES = 123  # of a WebSocket's close frame

FINAL_CLOSES = frozenset({CLOSE_REPLACED, CLOSE_IDENTITY, CLOSE_VERSION})
"""A worker whose connection is closed with one of these does not dial again at once: a person has to look."""


def _texts_of(wire: object) -> tuple[str, ...]:
    check(isinstance(wire, list), "a list of texts must be a list")
    assert isinstance(wire, list)
    return tuple(wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """A worker's first message.

    Attributes:
        version: Of the protocol.
        worker: The worker's UUID.
        name: What people call it.
        slots: How many jobs it runs at a time.
        labels: Free words by which jobs choose it, printable.
        lives: The last life that a server accepted (none before the first time) and those offered since; the present
            one last.
        server_life: The life of a server that it saw last, None before the first time.
        number: Of this connection, counted within the present life: the greater is the newer.
        clock_us: The worker's clock, microseconds since 1970 UTC.
        draining: It takes no new jobs.
        software: Name and version of the program.
        bundles: It runs bundles (``Start`` with an order that names one), too.
    """

    kind: ClassVar[str] = "hello"
    version: int = VERSION
    worker: str
    name: str
    slots: int
    labels: tuple[str, ...] = field(default=(), metadata=wired(out=list, into=_texts_of))
    lives: tuple[str, ...] = field(metadata=wired(out=list, into=_texts_of))
    server_life: str | None = None
    number: int
    clock_us: int
    draining: bool = False
    software: str = ""
    bundles: bool = False

    def __post_init__(self) -> None:
        check_number("version", self.version, low=1)
        check_id("worker", self.worker)
        check_text("name", self.name, limit_count=WORD_LIMIT_COUNT)
        check_number("slots", self.slots, high=SLOT_LIMIT_COUNT)
        check(isinstance(self.labels, tuple) and len(self.labels) <= LABEL_LIMIT_COUNT, "too many labels")
        for label in self.labels:
            check_text("a label", label, limit_count=WORD_LIMIT_COUNT)
            check(label.isprintable(), "a label must be printable")
        check(isinstance(self.lives, tuple) and 0 < len(self.lives) <= LIFE_LIMIT_COUNT, "lives must be 1 to 1000")
        for life in self.lives:
            check_id("a life", life)
        if self.server_life is not None:
            check_id("server_life", self.server_life)
        check_number("number", self.number)
        check_number("clock_us", self.clock_us)
        check(isinstance(self.draining, bool), "draining must be true or false")
        check_text("software", self.software, limit_count=WORD_LIMIT_COUNT)
        check(isinstance(self.bundles, bool), "bundles must be true or false")

    @property
    def life(self) -> str:
        """The present one."""
        return self.lives[-1]


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome(Message):
    """The server's first message: the worker is taken.

    Attributes:
        version: Of the protocol.
        life: The worker's life that is now the last known here.
        server_life: The server's present one.
        all: Tell in ``have`` of every job that there is a record of.
        beat_s: Seconds between two beats, in both directions.
        upto: Credit to begin with.
        window_bytes: The most credit there ever is for bytes not sent yet.
        draining: The worker is to take no new jobs.
    """

    kind: ClassVar[str] = "welcome"
    version: int = VERSION
    life: str
    server_life: str
    all: bool = False
    beat_s: float = BEAT_S
    upto: int
    window_bytes: int = WINDOW_BYTES
    draining: bool = False

    def __post_init__(self) -> None:
        check_number("version", self.version, low=1)
        check_id("life", self.life)
        check_id("server_life", self.server_life)
        check(isinstance(self.all, bool), "all must be true or false")
        check(type(self.beat_s) in (int, float) and 0 < self.beat_s <= 3600, "beat_s must be above 0, at most 3600")
        check_number("upto", self.upto)
        check_number("window_bytes", self.window_bytes, low=WINDOW_FLOOR_BYTES)
        check(isinstance(self.draining, bool), "draining must be true or false")


@dataclass(frozen=True, slots=True)
class Kept:
    """A job of which the worker has something.

    Attributes:
        job_id: Its id.
        phase: How far it has come.
        output: Size of its output.
        runs: Size of its index of runs, in whole records.
        input: How much of standard input is kept there.
    """

    job_id: str
    phase: Phase
    output: int = 0
    runs: int = 0
    input: int = 0

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check(isinstance(self.phase, Phase), "phase must be asked, claimed or ended")
        check_number("output", self.output)
        check_index_size("runs", self.runs)
        check_number("input", self.input)


_phase_of = word_of(Phase, Phase.CLAIMED)
"""A phase of which we have not heard lies somewhere between the claim and the end."""


def _kept_list(jobs: tuple[Kept, ...]) -> list[list[Any]]:
    return [[job.job_id, job.phase.value, job.output, job.runs, job.input] for job in jobs]


def _kept_of(wire: object) -> tuple[Kept, ...]:
    check(isinstance(wire, list) and len(wire) <= HAVE_LIMIT_COUNT, f"jobs must be at most {HAVE_LIMIT_COUNT}")
    assert isinstance(wire, list)
    check(all(isinstance(row, list) and len(row) >= 5 for row in wire), "a job is [id, phase, output, runs, input]")
    return tuple(Kept(row[0], _phase_of(row[1]), row[2], row[3], row[4]) for row in wire)


@dataclass(frozen=True, slots=True, kw_only=True)
class Have(Message):
    """Jobs of which the worker has something, or a part of them; each ``[id, phase, output, runs, input]`` on the wire.

    Attributes:
        jobs: At most 1000.
        more: Another part follows.
    """

    kind: ClassVar[str] = "have"
    jobs: tuple[Kept, ...] = field(metadata=wired(out=_kept_list, into=_kept_of))
    more: bool = False

    def __post_init__(self) -> None:
        check(isinstance(self.jobs, tuple) and len(self.jobs) <= HAVE_LIMIT_COUNT, "at most 1000 jobs in a part")
        check(all(isinstance(job, Kept) for job in self.jobs), "jobs must be jobs")
        check(isinstance(self.more, bool), "more must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit(Message):
    """Pieces may come until their bytes on this connection sum up to ``upto``; the greatest one holds."""

    kind: ClassVar[str] = "credit"
    upto: int

    def __post_init__(self) -> None:
        check_number("upto", self.upto)


@dataclass(frozen=True, slots=True, kw_only=True)
class Drain(Message):
    """Said by either end: the worker takes no new jobs (``on``), or takes them again."""

    kind: ClassVar[str] = "drain"
    on: bool

    def __post_init__(self) -> None:
        check(isinstance(self.on, bool), "on must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(Message):
    """A worker's sign of life.

    Attributes:
        running: Jobs that run.
        load: The machine's load average over a minute, None where that is not known.
        free_bytes: Room on the disk of its data directory, None where that is not known.
        clock_us: The worker's clock.
    """

    kind: ClassVar[str] = "beat"
    running: int = 0
    load: float | None = None
    free_bytes: int | None = None
    clock_us: int = 0

    def __post_init__(self) -> None:
        check_number("running", self.running)
        check(self.load is None or (type(self.load) in (int, float) and 0 <= self.load < 1e9), "load must be a number")
        if self.free_bytes is not None:
            check_number("free_bytes", self.free_bytes)
        check_number("clock_us", self.clock_us)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse(Message):
    """The server's sign of life; ``beat`` on the wire, too."""

    kind: ClassVar[str] = "beat"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bye(Message):
    """The worker leaves in good order, and says why."""

    kind: ClassVar[str] = "bye"
    text: str | None = None

    def __post_init__(self) -> None:
        check_optional_text("text", self.text, limit_count=WORD_LIMIT_COUNT)


WorkerMessage = Hello | Have | State | Ended | Piece | Gone | Signalled | InputAck | Drain | Beat | Bye
ServerMessage = (
    Welcome | Start | Want | Withdraw | Stop | Signal | Input | Eof | Ack | Release | Forget | Credit | Drain | Pulse
)

WORKER_KINDS: Mapping[str, type[WorkerMessage]] = MappingProxyType(
    {each.kind: each for each in (Hello, Have, State, Ended, Piece, Gone, Signalled, InputAck, Drain, Beat, Bye)}
)
SERVER_KINDS: Mapping[str, type[ServerMessage]] = MappingProxyType(
    {
        each.kind: each
        for each in (
            Welcome, Start, Want, Withdraw, Stop, Signal, Input, Eof, Ack, Release, Forget, Credit, Drain, Pulse
        )
    }
)  # fmt: skip


def decode(kinds: Mapping[str, type[M]], data: bytes | str) -> M | None:
    """The message that came, None for one of a kind that is not known.

    Raises:
        RemoteWireError: It is malformed, or a text.
    """
    return parse(kinds, _map(data))


def encode(message: Message) -> bytes:
    """A message for the wire.

    Raises:
        LocalWireError: It is longer than a message may be.
    """
    return codec.encode(message.to_map())


def hello_of(data: bytes | str) -> Hello:
    """A worker's first message, whose version is looked at before anything else.

    Raises:
        RemoteWireError: It is malformed or something else (1002), or of another version of the protocol (4426).
    """
    message = parse(WORKER_KINDS, _first(data, Hello.kind))
    assert isinstance(message, Hello)
    return message


def welcome_of(data: bytes | str) -> Welcome:
    """A server's first message; see ``hello_of``."""
    message = parse(SERVER_KINDS, _first(data, Welcome.kind))
    assert isinstance(message, Welcome)
    return message


def _first(data: bytes | str, kind: str) -> dict[str, Any]:
    wire = _map(data)
    if wire.get("kind") != kind:
        raise RemoteWireError(f"{kind} comes first", close_code=CLOSE_BAD_ORDER)
    version = wire.get("version")
    if type(version) is int and version != VERSION:
        text = f"this end speaks version {VERSION} of {SUBPROTOCOL}, the other end version {version}"
        raise RemoteWireError(text[:REASON_LIMIT_BYTES], close_code=CLOSE_VERSION)
    return wire


def _map(data: bytes | str) -> dict[str, Any]:
    if isinstance(data, str):
        raise RemoteWireError("a text on a channel of binary messages", close_code=CLOSE_BAD_TYPE)
    return codec.decode(data)
