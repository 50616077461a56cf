"""Lines of logs: exact whatever the log holds and however it grows, shared, bounded, forgotten in time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import Job
from jobdeck_server.core import lineindex
from jobdeck_server.core.errors import OffsetError
from jobdeck_server.core.linelog import LineExtent, Log
from jobdeck_server.core.linepage import LinePage, PageQuery, read_page
from jobdeck_server.core.linereader import Line
from jobdeck_server.core.runs import Kind
from tests.server.core.logs import ENDED, RUNNING, LogWriter, indexed, split, tiny

STREAMS = (None, Kind.STDOUT, Kind.STDERR)
texts = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.lists(st.sampled_from([b"\n", b"a", b"\r\n", b"\0", b"\xff", b"xyz"]), min_size=1, max_size=12).map(b"".join),
)
writes = st.lists(st.tuples(st.sampled_from([Kind.STDOUT, Kind.STDERR]), texts, st.integers(0, 2)), max_size=12)


def page(log: Log, job: Job = RUNNING, *, limit_bytes: int = 1 << 20, **wanted: Any) -> LinePage:
    query = PageQuery(**{"limit_count": 1000, "cap_bytes": 1000, "stream": log.stream, **wanted})
    return read_page(log, job, query, limit_bytes=limit_bytes)


# -- exactness --


@given(st.data(), st.lists(writes, min_size=1, max_size=4))
@settings(max_examples=80, deadline=None)
def test_lines_are_those_of_a_naive_reader_while_the_log_grows(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, rounds: list[list[tuple[Kind, bytes, int]]]
) -> None:
    writer = LogWriter(tmp_path_factory.mktemp("job"))
    with tiny():
        logs = [Log(writer.folder, stream) for stream in STREAMS]
        time_us = 1
        for parts in rounds:
            for kind, piece, later_us in parts:
                time_us += later_us
                writer.write(kind, piece, time_us)
            for log in logs:
                _compare(indexed(log), writer, data)


def _compare(log: Log, writer: LogWriter, data: st.DataObject) -> None:
    cap_bytes = data.draw(st.integers(1, 20))
    whole = writer.lines(log.stream, cap_bytes)
    size = len(writer.data(log.stream))
    assert log.extent() == LineExtent(size, size, len(whole))
    assert page(log, cap_bytes=cap_bytes) == LinePage(
        start=0, total=len(whole), size_bytes=size, indexed_bytes=size, ended=False, lines=tuple(whole)
    )
    start, count = data.draw(st.integers(-len(whole) - 2, len(whole) + 2)), data.draw(st.integers(1, 5))
    found = page(log, start=start, limit_count=count, cap_bytes=cap_bytes)
    first = start if start >= 0 else max(0, len(whole) + start)
    assert (found.start, list(found.lines)) == (first, whole[first : first + count])
    offset = data.draw(st.integers(-size - 2, size + 2))
    found = page(log, offset=offset, limit_count=count, cap_bytes=cap_bytes)
    byte = offset if offset >= 0 else max(0, size + offset)
    first = (
        next((line.n for line in whole if byte <= line.offset + line.length), len(whole)) if byte < size else len(whole)
    )
    assert (found.start, list(found.lines)) == (first, whole[first : first + count])


@given(st.lists(st.integers(0, 300_000), max_size=20), st.data())
@settings(max_examples=25, deadline=None)
def test_blocks_of_their_real_size(
    tmp_path_factory: pytest.TempPathFactory, lengths: list[int], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("job")
    text = b"\n".join(b"x" * length for length in lengths)
    (folder / "output").write_bytes(text)
    log = indexed(Log(folder, None))
    lines = split(text)
    assert log.extent() == LineExtent(len(text), len(text), len(lines))
    for n in data.draw(st.lists(st.integers(0, len(lines)), max_size=5)):
        found = page(log, start=n, limit_count=3, cap_bytes=10)
        assert [(line.offset, line.length, line.newline) for line in found.lines] == [
            (offset, len(line), newline) for offset, line, newline in lines[n : n + 3]
        ]


def test_more_runs_than_are_told_of_one_line(tmp_path: Path) -> None:
    writer = LogWriter(tmp_path)
    for number in range(100):
        writer.write(Kind.STDOUT if number % 2 else Kind.STDERR, b"ab", number)
    (line,) = page(indexed(Log(tmp_path, None))).lines
    (naive,) = writer.lines()
    assert line.runs[:63] == naive.runs[:63]
    assert line.runs[63] == (2 * (100 - 63), Kind.UNKNOWN, naive.runs[63][2])


def test_a_log_without_an_index_of_runs(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"a\nb")
    for content in (None, b"rubbish"):
        if content is not None:
            (tmp_path / "runs").write_bytes(content)
        found = page(indexed(Log(tmp_path, None)))
        assert found.lines == (
            Line(0, 0, 1, True, 0, ((1, Kind.UNKNOWN, 0),), b"a"),
            Line(1, 2, 1, False, 0, ((1, Kind.UNKNOWN, 0),), b"b"),
        )
        assert page(indexed(Log(tmp_path, Kind.STDOUT))).total == 0


def test_one_line_of_100_mb_among_others(tmp_path: Path) -> None:
    length = 100_000_000
    with (tmp_path / "output").open("wb") as output:
        output.write(b"first\n")
        output.seek(6 + length)  # NULs, and no block on disk
        output.write(b"\nlast\r\xff")
    log = indexed(Log(tmp_path, None))
    found = page(log, cap_bytes=8192)
    assert [(line.offset, line.length, line.newline) for line in found.lines] == [
        (0, 5, True),
        (6, length, True),
        (length + 7, 6, False),
    ]
    assert [line.data for line in found.lines] == [b"first", bytes(8192), b"last\r\xff"]
    assert page(log, offset=length // 2).start == 1
    assert log.index.memory_bytes < 16_000


def test_an_answer_has_a_limit_of_bytes_and_at_least_one_line(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"aaaa\nbbbb\ncccc\n")
    log = indexed(Log(tmp_path, None))
    for limit_bytes, count in ((1, 1), (7, 1), (8, 2), (11, 2), (12, 3)):
        assert len(page(log, limit_bytes=limit_bytes).lines) == count


def test_a_log_that_is_shorter_than_it_was_is_looked_through_anew(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"a\nb\nc")
    log = indexed(Log(tmp_path, None))
    (tmp_path / "output").write_bytes(b"aaa\n")
    assert indexed(log).extent() == LineExtent(4, 4, 1)


def test_offsets_beyond_the_end(tmp_path: Path) -> None:
    (tmp_path / "output").write_bytes(b"a\nb")
    log = indexed(Log(tmp_path, None))
    assert (page(log, offset=9).start, page(log, offset=9).lines) == (2, ())
    assert page(log, ENDED, offset=3).start == 2
    with pytest.raises(OffsetError):
        page(log, ENDED, offset=4)


# -- on disk --


def saved(folder: Path, text: bytes) -> Log:
    """A log whose index is on disk."""
    (folder / "output").write_bytes(text)
    log = Log(folder, None)
    log.job_ended = True
    assert indexed(log).complete
    return log


@given(st.binary(max_size=200), st.binary(max_size=200), st.data())
@settings(max_examples=80, deadline=None)
def test_an_index_on_disk_is_right_or_made_anew(
    tmp_path_factory: pytest.TempPathFactory, text: bytes, more: bytes, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("job")
    with tiny():
        saved(folder, text)
        path = folder / "lines"
        content = bytearray(path.read_bytes() if text else b"")
        match data.draw(st.sampled_from(["whole", "cut", "damaged", "longer", "gone", "of a longer log"])):
            case "cut":
                del content[data.draw(st.integers(0, len(content))) :]
            case "damaged" if content:
                content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
            case "longer":
                content += b"rubbish"
            case "of a longer log":
                text = text[: data.draw(st.integers(0, len(text)))]
        path.write_bytes(content)
        if data.draw(st.booleans()):
            path.unlink()
        again = saved(folder, text + more)
        loaded = lineindex.load(path, len(text + more)) if text + more else lineindex.LineIndex()
        assert loaded is not None
        assert loaded.mark == again.index.mark
        lines = split(text + more)
        log = Log(folder, None)
        assert indexed(log).extent().line_count == len(lines)
        assert [line.offset for line in page(log).lines] == [offset for offset, _, _ in lines]


def test_an_index_is_taken_from_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved(tmp_path, b"a\n" * 1_000_000)
    assert (tmp_path / "lines").stat().st_size < 400
    monkeypatch.setattr(lineindex.LineIndex, "feed", None)
    assert indexed(Log(tmp_path, None)).extent() == LineExtent(2_000_000, 2_000_000, 1_000_000)


def test_a_file_that_somebody_removed_is_written_whole(tmp_path: Path) -> None:
    log = saved(tmp_path, b"a\n" * 100_000)
    (tmp_path / "lines").unlink()
    with (tmp_path / "output").open("ab") as output:
        output.write(b"b\n" * 100_000)
    assert indexed(log).extent().line_count == 200_000
    found = lineindex.load(tmp_path / "lines", 400_000)
    assert found is not None
    assert found.mark == log.index.mark
