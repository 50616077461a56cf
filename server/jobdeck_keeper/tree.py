"""Everything that a job has started, as its supervisor sees it."""

from __future__ import annotations

import contextlib
import os
import signal

from jobdeck_keeper import cgroup, procs

_ROUNDS_COUNT = 1000  # enough for a job that forks as fast as we look; the caller comes back if not


class ShimTree:
    """The job of a shim: the shim is subreaper for exactly one job, so its descendants are the job.

    The cgroup, where there is one, is faster to kill and cannot be run away from by forking.
    """

    def __init__(self, group: str | None, shim: int = 0) -> None:
        """Watch the descendants of ``shim``, or of this process, and the group if there is one."""
        self._group = group
        self._self = shim or os.getpid()
        self._stopped: set[int] = set()

    def members(self) -> set[int]:
        """List the live processes and zombies of the job."""
        found = set(procs.descendants(self._self))
        if self._group is not None:
            found.update(cgroup.members(self._group))
        return found

    def signal(self, number: int, *, wake: bool = True) -> None:
        """Send a signal to every member, and wake those that are stopped so that they can act on it."""
        procs.send(self.members, (number, signal.SIGCONT) if wake else (number,))

    def kill(self) -> None:
        """Kill every member."""
        if self._group is not None:
            cgroup.kill(self._group)
            if not self._outside():
                return
        for _ in range(_ROUNDS_COUNT):
            if not self._stop_children():
                break
        procs.kill_all(self._outside)

    def _stop_children(self) -> bool:
        """Stop our own children, at once; False if nobody new was found.

        A job that forks and exits for ever is a new child of ours each time, and lives for less than a
        millisecond. A child's number cannot be used anew before we have reaped it, so no pidfd is needed.
        """
        fresh = [pid for pid in procs.children(self._self) if pid not in self._stopped]
        for pid in fresh:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
        self._stopped.update(fresh)
        return bool(fresh)

    def _outside(self) -> set[int]:
        """List descendants that are not, or no longer, in the group."""
        inside = cgroup.members(self._group) if self._group is not None else ()
        return set(procs.descendants(self._self)).difference(inside)

    def empty(self, main: int) -> bool:
        """Reap the dead, but never the main process; tell whether nobody is left beside it.

        Everybody below us is our child or has one of our children above him; a list with nobody but the main
        process on it is therefore the proof. One with dead ones on it is none: they may have left children.
        """
        for _ in range(_ROUNDS_COUNT):
            others = [pid for pid in procs.children(self._self) if pid != main]
            if not others:
                return True
            reaped = [reap(pid) for pid in others]  # each of them, not up to the first
            self._stopped.difference_update(others)
            if not all(reaped):
                return False
        return False


def reap(pid: int) -> bool:
    """Reap one child if it is dead; False if it lives."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG) is not None
    except ChildProcessError:
        return True
