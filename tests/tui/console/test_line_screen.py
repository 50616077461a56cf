"""The whole of one line, however long."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from jobdeck_client import ClientError
from jobdeck_tui.console.chunks import OVERLAP_BYTES, chunks_of, count_of
from jobdeck_tui.console.screens.line import LineScreen
from tests.tui.console.harness import screen_text, ui
from tests.tui.console.logs import Log, LongLine, stage

LENGTH = 100_000_000


@ui
async def test_a_line_of_100_mb_is_cut_and_can_be_gone_through() -> None:
    async with stage(LongLine(LENGTH)) as it:
        await it.see("000000000 000000010")
        assert "Enter" not in screen_text(it.app)
        await it.press("w", "G")
        await it.see("95.4 MiB more: Enter")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.see("Line 1 · 95.4 MiB", "000000000 000000010")
        await it.press("G")
        await it.see("099999980 099999990", "(100%)")
        await it.press("k", "g")
        await it.see("000000000 000000010")
        held = it.pane.view.text.pages.held_bytes
        assert held < 10_000
        assert sum(end - start for _, _, start, end, _ in it.asked("output")) < 4_000_000
        await it.press("y")
        await it.see("too long to copy")
        await it.press("escape")
        await it.until(lambda: it.app.screen is it.app.first)


@ui
async def test_all_of_a_line_is_shown_that_was_overwritten() -> None:
    async with stage(Log(b" 10 %\r 50 %\r\x1b[32m100 %\x1b[0m")) as it:
        await it.see("␍100 %")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.see(" 10 %␍ 50 %␍100 %")
        await it.press("y")
        await it.until(lambda: it.app.clipboard == "100 %")
        await it.press("escape")
        await it.until(lambda: it.app.screen is it.app.first)


@ui
async def test_why_a_line_cannot_be_had_is_told_whatever_the_words_look_like() -> None:
    async with stage(Log(b"one line")) as it:
        await it.see("one line")
        it.api.failing = ClientError("no [b]such[/oops] line")
        await it.press("enter")
        await it.until(lambda: isinstance(it.app.screen, LineScreen))
        await it.see("no [b]such[/oops] line")


@given(
    text=st.text(alphabet="ab\r日é🙂\u0301", max_size=200)
    | st.binary(max_size=200).map(lambda raw: raw.decode("latin")),
    size=st.integers(4, 40),
    data=st.data(),
)
def test_pieces_make_up_the_line_and_cut_no_character(text: str, size: int, data: st.DataObject) -> None:
    raw = text.encode()
    count = count_of(len(raw), size)
    first = data.draw(st.integers(0, count - 1))
    wanted = data.draw(st.integers(1, count - first))
    whole = chunks_of(raw, first=0, count=count, size=size)
    assert b"".join(chunk.data for chunk in whole) == raw.replace(b"\r", "␍".encode())
    for chunk in whole:
        chunk.data.decode()
    part = raw[first * size : (first + wanted) * size + OVERLAP_BYTES]
    assert chunks_of(part, first=first, count=wanted, size=size) == whole[first : first + wanted]


@given(raw=st.binary(max_size=300), size=st.integers(4, 40))
def test_bytes_that_are_no_text_are_not_lost(raw: bytes, size: int) -> None:
    whole = chunks_of(raw, first=0, count=count_of(len(raw), size), size=size)
    assert b"".join(chunk.data for chunk in whole) == raw.replace(b"\r", "␍".encode())
