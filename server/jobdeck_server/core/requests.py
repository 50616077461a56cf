"""What a client asks to be run, checked and turned into a job record and an engine's specification.

Dialects parse their own words into a ``JobRequest``; all checks that do not depend on a dialect's words are here, once.
Paths are looked at by ``check_folders``, which blocks and belongs into a thread.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_server.core.environment import standard
from jobdeck_server.core.errors import BadRequestError, ConflictError, TooLargeError
from jobdeck_server.engines.base import LOCAL, WORKER

if TYPE_CHECKING:
    from jobdeck_server.settings import Settings

_INDEX_SHARE = 8
_INDEX_FLOOR_BYTES = 1024 * 1024
WORKERS_POOL = "workers"
"""Where jobs wait that are not for this machine alone; see ``placement``."""
CONTEXTS_POOL = "contexts"
"""Where jobs out of packages wait for a place in their context; see ``contexts``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRequest:
    """One command: one of ``command_line`` (for bash) and ``argv``; without ``cwd``, in the server's start folder."""

    command_line: str | None = None
    argv: tuple[str, ...] | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """A job to be run. None means the server's default; times in seconds.

    Attributes:
        dialect: The API that asks.
        steps: The commands, in order; none for a bundle or a class.
        bundle: Hash of the blob that brings the files and says what runs.
        main_class: The class to run, where packages bring one.
        packages: How the client named them; see ``Job``.
        context: The name of its context.
        package: All that its engine needs for that: plain JSON, kept with the specification and never shown.
        standard_env: The steps have the standard environment (``environment``) beneath their own.
        engine: ``engines.base.LOCAL``, or ``BUNDLES`` for a bundle, ``PACKAGES`` for a class.
        worker: The worker that is to run it, where the client has said so; one elsewhere if ``engine`` is ``WORKER``.
        worker_labels: Labels that its worker must have.
        pool: Where it waits (``JobCore.pools``); None for the core's own queue, or ``WORKERS_POOL`` for a job that is
            for a worker elsewhere or asks for labels.
        key: The API's own name for it.
        held: Not to be started yet.
        attempt: From 1, when work is tried again.
        rerun_of: The job that it repeats.
    """

    dialect: str
    steps: tuple[StepRequest, ...] = ()
    bundle: str | None = None
    main_class: str | None = None
    packages: tuple[str, ...] = ()
    context: str | None = None
    package: Mapping[str, Any] | None = None
    standard_env: bool = False
    engine: str = LOCAL
    worker: str | None = None
    worker_labels: tuple[str, ...] = ()
    pool: str | None = None
    key: str | None = None
    held: bool = False
    attempt: int = 1
    labels: tuple[str, ...] = ()
    stdin: bool = False
    time_limit_s: float | None = None
    linger_s: float | None = None
    grace_s: float | None = None
    on_limit: str = "drop"
    order: str = "exact"
    rerun_of: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Idempotency:
    """A client's key for a submission, within its token, and a digest of the body that came with it."""

    token_id: str
    key: str
    digest: bytes


def plan(request: JobRequest, settings: Settings, *, job_id: str, now_us: int) -> tuple[Job, dict[str, Any]]:
    """Check a request and return the job's first record and its specification for the engine.

    Raises:
        BadRequestError: Something in it cannot be run (NUL bytes, no command, a negative time, ...).
        TooLargeError: Something is over a limit of ``settings``.
    """
    _check_shape(request, settings)
    for step in request.steps:
        _check_step(step, settings)
    linger_s = _seconds("linger_s", request.linger_s, settings.linger_default_s, settings.time_limit_limit_s)
    grace_s = _seconds("grace_s", request.grace_s, settings.grace_default_s, settings.grace_limit_s)
    limit_s = request.time_limit_s
    if limit_s is not None:
        limit_s = _seconds("time_limit_s", limit_s, 0.0, settings.time_limit_limit_s)
        if limit_s == 0:
            raise BadRequestError("time_limit_s must be greater than 0.", field="time_limit_s")
    job = Job(
        id=job_id,
        dialect=request.dialect,
        key=request.key,
        steps=tuple(_public(step) for step in request.steps),
        labels=request.labels,
        stdin=request.stdin,
        time_limit_s=limit_s,
        linger_s=linger_s,
        grace_s=grace_s,
        state=JobState.QUEUED,
        created_us=now_us,
        rerun_of=request.rerun_of,
        bundle=request.bundle,
        main_class=request.main_class,
        packages=request.packages,
        context=request.context,
        engine=request.engine,
        worker=request.worker,
        worker_labels=request.worker_labels,
        held=request.held,
        attempt=request.attempt,
    )
    base = standard(job_id, settings) if request.standard_env else {}
    spec = {
        "id": job_id,
        "bundle": request.bundle,
        "package": request.package,
        "pool": pool_of(request),
        "worker": request.worker,
        "steps": [_private(step, base, settings) for step in request.steps],
        "standard_env": request.standard_env,
        "stdin": request.stdin,
        "linger_s": linger_s,
        "grace_s": grace_s,
        "time_limit_s": limit_s,
        "output_limit_bytes": settings.output_limit_bytes,
        "index_limit_bytes": max(_INDEX_FLOOR_BYTES, settings.output_limit_bytes // _INDEX_SHARE),
        "on_limit": request.on_limit,
        "order": request.order,
    }
    return job, spec


def pool_of(request: JobRequest) -> str | None:
    """Where a job is to wait; None for the queue of this machine."""
    if request.pool is None and (request.engine == WORKER or request.worker_labels):
        return WORKERS_POOL
    return request.pool


def elsewhere(request: JobRequest) -> bool:
    """Whether a job may run on another machine, so that what is on this one says nothing about it."""
    return pool_of(request) == WORKERS_POOL


def again(job: Job, spec: Mapping[str, Any], settings: Settings) -> JobRequest:
    """The request for a job that is what another one was: what its client said then, values of its environment too.

    What the client left open is the server's as it is set up now: the limit of output, PATH, what is allowed.

    Args:
        job: The record of the other one.
        spec: Its specification, as ``plan`` made it.
        settings: Of the server.

    Raises:
        ConflictError: What it ran is not known, or it belongs to an API with a name of its own for it.
    """
    if job.key is not None:
        raise ConflictError(f"Job {job.id} can only be run again through the API that made it.")
    private = spec.get("steps", ())
    if not job.steps or len(private) != len(job.steps):
        raise ConflictError(f"Job {job.id} cannot be run again: what it ran is not known.")
    pinned = spec.get("worker", job.worker)  # as asked for; jobs of earlier versions have none
    return JobRequest(
        dialect=job.dialect,
        steps=tuple(_step_again(step, ran, settings) for step, ran in zip(job.steps, private, strict=True)),
        standard_env=spec.get("standard_env", False),  # jobs of earlier versions have none
        engine=WORKER if pinned and job.engine == WORKER else LOCAL,
        worker=pinned,
        worker_labels=job.worker_labels,
        labels=job.labels,
        stdin=job.stdin,
        time_limit_s=job.time_limit_s,
        linger_s=job.linger_s,
        grace_s=job.grace_s,
        on_limit=spec["on_limit"],
        order=spec["order"],
        rerun_of=job.id,
    )


def _step_again(step: Step, ran: Mapping[str, Any], settings: Settings) -> StepRequest:
    # A step without a folder ran in the server's start folder, which may be another one today.
    moved = step.cwd is None and ran["cwd"] != _default_cwd(settings)
    return StepRequest(
        command_line=step.command_line,
        argv=step.argv,
        env={name: ran["env"][name] for name in step.env_names},
        cwd=ran["cwd"] if moved else step.cwd,
    )


def check_folders(request: JobRequest, settings: Settings) -> None:
    """See that each working directory that was named is one, and inside ``work_root`` if there is one. Blocks.

    A folder may still vanish before the start: then the job fails and says so.

    Raises:
        BadRequestError: It is missing, no folder, or outside.
    """
    root = None if settings.work_root is None else os.path.realpath(settings.work_root)
    for step in request.steps:
        if step.cwd is None:
            continue
        if not os.path.isdir(step.cwd):
            raise BadRequestError(f"Working directory {step.cwd} does not exist.", field="cwd")
        if root is not None and os.path.commonpath([root, os.path.realpath(step.cwd)]) != root:
            raise BadRequestError(f"Working directory {step.cwd} is outside the server's work root.", field="cwd")


def signal_number(value: object) -> int:
    """A signal from a client's word for it: 15, "15", "TERM" or "SIGTERM".

    Raises:
        BadRequestError: It is none.
    """
    if isinstance(value, str) and not value.isdecimal():
        name = value.upper() if value.upper().startswith("SIG") else "SIG" + value.upper()
        number = getattr(signal.Signals, name, None)
        if number is not None:
            return int(number)
    elif isinstance(value, int | str) and not isinstance(value, bool) and 1 <= int(value) < signal.NSIG:
        return int(value)
    raise BadRequestError(f"There is no signal {value!r}.", field="signal")


def _check_shape(request: JobRequest, settings: Settings) -> None:
    if not request.steps and request.bundle is None and request.package is None:
        raise BadRequestError("A job needs at least one command.", field="steps")
    if len(request.steps) > settings.step_limit_count:
        raise TooLargeError("The list of commands", settings.step_limit_count, "commands")
    for name, text in (("main_class", request.main_class), ("context", request.context)):
        _text(name, text or "", settings.command_limit_bytes)
    for text in request.packages:
        _text("packages", text, settings.command_limit_bytes)
    _check_labels("labels", request.labels, settings)
    _check_labels("worker_labels", request.worker_labels, settings)
    if request.on_limit not in ("drop", "stop"):
        raise BadRequestError("on_limit must be drop or stop.", field="on_limit")
    if request.order not in ("exact", "bulk"):
        raise BadRequestError("order must be exact or bulk.", field="order")


def _check_labels(field: str, labels: Sequence[str], settings: Settings) -> None:
    if len(labels) > settings.label_limit_count:
        raise TooLargeError("The list of labels", settings.label_limit_count, "labels")
    for label in labels:
        _text(field, label, settings.label_limit_bytes)
        if not label or not label.isprintable():
            raise BadRequestError("A label must be printable and not empty.", field=field)
    if len(set(labels)) != len(labels):
        raise BadRequestError("A label stands twice.", field=field)


def _check_step(step: StepRequest, settings: Settings) -> None:
    if (step.command_line is None) == (step.argv is None):
        raise BadRequestError("A command needs either a command line or a list of arguments.", field="command")
    if step.command_line is not None:
        _text("command", step.command_line, settings.command_limit_bytes)
        if not step.command_line:
            raise BadRequestError("The command is empty.", field="command")
    else:
        arguments = step.argv or ()
        if not arguments or not arguments[0]:
            raise BadRequestError("The list of arguments is empty.", field="argv")
        if len(arguments) > settings.argument_limit_count:
            raise TooLargeError("The list of arguments", settings.argument_limit_count, "arguments")
        for argument in arguments:
            _text("argv", argument, settings.command_limit_bytes)
    if step.cwd is not None:
        _text("cwd", step.cwd, os.pathconf("/", "PC_PATH_MAX") - 1)
        if not os.path.isabs(step.cwd):
            raise BadRequestError("A working directory must be an absolute path.", field="cwd")
    _check_environment(step.env, settings)


def _check_environment(env: Mapping[str, str], settings: Settings) -> None:
    if len(env) > settings.environment_limit_count:
        raise TooLargeError("The environment", settings.environment_limit_count, "variables")
    total = 0
    for name, value in env.items():
        if not name or "=" in name:
            raise BadRequestError(f"{name!r} is no name for an environment variable.", field="env")
        total += _text("env", name, settings.command_limit_bytes) + _text("env", value, settings.command_limit_bytes)
    if total > settings.environment_limit_bytes:
        raise TooLargeError("The environment", settings.environment_limit_bytes)


def _text(what: str, text: str, limit_bytes: int) -> int:
    """Length in bytes of text that the kernel will take."""
    if "\0" in text:
        raise BadRequestError(f"A NUL character stands in {what}.", field=what)
    try:
        size = len(os.fsencode(text))
    except UnicodeEncodeError as error:
        raise BadRequestError(f"{what} cannot be encoded: {error.reason}.", field=what) from error
    if size > limit_bytes:
        raise TooLargeError(f"A part of {what}", limit_bytes)
    return size


def _seconds(name: str, value: float | None, default: float, limit_s: float) -> float:
    if value is None:
        return default
    if not 0 <= value <= limit_s:  # a NaN fails too
        raise BadRequestError(f"{name} must be from 0 to {limit_s:g}.", field=name)
    return float(value)


def _public(step: StepRequest) -> Step:
    return Step(command_line=step.command_line, argv=step.argv, env_names=tuple(sorted(step.env)), cwd=step.cwd)


def _private(step: StepRequest, base: Mapping[str, str], settings: Settings) -> dict[str, Any]:
    env = {"PATH": settings.default_path, **base, **step.env}
    cwd = step.cwd or _default_cwd(settings)
    if step.command_line is None:
        return {"argv": list(step.argv or ()), "executable": None, "env": env, "cwd": cwd}
    return {"argv": ["bash", "-c", step.command_line], "executable": _bash(), "env": env, "cwd": cwd}


def _default_cwd(settings: Settings) -> str:
    return settings.work_root or settings.start_dir


@cache
def _bash() -> str | None:
    """The bash of the server's PATH, looked up once; None leaves it to the job's own PATH."""
    return shutil.which("bash")
