"""What is told of a context, in lists and when it is asked for: the one form that both ends share.

A context is what jobs out of packages run in: a name, a kind and settings. It is made by somebody and survives its
jobs, or it is of one job alone (``adhoc``) and goes with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from jobdeck_protocol.job import time_text, time_us

__all__ = ["GONE", "ContextInfo", "ContextState", "from_wire", "to_wire"]


class ContextState(StrEnum):
    """How far a context has come; the value is the word that goes over the wire."""

    STARTING = "starting"
    RUNNING = "running"
    RESTARTING = "restarting"  # what its jobs run in has died, or is made anew because somebody asked for it
    STOPPING = "stopping"  # its jobs are being ended, and it takes no new ones
    FINISHED = "finished"  # it was stopped
    ERROR = "error"  # it could not be made, or one of its jobs failed and it was to end with that
    KILLED = "killed"  # it was stopped by force


GONE = frozenset({ContextState.FINISHED, ContextState.ERROR, ContextState.KILLED})
"""The states that are final."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContextInfo:
    """All that is told of one context.

    Attributes:
        id: UUID4 in lower case.
        name: What people call it. Of those that live no two have the same.
        kind: What its jobs are given: ``plain`` is an object with the name and the settings, ``spark`` is Spark's.
        adhoc: It is of one job alone.
        state: See there.
        settings: How it was set up; what looks like a secret is left out.
        slots_count: Jobs that it runs at the same time; more wait.
        running_count: Of these, how many are in use.
        queued_count: Jobs that wait for it.
        created_us: When it was asked for, microseconds since 1970 UTC.
        ended_us: When it ended, None while it lives.
        error: Why it ended, where that was not asked for.
        python: The interpreter of its jobs; None for one of its own for each, or before that is known.
        process: The id of the job that is its own process, whose output can be attached to; None where it has none.
        master: Of a Spark context: where it computes, such as ``local[2]`` or ``spark://host:7077``.
        application: Of a Spark context that is up: the id by which Spark knows it.
        ui: Of a Spark context that has one: the address of its web pages.
        memory_bytes: What its process and all that this has started hold in memory; None if it is not known.
        restarts_count: How often it was made anew.
        note: What it waits for just now, in words; None if for nothing.
    """

    id: str
    name: str
    kind: str = "plain"
    adhoc: bool = False
    state: ContextState = ContextState.RUNNING
    settings: Mapping[str, Any] = field(default_factory=dict)
    slots_count: int = 1
    running_count: int = 0
    queued_count: int = 0
    created_us: int = 0
    ended_us: int | None = None
    error: str | None = None
    python: str | None = None
    process: str | None = None
    master: str | None = None
    application: str | None = None
    ui: str | None = None
    memory_bytes: int | None = None
    restarts_count: int = 0
    note: str | None = None

    @property
    def ended(self) -> bool:
        """Whether its state is final."""
        return self.state in GONE


_PLAIN = (
    *("id", "name", "kind", "adhoc", "settings", "slots_count", "running_count", "queued_count"),
    *("error", "python", "process", "master", "application", "ui", "memory_bytes", "restarts_count", "note"),
)


def to_wire(context: ContextInfo) -> dict[str, Any]:
    """The record as a map of JSON values; times are RFC 3339 text."""
    wire: dict[str, Any] = {name: getattr(context, name) for name in _PLAIN}
    wire["state"] = context.state.value
    wire["settings"] = dict(context.settings)
    wire["created"] = time_text(context.created_us)
    wire["ended"] = None if context.ended_us is None else time_text(context.ended_us)
    return wire


def from_wire(wire: Mapping[str, Any]) -> ContextInfo:
    """The inverse of ``to_wire``; fields that are missing take their defaults, unknown ones are ignored.

    Raises:
        KeyError: ``id`` or ``name`` is missing.
        ValueError: A state or a time is not one.
    """
    known = {name: wire[name] for name in _PLAIN if name in wire}
    known["id"], known["name"] = wire["id"], wire["name"]
    if "state" in wire:
        known["state"] = ContextState(wire["state"])
    known["settings"] = dict(wire.get("settings") or {})
    if wire.get("created") is not None:
        known["created_us"] = time_us(wire["created"])
    if wire.get("ended") is not None:
        known["ended_us"] = time_us(wire["ended"])
    return ContextInfo(**known)
