"""What the console knows of workers, the list it makes of it, and what stands there: all without a screen."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from jobdeck_protocol.job import Job, JobState
from jobdeck_protocol.workerinfo import WorkerInfo, WorkerState
from jobdeck_tui.console import workercolumns as columns
from jobdeck_tui.console.few import (
    FewAsked,
    FewCame,
    FewFailed,
    FewGone,
    FewJobsCame,
    FewMessage,
    FewTold,
    Kind,
    after,
    job_told,
)
from jobdeck_tui.console.workerbook import Book
from jobdeck_tui.console.workerfacts import facts, place_words
from jobdeck_tui.console.workerlist import WORKER_SORTS, WorkerQuery, listed, parse
from tests.tui.console.workers import job_on, own, uid, worker
from tests.tui.test_sanitise import PAYLOADS

NOW_US = 1_800_000_000_000_000
HERE, FAR, MAC = own(), worker(2, "far", running_count=4), worker(3, "mac", labels=("gpu",))


def told(*messages: FewMessage) -> Book:
    book = Book()
    for message in messages:
        book = after(book, message)
    return book


def names(book: Book) -> list[str]:
    return [each.name for each in book.workers.values()]


# -- the book --


def test_an_answer_is_all_there_is() -> None:
    book = told(FewCame(kind=Kind.WORKERS, items=(HERE, FAR)), FewCame(kind=Kind.WORKERS, items=(HERE, MAC)))
    assert names(book) == ["deck", "mac"]
    assert (book.known, book.several, book.own) == (True, True, HERE)
    assert not told(FewCame(kind=Kind.WORKERS, items=(HERE,))).several


def test_what_was_told_while_an_answer_was_under_way_is_newer_than_it() -> None:
    drained = replace(FAR, state=WorkerState.DRAINING)
    book = told(
        FewCame(kind=Kind.WORKERS, items=(HERE, FAR, MAC)),
        FewAsked(kind=Kind.WORKERS),
        FewTold(kind=Kind.WORKERS, item=drained),
        FewGone(kind=Kind.WORKERS, id=MAC.id),
        FewCame(kind=Kind.WORKERS, items=(HERE, FAR, MAC)),
    )
    assert names(book) == ["deck", "far"]
    assert book.workers[FAR.id].state is WorkerState.DRAINING
    book = after(after(book, FewAsked(kind=Kind.WORKERS)), FewCame(kind=Kind.WORKERS, items=(HERE, FAR)))
    assert book.workers[FAR.id].state is WorkerState.ONLINE


def test_a_failure_leaves_what_is_known() -> None:
    book = told(FewCame(kind=Kind.WORKERS, items=(HERE, FAR)), FewFailed(kind=Kind.WORKERS, error="no"))
    assert (names(book), book.error) == (["deck", "far"], "no")
    assert after(book, FewCame(kind=Kind.WORKERS, items=(HERE,))).error is None
    assert not told(FewFailed(kind=Kind.WORKERS, error="no")).known


def test_a_job_is_told_to_the_list_of_its_worker_alone() -> None:
    job = job_on(FAR, 1, "make")
    book = told(FewJobsCame(kind=Kind.WORKERS, id=FAR.id, jobs=(job,)))
    ended = replace(job, state=JobState.SUCCEEDED)
    jobs = job_told(book, ended).jobs
    assert jobs is not None
    assert jobs.jobs == (ended,)
    assert job_told(book, job_on(FAR, 2, "make")) is book
    assert job_told(Book(), job) == Book()


def test_a_word_means_a_worker() -> None:
    twin = worker(9, "far")
    book = told(FewCame(kind=Kind.WORKERS, items=(HERE, FAR, MAC)))
    for word, meant in (("far", FAR), ("fa", FAR), ("FA", FAR), (FAR.id, FAR), (FAR.id[:8], FAR), ("m", MAC)):
        assert book.called(word) == [meant]
    assert book.called("nobody") == []
    twins = told(FewCame(kind=Kind.WORKERS, items=(HERE, FAR, twin)))
    assert twins.called("far") == [FAR, twin]
    assert (twins.word_for(twin), book.word_for(FAR)) == (twin.id, "far")


def test_jobs_of_the_servers_own_machine_do_not_name_it() -> None:
    book = told(FewCame(kind=Kind.WORKERS, items=(HERE, FAR)))
    job = Job(id=uid(50), dialect="v1", state=JobState.RUNNING)
    assert book.of(job.place) is HERE
    assert book.of(replace(job, state=JobState.QUEUED).place) is None
    assert book.of(replace(job, worker=FAR.id).place) is FAR
    assert book.places(HERE.id) == {HERE.id, ""}
    assert book.places(FAR.id) == {FAR.id}


# -- the list --


def order(sort: str, *workers: WorkerInfo) -> str:
    book = told(FewCame(kind=Kind.WORKERS, items=workers))
    return " ".join(each.name for each in listed(book, WorkerQuery(sort=sort)).rows)


def test_each_order() -> None:
    a = worker(1, "a", running_count=1, load=2.0, seen_us=30)
    b = worker(2, "B", running_count=7, seen_us=20, state=WorkerState.UNREACHABLE)
    c = worker(3, "c", running_count=3, load=0.5, seen_us=10, state=WorkerState.DRAINING)
    assert order("name", c, b, a) == "a B c"
    assert order("-name", a, b, c) == "c B a"
    assert order("state", a, b, c) == "B c a"
    assert order("-used", a, b, c) == "B c a"
    assert order("-load", a, b, c) == "a c B"
    assert order("-seen", a, b, c) == "a B c"


def test_the_words_of_the_filter() -> None:
    gpu = worker(1, "gpu one", labels=("gpu", "linux"), address="10.0.0.7:1")
    off = worker(2, "gpu", state=WorkerState.OFFLINE)
    book = told(FewCame(kind=Kind.WORKERS, items=(gpu, off)))

    def found(line: str) -> list[WorkerInfo]:
        words = parse(line, "name")
        assert words.error is None
        return list(listed(book, words.query).rows)

    assert found("") == [off, gpu]
    assert found("state:on,unr") == [gpu]
    assert found("label:gpu") == [gpu]
    assert found('name:"gpu one"') == [gpu]
    assert found("name:gpu") == [off]
    assert found("10.0.0.7") == [gpu]
    assert found("GPU state:") == [off, gpu]
    assert not parse("", "name").query.narrow
    assert "no state begins with 'x'" in (parse("state:x", "name").error or "")


# -- the columns --


@given(
    width=st.integers(1, 300),
    sort=st.sampled_from(WORKER_SORTS),
    text=st.text(max_size=40),
    state=st.sampled_from(WorkerState),
    running=st.integers(0, 10**6),
    skew=st.sampled_from([0, -3_000_000, 400_000_000_000]),
    load=st.one_of(st.none(), st.floats(0, 1e6)),
)
def test_a_row_is_as_wide_as_its_columns_whatever_stands_in_it(
    width: int, sort: str, text: str, state: WorkerState, running: int, skew: int, load: float | None
) -> None:
    one = worker(1, text, state=state, running_count=running, clock_skew_us=skew, load=load, labels=(text, text))
    one = replace(one, address=text, software=text, queued_count=running, free_bytes=running * 10**9)
    shown = listed(told(FewCame(kind=Kind.WORKERS, items=(one,))), WorkerQuery(sort=sort))
    wide = columns.columns_for(width, shown)
    for cells in (columns.head_of(wide, shown.query), columns.cells_of(one, wide, "12s", marked=True)):
        assert [cell_len(cell.text) for cell in cells] == [column.width for column in wide]
    if width >= 50:
        assert sum(column.width for column in wide) + 2 * (len(wide) - 2) + 2 <= width


@pytest.mark.parametrize("raw", [raw for raw, _ in PAYLOADS])
def test_no_control_gets_through_from_any_field(raw: bytes) -> None:
    text = raw.decode("utf-8", "replace")
    bad = replace(FAR, id=text, name=text, labels=(text,), address=text, software=text)
    wide = columns.columns_for(300, listed(told(FewCame(kind=Kind.WORKERS, items=(bad,))), WorkerQuery()))
    assert all(cell.text.isprintable() for cell in columns.cells_of(bad, wide, "1s", marked=False))


def test_columns_fall_away_and_the_name_stays() -> None:
    def seen(width: int, **changes: int) -> str:
        shown = listed(told(FewCame(kind=Kind.WORKERS, items=(replace(FAR, **changes),))), WorkerQuery())  # type: ignore[arg-type]  # numbers alone
        return " ".join(column.name for column in columns.columns_for(width, shown))

    assert seen(200) == "mark state name slots waits load disk labels seen address software id"
    assert seen(120) == "mark state name slots waits load disk labels seen"
    assert seen(79) == "mark state name slots waits load seen"
    assert seen(59) == "mark state name count waits seen"
    assert seen(40) == "mark state name count"
    assert seen(30) == "mark sign name count"
    assert "clock" in seen(60, clock_skew_us=-2_100_000)
    assert "clock" not in seen(200, clock_skew_us=1_900_000)


def test_bars_are_full_only_where_all_is_used() -> None:
    def bar(used: int, of: int) -> str:
        return columns.bar(replace(FAR, running_count=used, slots_count=of), 4)

    assert [bar(0, 64), bar(1, 64), bar(32, 64), bar(63, 64), bar(64, 64)] == ["····", "■···", "■■··", "■■■·", "■■■■"]
    assert (bar(5, 4), bar(0, 0)) == ("■■■■", "····")


def test_each_state_has_a_sign_of_its_own() -> None:
    signs = [columns.WORKER_MARKS[state].sign for state in WorkerState]
    assert len(set(signs)) == len(list(WorkerState))


@pytest.mark.parametrize(
    ("seen_us", "words"),
    [(NOW_US + 5_000_000, "0s"), (NOW_US - 61_000_000, "61s"), (NOW_US - 600_000_000, "10m"), (0, "never")],
)
def test_how_long_ago_it_was_seen(seen_us: int, words: str) -> None:
    assert columns.seen_text(replace(FAR, seen_us=seen_us), NOW_US) == words


# -- in words --


def test_all_that_is_known_is_told() -> None:
    gone = replace(
        MAC, state=WorkerState.UNREACHABLE, seen_us=NOW_US - 61_000_000, clock_skew_us=-7_000_000, queued_count=2
    )
    lines = dict(facts(replace(gone, load=1.5, free_bytes=1 << 30, address="h:1", software="jobdeck 1"), NOW_US))
    assert lines["state"] == "! unreachable since 07:58:59Z (61s ago)"
    assert lines["slots"].endswith("0 of 8 in use, 2 waiting for it")
    assert lines["machine"] == "load 1.50, 1.0 GiB free on its disk"
    assert lines["clock"] == "-7.0s against the server's"
    assert (lines["labels"], lines["address"], lines["version"], lines["id"]) == ("gpu", "h:1", "jobdeck 1", MAC.id)
    assert "machine" not in dict(facts(FAR, NOW_US))


def test_where_a_job_is() -> None:
    book = told(
        FewCame(
            kind=Kind.WORKERS, items=(HERE, replace(FAR, state=WorkerState.UNREACHABLE, seen_us=NOW_US - 5_000_000))
        )
    )
    job = job_on(FAR, 1, "make")
    assert place_words(job, book, NOW_US) == "far 00000002 (worker), unreachable since 07:59:55Z (5s ago)"
    local = replace(job, worker=None, engine="local")
    assert place_words(local, book, NOW_US) == "deck 00000001 (local), online"
    assert place_words(local, Book(), NOW_US) == "local"
    assert place_words(replace(local, state=JobState.QUEUED), book, NOW_US) == "no worker has it yet"
    strange = replace(job, worker="outside-1", engine="webgme-worker")
    assert place_words(strange, book, NOW_US) == "outside-1 (webgme-worker), not known to the server"
