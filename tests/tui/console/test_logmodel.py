"""Which lines are held and asked for, and which rows a screen shows."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from jobdeck_tui.console.logmodel import Anchor, Ask, Pages, last_top, moved, rows_from
from jobdeck_tui.console.selection import Selection, Spot
from jobdeck_tui.console.settings import (
    LINES_ASKED_LIMIT_COUNT,
    LINES_HELD_LIMIT_BYTES,
    LINES_PAGE_COUNT,
    LINES_PAGES_LIMIT_COUNT,
)


@dataclass(frozen=True)
class FakeLine:
    n: int
    offset: int = 0
    length: int = 1
    newline: bool = True
    time_us: int = 0
    runs: tuple[tuple[int, str, int], ...] = ()
    data: bytes = b"x"


def lines(start: int, count: int) -> list[FakeLine]:
    return [FakeLine(n, offset=2 * n) for n in range(start, start + count)]


def pages_of(line_count: int) -> Pages:
    pages = Pages()
    pages.grow(line_count, 2 * line_count)
    return pages


def answer(pages: Pages, ask: Ask) -> None:
    pages.put(lines(ask.start, ask.lines))
    pages.settled(ask)


# -- pages --


def test_a_page_is_asked_for_once() -> None:
    pages = pages_of(1000)
    assert pages.wanted((300, 340)) == [Ask(256, 256)]
    assert pages.wanted((300, 340)) == []
    answer(pages, Ask(256, 256))
    assert pages.wanted((300, 340)) == []
    assert pages.get(300) == FakeLine(300, offset=600)
    assert pages.get(255) is None


def test_the_most_urgent_is_asked_for_first_and_at_most_eight() -> None:
    pages = pages_of(10**6)
    asks = pages.wanted((5000, 5040), (5041, 9000))
    assert asks[0] == Ask(4864, 256)
    assert len(asks) == LINES_ASKED_LIMIT_COUNT
    assert pages.wanted((0, 10)) == []
    pages.settled(asks[0])
    assert pages.wanted((0, 10)) == [Ask(0, 256)]


def test_what_failed_is_asked_for_again() -> None:
    pages = pages_of(100)
    assert pages.wanted((0, 40)) == [Ask(0, 100)]
    pages.settled(Ask(0, 100))
    assert pages.wanted((0, 40)) == [Ask(0, 100)]


def test_a_page_has_gaps_which_are_filled() -> None:
    pages = pages_of(1000)
    pages.put(lines(600, 50))
    assert pages.holds(600, 649)
    assert not pages.holds(599, 649)
    assert pages.wanted((600, 640)) == []
    assert pages.wanted((590, 640)) == [Ask(512, 256)]


def test_the_last_page_is_as_long_as_the_log_and_grows() -> None:
    pages = pages_of(300)
    assert pages.wanted((280, 320)) == [Ask(256, 44)]
    answer(pages, Ask(256, 44))
    assert pages.wanted((280, 320)) == []
    pages.grow(310, 620)
    assert pages.wanted((280, 320)) == [Ask(300, 10)]


def test_news_that_are_late_change_nothing() -> None:
    pages = pages_of(300)
    answer(pages, Ask(256, 44))
    pages.grow(290, 580)
    assert pages.line_count == 300
    assert pages.holds(256, 299)


def test_a_line_without_its_newline_is_asked_for_again_when_the_log_is_longer() -> None:
    pages = Pages()
    pages.grow(2, 7)
    pages.put([FakeLine(0), FakeLine(1, offset=4, length=3, newline=False)])
    assert pages.holds(0, 1)
    pages.grow(2, 9)
    assert not pages.holds(0, 1)
    assert pages.get(1) is not None
    assert pages.wanted((0, 40)) == [Ask(1, 1)]
    pages.put([FakeLine(1, offset=4, length=5, newline=False)])
    pages.settled(Ask(1, 1))
    assert pages.holds(0, 1)
    pages.grow(3, 12)
    pages.put([FakeLine(1, offset=4, length=6), FakeLine(2, offset=11, length=1, newline=False)])
    assert pages.holds(0, 2)


def test_nothing_is_asked_for_of_an_empty_log() -> None:
    assert Pages().wanted((0, 40), (-40, -1)) == []


def test_long_lines_are_held_within_a_limit() -> None:
    pages = pages_of(10**6)
    data = bytes(4096)
    for start in range(0, 64 * LINES_PAGE_COUNT, LINES_PAGE_COUNT):
        pages.put([FakeLine(n, data=data) for n in range(start, start + LINES_PAGE_COUNT)])
        assert pages.held_bytes <= LINES_HELD_LIMIT_BYTES
    assert pages.get(64 * LINES_PAGE_COUNT - 1) is not None
    assert pages.get(0) is None


@given(
    jumps=st.lists(st.tuples(st.integers(0, 199_999), st.integers(1, 80)), max_size=60),
    line_count=st.integers(0, 200_000),
)
def test_whatever_is_looked_at_is_held_afterwards_and_memory_is_bounded(
    jumps: list[tuple[int, int]], line_count: int
) -> None:
    pages = pages_of(line_count)
    for first, height in jumps:
        last = min(first + height, line_count) - 1
        while asks := pages.wanted((first, last)):
            for ask in asks:
                assert 0 <= ask.start < ask.start + ask.lines <= line_count
                answer(pages, ask)
        assert pages.holds(first, last)
        assert len(pages) <= LINES_PAGES_LIMIT_COUNT
        assert pages.held_bytes <= LINES_PAGES_LIMIT_COUNT * LINES_PAGE_COUNT


# -- rows --

heights = st.lists(st.integers(1, 7), min_size=1, max_size=40)


def all_rows(rows: list[int]) -> list[Anchor]:
    return [Anchor(line, row) for line, count in enumerate(rows) for row in range(count)]


@given(rows=heights, height=st.integers(1, 30), data=st.data())
def test_a_screen_is_a_window_on_all_rows(rows: list[int], height: int, data: st.DataObject) -> None:
    every = all_rows(rows)
    at = data.draw(st.integers(0, len(every) - 1))
    assert rows_from(every[at], height, len(rows), rows.__getitem__) == every[at : at + height]


@given(rows=heights, by=st.integers(-60, 60), data=st.data())
def test_moving_counts_rows_and_stops_at_the_ends(rows: list[int], by: int, data: st.DataObject) -> None:
    every = all_rows(rows)
    at = data.draw(st.integers(0, len(every) - 1))
    wanted = every[max(0, min(len(every) - 1, at + by))]
    assert moved(every[at], by, len(rows), rows.__getitem__) == wanted


@given(rows=heights, height=st.integers(1, 30))
def test_the_last_screen_ends_with_the_log(rows: list[int], height: int) -> None:
    every = all_rows(rows)
    assert last_top(height, len(rows), rows.__getitem__) == every[max(0, len(every) - height)]


def test_an_anchor_in_a_line_that_has_fewer_rows_now_is_its_last_row() -> None:
    assert rows_from(Anchor(0, 5), 3, 2, lambda _: 2) == [(0, 1), (1, 0), (1, 1)]
    assert moved(Anchor(1, 5), -1, 2, lambda _: 2) == (1, 0)


def test_an_empty_log_has_no_rows() -> None:
    assert rows_from(Anchor(0), 10, 0, lambda _: 1) == []
    assert last_top(10, 0, lambda _: 1) == (0, 0)


# -- selection --


def test_a_selection_of_characters() -> None:
    selection = Selection(Spot(5, 3), Spot(4, 10))
    assert (selection.first, selection.last, selection.line_count) == (4, 5, 2)
    assert [selection.span(line, 20) for line in (3, 4, 5, 6)] == [None, (10, 20), (0, 3), None]
    assert selection.span(4, 7) == (7, 7)
    assert not selection.empty
    assert selection.to(Spot(5, 3)).empty


def test_a_selection_of_lines() -> None:
    selection = Selection(Spot(5), Spot(5), whole=True)
    assert not selection.empty
    assert [selection.span(line, 20) for line in (4, 5, 6)] == [None, (0, 20), None]
