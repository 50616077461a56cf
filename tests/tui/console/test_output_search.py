"""Searching a log from the pane: what is typed, what is found, and the way from hit to hit."""

from __future__ import annotations

import asyncio

import pytest

from jobdeck_client.errors import RefusedError
from jobdeck_tui.console.ansi import Tag
from jobdeck_tui.console.finder import Finder
from jobdeck_tui.console.logtext import NOW
from tests.tui.console.harness import screen_text, ui
from tests.tui.console.logs import JOB_ID, Log, LongLine, Stage, stage


def mixed() -> Log:
    """A hundred lines; those of the numbers 10, 20, ... are errors, and 55 has two in capitals."""
    lines = [b"line %d" % n + (b": an error" if n % 10 == 0 else b"") for n in range(1, 101)]
    lines[54] += b": Error, then Error"
    return Log(*lines)


async def search(it: Stage, pattern: str) -> None:
    await it.press("/")
    await it.until(lambda: it.pane.bar.typing)
    await it.press(*pattern)
    await it.until(lambda: it.pane.bar.pattern.endswith(pattern))


def hit_of(it: Stage) -> tuple[int, str] | None:
    """The hit that is marked as the one that was gone to: its line and its text."""
    first, last = it.pane.view.lines_seen
    for line in range(first, last + 1):
        shown = it.pane.view.text.laid(line).shown
        for tag in shown.tags:
            if tag.kind == NOW:
                return line, shown.text[tag.start : tag.end]
    return None


@ui
async def test_hits_are_found_while_typing_and_stepped_through() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        it.pane.view.go_to(30)
        await search(it, "error")
        await it.until(lambda: hit_of(it) == (39, "error"))
        await it.see("4 of 12")
        await it.press("enter", "n")
        await it.until(lambda: hit_of(it) == (49, "error"))
        assert it.pane.view.has_focus
        await it.press("N", "N")
        await it.until(lambda: hit_of(it) == (29, "error"))
        await it.see("3 of 12")
        await it.press("escape")
        await it.until(lambda: not it.pane.search.active)
        assert hit_of(it) is None
        assert it.pane.view.cursor_line == 29


@ui
async def test_one_goes_on_at_the_other_end() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        it.pane.view.go_to(94)
        await search(it, "error")
        await it.press("enter", "n")
        await it.until(lambda: hit_of(it) == (9, "error"))
        await it.see("from the start · 1 of 12")
        await it.press("N")
        await it.until(lambda: hit_of(it) == (99, "error"))
        await it.see("from the end · 12 of 12")


@ui
async def test_esc_while_typing_goes_back() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        await search(it, "line 10:")
        await it.until(lambda: hit_of(it) == (9, "line 10:"))
        assert not it.pane.view.follow
        await it.press("escape")
        await it.until(lambda: it.pane.view.follow)
        await it.see("line 100")
        assert not it.pane.search.active


@ui
async def test_case_and_regular_expressions() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        it.pane.view.go_to(0)
        await search(it, "ERROR")
        await it.see("1 of 12")
        await it.press("alt+c")
        await it.see("nothing found")
        await it.press("escape")
        await it.until(lambda: not it.pane.bar.typing)
        await it.press("/", "alt+r")
        await it.until(lambda: it.pane.bar.typing)
        await it.press("backspace", *"E[a-z]+r")
        await it.until(lambda: hit_of(it) == (54, "Error"))
        await it.see("1 of 2")


@ui
async def test_what_is_no_regular_expression_is_told() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        await it.press("/")
        await it.until(lambda: it.pane.bar.typing)
        await it.press("alt+r")
        await it.pilot.pause()  # the toggle asks at once, and is not to ask for the beginning of what follows
        await it.press(*"a(b")
        await it.see("missing )")
        assert it.asked("find") == []


@ui
async def test_more_hits_than_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobdeck_tui.console.search.HITS_LIMIT_COUNT", 50)
    async with stage(Log(*[b"same"] * 55)) as it:
        await it.until(lambda: it.pane.view.line_count == 55)
        await search(it, "same")
        await it.see("50+")
        await it.press("enter", "G")
        await it.until(lambda: it.pane.view.follow)
        await it.press("N")
        await it.until(lambda: hit_of(it) == (53, "same"))


@ui
async def test_what_was_written_since_is_found_too() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        await search(it, "error")
        await it.press("enter")
        await it.see("of 12")
        it.write(b"a late error\n")
        it.pane.view.go_to(99)
        await it.press("n")
        await it.until(lambda: it.pane.view.cursor_line == 100)


@ui
async def test_a_newer_pattern_takes_the_place_of_the_one_under_way() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        gate = it.api.gate = asyncio.Event()
        await search(it, "line")
        await it.until(lambda: len(it.asked("find")) == 2)
        it.api.gate = None
        await it.press(*" 100")
        await it.see("1 of 1")
        gate.set()
        await asyncio.sleep(0)
        await it.see("1 of 1")


@ui
async def test_a_refusal_is_told() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        it.api.failing = RefusedError(503, "Busy", "Four searches are under way.")
        await search(it, "x")
        await it.see("It could not be searched")
        await it.until(lambda: it.pane.bar.told == "Four searches are under way.")


@ui
async def test_a_hit_out_of_sight_is_scrolled_to() -> None:
    async with stage(Log(b"x" * 1000 + b"needle" + b"x" * 1000)) as it:
        await it.until(lambda: it.pane.view.line_count == 1)
        await search(it, "needle")
        await it.see("needlexx")
        assert it.pane.view.frame.left > 900


@ui
async def test_a_hit_deep_in_a_wrapped_line_is_scrolled_to() -> None:
    async with stage(Log(b"first", b"x" * 2000 + b"needle" + b"x" * 2000, b"last")) as it:
        await it.see("last")
        await it.press("w")
        await it.see("wrapped")
        await search(it, "needle")
        await it.see("xneedlex")
        assert it.pane.view.cursor_line == 1


@ui
async def test_a_hit_far_into_a_long_line_is_told() -> None:
    async with stage(LongLine(100_000)) as it:
        await it.until(lambda: it.pane.view.line_count == 1)
        await search(it, "000009990")
        await it.see("further on in this line: Enter")


@ui
async def test_another_job_ends_the_search() -> None:
    async with stage(mixed()) as it:
        await it.see("line 100")
        await search(it, "error")
        await it.until(lambda: it.pane.search.active)
        it.pane.show_job(None)
        await it.see("no job is selected")
        assert not it.pane.search.active
        assert not it.pane.bar.has_class("-open")
        it.pane.show_job(JOB_ID)
        await it.see("line 100")
        assert "error" in screen_text(it.app)


@pytest.mark.parametrize(
    ("pattern", "how", "data", "wanted"),
    [
        ("a.c", {}, b"abc a.c", [(4, 7)]),
        ("a.c", {"regex": True}, b"abc a.c", [(0, 3), (4, 7)]),
        ("x*", {"regex": True}, b"axxb", [(1, 3)]),
        ("ERR", {"case": False}, b"err Err", [(0, 3), (4, 7)]),
        ("日", {}, "今日 日".encode(), [(3, 6), (7, 10)]),
        (".", {"regex": True}, b"\xff\xfea", [(2, 3)]),
        ("^b|d$", {"regex": True}, b"b d", [(0, 1), (2, 3)]),
    ],
)
def test_marks_are_where_the_server_finds(
    pattern: str, how: dict[str, bool], data: bytes, wanted: list[tuple[int, int]]
) -> None:
    assert [(tag.start, tag.end) for tag in Finder(pattern, **how).tags(data)] == wanted


@ui
async def test_a_hit_is_gone_to_before_the_log_is_known_to_be_so_long() -> None:
    """As when its other stream was asked for a moment ago."""
    async with stage(mixed()) as it:
        await it.see("line 100")
        it.pane.view.go_to(0)
        it.pane.view.text.pages.clear()
        it.pane.view.go_to(54, hit=Tag(0, 4, NOW))
        assert it.pane.view.cursor_line == 54
        await it.until(lambda: hit_of(it) == (54, "line"))
