"""What stands on the list of contexts, and what is told of one: all without a screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_protocol.contextinfo import GONE, ContextInfo, ContextState
from jobdeck_tui.console import contextcolumns as columns
from jobdeck_tui.console.contextfacts import facts
from jobdeck_tui.console.contextlist import CONTEXT_SORTS, ContextList, ContextQuery, listed, parse
from jobdeck_tui.console.few import FewCame, FewTold, Kind
from jobdeck_tui.console.fewevents import few_message
from jobdeck_tui.console.state import State, apply
from tests.tui.console.contexts import context, some, uid
from tests.tui.test_sanitise import PAYLOADS

TEXTS = [data.decode(errors="replace") for data, _ in PAYLOADS]
NOW_US = 1_800_000_000_000_000


def names(query: ContextQuery) -> list[str]:
    state = apply(State(url="http://h"), FewCame(kind=Kind.CONTEXTS, items=tuple(some())))
    return [each.name for each in listed(state.contexts, query).rows]


@pytest.mark.parametrize(
    ("line", "query"),
    [
        ("", ContextQuery()),
        ("state:run,stop main", ContextQuery(states=frozenset({"running", "stopping"}), text="main")),
        ("kind:plain is:adhoc", ContextQuery(kind="plain", adhoc=True)),
        ("is:made kind: a  b", ContextQuery(adhoc=False, text="a b")),
    ],
)
def test_words_of_the_filter(line: str, query: ContextQuery) -> None:
    words = parse(line, "name")
    assert (words.query, words.error) == (query, None)


def test_words_that_mean_nothing() -> None:
    assert "no state begins with 'x'" in (parse("state:x", "name").error or "")
    assert "is:adhoc or is:made" in (parse("is:new", "name").error or "")


def test_filters_and_orders() -> None:
    assert names(parse("is:made state:running", "name").query) == ["main", "reports"]
    assert names(ContextQuery(text="WORD")) == ["3c1f09aa-jobs.WordCount"]
    assert names(ContextQuery(text=uid(4)))[0] == "old"
    assert names(ContextQuery(sort="-used"))[:2] == ["reports", "3c1f09aa-jobs.WordCount"]
    assert names(ContextQuery(sort="state"))[:3] == ["broken", "fresh", "old"]
    assert not names(ContextQuery(kind="spark"))
    for sort in CONTEXT_SORTS:
        assert names(ContextQuery(sort=sort)) == names(ContextQuery(sort=f"-{sort}"))[::-1]


def test_events_of_contexts() -> None:
    wire: dict[str, Any] = {"id": uid(1), "name": "main", "state": "stopping", "running_count": 2}
    told = few_message("context", wire)
    assert told == FewTold(
        kind=Kind.CONTEXTS, item=ContextInfo(id=uid(1), name="main", state=ContextState.STOPPING, running_count=2)
    )
    assert few_message("context", {"id": uid(1)}) is None
    gone = few_message("context_removed", {"id": uid(1)})
    state = State(url="http://h")
    for message in (told, gone):
        assert message is not None
        state = apply(state, message)
    assert not state.contexts.items


@given(
    st.integers(1, 220),
    st.sampled_from(some()),
    st.sampled_from(TEXTS),
    st.booleans(),
)
def test_each_row_fills_the_width_and_obeys_nothing(width: int, known: ContextInfo, text: str, marked: bool) -> None:
    bad = replace(known, name=text * 3, kind=text, id=text, master=text, note=text, memory_bytes=1 << 40)
    found = columns.columns_for(width, ContextList(rows=(bad,)))
    age = columns.age_text(bad, bad.created_us + 5_000_000)
    for cells in (columns.cells_of(bad, found, age, marked=marked), columns.head_of(found, ContextQuery(sort="-used"))):
        assert [cell_len(cell.text) for cell in cells] == [column.width for column in found]
        assert all(cell.text.isprintable() for cell in cells)


def test_states_are_told_without_colour() -> None:
    assert set(columns.CONTEXT_MARKS) == set(ContextState)
    assert len({mark.sign for mark in columns.CONTEXT_MARKS.values()}) == len(ContextState)
    assert all(cell_len(mark.sign) == 1 for mark in columns.CONTEXT_MARKS.values())
    for state in GONE:
        found = columns.columns_for(120, ContextList())
        cells = columns.cells_of(context(1, "x", state=state), found, "1m", marked=True)
        assert {cell.ink for cell in cells} <= {"dim", "mark", "error"}


def test_settings_are_told_however_deep() -> None:
    deep: dict[str, Any] = {"end": [1.5, None]}
    for _ in range(5000):
        deep = {"a": deep}
    told = list(facts(context(1, "x", settings={"b": {}, "deep": deep, "n": "\u00fc"}), NOW_US))
    lines = [value for name, value in told if name == "settings"]
    assert lines[0] == "b = {}"
    assert lines[1].startswith("deep.a.a.a")
    assert lines[2] == 'n = "\u00fc"'
    many = list(facts(context(1, "x", settings={str(n): n for n in range(1000)}), NOW_US))
    assert many[-1] == ("settings", "and more")
    assert ("kind", "plain, of one job alone") in list(facts(context(1, "x", adhoc=True), NOW_US))
    ended = list(facts(some()[5], NOW_US))
    assert ("why", "no wheel numpy") in ended
    assert "slots" not in {name for name, _ in ended}
