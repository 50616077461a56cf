"""The window on the list: whatever happens in whatever order, it comes to be a true run of the server's rows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobdeck_protocol.job import Job, JobState
from jobdeck_tui.console import rowlist
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import Ask, Page, Place
from jobdeck_tui.console.query import SORTS, Query
from tests.tui.console.server_list import COLOURS, FAR, ServerList, check_run, put

LIMIT_COUNT, PAGE_COUNT = 7, 3


def small_window() -> AbstractContextManager[object]:
    return patch.multiple(rowlist, ROWS_LIMIT_COUNT=LIMIT_COUNT, ROWS_PAGE_COUNT=PAGE_COUNT)


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_window():
        yield


class Story:
    """A server, a window on its list, and what is under way between them; a seed decides what happens next.

    Events may be late, and lost when the link breaks; pages are read at one moment and heard at another.
    """

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self.server = ServerList()
        self.jobs = JobList()
        self.unread: dict[Place, Ask] = {}
        self.unheard: dict[Place, Page | None] = {}
        for _ in range(self.chance.randrange(30)):
            self.server.submit()
        for _ in range(self.chance.randrange(90)):
            self.change()
        self.server.untold.clear()
        self.ask_for_others()

    def step(self) -> None:
        weights = {
            **dict.fromkeys((self.change_at_an_end, self.tell, self.scroll, self.ask, self.read, self.hear), 6.0),
            self.change: 4.0,
            self.rest: 1.0,
            self.lose_the_link: 0.5,
            self.ask_for_others: 0.5,
        }
        self.chance.choices(list(weights), list(weights.values()))[0]()

    # -- the server --

    def change(self) -> None:
        if not self.server.jobs or self.chance.random() < 0.3:
            self.server.submit()
        else:
            self.change_one(self.chance.choice(self.server.jobs))

    def change_at_an_end(self) -> None:
        """A row at an end of the window, where pages are put on."""
        rows = [*self.jobs.rows[:2], *self.jobs.rows[-2:]]
        known = {job.id: job for job in self.server.jobs}
        near = [known[row.id] for row in rows if row.id in known]
        if near:
            self.change_one(self.chance.choice(near))

    def change_one(self, job: Job) -> None:
        index = self.server.jobs.index(job)
        if job.ended and self.chance.random() < 0.3:
            self.server.remove(index)
        else:
            self.server.move(index, self.chance.choice(list(JobState)))

    def tell(self) -> None:
        self.tell_some(self.chance.randint(1, 4))

    def tell_some(self, count: int) -> None:
        for told in self.server.untold[:count]:
            if isinstance(told, Job):
                self.jobs = rowlist.told(self.jobs, told)
            else:
                self.jobs = rowlist.gone(self.jobs, told)
        del self.server.untold[:count]

    def lose_the_link(self) -> None:
        self.server.untold.clear()
        self.jobs = rowlist.doubted(self.jobs)

    # -- the reader --

    def ask_for_others(self) -> None:
        some = self.chance.choice
        states = (frozenset[JobState](), frozenset({JobState.RUNNING}), frozenset({JobState.FAILED, JobState.QUEUED}))
        worker = some([None, None, None, FAR, ""])
        query = Query(
            worker=worker,
            places=frozenset() if worker is None else frozenset({worker}),
            states=some(states),
            dialect=some([None, None, None, "v1"]),
            label=some([None, None, None, "nightly"]),
            text=some([None, None, *COLOURS]),
            sort=some(["", "-"]) + some(SORTS),
        )
        self.jobs = rowlist.queried(self.jobs, query)
        self.unread, self.unheard = {}, {}
        self.ask_one(Place.START)

    def ask(self) -> None:
        self.ask_one(self.chance.choice([*Place, Place.BELOW, Place.ABOVE, Place.BELOW, Place.ABOVE]))

    def ask_one(self, place: Place) -> None:
        if place in self.jobs.loading or (place in (Place.ABOVE, Place.BELOW) and not self.jobs.known):
            return
        if (place is Place.ABOVE and not self.jobs.above) or (place is Place.BELOW and not self.jobs.below):
            return
        self.jobs = rowlist.asked(self.jobs, self.jobs.query, place)
        self.unread[place] = self.jobs.asks[place]

    def read(self) -> None:
        if self.unread:
            self.read_one(self.chance.choice(list(self.unread)))

    def read_one(self, place: Place) -> None:
        if place in self.unread:
            self.unheard[place] = self.server.answer(self.jobs.query, self.unread.pop(place))

    def hear(self) -> None:
        if self.unheard:
            self.hear_one(self.chance.choice(list(self.unheard)))

    def hear_one(self, place: Place) -> None:
        if place not in self.unheard:
            return
        page, query = self.unheard.pop(place), self.jobs.query
        if page is None:
            after = self.jobs.asks[place].after
            assert after is not None
            self.jobs = rowlist.gone(rowlist.failed(self.jobs, query, place, None), after)
        else:
            self.jobs = rowlist.came(self.jobs, query, place, put(page, place))

    def page(self, place: Place) -> None:
        self.ask_one(place)
        self.read_one(place)
        self.hear_one(place)

    def scroll(self) -> None:
        """Some pages one after the other, while nothing else happens."""
        place = self.chance.choice([Place.BELOW, Place.ABOVE])
        for _ in range(self.chance.randint(1, 4)):
            self.page(place)

    # -- what must hold --

    def check_bounds(self) -> None:
        assert len(self.jobs.rows) <= LIMIT_COUNT
        assert len({job.id for job in self.jobs.rows}) == len(self.jobs.rows)
        assert set(self.jobs.held) == {job.id for job in self.jobs.rows}

    def rest(self) -> None:
        """Everything under way arrives, and the window is read anew where it asks for it: now it must be true."""
        self.tell_some(len(self.server.untold))
        for _ in range(10):
            for place in list(self.unread):
                self.read_one(place)
            for place in list(self.unheard):
                self.hear_one(place)
            if not self.jobs.stale:
                break
            self.ask_one(Place.AGAIN)
        assert not self.jobs.stale
        assert not self.jobs.asks
        assert not self.jobs.fresh
        if self.jobs.known:
            check_run(self.jobs, self.server)


@pytest.mark.slow
@given(seed=st.integers(0, 2**32))
@settings(max_examples=500, deadline=None)
def test_the_window_comes_to_be_a_true_run_of_neighbouring_rows(seed: int) -> None:
    story = Story(seed)
    for _ in range(60):
        story.step()
        story.check_bounds()
    story.rest()


# -- single rules --


def listed(server: ServerList, query: Query | None = None) -> JobList:
    """A window with its first page."""
    jobs = rowlist.queried(JobList(), query or Query())
    return paged(server, jobs, Place.START)


def paged(server: ServerList, jobs: JobList, place: Place) -> JobList:
    jobs = rowlist.asked(jobs, jobs.query, place)
    page = server.answer(jobs.query, jobs.asks[place])
    assert page is not None
    return rowlist.came(jobs, jobs.query, place, put(page, place))


def with_jobs(count: int) -> ServerList:
    server = ServerList()
    for _ in range(count):
        server.submit()
    server.untold.clear()
    return server


def ids(jobs: JobList) -> list[int]:
    return [int(job.id, 16) for job in jobs.rows]


def test_nothing_is_known_before_the_first_page() -> None:
    jobs = JobList()
    assert (jobs.known, jobs.above, jobs.below, jobs.rows) == (False, False, True, ())
    assert rowlist.told(jobs, with_jobs(1).jobs[0]).rows == ()


def test_pages_follow_each_other_and_rows_fall_off_the_far_end() -> None:
    server = with_jobs(20)
    jobs = listed(server)
    assert (ids(jobs), jobs.above, jobs.below) == ([20, 19, 18], False, True)
    for _ in range(2):
        jobs = paged(server, jobs, Place.BELOW)
    assert (ids(jobs), jobs.above) == ([18, 17, 16, 15, 14, 13, 12], True)
    jobs = paged(server, jobs, Place.ABOVE)
    assert (ids(jobs), jobs.above, jobs.below) == ([20, 19, 18, 17, 16, 15, 14], False, True)
    jobs = paged(server, jobs, Place.END)
    assert (ids(jobs), jobs.above, jobs.below) == ([3, 2, 1], True, False)


def test_new_jobs_come_in_at_the_top_and_push_out_the_bottom() -> None:
    server = with_jobs(5)
    jobs = listed(server)
    for _ in range(8):
        jobs = rowlist.told(jobs, server.submit())
    assert (ids(jobs), jobs.above, jobs.unseen_count) == ([13, 12, 11, 10, 9, 8, 7], False, 0)


def test_new_jobs_do_not_push_out_what_the_reader_at_the_bottom_looks_at_but_are_counted() -> None:
    server = with_jobs(7)
    jobs = paged(server, paged(server, listed(server), Place.BELOW), Place.BELOW)
    for _ in range(3):
        job = server.submit()
        jobs = rowlist.told(rowlist.told(jobs, job), replace(job, state=JobState.STARTING))
    assert (ids(jobs), jobs.above, jobs.unseen_count) == ([7, 6, 5, 4, 3, 2, 1], True, 3)
    jobs = paged(server, jobs, Place.ABOVE)
    assert (ids(jobs), jobs.above, jobs.unseen_count) == ([10, 9, 8, 7, 6, 5, 4], False, 0)


def test_old_jobs_that_change_above_the_window_are_not_counted_as_new() -> None:
    server = with_jobs(20)
    jobs = paged(server, paged(server, paged(server, listed(server), Place.BELOW), Place.BELOW), Place.BELOW)
    assert jobs.above
    assert rowlist.told(jobs, replace(server.jobs[-1], state=JobState.RUNNING)).unseen_count == 0


def test_another_query_shows_at_once_which_of_the_rows_held_belong_on_it() -> None:
    server = with_jobs(12)
    jobs = rowlist.queried(listed(server), Query(text="RED", sort="created"))
    assert (ids(jobs), jobs.known, jobs.stale) == ([12], False, True)


def test_rows_stay_until_they_are_read_anew() -> None:
    server = with_jobs(4)
    jobs = listed(server)
    server.submit()
    server.untold.clear()
    jobs = rowlist.doubted(jobs)
    assert (ids(jobs), jobs.stale) == ([4, 3, 2], True)
    jobs = rowlist.asked(jobs, jobs.query, Place.AGAIN)
    assert ids(jobs) == [4, 3, 2]
    page = server.answer(jobs.query, jobs.asks[Place.AGAIN])
    assert page is not None
    jobs = rowlist.came(jobs, jobs.query, Place.AGAIN, page)
    assert (ids(jobs), jobs.stale) == ([5, 4, 3], False)


def test_a_page_never_overwrites_what_was_told_after_it_was_asked_for() -> None:
    server = with_jobs(3)
    jobs = rowlist.asked(JobList(), Query(), Place.START)
    page = server.answer(jobs.query, jobs.asks[Place.START])
    assert page is not None
    jobs = rowlist.gone(rowlist.told(jobs, replace(server.jobs[2], state=JobState.RUNNING)), server.jobs[1].id)
    jobs = rowlist.came(jobs, jobs.query, Place.START, page)
    assert [(job.id, job.state) for job in jobs.rows] == [
        (server.jobs[2].id, JobState.RUNNING),
        (server.jobs[0].id, JobState.QUEUED),
    ]


def test_a_window_that_lost_all_its_rows_is_read_anew() -> None:
    server = with_jobs(9)
    jobs = paged(server, listed(server), Place.END)
    for job in jobs.rows:
        assert not jobs.stale
        jobs = rowlist.gone(jobs, job.id)
    assert jobs.stale
    assert paged(server, jobs, Place.AGAIN).rows[0].id == server.jobs[-1].id


def test_a_record_that_is_ahead_of_its_place_on_the_page_goes_where_it_belongs() -> None:
    server = with_jobs(6)
    jobs = rowlist.asked(JobList(query=Query(sort="state")), Query(sort="state"), Place.START)
    page = server.answer(jobs.query, jobs.asks[Place.START])
    assert page is not None
    first, *rest = page.rows
    ahead = replace(page, rows=(replace(first, state=JobState.SUCCEEDED), *rest))
    assert ids(rowlist.came(jobs, jobs.query, Place.START, ahead)) == [2, 3]


def test_a_job_that_moved_while_a_page_was_read_in_parts_stands_once() -> None:
    server = with_jobs(3)
    jobs = rowlist.asked(JobList(query=Query(sort="state")), Query(sort="state"), Place.AGAIN)
    moved = replace(server.jobs[0], state=JobState.RUNNING)
    page = Page(rows=(*server.jobs, moved), more=False, cursor=None)
    jobs = rowlist.came(jobs, jobs.query, Place.AGAIN, page)
    assert jobs.rows == (server.jobs[1], server.jobs[2], moved)


def test_a_failure_is_told_and_what_is_shown_stands() -> None:
    server = with_jobs(3)
    jobs = rowlist.asked(listed(server), Query(), Place.AGAIN)
    jobs = rowlist.failed(jobs, jobs.query, Place.AGAIN, "No server answers.")
    assert (ids(jobs), jobs.error, jobs.loading) == ([3, 2, 1], "No server answers.", frozenset())
    assert paged(server, jobs, Place.AGAIN).error is None


def test_answers_to_former_questions_are_dropped() -> None:
    server = with_jobs(3)
    former = rowlist.asked(JobList(), Query(), Place.START)
    page = server.answer(former.query, former.asks[Place.START])
    assert page is not None
    jobs = rowlist.asked(rowlist.queried(former, Query(label="nightly")), Query(label="nightly"), Place.START)
    assert rowlist.came(jobs, former.query, Place.START, page) is jobs
    assert rowlist.failed(jobs, former.query, Place.START, "no") is jobs
