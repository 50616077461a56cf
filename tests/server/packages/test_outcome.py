"""What a job says about itself is bounded and well-formed, or it is nothing; and the keeper has the last word."""

from __future__ import annotations

import json
import os
import string
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobdeck_server.engines.base import Ended
from jobdeck_server.packages import outcome
from jobdeck_server.packages.outcome import EXIT_CODES, Outcome
from tests.server.packages.kit import ended, jobs_own

ERROR = {"message": "m", "errorClass": "ValueError", "stack": "s"}
GOOD = {"kind": "finished", "result": {"kind": "json", "bytes": 1}}


def said(folder: Path, value: Any, name: str = "outcome.json") -> None:
    (folder / name).write_bytes(value if isinstance(value, bytes) else json.dumps(value).encode())


def test_both_sides_have_one_table() -> None:
    assert jobs_own("sparkjobserver._run").EXIT_CODES == EXIT_CODES


@pytest.mark.parametrize(
    "lie",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b'{"kind":"finished"}',
        b'{"kind":"finished","result":[]}',
        b'{"kind":"finished","result":{"kind":"exe"}}',
        b'{"kind":["finished"]}',
        b'{"kind":{}}',
        b'{"kind":"exited","error":{"message":"m","errorClass":"c","stack":"s"}}',
        b'{"kind":"run_raised"}',
        b'{"kind":"run_raised","error":{"message":1,"errorClass":"c","stack":"s"}}',
        b'{"kind":"run_raised","error":{"message":"m","errorClass":"c"}}',
        b'{"kind":"validation","error":{"message":"m","errorClass":"c","stack":"s"}}',
        b'{"kind":"validation","error":{"message":"m","errorClass":"c","stack":"s"},"problems":[1]}',
        b'{"kind":"run_raised","error":{"message":"m","errorClass":"c","stack":"s"},"problems":["p"]}',
        b"[" * 100_000,
        b"1" * 10_000,
        b" " * (9 * 1024 * 1024),
    ],
)
def test_lies_that_are_malformed_are_nothing(tmp_path: Path, lie: bytes) -> None:
    for name in ("outcome.json", "validated.json", "progress.json"):
        said(tmp_path, lie, name)
    assert outcome.read_told(tmp_path) is None
    assert outcome.read_validated(tmp_path) in (None, ("p",))
    progress = outcome.read_progress(tmp_path)
    assert progress is None or progress == outcome.Progress(fraction=None, text="")
    verdict = outcome.conclude(tmp_path, ended(0))
    assert verdict.kind == "exited"


def test_files_that_are_none_are_nothing(tmp_path: Path) -> None:
    said(tmp_path, GOOD, "elsewhere")
    makers: list[Callable[[Path], None]] = [
        lambda path: path.symlink_to(tmp_path / "elsewhere"),
        lambda path: path.symlink_to("/dev/zero"),
        os.mkfifo,
        os.mkdir,
    ]
    for number, make in enumerate(makers):
        folder = tmp_path / str(number)
        folder.mkdir()
        for name in ("outcome.json", "validated.json", "progress.json", "result"):
            make(folder / name)
        assert outcome.read_told(folder) is None
        assert outcome.read_validated(folder) is None
        assert outcome.read_progress(folder) is None
        with pytest.raises(OSError):
            outcome.open_result(folder)
    assert outcome.read_told(tmp_path / "nowhere") is None


def test_lies_that_are_well_formed_are_cut(tmp_path: Path) -> None:
    big = dict.fromkeys(ERROR, "x" * 5_000_000)
    said(tmp_path, {"kind": "validation", "error": ERROR, "problems": ["\udfff" * 5000] * 110})
    told = outcome.read_told(tmp_path)
    assert told is not None
    assert len(told.problems) == 100
    assert all(len(problem) <= 6 * 4096 for problem in told.problems)
    json.dumps([*told.problems]).encode()
    said(tmp_path, {"kind": "run_raised", "error": {**big, "message": "m"}})
    assert outcome.read_told(tmp_path) is None  # too large a file


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    found=st.recursive(
        st.none() | st.booleans() | st.floats() | st.sampled_from([*EXIT_CODES, "json", "x"]) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["kind", "error", "problems", "result", "message", "errorClass", "stack", "ok", "fraction", "text"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    ),
    code=st.sampled_from([0, 1, 3, 4, 70, -9]),
)
def test_whatever_is_said_there_is_a_verdict(tmp_path_factory: pytest.TempPathFactory, found: Any, code: int) -> None:
    folder = tmp_path_factory.getbasetemp() / "said"
    folder.mkdir(exist_ok=True)
    for name in ("outcome.json", "validated.json", "progress.json"):
        said(folder, found, name)
    outcome.read_progress(folder)
    outcome.read_validated(folder)
    verdict = outcome.conclude(folder, ended(code))
    assert (verdict.error is None) == (verdict.kind in ("finished", "stopped"))
    assert bool(verdict.problems) == (verdict.kind == "validation")
    assert verdict.kind in {*EXIT_CODES, "exited", "signalled"}
    assert json.dumps([verdict.error and verdict.error.to_wire()]).encode()


@pytest.mark.parametrize(
    ("end", "kind", "message"),
    [
        (Ended(how="exit", code=0, finished_us=1), "finished", None),
        (Ended(how="exit", code=0, finished_us=1, stop_reason="requested"), "stopped", None),
        (Ended(how="exit", signal=15, finished_us=1, stop_reason="requested"), "stopped", None),
        (Ended(how="never", finished_us=1), "stopped", None),
        (Ended(how="exit", signal=9, finished_us=1, stop_reason="time limit"), "limited", "time limit reached"),
        (Ended(how="exit", signal=11, finished_us=1), "signalled", "ended by SIGSEGV"),
        (Ended(how="exit", code=1, finished_us=1), "exited", "failed with error code 1"),
        (Ended(how="error", text="no such program", finished_us=1), "not_started", "no such program"),
        (Ended(how="lost", text="gone", finished_us=1), "lost", "gone"),
    ],
)
def test_the_keeper_has_the_last_word(end: Ended, kind: str, message: str | None) -> None:
    verdict = outcome.judge(end, Outcome(kind="finished", result_kind="json"))
    assert verdict.kind == kind
    assert (verdict.result_kind == "json") == (kind == "finished")
    if message is None:
        assert verdict.error is None
    else:
        assert verdict.error is not None
        assert message in verdict.error.message
        assert set(verdict.error.to_wire()) == set(ERROR)


def test_a_result_that_is_said_to_be_there_is_there(tmp_path: Path) -> None:
    said(tmp_path, GOOD)
    assert outcome.conclude(tmp_path, ended(0)).kind == "result_error"
    said(tmp_path, b"{", "result")
    assert outcome.conclude(tmp_path, ended(0)).kind == "result_error"
    said(tmp_path, b'{"a":1}', "result")
    assert outcome.conclude(tmp_path, ended(0)) == Outcome(kind="finished", result_kind="json")
    fd, size_bytes = outcome.open_result(tmp_path)
    try:
        assert os.read(fd, 100) == b'{"a":1}'
        assert size_bytes == 7
    finally:
        os.close(fd)
    said(tmp_path, {"kind": "finished", "result": {"kind": "stream"}})
    said(tmp_path, string.printable.encode(), "result")
    assert outcome.conclude(tmp_path, ended(0)).result_kind == "stream"
