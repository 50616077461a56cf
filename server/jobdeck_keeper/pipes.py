"""A job's pipes: named FIFOs, so that a successor of their reader can open them again.

The job's side is opened for reading and writing, so that a job whose reader is killed gets no SIGPIPE; its bytes wait.
In exact order each pipe has one slot and takes packets: a write that finds the slot taken waits its turn.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import struct
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jobdeck_keeper.records import Payload

EXACT_PIPE_BYTES = 4096
BULK_PIPE_BYTES = 256 << 10
EVENTS = select.EPOLLIN | select.EPOLLET
_FIONREAD = 0x541B
_F_SETPIPE_SZ = 1031


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What of a job's output is kept.

    Attributes:
        output_bytes: So much of it; the rest is counted and dropped.
        index_bytes: So much of ``runs``; alternating single bytes cost 32 bytes of it each.
        exact: One-slot packet pipes, read packet by packet.
    """

    output_bytes: int
    index_bytes: int
    exact: bool

    @classmethod
    def of(cls, claim: Payload) -> Limits:
        """Read them from a claim."""
        return cls(
            output_bytes=int(claim["output_limit_bytes"]),
            index_bytes=int(claim["index_limit_bytes"]),
            exact=claim.get("order") != "bulk",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadyList:
    """The epoll set of a job's two pipes, whose list of ready pipes is the order in which they were written.

    Attributes:
        epoll: The set, shared by all processes that hold the job.
        numbers: How its events name the pipes (the descriptors of the process that made the set) -> ours.
        intact: It is the set that was there before the first byte; a newer one does not know who came first.
    """

    epoll: select.epoll
    numbers: dict[int, int]
    intact: bool = True

    def take(self) -> list[int]:
        """Take all pipes with bytes off the list, in order."""
        listed: list[int] = []
        while found := self.epoll.poll(0, 1):
            number, events = found[0]
            fd = self.numbers[number]
            if fd in listed:
                break
            if events & select.EPOLLIN:
                listed.append(fd)
        return listed


def inherited_order(ends: tuple[int, int], ready: ReadyList, due: int | None = None) -> tuple[list[int], bool]:
    """Tell in which order to take what a dead pump left in the pipes.

    Three things prove an order:

    - one pipe held a packet while the other held none;
    - the dead pump had announced, in ``runs``, which packet it was about to move;
    - the ready list: a pipe that holds bytes and is not on it was handed to the dead pump, which did not come to
      move them, so that comes first; if that is so of both, nobody knows.

    The list is no proof once the writers are gone. Their going puts a pipe on the list that was handed out before,
    behind the other one although its packet is the older.

    Args:
        ends: The read ends.
        ready: Their ready list.
        due: The pipe whose packet the dead pump was about to move, if it had said so.

    Returns:
        The pipes in order, and whether the order is known.
    """
    full = _full(ends)
    listed = ready.take()
    if any(fd not in listed for fd in full):
        time.sleep(0.003)  # the writer may stand between its write and its wake-up
        listed += [fd for fd in ready.take() if fd not in listed]
    first = full[0] if len(full) == 1 else due
    if first in full:
        return [first, *(fd for fd in listed if fd != first), *(fd for fd in full if fd not in (first, *listed))], True
    handed = [fd for fd in full if fd not in listed]
    order = handed + listed
    # Writers are looked for after the list was emptied: those that go later did not change it.
    moved_up = not handed and len(full) > 1 and _no_writer(order[-1])
    return order, len(full) < 2 or (len(handed) < 2 and ready.intact and not moved_up)


def _full(ends: tuple[int, int]) -> list[int]:
    """Tell which pipes hold bytes; if only one, then it did while the other was empty."""
    one, two = ends
    if waiting_bytes(one):
        return [one, two] if waiting_bytes(two) else [one]
    if not waiting_bytes(two):
        return []
    return [one, two] if waiting_bytes(one) else [two]  # it may have filled first, between the two looks


def _no_writer(fd: int) -> bool:
    """Tell whether nobody holds a pipe's write end any more."""
    poll = select.poll()
    poll.register(fd, 0)
    return bool(poll.poll(0))


def open_pipes(folder: str) -> tuple[int, int]:
    """Make the FIFOs of a job, if they are not there, and open their read ends; in exact order."""
    ends: list[int] = []
    for name in ("pipe1", "pipe2"):
        path = f"{folder}/{name}"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        set_size(fd, EXACT_PIPE_BYTES)
        ends.append(fd)
    return ends[0], ends[1]


def set_size(fd: int, size_bytes: int) -> None:
    """Set what a pipe holds; a user over the limit of pipe pages gets what there is."""
    with contextlib.suppress(OSError):
        fcntl.fcntl(fd, _F_SETPIPE_SZ, size_bytes)


def open_ready_list(ends: tuple[int, int], *, intact: bool = True) -> ReadyList:
    """Make the ready list of two pipes; before anything can write, or not ``intact``.

    If it is there when the first writer opens a pipe, that puts the empty pipe on the list, where it keeps a place
    that is not due to it until somebody asks. So make it after ``open_job_side``; see also ``Pump.settle``.
    """
    epoll = select.epoll(2)
    for fd in ends:
        epoll.register(fd, EVENTS)
    return ReadyList(epoll=epoll, numbers={fd: fd for fd in ends}, intact=intact)


def waiting_bytes(fd: int) -> int:
    """Tell how much a pipe holds."""
    count: int = struct.unpack("i", fcntl.ioctl(fd, _FIONREAD, b"\0\0\0\0"))[0]
    return count


def note_lost_writers(folder: str, ends: tuple[int, int]) -> bool:
    """Let the read ends know of writers that came and went before they were opened, or never came.

    A reader of a FIFO is told that the writers are gone only if it has seen one come.

    Returns:
        Whether one of the pipes has no writer. What was in it when the last process closed it, is gone.
    """
    poll = select.poll()
    for name, fd in zip(("pipe1", "pipe2"), ends, strict=True):
        with contextlib.suppress(FileNotFoundError):
            os.close(os.open(f"{folder}/{name}", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
        poll.register(fd, select.POLLIN)
    return any(events & select.POLLHUP for _, events in poll.poll(0))


def open_job_side(folder: str) -> tuple[int, int]:
    """Open the ends that become the job's stdout and stderr, in packet mode."""
    ends: list[int] = []
    for name in ("pipe1", "pipe2"):
        fd = os.open(f"{folder}/{name}", os.O_RDWR | os.O_CLOEXEC)
        fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_DIRECT)
        ends.append(fd)
    return ends[0], ends[1]


def leave_exact_order(fd: int) -> None:
    """Make one of the job's ends a common pipe, and a big one."""
    fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR)
    set_size(fd, BULK_PIPE_BYTES)


def open_stdin(folder: str) -> tuple[int, int]:
    """Make and open the FIFO of a job's stdin: (read end, write end), both non-blocking.

    The read end is only held, so that what was written stays when no step has it open.
    """
    path = f"{folder}/stdin"
    with contextlib.suppress(FileExistsError):
        os.mkfifo(path, 0o600)
    held = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    return held, os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)


def remove_pipes(folder: str) -> None:
    """Remove what a job needs only while it runs."""
    for name in ("pipe1", "pipe2", "stdin", "spec"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{folder}/{name}")
