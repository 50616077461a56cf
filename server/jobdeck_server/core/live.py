"""A job that has not ended, as the core holds it in memory."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_protocol.job import JobState
from jobdeck_server.core.journal import record_text
from jobdeck_server.engines.base import Launch

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.growth import Growth
    from jobdeck_server.engines.base import Stop


class Live:
    """A job that has not ended, or whose end is not committed yet.

    Attributes:
        job: Its record now.
        spec: What the engine needs to run it.
        boot_id: Of the machine's run in which it left the queue, None before.
        stop: The strongest stop asked for, None if none was.
        changed: Set at the next change of the record, and when its end is committed; then replaced.
        stdin_taken: Somebody writes its standard input.
        delivering: A task is telling the engine to stop it.
    """

    __slots__ = ("_record", "boot_id", "changed", "delivering", "job", "spec", "stdin_taken", "stop")

    def __init__(self, job: Job, spec: dict[str, Any], *, boot_id: str | None = None, stop: Stop | None = None) -> None:
        self.job = job
        self.spec = spec
        self.boot_id = boot_id
        self.stop = stop
        self.changed = trio.Event()
        self.stdin_taken = False
        self._record: tuple[Job, str] | None = None
        self.delivering = False

    def record(self) -> str:
        """The public record as JSON, made once for each change."""
        if self._record is None or self._record[0] is not self.job:
            self._record = (self.job, record_text(self.job))
        return self._record[1]

    def launch(self) -> Launch:
        """What its engine needs to run it."""
        return Launch(job_id=self.job.id, spec=self.spec, engine=self.job.engine, job=self.job)

    def ring(self) -> None:
        """Wake all who wait for a change."""
        self.changed.set()
        self.changed = trio.Event()


class Register:
    """All jobs in memory, and how many there are in each state, those in the database alone counted too.

    Attributes:
        jobs: By their id.
        counts: By state.
        observers: Called with each job whose record has changed, at once; they must not change it themselves.
    """

    def __init__(self, growth: Growth) -> None:
        self.jobs: dict[str, Live] = {}
        self.counts: dict[JobState, int] = dict.fromkeys(JobState, 0)
        self.observers: list[Callable[[Live], None]] = []
        self._growth = growth

    def add(self, live: Live) -> None:
        """Take in a job that is in the database."""
        self.jobs[live.job.id] = live
        self.counts[live.job.state] += 1

    def set(self, live: Live, job: Job) -> None:
        """Change a job's record, and wake all who wait for that."""
        self.counts[live.job.state] -= 1
        self.counts[job.state] += 1
        live.job = job
        live.ring()
        self._growth.poke(job.id)
        for observer in self.observers:
            observer(live)


def now_us() -> int:
    """The time in microseconds UTC."""
    return time.time_ns() // 1000
