"""The messages of the worker channel by which the worker speaks of one job; see ``worker`` for the rules.

state       it was decided that the job runs; what is known of it now (the newest counts)
ended       how it ended, and the final sizes of its files
piece       bytes of its two files
gone        what is not there yet of its files does not exist any more
signalled   whether the job could be sent a signal
input_ack   so much of standard input is kept
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from jobdeck_protocol.job import Step
from jobdeck_protocol.message import Message, check, check_number, check_text, wired, word_of
from jobdeck_protocol.workerwords import (
    NAME_LIMIT_COUNT,
    PIECE_LIMIT_BYTES,
    RECORD_BYTES,
    RESULT_LIMIT_COUNT,
    STEP_LIMIT_COUNT,
    WORD_LIMIT_COUNT,
    How,
    check_data,
    check_id,
    check_index_size,
    check_optional_number,
    check_optional_text,
)


def steps_list(steps: tuple[Step, ...]) -> list[dict[str, Any]]:
    """Steps as they go over the wire."""
    return [
        {
            "command_line": step.command_line,
            "argv": None if step.argv is None else list(step.argv),
            "env_names": list(step.env_names),
            "cwd": step.cwd,
        }
        for step in steps
    ]


def steps_of(wire: object) -> tuple[Step, ...]:
    """The inverse of ``steps_list``; unknown fields are ignored."""
    check(isinstance(wire, list) and len(wire) <= STEP_LIMIT_COUNT, f"plan must be at most {STEP_LIMIT_COUNT} steps")
    assert isinstance(wire, list)
    return tuple(_step_of(step) for step in wire)


def _step_of(wire: object) -> Step:
    check(isinstance(wire, dict), "a step must be a map")
    assert isinstance(wire, dict)
    for name in ("command_line", "cwd"):
        check(isinstance(wire.get(name), str | None), f"a step's {name} must be a text")
    argv, names = wire.get("argv"), wire.get("env_names", [])
    check(argv is None or _texts(argv), "a step's argv must be texts")
    check(_texts(names), "a step's env_names must be texts")
    return Step(
        command_line=wire.get("command_line"),
        argv=None if argv is None else tuple(argv),
        env_names=tuple(names),
        cwd=wire.get("cwd"),
    )


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(text, str) for text in value)


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Message):
    """It was decided that the job runs; all that is known of it now.

    Attributes:
        job_id: Whose state it is.
        started_us: When its program was started, by the worker's clock; None before.
        step: Index of the step that runs.
        note: What is the matter right now, None when nothing is.
        plan: What a bundle has turned out to run; None while that is not known, and for other jobs.
        segment_lines: A bundle's standard output is to be told in segments of so many lines; 0: not by lines.
        segment_interval_ms: And a segment of what there is after so long; 0: not by time.
    """

    kind: ClassVar[str] = "state"
    job_id: str
    started_us: int | None = None
    step: int | None = None
    note: str | None = None
    plan: tuple[Step, ...] | None = field(default=None, metadata=wired(out=steps_list, into=steps_of))
    segment_lines: int = 0
    segment_interval_ms: int = 0

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_optional_number("started_us", self.started_us)
        check_optional_number("step", self.step)
        check_optional_text("note", self.note, limit_count=4096)
        plan = self.plan
        fine = plan is None or (isinstance(plan, tuple) and len(plan) <= STEP_LIMIT_COUNT)
        check(fine and all(isinstance(step, Step) for step in plan or ()), "plan must be steps")
        check_number("segment_lines", self.segment_lines)
        check_number("segment_interval_ms", self.segment_interval_ms)


def _results_of(wire: object) -> dict[str, str]:
    check(isinstance(wire, dict), "results must be a map")
    assert isinstance(wire, dict)
    return wire


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended(Message):
    """The end of a job, final. Times are by the worker's clock.

    Attributes:
        job_id: Whose end it is.
        how: ``exit`` (it ran), ``error`` (it could not be started), ``never`` (it was not started and will not be),
            ``lost`` (what became of it cannot be known).
        code: Exit code of the main process, None if a signal ended it.
        signal: That signal's number, else None.
        core: Whether that signal left a memory image.
        text: The reason for ``error`` and ``lost``.
        stop_reason: Why it was stopped, None if it was not.
        started_us: When it was started, None if it was not.
        finished_us: When it ended.
        output_bytes: Final size of its output.
        runs_bytes: Final size of its index of runs.
        dropped_bytes: Output over the limit, counted and dropped.
        step: The step that ended it.
        cut: Its last output may be missing.
        results: Name to the hash of a blob, uploaded before.
        super_set: Hash of the artifact of all results of a bundle, None where there is none.
    """

    kind: ClassVar[str] = "ended"
    job_id: str
    how: How = field(metadata=wired(out=str, into=word_of(How)))
    code: int | None = None
    signal: int | None = None
    core: bool = False
    text: str | None = None
    stop_reason: str | None = None
    started_us: int | None = None
    finished_us: int
    output_bytes: int = 0
    runs_bytes: int = 0
    dropped_bytes: int = 0
    step: int | None = None
    cut: bool = False
    results: Mapping[str, str] = field(default_factory=dict, metadata=wired(out=dict, into=_results_of))
    super_set: str | None = None

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check(isinstance(self.how, How), "how must be exit, error, never or lost")
        check_optional_number("code", self.code, low=-(1 << 31))
        for name in ("signal", "started_us", "step"):
            check_optional_number(name, getattr(self, name))
        check_optional_text("text", self.text, limit_count=16 * 1024)
        check_optional_text("stop_reason", self.stop_reason, limit_count=WORD_LIMIT_COUNT)
        for name in ("finished_us", "output_bytes", "dropped_bytes"):
            check_number(name, getattr(self, name))
        check_index_size("runs_bytes", self.runs_bytes)
        for name in ("core", "cut"):
            check(isinstance(getattr(self, name), bool), f"{name} must be true or false")
        self._check_results()
        check_optional_text("super_set", self.super_set, limit_count=WORD_LIMIT_COUNT)

    def _check_results(self) -> None:
        fine = isinstance(self.results, Mapping) and len(self.results) <= RESULT_LIMIT_COUNT
        check(fine, f"results must be a map of at most {RESULT_LIMIT_COUNT}")
        for name, blob in self.results.items():
            check_text("a result's name", name, limit_count=NAME_LIMIT_COUNT)
            check_text("a result's hash", blob, limit_count=WORD_LIMIT_COUNT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece(Message):
    """Bytes of a job's two files; those of ``runs`` are to be written first. At most 256 KiB of each.

    No byte of ``output`` comes before the records of ``runs`` that tell of it.
    """

    kind: ClassVar[str] = "piece"
    job_id: str
    runs_offset: int
    runs: bytes
    offset: int
    data: bytes

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_index_size("runs_offset", self.runs_offset)
        check_data("runs", self.runs, limit_bytes=PIECE_LIMIT_BYTES)
        check(len(self.runs) % RECORD_BYTES == 0, f"runs must be whole records of {RECORD_BYTES} bytes")
        check_number("offset", self.offset)
        check_data("data", self.data, limit_bytes=PIECE_LIMIT_BYTES)
        check(self.cost_bytes > 0, "a piece must not be empty")

    @property
    def cost_bytes(self) -> int:
        """How much credit it takes."""
        return len(self.runs) + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gone(Message):
    """What the server does not have yet of the job's files does not exist any more."""

    kind: ClassVar[str] = "gone"
    job_id: str

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signalled(Message):
    """Whether the job could be sent a signal."""

    kind: ClassVar[str] = "signalled"
    number: int
    done: bool

    def __post_init__(self) -> None:
        check_number("number", self.number)
        check(isinstance(self.done, bool), "done must be true or false")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputAck(Message):
    """Standard input below ``upto`` is kept at the worker."""

    kind: ClassVar[str] = "input_ack"
    job_id: str
    upto: int

    def __post_init__(self) -> None:
        check_id("job_id", self.job_id)
        check_number("upto", self.upto)
