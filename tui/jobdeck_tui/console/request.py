"""What the start dialog asks for: a job as typed, read into a request or into words about what is wrong. Pure."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Fields", "StartRequest", "labels_of", "read", "seconds_of"]

_NAME = re.compile(r"[^=\s][^=]*")
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*([smhd]?)")
_UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_COMMAND_LIMIT_BYTES = 128 * 1024 - 1  # the server's own: the kernel's limit of one argument
_LABEL_LIMIT_BYTES = 256
_LABELS_LIMIT_COUNT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Fields:
    """The dialog's fields as they stand, all text.

    Attributes:
        command: A shell line, or with ``plain`` a program and its arguments, quoted as in a shell.
        plain: Run without a shell.
        env: Lines ``NAME=value``.
        cwd: A folder on the server's machine, empty for the server's own.
        labels: Words, between them blanks or commas.
        time_limit: Seconds, or with one of s, m, h, d; empty for none.
        stdin: What the job reads; empty for nothing.
        worker: Name or id of the worker that is to run it; empty for whichever the server takes.
        worker_labels: Labels that its worker must have, as ``labels``.
    """

    command: str = ""
    plain: bool = False
    env: str = ""
    cwd: str = ""
    labels: str = ""
    time_limit: str = ""
    stdin: str = ""
    worker: str = ""
    worker_labels: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StartRequest:
    """A request that can be sent.

    Attributes:
        body: As ``Client.submit`` takes it, and ``POST /v1/jobs`` too.
        stdin: What is written to the job's standard input afterwards, None if it has none.
    """

    body: Mapping[str, Any]
    stdin: bytes | None


def read(fields: Fields) -> StartRequest | dict[str, str]:
    """The request, or what is wrong: the field's name and words for a person."""
    wrong: dict[str, str] = {}
    body: dict[str, Any] = {}

    def take(name: str, key: str, value: object) -> None:
        if isinstance(value, _Wrong):
            wrong[name] = value.words
        elif value:
            body[key] = value

    take("command", "argv" if fields.plain else "command", _command(fields))
    take("env", "env", _env(fields.env))
    cwd = fields.cwd.strip()
    take("cwd", "cwd", _Wrong("begins with /") if cwd and not cwd.startswith("/") else cwd)
    take("labels", "labels", _labels(fields.labels))
    take("time_limit", "time_limit_s", _time_limit(fields.time_limit))
    take("worker", "worker", fields.worker.strip())
    take("worker_labels", "worker_labels", _labels(fields.worker_labels))
    if wrong:
        return wrong
    stdin = fields.stdin.encode("utf-8", "surrogateescape") if fields.stdin else None
    if stdin is not None:
        body["stdin"] = True
    return StartRequest(body=body, stdin=stdin)


def labels_of(text: str) -> list[str]:
    """Labels as typed, no word twice."""
    return list(dict.fromkeys(text.replace(",", " ").split()))


def seconds_of(text: str) -> float | None:
    """``90``, ``90s``, ``1.5m``, ``2h``, ``1d`` in seconds; None if it is none of them."""
    match = _SPAN.fullmatch(text.strip().lower())
    return None if match is None else float(match[1]) * _UNITS_S[match[2]]


@dataclass(frozen=True, slots=True)
class _Wrong:
    words: str


def _command(fields: Fields) -> str | list[str] | _Wrong:
    text = fields.command.strip()
    if not text:
        return _Wrong("what is to run?")
    if "\0" in text:
        return _Wrong("holds a NUL")
    if len(text.encode("utf-8", "surrogateescape")) > _COMMAND_LIMIT_BYTES:
        return _Wrong(f"is longer than {_COMMAND_LIMIT_BYTES} bytes")
    if not fields.plain:
        return text
    try:
        return shlex.split(text)
    except ValueError as error:
        return _Wrong(f"{error}".lower())


def _env(text: str) -> dict[str, str] | _Wrong:
    found: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        name, equals, value = line.partition("=")
        if not equals or _NAME.fullmatch(name) is None:
            return _Wrong(f"line {number} is not NAME=value")
        found[name] = value
    return found


def _labels(text: str) -> list[str] | _Wrong:
    found = labels_of(text)
    if len(found) > _LABELS_LIMIT_COUNT:
        return _Wrong(f"are more than {_LABELS_LIMIT_COUNT}")
    if any(len(label.encode("utf-8", "surrogateescape")) > _LABEL_LIMIT_BYTES for label in found):
        return _Wrong(f"may have {_LABEL_LIMIT_BYTES} bytes each")
    return found


def _time_limit(text: str) -> float | _Wrong | None:
    if not text.strip():
        return None
    return seconds_of(text) or _Wrong("is seconds, or 90s, 15m, 2h, 1d")
