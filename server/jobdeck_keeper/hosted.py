"""A job whose supervisor is the keeper itself: its shim was killed."""

from __future__ import annotations

import contextlib
import os
import select
import time
from typing import TYPE_CHECKING

from jobdeck_keeper import orphans, procs, spawning
from jobdeck_keeper.life import Life
from jobdeck_keeper.model import Phase, Status
from jobdeck_keeper.pipes import Limits
from jobdeck_keeper.pump import Pump

if TYPE_CHECKING:
    from jobdeck_keeper.adopt import Adopter
    from jobdeck_keeper.records import Payload
    from jobdeck_keeper.spawning import Job

LOOK_AGAIN_S = 0.05
_STATUS_PATIENCE_S = 5.0


class Hosted:
    """A job whose supervisor is the keeper itself.

    Attributes:
        life: The job's life.
    """

    def __init__(self, adopter: Adopter, job: Job, facts: dict[str, Payload]) -> None:
        """Go on where the dead shim was."""
        assert job.ends is not None
        assert job.ready is not None
        self._adopter, self.job = adopter, job
        self._ready, self._pumping = job.ready.epoll, False
        self._plan = spawning.open_plan(job.folder)
        self._main_fd = job.main_fd
        job.main_fd = -1
        self._doubt_s: float | None = None
        place = adopter.keeper.place
        start = facts["start"]
        self.tree = orphans.OrphanTree(job.claim.get("cgroup"), job.folder, start, adopter.strangers)
        self.pump = Pump(
            folder=job.folder,
            ends=job.ends,
            ready=job.ready,
            heir=True,
        )
        self.pump.begin(job.folder, Limits.of(job.claim), place.boot)
        self.pump.touch = adopter.keeper.touch
        self.life = Life(
            path=job.folder,
            boot=place.boot,
            record=job.record,
            plan=self._plan,
            pump=self.pump,
            feeder=job.feeder,
            tree=self.tree,
            host=self,
            around=place.around,
        )
        self.life.resume(start)
        self.life.cut |= job.cut
        self._main_ticks = int(start["ticks"] or 0)

    def begin(self) -> None:
        """Take up the work."""
        self.pump.open(self._adopter.keeper.place.boot)
        if self.job.feeder is not None and self.job.feeder.sink >= 0:
            self._adopter.watch(self.job.feeder.sink, self.life.feed, select.EPOLLOUT | select.EPOLLET)
        self._watch_main()
        self.life.poke()

    def _watch_main(self) -> None:
        """Pin the main process, unless that was done while it still lived."""
        main = self.life.main
        if self._main_fd < 0:
            with contextlib.suppress(OSError):
                self._main_fd = os.pidfd_open(main)
                if procs.start_ticks(main) != self._main_ticks:
                    os.close(self._main_fd)
                    self._main_fd = -1
        if self._main_fd < 0:
            self.life.main_ended(Status(None, None))
        else:
            self._adopter.watch(self._main_fd, self._main_died)

    def _main_died(self) -> None:
        """The main process has ended: ask as its parent, else its zombie, else the kernel's memory of it."""
        try:
            info = os.waitid(os.P_PIDFD, self._main_fd, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            status = procs.zombie_status(self.life.main, self._main_ticks)
            if status is None:
                status = procs.exit_status(self._main_fd)
            if status is None:
                self._doubt()
                return
            self._main_known(Status.from_wait(status))
        else:
            if info is not None:
                self._main_known(Status.from_info(info))

    def _doubt(self) -> None:
        """The kernel does not tell yet, or cannot; for a while, ask again."""
        now_s = time.monotonic()
        if self._doubt_s is None:
            self._doubt_s = now_s + _STATUS_PATIENCE_S
            self._adopter.unwatch(self._main_fd)
        elif now_s >= self._doubt_s:
            self._main_known(Status(None, None))

    def _main_known(self, status: Status) -> None:
        self._adopter.unwatch(self._main_fd)
        os.close(self._main_fd)
        self._main_fd, self._doubt_s = -1, None
        self.life.main_ended(status)

    def tick(self) -> float | None:
        """Do what is due; returns seconds until the next time, None if only events matter."""
        if self._doubt_s is not None:
            self._main_died()
        wait_s = self.life.tick()
        wanted = self.pump.trouble is None and self.life.phase is not Phase.OVER
        if wanted != self._pumping:
            self._pumping = wanted
            if wanted:
                self._adopter.watch(self._ready.fileno(), self.pump.run)
            else:
                self._adopter.unwatch(self._ready.fileno())
        if self._doubt_s is not None or self.life.ended:
            return min(wait_s or LOOK_AGAIN_S, LOOK_AGAIN_S)  # no signal tells of a stranger's death
        return wait_s

    def close(self) -> None:
        """The job is over: let go of what is not the job's own."""
        if self.job.feeder is not None:
            for fd in self.job.feeder.descriptors:
                self._adopter.unwatch(fd)
        if self._plan >= 0:
            os.close(self._plan)

    def step_begun(self, begun: Life) -> None:
        """Let a step of a taken-over job run; this process is its parent."""
        place = self._adopter.keeper.place
        begun.go(place.pid, place.ticks, [], [])
        self.tree.follow(begun.main)
        self._main_ticks = procs.start_ticks(begun.main) or 0
        channel = begun.channel
        self._adopter.watch(channel, lambda: self._started(channel))
        self._watch_main()

    def _started(self, channel: int) -> None:
        self._adopter.unwatch(channel)
        self.life.program_runs()

    def tell(self, word: str, text: str = "") -> None:
        """Tell the keeper, which is this process."""
        self._adopter.keeper.heard(self.job, word, text)
