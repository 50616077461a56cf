"""What a worker elsewhere is told to run: the portable form of a job, as it goes over the worker channel.

A specification (``requests.plan``) is for the keeper of one machine: its PATH, its folders, its bash stand in it. An
**order** says what the client has said and nothing of the machine, and each worker makes its own specification of it.
Limits that the server sets (output, times) go with it.

On the wire an order is one CBOR map. Words of the client (arguments, environment, folders) are byte strings, as the
kernel takes them: not all of them are UTF-8.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_protocol import codec
from jobdeck_protocol.errors import WireError
from jobdeck_protocol.workerwords import SPEC_LIMIT_BYTES
from jobdeck_server.core.errors import BadRequestError, TooLargeError
from jobdeck_server.core.programs import check_program, check_script
from jobdeck_server.core.requests import JobRequest, StepRequest, check_folders, plan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job, Step
    from jobdeck_server.settings import Settings

__all__ = ["Order", "order_of", "parse_order", "plan_order"]

_VERSION = 1
_SCRIPTS = "scheduler"  # the API whose jobs are scripts of the worker's own folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job as its worker hears of it.

    Attributes:
        steps: As the client asked for them.
        bundle: Hash of the blob that brings files and commands, None for a job that is a command.
        script: Its one step is a command with a file of the worker's folder of scripts (the scheduler API).
        limits: What goes into the specification as it is.
        standard_env: See ``JobRequest``.
        stdin: See ``JobRequest``.
    """

    steps: tuple[StepRequest, ...]
    bundle: str | None
    script: bool
    limits: Mapping[str, Any]
    standard_env: bool
    stdin: bool


_LIMITS = {
    "linger_s": (int, float),
    "grace_s": (int, float),
    "time_limit_s": (int, float, type(None)),
    "output_limit_bytes": (int,),
    "index_limit_bytes": (int,),
    "on_limit": (str,),
    "order": (str,),
}


def order_of(job: Job, spec: Mapping[str, Any]) -> bytes:
    """A job as an order.

    Args:
        job: Its record.
        spec: Its specification for this machine, as ``requests.plan`` made it.

    Raises:
        TooLargeError: It is longer than an order may be.
    """
    private = spec.get("steps") or ()
    steps = job.steps if private else ()  # what a bundle runs, its worker has told, and needs not be told
    wire = {
        "version": _VERSION,
        "steps": [_step_map(step, ran["env"]) for step, ran in zip(steps, private, strict=True)],
        "bundle": job.bundle,
        "script": job.dialect == _SCRIPTS,
        "standard_env": bool(spec.get("standard_env")),
        "stdin": job.stdin,
        **{name: spec[name] for name in _LIMITS if name in spec},
    }
    try:
        return codec.encode(wire, limit_bytes=SPEC_LIMIT_BYTES)
    except WireError as error:
        raise TooLargeError("A job for another machine", SPEC_LIMIT_BYTES) from error


def parse_order(data: bytes) -> Order:
    """The order that came.

    Raises:
        BadRequestError: It is none, or one of a later version.
    """
    try:
        wire = codec.decode(data, limit_bytes=SPEC_LIMIT_BYTES)
        if wire.get("version") != _VERSION:
            raise BadRequestError(f"this worker knows orders of version {_VERSION}, not {wire.get('version')!r:.20}")
        for name, types in _LIMITS.items():
            if name in wire and (not isinstance(wire[name], types) or isinstance(wire[name], bool)):
                raise TypeError(name)
        bundle = wire.get("bundle")
        if not isinstance(bundle, str | None):
            raise TypeError("bundle")
        return Order(
            steps=tuple(_step_of(step) for step in wire["steps"]),
            bundle=bundle,
            script=bool(wire.get("script")),
            limits={name: wire[name] for name in _LIMITS if name in wire},
            standard_env=bool(wire.get("standard_env")),
            stdin=bool(wire.get("stdin")),
        )
    except (WireError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise BadRequestError(f"the order cannot be read: {error}") from error


def plan_order(data: bytes, settings: Settings, *, job_id: str) -> dict[str, Any]:
    """The specification of an order for this machine. Looks at folders and programs, and so blocks.

    Args:
        data: As it came.
        settings: Of this machine.
        job_id: Whose it is.

    Raises:
        BadRequestError, TooLargeError: It cannot be run here, or may not be; the words are for who has sent it.
    """
    order = parse_order(data)
    if order.script:
        order = _script(order, settings)
    request = JobRequest(
        dialect="worker", steps=order.steps, bundle=order.bundle, standard_env=order.standard_env, stdin=order.stdin
    )
    _, spec = plan(request, settings, job_id=job_id, now_us=0)
    check_folders(request, settings)
    return {**spec, **order.limits}


def _script(order: Order, settings: Settings) -> Order:
    """The order with its folder, if its command can be run here and may be."""
    if len(order.steps) != 1 or order.steps[0].argv is None or len(order.steps[0].argv) != 2:
        raise BadRequestError("a script is a command with one argument")
    (command, path) = order.steps[0].argv
    folder = settings.scripts_dir or settings.work_root or settings.start_dir
    if settings.only_scripts:
        check_script(command, path, commands=settings.script_commands, folder=folder)
    check_program(command, search=settings.default_path, folder=folder)
    step = StepRequest(argv=(command, path), cwd=settings.scripts_dir)
    return Order(
        steps=(step,), bundle=None, script=True, limits=order.limits, standard_env=order.standard_env, stdin=order.stdin
    )


def _step_map(step: Step, env: Mapping[str, str]) -> dict[str, Any]:
    return {
        "command_line": None if step.command_line is None else _bytes(step.command_line),
        "argv": None if step.argv is None else [_bytes(word) for word in step.argv],
        "env": [[_bytes(name), _bytes(env[name])] for name in step.env_names],
        "cwd": None if step.cwd is None else _bytes(step.cwd),
    }


def _step_of(wire: Mapping[str, Any]) -> StepRequest:
    line, argv, cwd = wire.get("command_line"), wire.get("argv"), wire.get("cwd")
    return StepRequest(
        command_line=None if line is None else _text(line),
        argv=None if argv is None else tuple(_text(word) for word in argv),
        env={_text(name): _text(value) for name, value in wire.get("env", ())},
        cwd=None if cwd is None else _text(cwd),
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    if not isinstance(data, bytes):
        raise TypeError("words must be bytes")
    return data.decode("utf-8", "surrogateescape")
