"""Output that outside workers send: kept once, in the job's output, whatever is sent again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_keeper import records
from jobdeck_server.core.errors import NoSpaceError
from jobdeck_server.core.executor import Given
from jobdeck_server.core.executoroutput import append, read, sizes
from jobdeck_server.core.executorrows import COMBINED, Segment
from jobdeck_server.core.runs import Kind
from tests.server.core.harness import BOOT
from tests.server.executor.deck import Deck, deck


async def texts(it: Deck, key: str, start: int | None = None, end: int | None = None) -> list[tuple[int, str]]:
    return [each async for each in it.executor.segments.every(key, start=start, end=end)]


async def test_segments_are_the_jobs_output(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_page_count=2) as it:
        await it.make("k")
        await it.beat()
        sent = [(0, "line 1\n"), (1, "zwei: μ\n"), (2, "\U0001f600"), (5, "")]
        for number, text in sent:
            await it.executor.segments.post("k", number, text)
        assert await texts(it, "k") == sent
        assert await texts(it, "k", 1, 5) == sent[1:3]
        assert await texts(it, "k", 1, 1) == []
        assert (await it.info("k"))["outputNumber"] == 5
        whole = "".join(text for _, text in sent).encode()
        job_id = (await it.executor.info("k")).job.id
        with await it.core.output(job_id) as reader:
            assert reader.read(0, reader.size()) == whole
            assert reader.stream_size(Kind.STDOUT) == len(whole)
            assert reader.stream_size(Kind.STDERR) == 0
        await it.executor.update("k", Given(status="SUCCESS"))
        job = (await it.executor.info("k")).job
        assert (job.output_bytes, job.dropped_bytes) == (len(whole), 0)
        await it.executor.segments.post("k", 6, "late")
        assert await texts(it, "k") == sent


async def test_what_is_attached_sees_output_as_it_comes(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        with await it.core.output((await it.executor.info("k")).job.id) as reader, trio.fail_after(10):
            for number, text in enumerate(("one\n", "two\n")):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(it.executor.segments.post, "k", number, text)
                    extent = await reader.more(4 * number, 100)
                    assert extent is not None
                    assert reader.read(extent.offset, extent.length) == text.encode()


async def test_the_same_again_is_not_kept_twice_and_other_text_replaces(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        for number, text in ((1, "one"), (2, "two"), (1, "one"), (2, "two"), (1, "other")):
            await it.executor.segments.post("k", number, text)
        assert await texts(it, "k") == [(1, "other"), (2, "two")]
        with await it.core.output((await it.executor.info("k")).job.id) as reader:
            assert reader.read(0, reader.size()) == b"onetwoother"


async def test_jobs_that_nobody_outside_runs_keep_nothing(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.executor.segments.post("k", 1, "early")
        assert await texts(it, "k") == []


async def test_a_segment_of_which_the_note_was_lost_is_not_kept_twice(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        await it.executor.segments.post("k", 0, "zero\n")
        folder = it.core.engine.follow((await it.executor.info("k")).job.id)
        append(folder, 1, b"one", noted_bytes=5, limit_bytes=1000, boot_id=BOOT)  # and then the server was killed
    async with deck(tmp_path) as it:
        await it.executor.segments.post("k", 1, "one and more\n")
        await it.executor.segments.post("k", 2, "two\n")
        assert await texts(it, "k") == [(0, "zero\n"), (1, "one and more\n"), (2, "two\n")]
        assert (folder / "output").read_bytes() == b"zero\none and more\ntwo\n"


async def test_output_beyond_the_limit_is_counted(tmp_path: Path) -> None:
    async with deck(tmp_path, output_limit_bytes=10) as it:
        await it.make("k")
        await it.beat()
        for number, text in enumerate(("12345", "1234567", "123")):
            await it.executor.segments.post("k", number, text)
        await it.executor.segments.post("k", 1, "1234567")
        assert await texts(it, "k") == [(0, "12345"), (1, "12345"), (2, "")]
        await it.executor.update("k", Given(status="SUCCESS"))
        job = (await it.executor.info("k")).job
        assert (job.output_bytes, job.dropped_bytes) == (10, 5)


async def test_a_segment_of_the_built_in_executor_is_a_place_in_its_stdout(tmp_path: Path) -> None:
    async with deck(tmp_path, executor_builtin=True) as it:
        await it.make("k")
        told = await it.executor.info("k")
        folder = it.core.engine.follow(told.job.id)
        folder.mkdir()
        (folder / "output").write_bytes(b"out1err1out2err2")
        runs = [
            records.pack_run(offset, offset, before, kind)
            for offset, before, kind in ((0, 0, 1), (4, 4, 2), (8, 4, 1), (12, 8, 2))
        ]
        (folder / "runs").write_bytes(records.pack_header(BOOT) + b"".join(runs))
        ledger = it.executor.segments
        assert await ledger.last_segment(told.job.id) == (0, 0)
        await ledger.note_segment(told.job.id, 0, 0, 3)
        await ledger.note_segment(told.job.id, 1, 3, 8)
        assert await ledger.last_segment(told.job.id) == (2, 8)
        assert await texts(it, "k") == [(0, "out"), (1, "1out2")]
        await ledger.note_super_set(told.job.id, "c" * 40)
        info = await it.info("k")
        assert (info["outputNumber"], info["resultSuperSet"]) == (1, "c" * 40)


async def test_a_full_disk_is_told(tmp_path: Path) -> None:
    async with deck(tmp_path) as it:
        await it.make("k")
        await it.beat()
        folder = it.core.engine.follow((await it.executor.info("k")).job.id)
        folder.mkdir()
        (folder / "output").symlink_to("/dev/full")
        with pytest.raises(NoSpaceError):
            await it.executor.segments.post("k", 1, "text")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.binary(max_size=30), st.integers(0, 3)), max_size=12), st.integers(0, 120))
def test_nothing_is_lost_or_doubled_wherever_a_note_is_lost(parts: list[tuple[bytes, int]], limit: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, noted, whole = Path(name) / "job", 0, b""
        for number, (data, fails) in enumerate(parts):
            for _ in range(fails):  # the note of it is lost, and it is sent again
                append(folder, number, data, noted_bytes=noted, limit_bytes=limit, boot_id=BOOT)
            segment = append(folder, number, data, noted_bytes=noted, limit_bytes=limit, boot_id=BOOT)
            assert read(folder, segment) == (whole + data)[:limit][segment.start :]
            noted, whole = segment.end, (whole + data)[:limit]
        if parts:
            assert (folder / "output").read_bytes() == whole
            assert sizes(folder).kept_bytes == len(whole)
            data = (folder / "runs").read_bytes()[records.HEADER.size :]
            assert len(data) % records.RUN.size == 0
            times = [run.time_us for run in records.runs_in(data, len(whole))]
            assert times == sorted(times)


def test_a_torn_index_is_mended_and_missing_output_is_empty(tmp_path: Path) -> None:
    append(tmp_path, 0, b"one", noted_bytes=0, limit_bytes=100, boot_id=BOOT)
    with (tmp_path / "runs").open("ab") as file:
        file.write(b"torn")
    append(tmp_path, 1, b"two", noted_bytes=3, limit_bytes=100, boot_id=BOOT)
    assert os.stat(tmp_path / "runs").st_size == records.HEADER.size + 2 * records.RUN.size
    assert read(tmp_path, Segment(1, COMBINED, 3, 6)) == b"two"
    assert read(tmp_path / "none", Segment(1, COMBINED, 0, 6)) == b""
    assert sizes(tmp_path / "none").kept_bytes == 0
