"""What the messages of all channels have in common: how they become maps, checks, a job's record within bounds.

A message is a frozen dataclass that validates itself in its constructor, so a message that exists is legal. The checks
raise ``LocalWireError``; where the values came from the other end, ``parse`` turns that into ``RemoteWireError``.
A message becomes a map field by field; a field that is no plain value says by ``wired`` how it goes over the wire.
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, fields, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from jobdeck_protocol.codec import mended
from jobdeck_protocol.errors import LocalWireError, RemoteWireError
from jobdeck_protocol.job import Job, Step, from_wire, to_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

OFFSET_LIMIT = 1 << 62
"""No offset, size or number on the wire reaches this; sums of two of them stay within 63 bits."""

TEXT_LIMIT_COUNT = 64 * 1024
"""Characters of any text field but those of a job's record."""

JOB_LIMIT_BYTES = 512 * 1024
"""A job's record on the wire has at most about this size; a longer one is cut (see ``job_map``)."""

_CUT_COUNT = 16 * 1024

# Types of a record's fields, where ``from_wire`` takes what comes. bool is an int, so it is named where it may stand.
_NUMBER: tuple[type, ...] = (int, float)
_OPTIONAL_TEXT: tuple[type, ...] = (str, type(None))
_OPTIONAL_INT: tuple[type, ...] = (int, type(None))
_JOB_TYPES: Mapping[str, tuple[type, ...]] = {
    "id": (str,),
    "dialect": (str,),
    "key": _OPTIONAL_TEXT,
    "bundle": _OPTIONAL_TEXT,
    "main_class": _OPTIONAL_TEXT,
    "context": _OPTIONAL_TEXT,
    "progress": (*_NUMBER, type(None)),
    "progress_text": _OPTIONAL_TEXT,
    "stdin": (bool,),
    "time_limit_s": (*_NUMBER, type(None)),
    "linger_s": _NUMBER,
    "grace_s": _NUMBER,
    "engine": (str,),
    "worker": _OPTIONAL_TEXT,
    "attempt": (int,),
    "rerun_of": _OPTIONAL_TEXT,
    "exit_code": _OPTIONAL_INT,
    "signal": _OPTIONAL_INT,
    "error": _OPTIONAL_TEXT,
    "step": _OPTIONAL_INT,
    "stop_requested": (bool,),
    "output_bytes": (int,),
    "dropped_bytes": (int,),
    "output_removed": (bool,),
    "note": _OPTIONAL_TEXT,
    "held": (bool,),
    "unreachable": (bool,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """Base of all messages: turns itself into a map and back, field by field."""

    kind: ClassVar[str]

    def to_map(self) -> dict[str, Any]:
        """The map that goes over the wire, ``kind`` first, then the fields in their order."""
        wire: dict[str, Any] = {"kind": self.kind}
        for each in fields(self):
            value = getattr(self, each.name)
            out = each.metadata.get("out")
            wire[each.metadata.get("name", each.name)] = value if out is None or value is None else out(value)
        return wire

    @classmethod
    def from_map(cls, wire: Mapping[str, Any]) -> Self:
        """The message that a map tells; keys that are no field are ignored.

        Raises:
            LocalWireError: A field is missing or not what it must be.
        """
        values: dict[str, Any] = {}
        for each in fields(cls):
            name = each.metadata.get("name", each.name)
            if name in wire:
                value, into = wire[name], each.metadata.get("into")
                values[each.name] = value if into is None or value is None else into(value)
            else:
                check(each.default is not MISSING, f"{cls.kind} needs {name}")
        return cls(**values)


M = TypeVar("M", bound=Message)


def parse(kinds: Mapping[str, type[M]], wire: Mapping[str, Any]) -> M | None:
    """The message of one of these kinds that a map tells, None for a kind that is not known.

    Raises:
        RemoteWireError: It has no kind, or its fields are not what they must be; close code 1007.
    """
    kind = wire.get("kind")
    if not isinstance(kind, str):
        raise RemoteWireError("a message needs a kind")
    known = kinds.get(kind)
    if known is None:
        return None
    try:
        return known.from_map(wire)
    except LocalWireError as error:
        raise RemoteWireError(f"{kind}: {error}") from error


def wired(
    *, out: Callable[[Any], Any] | None = None, into: Callable[[Any], Any] | None = None, name: str | None = None
) -> dict[str, Any]:
    """Metadata of a field that goes over the wire in another form than its own; None stays None.

    Args:
        out: From the field's value to the wire's.
        into: From the wire's value, which may be anything, to the field's; raises LocalWireError.
        name: Its key on the wire, where that is another than the field's name.
    """
    given = {"out": out, "into": into, "name": name}
    return {key: value for key, value in given.items() if value is not None}


W = TypeVar("W", bound=StrEnum)


def word_of(words: type[W], otherwise: W | None = None) -> Callable[[object], W]:
    """A reader of one of these words; any other text is told as ``otherwise``, or an error without one."""
    known: dict[str, W] = {word.value: word for word in words}

    def read(value: object) -> W:
        check(isinstance(value, str), f"{value!r:.40} is no word")
        word = known.get(str(value), otherwise)
        check(word is not None, f"{value!r:.40} is none of {', '.join(known)}")
        assert word is not None
        return word

    return read


def check(condition: bool, text: str) -> None:
    """Raise ``LocalWireError`` with ``text`` unless the condition holds."""
    if not condition:
        raise LocalWireError(text)


def check_number(name: str, value: object, *, low: int = 0, high: int = OFFSET_LIMIT) -> None:
    """An integer (no bool) from ``low`` to ``high``, both included."""
    check(type(value) is int and low <= value <= high, f"{name} must be an integer from {low} to {high}")


def check_text(name: str, value: object, *, limit_count: int = TEXT_LIMIT_COUNT) -> None:
    """A text of at most ``limit_count`` characters."""
    check(isinstance(value, str) and len(value) <= limit_count, f"{name} must be a text of at most {limit_count}")


def job_of(wire: object) -> Job:
    """The job that a message's map tells; unknown fields are ignored.

    Raises:
        LocalWireError: It is no job's record.
    """
    check(isinstance(wire, dict), "job must be a map")
    assert isinstance(wire, dict)
    try:
        job = from_wire(wire)
    except (KeyError, ValueError, TypeError, AttributeError, OverflowError) as error:
        raise LocalWireError("job is not a job's record") from error
    for name, types in _JOB_TYPES.items():
        check(isinstance(getattr(job, name), types), f"job: {name} has the wrong type")
    texts = [*job.labels, *job.worker_labels, *job.packages, *(text for step in job.steps for text in _texts(step))]
    check(all(isinstance(text, str) for text in texts), "job: labels, packages and steps hold texts")
    return job


def job_map(job: Job) -> dict[str, Any]:
    """A job's record for a message: ``to_wire``, with what CBOR cannot tell mended.

    A record that would not fit a message (a command may have megabytes) is cut: one step with the head of the command
    line is left, results are left out, and ``trimmed`` says so. ``GET /v1/jobs/{id}`` tells the whole.
    """
    trimmed = _weight_bytes(job) > JOB_LIMIT_BYTES
    wire = to_wire(_cut(job) if trimmed else job)
    if job.results and not trimmed:
        wire["results"] = mended(wire["results"])
    return {**wire, "trimmed": True} if trimmed else wire


def fitted(wire: Mapping[str, Any]) -> Mapping[str, Any]:
    """A record that is a map already, cut and mended as ``job_map`` does; as it is where nothing is to be done."""
    if not wire.get("results") and len(repr(wire)) < JOB_LIMIT_BYTES // 4:
        return wire
    return job_map(from_wire(wire))


def _texts(step: Step) -> list[str]:
    return [step.command_line or "", *(step.argv or ()), *step.env_names, step.cwd or ""]


def _loose_texts(job: Job) -> list[tuple[str, str | None]]:
    """Texts of any length that stand in the record by themselves, with their names."""
    return [(name, getattr(job, name)) for name in ("main_class", "context", "progress_text", "error", "note")]


def _weight_bytes(job: Job) -> int:
    """About how long the record is: an upper bound, but for a small constant."""
    texts = [*job.labels, *job.worker_labels, *job.packages, *(text or "" for _, text in _loose_texts(job))]
    for step in job.steps:
        texts += _texts(step)
    # The command stands in the record twice, once as shell words with quotes around them.
    weight = sum(2 * len(text.encode("utf-8", "replace")) + 8 for text in texts)
    return weight + (len(repr(dict(job.results)).encode("utf-8", "replace")) if job.results else 0)


def _cut(job: Job) -> Job:
    loose: dict[str, Any] = {name: None if text is None else _head(text) for name, text in _loose_texts(job)}
    return replace(
        job,
        steps=(Step(command_line=_head(job.command)),),
        labels=tuple(_head(label) for label in job.labels[:16]),
        worker_labels=tuple(_head(label) for label in job.worker_labels[:16]),
        packages=tuple(_head(name) for name in job.packages[:16]),
        **loose,
        results={},
    )


def _head(text: str) -> str:
    return text if len(text) <= _CUT_COUNT else text[: _CUT_COUNT - 1] + "\N{HORIZONTAL ELLIPSIS}"
