"""What the core asks of whatever runs jobs, and what it hears from it.

An engine has six verbs: ``submit``, ``status``, ``follow``, ``signal`` (with ``stop``, which also waits and kills),
``forget``, ``capacity_count``. Requests may be repeated: an engine decides by the job's id, once and for all, whether
it ever starts it. What happens is told through the ``Sink`` that the core hands over, as values below; the same value
may be told more than once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    import trio

    from jobdeck_protocol.job import Job, Step


LOCAL = "local"
BUNDLES = "executor"  # the local engine with what a bundle needs before and after
PACKAGES = "package"  # the local engine with what a class out of a package needs
OUTSIDE = "webgme-worker"  # the workers of the WebGME API, which come and ask
CONTEXT = "context"  # the local engine with what the process of a context needs, which takes no slot
WORKER = "worker"  # machines elsewhere, by the worker channel


def runs_here(engine: str) -> bool:
    """Whether an engine's jobs run on this machine."""
    return engine not in (OUTSIDE, WORKER)


def takes_slot(engine: str) -> bool:
    """Whether an engine's jobs run on this machine and count among those that may run here at once.

    The process of a context does not: its jobs could never run if all slots were taken by contexts.
    """
    return runs_here(engine) and engine != CONTEXT


def leaves_files(job: Job) -> bool:
    """Whether files of a job are removed as soon as its end is committed, here or at a worker."""
    return job.bundle is not None or job.engine in (WORKER, PACKAGES, CONTEXT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The program runs (or its next step does): when it began in microseconds UTC, and the index of the step."""

    started_us: int
    step: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a bundle has turned out to run."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Noted:
    """What is the matter with a job right now, None when all is well again."""

    note: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Progressed:
    """How far a job says it has come: from 0 to 1, None if it does not know; and in words, if any."""

    fraction: float | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """The process of a context has been given to one: its name."""

    context: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The end, final.

    Attributes:
        how: ``exit`` (it ran, see code and signal), ``error`` (it could not be started), ``never`` (stopped before it
            was started), ``lost`` (what became of it cannot be known).
        code: Exit code of the main process, None if a signal ended it.
        signal: That signal's number, else None.
        core: Whether that signal left a memory image.
        text: The reason for ``error`` and ``lost``; what is known of the reason for a code that is not 0.
        stop_reason: ``requested``, ``time limit`` or ``output limit`` if it was stopped, else None.
        started_us: When it was started, None if it was not.
        finished_us: When it ended.
        output_bytes: Kept output.
        dropped_bytes: Output beyond the limit, counted and dropped.
        step: The step that ended it.
        cut: Its last output may be missing: everything that watched over it was killed at once.
        results: Name to the hash of a blob.
    """

    how: str
    code: int | None = None
    signal: int | None = None
    core: bool = False
    text: str | None = None
    stop_reason: str | None = None
    started_us: int | None = None
    finished_us: int
    output_bytes: int = 0
    dropped_bytes: int = 0
    step: int | None = None
    cut: bool = False
    results: Mapping[str, str] = field(default_factory=dict)


Report = Planned | Started | Noted | Progressed | Given | Ended


class Ear(Protocol):
    """What hears of the jobs of this machine: the core's, or a worker's, which has no core."""

    def report(self, job_id: str, report: Report) -> None:
        """Something happened to a job. Called on the trio thread, never blocks; unknown jobs are ignored."""

    async def resync(self) -> None:
        """The engine lost sight of its jobs for a while and sees again: ``status`` is to be asked for each."""


class Sink(Ear, Protocol):
    """The core's ear, and what engines ask of the core."""

    def engine_of(self, job_id: str) -> str | None:
        """The name of the engine that has a job; None for a job that is not in memory."""

    async def committed(self, job_id: str) -> None:
        """Wait until the end of a job is written down for good; at once for one that is not in memory."""


class Records(Sink, Protocol):
    """The core's ear, and what it knows: for engines whose jobs run where they cannot be looked at."""

    def launch_of(self, job_id: str) -> Launch | None:
        """What an engine needs of a job that it was given and that has not ended; None for all others."""

    async def find(self, job_id: str) -> Job | None:
        """A job's record, whatever its state; None if there is none."""

    async def correct(self, job_id: str, ended: Ended) -> bool:
        """A job that was LOST has ended after all, and this is how; returns once that is in the database.

        Returns:
            False if the job is not LOST, or this says nothing better: then nothing has changed.
        """

    async def import_job(self, job_id: str, *, worker: str) -> None:
        """Take in a job that a worker has and of which there is no record: the database was restored from a backup.

        Raises:
            StoreError: The database would not take it.
        """

    def reach(self, worker: str, *, unreachable: bool) -> None:
        """Say on the records of a worker's jobs whether it can be reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What an engine needs to run a job.

    Attributes:
        job_id: Its id.
        spec: Its private specification (plain JSON, see ``requests.plan``).
        engine: Whose it is.
        job: Its record; None only where an engine of this machine hands it on.
    """

    job_id: str
    spec: Mapping[str, Any]
    engine: str = LOCAL
    job: Job | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A stop that was asked for: a signal to everything the job started, SIGKILL after the grace time."""

    signal: int
    grace_s: float


class Engine(Protocol):
    """See the top of this file. Methods that cannot reach the engine wait until they can, cancellable."""

    name: str
    capacity_count: int

    async def run(self, sink: Records, *, task_status: trio.TaskStatus[None]) -> None:
        """Keep the link to what runs the jobs; ``started`` once it is up for the first time."""

    def submit(self, launch: Launch) -> None:
        """Have the job started, unless its id was decided before; reports tell the rest.

        Never blocks; starts are asked for in the order of the calls.
        """

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Stop it, whatever its state; one that was never started never will be."""

    async def signal(self, job_id: str, signum: int) -> bool:
        """Send a signal to everything the job started; False if it has ended or is not known."""

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """Its ``input`` file has grown; ``eof_bytes`` tells its final size."""

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """What is known of each: a final or started report, or None for one that was never asked for."""

    async def forget(self, job_id: str) -> None:
        """Remove all that is kept of an ended job."""

    async def forget_output(self, job_id: str) -> None:
        """Remove the output of an ended job, and keep how it ended."""

    async def kept(self) -> Collection[str]:
        """Ids of all jobs of which something is kept."""

    def follow(self, job_id: str) -> Path:
        """The folder with the job's ``output`` and ``runs`` files, which may not exist yet."""


class PlainEngine(Engine, Protocol):
    """An engine that can do without the records, and so be used by another one."""

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None]) -> None:
        """See ``Engine``."""
