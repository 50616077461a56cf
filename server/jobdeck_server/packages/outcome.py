"""What became of a job out of a package: what its interpreter has left, and what the keeper saw, make one verdict.

The job is foreign code in the very process that leaves these files (see ``jobpath/sparkjobserver/_run``), under the
server's own user. So none of them is trusted further than this: it is a plain file, it is not too large, it is what it
must be; then its words are the job's own words about itself. What happened is the keeper's to tell: a job has finished
if its program ended with 0 and says so, and it failed as it says if it ended with the code that belongs to that. In
all other cases the code or signal is the truth.

A result is the job's: one that lies can make any, and a stream may be anything in the first place. A small one that is
said to be JSON is looked at; a large one is taken as it is.

Everything but ``judge`` blocks: for threads.
"""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jobdeck_server.core.verdict import signal_name

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from jobdeck_server.engines.base import Ended

# What may come of a job by its own words, and the exit code that belongs to it: the same table as in the job's runner.
EXIT_CODES = {
    "finished": 0,
    "validation": 1,
    "class_missing": 1,
    "load_error": 1,
    "context_error": 2,
    "context_lost": 2,
    "validate_raised": 3,
    "run_raised": 4,
    "result_error": 4,
    "package_error": 5,
}
# What else there is, by the keeper's.
EXITED, SIGNALLED, LIMITED, STOPPED, NOT_STARTED, LOST = (
    "exited",
    "signalled",
    "limited",
    "stopped",
    "not_started",
    "lost",
)
FINISHED, VALIDATION = "finished", "validation"
JSON, STREAM, NONE = "json", "stream", "none"
CHECKED_BYTES = 128 * 1024
"""A result of no more than this that is said to be JSON is looked at."""

_CLASS = "java.lang.Exception"  # what the original says of a Python job that ended without a word
_NO_OUTPUT = "Python job ran successfully but failed to write any jobOutput"


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeLimits:
    """Of what a job may tell of itself; the runner keeps within them.

    Attributes:
        file_bytes: Of each file.
        message_chars: Of the message of an exception.
        stack_chars: Of where it came from.
        problem_count: Of a refusal.
        problem_chars: Of each.
    """

    file_bytes: int = 8 * 1024 * 1024
    message_chars: int = 16 * 1024
    stack_chars: int = 64 * 1024
    problem_count: int = 100
    problem_chars: int = 4 * 1024


DEFAULT = OutcomeLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """An exception as the API tells it: its message, its class (Python's, with its module) and its traceback."""

    message: str
    error_class: str
    stack: str = ""

    def to_wire(self) -> dict[str, str]:
        """The exception object of the API."""
        return {"message": self.message, "errorClass": self.error_class, "stack": self.stack}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job; every field is well-formed.

    Attributes:
        kind: One of ``EXIT_CODES``, or ``exited``, ``signalled``, ``limited``, ``stopped``, ``not_started``, ``lost``.
        error: Of all but ``finished`` and ``stopped``.
        problems: Why ``validate`` has refused it, for ``validation``: one at least.
        result_kind: ``json`` and ``stream`` have a file ``result``; ``none`` has none.
    """

    kind: str
    error: JobError | None = None
    problems: tuple[str, ...] = ()
    result_kind: str = NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a job says it has come: from 0 to 1, None if it does not know; and a text, which may be ''."""

    fraction: float | None
    text: str


def read_told(folder: Path, limits: OutcomeLimits = DEFAULT) -> Outcome | None:
    """What a job that has ended says came of it; None if it says nothing that can be understood."""
    found = _read(folder / "outcome.json", limits.file_bytes)
    kind = None if found is None else found.get("kind")
    if found is None or not isinstance(kind, str) or kind not in EXIT_CODES:
        return None
    problems = _texts(found.get("problems"), limits)
    if kind == FINISHED:
        result = found.get("result")
        result_kind = result.get("kind") if isinstance(result, dict) else None
        return None if result_kind not in (JSON, STREAM, NONE) else Outcome(kind=kind, result_kind=result_kind)
    error = _error(found.get("error"), limits)
    if error is None or (kind == VALIDATION) != bool(problems):
        return None
    return Outcome(kind=kind, error=error, problems=problems)


def read_validated(folder: Path, limits: OutcomeLimits = DEFAULT) -> tuple[str, ...] | None:
    """What ``validate`` has said of a job that may still run: no problems, or these; None if nothing yet."""
    found = _read(folder / "validated.json", limits.file_bytes)
    if found is None:
        return None
    problems = _texts(found.get("problems"), limits)
    return problems if problems or found.get("ok") is True else None


def read_progress(folder: Path, limits: OutcomeLimits = DEFAULT) -> Progress | None:
    """How far a job says it has come; None if it says nothing."""
    found = _read(folder / "progress.json", limits.file_bytes)
    if found is None:
        return None
    fraction, text = found.get("fraction"), found.get("text")
    if isinstance(fraction, bool) or not isinstance(fraction, int | float) or not 0 <= fraction <= 1:
        fraction = None
    return Progress(
        fraction=None if fraction is None else float(fraction),
        text=_text(text, limits.message_chars) if isinstance(text, str) else "",
    )


def open_result(folder: Path) -> tuple[int, int]:
    """Open the result of a job that has ended.

    Returns:
        A descriptor, the caller's to close, and the length in bytes; more must not be read, even if there is.

    Raises:
        OSError: There is none, or it is no plain file.
    """
    fd = os.open(folder / "result", os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise OSError("the result is no plain file")
    return fd, found.st_size


def judge(ended: Ended, told: Outcome | None) -> Outcome:
    """The truth. Pure.

    Where it is not ``finished`` and the program still ended with 0, the job has failed all the same: who tells the
    core has to say so.

    Args:
        ended: What the keeper saw.
        told: What the job says.
    """
    plain = _by_keeper(ended)
    if plain is not None:
        return plain
    if told is None or EXIT_CODES[told.kind] != ended.code:
        text = _NO_OUTPUT if ended.code == 0 else f"Python job failed with error code {ended.code}"
        return Outcome(kind=EXITED, error=JobError(message=text, error_class=_CLASS))
    return Outcome(kind=told.kind, error=told.error, problems=told.problems, result_kind=told.result_kind)


def conclude(folder: Path, ended: Ended, limits: OutcomeLimits = DEFAULT) -> Outcome:
    """The truth of a job that has ended, and of its result: one that is said to be there is there.

    Args:
        folder: The job's.
        ended: What the keeper saw.
        limits: Of what is read.
    """
    outcome = judge(ended, read_told(folder, limits))
    if outcome.result_kind == NONE:
        return outcome
    try:
        fd, size_bytes = open_result(folder)
        with os.fdopen(fd, "rb") as file:
            if outcome.result_kind == JSON and size_bytes <= CHECKED_BYTES:
                json.loads(file.read(size_bytes))
    except OSError as error:
        return Outcome(kind="result_error", error=JobError(message=f"The result is gone: {error}", error_class=_CLASS))
    except (ValueError, RecursionError):
        text = "The result is no JSON: something has changed it."
        return Outcome(kind="result_error", error=JobError(message=text, error_class=_CLASS))
    return outcome


def _by_keeper(ended: Ended) -> Outcome | None:
    """The verdict where what the job says does not count."""
    if ended.stop_reason == "requested" or ended.how == "never":
        return Outcome(kind=STOPPED)
    if ended.how == "lost":
        return _failed(LOST, ended.text or "What became of the job is not known")
    if ended.how == "error":
        return _failed(NOT_STARTED, ended.text or "The job could not be started")
    if ended.stop_reason is not None:
        return _failed(LIMITED, f"The job was ended: {ended.stop_reason} reached")
    if ended.signal is not None:
        return _failed(SIGNALLED, f"Python job was ended by {signal_name(ended.signal)}")
    return None


def _failed(kind: str, text: str) -> Outcome:
    return Outcome(kind=kind, error=JobError(message=text, error_class=_CLASS))


def _read(path: Path, limit_bytes: int) -> Mapping[str, Any] | None:
    """The object in a plain file that is not too large; None if there is no such thing."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if not stat.S_ISREG(os.fstat(fd).st_mode):
                return None
            data = file.read(limit_bytes + 1)
        found = json.loads(data) if len(data) <= limit_bytes else None
    except (OSError, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _error(value: object, limits: OutcomeLimits) -> JobError | None:
    if not isinstance(value, dict):
        return None
    message, error_class, stack = value.get("message"), value.get("errorClass"), value.get("stack")
    if not isinstance(message, str) or not isinstance(error_class, str) or not isinstance(stack, str):
        return None
    return JobError(
        message=_text(message, limits.message_chars),
        error_class=_text(error_class, limits.message_chars),
        stack=_text(stack, limits.stack_chars),
    )


def _texts(value: object, limits: OutcomeLimits) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        return ()
    return tuple(_text(each, limits.problem_chars) for each in value[: limits.problem_count])


def _text(value: object, limit_chars: int) -> str:
    """A text that is not too long, and that UTF-8 can tell."""
    return str(value)[:limit_chars].encode("utf-8", "backslashreplace").decode()
