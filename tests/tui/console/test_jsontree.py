"""JSON as a tree: any JSON in any pieces, folded in any way, has the right rows; and what is no JSON is told."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_tui.console.finder import Finder
from jobdeck_tui.console.jsonscan import JsonScan
from jobdeck_tui.console.jsontree import JsonList, JsonTree, text_of
from jobdeck_tui.console.settings import JSON_TEXT_LIMIT_BYTES

NUMBERS = st.sampled_from(["0", "-0", "1.50", "123456789012345678901234567890", "1E400", "-0.1e-7", "NaN", "-Infinity"])
TEXTS = st.text(max_size=12)
BLANK = st.text(alphabet=" \n\t\r", max_size=2)


@dataclass
class Node:
    """A value as a test knows it."""

    kind: str
    text: str = ""
    inner: list[tuple[str, Node]] = field(default_factory=list)
    open: bool = False


def nodes() -> st.SearchStrategy[Node]:
    single = st.one_of(
        NUMBERS.map(lambda text: Node("number", text)),
        TEXTS.map(lambda text: Node("string", text)),
        st.sampled_from(["true", "false", "null"]).map(lambda text: Node("word", text)),
    )
    return st.recursive(
        single,
        lambda inner: st.one_of(
            st.lists(inner, max_size=4).map(
                lambda all_: Node("array", inner=[(str(n), e) for n, e in enumerate(all_)])
            ),
            st.lists(st.tuples(TEXTS, inner), max_size=4).map(lambda all_: Node("object", inner=all_)),
        ),
        max_leaves=12,
    )


def written(node: Node, blank: str, *, ascii_only: bool) -> str:
    """As JSON; names may stand there twice."""
    if node.kind == "string":
        return json.dumps(node.text, ensure_ascii=ascii_only)
    if node.kind not in ("array", "object"):
        return node.text
    parts = []
    for name, each in node.inner:
        text = written(each, blank, ascii_only=ascii_only)
        parts.append(
            text if node.kind == "array" else f"{json.dumps(name, ensure_ascii=ascii_only)}{blank}:{blank}{text}"
        )
    begin, end = "[]" if node.kind == "array" else "{}"
    return begin + blank + f"{blank},{blank}".join(parts) + blank + end


def flat(node: Node, depth: int = 0, label: str = "") -> list[tuple[int, str, Node]]:
    """All values, in order."""
    found = [(depth, label, node)]
    for name, each in node.inner:
        found += flat(each, depth + 1, name)
    return found


def seen(node: Node, at: int = 0) -> tuple[list[int], int]:
    """Numbers of the values that are to be seen, and the number behind all of them."""
    found, following = [at], at + 1
    for _, each in node.inner:
        inner, following = seen(each, following)
        found += inner if node.open else []
    return found, following


def scanned(data: bytes, *, limit_count: int = 10_000) -> JsonScan:
    scan = JsonScan(limit_count)
    scan.feed(data, whole=True)
    while scan.scan(7):
        pass
    return scan


def tree_of(value: object) -> JsonTree:
    return JsonTree(scanned(json.dumps(value).encode()))


def all_rows(tree: JsonTree) -> list[tuple[str, str]]:
    return [(row.label, row.text) for row in tree.rows()]


ACTS = st.lists(st.tuples(st.sampled_from(["fold", "all", "reveal"]), st.integers(0, 30), st.booleans()), max_size=8)
PIECES = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 12)), max_size=5)


@given(nodes(), BLANK, st.booleans(), PIECES, ACTS)
def test_any_json_in_any_pieces_folded_in_any_way_has_the_right_rows(
    root: Node, blank: str, ascii_only: bool, pieces: list[tuple[int, int]], acts: list[tuple[str, int, bool]]
) -> None:
    text = (blank + written(root, blank, ascii_only=ascii_only) + blank).encode(errors="surrogatepass")
    values = flat(root)
    tree, root.open = JsonTree(), True
    acts = acts[::-1]
    for size, steps in [*pieces, (len(text), 1000)]:
        piece, text = text[:size], text[size:]
        tree.scan.feed(piece, whole=steps == 1000)
        tree.scan.scan(steps)
        tree.take()
        assert tree.scan.error is None
        if len(tree.scan) and acts and acts[-1][0] != "all":
            act(tree, values, *acts.pop())
    assert tree.scan.complete
    assert len(tree.scan) == len(values)
    while acts:
        act(tree, values, *acts.pop())
    check(tree, root, values)


def act(tree: JsonTree, values: list[tuple[int, str, Node]], how: str, number: int, on: bool) -> None:
    """Do something to both."""
    value = number % len(tree.scan)
    node = values[value][2]
    match how:
        case "fold":
            tree.fold(value, on=on)
            node.open = on and node.kind in ("array", "object")
        case "all":
            tree.fold_all(value, on=on)
            for _, _, each in flat(node):
                each.open = on
            values[0][2].open |= value == 0
        case _:
            tree.reveal(value)
            for _, _, each in values[:value]:
                each.open |= any(inner is node for _, _, inner in flat(each)[1:])


def check(tree: JsonTree, root: Node, values: list[tuple[int, str, Node]]) -> None:
    """The rows are those that are to be seen, and say what they are."""
    expected, _ = seen(root)
    rows = tree.rows()
    assert list(rows.seen) == expected
    places = JsonList(rows=rows).index()
    assert dict(places) == {row.id: n for n, row in enumerate(rows)}
    assert places.get("") is None
    for row, value in zip(rows, expected, strict=True):
        depth, label, node = values[value]
        assert (row.depth, row.kind, row.count, row.more) == (depth, node.kind, len(node.inner), False)
        assert row.label == shown(label)
        assert tree.row_of(value) == places[row.id]
        if not node.inner and node.kind not in ("array", "object"):
            assert row.text == shown(node.text)
    hidden = set(range(len(values))) - set(expected)
    assert all(tree.row_of(value) is None and str(value) not in places for value in hidden)


def shown(text: str) -> str:
    return text.encode(errors="backslashreplace").decode()


@given(nodes())
def test_a_path_leads_to_its_value(root: Node) -> None:
    if any(len({name for name, _ in node.inner}) < len(node.inner) for _, _, node in flat(root)):
        return  # of two with the same name the path means either
    text = written(root, " ", ascii_only=True)
    tree = JsonTree(scanned(text.encode()))
    value = json.loads(text, parse_float=str, parse_int=str, parse_constant=str)
    for number in range(len(tree.scan)):
        found = json.loads(tree.source(number), parse_float=str, parse_int=str, parse_constant=str)
        assert follow(value, tree.path(number)) == found


def follow(value: Any, path: str) -> Any:
    """What JSONPath makes of it, as far as we write it."""
    rest = path[1:]
    while rest:
        if rest[0] == ".":
            end = min((at for at in (rest.find("."[0], 1), rest.find("[", 1)) if at > 0), default=len(rest))
            value, rest = value[rest[1:end]], rest[end:]
        else:
            step, size = json.JSONDecoder().raw_decode(rest, 1)
            value, rest = value[step], rest[size + 1 :]
    return value


# -- what is no JSON --


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "[1,]",
        "[1 2]",
        '{"a" 1}',
        '{"a":}',
        "{a:1}",
        "[1]x",
        '"abc',
        "01x",
        "tru",
        "-",
        "[}",
        '{"a"',
        "[",
        '"a""b"',
    ],
)
def test_what_is_no_json_is_told_wherever_it_is_cut(text: str) -> None:
    data = text.encode()
    assert scanned(data).error is not None
    for at in range(len(data)):
        scan = JsonScan()
        for piece, whole in ((data[:at], False), (data[at:], True)):
            scan.feed(piece, whole=whole)
            while scan.scan(3):
                pass
        assert scan.error is not None
        assert not scan.complete


def test_what_came_before_a_fault_stands() -> None:
    tree = JsonTree(scanned(b'{"a": [1, 2, oops]}'))
    assert tree.scan.error == "byte 13 should not be 'oops]}'"
    assert [(row.label, row.count, row.more) for row in tree.rows()] == [("", 1, True), ("a", 2, True)]


# -- limits --


def test_numbers_stand_as_they_are_written() -> None:
    tree = JsonTree(scanned(b"[0.10, 123456789012345678901234567890, 1e400, -0]"))
    assert [row.text for row in tree.rows()][1:] == ["0.10", "123456789012345678901234567890", "1e400", "-0"]


def test_no_depth_is_too_deep() -> None:
    depth = 30_000
    started_s = time.process_time()
    tree = JsonTree(scanned(b"[" * depth + b"]" * depth, limit_count=depth))
    assert tree.scan.complete
    tree.fold_all(0, on=True)
    assert tree.row_count == depth
    assert tree.rows()[depth - 1].depth == depth - 1
    tree.fold_all(0, on=False)
    assert tree.row_count == 2
    tree.reveal(depth - 1)
    assert tree.row_of(depth - 1) == depth - 1
    assert len(tree.path(depth - 1)) == 1 + 3 * (depth - 1)
    assert time.process_time() - started_s < 10  # a fraction of a second; a tenfold is left for slow machines


def test_more_values_than_are_kept_are_not_there() -> None:
    tree = JsonTree(scanned(json.dumps([{"n": n} for n in range(100)]).encode(), limit_count=21))
    assert (tree.scan.full, tree.scan.error, len(tree.scan)) == (True, None, 21)
    assert [(row.count, row.more) for row in tree.rows()][:2] == [(10, True), (1, False)]
    tree.fold_all(0, on=True)
    assert tree.row_count == 21


def test_a_long_string_is_cut_and_never_within_a_character() -> None:
    for shift in range(6):
        text = "x" * shift + "\u00e4\U0001f600" * JSON_TEXT_LIMIT_BYTES
        for ascii_only in (True, False):
            data = json.dumps(text, ensure_ascii=ascii_only).encode()
            found, cut = text_of(data, string=True)
            assert cut
            assert text.startswith(found.removesuffix("\\ud83d"))  # half of a pair stands as it is written
            assert len(found) > 200
    assert text_of(b'"a\\q"', string=True) == ("a\\q", False)
    assert text_of(b'"\\ud800"', string=True) == ("\\ud800", False)


def test_a_wide_array_folds_quickly() -> None:
    tree = JsonTree(scanned(json.dumps([{"n": n, "ok": True} for n in range(10_000)]).encode(), limit_count=100_000))
    started_s = time.process_time()
    for _ in range(5):
        tree.fold(0, on=False)
        tree.fold(0, on=True)
        tree.rows()
    assert tree.row_count == 10_001
    assert time.process_time() - started_s < 5  # a tenth of a second


# -- searching --


def test_names_and_values_are_found_as_they_are_shown() -> None:
    tree = tree_of({"name": "r\u00fcn", "list": [1, "running", {"other": 10}], "n\u00fcm": 2})
    assert hits(tree, "r\u00fcn") == ["$.name"]
    assert hits(tree, "n") == ["$.name", "$.list[1]", '$["n\\u00fcm"]']
    assert hits(tree, "10") == ["$.list[2].other"]
    assert hits(tree, "^1$", regex=True) == ["$.list[0]"]


def hits(tree: JsonTree, pattern: str, **how: bool) -> list[str]:
    return [tree.path(value) for value in tree.hits(Finder(pattern, **how), 0)]
