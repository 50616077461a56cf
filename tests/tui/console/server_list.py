"""A server's list of jobs in a few lines: what the real one would answer to the console's questions.

Jobs are accepted in the order of their times. A filter by text looks at a bounded number of rows per page.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace

from jobdeck_protocol.job import ENDED, MOVES, Job, JobState, Step
from jobdeck_tui.console.joblist import JobList
from jobdeck_tui.console.pages import Ask, Page, Place
from jobdeck_tui.console.query import Query

COLOURS = ("red", "green", "blue")
FAR = "f0000000-0000-4000-8000-000000000000"


@dataclass
class ServerList:
    """Jobs in the order in which they were accepted, and the changes that nobody was told of yet."""

    jobs: list[Job] = field(default_factory=list)
    untold: list[Job | str] = field(default_factory=list)
    made_count: int = 0
    scan_count: int = 4
    now_us: int = 1_000_000

    def submit(self) -> Job:
        self.made_count += 1
        self.now_us += 10
        job = Job(
            id=f"{self.made_count:08x}",
            dialect=("v1", "jobrunner")[self.made_count % 2],
            steps=(Step(command_line=f"paint {COLOURS[self.made_count % 3]}"),),
            labels=("nightly",) if self.made_count % 4 == 0 else (),
            created_us=self.now_us,
        )
        self.jobs.append(job)
        self.untold.append(job)
        return job

    def move(self, index: int, to: JobState) -> None:
        """Move a job if it may be moved there."""
        job = self.jobs[index % len(self.jobs)]
        if to not in MOVES[job.state]:
            return
        self.now_us += 10
        changed = replace(job, state=to, finished_us=self.now_us if to in ENDED else None)
        if to is JobState.STARTING and index % 2:
            changed = replace(changed, worker=FAR)
        self.jobs[self.jobs.index(job)] = changed
        self.untold.append(changed)

    def remove(self, index: int) -> None:
        job = self.jobs[index % len(self.jobs)]
        if job.ended:
            self.jobs.remove(job)
            self.untold.append(job.id)

    def listed(self, query: Query, sort: str | None = None) -> list[Job]:
        """All jobs that the query asks for, in its order."""
        sort = sort or query.sort
        found = [job for job in self.jobs if _wanted(query, job)]
        return sorted(found, key=lambda job: _position(sort, job), reverse=sort.startswith("-"))

    def answer(self, query: Query, ask: Ask) -> Page | None:
        """A page; None if the job that it was asked after is gone."""
        whole = self.listed(replace(query, text=None), ask.sort)
        descending = ask.sort.startswith("-")
        if ask.cursor is not None:
            after = tuple(json.loads(ask.cursor))
        elif ask.after is not None:
            anchor = next((job for job in self.jobs if job.id == ask.after), None)
            if anchor is None:
                return None
            after = _position(ask.sort, anchor)
        else:
            after = None
        if after is not None:
            whole = [
                job
                for job in whole
                if (_position(ask.sort, job) < after if descending else _position(ask.sort, job) > after)
            ]
        looked = whole if query.text is None else whole[: self.scan_count]
        found = [job for job in looked if query.text is None or query.text in job.command]
        more = len(found) > ask.limit_count or len(looked) < len(whole)
        last = found[ask.limit_count - 1] if len(found) > ask.limit_count else looked[-1] if looked else None
        found = found[: ask.limit_count]
        cursor = json.dumps(_position(ask.sort, last)) if more and last is not None else None
        return Page(rows=tuple(found), more=cursor is not None, cursor=cursor)


def _wanted(query: Query, job: Job) -> bool:
    return (
        (not query.states or job.state in query.states)
        and (query.dialect is None or job.dialect == query.dialect)
        and (query.label is None or query.label in job.labels)
        and (query.worker is None or job.place in query.places)
        and query.context in (None, job.context)
        and (query.text is None or query.text in job.command)
        and (query.by != "ended" or job.finished_us is not None)
    )


def _position(sort: str, job: Job) -> tuple[object, ...]:
    by = sort.removeprefix("-")
    return ({"created": 0, "ended": job.finished_us or 0, "state": job.state.value}[by], job.created_us)


def put(page: Page, place: Place) -> Page:
    """A page in the order of the list, as the deck hands it on."""
    backward = place in (Place.ABOVE, Place.END)
    return replace(page, rows=tuple(reversed(page.rows))) if backward else page


def check_run(jobs: JobList, server: ServerList) -> None:
    """The window is a run of neighbouring rows of the server's list, and says rightly where it ends."""
    whole = server.listed(jobs.query)
    assert len({job.id for job in jobs.rows}) == len(jobs.rows)
    assert set(jobs.held) == {job.id for job in jobs.rows}
    if not jobs.rows:
        assert jobs.above or jobs.below or not whole
        return
    start = whole.index(jobs.rows[0])
    assert list(jobs.rows) == whole[start : start + len(jobs.rows)]
    assert jobs.above or start == 0
    assert jobs.below or start + len(jobs.rows) == len(whole)
