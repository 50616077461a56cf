"""The output pane on logs under control: what it shows, what it asks for, and what its keys do."""

from __future__ import annotations

import asyncio
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from jobdeck_client.errors import UnreachableError
from jobdeck_protocol.job import JobState
from jobdeck_tui.console.logmodel import Anchor
from jobdeck_tui.console.settings import LINES_PAGES_LIMIT_COUNT
from tests.tui.console.harness import screen_text, ui
from tests.tui.console.logs import JOB_ID, OTHER_ID, START_US, EndlessLog, Log, job_of, stage
from tests.tui.test_sanitise import PAYLOADS, assert_safe


def numbered(count: int) -> Log:
    return Log(*(b"line %d" % (n + 1) for n in range(count)))


# -- following --


@ui
async def test_it_opens_at_the_end_and_follows() -> None:
    async with stage(numbered(100)) as it:
        await it.see("line 100")
        assert it.pane.view.lines_seen[1] == 99
        assert it.asked("open") == [("open", JOB_ID)]
        assert list(it.app.fake.watched.values()) == [(JOB_ID, None)]
        for n in range(101, 104):
            it.write(b"line %d\n" % n)
            await it.see(f"line {n}")
        assert it.pane.view.follow
        # The end alone was asked for: as many lines as fill the window.
        assert {(start, count) for _, _, start, count, _ in it.asked("lines")} == {(-20, 20)}


@ui
async def test_one_question_at_a_time_however_fast_it_grows() -> None:
    async with stage(numbered(100)) as it:
        await it.see("line 100")
        before = len(it.asked("lines"))
        it.api.gate = asyncio.Event()
        for n in range(200):
            it.write(b"more %d\n" % n)
            await asyncio.sleep(0)
        await it.until(lambda: len(it.asked("lines")) == before + 1)
        it.api.gate.set()
        it.api.gate = None
        await it.see("more 199")
        assert len(it.asked("lines")) <= before + 3


@ui
async def test_upward_pauses_and_the_end_follows_again() -> None:
    async with stage(numbered(100)) as it:
        await it.see("line 100")
        await it.press("k")
        await it.until(lambda: not it.pane.view.follow)
        await it.see("paused")
        it.write(b"".join(b"new %d\n" % n for n in range(30)))
        await it.see("paused, 30 new")
        assert "line 99" in screen_text(it.app)
        assert "new 29" not in screen_text(it.app)
        await it.press("G")
        await it.see("new 29")
        assert it.pane.view.follow
        await it.press("f")
        await it.until(lambda: not it.pane.view.follow)
        await it.press("f")
        await it.until(lambda: it.pane.view.follow)


@ui
async def test_the_footer_tells_the_action() -> None:
    async with stage(numbered(5), size=(120, 24)) as it:
        await it.see("line 5")
        await it.see("f Pause")
        await it.press("f")
        await it.see("f Follow")


# -- moving --


@ui
async def test_one_press_is_one_row_and_all_lines_can_be_reached() -> None:
    async with stage(numbered(30)) as it:
        view = it.pane.view
        await it.until(lambda: view.cursor_line == 29)
        seen = [29]
        for key in ["k"] * 3 + ["up"] * 27:
            await it.press(key)
            wanted = max(0, seen[-1] - 1)
            await it.until(lambda: view.cursor_line == wanted)  # noqa: B023  # called before the next round
            seen.append(wanted)
        assert seen[-2:] == [0, 0]
        await it.press("j", "down", "j")
        await it.until(lambda: view.cursor_line == 3)


@pytest.mark.slow
@ui
async def test_ten_million_lines_are_a_few_pages() -> None:
    async with stage(EndlessLog(10_000_000)) as it:
        view = it.pane.view
        await it.see("line 00000010000000")
        await it.press("g")
        await it.see("line 00000000000001")
        await it.press("space")
        await it.see("line 00000000000039")
        for line in range(0, 10_000_000, 100_000):
            view.go_to(line)
            await it.until(partial(view.text.pages.holds, line, line))
        await it.see("line 00000009900001")
        assert len(view.text.pages) == LINES_PAGES_LIMIT_COUNT
        await it.press("end")
        await it.see("line 00000010000000")
        assert max(count for _, _, _, count, _ in it.asked("lines")) <= 256


@ui
async def test_rows_that_are_not_there_yet_have_their_numbers() -> None:
    async with stage(EndlessLog(1000)) as it:
        await it.see("line 00000000001000")
        it.api.gate = asyncio.Event()
        await it.press("g")
        await it.see("\n   1")
        assert "line 00000000000001" not in screen_text(it.app)
        it.api.gate.set()
        it.api.gate = None
        await it.see("   1  line 00000000000001")


@ui
async def test_the_scroll_bar_moves_the_log() -> None:
    async with stage(EndlessLog(100_000)) as it:
        view = it.pane.view
        await it.until(lambda: view.line_count == 100_000)
        view.scroll_to(y=50_000, animate=False)
        await it.see("line 00000000050001")
        assert not view.follow
        view.scroll_page_up()
        assert view.lines_seen[0] == 50_000 - 19


@ui
async def test_going_to_a_line() -> None:
    async with stage(EndlessLog(1000)) as it:
        view = it.pane.view
        await it.until(lambda: view.line_count == 1000)
        for typed, line in (("500", 499), ("50%", 500), ("-1", 999), ("99999", 999)):
            await it.press(":")
            await it.dialog()
            await it.press(*typed, "enter")
            await it.until(lambda: it.app.screen is it.app.first)
            await it.see(f"line {line + 1:014d}")
            await it.until(partial(lambda line: view.cursor_line == line, line))
        await it.press("ctrl+g")
        await it.dialog()
        await it.press("x", "enter")
        await it.until(lambda: it.app.screen.query(".-wrong"))
        await it.press("escape")
        await it.until(lambda: it.app.screen is it.app.first)
        assert view.cursor_line == 999


# -- how it looks --


@ui
async def test_wrapping_keeps_the_line_and_counts_rows() -> None:
    log = Log(*(b"%d " % n + b"x" * 200 for n in range(50)))
    async with stage(log) as it:
        view = it.pane.view
        await it.until(lambda: view.line_count == 50)
        view.go_to(10)
        top = view.rows[0].line
        await it.press("w")
        await it.see("wrapped")
        assert view.rows[:4] == [Anchor(top), Anchor(top, 1), Anchor(top, 2), Anchor(top + 1)]
        await it.press("j")
        await it.until(lambda: view.rows[0] == Anchor(top, 1))
        await it.press("G")
        await it.until(lambda: view.rows[-1] == Anchor(49, 2))
        await it.pilot.resize_terminal(60, 24)
        await it.until(lambda: view.rows[-1] == Anchor(49, 3))
        await it.press("w")
        await it.until(lambda: view.rows[-1] == Anchor(49))


@ui
async def test_sideways() -> None:
    async with stage(Log(b"a" * 40 + b"b" * 40 + b"c" * 40, b"short")) as it:
        await it.see("short")
        assert "»" in screen_text(it.app)
        assert "c" * 10 not in screen_text(it.app)
        await it.press("right")
        await it.until(lambda: "c" * 10 in screen_text(it.app))
        assert "«" in screen_text(it.app)
        await it.press("left", "h")
        await it.until(lambda: "a" * 40 in screen_text(it.app))


@ui
async def test_times() -> None:
    async with stage(Log(b"one", b"two")) as it:
        await it.see("two")
        await it.press("t")
        await it.see(":20.000  one")
        await it.press("t")
        await it.see("+0:00:01.000  two")
        await it.press("t", "#")
        await it.see("\n one\n two\n")


@ui
async def test_streams_are_told_apart_and_chosen() -> None:
    log = Log()
    log.write(b"out\n")
    log.write(b"err\n", "stderr")
    async with stage(log) as it:
        await it.see("▎err")
        assert "  out" in screen_text(it.app)
        await it.press("o")
        await it.until(lambda: "only stdout" in screen_text(it.app) and "err" not in screen_text(it.app))
        await it.press("o")
        await it.until(lambda: "only stderr" in screen_text(it.app) and " err" in screen_text(it.app))
        assert "▎" not in screen_text(it.app)
        await it.press("o")
        await it.see("▎err")
        assert [key for _, key in sorted(it.app.fake.watched.items())] == [(JOB_ID, None)]


@ui
async def test_nothing_of_the_output_reaches_the_terminal_as_a_control() -> None:
    log = Log(*(raw.replace(b"\n", b" ") for raw, _ in PAYLOADS))
    async with stage(log, size=(100, len(PAYLOADS) + 6)) as it:
        await it.until(lambda: it.pane.view.line_count == len(PAYLOADS))
        await it.see("␛]52;c;cm0gLXJmIC8=␇")
        for line in screen_text(it.app).splitlines():
            assert_safe(line)


@ui
async def test_a_small_pane_has_what_matters() -> None:
    async with stage(numbered(50), size=(40, 9)) as it:
        await it.see("line 50")
        await it.see("● following")
        assert it.pane.has_class("-compact")


# -- marks, selecting, copying --


@ui
async def test_marks() -> None:
    async with stage(EndlessLog(1000)) as it:
        view = it.pane.view
        await it.until(lambda: view.line_count == 1000)
        view.go_to(99)
        await it.press("m")
        await it.see("── marked ")
        view.go_to(499)
        await it.press("m", "[")
        await it.until(lambda: view.cursor_line == 99)
        await it.press("]")
        await it.until(lambda: view.cursor_line == 499)
        it.pane.show_job(OTHER_ID)
        await it.see("the other")
        assert "marked" not in screen_text(it.app)
        it.pane.show_job(JOB_ID)
        await it.until(lambda: view.line_count == 1000)
        assert set(view.text.marks) == {99, 499}


@ui
async def test_a_mark_below_the_last_row_is_seen() -> None:
    async with stage(numbered(100)) as it:
        view = it.pane.view
        await it.see("line 100")
        view.go_to(10)
        view.stand_at(view.window.height - 1)
        line = view.cursor_line
        await it.press("m")
        await it.see("── marked ")
        assert view.cursor_line == line
        await it.press("G", "m")
        await it.until(lambda: view.rows[-1] == Anchor(99, 1))
        it.write(b"after\n")
        await it.see("after")


@ui
async def test_lines_are_selected_and_copied() -> None:
    async with stage(Log(b"one\ttab", b"\x1b[31mtwo\x1b[0m", b"three", b"four\x07")) as it:
        await it.until(lambda: it.pane.view.cursor_line == 3)
        await it.press("y")
        await it.until(lambda: it.app.clipboard == "four␇")
        await it.press("v", "k", "k", "k")
        await it.until(lambda: it.pane.place().chosen == "4 lines selected: y copies")
        await it.press("y")
        await it.until(lambda: it.app.clipboard == "one\ttab\ntwo\nthree\nfour␇\n")
        assert it.pane.view.selection is None
        await it.press("Y")
        await it.until(lambda: "attach" in it.app.clipboard)
        assert it.app.clipboard == f"jobdeck attach {JOB_ID} --server http://127.0.0.1:8080"


@ui
async def test_too_much_is_not_copied() -> None:
    async with stage(EndlessLog(10_000)) as it:
        view = it.pane.view
        await it.until(lambda: view.line_count == 10_000)
        await it.press("v", "g", "y")
        await it.see("too many to copy")
        assert it.app.clipboard == ""


@ui
async def test_the_mouse_selects_characters() -> None:
    async with stage(Log(b"hello world", b"second line")) as it:
        view = it.pane.view
        await it.see("second")
        gutter = view.frame.gutter
        await it.pilot.mouse_down(view, offset=(gutter + 6, 0))
        await it.pilot.hover(view, offset=(gutter + 6, 1))
        await it.pilot.mouse_up(view, offset=(gutter + 6, 1))
        await it.press("y")
        await it.until(lambda: it.app.clipboard == "world\nsecond")
        await it.pilot.click(view, offset=(gutter + 8, 0), times=2)
        await it.press("ctrl+c")
        await it.until(lambda: it.app.clipboard == "world")


# -- which job --


@ui
async def test_only_the_last_of_many_jobs_is_opened() -> None:
    async with stage(numbered(3), shown=None) as it:
        assert "no job is selected" in screen_text(it.app)
        it.api.gate = asyncio.Event()
        for n in range(50):
            it.pane.show_job(OTHER_ID if n % 2 == 0 else JOB_ID)
        await it.until(lambda: ("open", JOB_ID) in it.asked("open"))
        assert len(it.asked("open")) <= 2
        it.api.gate.set()
        await it.see("line 3")
        assert "the other" not in screen_text(it.app)
        assert list(it.app.fake.state.open) in ([JOB_ID], [OTHER_ID, JOB_ID])
        it.pane.show_job(None)
        await it.see("no job is selected")
        assert it.app.fake.watched == {}


@ui
async def test_an_answer_for_the_former_job_is_dropped() -> None:
    async with stage(numbered(3)) as it:
        await it.see("line 3")
        gate = it.api.gate = asyncio.Event()
        it.write(b"late\n")
        await it.until(lambda: len(it.asked("lines")) >= 2)
        it.api.gate = None
        it.pane.show_job(OTHER_ID)
        await it.see("the other")
        gate.set()
        await it.pilot.pause()
        assert "late" not in screen_text(it.app)


@pytest.mark.parametrize(
    ("state", "changes", "words"),
    [
        (JobState.QUEUED, {"started_us": None}, "waiting to start"),
        (JobState.STARTING, {"started_us": None}, "starting"),
        (JobState.RUNNING, {}, "no output yet"),
        (JobState.SUCCEEDED, {"exit_code": 0}, "it wrote nothing"),
        (JobState.SUCCEEDED, {"output_removed": True}, "its output was removed"),
        (JobState.FAILED, {"started_us": None, "error": "no such\x1b folder"}, "no such␛ folder"),
    ],
)
@ui
async def test_words_for_nothing(state: JobState, changes: dict[str, Any], words: str) -> None:
    async with stage(job=job_of(state=state, **changes)) as it:
        await it.until(lambda: words in screen_text(it.app))


@ui
async def test_a_job_that_is_not_there() -> None:
    async with stage(shown="12345678") as it:
        await it.see("There is no job 12345678.")


@ui
async def test_a_job_that_was_removed() -> None:
    async with stage(numbered(3)) as it:
        await it.see("line 3")
        it.app.fake.gone(JOB_ID)
        await it.see("this job was removed")
        assert "line 3" not in screen_text(it.app)


@ui
async def test_a_job_that_another_pane_closed_is_opened_again() -> None:
    async with stage(numbered(3)) as it:
        await it.see("line 3")
        it.app.fake.close(JOB_ID)
        await it.until(lambda: JOB_ID in it.app.fake.state.open)
        assert it.asked("open") == [("open", JOB_ID)] * 2


@ui
async def test_a_job_that_is_gone_when_it_is_opened_again() -> None:
    async with stage(numbered(3)) as it:
        await it.see("line 3")
        it.api.jobs.pop(JOB_ID)
        it.app.fake.close(JOB_ID)
        await it.see("this job was removed")
        it.app.fake.change()
        it.app.fake.change()
        await it.pilot.pause()
        assert it.asked("open") == [("open", JOB_ID)] * 2


@ui
async def test_how_far_the_index_is() -> None:
    async with stage(numbered(100)) as it:
        await it.see("line 100")
        it.app.fake.indexed = 0.456
        it.app.fake.tell_sizes()
        await it.see("indexing 45 %")
        it.app.fake.indexed = 1.0
        it.app.fake.tell_sizes()
        await it.see("● following")


@ui
async def test_what_failed_is_told_and_tried_again() -> None:
    async with stage(numbered(100)) as it:
        await it.see("line 100")
        it.api.failing = UnreachableError("http://127.0.0.1:8080", "gone")
        it.write(b"line 101\n")
        await it.see("No server answers")
        assert "line 100" in screen_text(it.app)
        it.api.failing = None
        await it.see("line 101")
        assert "No server answers" not in screen_text(it.app)


@ui
async def test_details() -> None:
    job = job_of(labels=("nightly", "x\x1b[2J"))
    async with stage(numbered(3), job=job, size=(100, 30)) as it:
        await it.see("line 3")
        await it.press("i")
        await it.see(f"jobdeck attach {JOB_ID}")
        assert "nightly, x␛[2J" in screen_text(it.app)
        assert "line 3" in screen_text(it.app)
        await it.pilot.resize_terminal(140, 30)
        await it.until(lambda: it.pane.has_class("-beside"))
        await it.press("i")
        await it.miss("nightly")


# -- lines that are not as others --


@ui
async def test_a_line_without_its_newline_grows() -> None:
    async with stage(Log(b"first", b"half", end=b"")) as it:
        await it.see("half")
        it.write(b"-whole")
        await it.see("half-whole")
        await it.press("f")
        await it.until(lambda: not it.pane.view.follow)
        it.write(b" and more\nnext\n")
        await it.see("half-whole and more")


@ui
async def test_a_progress_bar_shows_what_was_written_last() -> None:
    bar = b"".join(b"\r%3d %% of a long way" % (n // 10) for n in range(1001))
    async with stage(Log(b"begin", bar, end=b"")) as it:
        await it.see("␍100 % of a long way")
        it.write(b"\rdone, all of it is here")
        await it.see("␍done, all of it is here")
        assert all(end - start <= 4096 for _, _, start, end, _ in it.asked("output"))


@ui
async def test_times_are_the_lines_own() -> None:
    async with stage(Log(b"a"), job=job_of(started_us=START_US - 3_600_000_000)) as it:
        await it.until(lambda: it.pane.view.line_count == 1)
        await it.press("t", "t")
        await it.see("+1:00:00.000  a")


@ui
async def test_saving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told: list[str] = []
    async with stage(numbered(50), size=(120, 24)) as it:
        monkeypatch.setattr(it.app, "tell", told.append)
        await it.see("line 50")
        await it.press("s")
        await it.dialog()
        await it.see("0a1b2c3d.log")
        await it.press("enter")
        path = tmp_path / "make-all-0a1b2c3d.log"
        await it.until(lambda: told)
        assert told == [f"391 B saved to {path}"]
        assert path.read_bytes() == it.log.read(0, it.log.size(None), None)
        assert [each.name for each in tmp_path.iterdir()] == [path.name]

        await it.press("s")
        await it.dialog()
        await it.press("enter")
        await it.see("left as it is")
        await it.press("2")
        it.api.gate = asyncio.Event()
        await it.press("enter")
        await it.until(lambda: len(list(tmp_path.iterdir())) == 3)
        await it.press("escape")
        await it.until(lambda: it.app.screen is it.app.first)
        await it.until(lambda: [each.name for each in tmp_path.iterdir()] == [path.name])
