"""Workers as lines for a person: the table of ``jobdeck workers ls``, and all of one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_tui.terminal import fit, shown, width
from jobdeck_tui.words import age, bytes_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = ["sheet", "short_ids", "table"]

_GAP = "  "
_NAME_WIDTH = 10
_ID_LENGTH = 8  # the least that the server takes as the beginning of an id
_HEAD = ("ID", "STATE", "SLOTS", "WAITS", "LOAD", "SEEN", "NAME", "LABELS", "VERSION", "ADDRESS")
_RIGHT = frozenset({"SLOTS", "WAITS", "LOAD", "SEEN"})
_OPTIONAL = ("LOAD", "LABELS", "VERSION", "ADDRESS")  # left out where nobody has any
_DROPPED = ("ADDRESS", "VERSION", "LOAD")  # where there is no room, in this order
_NAME_LEAST = 8
_SKEW_TOLD_US = 1_000_000
_LABELS_LEAST = 10

Table = dict[str, list[str]]


def table(workers: Sequence[WorkerInfo], *, now_us: int, limit: int | None) -> list[str]:
    """The table, its head first.

    Args:
        workers: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: ids are short, columns that matter least are left out, long names are cut. None for
            a pipe: nothing is cut, and ids are whole, since other programs are given them.
    """
    ids = [worker.id for worker in workers] if limit is None else short_ids(workers)
    cells = [_row(worker, shown(each), now_us) for worker, each in zip(workers, ids, strict=True)]
    found: Table = {name: [name, *(row[at] for row in cells)] for at, name in enumerate(_HEAD)}
    for name in _OPTIONAL:
        if not any(found[name][1:]):
            del found[name]
    if limit is not None:
        _fit(found, limit)
    padded = [_padded(name, column) for name, column in found.items()]
    return [_GAP.join(row).rstrip() for row in zip(*padded, strict=True)]


def short_ids(workers: Sequence[WorkerInfo]) -> list[str]:
    """The beginning of each id, long enough to tell these workers apart."""
    lengths = range(_ID_LENGTH, 37)
    length = next((n for n in lengths if len({each.id[:n] for each in workers}) == len(workers)), lengths[-1])
    return [worker.id[:length] for worker in workers]


def _fit(found: Table, limit: int) -> None:
    """Leave columns out, and cut others, until lines are no longer than ``limit`` if that can be."""
    for name in _DROPPED:
        if name in found and _length(found) > limit:
            del found[name]
    for name, least in (("LABELS", _LABELS_LEAST), ("NAME", _NAME_LEAST)):
        over = _length(found) - limit
        if name in found and over > 0:
            most = max(least, _width(found[name]) - over)
            found[name] = [fit(cell, most) for cell in found[name]]


def _length(found: Table) -> int:
    return sum(map(_width, found.values())) + len(_GAP) * (len(found) - 1)


def _width(column: Sequence[str]) -> int:
    return max(map(width, column))


def _padded(name: str, column: Sequence[str]) -> list[str]:
    spaces = [" " * (_width(column) - width(cell)) for cell in column]
    right = name in _RIGHT
    return [space + cell if right else cell + space for cell, space in zip(column, spaces, strict=True)]


def sheet(worker: WorkerInfo, jobs: Sequence[str], *, now_us: int) -> list[str]:
    """Lines ``name      value``, its jobs last. Every value is safe for a terminal.

    Args:
        worker: What to show.
        jobs: Ids of what it runs.
        now_us: The time, for ages.
    """
    return [f"{name:<{_NAME_WIDTH}}{shown(value)}" for name, value in _facts(worker, jobs, now_us)]


def _facts(worker: WorkerInfo, jobs: Sequence[str], now_us: int) -> Iterator[tuple[str, str]]:
    yield "id", worker.id
    yield "name", worker.name
    yield "state", worker.state.value
    yield "engine", worker.engine
    yield "slots", f"{worker.running_count} of {worker.slots_count} in use"
    if worker.queued_count:
        yield "waiting", f"{worker.queued_count} for this worker"
    if worker.labels:
        yield "labels", ", ".join(worker.labels)
    if worker.address:
        yield "address", worker.address
    if worker.software:
        yield "version", worker.software
    if worker.load is not None:
        yield "load", f"{worker.load:.2f}"
    if worker.free_bytes is not None:
        yield "free", f"{bytes_text(worker.free_bytes)} on its disk"
    if abs(worker.clock_skew_us) >= _SKEW_TOLD_US:
        yield "clock", f"{worker.clock_skew_us / 1e6:+.1f} s beside the server's"
    for name, moment in (("since", worker.started_us), ("seen", worker.seen_us)):
        yield name, f"{time_text(moment)}  ({age(moment, now_us)} ago)"
    for job in jobs:
        yield "runs", job


def _row(worker: WorkerInfo, worker_id: str, now_us: int) -> tuple[str, ...]:
    """The cells of a line, in the order of ``_HEAD``."""
    return (
        worker_id,
        worker.state.value,
        f"{worker.running_count}/{worker.slots_count}",
        str(worker.queued_count),
        "" if worker.load is None else f"{worker.load:.2f}",
        age(worker.seen_us, now_us),
        shown(worker.name),
        ",".join(shown(label) for label in worker.labels),
        shown(worker.software),
        shown(worker.address),
    )
