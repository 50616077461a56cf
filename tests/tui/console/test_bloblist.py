"""The list of blobs: which belong on it, where they stand, and what stands in a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_protocol.blob import ARTIFACT, LINK, Blob
from jobdeck_tui.console import rowlist
from jobdeck_tui.console.blobcolumns import age_of, cells_of, columns_for, head_of, type_word
from jobdeck_tui.console.bloblist import BlobList, BlobQuery, parse
from jobdeck_tui.console.curl import curl_of_blob
from jobdeck_tui.console.pages import Page, Place
from jobdeck_tui.console.standing import blob_standing, blob_words
from jobdeck_tui.console.state import BlobGone, BlobTold, PageAsked, PageCame, QueryAsked, State, apply
from jobdeck_tui.sanitise import bare


def blob(n: int = 1, **fields: Any) -> Blob:
    return replace(Blob(hash=f"{n:040x}", name=f"b{n}.txt", size_bytes=n * 10, created_us=n * 1000), **fields)


@pytest.mark.parametrize(
    ("line", "query"),
    [
        ("", BlobQuery()),
        ("two  words", BlobQuery(text="two words")),
        ("type:art x", BlobQuery(kind=ARTIFACT, text="x")),
        ('tag:"my tag" name:a.txt', BlobQuery(tag="my tag", name="a.txt")),
        ("is:pin", BlobQuery(pinned=True)),
        ("is:unpinned", BlobQuery(pinned=False)),
        ("tag: type: is:", BlobQuery()),
    ],
)
def test_a_line_says_what_is_wanted(line: str, query: BlobQuery) -> None:
    assert parse(line, "-created").query == query
    assert parse(line, "-created").error is None


def test_words_that_mean_nothing_are_told() -> None:
    assert "no type begins with 'x'" in (parse("type:x", "size").error or "")
    assert "pinned" in (parse("is:new", "size").error or "")


def test_blobs_belong_by_the_rules_of_the_server() -> None:
    one = blob(name="Straße.bin", mime="text/plain", tags=("Nightly",), pinned=True)
    for fits in ("STRASSE", "nightly", "text/pl", "0001", "is:pinned", "type:file", "tag:Nightly", "name:Straße.bin"):
        assert parse(fits, "size").query.matches(one), fits
    for not_so in ("absent", "is:unpinned", "type:link", "tag:night", "name:Straße"):
        assert not parse(not_so, "size").query.matches(one), not_so


def listed(query: BlobQuery, *blobs: Blob, more: bool = False) -> State:
    state = apply(State(url="http://h"), QueryAsked(query=query))
    state = apply(state, PageAsked(query=query, place=Place.START))
    return apply(state, PageCame(query=query, place=Place.START, rows=blobs, more=more, cursor="c" if more else None))


def test_events_keep_the_list_true() -> None:
    state = listed(BlobQuery(), blob(3), blob(1))
    state = apply(state, BlobTold(blob=blob(2)))
    state = apply(state, BlobTold(blob=blob(4)))
    assert [each.id for each in state.blobs.rows] == [blob(n).hash for n in (4, 3, 2, 1)]
    state = apply(state, BlobGone(hash=blob(3).hash))
    state = apply(state, BlobTold(blob=blob(2, pinned=True)))
    assert [each.pinned for each in state.blobs.rows] == [False, True, False]
    assert state.list.rows == ()


def test_a_blob_that_belongs_no_more_goes() -> None:
    state = listed(BlobQuery(pinned=True, sort="-size"), blob(3, pinned=True), blob(1, pinned=True))
    state = apply(state, BlobTold(blob=blob(2, pinned=True)))
    assert [each.size_bytes for each in state.blobs.rows] == [30, 20, 10]
    state = apply(state, BlobTold(blob=blob(3)))
    assert [each.size_bytes for each in state.blobs.rows] == [20, 10]


def test_nothing_is_held_before_somebody_looks() -> None:
    state = apply(State(url="http://h"), BlobTold(blob=blob()))
    assert state.blobs.rows == ()
    assert blob_words(state) == ("Loading…",)


def test_the_standing_and_the_words() -> None:
    whole, part = listed(BlobQuery(), blob(2), blob(1)), listed(BlobQuery(), blob(2), blob(1), more=True)
    assert blob_standing(whole.blobs, 1, 0, follow=False).position == "2 / 2"
    assert blob_standing(part.blobs, 1, 0, follow=False).position == "2 / 2+"
    assert blob_words(whole) == ()
    assert "n uploads a file; so does" in blob_words(listed(BlobQuery()))
    assert "n uploads a file; so does" not in blob_words(replace(listed(BlobQuery()), read_only=True))
    assert blob_words(listed(BlobQuery(tag="x")))[0] == "No blob matches."
    failed = rowlist.failed(BlobList(), BlobQuery(), Place.START, "\x1b[2Jno")
    assert blob_words(State(url="http://h", blobs=failed)) == ("The list cannot be had:", "␛[2Jno")


def test_the_end_of_a_list_by_size() -> None:
    query = BlobQuery(sort="size")
    blobs = rowlist.asked(rowlist.queried(BlobList(), query), query, Place.END)
    assert blobs.asks[Place.END].sort == "-size"
    page = Page(rows=(blob(8), blob(9)), more=True, cursor="c")
    blobs = rowlist.came(blobs, query, Place.END, page)
    assert (blobs.above, blobs.below) == (True, False)


# -- rows --


@given(st.integers(20, 220), st.text(max_size=60), st.lists(st.text(max_size=20), max_size=4))
def test_rows_are_as_wide_as_the_table(width: int, name: str, tags: list[str]) -> None:
    columns = columns_for(width)
    one = blob(name=name, tags=tuple(tags), type=ARTIFACT, entry_count=123_456, size_bytes=10**15, pinned=True)
    for cells in (head_of(columns, BlobQuery()), cells_of(one, columns, "40d", marked=True)):
        assert [cell_len(cell.text) for cell in cells] == [column.width for column in columns]
        assert all(bare(cell.text) == cell.text for cell in cells)
    if width >= 40:
        assert sum(column.width for column in columns) + 2 * (len(columns) - 1) <= width


def test_the_head_tells_the_order() -> None:
    wide = columns_for(120)
    assert "SIZE ▲" in " ".join(cell.text for cell in head_of(wide, BlobQuery(sort="size")))
    assert "AGE ▼" in " ".join(cell.text for cell in head_of(wide, BlobQuery()))


def test_types_and_ages_in_words() -> None:
    assert type_word(blob(type=ARTIFACT, entry_count=1200)) == "artifact 1,200"
    assert type_word(blob(type=LINK)) == "link"
    assert type_word(blob(type="\x1bodd")) == "␛odd"
    assert [age_of(blob(1), 1000 + int(s * 1e6)) for s in (0, 1.9, 119, 7200)] == ["0s", "1s", "119s", "2h"]


def test_a_curl_line_fetches_it() -> None:
    line = curl_of_blob("http://h", "ab", "my file.txt", token=False)
    assert line == "curl -sS -f -o 'my file.txt' http://h/v1/blobs/ab/content"
    line = curl_of_blob("http://h", "ab", "x", token=True, path="a b/ü;$(x)\x1b/../..")
    assert "JOBDECK_TOKEN_FILE" in line
    assert line.endswith(" --path-as-is http://h/v1/blobs/ab/content/a%20b/%C3%BC%3B%24%28x%29%1B/../..")
    assert "-o ab " in line
