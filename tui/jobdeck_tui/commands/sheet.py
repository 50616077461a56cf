"""All that is known of one job, as lines for a person. Pure."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState, time_text
from jobdeck_tui.terminal import shown
from jobdeck_tui.words import age, bytes_text, ending, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from jobdeck_protocol.job import Job, Step

__all__ = ["facts", "sheet"]

_NAME_WIDTH = 10
_NAMES_LIMIT = 8


def sheet(job: Job, *, now_us: int) -> list[str]:
    """Lines ``name      value``; what is not known, or as usual, is left out. Every value is safe for a terminal."""
    return [f"{name:<{_NAME_WIDTH}}{shown(value)}" for name, value in facts(job, now_us)]


def facts(job: Job, now_us: int, *, names_limit: int = _NAMES_LIMIT) -> Iterator[tuple[str, str]]:
    """Names and values, foreign text as it came; of more than ``names_limit`` variables only the number."""
    yield "id", job.id
    yield "state", _state(job)
    if job.error:
        yield "error", job.error
    if job.note:
        yield "note", job.note
    if not job.ended and (job.progress is not None or job.progress_text):
        part = "" if job.progress is None else f"{int(job.progress * 100)} %"
        yield "progress", " ".join(filter(None, (part, job.progress_text)))
    yield from _steps(job, names_limit)
    if job.labels:
        yield "labels", ", ".join(job.labels)
    yield "made by", job.dialect + (f", as {job.key}" if job.key else "")
    yield "runs on", job.engine + (f", {job.worker}" if job.worker else "")
    if job.worker_labels:
        yield "needs", f"a worker with labels {', '.join(job.worker_labels)}"
    yield from _times(job, now_us)
    yield from _limits(job)
    yield "output", _output(job)
    for name, value in job.results.items():
        yield "result", f"{name}: {value}"


def _state(job: Job) -> str:
    words = job.state.value
    if job.ended:
        end = ending(job)
        words += f", exit code {end}" if end.isdecimal() else f", {end}"
    elif job.stop_requested:
        words += ", being stopped"
    flags = [word for word, on in (("held", job.held), ("worker unreachable", job.unreachable)) if on]
    return ", ".join([words, *flags])


def _steps(job: Job, names_limit: int) -> Iterator[tuple[str, str]]:
    if job.bundle is not None:
        yield "bundle", job.bundle
    if job.main_class is not None:
        yield "class", job.main_class
        yield "packages", ", ".join(job.packages)
        yield "context", job.context or ""
    elif job.hosts_context:
        yield "context", f"{job.context}, whose process it is" if job.context else "none yet: it is ready for one"
    for number, step in enumerate(job.steps):
        mark = "" if len(job.steps) == 1 else f"{number + 1} of {len(job.steps)}: "
        if job.step == number and len(job.steps) > 1:
            mark = "* " + mark
        yield "command", mark + _command(step)
        if step.cwd is not None:
            yield "folder", step.cwd
        if 0 < len(step.env_names) <= names_limit:
            yield "variables", " ".join(step.env_names)
        elif step.env_names:
            yield "variables", f"{len(step.env_names)}; their names are in --json"


def _command(step: Step) -> str:
    return step.command_line if step.command_line is not None else shlex.join(step.argv or ())


def _times(job: Job, now_us: int) -> Iterator[tuple[str, str]]:
    for name, moment in (("created", job.created_us), ("started", job.started_us), ("finished", job.finished_us)):
        if moment is not None:
            yield name, f"{time_text(moment)}  ({age(moment, now_us)} ago)"
    if job.started_us is not None:
        took_s = ((job.finished_us or now_us) - job.started_us) / 1e6
        yield "took" if job.ended else "so far", span(took_s)


def _limits(job: Job) -> Iterator[tuple[str, str]]:
    if job.time_limit_s is not None:
        yield "limit", f"{job.time_limit_s:g} s"
    if job.attempt > 1:
        yield "attempt", str(job.attempt)
    if job.rerun_of is not None:
        yield "repeats", job.rerun_of


def _output(job: Job) -> str:
    if job.output_removed:
        return "removed"
    if not job.ended and job.state is not JobState.LOST:
        return f"jobdeck attach {job.id[:8]}"
    words = bytes_text(job.output_bytes)
    return words + (f", and {bytes_text(job.dropped_bytes)} more over the limit" if job.dropped_bytes else "")
