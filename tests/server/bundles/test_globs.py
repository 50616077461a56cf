"""Patterns: the reference's rows, what minimatch 3.0.3 was seen to do, a slow matcher that is obviously right."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.bundles import globsteps
from jobdeck_server.core.bundles.errors import PatternError
from jobdeck_server.core.bundles.globparse import parse
from jobdeck_server.core.bundles.globs import Patterns
from jobdeck_server.core.bundles.limits import PatternLimits


def taken(patterns: list[str], files: list[str]) -> list[str]:
    wanted = Patterns(patterns)
    return [each for each in files if wanted.matches(each)]


# a job of the reference left these (section 5)
LEFT = ["a.log", "d/a.log", "d/.hid", "d/e/f.txt", "executor_config.json", "job_stderr.txt", "job_stdout.txt"]


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], LEFT),
        (["*.log"], ["a.log"]),
        (["**/*.txt"], ["d/e/f.txt", "job_stderr.txt", "job_stdout.txt"]),
        (["{a.log,d/**}"], ["a.log", "d/a.log", "d/e/f.txt"]),
        (["d/.*"], ["d/.hid"]),
        (["!*.log"], [each for each in LEFT if each != "a.log"]),
        (["#*.log"], []),
        (["#*.log", "d/.*", "a.log"], ["a.log", "d/.hid"]),
        (["job_*"], ["job_stderr.txt", "job_stdout.txt"]),
        (["job_+(std)@(out|err).txt"], ["job_stderr.txt", "job_stdout.txt"]),
        ([""], []),
    ],
)
def test_the_rows_of_the_reference(patterns: list[str], expected: list[str]) -> None:
    assert taken(patterns, LEFT) == expected


NAMES_TEXT = (
    "a b c ab ac abc aa aaa ba abab xa xb xaa xab a.log d/a.log d/.hid .hid .d/x d/e/f.txt a/b a/b/c x/.a x/.y/z x/y/z "
    "(a) * ? a*b [a] !a #a {a} {} {a,b} a,b a] a\\ \\ ] - ^ ^a $a ${a,b} x(a (a @(a +(a a|b (a|b) 1 2 3 01 02 03 10 é "
    "foo.js foo.js.js foo. a..b ... ..a A z [c-a] {1..b} a(bc) 😀"
)
NAMES = NAMES_TEXT.split()

# pattern -> which of NAMES, as minimatch 3.0.3 tells it; but that it counts the last one as two characters
RECORDED = {
    "?": "a b c * ? \\ ] - ^ 1 2 3 é A z 😀",
    "[a-c]": "a b c",
    "[!a]": "b c * ? \\ ] - ^ 1 2 3 é A z 😀",
    "[^a-z]": "* ? \\ ] - ^ 1 2 3 é A 😀",
    "[]a]": "a ]",
    "[-a]": "a -",
    "[a-]": "a -",
    "[\\]]": "]",
    "[*]": "*",
    "[\\^a]": "a ^",
    "[[:alpha:]]": "a]",
    "[[]a]": "[a]",
    "[a\\]": "[a]",
    "\\*": "*",
    "a\\*b": "a*b",
    "a\\": "a\\",
    "\\\\": "\\",
    "\\d": "",
    "\\#a": "#a",
    "\\!a": "!a",
    "\\.hid": ".hid",
    "!!a": "a",
    " a ": "a",
    "{a}": "{a}",
    "{}": "{}",
    "{a,b}": "a b",
    "{a,{b,c}}": "a b c",
    "a{,b}": "a ab",
    "{a,}{b,}": "a b ab",
    "{{a,b},c}": "a b c",
    "{{a,b}}": "{a}",
    "${a,b}": "${a,b}",
    "\\{a,b\\}": "{a,b}",
    "{a\\,b}": "{a,b}",
    "{1..3}": "1 2 3",
    "{3..1}": "1 2 3",
    "{01..03}": "01 02 03",
    "{1..03}": "01 02 03",
    "{1..10..3}": "1 10",
    "{a..c}": "a b c",
    "{a..c..2}": "a c",
    "{1..b}": "{1..b}",
    "{a/b,c}": "c a/b",
    "a**": "a ab ac abc aa aaa abab a.log a*b a,b a] a\\ a|b a..b a(bc)",
    "**/a": "a",
    "**/.hid": "d/.hid .hid",
    "**/.*": "d/.hid .hid x/.a ... ..a",
    ".*/**": ".d/x",
    ".*": ".hid ... ..a",
    "a/**": "a/b a/b/c",
    "a/**/b": "a/b",
    "a/**/c": "a/b/c",
    "*/**": "d/a.log d/e/f.txt a/b a/b/c x/y/z",
    "**/.y/**": "x/.y/z",
    "a//b": "a/b",
    "[.]hid": "",
    "?hid": "",
    "*(.)hid": "",
    "@(.hid|x)": "",
    "{.hid,a}": "a .hid",
    "./a": "",
    "/a": "",
    "a/": "",
    "..": "",
    "...": "...",
    "+(a|b)": "a b ab aa aaa ba abab",
    "*(a|b)c": "c ac abc",
    "?(a|b)?(b)": "a b ab",
    "@(a|)": "a",
    "@(a|@(b|c))": "a b c",
    "*(a|{b,c})": "a b c ab ac aa aaa ba abab",
    "a@(b|c)": "ab ac",
    "a@(\\|)b": "a|b",
    "@([)a])": "a",
    "@(a(b)c)": "a(bc)",
    "@(a/b)": "",
    "(a|b)": "(a|b)",
    "a|b": "a|b",
    "@(a": "@(a",
    "*(a": "x(a (a @(a +(a",
    "+(ab)": "ab abab",
    "x!(a)": "xb xaa xab x(a",
    "x!(a|b)": "xaa xab x(a",
    "x!(a)*": "xb x(a",
    "x!(*)": "",
    "x!()": "xa xb xaa xab x(a",
    "a!(b)c": "ac",
    "*.!(js)": "a.log foo.js.js foo. a..b {1..b}",
    "x@(!(a))": "xb xaa xab x(a",
}


@pytest.mark.parametrize("pattern", RECORDED)
def test_as_the_original_was_seen_to_do(pattern: str) -> None:
    assert taken([pattern], NAMES) == sorted(RECORDED[pattern].split(), key=NAMES.index)


@pytest.mark.parametrize("pattern", ["!(a)", "!(a|b)", "!a", "!{a,b}", "!*(a|b)", "!**/*", "!!!a"])
def test_a_leading_mark_turns_all_of_it_round(pattern: str) -> None:
    body = pattern.lstrip("!")
    assert taken([pattern], NAMES) == [each for each in NAMES if each not in taken([body], NAMES)]


def test_sets_read_as_shells_read_them() -> None:
    # the original takes the first for something else, and drops the escape of the second
    assert taken(["[!]a]"], NAMES) == [each for each in taken(["?"], NAMES) if each not in ("a", "]")]
    assert taken(["[a\\-c]"], NAMES) == ["a", "c", "-"]
    assert taken(["[c-a]"], NAMES) == []
    assert taken(["[c-az]"], NAMES) == ["z"]


def test_one_of_many_is_enough() -> None:
    files = [f"out/{number:04d}.dat" for number in range(300)]
    assert taken([f"out/{number:04d}.*" for number in range(0, 300, 3)], files) == files[::3]
    assert taken(["out/{0000..0299..3}.dat"], files) == files[::3]
    assert taken(["*.none", "!out/0*"], files) == []


def test_names_that_are_no_text_do_no_harm() -> None:
    for pattern in ("*", "x@(!(a))", "!a", "[!a]?"):
        Patterns([pattern]).matches("\udc80")
        Patterns([pattern]).matches("x\n\ud800")
    assert Patterns(["*"]).matches("a\nb")


# -- limits --


@pytest.mark.parametrize(
    "pattern",
    [
        "{1..5001}",
        "{1..999999999999999}",
        "{-999999999999999..999999999999999..-7}",
        "{a,b}" * 400,
        "{a,b}{c,d}" * 30,
        "{" * 40 + "a,b" + "}" * 40,
        "{" * 4000,
        "@(" * 30 + ")" * 30,
        "x" * 4097,
        "é" * 2049,
        "a\0b",
        "\ud800",
        "{" + "x" * 2000 + ",}" + "{1..900}",
        "x" * 100 + "{1..4000}",
    ],
)
def test_over_a_limit(pattern: str) -> None:
    with pytest.raises(PatternError) as caught:
        Patterns([pattern])
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 200


def test_limits_hold_for_a_whole_list() -> None:
    Patterns(["{1..5}", "{1..5}"], PatternLimits(count=10))
    with pytest.raises(PatternError):
        Patterns(["{1..5}", "!{1..6}"], PatternLimits(count=10))
    with pytest.raises(PatternError):
        Patterns(["a"] * 11, PatternLimits(count=10))


DEEP = "/".join(["a" * 250] * 16)
HOSTILE = [
    ["*a" * 2000 + "b"],
    ["**/" * 1300 + "b"],
    ["**/a*/" * 600 + "b"],
    ["*(*(*(*(*(a)))))b"],
    ["+(+(a|aa)+(aa|a))" * 100 + "b"],
    ["?" * 4000],
    ["[!b]*" * 800],
    ["*(" * 16 + "a" + ")" * 16 + "b"],
    ["x@(!(a))" * 500],
    ["**/@(!(*b))*(!(a)|@(!(!(a*))))" * 100],
    ["*(a|*(a|*(a|*(!(b)c))))" * 100],
    ["{a,b,c,d}" * 4 + "*" * 100 + "{1..3}"],
    ["*(" * 999],
    ["[" * 4000],
    ["!" * 4000 + "a"],
    ["**/*a*/{1..1000}/*a*"],
]


@pytest.mark.parametrize("number", range(len(HOSTILE)))
def test_hostile_patterns_end(number: int) -> None:
    begin = time.thread_time()
    wanted = Patterns(HOSTILE[number])
    for path in (DEEP, DEEP + "b", "a" * 255, "a/" * 2000 + "b", "ab" * 127, "a"):
        wanted.matches(path)
    assert time.thread_time() - begin < 10  # of this thread's own time: what backtracks would take years


# -- against a matcher that tries everything --


def slow_part(pattern: str, name: str) -> bool:
    if not pattern:
        return not name
    head, rest = pattern[0], pattern[1:]
    if head == "*":
        return slow_part(rest, name) or (name != "" and slow_part(pattern, name[1:]))
    if head == "[":
        inside, _, rest = rest.partition("]")
        negated = inside[0] == "!"
        inside = inside.removeprefix("!")
        members = {chr(code) for code in range(ord(inside[0]), ord(inside[-1]) + 1)}
        return name != "" and (name[0] in members) != negated and slow_part(rest, name[1:])
    return name != "" and (head == "?" or head == name[0]) and slow_part(rest, name[1:])


def slow(pattern: list[str], path: list[str]) -> bool:
    if not pattern:
        return not path
    if pattern[0] == "**" and len(pattern) == 1:
        return bool(path) and not any(part.startswith(".") for part in path)
    if pattern[0] == "**":
        return slow(pattern[1:], path) or (bool(path) and not path[0].startswith(".") and slow(pattern, path[1:]))
    if not path or (path[0].startswith(".") and not pattern[0].startswith(".")):
        return False
    return slow_part(pattern[0], path[0]) and slow(pattern[1:], path[1:])


PIECES = st.sampled_from(["a", "b", ".", "*", "?", "[a-b]", "[!a-a]", "-"])
PARTS = st.one_of(st.just("**"), st.lists(PIECES, min_size=1, max_size=4).map("".join))
PATTERNS = st.lists(PARTS, min_size=1, max_size=4).map("/".join)
PATHS = st.lists(st.text("ab.-", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)


@settings(max_examples=250, deadline=None)
@given(PATTERNS, st.lists(PATHS, min_size=1, max_size=10))
def test_both_ways_agree_with_trying_everything(pattern: str, paths: list[str]) -> None:
    wanted = Patterns([pattern])
    nodes = parse(pattern)
    for path in paths:
        expected = slow(pattern.split("/"), path.split("/"))
        marked = ("/" + path).replace("/.", "/\0.")[1:]
        assert wanted.matches(path) is expected
        assert globsteps.match(nodes, marked) is expected


GROUPS = st.recursive(
    st.lists(PIECES, min_size=1, max_size=3).map("".join),
    lambda inner: st.builds(
        lambda kind, alternatives, tail: f"{kind}({'|'.join(alternatives)}){tail}",
        st.sampled_from("+*?@"),
        st.lists(inner, min_size=1, max_size=3),
        st.sampled_from(["", "a", "*"]),
    ),
    max_leaves=6,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(GROUPS, st.lists(PATHS, min_size=1, max_size=10))
def test_both_ways_agree_on_groups(pattern: str, paths: list[str]) -> None:
    wanted = Patterns([pattern])
    nodes = parse(pattern)
    for path in paths:
        assert globsteps.match(nodes, ("/" + path).replace("/.", "/\0.")[1:]) is wanted.matches(path)
        # an alternative that can be anything but what the group takes, one step away
        assert Patterns([f"!{pattern}"]).matches(path) is not wanted.matches(path)


@settings(max_examples=200, deadline=None)
@given(st.text("ab.*?[]!{},()|+@\\/-1#$^ é", max_size=40), PATHS)
def test_any_text_is_a_pattern(pattern: str, path: str) -> None:
    with suppress(PatternError):
        Patterns([pattern]).matches(path)
