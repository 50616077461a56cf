"""Processes: who they are, who belongs to whom, and system calls that the standard library does not offer.

Numbers of processes are used again by the kernel, so no signal goes to a bare number: either the process is an
unreaped child of ours, or it is pinned by a pidfd first and its membership is looked at once more afterwards.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import signal
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable

_libc = ctypes.CDLL(None, use_errno=True)
_held = ctypes.PyDLL(None, use_errno=True)  # keeps the interpreter's lock: a child must not wake up without it
_held.syscall.restype = ctypes.c_long

_SYS_CLONE3, _SYS_CLOSE_RANGE, _SYS_PIDFD_GETFD = 435, 436, 438
_CLONE_INTO_CGROUP = 0x200000000
_PR_SET_NAME, _PR_SET_CHILD_SUBREAPER = 15, 36
_PIDFD_GET_INFO, _PIDFD_INFO_EXIT = 0xC040FF0B, 8
_LAST_FD = 0xFFFFFFFF


def boot_id() -> str:
    """Read the machine's boot id: 36 characters, another one after each boot."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


def become_subreaper() -> None:
    """Make orphaned descendants children of this process instead of init's."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def set_name(name: str) -> None:
    """Name this process in ps and top; at most 15 characters."""
    _libc.prctl(_PR_SET_NAME, name.encode()[:15], 0, 0, 0)


def _stat(pid: int) -> list[bytes]:
    """Read the fields of /proc/PID/stat from the state on; [] if there is no such process."""
    try:
        fd = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return []
    try:
        return os.read(fd, 4096).rpartition(b")")[2].split()
    except OSError:
        return []
    finally:
        os.close(fd)


def start_ticks(pid: int) -> int | None:
    """Tell when a process started, in clock ticks since boot; with the number it names a process for good."""
    fields = _stat(pid)
    return int(fields[19]) if len(fields) > 19 else None


def is_alive(pid: int, ticks: int) -> bool:
    """Tell whether the process that started at ``ticks`` still runs; a zombie does not."""
    fields = _stat(pid)
    return len(fields) > 19 and int(fields[19]) == ticks and fields[0] not in (b"Z", b"X")


def is_running(pid: int) -> bool:
    """Tell whether this is a live process, not a zombie."""
    fields = _stat(pid)
    return bool(fields) and fields[0] not in (b"Z", b"X")


def zombie_status(pid: int, ticks: int) -> int | None:
    """Read the wait status of somebody else's zombie; None if it is none or may not be read."""
    fields = _stat(pid)
    if len(fields) < 50 or int(fields[19]) != ticks or fields[0] != b"Z":
        return None
    return int(fields[49])


def session_of(pid: int) -> int | None:
    """Tell the session of a process."""
    fields = _stat(pid)
    return int(fields[3]) if len(fields) > 3 else None


def children(pid: int) -> list[int]:
    """List the children of all threads of a process."""
    found: list[int] = []
    try:
        for thread in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                found += map(int, file.read().split())
    except OSError:
        return found or _children_by_scan(pid)
    return found


def _children_by_scan(pid: int) -> list[int]:
    """List children where the kernel was built without /proc/PID/task/TID/children."""
    if not os.path.exists(f"/proc/{pid}") or os.path.exists(f"/proc/{pid}/task/{pid}/children"):
        return []
    parents = ((int(name), _stat(int(name))) for name in os.listdir("/proc") if name.isdigit())
    return [child for child, fields in parents if len(fields) > 1 and int(fields[1]) == pid]


def descendants(pid: int) -> list[int]:
    """List children, their children and so on, parents first."""
    found: list[int] = []
    seen, todo = {pid}, [pid]
    while todo:
        for child in children(todo.pop()):
            if child not in seen:
                seen.add(child)
                found.append(child)
                todo.append(child)
    return found


def send(members: Callable[[], Collection[int]], signals: Iterable[int]) -> set[int]:
    """Send signals to each member of a changing set of processes, and to nobody else.

    Each member is pinned by a pidfd, then the set is read again: who stands in it now is the process that is pinned,
    or is dead, so a number used anew in between is never hit.

    Args:
        members: Reads the set as it is now.
        signals: Sent one after the other.

    Returns:
        The processes that were reached.
    """
    pinned: dict[int, int] = {}
    reached: set[int] = set()
    try:
        for pid in members():
            with contextlib.suppress(OSError):
                pinned[pid] = os.pidfd_open(pid)
        still = set(members()) if pinned else set()
        for pid in pinned.keys() & still:
            with contextlib.suppress(OSError):
                for number in signals:
                    signal.pidfd_send_signal(pinned[pid], number)
                reached.add(pid)
    finally:
        for fd in pinned.values():
            os.close(fd)
    return reached


def kill_all(members: Callable[[], Collection[int]]) -> None:
    """Kill a set that may grow meanwhile: first stop all until nobody new is found, then kill all.

    A process may fork between two looks for ever; so there are a few rounds, and the caller looks again later.
    """
    seen: set[int] = set()
    for _ in range(20):
        reached = send(members, (signal.SIGSTOP,))
        if reached <= seen:
            break
        seen |= reached
    send(members, (signal.SIGKILL,))


def exit_status(pidfd: int) -> int | None:
    """Read the wait status of a process that was reaped by somebody else, through a pidfd (Linux >= 6.15).

    Returns:
        The status as ``os.waitpid`` would give it; None while it is not known, or if the kernel cannot tell.
    """
    info = bytearray(64)
    struct.pack_into("<Q", info, 0, _PIDFD_INFO_EXIT)
    try:
        fcntl.ioctl(pidfd, _PIDFD_GET_INFO, info)
    except OSError:
        return None
    mask: int = struct.unpack_from("<Q", info)[0]
    if not mask & _PIDFD_INFO_EXIT:
        return None
    status: int = struct.unpack_from("<i", info, 60)[0]
    return status


def steal_fd(pidfd: int, number: int) -> int | None:
    """Copy a file descriptor out of another process: the same open file, its position shared (Linux >= 5.6).

    Returns:
        The copy, close-on-exec, or None where the kernel does not allow it.
    """
    fd: int = _held.syscall(ctypes.c_long(_SYS_PIDFD_GETFD), pidfd, number, 0)
    return fd if fd >= 0 else None


def fork_into(cgroup_fd: int) -> int:
    """Fork with the child born in a cgroup v2, so that no moment and no slow move lies between.

    The interpreter's own fork handlers do not run: the child may only prepare itself and call exec or ``_exit``.

    Returns:
        The child's number, 0 in the child, -1 if the kernel refuses.
    """
    arguments = (ctypes.c_uint64 * 11)(_CLONE_INTO_CGROUP, 0, 0, 0, signal.SIGCHLD, 0, 0, 0, 0, 0, cgroup_fd)
    pid: int = _held.syscall(ctypes.c_long(_SYS_CLONE3), arguments, ctypes.c_size_t(88))
    return pid


def close_all_but(keep: Iterable[int]) -> None:
    """Close every descriptor above 2 that is not in ``keep``; one system call for each hole between them."""
    first = 3
    for fd in sorted(keep):
        if fd >= first:
            _close_range(first, fd - 1)
            first = fd + 1
    _close_range(first, _LAST_FD)


def _close_range(first: int, last: int) -> None:
    if first > last:
        return
    call = (ctypes.c_long(_SYS_CLOSE_RANGE), ctypes.c_uint(first), ctypes.c_uint(last), ctypes.c_uint(0))
    if _held.syscall(*call) == 0:
        return
    for name in os.listdir("/proc/self/fd"):  # before Linux 5.9
        if first <= int(name) <= last:
            with contextlib.suppress(OSError):
                os.close(int(name))
