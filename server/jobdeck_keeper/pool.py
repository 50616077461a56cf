"""Spare shims, forked ahead of need.

A fork costs the parent and the child a fault for every page that either touches afterwards, about as much as the
program that a short job runs. So that is done in quiet moments; a job that comes finds a shim and a child waiting.
"""

from __future__ import annotations

import contextlib
import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_keeper import cgroup, shim

if TYPE_CHECKING:
    from jobdeck_keeper.setup import Place

SPARES_COUNT = 2
QUIET_S = 0.002


@dataclass(frozen=True, slots=True, kw_only=True)
class Spare:
    """A shim without a job.

    Attributes:
        commission: Where to send it one.
        cgroup: The group in which its child waits.
    """

    pid: int
    pidfd: int
    commission: socket.socket
    cgroup: str | None


class Pool:
    """The spares of one keeper."""

    def __init__(self, place: Place) -> None:
        """Start with none."""
        self._place = place
        self._spares: dict[int, Spare] = {}
        self._made_count = 0

    @property
    def pids(self) -> set[int]:
        """The spares' numbers."""
        return {spare.pid for spare in self._spares.values()}

    @property
    def is_full(self) -> bool:
        """Tell whether no more are wanted."""
        return len(self._spares) >= SPARES_COUNT

    def owns(self, pidfd: int) -> bool:
        """Tell whether this is a spare's."""
        return pidfd in self._spares

    @property
    def is_empty(self) -> bool:
        """Tell whether ``take`` will have to make one."""
        return not self._spares

    def all(self) -> list[Spare]:
        """List the spares."""
        return list(self._spares.values())

    def take(self) -> Spare:
        """Take a spare out; makes one if there is none.

        Raises:
            OSError: It could not be forked.
        """
        return self._spares.popitem()[1] if self._spares else self._make()

    def put(self, spare: Spare) -> None:
        """Put a spare in."""
        self._spares[spare.pidfd] = spare

    def refill(self) -> Spare:
        """Make one more.

        Raises:
            OSError: It could not be forked.
        """
        spare = self._make()
        self.put(spare)
        return spare

    def _make(self) -> Spare:
        place = self._place
        group = None
        if place.cgroup is not None:
            self._made_count += 1
            group = cgroup.make(place.cgroup, f"{place.pid}-{place.ticks}-{self._made_count}")
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        birth = shim.Birth(commission=theirs, fifo=place.fifo, boot=place.boot, cgroup=group, around=place.around)
        try:
            pid = os.fork()
        except OSError:
            ours.close()
            raise
        finally:
            if os.getpid() == place.pid:
                theirs.close()
        if pid == 0:
            shim.run_spare(birth)
        ours.setblocking(False)
        return Spare(pid=pid, pidfd=os.pidfd_open(pid), commission=ours, cgroup=group)

    def discard(self, spare: Spare) -> None:
        """Send a spare away, or bury it."""
        self._spares.pop(spare.pidfd, None)
        spare.commission.close()
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, spare.pidfd, os.WEXITED)
        os.close(spare.pidfd)
        if spare.cgroup is not None:
            cgroup.kill(spare.cgroup)
            cgroup.remove(spare.cgroup, patience_s=0.05)

    def spare(self, pidfd: int) -> Spare:
        """Give the spare of a pidfd."""
        return self._spares[pidfd]
