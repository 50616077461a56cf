"""Contexts as lines for a person: the table of ``jobdeck contexts ls``, and all of one. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import time_text
from jobdeck_tui.commands.lines import fact_lines, table_lines
from jobdeck_tui.terminal import shown
from jobdeck_tui.words import age, bytes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobdeck_client import ContextDetails
    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["sheet", "table"]

_ID_LENGTH = 8
_HEAD = ("STATE", "KIND", "MASTER", "JOBS", "WAIT", "MEMORY", "AGE", "NAME")
_OPTIONAL = ("MASTER", "MEMORY")  # left out where no context has any
_FALLING = ("MASTER", "MEMORY", "AGE")  # where there is no room, in this order


def table(contexts: Sequence[ContextInfo], *, now_us: int, limit: int | None) -> list[str]:
    """The table, its head first.

    Args:
        contexts: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: names are cut to the room that is left, and columns left out where there is none.
            None for a pipe: nothing is cut.
    """
    rows = [_HEAD, *(_row(context, now_us) for context in contexts)]
    wanted = [at for at, title in enumerate(_HEAD) if title not in _OPTIONAL or any(row[at] for row in rows[1:])]
    return table_lines([[row[at] for at in wanted] for row in rows], limit=limit, falling=_FALLING)


def sheet(found: ContextDetails, *, now_us: int) -> list[str]:
    """Lines ``name      value``, its settings and its jobs last. Every value is safe for a terminal.

    Args:
        found: What to show.
        now_us: The time, for ages.
    """
    return fact_lines(_facts(found, now_us))


def _facts(found: ContextDetails, now_us: int) -> Iterator[tuple[str, str]]:
    context = found.context
    yield "name", context.name
    yield "state", context.state.value
    yield "kind", context.kind + (", of one job" if context.adhoc else "")
    yield "id", context.id
    yield "made", f"{time_text(context.created_us)}  ({age(context.created_us, now_us)} ago)"
    if context.ended_us is not None:
        yield "ended", f"{time_text(context.ended_us)}  ({age(context.ended_us, now_us)} ago)"
    if context.error is not None:
        yield "error", context.error
    if context.note is not None:
        yield "note", context.note
    if context.python is not None:
        yield "python", context.python
    yield from _process(context)
    yield "jobs", f"{context.running_count} of {context.slots_count} at a time, {context.queued_count} waiting"
    for path, value in _settings(context.settings):
        yield "setting", f"{path} = {value}"
    for job_id in found.jobs:
        yield "job", job_id


def _process(context: ContextInfo) -> Iterator[tuple[str, str]]:
    """Of one that is a process of its own: where it computes, what it holds, how often it was made anew."""
    if context.master is not None:
        yield "master", context.master
    if context.application is not None:
        yield "app", context.application
    if context.ui is not None:
        yield "Spark UI", context.ui
    if context.memory_bytes is not None:
        yield "memory", bytes_text(context.memory_bytes)
    if context.restarts_count:
        yield "restarts", str(context.restarts_count)
    if context.process is not None:
        yield "process", f"{context.process}  (jobdeck attach {context.process[:_ID_LENGTH]} shows its log)"


def _settings(tree: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, str]]:
    """Each setting by its dotted path."""
    for key, value in tree.items():
        path = above + key
        if isinstance(value, dict) and value:
            yield from _settings(value, path + ".")
        else:
            yield path, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _row(context: ContextInfo, now_us: int) -> tuple[str, ...]:
    return (
        context.state.value,
        shown(context.kind),
        shown(context.master or ""),
        f"{context.running_count}/{context.slots_count}",
        str(context.queued_count),
        "" if context.memory_bytes is None else bytes_text(context.memory_bytes),
        age(context.created_us, now_us),
        shown(context.name) + (f"  ({shown(context.note)})" if context.note else ""),
    )
