"""When output is told in segments, and where it is cut. Source of the rules: wire reference, section 6."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import cast

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from jobdeck_server.core.output import OutputReader
from jobdeck_server.core.runs import Kind, Run
from jobdeck_server.engines import segments
from jobdeck_server.engines.segments import Pace, cut, tell_segments


@dataclass
class Output:
    """Standard output alone, as it grows."""

    data: bytes = b""

    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, length: int) -> bytes:
        return self.data[offset : offset + length]

    def stream_runs(self, stream: Kind, position: int, end: int, *, limit_count: int, limit_bytes: int) -> list[Run]:
        assert stream is Kind.STDOUT
        assert limit_count
        stop = min(end, position + limit_bytes)
        return [Run(position, stop - position, stream, 0, 0)] if stop > position else []


@dataclass
class Ledger:
    """What was told: number -> bytes, and when."""

    output: Output
    told: dict[int, bytes] = field(default_factory=dict)
    times_s: list[float] = field(default_factory=list)
    end: int = 0

    async def last_segment(self, job_id: str) -> tuple[int, int]:
        return len(self.told), self.end

    async def note_segment(self, job_id: str, number: int, start: int, end: int) -> None:
        assert (number, start) == (len(self.told), self.end)
        assert end > start
        self.told[number], self.end = self.output.data[start:end], end
        self.times_s.append(trio.current_time())


async def told(output: Output, ledger: Ledger, pace: Pace, *grows: tuple[float, bytes]) -> list[bytes]:
    """All segments of an output that grows at some times and then ends."""
    over = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(tell_segments, cast(OutputReader, output), ledger, "job", pace, over)
        for pause_s, data in grows:
            await trio.sleep(pause_s)
            output.data += data
        await trio.sleep(0.001)
        over.set()
    return list(ledger.told.values())


async def test_by_lines(autojump_clock: MockClock) -> None:
    ledger = Ledger(output := Output())
    pace = Pace(lines_count=2, interval_s=0)
    found = await told(output, ledger, pace, (1, b"1\n"), (1, b"2"), (1, b"\n3"), (1, b"\n4\n5\n6"), (1, b"end"))
    assert found == [b"1\n2\n", b"3\n4\n5\n", b"6end"]


async def test_by_the_clock(autojump_clock: MockClock) -> None:
    ledger = Ledger(output := Output())
    began_s = trio.current_time()
    pace = Pace(lines_count=0, interval_s=10)
    found = await told(output, ledger, pace, (1, b"1\n"), (2, b"2\n3"), (20, b"4\n"), (3, b"5\n"))
    assert found == [b"1\n2\n", b"3", b"4\n5\n"]  # what has no end of a line waits while there are lines before it
    assert [round(time_s - began_s) for time_s in ledger.times_s] == [10, 20, 26]


async def test_a_silent_job_has_none(autojump_clock: MockClock) -> None:
    assert await told(output := Output(), Ledger(output), Pace(lines_count=1, interval_s=1), (100, b"")) == []


async def test_a_server_that_comes_back_goes_on(autojump_clock: MockClock) -> None:
    output = Output(b"1\n2\n3\n")
    ledger = Ledger(output, told={0: b"1\n"}, end=2)
    assert await told(output, ledger, Pace(lines_count=100, interval_s=0)) == [b"1\n", b"2\n3\n"]


async def test_much_comes_in_pieces(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "_LIMIT_BYTES", 10)
    ledger = Ledger(output := Output())
    data = b"12345\n7890ab\n" + b"x" * 25 + b"\nend"
    found = await told(output, ledger, Pace(lines_count=0, interval_s=5), (1, data))
    assert b"".join(found) == data
    assert max(map(len, found)) <= 10
    assert found[0] == b"12345\n"


@given(st.text(min_size=1), st.integers(1, 200))
def test_no_character_is_cut(text: str, length: int) -> None:
    pending = text.encode("utf-8", "replace")[:length]
    count = cut(pending)
    assert count <= len(pending)
    if b"\n" in pending:
        assert pending[count - 1 : count] == b"\n"
    elif pending.decode("utf-8", "ignore").encode() == pending:
        assert count == len(pending)
    else:
        assert len(pending) - 3 <= count < len(pending)
        pending[:count].decode()


@given(st.binary())
def test_what_is_no_text_is_told_too(pending: bytes) -> None:
    assert max(0, len(pending) - 3) <= cut(pending) <= len(pending) or b"\n" in pending


async def test_half_a_character_waits_for_its_other_half(autojump_clock: MockClock) -> None:
    ledger = Ledger(output := Output())
    first, second = "日".encode()[:2], "日".encode()[2:]
    found = await told(output, ledger, Pace(lines_count=0, interval_s=5), (1, first), (20, second), (20, first))
    assert found == ["日".encode(), first]
