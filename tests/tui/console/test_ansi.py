"""One line laid out: safe, as wide as it says, and with what was said of its bytes at its characters."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_tui.console.ansi import Look, Shown, Tag, lay_out, plain_text
from jobdeck_tui.console.colours import Ground, contrast, style_of
from tests.tui.test_sanitise import PAYLOADS, STYLES, assert_safe, noise

line_noise = noise.map(lambda data: data.replace(b"\n", b"\r"))
runs_of_text = st.lists(
    st.one_of(
        st.text(alphabet="ab \t日e\u0301\u0301🙂é\u200d\ufe0f⚠", max_size=8).map(str.encode),
        st.sampled_from([b"\r", b"\r\x1b[K", b"\x1b[2K\r", b"\x1b[31m", b"\x1b[m\x1b[K", b"\x1b[1G", b"\xff", b"\x1b"]),
    ),
    max_size=10,
).map(b"".join)
any_line = line_noise | runs_of_text


def laid(data: bytes) -> str:
    return lay_out(data).text


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", ""),
        (b"plain text", "plain text"),
        (b"dos line\r", "dos line"),
        (b"a\tbc\tdefghijk\tl", "a       bc      defghijk        l"),
        ("日\tx".encode(), "日      x"),
        (b"\x1b[1mbold\x1b[0m\tx", "bold    x"),
        # progress bars
        (b" 10 %\r 20 %\r100 %", "␍100 %"),
        (b" 10 %\r 20 %\r", "␍ 20 %"),
        (b"\r\x1b[K 50 %\x1b[K", " 50 %"),
        (b"\x1b[2K\r 1/9\x1b[2K\r 2/9", "␍ 2/9"),
        (b"working\x1b[2K\x1b[1Gdone", "␍done"),
        (b"Downloading\rDone", "␍Doneloading"),
        (b"Downloading\r\x1b[KDone", "␍Done"),
        (b"Downloading\x1b[K\rDone", "␍Doneloading"),
        (b"spinner\r\x1b[K", "␍"),
        (b"\r\r\r", ""),
        ("日本\rx".encode(), "␍x 本"),
        # erasing to the end of the line does nothing where nothing stands
        (b"\x1b[01;31m\x1b[Kmatch\x1b[m\x1b[K rest", "match rest"),
        # but what was begun before it does not go on behind it
        (b"\x1b[3\x1b[K1m", "␛[31m"),
        (b"\x1b[3\r1m", "␍1m3"),
        # other erasing is shown
        (b"\x1b[2J\x1b[1K", "␛[2J␛[1K"),
        # bytes and characters
        (b"\xff\xfe ok", "\ufffd\ufffd ok"),
        (b"cut \xe2\x82", "cut \ufffd"),
        ("e\u0301tude".encode(), "e\u0301tude"),
        ("\u0301x".encode(), "◌\u0301x"),
        ("👩\u200d💻 ⚠\ufe0f".encode(), "👩💻 ⚠"),
        ("a\u202eb".encode(), "a<U+202E>b"),
    ],
)
def test_what_is_shown(data: bytes, wanted: str) -> None:
    assert laid(data) == wanted


@pytest.mark.parametrize(("payload", "wanted"), [pair for pair in PAYLOADS if b"\n" not in pair[0]])
def test_payloads_are_signs(payload: bytes, wanted: str) -> None:
    assert laid(b"<" + payload + b">").startswith("<")
    if b"\r" not in payload and b"\x1b[K" not in payload:
        assert laid(payload) == wanted


@pytest.mark.parametrize(("payload", "wanted"), STYLES)
def test_styles_leave_their_text(payload: bytes, wanted: str) -> None:
    assert laid(payload) == re.sub("\x1b\\[[0-9;]*m", "", wanted)


@pytest.mark.parametrize(
    ("codes", "look"),
    [
        ("31", Look(fg=1)),
        ("97;104", Look(fg=15, bg=12)),
        ("38;5;208;1", Look(fg=208, bold=True)),
        ("48;2;1;2;3;4", Look(bg=(1, 2, 3), underline=True)),
        ("1;2;3;7;9;53;22;27", Look(italic=True, strike=True, overline=True)),
        ("31;41;39;49", Look()),
        ("31;0;4", Look(underline=True)),
    ],
)
def test_looks(codes: str, look: Look) -> None:
    shown = lay_out(f"\x1b[{codes}mx".encode())
    assert (shown.text, shown.looks) == ("x", ((1, look),))


def test_each_line_begins_plain() -> None:
    assert lay_out(b"\x1b[31mred").looks == ((3, Look(fg=1)),)
    assert lay_out(b"next").looks == ((4, Look()),)


def test_what_is_begun_at_a_cut_is_left_out() -> None:
    assert lay_out("a€".encode()[:-1], cut=True).text == "a"
    assert lay_out(b"a\x1b[3", cut=True).text == "a"
    assert lay_out(b"a\r", cut=True).text == "a"


@pytest.mark.parametrize(
    ("data", "tag", "wanted"),
    [
        (b"one two", (4, 7), ["two"]),
        (b"\x1b[31mone\x1b[0m two", (5, 8), ["one"]),
        (b"\x1b[31mone\x1b[0m two", (0, 5), []),
        ("日本語".encode(), (3, 6), ["本"]),
        (b"a\tb", (1, 2), ["       "]),
        (b"a\x07b", (1, 2), ["␇"]),
        (b"ab\x9bcd", (2, 3), ["\ufffd"]),
        (b"first\rlast", (0, 5), ["t"]),
        (b"first\rlast", (6, 10), ["last"]),
        (b"first\x1b[2K\rlast", (0, 5), []),
        ("e\u0301x".encode(), (3, 4), ["x"]),
        (b"abc", (1, 99), ["bc"]),
    ],
)
def test_tags_come_back_at_their_characters(data: bytes, tag: tuple[int, int], wanted: list[str]) -> None:
    shown = lay_out(data, [Tag(*tag, "it")])
    assert [shown.text[start:end] for start, end, _ in shown.tags] == wanted


def check_whole(shown: Shown) -> None:
    """What holds of every line, whatever it was made from."""
    assert_safe(shown.text)
    assert "\r" not in shown.text
    assert "\t" not in shown.text
    assert shown.cells == cell_len(shown.text) == shown.cell_of(len(shown.text))
    ends = [end for end, _ in shown.looks]
    assert ends == sorted(set(ends))
    assert (ends or [0])[-1] == len(shown.text)
    for tag in shown.tags:
        assert 0 <= tag.start <= tag.end <= len(shown.text)


@pytest.mark.slow
@given(data=any_line)
def test_any_line_is_safe_and_as_wide_as_it_says(data: bytes) -> None:
    check_whole(lay_out(data))


@given(data=any_line, edges=st.lists(st.integers(0, 60), min_size=2, max_size=6))
def test_tags_change_nothing_but_themselves(data: bytes, edges: list[int]) -> None:
    tags = [Tag(min(pair), max(pair), "it") for pair in zip(edges[::2], edges[1::2], strict=False)]
    shown = lay_out(data, tags)
    check_whole(shown)
    bare = lay_out(data)
    assert (shown.text, shown.looks) == (bare.text, bare.looks)


@given(data=any_line, width=st.integers(2, 20))
def test_rows_hold_all_of_it_and_no_more_than_fits(data: bytes, width: int) -> None:
    shown = lay_out(data)
    starts = shown.rows(width)
    ends = [*starts[1:], len(shown.text)]
    assert starts[0] == 0
    assert starts == sorted(set(starts))
    for start, end in zip(starts, ends, strict=True):
        assert cell_len(shown.text[start:end]) <= width
        assert "".join(piece.text for piece in shown.pieces(start, end)) == shown.text[start:end]


@given(data=any_line)
def test_characters_and_cells_agree(data: bytes) -> None:
    shown = lay_out(data)
    for cell in range(shown.cells):
        index = shown.index_at(cell)
        assert shown.cell_of(index) <= cell < shown.cell_of(index + 1)
    assert shown.index_at(shown.cells) == len(shown.text)


@given(data=any_line)
def test_a_copy_is_safe_and_keeps_tabs(data: bytes) -> None:
    copy = plain_text(data)
    assert_safe(copy)
    assert "\x1b" not in copy
    assert "\r" not in copy


def test_a_copy_is_what_is_seen() -> None:
    assert plain_text(b"a\tb\x1b[31mc\x1b[0m\r") == "a\tbc"
    assert plain_text(b" 10 %\r100 %") == "100 %"
    assert plain_text("👩\u200d💻".encode()) == "👩\u200d💻"
    assert plain_text(b"nul\0") == "nul␀"


# -- colours --

GROUNDS = [
    Ground(text=(224, 224, 224), back=(18, 18, 18)),
    Ground(text=(20, 20, 20), back=(224, 224, 224), dark=False),
]
colours = st.none() | st.integers(0, 255) | st.tuples(*[st.integers(0, 255)] * 3)


@pytest.mark.parametrize("ground", GROUNDS)
@given(fg=colours, bg=colours, reverse=st.booleans(), dim=st.booleans())
def test_any_colours_can_be_read(
    ground: Ground, fg: int | tuple[int, int, int], bg: int | tuple[int, int, int], reverse: bool, dim: bool
) -> None:
    style = style_of(Look(fg=fg, bg=bg, reverse=reverse, dim=dim), ground)
    assert style.color is not None
    front = style.color.triplet
    behind = ground.back if style.bgcolor is None else style.bgcolor.triplet
    assert front is not None
    assert behind is not None
    assert contrast((front[0], front[1], front[2]), (behind[0], behind[1], behind[2])) >= 2.9


@pytest.mark.parametrize("ground", GROUNDS)
def test_the_sixteen_differ_and_keep_their_own(ground: Ground) -> None:
    styles = [style_of(Look(fg=number), ground) for number in range(16)]
    assert len({style.color for style in styles}) == 16
    red = styles[1].color
    assert red is not None
    assert red.triplet is not None
    assert red.triplet.red > max(red.triplet.green, red.triplet.blue)


def test_a_theme_of_the_terminals_colours_changes_nothing() -> None:
    ground = Ground(text=(0, 0, 0), back=(0, 0, 0), native=True)
    style = style_of(Look(fg=1, bg=17, bold=True), ground)
    assert (str(style), style_of(Look(), ground).color) == ("bold color(1) on color(17)", None)
