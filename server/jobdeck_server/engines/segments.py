"""A bundle's standard output, told in numbered pieces, for the clients of its API that ask for it so.

The bytes stand in the job's output like any other's; a segment is a place in its standard output and a number. One is
told when enough lines have gathered or the interval is over, as ``executor_config.json`` asks, at a line's end where
there is one; the rest when the program has ended. What was told is on record, so a server that comes back goes on.

Source: wire reference of the WebGME executor, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import trio

from jobdeck_server.core.runs import Kind

if TYPE_CHECKING:
    from jobdeck_server.core.output import OutputReader

_LIMIT_BYTES = 1024 * 1024  # of one segment
_PACE_S = 0.05
_RUNS_COUNT = 256


class SegmentLedger(Protocol):
    """Where it is kept what was told."""

    async def last_segment(self, job_id: str) -> tuple[int, int]:
        """The number that comes next, and up to where the stream was told."""

    async def note_segment(self, job_id: str, number: int, start: int, end: int) -> None:
        """A segment: bytes ``[start, end)`` of the job's standard output."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """When to tell: after so many lines, after so long; 0 for never."""

    lines_count: int
    interval_s: float


async def tell_segments(reader: OutputReader, ledger: SegmentLedger, job_id: str, pace: Pace, over: trio.Event) -> None:
    """Tell segments until the program has ended (``over``) and all is told."""
    number, position = await ledger.last_segment(job_id)
    due_s = trio.current_time() + pace.interval_s
    while True:
        ended = over.is_set()  # before the look: what is there then is all there is
        pending = _read(reader, position)
        is_due = pace.interval_s > 0 and trio.current_time() >= due_s
        enough = pace.lines_count > 0 and pending.count(b"\n") >= pace.lines_count
        if ended or is_due or enough or len(pending) >= _LIMIT_BYTES:
            length = len(pending) if ended and len(pending) < _LIMIT_BYTES else cut(pending)
            if length:
                await ledger.note_segment(job_id, number, position, position + length)
                number, position = number + 1, position + length
                due_s = trio.current_time() + pace.interval_s
                continue
        if ended and not pending:
            return
        if is_due:
            due_s = trio.current_time() + pace.interval_s
        wait_s = _PACE_S if pace.lines_count > 0 else max(_PACE_S, due_s - trio.current_time())
        with trio.move_on_after(wait_s):
            await over.wait()


def _read(reader: OutputReader, position: int) -> bytes:
    """What stands in the standard output from a position on, up to the limit of a segment."""
    size = reader.size()
    parts: list[bytes] = []
    left = _LIMIT_BYTES
    for run in reader.stream_runs(Kind.STDOUT, position, size, limit_count=_RUNS_COUNT, limit_bytes=_LIMIT_BYTES):
        parts.append(reader.read(run.offset, min(run.length, left)))
        left -= len(parts[-1])
        if left <= 0:
            break
    return b"".join(parts)


def cut(pending: bytes) -> int:
    """How much of it to tell: whole lines, or whole characters where there is no line's end; nothing of half a one."""
    at = pending.rfind(b"\n") + 1
    if at:
        return at
    at = len(pending)
    if not at:
        return 0
    while at > max(1, len(pending) - 3) and pending[at - 1] & 0xC0 == 0x80:
        at -= 1
    # the byte before starts a character that may be whole or not
    lead = pending[at - 1]
    need = 1 if lead < 0x80 else 2 if lead >> 5 == 0b110 else 3 if lead >> 4 == 0b1110 else 4 if lead >> 3 == 30 else 1
    whole = at - 1 + need
    return whole if whole <= len(pending) else at - 1
