"""Workers as lines for a person: the table of ``jobdeck workers ls``, and all of one. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_tui.terminal import fit, shown, width
from jobdeck_tui.words import age

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from jobdeck_protocol.workerinfo import WorkerInfo

__all__ = ["sheet", "table"]

_GAP = "  "
_NAME_WIDTH = 10
_LABELS_LEAST = 10


def table(workers: Sequence[WorkerInfo], *, now_us: int, limit: int | None) -> list[str]:
    """The table, its head first. Ids are whole: other programs are given them.

    Args:
        workers: In the order in which they are to stand.
        now_us: The time, for ages.
        limit: The terminal's width: the last column is cut to the room that is left. None for a pipe: nothing is cut.
    """
    rows: list[tuple[str, ...]] = [("ID", "STATE", "SLOTS", "SEEN", "NAME", "LABELS")]
    rows += [_row(worker, now_us) for worker in workers]
    if not any(row[-1] for row in rows[1:]):
        rows = [row[:-1] for row in rows]
    widths = [max(width(row[column]) for row in rows) for column in range(len(rows[0]) - 1)]
    room = None if limit is None else max(_LABELS_LEAST, limit - sum(widths) - len(_GAP) * len(widths))
    lines = []
    for row in rows:
        *cells, last = row
        padded = [cell + " " * (wide - width(cell)) for cell, wide in zip(cells, widths, strict=True)]
        lines.append(_GAP.join([*padded, last if room is None else fit(last, room)]).rstrip())
    return lines


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
    if worker.labels:
        yield "labels", ", ".join(worker.labels)
    if worker.address:
        yield "address", worker.address
    for name, moment in (("since", worker.started_us), ("seen", worker.seen_us)):
        yield name, f"{time_text(moment)}  ({age(moment, now_us)} ago)"
    for job in jobs:
        yield "runs", job


def _row(worker: WorkerInfo, now_us: int) -> tuple[str, ...]:
    slots = f"{worker.running_count}/{worker.slots_count}"
    labels = ",".join(shown(label) for label in worker.labels)
    return shown(worker.id), worker.state.value, slots, age(worker.seen_us, now_us), shown(worker.name), labels
