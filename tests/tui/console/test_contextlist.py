"""What stands on the list of contexts, and what is told of one: all without a screen."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_protocol.contextinfo import GONE, ContextInfo, ContextState
from jobdeck_protocol.job import Job, JobState
from jobdeck_tui.console import contextcolumns as columns
from jobdeck_tui.console import contextjobs
from jobdeck_tui.console.columns import times_of
from jobdeck_tui.console.contextfacts import facts
from jobdeck_tui.console.contextlist import CONTEXT_SORTS, ContextList, ContextQuery, listed, parse
from jobdeck_tui.console.few import FewCame, FewJobsCame, FewTold, Kind
from jobdeck_tui.console.fewevents import few_message
from jobdeck_tui.console.query import Query
from jobdeck_tui.console.state import State, apply
from tests.tui.console.contexts import context, job_in, on_spark, some, uid
from tests.tui.test_sanitise import PAYLOADS

TEXTS = [data.decode(errors="replace") for data, _ in PAYLOADS]
_J = JobState
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


@given(st.integers(1, 220), st.sampled_from(JobState), st.sampled_from(TEXTS), st.floats(0, 1))
def test_rows_of_its_jobs_too(width: int, state: JobState, text: str, part: float) -> None:
    job = replace(
        job_in(context(1, "x"), 1, text * 3), id=text, state=state, note=text, progress=part, progress_text=text
    )
    found = contextjobs.columns_for(width)
    times = times_of(job, Query(), job.created_us + 5_000_000)
    for cells in (contextjobs.cells_of(job, found, times, marked=False), contextjobs.head_of(found)):
        assert [cell_len(cell.text) for cell in cells] == [column.width for column in found]
        assert all(cell.text.isprintable() for cell in cells)


def test_what_runs_says_how_far_and_what_waits_how_much() -> None:
    place = replace(context(1, "x"), queued_count=100)
    runs, waits = (replace(job_in(place, n, "a.b.C"), state=state) for n, state in enumerate((_J.RUNNING, _J.QUEUED)))
    runs = replace(runs, progress=0.5, progress_text="stage 1 of 2")

    def told(job: Job, width: int) -> str:
        found = contextjobs.columns_for(width)
        cells = contextjobs.cells_of(job, found, times_of(job, Query(), job.created_us), marked=False)
        return " ".join(cell.text for cell in cells)

    assert "█████░░░░░ 50 % stage 1 of 2" in told(runs, 100)
    assert "█████░░░░░ 50 % stage 1 of 2" in told(runs, 50)
    assert "  50 % stage 1 of 2" in told(runs, 36)
    assert "waits" in told(waits, 60)
    assert "its place" in told(replace(waits, note="its place"), 60)
    came = FewJobsCame(kind=Kind.CONTEXTS, id=place.id, jobs=(runs, waits), more=True)
    assert contextjobs.words_below(place, came) == ("and 99 more that wait",)
    assert contextjobs.words_below(replace(place, queued_count=2), came) == ("and 1 more that waits",)
    assert not contextjobs.words_below(place, replace(came, more=False))
    assert contextjobs.words_below(place, replace(came, jobs=())) == ("It has no jobs now.",)
    assert contextjobs.words_below(place, replace(came, id="other")) == ("Loading…",)
    assert not contextjobs.words_below(None, came)


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


def test_columns_of_spark_are_there_where_any_context_is_on_it() -> None:
    everyone = tuple(on_spark())

    def names(width: int, *rows: ContextInfo) -> list[str]:
        return [column.name for column in columns.columns_for(width, ContextList(rows=rows))][2:]

    assert names(140, *some()) == ["name", "kind", "slots", "waits", "age", "id"]
    assert names(79, *some()) == ["name", "kind", "count", "waits", "age"]
    assert names(140, *everyone) == ["name", "kind", "master", "slots", "waits", "memory", "age", "id"]
    assert names(100, *everyone) == ["name", "brief", "master", "count", "waits", "memory", "age"]
    assert names(79, *everyone) == ["name", "brief", "count", "waits", "memory"]
    assert names(59, *everyone) == ["name", "brief", "count", "waits"]
    found = columns.columns_for(60, ContextList(rows=everyone))
    text = " ".join(cell.text for cell in columns.cells_of(everyone[3], found, "1m", marked=False))
    assert "again  (connecting to spark" in text
    assert "◑" in text


def test_what_is_known_of_one_on_spark() -> None:
    far = replace(on_spark()[1], note="stopping Spark", state=ContextState.STOPPING)
    told = dict(facts(far, NOW_US))
    assert told["state"] == "◐ stopping: stopping Spark"
    assert told["master"] == "spark://10.20.30.40:7077"
    assert told["memory"] == "1.5 GiB"
    assert told["Spark UI"] == "http://127.0.0.1:4040"
    assert told["restarts"] == "2"
    assert told["process"].startswith("job 000007d1")
    again = replace(far, note=None, state=ContextState.RESTARTING)
    assert dict(facts(again, NOW_US))["state"] == "◑ restarting: it is being made anew"
    assert not {"master", "memory", "process", "restarts"} & set(dict(facts(some()[0], NOW_US)))
    assert [each.name for each in filtered("kind:spark 10.20")] == ["warehouse"]


def filtered(line: str) -> tuple[ContextInfo, ...]:
    state = apply(State(url="http://h"), FewCame(kind=Kind.CONTEXTS, items=tuple(on_spark())))
    rows: tuple[ContextInfo, ...] = listed(state.contexts, parse(line, "-memory").query).rows
    return rows
