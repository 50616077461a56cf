"""Searches in logs: exact in both directions and in any slices, never in anybody's way, over when nobody listens."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import re2  # type: ignore[import-untyped]  # the package tells no types
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_server.core.errors import BadRequestError, OutputGoneError, UnavailableError
from jobdeck_server.core.find import OVERLAP_BYTES, WINDOW_BYTES, Done, FindQuery, Hit, Pattern, Progress, Search
from jobdeck_server.core.linelog import Log
from jobdeck_server.core.runs import Kind
from tests.server.core.harness import until
from tests.server.core.logs import ENDED, RUNNING, LogWriter, Shelf, indexed, shelf, split, tiny

WORDS = [
    b"a",
    b"b",
    b"ab",
    b"A",
    b"\n",
    b"\n",
    b" ",
    b"\r\n",
    b"\xff",
    "é".encode(),
    "É".encode(),
    b"aaaa",
    b"-",
    b"\0",
]
texts = st.lists(st.sampled_from(WORDS), max_size=60).map(b"".join)
short_lines = st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join)
LITERALS = ["a", "ab", "aa", "A", "é", "\r", "-", " ", "a b", "\0", "aaa", "(", "ba\r"]
REGEXES = [
    *("a", "a+", "a*", "^", "$", "^$", "^a", "a$", "b|^a", "[^a]+", r"\s+", r"\W+", r"\b", r"\B", "(?i)é", "(?s).+"),
    *(r"\n", r"a\n*b", r"[^b]$", r"\Aa", r"b\z", r"(?-m)^a", r"(?-m:a$)|b", r"a\C", r"[\n ]", "(a|ab)(b|-)?", r"\D{2}"),
    *("a??", "a*?b", r"\x00", r"(?U)a+", r"[[:^alpha:]]+", r"\PL+", "(?:^|b)a", r"\Qa b\E", "(?P<x>a)"),
]


def search(log: Log, **wanted: Any) -> tuple[list[Hit], Search]:
    query = FindQuery(stream=log.stream, **wanted)
    found = Search(log.folder, index=log.index, mark=log.index.mark, query=query, pattern=Pattern(query))
    hits: list[Hit] = []
    while not found.done:
        hits += found.step()
    found.close()
    return hits, found


def naive(data: bytes, start: int | None, *, backward: bool, spans: Any) -> list[Hit]:
    """The hits of each line by itself."""
    lines = split(data)
    if start is None:
        start = -1 if backward else 0
    if start < 0:
        start = max(0, len(lines) + start)
    found = [
        Hit(n, offset + begin, begin, end - begin)
        for n, (offset, line, _) in enumerate(lines)
        if (n <= start if backward else n >= start)
        for begin, end in spans(line)
    ]
    return found[::-1] if backward else found


def literal_spans(line: bytes, word: bytes) -> Iterator[tuple[int, int]]:
    at = line.find(word)
    while at >= 0:
        yield at, at + len(word)
        at = line.find(word, at + len(word))


def regex_spans(line: bytes, regex: str, *, case: bool) -> Iterator[tuple[int, int]]:
    options = re2.Options()
    options.case_sensitive, options.never_nl, options.log_errors = case, True, False
    compiled, at = re2.compile(regex.encode(), options), 0
    while at <= len(line) and (match := compiled.search(line, at)):
        yield match.span()
        at = match.end() + (match.end() == match.start())


def compare(log: Log, data: bytes, spans: Any, draw: st.DataObject, **wanted: Any) -> None:
    lines = split(data)
    start = draw.draw(st.none() | st.integers(-len(lines) - 1, len(lines) + 1))
    backward, limit = draw.draw(st.booleans()), draw.draw(st.sampled_from([1, 2, 5, 10_000]))
    expected = naive(data, start, backward=backward, spans=spans)
    hits, found = search(log, start=start, backward=backward, limit_count=limit, **wanted)
    assert hits == expected[:limit]
    assert (found.hits_count, found.more) == (len(hits), len(expected) >= limit)
    if found.more:
        assert found.line == hits[-1].line
    else:
        assert found.line == (0 if backward else data.count(b"\n"))


# -- exactness --


@given(st.data(), st.lists(st.tuples(st.sampled_from([Kind.STDOUT, Kind.STDERR]), texts), max_size=6))
@settings(max_examples=60, deadline=None)
def test_words_are_found_wherever_they_stand(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject, parts: list[tuple[Kind, bytes]]
) -> None:
    writer = LogWriter(tmp_path_factory.mktemp("job"))
    with tiny():
        for kind, piece in parts:
            writer.write(kind, piece)
        for stream in (None, Kind.STDOUT, Kind.STDERR):
            log, word = indexed(Log(writer.folder, stream)), draw.draw(st.sampled_from(LITERALS))
            compare(log, writer.data(stream), lambda line, w=word: literal_spans(line, w.encode()), draw, pattern=word)
            regex = re2.escape(word)
            compare(
                *(log, writer.data(stream), lambda line, r=regex: regex_spans(line, r, case=False), draw),
                pattern=word,
                case=False,
            )


@given(st.data(), st.lists(short_lines, max_size=20).map(b"\n".join), st.sampled_from(REGEXES), st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_regular_expression_sees_its_line_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject, text: bytes, regex: str, case: bool
) -> None:
    folder = tmp_path_factory.mktemp("job")
    (folder / "output").write_bytes(text)
    with tiny():
        log = indexed(Log(folder, None))
        # lines here are shorter than a window, which is what the promise needs
        compare(
            *(log, text, lambda line: regex_spans(line, regex, case=case), draw), pattern=regex, regex=True, case=case
        )


@given(
    st.data(), st.lists(st.sampled_from([b"a", b"ab", b"\xc3", "é".encode()]), min_size=20, max_size=150).map(b"".join)
)
@settings(max_examples=60, deadline=None)
def test_words_are_found_in_lines_of_many_windows(
    tmp_path_factory: pytest.TempPathFactory, draw: st.DataObject, line: bytes
) -> None:
    folder = tmp_path_factory.mktemp("job")
    text = b"a\n" + line + draw.draw(st.sampled_from([b"", b"\n", b"\nab"]))
    (folder / "output").write_bytes(text)
    with tiny():
        log, word = indexed(Log(folder, None)), draw.draw(st.sampled_from(["a", "aa", "aba", "aaaaa", "é", "ééa"]))
        compare(log, text, lambda line: literal_spans(line, word.encode()), draw, pattern=word)
        compare(log, text, lambda line: regex_spans(line, word, case=False), draw, pattern=word, case=False)


@pytest.mark.parametrize("word", ["aa", "aaa", "aaaaa"])
@pytest.mark.parametrize("head", [0, 1, 2, 3, 4])
def test_matches_over_the_edge_of_a_window_are_told_once(tmp_path: Path, word: str, head: int) -> None:
    line = b"b" * head + b"a" * 200
    (tmp_path / "output").write_bytes(line)
    expected = [Hit(0, begin, begin, end - begin) for begin, end in literal_spans(line, word.encode())]
    with tiny():
        log = indexed(Log(tmp_path, None))
        assert search(log, pattern=word)[0] == expected
        assert search(log, pattern=word, backward=True)[0] == expected[::-1]


def test_slices_of_their_real_size(tmp_path: Path) -> None:
    line = b"x" * 5000 + b"needle" + b"y" * 3000
    (tmp_path / "output").write_bytes(b"\n".join([line] * 1000))
    log = indexed(Log(tmp_path, None))
    expected = [Hit(n, n * 8007 + 5000, 5000, 6) for n in range(1000)]
    for wanted in ({"pattern": "needle"}, {"pattern": "NEEDLE", "case": False}, {"pattern": "n[e]+dle", "regex": True}):
        assert search(log, limit_count=2000, **wanted)[0] == expected
        assert search(log, limit_count=2000, backward=True, **wanted)[0] == expected[::-1]


def test_one_line_of_many_windows(tmp_path: Path) -> None:
    step = WINDOW_BYTES - OVERLAP_BYTES
    places = [0, 100, step - 3, step + 50, 2 * step - 6, 3 * step - 1, 5 * step + 7, 20_000_000 - 6]
    line = bytearray(b"." * 20_000_000)
    for place in places:
        line[place : place + 6] = b"needle"
    (tmp_path / "output").write_bytes(b"before\n" + line + b"\nafter needle")
    log = indexed(Log(tmp_path, None))
    expected = [Hit(1, 7 + place, place, 6) for place in places] + [Hit(2, 7 + 20_000_001 + 6, 6, 6)]
    for wanted in ({"pattern": "needle"}, {"pattern": "n.?edle", "regex": True}, {"pattern": "NEEdle", "case": False}):
        assert search(log, **wanted)[0] == expected
        assert search(log, backward=True, **wanted)[0] == expected[::-1]
    assert [hit.offset for hit in search(log, pattern="^", regex=True)[0]] == [0, 7, 20_000_008]
    assert [hit.offset for hit in search(log, pattern=r"\A.|.$", regex=True)[0]] == [
        *(0, 5, 7, 20_000_006, 20_000_008, 20_000_019)
    ]


# -- what is no pattern --


@pytest.mark.parametrize(
    ("pattern", "regex"),
    [
        ("", False),
        ("", True),
        ("a\nb", False),
        ("(", True),
        (r"\1", True),
        ("(?=a)", True),
        ("a{9999}", True),
        ("\ud800", False),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, regex: bool) -> None:
    with pytest.raises(BadRequestError) as caught:
        Pattern(FindQuery(pattern=pattern, regex=regex))
    assert caught.value.field == "pattern"


def test_a_refusal_speaks_of_what_was_sent() -> None:
    with pytest.raises(BadRequestError) as caught:
        Pattern(FindQuery(pattern="(oh", regex=True))
    assert str(caught.value) == "This cannot be searched for: missing ): (oh."


def test_a_pattern_that_takes_too_much_memory_is_refused() -> None:
    with pytest.raises(BadRequestError) as caught:
        Pattern(FindQuery(pattern=r"(\pL{30}|\pN{30}){10}", regex=True))
    assert "too large" in str(caught.value)


# -- in nobody's way --


@pytest.mark.parametrize("regex", ["(a+)+$", "(a|aa)+$", "(a*)*b", "(.*)(.*)(.*)(.*)(.*)[^a]$"])
async def test_patterns_that_stall_other_engines(tmp_path: Path, regex: str) -> None:
    async with shelf(tmp_path) as each:
        each.write("j", (b"a" * 5000 + b"!\n") * 100)
        found = await everything(each, pattern=regex, regex=True)
        assert isinstance(found[-1], Done)


async def everything(each: Shelf, **wanted: Any) -> list[Hit | Progress | Done]:
    async with aclosing(each.lines.find(RUNNING, FindQuery(**wanted))) as batches:
        return [item async for batch in batches for item in batch]


async def test_a_search_tells_hits_progress_and_its_end(tmp_path: Path) -> None:
    async with shelf(tmp_path) as each:
        assert await everything(each, pattern="x") == [Done(0, False, 0)]  # it has not started
        each.write("j", b"first x\n")
        for _ in range(100):
            each.write("j", b"0123456789abcde\n" * 65536)
        each.write("j", b"x")
        found = await everything(each, pattern="x")
        size = 100 * (1 << 20) + 9
        assert [item for item in found if not isinstance(item, Progress)] == [
            Hit(0, 6, 6, 1),
            Hit(6553601, size - 1, 0, 1),
            Done(2, False, 6553601),
        ]
        told = [item.offset for item in found if isinstance(item, Progress)]
        assert all(b - a <= 64 << 20 for a, b in zip([0, *told], [*told, size], strict=True))
        assert all(item.line == (item.offset + 8) // 16 for item in found if isinstance(item, Progress))


async def test_a_search_waits_for_the_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jobdeck_server.core.linelog._LOOK_S", 0.0005)
    monkeypatch.setattr("jobdeck_server.core.linelog._PIECE_BYTES", 1000)
    monkeypatch.setattr("jobdeck_server.core.lines._PROGRESS_S", 0.0)
    async with shelf(tmp_path) as each:
        each.write("j", b"line\n" * 20_000 + b"needle")
        found = await everything(each, pattern="needle")
        assert found[-2:] == [Hit(20_000, 100_000, 0, 6), Done(1, False, 20_000)]


async def test_a_log_that_cannot_be_searched(tmp_path: Path) -> None:
    async with shelf(tmp_path) as each:
        (tmp_path / "j" / "output").mkdir(parents=True)
        with pytest.raises(UnavailableError):
            await everything(each, pattern="x")
        with pytest.raises(OutputGoneError):
            each.lines.find(replace(ENDED, output_removed=True, output_bytes=1), FindQuery(pattern="x"))


def files_under(folder: Path) -> list[str]:
    """Files there that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            found.append(os.readlink(f"/proc/self/fd/{fd}"))
        except OSError:
            continue
    return [path for path in found if path.startswith(str(folder))]


async def test_a_search_that_nobody_waits_for_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = threading.Event(), threading.Event()
    spans = Pattern.spans

    def slow(self: Pattern, data: bytes, start: int = 0) -> Iterator[tuple[int, int]]:
        begun.set()
        assert go_on.wait(30)
        return spans(self, data, start)

    monkeypatch.setattr(Pattern, "spans", slow)
    async with shelf(tmp_path) as each:
        each.write("j", b"line\n" * 100_000)
        async with trio.open_nursery() as nursery:

            async def listen() -> None:
                await everything(each, pattern="x")

            nursery.start_soon(listen)
            await trio.to_thread.run_sync(begun.wait, 30)
            assert files_under(tmp_path) != []
            nursery.cancel_scope.cancel()
        go_on.set()  # only now, so the end was not waited for
        await until(lambda: files_under(tmp_path) == [])


async def test_a_search_that_is_left_between_steps_frees_its_files(tmp_path: Path) -> None:
    async with shelf(tmp_path) as each:
        each.write("j", b"line\n" * 100_000)
        async with aclosing(each.lines.find(RUNNING, FindQuery(pattern="line", limit_count=10_000))) as batches:
            async for _ in batches:
                assert files_under(tmp_path) != []
                break
        assert files_under(tmp_path) == []


async def test_searches_take_turns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, working, most = threading.Lock(), 0, 0
    step = Search.step

    def counted(self: Search) -> list[Hit]:
        nonlocal working, most
        with lock:
            working += 1
            most = max(most, working)
        found = step(self)
        with lock:
            working -= 1
        return found

    monkeypatch.setattr(Search, "step", counted)
    async with shelf(tmp_path, find_limit_count=2) as each:
        each.write("j", b"line\n" * 1000)
        results = []

        async def one() -> None:
            results.append(await everything(each, pattern="line", limit_count=10))

        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(one)
        assert [len(found) for found in results] == [11] * 10
        assert most <= 2
