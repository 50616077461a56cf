"""The sanitiser: what it lets through, and that no cut of the stream changes that."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pyte
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_tui.sanitise import Sanitiser, clean, clean_line

SGR = re.compile(r"\x1b\[[0-9]+(;[0-9]+)*m")
BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"

# Each is told to a terminal by some job. Nothing of them may reach it as a control.
PAYLOADS: list[tuple[bytes, str]] = [
    # operating system commands: clipboard, links, titles, colours, working folder, notifications, files
    (b"\x1b]52;c;cm0gLXJmIC8=\x07", "␛]52;c;cm0gLXJmIC8=␇"),
    (b"\x1b]52;c;cm0gLXJmIC8=\x1b\\", "␛]52;c;cm0gLXJmIC8=␛\\"),
    (b"\x1b]52;c;?\x07", "␛]52;c;?␇"),
    (b"\x1b]8;;http://evil/\x1b\\good\x1b]8;;\x1b\\", "␛]8;;http://evil/␛\\good␛]8;;␛\\"),
    (b"\x1b]0;title\x07", "␛]0;title␇"),
    (b"\x1b]2;title\x1b\\", "␛]2;title␛\\"),
    (b"\x1b]4;1;?\x07", "␛]4;1;?␇"),
    (b"\x1b]7;file:///tmp\x07", "␛]7;file:///tmp␇"),
    (b"\x1b]9;note\x07", "␛]9;note␇"),
    (b"\x1b]1337;File=inline=1:AAAA\x07", "␛]1337;File=inline=1:AAAA␇"),
    (b"\x1b]133;A\x07", "␛]133;A␇"),
    # control sequences: clear, move, scroll, ask, modes, alternate screen, mouse, paste, reports
    (b"\x1b[2J", "␛[2J"),
    (b"\x1b[3J", "␛[3J"),
    (b"\x1b[H", "␛[H"),
    (b"\x1b[10;10H", "␛[10;10H"),
    (b"\x1b[A\x1b[2K", "␛[A␛[2K"),
    (b"\x1b[6n", "␛[6n"),
    (b"\x1b[5n", "␛[5n"),
    (b"\x1b[c", "␛[c"),
    (b"\x1b[>c", "␛[>c"),
    (b"\x1b[?1049h", "␛[?1049h"),
    (b"\x1b[?1000h", "␛[?1000h"),
    (b"\x1b[?2004l", "␛[?2004l"),
    (b"\x1b[21t", "␛[21t"),
    (b"\x1b[1;5r", "␛[1;5r"),
    (b"\x1b[>4;2m", "␛[>4;2m"),
    (b"\x1b[?4m", "␛[?4m"),
    (b"\x1b[1 m", "␛[1 m"),
    (b"\x1b[1\n31m", "␛[1\n31m"),
    (b"\x1b[4h", "␛[4h"),
    (b"\x1b[" + b"1" * 200 + b"m", "␛[" + "1" * 200 + "m"),
    # other escapes: reset, charset, strings of all kinds, keypad, index
    (b"\x1bc", "␛c"),
    (b"\x1b(0", "␛(0"),
    (b"\x1bP$qm\x1b\\", "␛P$qm␛\\"),
    (b"\x1bP+q544e\x1b\\", "␛P+q544e␛\\"),
    (b"\x1b_Gf=24;AAAA\x1b\\", "␛_Gf=24;AAAA␛\\"),
    (b"\x1b^private\x1b\\", "␛^private␛\\"),
    (b"\x1bX string\x1b\\", "␛X string␛\\"),
    (b"\x1b#8", "␛#8"),
    (b"\x1b=", "␛="),
    (b"\x1bM", "␛M"),
    (b"\x1b\x1b[2J", "␛␛[2J"),
    # single controls
    (b"a\x07b", "a␇b"),
    (b"secret\x08\x08\x08", "secret␈␈␈"),
    (b"\x0e\x0f", "␎␏"),
    (b"\x05", "␅"),
    (b"\x0b\x0c", "␋␌"),
    (b"\x00\x7f", "␀␡"),
    # C1, as UTF-8 and as raw bytes
    (b"\xc2\x9b2J", "<U+009B>2J"),
    (b"\xc2\x9b31m", "<U+009B>31m"),
    (b"\xc2\x9d52;c;AA\xc2\x9c", "<U+009D>52;c;AA<U+009C>"),
    (b"\xc2\x90q\xc2\x9c", "<U+0090>q<U+009C>"),
    (b"\xc2\x85", "<U+0085>"),
    (b"\x9b2J", "\ufffd2J"),
    (b"\x9d52;c;AA\x9c", "\ufffd52;c;AA\ufffd"),
    # text that reads otherwise than it runs, and broken text
    ("user\u202enimda\u2066x\u2069".encode(), "user<U+202E>nimda<U+2066>x<U+2069>"),
    ("\u200f\u061c\u200e".encode(), "<U+200F><U+061C><U+200E>"),
    ("a\u2028b\u2029c".encode(), "a<U+2028>b<U+2029>c"),
    ("\U000e0041\ufeff".encode(), "<U+E0041><U+FEFF>"),
    (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
    (b"\xc0\x9b", "\ufffd\ufffd"),
    (b"\xf8\x88\x80\x80\x80", "\ufffd" * 5),
    (b"\xe2\x82", "\ufffd"),
    # the start of a sequence at the end of the stream
    (b"\x1b", "␛"),
    (b"\x1b[", "␛["),
    (b"\x1b[31", "␛[31"),
]

STYLES: list[tuple[bytes, str]] = [
    (b"\x1b[31mred\x1b[0m", "\x1b[31mred\x1b[0m"),
    (b"\x1b[mreset", "\x1b[0mreset"),
    (b"\x1b[1;4;38;5;208mx", "\x1b[1;4;38;5;208mx\x1b[0m"),
    (b"\x1b[48;2;1;2;3mx", "\x1b[48;2;1;2;3mx\x1b[0m"),
    (b"\x1b[38:2::1:2:3mx", "\x1b[38;2;1;2;3mx\x1b[0m"),
    (b"\x1b[38:2:1:2:3mx", "\x1b[38;2;1;2;3mx\x1b[0m"),
    (b"\x1b[38:5:9mx", "\x1b[38;5;9mx\x1b[0m"),
    (b"\x1b[4:3mx", "\x1b[4mx\x1b[0m"),
    (b"\x1b[4:0mx", "\x1b[24mx\x1b[0m"),
    (b"\x1b[;31mx", "\x1b[0;31mx\x1b[0m"),
    (b"\x1b[031mx", "\x1b[31mx\x1b[0m"),
    (b"\x1b[97;107mx\x1b[m", "\x1b[97;107mx\x1b[0m"),
    # known codes stay, the others go: conceal, blink, fonts, unknown ones
    (b"\x1b[8mhidden", "hidden"),
    (b"\x1b[5;31mx", "\x1b[31mx\x1b[0m"),
    (b"\x1b[12;73;999mx", "x"),
    # nothing after a malformed one
    (b"\x1b[1;38;5;256;31mx", "\x1b[1mx\x1b[0m"),
    (b"\x1b[1;38;9;1mx", "\x1b[1mx\x1b[0m"),
    (b"\x1b[38;5mx", "x"),
    (b"\x1b[38;2;1;2mx", "x"),
    (b"\x1b[38mx", "x"),
    (b"\x1b[1111mx", "x"),
    (b"\x1b[38:5:1:2mx", "x"),
    (b"\x1b[38;5;1:2mx", "x"),
]

PLAIN: list[bytes] = [
    b"",
    b"one\ntwo\r\nthree\ttabs\n",
    b" 10 %\r 20 %\r100 %\n",
    "zażółć gęślą jaźń 日本語 🙂 👩\u200d💻 \u0645\u06cc\u200c\u062e e\u0301\n".encode(),
]


class Answering(pyte.Screen):
    """A terminal that remembers what it would type into the shell."""

    def __init__(self, columns: int, lines: int) -> None:
        super().__init__(columns, lines)
        self.typed: list[str] = []

    def write_process_input(self, data: str) -> None:
        self.typed.append(data)


def whole(data: bytes) -> str:
    sanitiser = Sanitiser()
    return sanitiser.feed(data) + sanitiser.close()


def assert_safe(text: str) -> None:
    rest = SGR.sub("", text)
    for character in rest:
        if character in "\n\t\r":
            continue
        assert unicodedata.category(character) not in ("Cc", "Cs", "Zl", "Zp"), repr(character)
        assert character not in BIDI, repr(character)


def test_there_are_payloads_enough() -> None:
    assert len({payload for payload, _ in PAYLOADS}) >= 40


@pytest.mark.parametrize(("payload", "wanted"), PAYLOADS)
def test_payload_becomes_visible(payload: bytes, wanted: str) -> None:
    assert whole(payload) == wanted
    assert_safe(wanted)


@pytest.mark.parametrize(("payload", "wanted"), STYLES)
def test_styles_are_written_anew(payload: bytes, wanted: str) -> None:
    assert whole(payload) == wanted
    assert_safe(wanted)


@pytest.mark.parametrize("payload", PLAIN)
def test_plain_text_passes(payload: bytes) -> None:
    assert whole(payload) == payload.decode()


@pytest.mark.parametrize(("payload", "wanted"), [*PAYLOADS, *STYLES])
def test_cut_at_every_byte(payload: bytes, wanted: str) -> None:
    for cut in range(len(payload) + 1):
        sanitiser = Sanitiser()
        assert sanitiser.feed(payload[:cut]) + sanitiser.feed(payload[cut:]) + sanitiser.close() == wanted
    single = Sanitiser()
    assert "".join(single.feed(payload[i : i + 1]) for i in range(len(payload))) + single.close() == wanted


def test_only_an_unfinished_sequence_is_kept_back() -> None:
    sanitiser = Sanitiser()
    assert sanitiser.feed(b"prompt> ") == "prompt> "
    assert sanitiser.feed(b"x\x1b[3") == "x"
    assert sanitiser.feed(b"1m") == "\x1b[31m"
    assert sanitiser.feed(b"\xe2\x82") == ""
    assert sanitiser.feed(b"\xac") == "€"
    assert sanitiser.close() == "\x1b[0m"
    assert sanitiser.close() == ""


noise = st.lists(
    st.one_of(
        st.binary(max_size=6),
        st.sampled_from([payload for payload, _ in [*PAYLOADS, *STYLES]]),
        st.from_regex(rb"\x1b\[[0-9:;<=>? ]{0,12}[@-~]", fullmatch=True),
        st.text(max_size=6).map(lambda text: text.encode("utf-8", "replace")),
        st.characters(categories=["Cc", "Cf", "Zl", "Zp"]).map(lambda text: text.encode()),
    ),
    max_size=12,
).map(b"".join)


@given(data=noise)
def test_nothing_else_comes_out(data: bytes) -> None:
    assert_safe(whole(data))


@given(data=noise, cuts=st.lists(st.integers(0, 100), max_size=6))
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    sanitiser = Sanitiser()
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert "".join(map(sanitiser.feed, pieces)) + sanitiser.close() == whole(data)


@given(data=noise)
def test_a_terminal_never_answers(data: bytes) -> None:
    """What comes out makes a terminal neither type, nor set its title, nor leave its colours on."""
    screen = Answering(80, 24)
    pyte.Stream(screen).feed(whole(data))
    assert screen.typed == []
    assert (screen.title, screen.icon_name) == ("", "")
    assert screen.cursor.attrs == screen.default_char


@given(text=st.text() | noise.map(lambda data: data.decode("utf-8", "surrogateescape")))
def test_one_line_is_one_line(text: str) -> None:
    line = clean_line(text)
    assert_safe(line)
    assert not set("\x1b\n\r\t") & set(line)
    line.encode("utf-8")


def test_clean_text_keeps_lines_and_colours() -> None:
    assert clean("a\n\x1b[31mb\x07") == "a\n\x1b[31mb␇\x1b[0m"
    assert clean_line("a\n\x1b[31mb\x07\tc") == "a␊b␇␉c"
