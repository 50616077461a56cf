"""The small parts of the output pane: words for shells and files, lines that are meant, what is copied and saved."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import pytest
from textual.content import Content

from jobdeck_client.errors import UnreachableError
from jobdeck_protocol.job import JobState, Step
from jobdeck_tui.console.api import Api
from jobdeck_tui.console.copying import TooMuchError, copy_of
from jobdeck_tui.console.logmodel import LogLine
from jobdeck_tui.console.saving import save_log, target
from jobdeck_tui.console.screens.goto import line_of
from jobdeck_tui.console.selection import Selection, Spot
from jobdeck_tui.console.shell import attach_command, log_name
from jobdeck_tui.console.widgets.output_bars import Foot, Head, Place
from tests.tui.console.harness import ui
from tests.tui.console.logs import JOB_ID, FakeApi, Log, job_of, stage
from tests.tui.console.test_logmodel import FakeLine


def test_the_command_that_attaches_is_safe_in_a_shell() -> None:
    job = job_of("x; rm -rf ~\x1b[2J")
    command = attach_command(job, "http://127.0.0.1:8080", stream="stderr")
    assert command == "jobdeck attach 'x; rm -rf ~␛[2J' --server http://127.0.0.1:8080 --stream stderr"


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("make -j8 all", "make-j8-all-0a1b2c3d.log"),
        ("../../etc/passwd; \x1b[2J", "etc-passwd-2J-0a1b2c3d.log"),
        ("…", "job-0a1b2c3d.log"),
        ("x" * 500, "x" * 40 + "-0a1b2c3d.log"),
    ],
)
def test_names_for_logs(command: str, name: str) -> None:
    assert log_name(job_of(steps=(Step(command_line=command),))) == name
    assert log_name(job_of(steps=(Step(command_line="make"),)), stream="stderr") == "make-0a1b2c3d-stderr.log"


@pytest.mark.parametrize(
    ("text", "line"),
    [("1", 0), ("100", 99), ("1,000", 99), ("0", 0), ("-1", 99), ("-1000", 0), ("50%", 50), ("100 %", 99)]
    + [(text, None) for text in ("", "x", "%", "1.5", "nan%", "inf%", "--1")],
)
def test_lines_that_are_meant(text: str, line: int | None) -> None:
    assert line_of(text, 100) == line


def test_where_a_log_is_saved(tmp_path: Path) -> None:
    assert target(str(tmp_path), "name.log") == tmp_path / "name.log"
    assert target(f" {tmp_path}/other ", "name.log") == tmp_path / "other"
    assert target("~/x", "name.log") == Path.home() / "x"
    for nothing in ("", "  ", "a\0b"):
        with pytest.raises(ValueError, match="needs a name"):
            target(nothing, "name.log")


@ui
async def test_a_log_is_saved_whole_or_not_at_all(tmp_path: Path) -> None:
    log = Log(*[b"line"] * 100)
    fake = FakeApi({JOB_ID: job_of()}, {JOB_ID: log})
    api = cast("Api", fake)
    path = tmp_path / "log"
    told: list[int] = []
    assert await save_log(api, JOB_ID, path, told.append) == 500
    assert (path.read_bytes(), told[-1]) == (b"line\n" * 100, 500)
    path.write_bytes(b"mine")
    with pytest.raises(FileExistsError):
        await save_log(api, JOB_ID, path, told.append)
    fake.failing = UnreachableError("http://127.0.0.1", "gone")
    with pytest.raises(UnreachableError):
        await save_log(api, JOB_ID, tmp_path / "other", told.append)
    with pytest.raises(OSError, match="No such file"):
        await save_log(api, JOB_ID, tmp_path / "no" / "folder", told.append)
    assert [each.name for each in tmp_path.iterdir()] == ["log"]
    assert path.read_bytes() == b"mine"


@ui
async def test_what_is_copied() -> None:
    data = [b"zero\tx", b"\x1b[31mone\x1b[0m two", b"three", b"x" * 2_000_000]

    async def fetch(start: int, count: int) -> Sequence[LogLine]:
        found = range(start, min(start + count, len(data)))
        return [FakeLine(n, length=len(data[n]) + (n == 2), data=data[n]) for n in found]

    whole = Selection(Spot(0), Spot(1), whole=True)
    assert await copy_of(whole, fetch) == ("zero\tx\none two\n", False)
    assert await copy_of(Selection(Spot(1, 4), Spot(0, 2)), fetch) == ("ro    x\none ", False)
    assert await copy_of(Selection(Spot(2), Spot(2), whole=True), fetch) == ("three", True)
    with pytest.raises(TooMuchError):
        await copy_of(Selection(Spot(3), Spot(3), whole=True), fetch)
    with pytest.raises(TooMuchError, match="100,001 lines"):
        await copy_of(Selection(Spot(0), Spot(100_000), whole=True), fetch)


@pytest.mark.parametrize("width", [20, 34, 60, 80, 160])
@ui
async def test_the_two_bars_fit_any_width(width: int) -> None:
    job = job_of(state=JobState.FAILED, exit_code=3, steps=(Step(command_line="make 日本 \x1b[2J" * 20),))
    async with stage(size=(width, 12)) as it:
        head, foot = it.pane.query_one(Head), it.pane.query_one(Foot)
        head.job, head.stream, head.brief = job, "stderr", "paused, 12 new"
        foot.place = Place(line=4, line_count=10**7, size_bytes=2**30, behind_count=12, follow=False, trouble="x" * 300)
        foot.modes = "wrapped"
        for bar in (head, foot):
            shown = bar.render()
            assert isinstance(shown, Content)
            assert shown.cell_length <= bar.content_size.width
            assert "\x1b" not in shown.plain
        assert head.render().plain.startswith("✗ exit 3")
