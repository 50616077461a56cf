"""Contexts as lines for a person: the table of ``jobdeck contexts ls``, and all of one. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import time_text
from jobdeck_tui.terminal import fit, shown, width
from jobdeck_tui.words import age

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from jobdeck_client import ContextDetails
    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["sheet", "table"]

_GAP = "  "
_HEAD = ("STATE", "KIND", "JOBS", "WAIT", "AGE", "NAME")
_NAME_LEAST = 20
_NAME_WIDTH = 10


def table(contexts: Sequence[ContextInfo], *, now_us: int, limit: int | None) -> list[str]:
    """The table, its head first.

    Args:
        contexts: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: names are cut to the room that is left. None for a pipe: nothing is cut.
    """
    rows = [_HEAD, *(_row(context, now_us) for context in contexts)]
    widths = [max(width(row[at]) for row in rows) for at in range(len(_HEAD) - 1)]
    room = None if limit is None else max(_NAME_LEAST, limit - sum(widths) - len(_GAP) * len(widths))
    lines = []
    for *cells, name in rows:
        padded = [cell + " " * (wide - width(cell)) for cell, wide in zip(cells, widths, strict=True)]
        lines.append(_GAP.join([*padded, name if room is None else fit(name, room)]).rstrip())
    return lines


def sheet(found: ContextDetails, *, now_us: int) -> list[str]:
    """Lines ``name      value``, its settings and its jobs last. Every value is safe for a terminal.

    Args:
        found: What to show.
        now_us: The time, for ages.
    """
    return [f"{name:<{_NAME_WIDTH}}{shown(value)}".rstrip() for name, value in _facts(found, now_us)]


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
    if context.python is not None:
        yield "python", context.python
    yield "jobs", f"{context.running_count} of {context.slots_count} at a time, {context.queued_count} waiting"
    for path, value in _settings(context.settings):
        yield "setting", f"{path} = {value}"
    for job_id in found.jobs:
        yield "job", job_id


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
        f"{context.running_count}/{context.slots_count}",
        str(context.queued_count),
        age(context.created_us, now_us),
        shown(context.name),
    )
