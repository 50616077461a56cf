"""What the two machines of the worker channel tell their owners: values, in the order in which they are to be heeded.

Some are told as the messages that they came in: ``State``, ``Ended``, ``Beat``, ``Drain`` and ``Bye`` to the server,
``Withdraw``, ``Stop``, ``Signal``, ``Eof``, ``Release``, ``Forget`` and ``Drain`` to the worker.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_protocol.worker import Beat, Bye, Drain, Hello, Kept, Welcome
from jobdeck_protocol.workerorders import Eof, Forget, Release, Signal, Stop, Withdraw
from jobdeck_protocol.workerreports import Ended, State

if TYPE_CHECKING:
    from jobdeck_protocol.workermirror import Range, Sizes

# -- from WorkerHost, to the server --


@dataclass(frozen=True, slots=True)
class Replaced:
    """An older connection is to be closed with 4409; nothing comes from it any more."""

    link: int


@dataclass(frozen=True, slots=True)
class Greeted:
    """A worker has come whose life is to be written down; then call ``WorkerHost.welcome``.

    Attributes:
        link: The connection.
        hello: What it said.
        restored: It knows a life of the server that the server does not: the server was restored from a backup, and
            starts nothing (``WorkerHost.holding``) until somebody has agreed.
    """

    link: int
    hello: Hello
    restored: bool


@dataclass(frozen=True, slots=True)
class Stranger:
    """The worker has a job that was not given to ``WorkerHost``: answer with ``follow`` or ``forget``.

    That the job is on record as another worker's is to be checked.
    """

    kept: Kept


@dataclass(frozen=True, slots=True)
class Missing:
    """The worker has nothing of a job that it had once decided to run; what became of it cannot be known."""

    job_id: str


@dataclass(frozen=True, slots=True)
class Ready:
    """What the worker has and what is known here are in agreement."""


@dataclass(frozen=True, slots=True)
class Append:
    """Bytes for a job's files: write ``runs``, then ``data``, then call ``WorkerHost.taken`` with this.

    Attributes:
        job_id: The job.
        at: Where both go; the sizes that the files have.
        runs: For the index.
        data: For the output.
        cost_bytes: The credit that it took.
    """

    job_id: str
    at: Sizes
    runs: bytes
    data: bytes
    cost_bytes: int


@dataclass(frozen=True, slots=True)
class Gap:
    """Output from ``start`` to ``to`` does not exist any more; the end of the job follows."""

    job_id: str
    start: int
    to: int


@dataclass(frozen=True, slots=True)
class SignalDone:
    """What became of a signal: whether it was sent, None if that is not known."""

    job_id: str
    number: int
    done: bool | None


@dataclass(frozen=True, slots=True)
class InputKept:
    """The worker keeps a job's standard input up to here."""

    job_id: str
    upto: int


@dataclass(frozen=True, slots=True)
class Unreachable:
    """Nothing was heard for three beats, since ``since_s`` by the caller's clock."""

    since_s: float


@dataclass(frozen=True, slots=True)
class Reachable:
    """Something was heard again."""


HostEvent = (
    Replaced
    | Greeted
    | Stranger
    | Missing
    | Ready
    | State
    | Ended
    | Append
    | Gap
    | SignalDone
    | InputKept
    | Beat
    | Drain
    | Bye
    | Unreachable
    | Reachable
)


@dataclass(frozen=True, slots=True)
class ReadInput:
    """Bytes of a job's standard input to be read, for ``WorkerHost.fill``."""

    link: int
    job_id: str
    offset: int
    length: int


# -- from WorkerAgent, to the worker --


@dataclass(frozen=True, slots=True)
class Welcomed:
    """The server has taken the worker: write down both lives, then call ``WorkerAgent.settled``.

    With ``welcome.all``, first tell ``WorkerAgent.keep`` of every job that there is a record of.
    """

    welcome: Welcome


@dataclass(frozen=True, slots=True)
class StartJob:
    """Claim a job and start it, unless its id has a claim; then tell ``state`` or ``ended``, whichever it is."""

    job_id: str
    spec: bytes


@dataclass(frozen=True, slots=True)
class InputJob:
    """Keep bytes of standard input, then tell ``input_kept``."""

    job_id: str
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Silent:
    """Nothing was heard of the server for three beats: close the connection, dial again."""

    since_s: float


AgentEvent = Welcomed | StartJob | Withdraw | Stop | Signal | InputJob | Eof | Release | Forget | Drain | Silent


@dataclass(frozen=True, slots=True)
class Read:
    """Bytes of a job's two files to be read, for ``WorkerAgent.fill``."""

    link: int
    job_id: str
    part: Range
