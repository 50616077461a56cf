"""Everything that a job has started, when its shim is dead.

With a cgroup that is as exact as before. Without one, the job's processes are now children of the keeper or of init,
mixed with others; they are told by what stays with them: descent from a known one, a known session, or an open end of
the job's pipes. Somebody who gave up all three in the moment between the shim's death and our first look is missed.
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

from jobdeck_keeper import cgroup, procs

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_keeper.records import Payload


class OrphanTree:
    """The processes of a job without a shim."""

    def __init__(self, group: str | None, folder: str, start: Payload, strangers: Callable[[], set[int]]) -> None:
        """Begin with the main process of ``start``; ``strangers`` names processes that hold the pipes but are ours."""
        self._group, self._folder, self._strangers = group, folder, strangers
        self._known = {int(start["pid"]): start["ticks"]}
        self._sessions = {int(start["pid"])}
        self._stopped: set[int] = set()

    def follow(self, pid: int) -> None:
        """A further step has begun."""
        self._known[pid] = procs.start_ticks(pid)
        self._sessions.add(pid)

    def members(self) -> set[int]:
        """List the processes, zombies among them."""
        found = set(cgroup.members(self._group)) if self._group is not None else set()
        return found | self._by_traces()

    def _by_traces(self) -> set[int]:
        """Find members by descent, session and open pipes, and remember them."""
        strangers = self._strangers()
        found = {pid for pid, ticks in self._known.items() if procs.start_ticks(pid) == ticks}
        pipes = self._pipes()
        others = {int(name) for name in os.listdir("/proc") if name.isdigit()} - strangers - found
        for pid in others:
            if procs.session_of(pid) in self._sessions or self._holds(pid, pipes):
                found.add(pid)
        for pid in list(found):
            found.update(procs.descendants(pid))
        found -= strangers
        self._known = {pid: procs.start_ticks(pid) for pid in found}
        self._sessions.update(session for pid in found if (session := procs.session_of(pid)))
        return found

    def _pipes(self) -> set[tuple[int, int]]:
        inodes: set[tuple[int, int]] = set()
        for name in ("pipe1", "pipe2", "stdin"):
            try:
                status = os.stat(f"{self._folder}/{name}")
            except OSError:
                continue
            inodes.add((status.st_dev, status.st_ino))
        return inodes

    def _holds(self, pid: int, pipes: set[tuple[int, int]]) -> bool:
        """Tell whether a process has one of the job's pipes as one of its first descriptors."""
        for number in (0, 1, 2):
            try:
                status = os.stat(f"/proc/{pid}/fd/{number}")
            except OSError:
                continue
            if (status.st_dev, status.st_ino) in pipes:
                return True
        return False

    def signal(self, number: int, *, wake: bool = True) -> None:
        """Send a signal to every member, and wake those that are stopped so that they can act on it."""
        procs.send(self.members, (number, signal.SIGCONT) if wake else (number,))

    def kill(self) -> None:
        """Kill every member."""
        if self._group is not None:
            cgroup.kill(self._group)
        while self._stop_children():
            pass
        procs.kill_all(self.members)

    def _stop_children(self) -> bool:
        """Stop those of the keeper's own children that are the job's, at once; see ``ShimTree``."""
        pipes, fresh = self._pipes(), set()
        for pid in set(procs.children(os.getpid())) - self._strangers() - self._stopped:
            if pid in self._known or procs.session_of(pid) in self._sessions or self._holds(pid, pipes):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                fresh.add(pid)
        self._stopped |= fresh
        return bool(fresh)

    def empty(self, main: int) -> bool:
        """Tell whether no member but the main process is alive."""
        return not any(procs.is_running(pid) for pid in self.members() if pid != main)
