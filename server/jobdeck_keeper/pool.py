"""Spare shims, made ahead of need.

A fork costs the parent and the child a fault for every page that either touches afterwards, and a job's files cost an
inode each; together about as much as the program that a short job runs. So all that is done in quiet moments: a job
that comes finds a folder with its files and pipes, a shim that has them open, and a child that waits for its plan. To
claim the job is then to write the claim and to rename the folder.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from jobdeck_keeper import cgroup, pipes, records, shim, wire
from jobdeck_keeper.indexfile import open_files

if TYPE_CHECKING:
    from jobdeck_keeper.setup import Place

SPARES_COUNT = 2
# A spare is made once a program runs (before that, its start would have to share the processor; after its end, the next
# request would have to wait for the keeper), or when nothing has happened for so long.
QUIET_S = 0.02
EMPTY_QUIET_S = 0.004
_FOLDER = "spares"


class Spare(NamedTuple):
    """A shim without a job.

    Attributes:
        folder: Becomes the job's.
        commission: Where to send it the job.
        cgroup: The group in which its child waits, None without.
        record: The empty record, open; it is the shim that holds the lock.
        ends: Read ends of the job's pipes.
        ready: The order in which these become ready, shared with the shim.
    """

    folder: str
    pid: int
    pidfd: int
    commission: socket.socket
    cgroup: str | None
    record: int
    ends: tuple[int, int]
    ready: pipes.ReadyList


class Pool:
    """The spares of one keeper."""

    def __init__(self, place: Place) -> None:
        """Start with none."""
        self._place = place
        self._folder = f"{place.data}/{_FOLDER}"
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
        return self._spares.popitem()[1] if self._spares else self._make(calm=False)

    def put(self, spare: Spare) -> None:
        """Put a spare in."""
        self._spares[spare.pidfd] = spare

    def refill(self) -> Spare:
        """Make one more.

        Raises:
            OSError: It could not be forked.
        """
        spare = self._make(calm=True)
        self.put(spare)
        return spare

    def clean(self) -> None:
        """Remove what a dead keeper's spares have left."""
        os.makedirs(self._folder, mode=0o700, exist_ok=True)
        for name in os.listdir(self._folder):
            _remove(f"{self._folder}/{name}")

    def _make(self, *, calm: bool) -> Spare:
        """Make a spare; ``calm`` says that there is time to rehearse before a job comes."""
        place = self._place
        self._made_count += 1
        name = f"{place.pid}-{place.ticks}-{self._made_count}"
        group = cgroup.make(place.cgroup, name) if place.cgroup is not None else None
        folder = f"{self._folder}/{name}"
        os.mkdir(folder, 0o700)
        locked = -1
        sides: tuple[int, ...] = ()
        files: tuple[int, ...] = ()
        try:
            locked = records.create_empty(folder)
            # The shim inherits this open file and with it the lock: while the lock is held, somebody lives.
            fcntl.flock(locked, fcntl.LOCK_EX | fcntl.LOCK_NB)
            ends = pipes.open_pipes(folder)
            sides = job_side = pipes.open_job_side(folder)
            ready = pipes.open_ready_list(ends)  # after the writers: their coming puts empty pipes on it
            # Made here, not by the shim: a folder that may be moved at any moment must be complete.
            files = opened = open_files(folder, place.boot)
            return self._fork(folder, group, locked, ends, ready, job_side, opened, calm=calm)
        except OSError:
            _remove(folder)
            raise
        finally:
            for fd in (locked, *sides, *files):
                if fd >= 0:
                    os.close(fd)

    def _fork(
        self,
        folder: str,
        group: str | None,
        locked: int,
        ends: tuple[int, int],
        ready: pipes.ReadyList,
        sides: tuple[int, int],
        files: tuple[int, int],
        *,
        calm: bool,
    ) -> Spare:
        place = self._place
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        pid = os.fork()
        if pid == 0:
            birth = shim.Birth(
                opened, theirs, locked, ends, ready, sides, files, place.fifo, place.boot, group, place.around, calm
            )
            shim.run_spare(birth)
        os.close(opened)
        theirs.close()
        ours.setblocking(False)
        record = os.open(f"{folder}/record", os.O_RDWR | os.O_CLOEXEC)
        spare = Spare(folder, pid, os.pidfd_open(pid), ours, group, record, ends, ready)
        if calm:
            _rehearse(spare)
        return spare

    def discard(self, spare: Spare) -> None:
        """Send a spare away, or bury it."""
        self._spares.pop(spare.pidfd, None)
        spare.commission.close()
        with contextlib.suppress(ChildProcessError):
            os.waitid(os.P_PIDFD, spare.pidfd, os.WEXITED)
        spare.ready.epoll.close()
        for fd in (spare.pidfd, spare.record, *spare.ends):
            os.close(fd)
        _remove(spare.folder)
        if spare.cgroup is not None:
            cgroup.kill(spare.cgroup)
            cgroup.remove(spare.cgroup, patience_s=0.05)

    def spare(self, pidfd: int) -> Spare:
        """Give the spare of a pidfd."""
        return self._spares[pidfd]


def _rehearse(spare: Spare) -> None:
    """Do what a job will need, so that the pages that a fork has made shared are our own again by then."""
    payload = {"v": 1, "boot": "x", "never": False}
    records.write_slot(spare.record, "claim", payload)
    inbox = wire.Inbox()
    inbox.feed(wire.encode({"ev": "exit", "id": "", "facts": records.read_facts(spare.record)}))
    inbox.take()
    records.clear_slot(spare.record, "claim")


def _remove(folder: str) -> None:
    """Remove a spare's folder, if it has not become a job's."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            os.unlink(f"{folder}/{name}")
        os.rmdir(folder)
