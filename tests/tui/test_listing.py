"""The table of jobs and the words for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, JobState, Step
from jobdeck_tui.commands.listing import short_ids, table
from jobdeck_tui.terminal import fit, width
from jobdeck_tui.words import age, bytes_text, ending, exit_code, signal_number, span

NOW_US = 1_800_000_000_000_000


def job(number: int = 0, command: str = "make test", **fields: Any) -> Job:
    made = Job(
        id=f"{number:08x}-0000-4000-8000-000000000000",
        dialect="v1",
        steps=(Step(command_line=command),),
        created_us=NOW_US - 60_000_000,
    )
    return replace(made, **fields)


def shown(jobs: list[Job], limit: int | None = 80) -> list[str]:
    return ["  ".join(line.cells).rstrip() for line in table(jobs, now_us=NOW_US, limit=limit)]


def test_the_table() -> None:
    jobs = [
        job(1, state=JobState.RUNNING, started_us=NOW_US - 59_000_000),
        job(2, "exit 3", state=JobState.FAILED, exit_code=3, started_us=NOW_US - 60_000_000, finished_us=NOW_US),
        job(3, state=JobState.STOPPED, signal=9, started_us=NOW_US - 60_000_000, finished_us=NOW_US - 59_800_000),
        job(4, state=JobState.QUEUED, note="waiting for disk space"),
    ]
    assert shown(jobs) == [
        "ID        STATE    END      AGE  TOOK  COMMAND",
        "00000001  running           60s  59s   make test",
        "00000002  failed   3        60s  60s   exit 3",
        "00000003  stopped  SIGKILL  60s  0.2s  make test",
        "00000004  queued            60s        make test  (waiting for disk space)",
    ]


@pytest.mark.parametrize("limit", [80, 60, 40])
def test_it_fits(limit: int) -> None:
    jobs = [
        job(1, "x" * 300, labels=("nightly", "a-long-label-of-some-team")),
        job(2, "日本語" * 40),
        job(3, "a\nb\x1b[2J\u202e"),
    ]
    lines = shown(jobs, limit)
    assert max(map(width, lines)) <= max(limit, len("ID        STATE   END  AGE  TOOK  LABELS  COMMAND"))
    assert "a b␛[2" in lines[3]
    assert not set("\x1b\n\u202e") & set("".join(lines))
    assert all("…" in line for line in lines[1:3])


def test_a_pipe_gets_it_whole() -> None:
    assert "x" * 300 in shown([job(1, "x" * 300)], None)[1]


def test_short_ids_stay_apart() -> None:
    jobs = [replace(job(), id="12345678-aaaa"), replace(job(), id="12345678-abcd"), replace(job(), id="99")]
    assert short_ids(jobs) == ["12345678-aa", "12345678-ab", "99"]
    assert short_ids([jobs[0], jobs[0]])[0] == "12345678-aaaa"


@pytest.mark.parametrize(
    ("fields", "code", "word"),
    [
        ({"state": JobState.SUCCEEDED, "exit_code": 0}, 0, "0"),
        ({"state": JobState.FAILED, "exit_code": 3}, 3, "3"),
        ({"state": JobState.FAILED, "signal": 15, "error": "time limit of 1 s reached"}, 143, "SIGTERM"),
        ({"state": JobState.STOPPED, "signal": 9}, 137, "SIGKILL"),
        ({"state": JobState.STOPPED, "exit_code": 0}, 0, "0"),
        ({"state": JobState.STOPPED}, 143, "not started"),
        ({"state": JobState.FAILED, "error": "command not found: x"}, 127, "not started"),
        ({"state": JobState.FAILED, "error": "./x: No such file or directory"}, 127, "not started"),
        ({"state": JobState.FAILED, "error": "./x: Permission denied"}, 126, "not started"),
        ({"state": JobState.FAILED, "error": "working directory x: No such file or directory"}, 126, "not started"),
        ({"state": JobState.LOST}, 125, "unknown"),
        ({"state": JobState.RUNNING}, 125, ""),
    ],
)  # fmt: skip
def test_how_it_ended(fields: dict[str, Any], code: int, word: str) -> None:
    ended = job(**fields)
    assert (exit_code(ended), ending(ended)) == (code, word)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.0s"),
        (9.94, "9.9s"),
        (10, "10s"),
        (119, "119s"),
        (120, "2m"),
        (7199, "120m"),
        (7200, "2h"),
        (172800, "2d"),
    ],
)
def test_spans(seconds: float, text: str) -> None:
    assert span(seconds) == text
    assert age(0, int(seconds * 1e6)) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1536 * 1024, "1.5 MiB"), (200 * 1024**3, "200 GiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert bytes_text(count) == text


@pytest.mark.parametrize(("word", "number"), [("15", 15), ("TERM", 15), ("sigkill", 9), ("SIGUSR1", 10), ("34", 34)])
def test_signals(word: str, number: int) -> None:
    assert signal_number(word) == number


@pytest.mark.parametrize("word", ["", "0", "65", "-1", "NOPE", "SIG", "Handlers", "_member_map_", "²"])
def test_no_signals(word: str) -> None:
    with pytest.raises(ValueError, match="there is no signal"):
        signal_number(word)


@given(text=st.text(), limit=st.integers(1, 40))
def test_fitted_text_fits(text: str, limit: int) -> None:
    assert width(fit(text, limit)) <= limit
