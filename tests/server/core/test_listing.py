"""Every order with every filter against a model: a list in memory, sorted and filtered by Python."""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import ENDED, Job, JobState, Step, to_wire
from jobdeck_server.core import journal, schema, ways
from jobdeck_server.core.errors import BadRequestError, UnknownJobError
from jobdeck_server.core.listing import SORTS, JobFilter, page

ORDERS = [sign + sort for sort in SORTS for sign in ("", "-")]
DIALECTS = ("v1", "jobrunner")
LABELS = ("odd", "rare", "Äon")
FAR, NEAR = "f0000000-0000-4000-8000-000000000000", "a0000000-0000-4000-8000-000000000000"


@dataclass(frozen=True)
class Shelf:
    """Jobs in a database, and the same as values in the order of acceptance."""

    connection: sqlite3.Connection
    jobs: tuple[Job, ...]

    def expected(self, wanted: JobFilter) -> list[str]:
        """Ids of the whole list."""
        keys: dict[str, Callable[[int, Job], Any]] = {
            "created": lambda number, job: number,
            "state": lambda number, job: (job.state.value, number),
            "ended": lambda number, job: None if job.finished_us is None else (job.finished_us, number),
        }
        key = keys[wanted.sort.removeprefix("-")]
        found = [(key(number, job), job.id) for number, job in enumerate(self.jobs) if _fits(job, wanted)]
        in_order = [each for each in found if each[0] is not None]
        return [job_id for _, job_id in sorted(in_order, reverse=wanted.sort.startswith("-"))]

    def listed(self, wanted: JobFilter, scan: int) -> list[str]:
        """Ids of all pages."""
        found: list[str] = []
        for _ in range(1000):
            got = page(self.connection, wanted, scan_limit_count=scan)
            assert len(got.items) <= wanted.limit_count
            found += [item.id for item in got.items]
            if got.next is None:
                return found
            wanted = replace(wanted, cursor=got.next, after=None)
        raise AssertionError("the list does not end")


def _fits(job: Job, wanted: JobFilter) -> bool:
    words = "\n".join((job.id, job.command, *job.labels, job.context or "")).casefold()
    return (
        (not wanted.states or job.state in wanted.states)
        and wanted.dialect in (None, job.dialect)
        and (wanted.label is None or wanted.label in job.labels)
        and (not wanted.workers or job.place in wanted.workers)
        and wanted.context in (None, job.context)
        and (wanted.text is None or wanted.text.casefold() in words)
        and (wanted.since_us is None or job.created_us >= wanted.since_us)
    )


@contextmanager
def shelf(jobs: list[Job], removed: set[int]) -> Iterator[Shelf]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    schema.migrate(connection)
    connection.execute("begin")
    with mock.patch.object(ways, "TIDE_STEP_COUNT", 4):
        for job in jobs:
            journal.insert_job(connection, job, {}, boot_id=None, idempotency=None)
    journal.delete_jobs(connection, [jobs[number].id for number in removed if number < len(jobs)])
    journal.trim(connection, events_count=0, keys_before_us=0)
    connection.execute("commit")
    kept = tuple(job for number, job in enumerate(jobs) if number not in removed or not job.ended)
    try:
        yield Shelf(connection, kept)
    finally:
        connection.close()


def some_jobs(count: int, seed: int) -> list[Job]:
    """Any jobs; a draw for each of their fields would cost more than all the lists."""
    rng = random.Random(seed)
    jobs, clock = [], 1000
    for number in range(count):
        clock = max(1, clock + rng.choice([0, 1, 10, -1, -50]))  # a clock may be set back
        state = rng.choice(list(JobState))
        jobs.append(
            Job(
                id=f"{number:08x}-0000-4000-8000-000000000000",
                dialect=rng.choice(DIALECTS),
                steps=(Step(command_line=rng.choice(["make", "Make all", "größe", "a%b_c"])),),
                labels=tuple(label for label in LABELS if rng.random() < 0.4),
                state=state,
                worker=rng.choice([None, None, FAR, NEAR]),
                context=rng.choice([None, None, None, "main", "main", "other"]),
                created_us=clock,
                finished_us=clock + rng.randrange(30) if state in ENDED else None,
            )
        )
    return jobs


FILTERS = st.builds(
    JobFilter,
    states=st.sampled_from(
        [(), (), (JobState.FAILED,), (JobState.RUNNING, JobState.LOST, JobState.RUNNING), tuple(ENDED), (*JobState,)]
    ),
    dialect=st.sampled_from([None, None, *DIALECTS, "spark"]),
    label=st.sampled_from([None, None, *LABELS, "none"]),
    workers=st.sampled_from([(), (), (FAR,), ("",), ("", NEAR), ("none", "none")]),
    context=st.sampled_from([None, None, None, "main", "other", "none"]),
    text=st.sampled_from([None, None, None, "MAKE", "%", "GRÖSSE", "äon", "00000007", "\udcff"]),
    since_us=st.one_of(st.none(), st.none(), st.integers(900, 1200)),
    sort=st.sampled_from(ORDERS),
    limit_count=st.integers(1, 7),
)


@pytest.mark.slow
@settings(max_examples=400, deadline=None)
@given(
    count=st.integers(1, 40),
    seed=st.integers(0, 1 << 32),
    removed=st.sets(st.integers(0, 39), max_size=10),
    wanted=FILTERS,
    scan=st.integers(1, 12),
    at=st.integers(0, 39),
)
def test_lists_equal_the_model_from_any_place_in_both_directions(
    count: int, seed: int, removed: set[int], wanted: JobFilter, scan: int, at: int
) -> None:
    with shelf(some_jobs(count, seed), removed) as found:
        expected = found.expected(wanted)
        assert found.listed(wanted, scan) == expected
        # from behind a job of the order, which the filter may leave out
        everything = found.expected(JobFilter(sort=wanted.sort))
        if not everything:
            return
        job_id = everything[at % len(everything)]
        before = set(everything[: everything.index(job_id)])
        below = [each for each in expected if each not in before and each != job_id]
        assert found.listed(replace(wanted, after=job_id), scan) == below
        # and what stands above it, asked for in the flipped order
        flipped = wanted.sort[1:] if wanted.sort.startswith("-") else "-" + wanted.sort
        above = [each for each in reversed(expected) if each in before]
        assert found.listed(replace(wanted, after=job_id, sort=flipped), scan) == above


JOBS = [
    Job(
        id=f"{number:08x}-0000-4000-8000-000000000000",
        dialect=DIALECTS[number % 2],
        steps=(Step(command_line=f"echo {number}"),),
        labels=("nightly",) if number % 3 == 0 else (),
        state=(JobState.SUCCEEDED, JobState.FAILED, JobState.RUNNING)[number % 3],
        worker=(None, FAR, NEAR, None)[number % 4],
        context=(None, None, "main", "other", None)[number % 5],
        created_us=1000 + number,
        finished_us=None if number % 3 == 2 else 2000 - number,
    )
    for number in range(300)
]


@pytest.mark.slow
@pytest.mark.parametrize("sort", ORDERS)
@pytest.mark.parametrize(
    "filters",
    [
        {},
        {"states": (JobState.FAILED,)},
        {"states": (JobState.FAILED, JobState.SUCCEEDED)},
        {"dialect": "v1"},
        {"label": "nightly"},
        {"workers": (FAR,)},
        {"workers": ("", NEAR)},
        {"workers": ("", NEAR), "states": (JobState.FAILED,), "label": "nightly"},
        {"context": "main"},
        {"context": "main", "states": (JobState.RUNNING,), "since_us": 1200},
        {"since_us": 1280},
        {"states": (JobState.SUCCEEDED,), "dialect": "v1", "label": "nightly", "since_us": 1200},
        {"text": "echo 7"},
    ],
    ids=str,
)
def test_each_list_goes_by_an_index_and_sorts_only_what_is_few(sort: str, filters: dict[str, Any]) -> None:
    """What a page reads is bounded, whatever is asked: so SQLite's own plans say."""
    with shelf(JOBS, set()) as found:
        statements: list[str] = []
        found.connection.set_trace_callback(statements.append)
        wanted = JobFilter(sort=sort, limit_count=5, **filters)
        for scan in (20, 1000):
            page(found.connection, wanted, scan_limit_count=scan)
        found.connection.set_trace_callback(None)
        for statement in statements:
            if not statement.startswith("select"):
                continue
            plan = [row[3] for row in found.connection.execute(f"explain query plan {statement}")]
            assert not any("TEMP B-TREE" in line for line in plan) or "limit 6" in statement, (statement, plan)
            scans = [line for line in plan if line.startswith("SCAN") and "USING" not in line]
            # all of the table is gone through in its own order alone, which stops after so many rows
            assert all(line in ("SCAN job", "SCAN (subquery-1)") for line in scans), (statement, plan)


def test_a_page_behind_a_job_that_is_not_there() -> None:
    with shelf(JOBS, {4}) as found:
        for gone in (JOBS[4].id, "nonsense"):
            with pytest.raises(UnknownJobError):
                page(found.connection, JobFilter(after=gone), scan_limit_count=10)
        with pytest.raises(BadRequestError, match="has not ended") as caught:
            page(found.connection, JobFilter(after=JOBS[2].id, sort="ended"), scan_limit_count=10)
        assert caught.value.field == "after"
        cursor = page(found.connection, JobFilter(limit_count=1), scan_limit_count=10).next
        with pytest.raises(BadRequestError, match="one of"):
            page(found.connection, JobFilter(after=JOBS[2].id, cursor=cursor), scan_limit_count=10)
        for sort in ("state", "-created", "ended"):
            with pytest.raises(BadRequestError):
                page(found.connection, JobFilter(sort=sort, cursor="WyJzdGF0ZSIsIDEsIDJd"), scan_limit_count=10)


def _insert_of_old(connection: sqlite3.Connection, job: Job) -> None:
    """As the first version stored it."""
    # a context they could tell already
    later = {"rerun_of", "bundle", "worker_labels", "main_class", "packages", "progress", "progress_text"}
    wire = {name: value for name, value in to_wire(job).items() if name not in later}
    connection.execute(
        "insert into job (id, dialect, state, created_us, finished_us, search, record, spec)"
        " values (?, ?, ?, ?, ?, '', ?, '{}')",
        (job.id, job.dialect, job.state.value, job.created_us, job.finished_us, json.dumps(wire)),
    )


def test_migrations_give_old_jobs_what_new_ones_bring_with_them() -> None:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    with mock.patch.object(schema, "MIGRATIONS", schema.MIGRATIONS[:1]):
        schema.migrate(connection)
    for job in JOBS:
        _insert_of_old(connection, job)
    schema.migrate(connection)
    listed = page(connection, JobFilter(sort="created", limit_count=1000), scan_limit_count=1)
    assert list(listed.jobs) == JOBS
    for workers in ((FAR,), ("",), ("", NEAR)):
        wanted = JobFilter(sort="created", limit_count=1000, workers=workers)
        on_them = page(connection, wanted, scan_limit_count=1000)
        assert list(on_them.jobs) == [job for job in JOBS if job.place in workers]
    in_it = page(connection, JobFilter(sort="created", limit_count=1000, context="main"), scan_limit_count=1000)
    assert list(in_it.jobs) == [job for job in JOBS if job.context == "main"]
    assert all(json.loads(item.record).keys() == to_wire(JOBS[0]).keys() for item in listed.items)
    migrated = connection.execute("select * from tide").fetchall()
    assert migrated == [(seq, 1000 + seq - 1) for seq in range(64, 301, 64)]
    with shelf([], set()) as fresh:
        for job in JOBS:
            journal.insert_job(fresh.connection, job, {}, boot_id=None, idempotency=None)
        assert fresh.connection.execute("select * from tide").fetchall() == migrated
        # job number n, from 1, was accepted at 999 + n
        assert [ways.floor(fresh.connection, us) for us in (0, 1063, 1064, 1281, 9999)] == [0, 0, 64, 256, 256]
    connection.close()
