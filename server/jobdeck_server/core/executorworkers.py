"""Outside workers as the server sees them: programs that come and ask for jobs, again and again.

A worker is known by the name that it gives itself. It is there as long as it asks; what it says of itself with each
request (its labels, the jobs that it runs) is the newest word. While there is nothing for it, its request is held
(``Hold``), so that it hears of a job at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.core.executorqueue import Entry


_STARTING_S = 5.0  # after that a job of which a worker takes no notice does not keep it from getting others


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """What a worker says when it asks for jobs.

    Attributes:
        client_id: Its name; empty for one that has none, which is given nothing.
        available_count: Jobs that it would take.
        labels: That it has.
        running: Keys of the jobs that it runs.
        user: On whose behalf.
    """

    client_id: str
    available_count: int = 0
    labels: tuple[str, ...] = ()
    running: frozenset[str] = frozenset()
    user: str = "guest"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat:
    """What it is answered.

    Attributes:
        start: Keys of jobs that are now its own.
        refresh_ms: When it is to ask again.
        label_jobs: Label -> hash of the job that earns it.
        cancel: Keys of jobs that it is to stop.
    """

    start: tuple[str, ...] = ()
    refresh_ms: int
    label_jobs: Mapping[str, str]
    cancel: tuple[str, ...] = ()


class Hold:
    """A request that is answered when there is something to say.

    Attributes:
        call: What it said.
        free_count: Jobs that it may be given.
        chosen: Those that it will be given; they wait no more.
        bell: Set to have it answered.
        gone: Whoever asked is no longer there.
    """

    __slots__ = ("bell", "call", "chosen", "free_count", "gone")

    def __init__(self, call: Call, free_count: int) -> None:
        self.call = call
        self.free_count = free_count
        self.chosen: list[Entry] = []
        self.bell = trio.Event()
        self.gone = False

    def takes(self, entry: Entry) -> bool:
        """Whether it could be given one more job, and this one."""
        return (
            not self.gone
            and len(self.chosen) < self.free_count
            and entry.labels.issubset(self.call.labels)
            and entry.key not in self.call.running
        )

    def give(self, entry: Entry) -> None:
        """Let it have a job."""
        self.chosen.append(entry)
        self.bell.set()


@dataclass(slots=True, kw_only=True)
class Worker:
    """One worker.

    Attributes:
        client_id: Its name.
        labels: That it has.
        user: On whose behalf it asks.
        seen_us: When it last asked, UTC.
        seen_s: The same on trio's clock; the start of the server for one that has not asked since.
        saved_us: The ``seen_us`` that is stored.
        slots_count: How many jobs it can run at one time, as far as it has shown.
        running: Keys that it has named in its last call.
        jobs: Those that it was given and that have not ended, by id.
        told: Those that it was told to stop, by id, and since when, on trio's clock.
        answered: It has asked since the server was started.
        offered: With which labels it was told of which label jobs, when it last had a slot for one.
        hold: Its request that is being held, None if none is.
    """

    client_id: str
    labels: tuple[str, ...] = ()
    user: str = "guest"
    seen_us: int = 0
    seen_s: float = 0.0
    saved_us: int = 0
    slots_count: int = 0
    running: frozenset[str] = frozenset()
    jobs: dict[str, Entry] = field(default_factory=dict)
    told: dict[str, float] = field(default_factory=dict)
    answered: bool = False
    offered: object = None
    hold: Hold | None = None

    def release(self) -> None:
        """Have its held request answered now, if there is one."""
        if self.hold is not None:
            self.hold.bell.set()

    def note(self, call: Call, now_s: float) -> None:
        """Take down which of its jobs it has named, and which are missing since when.

        It does not name a job while it fetches what the job needs, which may take long; but the slot is taken by then.
        """
        self.running = call.running
        unnamed = self.unnamed()
        slots_count = call.available_count + len(call.running)
        self.slots_count = max(self.slots_count, slots_count) if unnamed else slots_count
        are_begun = len(unnamed) <= self.slots_count - slots_count
        for entry in self.jobs.values():
            if are_begun or entry.key in call.running:
                entry.missing_s = None
            elif entry.missing_s is None:
                entry.missing_s = now_s

    def unnamed(self) -> list[Entry]:
        """Its jobs that it has not named in its last call."""
        return [entry for entry in self.jobs.values() if entry.key not in self.running]

    def free_count(self, call: Call, now_s: float) -> int:
        """How many jobs it may be given: what it says may be from before it took note of the last ones."""
        young = [each for each in self.unnamed() if each.missing_s is None or now_s - each.missing_s < _STARTING_S]
        return max(0, min(call.available_count, self.slots_count - len(call.running) - len(young)))

    def stopping(self) -> dict[str, str]:
        """Its jobs that are to stop: id -> key, as far as it has named them in its last call."""
        return {
            job_id: entry.key
            for job_id, entry in self.jobs.items()
            if entry.live.job.stop_requested and entry.key in self.running
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """A worker as it is told."""

    client_id: str
    labels: tuple[str, ...]
    user: str
    seen_us: int
    jobs: tuple[Entry, ...]
