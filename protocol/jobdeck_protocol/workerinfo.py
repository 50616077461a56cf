"""What is told of a worker, in lists and when it is asked for: the one form that both ends share.

A worker is a place where jobs run: the server's own machine, which is always there, or another one. It has an id that
it keeps for good, and so many slots: jobs that it runs at the same time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import time_text, time_us

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WorkerInfo", "WorkerState", "from_wire", "to_wire"]


class WorkerState(StrEnum):
    """Whether a worker can be given jobs; the value is the word that goes over the wire."""

    ONLINE = "online"
    DRAINING = "draining"  # it ends what it has, and takes nothing more
    UNREACHABLE = "unreachable"  # it has not been heard of for too long
    OFFLINE = "offline"  # it has left, and said so


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerInfo:
    """All that is told of one worker.

    Attributes:
        id: UUID4 in lower case, kept over restarts.
        name: What people call it: its host's name, unless it was given another. Several may have the same.
        state: See there.
        engine: What runs its jobs, as it stands on their records: ``local`` for the server's own.
        labels: Free words; a job with labels may run where all of them are.
        slots_count: Jobs that it runs at the same time; more wait.
        running_count: Of these, how many are in use.
        queued_count: Jobs that wait for this very worker.
        address: Host and port at which it is reached, or from which it came.
        started_us: When it began to serve or came in, microseconds since 1970 UTC.
        seen_us: When it was last heard of.
        load: Load average of its machine over a minute, None where that is not known.
        free_bytes: Room on the disk of its data directory, None where that is not known.
        software: Name and version of its program.
        clock_skew_us: Its clock less the server's, in microseconds.
        bundles: It runs jobs of the executor, too.
    """

    id: str
    name: str
    state: WorkerState = WorkerState.ONLINE
    engine: str = "local"
    labels: tuple[str, ...] = ()
    slots_count: int = 0
    running_count: int = 0
    queued_count: int = 0
    address: str = ""
    started_us: int = 0
    seen_us: int = 0
    load: float | None = None
    free_bytes: int | None = None
    software: str = ""
    clock_skew_us: int = 0
    bundles: bool = False


_PLAIN = (
    *("id", "name", "engine", "slots_count", "running_count", "queued_count", "address"),
    *("load", "free_bytes", "software", "clock_skew_us", "bundles"),
)
_TIMES = ("started", "seen")


def to_wire(worker: WorkerInfo) -> dict[str, Any]:
    """The record as a map of JSON values; times are RFC 3339 text."""
    wire: dict[str, Any] = {name: getattr(worker, name) for name in _PLAIN}
    wire["state"] = worker.state.value
    wire["labels"] = list(worker.labels)
    for name in _TIMES:
        wire[name] = time_text(getattr(worker, name + "_us"))
    return wire


def from_wire(wire: Mapping[str, Any]) -> WorkerInfo:
    """The inverse of ``to_wire``; fields that are missing take their defaults, unknown ones are ignored.

    Raises:
        KeyError: ``id`` or ``name`` is missing.
        ValueError: A state or a time is not one.
    """
    known = {name: wire[name] for name in _PLAIN if name in wire}
    known["id"], known["name"] = wire["id"], wire["name"]
    if "state" in wire:
        known["state"] = WorkerState(wire["state"])
    known["labels"] = tuple(wire.get("labels") or ())
    known |= {name + "_us": time_us(wire[name]) for name in _TIMES if name in wire}
    return WorkerInfo(**known)
