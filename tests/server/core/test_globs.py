"""Globs: what is recorded of the original, what it is known to do oddly, and that nothing takes long.

That they are the original's is shown by tests/clients, where the original answers the same questions.
"""

from __future__ import annotations

import re
import time
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from jobdeck_server.core.automaton import Automaton, Subject, SyntaxFault
from jobdeck_server.core.braces import GlobError, expand
from jobdeck_server.core.globs import Glob

# What a job left, and what each pattern took of it
FILES = ["a.log", "d/a.log", "d/.hid", "d/e/f.txt", "job_stdout.txt", "job_stderr.txt", "executor_config.json"]


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("*.log", ["a.log"]),
        ("**/*.txt", ["d/e/f.txt", "job_stdout.txt", "job_stderr.txt"]),
        ("{a.log,d/**}", ["a.log", "d/a.log", "d/e/f.txt"]),
        ("d/.*", ["d/.hid"]),
        ("!*.log", [path for path in FILES if path != "a.log"]),
        ("#*", []),
        ("*", ["a.log", "job_stdout.txt", "job_stderr.txt", "executor_config.json"]),
        ("d/*", ["d/a.log"]),
        ("**", [path for path in FILES if path != "d/.hid"]),
        ("**/.*", ["d/.hid"]),
        ("**/*.log", ["a.log", "d/a.log"]),
        ("job_std+(out|err).txt", ["job_stdout.txt", "job_stderr.txt"]),
        ("job_std[eo]*", ["job_stdout.txt", "job_stderr.txt"]),
        ("job_std!(out).txt", ["job_stderr.txt"]),
        ("?.log", ["a.log"]),
    ],
)
def test_patterns_take_what_the_original_takes(pattern: str, taken: list[str]) -> None:
    glob = Glob(pattern)
    assert [path for path in FILES if glob.matches(path)] == taken


@pytest.mark.parametrize(
    ("pattern", "path", "taken"),
    [
        ("a", "a/", True),
        ("a/", "a", False),
        ("*", "", False),
        (" ", "", True),
        (" ", "/", False),
        (" a ", "a", True),
        ("!!a", "a", True),
        ("!", "a", True),
        ("!#a", "#a", False),
        (" #a", "#a", False),
        ("a//b", "a/b", True),
        ("**/b", "b", True),
        ("**/b", ".a/b", False),
        ("a/**", "a", False),
        ("a/**/b", "a/b", True),
        ("a**b", "axyb", True),
        ("a**b", "ax/yb", False),
        ("*", ".", False),
        (".*", "..", True),
        ("[.]a", ".a", False),
        ("[a-c]", "b", True),
        ("[!a-c]", "d", True),
        ("[^a-c]", "b", False),
        ("[]]", "]", True),
        ("[z-a]", "[z-a]", True),
        ("a[", "a[", True),
        ("*[", "x[", False),
        ("*[", "x[undefined", True),
        ("\\*", "*", True),
        ("\\*", "a", False),
        ("a\\", "a\\", True),
        ("*a\\", "a\\", True),
        ("+(a|b)", "abba", True),
        ("+(a|b)", "", False),
        ("*(a|b)c", "c", True),
        ("?(a)b", "aab", False),
        ("@(a|b)", "ab", False),
        ("*.!(x).!(y|z)", "a.xyz.yz", True),
        ("*.!(x).!(y|z)", "a.x.a", False),
        ("+(a", "+(a", True),
        ("a|b", "a|b", True),
        ("?", "\U0001f600", False),
        ("??", "\U0001f600", True),
        ("{1..3}", "2", True),
        ("{a}", "{a}", True),
        ("{a", "{a", True),
        ("*{a,b}", ".a", False),
        ("\n*", "\nx", False),
    ],
)
def test_corners(pattern: str, path: str, taken: bool) -> None:
    assert Glob(pattern).matches(path) is taken


@pytest.mark.parametrize(
    ("pattern", "expanded"),
    [
        ("a{b,c}d", ["abd", "acd"]),
        ("a{b,c{d,e}f}g", ["abg", "acdfg", "acefg"]),
        ("a{b,}c", ["abc", "ac"]),
        ("{a,b}{1..2}", ["a1", "a2", "b1", "b2"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{1..9..4}", ["1", "5", "9"]),
        ("{01..3}", ["01", "02", "03"]),
        ("{-1..1}", ["-1", "0", "1"]),
        ("{a..e..2}", ["a", "c", "e"]),
        ("{1..2..0}", ["1", "2"]),
        ("${a,b}{c,d}", ["${a,b}{c,d}"]),
        ("{a},b}", ["a}", "b"]),
        ("{},a}b", ["{},a}b"]),
        ("a{},b}c", ["a}c", "abc"]),
        ("{{a,b}}", ["{a}", "{b}"]),
        ("a\\{b,c}", ["a{b,c}"]),
        ("{a\\,b,c}", ["a,b", "c"]),
        ("a{2..}b", ["a{2..}b"]),
        ("{a,{b}", ["{a,{b}"]),
        ("{,a}", ["a"]),
    ],
)
def test_braces(pattern: str, expanded: list[str]) -> None:
    assert expand(pattern) == expanded


@pytest.mark.parametrize(
    "pattern",
    [
        "{1..99999999}",
        "{a,b}" * 20,
        "{" * 500 + "a,b" + "}" * 500,
        "!(a)" * 40,
        "{1..9999}*a*b*c*d",
        "[" * 300,
        "a" * 5000,
    ],
)
def test_what_would_cost_too_much_is_refused(pattern: str) -> None:
    with pytest.raises(GlobError):
        Glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "b", "a" * 250),
        ("+(+(+(+(a))))b", "a" * 250),
        ("*(*(*(a|b)c)d)e", "abcd" * 60),
        ("**/a/" * 60 + "b", "a/" * 500 + "c"),
        ("!(!(!(*(a*)b)*)*)*", "a" * 250),
        ("{" + "," * 5000, "a"),
    ],
)
def test_no_pattern_stalls_the_one_who_asks(pattern: str, path: str) -> None:
    started = time.process_time()
    with suppress(GlobError):
        Glob(pattern).matches(path)
    assert time.process_time() - started < 5


PIECES = st.sampled_from(
    [
        "a",
        "b",
        ".",
        "/",
        "*",
        "**",
        "?",
        "[",
        "]",
        "[a-c]",
        "!",
        "(",
        ")",
        "|",
        "+(",
        "!(",
        "{",
        "}",
        ",",
        "..",
        "\\",
        "é",
    ]
)


@given(st.lists(PIECES, max_size=12).map("".join), st.text("ab./[]!+é", max_size=12))
@example("!(a", "a")
def test_any_pattern_is_taken_or_refused(pattern: str, path: str) -> None:
    try:
        glob = Glob(pattern)
    except GlobError:
        return
    taken = glob.matches(path)
    assert glob.matches(path) is taken
    if pattern and pattern == pattern.strip() and pattern[0] not in "#!":
        assert Glob("!" + pattern).matches(path) is not taken


@given(st.text("abc.-_*?[]{}()!+|,^$é\U0001f600", min_size=1, max_size=12))
def test_a_name_whose_every_character_is_escaped_takes_itself(name: str) -> None:
    pattern = "".join("\\" + character for character in name)
    assert Glob(pattern).matches(name)
    assert not Glob(pattern).matches(name + "x")


@given(st.lists(st.sampled_from(["a", "b", "[ab]", "[^a]", ".", "(?:a|b)", "a*", "(?:ab)+", "b?", "(?=a)", "(?!b)"])))
def test_the_automaton_matches_as_pythons_engine_does(pieces: list[str]) -> None:
    source = f"^{''.join(pieces)}$"
    machine = Automaton.compile(source)
    for text in ("", "a", "b", "ab", "ba", "aab", "abab", "abc", "cab"):
        assert machine.matches(Subject(text)) is (re.fullmatch(source, text) is not None), (source, text)


@pytest.mark.parametrize("source", ["(", ")", "[", "a**", "*", "[b-a]", "\\", "(?x)", "a{2,1}", "^*", "(?<=a)*", "{1}"])
def test_what_is_no_expression(source: str) -> None:
    with pytest.raises(SyntaxFault):
        Automaton.compile(source)
