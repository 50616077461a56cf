"""What stands in a row of the list, and what the filter line and the words around the list say."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_protocol.job import ENDED, Job, JobState, Step
from jobdeck_tui.console import rowlist
from jobdeck_tui.console.columns import Times, cells_of, columns_for, fitted, head_of, times_of
from jobdeck_tui.console.few import FewCame, Kind, after
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import Page, Place
from jobdeck_tui.console.query import SORTS, Query, parse
from jobdeck_tui.console.standing import empty_words, standing_of
from jobdeck_tui.console.state import State
from jobdeck_tui.console.workerbook import Book
from tests.tui.console.workers import own, worker
from tests.tui.test_sanitise import PAYLOADS

NOW_US = 1_700_000_000_000_000
TIMES = Times("3s", "1s")


def job_of(**changes: Any) -> Job:
    job = Job(
        id="0a1b2c3d-0000-4000-8000-000000000001",
        dialect="v1",
        steps=(Step(command_line="make all"),),
        labels=("nightly", "gpu"),
        state=JobState.RUNNING,
        created_us=NOW_US - 60_000_000,
        started_us=NOW_US - 59_000_000,
    )
    return replace(job, **changes)


def row(job: Job, width: int = 200, query: Query | None = None) -> dict[str, str]:
    columns = columns_for(width, query or Query())
    times = times_of(job, query or Query(), NOW_US)
    cells = cells_of(job, columns, times, marked=False)
    return {column.name: cell.text.strip() for column, cell in zip(columns, cells, strict=True)}


@given(
    width=st.integers(1, 300),
    sort=st.sampled_from(SORTS),
    command=st.text(max_size=50),
    label=st.text(max_size=30),
    state=st.sampled_from(JobState),
    several=st.booleans(),
)
def test_a_row_is_as_wide_as_its_columns_whatever_stands_in_it(
    width: int, sort: str, command: str, label: str, state: JobState, several: bool
) -> None:
    query = Query(sort=sort)
    columns = columns_for(width, query, worker=several)
    job = job_of(steps=(Step(command_line=command),), labels=(label,), state=state, dialect=label, note=command)
    for cells in (head_of(columns, query), cells_of(job, columns, TIMES, marked=True)):
        assert [cell_len(cell.text) for cell in cells] == [column.width for column in columns]
    if width >= 40:
        assert sum(column.width for column in columns) + 2 * (len(columns) - 2) + 2 == width


def test_columns_fall_away_in_order_and_what_runs_stays_readable() -> None:
    def names(width: int) -> str:
        return " ".join(column.name for column in columns_for(width, Query()))

    assert names(200) == "mark state dialect runs labels age took exit id"
    assert names(90) == "mark state dialect runs age took exit id"
    assert names(78) == "mark state runs age took exit id"
    assert names(60) == "mark state runs age exit"
    assert names(45) == "mark sign runs age"
    for width in range(50, 200):
        assert {column.name: column.width for column in columns_for(width, Query())}["runs"] >= 20


@pytest.mark.parametrize("raw", [raw for raw, _ in PAYLOADS])
def test_no_control_gets_through_from_any_field(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    job = job_of(
        id=text, dialect=text, labels=(text,), note=text, steps=(Step(command_line=text), Step(argv=(text, text)))
    )
    for cell in cells_of(job, columns_for(250, Query()), TIMES, marked=False):
        assert cell.text.isprintable(), cell


def test_a_row_tells_how_a_job_stands_and_ended() -> None:
    assert row(job_of()) == {
        "mark": "",
        "state": "▶ running",
        "dialect": "v1",
        "runs": "make all",
        "labels": "nightly gpu",
        "age": "60s",
        "took": "59s",
        "exit": "",
        "id": "0a1b2c3d",
    }
    assert row(job_of(stop_requested=True))["state"] == "▶ stopping"
    ended = job_of(state=JobState.FAILED, exit_code=3, finished_us=NOW_US - 58_950_000)
    assert (row(ended)["state"], row(ended)["exit"], row(ended)["took"]) == ("✗ failed", "3", "50ms")
    killed = job_of(state=JobState.STOPPED, stop_requested=True, signal=9, finished_us=NOW_US - 50_000_000)
    assert (row(killed)["state"], row(killed)["exit"], row(killed)["took"]) == ("■ stopped", "SIGKILL", "9.0s")
    never = job_of(state=JobState.STOPPED, started_us=None, finished_us=NOW_US)
    assert (row(never)["exit"], row(never)["took"]) == ("never", "")
    assert row(job_of(note="starting (slow)"))["runs"] == "make all  (starting (slow))"


def test_where_there_are_several_workers_each_job_tells_its_own() -> None:
    far = worker(2, "far-away-in-the-cellar")
    book = after(Book(), FewCame(kind=Kind.WORKERS, items=(own(), far)))

    def told(job: Job) -> tuple[str, str]:
        columns = columns_for(120, Query(), worker=True)
        cells = cells_of(job, columns, times_of(job, Query(), NOW_US, book), marked=False)
        at = [column.name for column in columns].index("worker")
        return cells[at].text.strip(), cells[at].ink

    assert told(job_of()) == ("deck", "dim")
    assert told(job_of(worker=far.id)) == ("far-away-in…", "")
    assert told(job_of(worker=far.id, unreachable=True)) == ("far-away-in…", "stopped")
    assert told(job_of(worker="outside-1")) == ("outside-", "dim")
    assert told(job_of(state=JobState.QUEUED)) == ("", "dim")
    assert "worker" not in [column.name for column in columns_for(60, Query(), worker=True)]


def test_what_is_the_matter_has_room_beside_a_long_command() -> None:
    long = job_of(steps=(Step(command_line="x" * 200),), note="waits for a worker with labels gpu", worker="f")
    assert "x…  (waits for a" in row(long, 100)["runs"]
    assert row(job_of(unreachable=True))["state"] == "! running"
    assert row(job_of(unreachable=True))["runs"] == "make all  (unreachable)"
    ended = job_of(unreachable=True, state=JobState.LOST, finished_us=NOW_US)
    assert row(ended)["state"] == "? lost"


def test_a_list_by_end_tells_how_long_ago_that_was() -> None:
    job = job_of(state=JobState.SUCCEEDED, exit_code=0, finished_us=NOW_US - 5_000_000)
    assert row(job, query=Query(sort="-ended"))["ended"] == "5s"


def test_a_clock_that_is_behind_the_servers_makes_no_negative_ages() -> None:
    assert times_of(job_of(created_us=NOW_US + 5_000_000), Query(), NOW_US).age == "0s"


def test_the_head_shows_the_order() -> None:
    def head(sort: str, width: int = 100) -> str:
        query = Query(sort=sort)
        return " ".join(cell.text.strip() for cell in head_of(columns_for(width, query), query)).strip()

    assert "AGE ▼" in head("-created")
    assert "AGE ▲" in head("created")
    assert "ENDED ▼" in head("-ended")
    assert "STATE ▲" in head("state")
    assert head("-state", 40).startswith("▼")


def test_text_is_cut_by_cells_not_by_characters() -> None:
    assert fitted("漢字漢字", 5) == "漢字…"
    assert fitted("漢字漢字", 6) == "漢字 …"
    assert (fitted("ab", 4), fitted("abcd", 1), fitted("abcd", 0)) == ("ab  ", "…", "")


# -- the filter line --


def test_words_of_the_filter_line() -> None:
    assert parse("", "-created").query == Query()
    words = parse('  make  state:failed,RUN test dialect:v1 label:"two words" ', "state")
    assert words.error is None
    assert words.query == Query(
        states=frozenset({JobState.FAILED, JobState.RUNNING}),
        dialect="v1",
        label="two words",
        text="make test",
        sort="state",
    )


def test_states_may_be_shortened_and_grouped() -> None:
    assert parse("context:main", "state").query == Query(context="main", sort="state")
    assert parse("state:s", "state").query.states == {JobState.STARTING, JobState.SUCCEEDED, JobState.STOPPED}
    assert parse("state:ended", "state").query.states == ENDED
    assert parse("state:active", "state").query.states == set(JobState) - ENDED
    assert parse("state:all", "state").query.states == frozenset()


def test_words_that_are_not_finished_ask_for_nothing() -> None:
    for line in ("state:", "label:", "dialect:", "state:,", 'label:"'):
        assert parse(line, "-created") == parse("", "-created"), line
    assert parse('label:"tw', "-created").query.label == "tw"


@given(st.text(max_size=60), st.sampled_from(SORTS))
def test_no_line_is_too_odd(line: str, sort: str) -> None:
    words = parse(line, sort)
    assert words.query.sort == sort
    words.query.matches(job_of())


def test_text_is_searched_as_the_server_does() -> None:
    job = job_of(steps=(Step(command_line="Straße \udc80"),), labels=("Nightly",))
    for text in ("STRASSE", "nightly", "0A1B", "?"):
        assert Query(text=text).matches(job), text
    assert not Query(text="make").matches(job)


# -- around the list --


def shown(jobs: JobList, **counts: int) -> State:
    return State(url="http://h", list=jobs, counts={JobState(name): count for name, count in counts.items()})


def window(query: Query, count: int, *, place: Place = Place.START, more: bool = False) -> JobList:
    jobs = rowlist.asked(rowlist.queried(JobList(), query), query, place)
    rows = tuple(job_of(id=str(n), created_us=100 - n, finished_us=100 - n) for n in range(count))
    return rowlist.came(jobs, query, place, Page(rows=rows, more=more, cursor="x" if more else None))


def test_the_position_is_told_as_far_as_it_is_known() -> None:
    def position(state: State, at: int = 2) -> str:
        return standing_of(state, at, 0, follow=False).position

    many = window(Query(), 10, more=True)
    assert position(shown(many, running=2, failed=998)) == "3 / 1,000"
    assert position(shown(window(Query(), 10))) == "3 / 10"
    assert position(shown(window(Query(), 10, place=Place.END, more=True), running=1000), 9) == "1,000 / 1,000"
    running = window(Query(states=frozenset({JobState.RUNNING})), 10, more=True)
    assert position(shown(running, running=20, failed=5)) == "3 / 20"
    assert position(shown(window(Query(sort="-ended"), 10, more=True), running=3, failed=50)) == "3 / 50"
    assert position(shown(window(Query(label="x"), 10, more=True), running=1000)) == "3 / 10+"
    assert position(shown(JobList())) == ""


def test_an_empty_list_has_words_for_each_reason() -> None:
    assert empty_words(shown(JobList())) == ("Loading…",)
    assert empty_words(shown(window(Query(), 3))) == ()
    assert empty_words(shown(window(Query(), 0)))[0] == "No jobs yet."
    assert "n starts one" in " ".join(empty_words(shown(window(Query(), 0))))
    assert "n starts one" not in " ".join(empty_words(replace(shown(window(Query(), 0)), read_only=True)))
    assert empty_words(shown(window(Query(label="x"), 0)))[0] == "No job matches."
    assert empty_words(shown(window(Query(text="x"), 0, more=True))) == ("Nothing found so far.",)
    failed = rowlist.failed(JobList(), Query(), Place.START, "\x1b[2Jno")
    assert empty_words(shown(failed)) == ("The list cannot be had:", "␛[2Jno")


def test_a_class_is_told_with_its_packages_its_context_and_how_far_it_has_come() -> None:
    job = job_of(steps=(), main_class="jobs.WordCount", packages=("words", "http://h/x.whl"), context="py1")
    assert row(job)["runs"] == "jobs.WordCount · words, http://h/x.whl · py1"
    own = replace(job, packages=("words",), context="b7ea0eb5-jobs.WordCount", progress=0.429, progress_text="at c")
    assert row(own)["runs"] == "jobs.WordCount · words · ad-hoc  (███░░░░░ 42 % at c)"
    assert row(own, 90)["runs"].endswith("(42 % at c)")
    assert row(replace(own, state=JobState.SUCCEEDED, finished_us=NOW_US))["runs"] == "jobs.WordCount · words · ad-hoc"
    deep = replace(own, main_class="example_jobs.deep.down.WordCount", progress=None, progress_text=None)
    assert row(replace(deep, context="py1"), 80)["runs"] == "…WordCount · words · py1"
    assert row(replace(deep, note="waits"), 80)["runs"].endswith("(waits)")
    assert row(replace(deep, context=None), 80)["runs"] == "…WordCount · words"
    for text in ("words", "PY1", "wordcount"):
        assert Query(text=text).matches(job)
