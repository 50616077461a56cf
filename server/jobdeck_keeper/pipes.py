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


def open_pipes(folder: str, *, exact: bool) -> tuple[int, int]:
    """Make the FIFOs of a job, if they are not there, and open their read ends."""
    ends: list[int] = []
    size_bytes = EXACT_PIPE_BYTES if exact else BULK_PIPE_BYTES
    for name in ("pipe1", "pipe2"):
        path = f"{folder}/{name}"
        with contextlib.suppress(FileExistsError):
            os.mkfifo(path, 0o600)
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with contextlib.suppress(OSError):  # a user over the limit of pipe pages gets what there is
            fcntl.fcntl(fd, _F_SETPIPE_SZ, size_bytes)
        ends.append(fd)
    return ends[0], ends[1]


def open_ready_list(ends: tuple[int, int]) -> select.epoll:
    """Make the epoll set whose ready list keeps the order of the two streams; before anything can write."""
    ready = select.epoll(2)
    for fd in ends:
        ready.register(fd, EVENTS)
    return ready


def waiting_bytes(fd: int) -> int:
    """Tell how much a pipe holds."""
    count: int = struct.unpack("i", fcntl.ioctl(fd, _FIONREAD, b"\0\0\0\0"))[0]
    return count


def open_job_side(folder: str, *, exact: bool) -> tuple[int, int]:
    """Open the ends that become the job's stdout and stderr."""
    ends: list[int] = []
    for name in ("pipe1", "pipe2"):
        fd = os.open(f"{folder}/{name}", os.O_RDWR | os.O_CLOEXEC)
        if exact:
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_RDWR | os.O_DIRECT)
        ends.append(fd)
    return ends[0], ends[1]


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
