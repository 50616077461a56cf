"""Bodies and queries of the native API, turned into what the core asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jobdeck_protocol.job import JobState, time_us
from jobdeck_server.core.errors import BadRequestError, TooLargeError
from jobdeck_server.core.listing import JobFilter
from jobdeck_server.core.requests import Idempotency, JobRequest, StepRequest
from jobdeck_server.dialects import parse

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.settings import Settings

T = TypeVar("T")
_JOB_FIELDS = frozenset(
    "command argv steps env cwd worker worker_labels labels time_limit_s linger_s grace_s stdin on_limit order".split()  # noqa: SIM905
)
_STEP_FIELDS = frozenset({"command", "argv", "env", "cwd"})


def job_request(value: object) -> JobRequest:
    """What the body of ``POST /v1/jobs`` asks to be run.

    ``env`` and ``cwd`` beside ``steps`` hold for each step that does not say otherwise (its ``env`` is added to it).
    ``worker`` stands in the request as the client wrote it.

    Raises:
        BadRequestError: A field is unknown, missing or of the wrong type.
    """
    fields = _fields(value, _JOB_FIELDS, "The body")
    env = _environment(fields)
    cwd = typed(fields, "cwd", str)
    if "steps" in fields:
        if "command" in fields or "argv" in fields:
            raise BadRequestError("Give one of command, argv and steps.", field="steps")
        steps = tuple(_step(step, env, cwd) for step in typed(fields, "steps", list) or ())
    else:
        steps = (_step({name: fields[name] for name in ("command", "argv") if name in fields}, env, cwd),)
    return JobRequest(
        dialect="v1",
        steps=steps,
        worker=typed(fields, "worker", str),
        worker_labels=strings(fields, "worker_labels"),
        labels=strings(fields, "labels"),
        stdin=bool(typed(fields, "stdin", bool)),
        time_limit_s=_seconds(fields, "time_limit_s"),
        linger_s=_seconds(fields, "linger_s"),
        grace_s=_seconds(fields, "grace_s"),
        on_limit=typed(fields, "on_limit", str) or "drop",
        order=typed(fields, "order", str) or "exact",
    )


def idempotency(key: str | None, token_id: str, digest: bytes, settings: Settings) -> Idempotency | None:
    """The client's key, if it sent one.

    Raises:
        BadRequestError: It is empty.
        TooLargeError: It is too long.
    """
    if key is None:
        return None
    if not key:
        raise BadRequestError("Idempotency-Key is empty.", field="Idempotency-Key")
    if len(key.encode(errors="replace")) > settings.idempotency_key_limit_bytes:
        raise TooLargeError("Idempotency-Key", settings.idempotency_key_limit_bytes)
    return Idempotency(token_id=token_id, key=key, digest=digest)


def job_filter(query: Mapping[str, str], settings: Settings, *, workers: tuple[str, ...] = ()) -> JobFilter:
    """Which jobs a query asks for; ``workers`` is what its ``worker`` means here.

    Raises:
        BadRequestError: A word in it is not known.
    """
    try:
        states = tuple(JobState(word) for word in query.get("state", "").split(",") if word)
    except ValueError as error:
        known = ", ".join(JobState)
        raise BadRequestError(f"{error}; the states are {known}.", field="state") from error
    try:
        since_us = time_us(query["since"].replace(" ", "+")) if "since" in query else None
    except (ValueError, OverflowError) as error:
        raise BadRequestError("since must be a time such as 2026-01-31T12:00:00Z.", field="since") from error
    return JobFilter(
        states=states,
        dialect=query.get("dialect") or None,
        label=query.get("label") or None,
        workers=workers,
        context=query.get("context") or None,
        text=query.get("text") or None,
        since_us=since_us,
        sort=query.get("sort", "-created"),
        limit_count=parse.number_argument(
            query, "limit", default=settings.page_default_count, limit=settings.page_limit_count
        ),
        cursor=query.get("cursor") or None,
        after=query.get("after") or None,
    )


def fields_of(value: object, allowed: frozenset[str]) -> dict[str, object]:
    """A small body's fields; an empty body has none.

    Raises:
        BadRequestError: It is no object, or has a field that is not known.
    """
    return _fields(value, allowed, "The body")


def seconds_of(fields: Mapping[str, object], name: str) -> float | None:
    """A field in seconds, None if it is missing.

    Raises:
        BadRequestError: It is no number.
    """
    return _seconds(fields, name)


def _step(value: object, env: Mapping[str, str], cwd: str | None) -> StepRequest:
    fields = _fields(value, _STEP_FIELDS, "A step")
    argv = strings(fields, "argv") if "argv" in fields else None
    return StepRequest(
        command_line=typed(fields, "command", str),
        argv=argv,
        env={**env, **_environment(fields)},
        cwd=typed(fields, "cwd", str) or cwd,
    )


def _fields(value: object, allowed: frozenset[str], what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadRequestError(f"{what} must be a JSON object.")
    for name in value:
        if name not in allowed:
            raise BadRequestError(f"{what} has a field that is not known: {name!r}.", field=name)
    return value


def typed(fields: Mapping[str, object], name: str, kind: type[T]) -> T | None:
    """A field, None if it is missing or null.

    Raises:
        BadRequestError: It is of another type.
    """
    value = fields.get(name)
    if value is not None and not isinstance(value, kind):
        words = {str: "a string", bool: "true or false", list: "a list", dict: "an object"}
        raise BadRequestError(f"{name} must be {words[kind]}.", field=name)
    return value


def strings(fields: Mapping[str, object], name: str) -> tuple[str, ...]:
    """A list of texts, empty if it is missing.

    Raises:
        BadRequestError: It is something else.
    """
    values: list[object] = typed(fields, name, list) or []
    if not all(isinstance(value, str) for value in values):
        raise BadRequestError(f"{name} must be a list of strings.", field=name)
    return tuple(str(value) for value in values)


def _environment(fields: Mapping[str, object]) -> dict[str, str]:
    env: dict[str, object] = typed(fields, "env", dict) or {}
    if not all(isinstance(value, str) for value in env.values()):
        raise BadRequestError("env must be an object of strings.", field="env")
    return {name: str(value) for name, value in env.items()}


def _seconds(fields: Mapping[str, object], name: str) -> float | None:
    value = fields.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRequestError(f"{name} must be a number of seconds.", field=name)
    try:
        return float(value)
    except OverflowError as error:
        raise BadRequestError(f"{name} is too large.", field=name) from error
