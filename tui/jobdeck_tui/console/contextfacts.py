"""All that is known of a context, in names and values for people. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_protocol.job import time_text
from jobdeck_tui.console.contextcolumns import CONTEXT_MARKS, age_text
from jobdeck_tui.console.workercolumns import bar
from jobdeck_tui.words import bytes_text, span

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobdeck_protocol.contextinfo import ContextInfo

__all__ = ["facts"]

_BAR_CELLS = 16
_SHORT_ID_LENGTH = 8
_USUAL_NOTES = {
    ContextState.STARTING: "its environment is being made",
    ContextState.RESTARTING: "it is being made anew",
    ContextState.STOPPING: "its jobs are being ended",
}
_SETTINGS_LIMIT_COUNT = 200
_DEEPEST = 20


def facts(context: ContextInfo, now_us: int) -> Iterator[tuple[str, str]]:
    """Names and values, foreign text as it came; what is not known is left out."""
    yield "state", f"{CONTEXT_MARKS[context.state].sign} {_state_words(context)}"
    if context.error:
        yield "why", context.error
    if not context.ended:
        waiting = f", {context.queued_count} waiting" if context.queued_count else ""
        words = f"{context.running_count} of {context.slots_count} in use{waiting}"
        yield "slots", f"{bar(context, _BAR_CELLS)} {words}"
    yield from _process(context)
    yield "kind", context.kind + (", of one job alone" if context.adhoc else "")
    yield "made", f"{time_text(context.created_us)[:19]}Z  ({age_text(context, now_us)} ago)"
    if context.ended_us is not None:
        took = span((context.ended_us - context.created_us) / 1e6)
        yield "ended", f"{time_text(context.ended_us)[:19]}Z  (it lived {took})"
    if context.python:
        yield "python", context.python
    yield "id", context.id
    for number, line in enumerate(_settings(context.settings)):
        if number == _SETTINGS_LIMIT_COUNT:
            yield "settings", "and more"
            return
        yield "settings", line


def _process(context: ContextInfo) -> Iterator[tuple[str, str]]:
    """Of one that is a process of its own: where it computes, what it holds, how often it was made anew."""
    if context.master:
        yield "master", context.master
    if context.memory_bytes is not None:
        yield "memory", bytes_text(context.memory_bytes)
    if context.ui:
        yield "Spark UI", context.ui
    if context.application:
        yield "application", context.application
    if context.restarts_count:
        yield "restarts", f"{context.restarts_count:,}"
    if context.process:
        yield "process", f"job {context.process[:_SHORT_ID_LENGTH]}, with its log"


def _state_words(context: ContextInfo) -> str:
    """The state, and what it waits for."""
    waits = context.note or _USUAL_NOTES.get(context.state)
    return context.state.value + (f": {waits}" if waits else "")


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """``spark.cores.max = 4``, a line for each; by a stack of its own, and what is nested too deeply as it is."""
    left: list[tuple[str, Any, int]] = [(name, value, 1) for name, value in reversed(list(settings.items()))]
    while left:
        name, value, depth = left.pop()
        if isinstance(value, dict) and value and depth < _DEEPEST:
            left += [(f"{name}.{inner}", each, depth + 1) for inner, each in reversed(list(value.items()))]
        else:
            yield f"{name} = {_value(value)}"


def _value(value: object) -> str:
    try:
        return json.dumps(value, ensure_ascii=False)
    except RecursionError:
        return "…"
