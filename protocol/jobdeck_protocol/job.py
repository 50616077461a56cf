"""A job's record as both ends know it, and the one table of its states.

A job started through any of the server's APIs is the same kind of thing: what runs, where, how far it got, how it
ended. ``Job`` is that record, a plain value; ``to_wire`` and ``from_wire`` turn it into the map that JSON answers and
CBOR messages carry. Unknown fields of the map are ignored, so that old and new ends work together.

States live in one table, ``MOVES``: a move that is not in it is a bug, not a case to be handled. ``held`` and
``unreachable`` are flags beside the state, never states of their own.

Times are microseconds since 1970-01-01 UTC in values, and RFC 3339 text with six decimals and ``Z`` on the wire.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ENDED",
    "MOVES",
    "IllegalMoveError",
    "Job",
    "JobState",
    "Step",
    "from_wire",
    "move",
    "time_text",
    "time_us",
    "to_wire",
]


class JobState(StrEnum):
    """Where a job stands; the value is the word that goes over the wire."""

    QUEUED = "queued"
    STARTING = "starting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    STOPPED = "stopped"
    LOST = "lost"


_S = JobState

MOVES: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        _S.QUEUED: frozenset({_S.STARTING, _S.FAILED, _S.STOPPED}),
        _S.STARTING: frozenset({_S.RUNNING, _S.FAILED, _S.STOPPED, _S.LOST}),
        _S.RUNNING: frozenset({_S.SUCCEEDED, _S.FAILED, _S.STOPPED, _S.LOST}),
        # Only a worker that comes back with the true exit record may lead out of LOST.
        _S.LOST: frozenset({_S.SUCCEEDED, _S.FAILED, _S.STOPPED}),
        _S.SUCCEEDED: frozenset(),
        _S.FAILED: frozenset(),
        _S.STOPPED: frozenset(),
    }
)

ENDED: frozenset[JobState] = frozenset({_S.SUCCEEDED, _S.FAILED, _S.STOPPED, _S.LOST})
"""States in which nothing of the job runs any more, as far as is known."""


class IllegalMoveError(Exception):
    """A move that ``MOVES`` does not hold was about to be made: a bug of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command of a job. Exactly one of ``command_line`` and ``argv`` is given.

    Attributes:
        command_line: Run as ``bash -c command_line``.
        argv: Run as it is, without a shell; the first is looked up in the step's PATH.
        env_names: Names of the environment that was asked for, sorted. The values never leave the server.
        cwd: Absolute folder, or None for the server's start folder.
    """

    command_line: str | None = None
    argv: tuple[str, ...] | None = None
    env_names: tuple[str, ...] = ()
    cwd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """All that is known of one job.

    Attributes:
        id: UUID4 in lower case.
        dialect: Which API made it: ``jobrunner``, ``webgme``, ``scheduler``, ``spark``, ``v1``.
        key: The API's own name for it where that is not the id (an executor's hash), else None.
        steps: What runs, in order; the first that fails ends the job. Empty while only the ``bundle`` is known.
        bundle: Hash of the blob in which its files and its command came, None for jobs that are a command.
        main_class: The class that it runs, None for jobs that are no class out of a package.
        packages: Names and URIs of the packages that bring it, as they were given; no secret of a URI is in them.
        context: The name of the context in which that class runs, else None.
        labels: Free words, in the order given, no word twice.
        stdin: Whether it asked for standard input.
        time_limit_s: Seconds from start after which it is stopped as FAILED; None for no limit.
        linger_s: Seconds that holders of its output may outlive its main process; 0 for no limit.
        grace_s: Seconds between SIGTERM and SIGKILL when it is stopped.
        engine: What runs it: ``local``, ... That of the process of a context is ``context``.
        worker: The worker on which it runs, None until one is chosen.
        worker_labels: Labels that its worker must have, all of them.
        attempt: 1 for the first run of this work.
        rerun_of: Id of the job that this one repeats because somebody asked for it, else None.
        created_us: When it was accepted.
        started_us: When its program was started, None before.
        finished_us: When its end was recorded, None before.
        exit_code: Of the main process (of the failing step, if one failed), None if a signal ended it.
        signal: The number of the signal that ended the main process, else None.
        core_dumped: That signal left a memory image.
        error: Why it failed, in words, else None.
        step: Index of the step that runs or with which the job ended, from 0; None before the start.
        stop_requested: Somebody asked for its end.
        output_bytes: Bytes of output kept; exact once it has ended.
        dropped_bytes: Bytes of output counted and not kept.
        output_removed: Its output is gone (retention).
        progress: How far it says it has come, from 0 to 1; None if it does not say.
        progress_text: The same in its own words, else None.
        note: What is the matter right now (``starting (slow)``, ``waiting for disk space``), else None.
        held: Not to be started yet (an executor's PAUSED).
        unreachable: Its worker has not been heard of.
        results: Name to blob hash or JSON value.
    """

    id: str
    dialect: str
    key: str | None = None
    steps: tuple[Step, ...] = ()
    bundle: str | None = None
    main_class: str | None = None
    packages: tuple[str, ...] = ()
    context: str | None = None
    labels: tuple[str, ...] = ()
    stdin: bool = False
    time_limit_s: float | None = None
    linger_s: float = 10.0
    grace_s: float = 5.0
    engine: str = "local"
    worker: str | None = None
    worker_labels: tuple[str, ...] = ()
    attempt: int = 1
    rerun_of: str | None = None
    state: JobState = JobState.QUEUED
    created_us: int = 0
    started_us: int | None = None
    finished_us: int | None = None
    exit_code: int | None = None
    signal: int | None = None
    core_dumped: bool = False
    error: str | None = None
    step: int | None = None
    stop_requested: bool = False
    output_bytes: int = 0
    dropped_bytes: int = 0
    output_removed: bool = False
    progress: float | None = None
    progress_text: str | None = None
    note: str | None = None
    held: bool = False
    unreachable: bool = False
    results: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def ended(self) -> bool:
        """Whether the job has come to its end, LOST included."""
        return self.state in ENDED

    @property
    def place(self) -> str | None:
        """Whose it is or was: a worker's id, "" for the server's own machine, None while and where it has none.

        Most jobs of that machine do not name its worker.
        """
        if self.worker is not None:
            return self.worker
        waits = self.state is JobState.QUEUED or (self.state is JobState.STOPPED and self.started_us is None)
        return None if waits else ""

    @property
    def hosts_context(self) -> bool:
        """Whether it is the process of a context, in which others run, and none of its jobs."""
        return self.engine == "context"

    @property
    def command(self) -> str:
        """One line that tells a person what runs."""
        if self.main_class is not None:
            return self.main_class
        if not self.steps and self.bundle is not None:
            return f"bundle {self.bundle}"
        if self.hosts_context:
            return f"context {self.context}" if self.context else "context, ready for whoever comes first"
        return " && ".join(
            step.command_line if step.command_line is not None else shlex.join(step.argv or ()) for step in self.steps
        )


def move(job: Job, state: JobState, **changes: Any) -> Job:
    """Return ``job`` in another state, with further changes.

    Raises:
        IllegalMoveError: ``MOVES`` does not hold this move.
    """
    if state not in MOVES[job.state]:
        raise IllegalMoveError(f"job {job.id}: {job.state} -> {state}")
    return replace(job, state=state, **changes)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIMES = ("created", "started", "finished")
_PLAIN = tuple(each.name for each in fields(Job) if each.name != "steps" and not each.name.endswith("_us"))


def time_text(us: int) -> str:
    """Microseconds since the epoch as RFC 3339 text in UTC, six decimals."""
    return (_EPOCH + timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def time_us(text: str) -> int:
    """The inverse of ``time_text``; takes any RFC 3339 offset.

    Raises:
        ValueError: It is no such text.
    """
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without its offset from UTC: {text!r}")
    return (moment - _EPOCH) // timedelta(microseconds=1)


def to_wire(job: Job) -> dict[str, Any]:
    """The record as a map of JSON values: times are text, ``command`` tells what runs, ``steps`` tells it exactly."""
    wire: dict[str, Any] = {name: getattr(job, name) for name in _PLAIN}
    wire["state"] = job.state.value
    wire["packages"] = list(job.packages)
    wire["labels"] = list(job.labels)
    wire["worker_labels"] = list(job.worker_labels)
    wire["results"] = dict(job.results)
    wire["command"] = job.command
    wire["steps"] = [
        {
            "command_line": step.command_line,
            "argv": None if step.argv is None else list(step.argv),
            "env_names": list(step.env_names),
            "cwd": step.cwd,
        }
        for step in job.steps
    ]
    for name in _TIMES:
        us = getattr(job, name + "_us")
        wire[name] = None if us is None else time_text(us)
    return wire


def from_wire(wire: Mapping[str, Any]) -> Job:
    """The inverse of ``to_wire``; fields that are missing take their defaults, unknown ones are ignored.

    Raises:
        KeyError: ``id``, ``dialect`` or ``state`` is missing.
        ValueError: A state or a time is not one.
    """
    known = {name: wire[name] for name in _PLAIN if name in wire}
    known["id"], known["dialect"], known["state"] = wire["id"], wire["dialect"], JobState(wire["state"])
    known["packages"] = tuple(wire.get("packages") or ())
    known["labels"] = tuple(wire.get("labels") or ())
    known["worker_labels"] = tuple(wire.get("worker_labels") or ())
    known["results"] = MappingProxyType(dict(wire.get("results") or {}))
    known["steps"] = tuple(
        Step(
            command_line=step.get("command_line"),
            argv=None if step.get("argv") is None else tuple(step["argv"]),
            env_names=tuple(step.get("env_names") or ()),
            cwd=step.get("cwd"),
        )
        for step in wire.get("steps") or ()
    )
    for name in _TIMES:
        text = wire.get(name)
        if text is not None:
            known[name + "_us"] = time_us(text)
    return Job(**known)
