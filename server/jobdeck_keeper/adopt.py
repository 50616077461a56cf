"""Jobs without their shim: taken over when a shim dies, found again when a keeper starts.

The keeper is the nearest living subreaper above a shim, so the job of a killed shim becomes its child and the exit
status stays exact. It then is itself the host of that job's ``Life``, to the end, on what it held all the time: the
pipes, their ready list, the position in the input.

A new keeper finds the jobs of a dead one by their records:

    final                       nothing to do but to tidy up
    another boot                the machine was restarted: lost
    start, shim alive           watch the shim, and copy what it shares
    start, shim dead            adopt: the job is nobody's child of ours, so its end is read from the kernel
    no start, lock held         a shim is about to start it: look again
    no start, lock free         it never ran
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
from typing import TYPE_CHECKING

from jobdeck_keeper import cgroup, life, pipes, procs, records
from jobdeck_keeper.feeder import Feeder
from jobdeck_keeper.hosted import LOOK_AGAIN_S, Hosted
from jobdeck_keeper.model import Phase
from jobdeck_keeper.pipes import ReadyList
from jobdeck_keeper.pump import Pump
from jobdeck_keeper.spawning import Job
from jobdeck_keeper.tree import ShimTree, reap

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_keeper.keeper import Keeper
    from jobdeck_keeper.records import Payload


class Adopter:
    """All jobs that have no shim of this keeper's own."""

    def __init__(self, keeper: Keeper) -> None:
        """Start with none."""
        self.keeper = keeper
        self._hosted: dict[str, Hosted] = {}
        self._pending: list[Job] = []
        self._actions: dict[int, Callable[[], None]] = {}
        self._wait_s: float | None = None
        self._strays = False

    # Events

    def watch(self, fd: int, action: Callable[[], None], events: int = select.EPOLLIN) -> None:
        """Call ``action`` when something happens on ``fd``."""
        self._actions[fd] = action
        self.keeper.loop.register(fd, events)

    def unwatch(self, fd: int) -> None:
        """Take a descriptor out; before it is closed."""
        if self._actions.pop(fd, None) is not None:
            self.keeper.loop.unregister(fd)

    def handle(self, fd: int) -> None:
        """Something happened on ``fd``."""
        if action := self._actions.get(fd):
            action()

    def tick(self) -> None:
        """Do what is due; a round of events has passed."""
        waits = [hosted_wait for each in list(self._hosted.values()) if (hosted_wait := each.tick()) is not None]
        for each in [each for each in self._hosted.values() if each.life.phase is Phase.OVER]:
            del self._hosted[each.job.ident]
            each.close()
            self.keeper.over(each.job)
        if self._pending:
            self._pending = [job for job in self._pending if not self._resolve(job)]
            waits.append(LOOK_AGAIN_S)
        if self._strays:
            self._strays = not self._reap_strays() or bool(self._hosted)
            waits.append(0.2)
        self._wait_s = min(waits) if waits else None

    def wait_s(self) -> float | None:
        """Tell how long nothing is due."""
        return self._wait_s

    def _reap_strays(self) -> bool:
        """Reap dead children that belonged to dead shims; True if no live one is left.

        Never a main process: its shim may be dead too, and that be seen only in a moment.
        """
        jobs = self.keeper.jobs.values()
        spared = self.keeper.pool.pids.union(job.shim for job in jobs)
        strays = [pid for pid in procs.children(self.keeper.place.pid) if pid not in spared]
        if not strays:
            return True
        mains = {each.life.main for each in self._hosted.values()}
        mains.update(start["pid"] for job in jobs if (start := records.read_slot(job.record, "start")) is not None)
        left = [pid for pid in strays if pid in mains or not reap(pid)]
        return not left

    def strangers(self) -> set[int]:
        """Tell which processes hold jobs' pipes or are our children without belonging to an orphaned job."""
        return {
            self.keeper.place.pid,
            *self.keeper.pool.pids,
            *(job.shim for job in self.keeper.jobs.values() if job.shim_fd >= 0),
        }

    def expect_strays(self) -> None:
        """A child of ours was killed: what it had started is ours now."""
        self._strays = True
        self._wait_s = 0.0

    # What the keeper asks

    def hosted(self, job: Job) -> Hosted | None:
        """Give the host of a job that was taken over."""
        return self._hosted.get(job.ident)

    def set_touch(self, *, touch: bool) -> None:
        """Whether file times must be set by hand, as the server has found out."""
        for each in self._hosted.values():
            each.pump.touch = touch

    def signal(self, job: Job, number: signal.Signals) -> None:
        """Send a signal to each process of a job."""
        if (each := self._hosted.get(job.ident)) is not None:
            each.tree.signal(number, wake=False)
        else:
            ShimTree(job.claim.get("cgroup"), job.shim).signal(number, wake=False)

    def take_over(self, job: Job, facts: dict[str, Payload]) -> None:
        """A job's shim is dead and the record is not final."""
        self._strays = True
        if "start" not in facts:
            self._never_ran(job)
            return
        each = Hosted(self, job, facts)
        self._hosted[job.ident] = each
        each.begin()
        self._wait_s = 0.0

    def _never_ran(self, job: Job) -> None:
        """Claimed, no start record, nobody left: the program did not run and never will."""
        if group := job.claim.get("cgroup"):
            cgroup.kill(group)
        job.fail("not started: its supervisor was killed")
        self.keeper.over(job)

    # A keeper's start

    def recover(self) -> None:
        """Find the jobs of a predecessor."""
        jobs = f"{self.keeper.place.data}/jobs"
        for ident in sorted(os.listdir(jobs)):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                self._recover_one(ident, f"{jobs}/{ident}")
        if (base := self.keeper.place.cgroup) is not None:
            cgroup.remove_unused(base, {str(job.claim.get("cgroup")) for job in self.keeper.jobs.values()})
        self.tick()

    def _recover_one(self, ident: str, folder: str) -> None:
        record = os.open(f"{folder}/record", os.O_RDWR | os.O_CLOEXEC)
        facts = records.read_facts(record)
        if "claim" not in facts or records.is_final(facts):
            os.close(record)
            if os.path.lexists(f"{folder}/pipe1"):
                life.tidy(folder, facts.get("claim", {}))
            return
        job = Job(ident=ident, folder=folder, record=record, claim=facts["claim"])
        if facts["claim"]["boot"] != self.keeper.place.boot:
            self._lose(job)
            return
        self.keeper.jobs[ident] = job
        if not self._resolve(job):
            self._pending.append(job)

    def _lose(self, job: Job) -> None:
        """The machine was restarted: nothing of the job can be alive."""
        pump = Pump(folder=job.folder, ends=(-1, -1), ready=ReadyList(epoll=select.epoll(), numbers={}))
        size_bytes = 0
        if os.path.exists(f"{job.folder}/output") and pump.open(self.keeper.place.boot):
            size_bytes = pump.size
        pump.close()
        why = "the machine was restarted while the job ran; its output may be cut short"
        lost = {"why": why, "t_us": records.wall_us(), "bytes": size_bytes}
        records.write_slot(job.record, "lost", lost)
        job.close()

    def _resolve(self, job: Job) -> bool:
        """Find out what became of a predecessor's job; False if that will only be seen later."""
        facts = job.facts()
        if records.is_final(facts):
            self.keeper.over(job)
            return True
        if "start" in facts:
            if not self._watch_shim(job, facts["start"]):
                self._open_by_name(job)
                facts = job.facts()  # it may have ended by itself just now
                if records.is_final(facts):
                    self.keeper.over(job)
                else:
                    self.take_over(job, facts)
            return True
        if not _is_free(job.record):
            return False
        if "start" in job.facts():
            return False  # it started and its shim died between our two looks
        self._never_ran(job)
        return True

    def _watch_shim(self, job: Job, start: Payload) -> bool:
        """Watch a living shim that a predecessor forked; False if it is dead."""
        pid = int(start["shim"])
        try:
            fd = os.pidfd_open(pid)
        except OSError:
            return False
        if not procs.is_alive(pid, int(start["shim_ticks"])) or pid == self.keeper.place.pid:
            os.close(fd)
            return False
        job.shim, job.shim_fd = pid, fd
        if not _copy_shared(job, start["fds"], start["numbers"]):
            self._open_by_name(job)
        self.pin_main(job)
        self.keeper.watch_shim(job)
        return True

    def pin_main(self, job: Job) -> None:
        """Hold a pidfd of the main process of a shim that is not our child: later it may be too late."""
        start = records.read_slot(job.record, "start")
        if job.main_fd >= 0:
            os.close(job.main_fd)
            job.main_fd = -1
        with contextlib.suppress(OSError):
            if start is not None:
                job.main_fd = os.pidfd_open(int(start["pid"]))
                if procs.start_ticks(int(start["pid"])) != start["ticks"]:
                    os.close(job.main_fd)
                    job.main_fd = -1

    def _open_by_name(self, job: Job) -> None:
        """Open anew what the dead keeper held; the order of what waits in the pipes is not known then.

        Not so the input: when all holders of its position are dead, so are those of the pipe's write end, and the
        job has seen the end of its input already.
        """
        job.ends = pipes.open_pipes(job.folder)
        job.ready = pipes.open_ready_list(job.ends, intact=False)
        job.cut = pipes.note_lost_writers(job.folder, job.ends)


def _is_free(record: int) -> bool:
    """Tell whether no shim holds the job's lock."""
    try:
        fcntl.flock(record, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    fcntl.flock(record, fcntl.LOCK_UN)
    return True


def _copy_shared(job: Job, descriptors: list[int], numbers: list[int]) -> bool:
    """Copy the open files of a living shim: the same ready list, the same position in the input."""
    copies = [procs.steal_fd(job.shim_fd, number) for number in descriptors]
    got = [fd for fd in copies if fd is not None]
    wanted = 6 if job.claim["stdin"] else 3
    if len(got) < len(descriptors) or len(got) not in (wanted, wanted - 1) or not _is_pipe_pair(job, got[:2]):
        for fd in got:
            os.close(fd)
        return False
    job.ends = got[0], got[1]
    job.ready = ReadyList(epoll=select.epoll.fromfd(got[2]), numbers=dict(zip(numbers, job.ends, strict=True)))
    if job.claim["stdin"]:
        job.feeder = Feeder(got[3], got[4], got[5] if len(got) > 5 else -1)
    return True


def _is_pipe_pair(job: Job, ends: list[int]) -> bool:
    """Check that the copies are the job's pipes: the shim may have been ending just now."""
    try:
        wanted = [os.stat(f"{job.folder}/{name}").st_ino for name in ("pipe1", "pipe2")]
    except OSError:
        return False
    return [os.fstat(fd).st_ino for fd in ends] == wanted
