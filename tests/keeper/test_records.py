"""The formats on disk, as values and on real files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_keeper import records
from jobdeck_keeper.records import RUN, RunRecord

texts = st.text(st.characters(codec="utf-8"), max_size=40)
payloads = st.dictionaries(texts.filter(bool), st.one_of(st.integers(), texts, st.booleans(), st.none()), max_size=3)
u64 = st.integers(0, 2**64 - 1)
run_records = st.builds(RunRecord, u64, u64, u64, st.integers(1, 5), st.integers(0, 7))


@given(payloads)
def test_slot_round_trip(payload: dict[str, Any]) -> None:
    try:
        raw = records.pack_slot(payload)
    except ValueError:
        return
    assert len(raw) == records.SLOT_BYTES
    assert records.unpack_slot(raw) == payload


@given(payloads.filter(bool), st.data())
def test_damaged_slot_is_empty(payload: dict[str, Any], data: st.DataObject) -> None:
    raw = records.pack_slot(payload)
    length = int.from_bytes(raw[:4], "little")
    place = data.draw(st.integers(0, 7 + length))
    flip = data.draw(st.integers(1, 255))
    torn = raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :]
    assert records.unpack_slot(torn) is None


@given(payloads.filter(bool), st.integers(0, records.SLOT_BYTES))
def test_torn_slot_is_empty_or_whole(payload: dict[str, Any], cut: int) -> None:
    raw = records.pack_slot(payload)
    torn = raw[:cut].ljust(records.SLOT_BYTES, b"\0")
    assert records.unpack_slot(torn) in (None, payload)


@given(payloads.filter(bool), payloads.filter(bool), st.integers(0, records.SLOT_BYTES))
def test_slot_torn_over_an_old_one(old: dict[str, Any], new: dict[str, Any], cut: int) -> None:
    torn = records.pack_slot(new)[:cut] + records.pack_slot(old)[cut:]
    assert records.unpack_slot(torn) in (None, old, new)


@given(st.text(max_size=700), st.integers(20, 300))
def test_clip_fits(text: str, limit: int) -> None:
    assert len(records.pack_slot({"t": records.clip(text, limit)})) == records.SLOT_BYTES


def test_a_payload_too_long_is_refused() -> None:
    with pytest.raises(ValueError, match="504"):
        records.pack_slot({"text": "x" * 500})


def test_claim_is_exclusive_and_allocated(tmp_path: Path) -> None:
    fd = records.create_record(str(tmp_path), {"v": 1})
    assert fd is not None
    assert records.create_record(str(tmp_path), {"v": 2}) is None
    assert sorted(os.listdir(tmp_path)) == ["record"]
    assert os.fstat(fd).st_size == records.RECORD_BYTES
    records.write_slot(fd, "exit", {"code": 0})
    records.write_slot(fd, "eof", {"size": 5})
    os.close(fd)
    assert records.read_record(tmp_path / "record") == {"claim": {"v": 1}, "exit": {"code": 0}, "eof": {"size": 5}}
    assert (tmp_path / "record").stat().st_size == records.RECORD_BYTES
    assert (tmp_path / "record").stat().st_mode & 0o777 == 0o600


def test_an_empty_record_claims_nothing(tmp_path: Path) -> None:
    fd = records.create_empty(str(tmp_path))
    assert records.read_facts(fd) == {}
    records.write_slot(fd, "claim", {"v": 1})
    assert records.read_slot(fd, "claim") == {"v": 1}
    records.clear_slot(fd, "claim")
    assert records.read_facts(fd) == {}
    os.close(fd)
    assert (tmp_path / "record").stat().st_size == records.RECORD_BYTES
    with pytest.raises(FileExistsError):
        records.create_empty(str(tmp_path))


def test_no_record_is_no_facts(tmp_path: Path) -> None:
    assert records.read_record(tmp_path / "record") == {}


@pytest.mark.parametrize(
    ("facts", "final"),
    [
        ({}, False),
        ({"claim": {"v": 1}}, False),
        ({"claim": {"v": 1}, "start": {}, "stop": {}, "exec": {}, "eof": {}}, False),
        ({"claim": {"never": True}}, True),
        ({"claim": {}, "exit": {}}, True),
        ({"claim": {}, "error": {}}, True),
        ({"claim": {}, "lost": {}}, True),
    ],
)
def test_what_is_final(facts: dict[str, Any], *, final: bool) -> None:
    assert records.is_final(facts) is final


def test_header_round_trip() -> None:
    raw = records.pack_header("091c7662-8d5a-4206-8f26-e2e8823fa334")
    assert len(raw) == 64
    header = records.unpack_header(raw)
    assert header.record_bytes == 32
    assert header.boot.hex() == "091c76628d5a42068f26e2e8823fa334"
    with pytest.raises(ValueError, match="cut short"):
        records.unpack_header(raw[:63])
    with pytest.raises(ValueError, match="version"):
        records.unpack_header(b"JDRUNS2\0" + raw[8:])


@given(run_records)
def test_run_round_trip(run: RunRecord) -> None:
    raw = records.pack_run(*run)
    assert len(raw) == RUN.size == 32
    assert records.unpack_run(raw) == run


@given(run_records, st.integers(0, 31), st.integers(1, 255))
def test_damaged_run(run: RunRecord, place: int, flip: int) -> None:
    raw = records.pack_run(*run)
    torn = raw[:place] + bytes([raw[place] ^ flip]) + raw[place + 1 :]
    # The two bytes that are always zero are under the crc too.
    assert records.unpack_run(torn) is None


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1, 2]), st.booleans()), max_size=40), st.data())
def test_runs_name_the_stream_of_every_byte(steps: list[tuple[int, int, bool]], data: st.DataObject) -> None:
    """Whatever was appended and wherever it is cut, bytes below the size are of the stream that the index says."""
    index, truth = bytearray(), bytearray()
    for count, kind, announced_in_vain in steps:
        if announced_in_vain:
            index += records.pack_run(len(truth), 0, 0, 3 - kind)
        index += records.pack_run(len(truth), 0, 0, kind)
        truth += bytes([kind]) * count
    size = data.draw(st.integers(0, len(truth)))
    runs = records.runs_in(bytes(index), size)
    assert [run.offset for run in runs] == sorted({run.offset for run in runs})
    told = bytearray()
    for run, end in zip(runs, [*(run.offset for run in runs), size][1:], strict=True):
        told += bytes([run.kind]) * (end - run.offset)
    assert told == truth[:size]


@given(st.lists(run_records, max_size=20), st.binary(max_size=31))
def test_a_torn_tail_is_ignored(runs: list[RunRecord], tail: bytes) -> None:
    whole = b"".join(records.pack_run(*run) for run in runs)
    assert records.runs_in(whole + tail, 2**64) == records.runs_in(whole, 2**64)
