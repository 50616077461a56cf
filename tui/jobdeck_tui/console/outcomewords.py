"""What became of a class out of a package, as lines for people: why there is no result, or what went wrong. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState
from jobdeck_tui.sanitise import clean_line

if TYPE_CHECKING:
    from jobdeck_client import ClassOutcome
    from jobdeck_protocol.job import Job

    Line = tuple[str, str]
    """Text that is safe for a terminal, and a style of the theme, empty for none."""

__all__ = ["failure_lines", "progress_bar", "progress_words", "waiting_lines"]

_BAR_CELLS = 30
_TEXT_LIMIT_COUNT = 1000
"""Characters that are looked at; no terminal is as wide."""
_WRONG, _NAME = "bold $text-error", "dim"


def progress_bar(fraction: float, cells: int = _BAR_CELLS) -> str:
    """How far it has come: full only at the end, empty only at the beginning."""
    fraction = max(0.0, min(1.0, fraction))
    full = round(fraction * cells)
    if 0 < fraction < 1:
        full = min(max(full, 1), cells - 1)
    return "█" * full + "░" * (cells - full)


def progress_words(job: Job, cells: int) -> str:
    """How far a job that runs says it has come; safe for a terminal, '' if it says nothing.

    Args:
        job: Its record.
        cells: Of a bar before it; 0 for none.
    """
    if job.ended:
        return ""
    known = job.progress is not None
    bar = progress_bar(job.progress or 0.0, cells) if known and cells else ""
    part = f"{int((job.progress or 0.0) * 100)} %" if known else ""
    return " ".join(filter(None, (bar, part, clean_line((job.progress_text or "")[:_TEXT_LIMIT_COUNT]))))


def waiting_lines(job: Job | None) -> list[Line]:
    """Why there is no result yet; ``job`` is None for one that was removed."""
    if job is None:
        return [("The job was removed.", "")]
    if job.state in (JobState.QUEUED, JobState.STARTING):
        note = f"It waits: {clean_line(job.note)}." if job.note else f"It is {job.state.value}."
        return [("The job has not run yet.", ""), (note, _NAME)]
    lines = [("The job still runs; its result is there when it has ended.", "")]
    if job.progress is not None:
        bar = f"{progress_bar(job.progress)} {int(job.progress * 100):3d} %"
        lines += [("", ""), (bar, "$text-primary")]
    if job.progress_text:
        lines.append((clean_line(job.progress_text), _NAME))
    return lines


def failure_lines(outcome: ClassOutcome, job: Job) -> list[Line]:
    """What went wrong: the message, or the problems; the class of the exception, the stack."""
    lines: list[Line] = []
    if outcome.problems:
        lines.append(("The job has refused its configuration:", _WRONG))
        for each in outcome.problems:
            first, *rest = _lines(each) or [""]
            lines += [(f"  ✗ {first}", ""), *((f"    {line}", "") for line in rest)]
    elif outcome.message is not None:
        lines += [(line, _WRONG) for line in _lines(outcome.message) or ["(no message)"]]
    else:
        lines.append((_no_result(outcome, job), ""))
    if outcome.error_class:
        lines += [("", ""), (f"class  {clean_line(outcome.error_class)}", _NAME)]
    if outcome.stack.strip():
        lines += [("", ""), ("stack", _NAME), *((line, "") for line in _lines(outcome.stack))]
    return lines


def _no_result(outcome: ClassOutcome, job: Job) -> str:
    if job.state is JobState.LOST:
        return "Nobody knows how the job ended: it left no result."
    if job.state is JobState.STOPPED:
        return "The job was stopped: it left no result."
    return "The job has ended well, and returned nothing." if outcome.kind == "finished" else "It left no result."


def _lines(text: str) -> list[str]:
    return [clean_line(line) for line in text.expandtabs(4).splitlines()]
