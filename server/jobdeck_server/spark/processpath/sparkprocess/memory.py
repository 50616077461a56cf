"""Memory of everything below this process, from /proc."""

from __future__ import annotations

import os
from glob import iglob

__all__ = ["tree_memory_bytes"]

_PROCESS_COUNT = 4096  # more than that is not looked at
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def tree_memory_bytes(root: int) -> int:
    """Memory of a process and of those that it has started, what they share counted once (PSS), in bytes."""
    seen: set[int] = set()
    found = [root]
    total = 0
    while found and len(seen) < _PROCESS_COUNT:
        pid = found.pop()
        if pid in seen:
            continue
        seen.add(pid)
        total += _memory_bytes(pid)
        found += _children(pid)
    return total


def _children(pid: int) -> list[int]:
    """Of all its threads: Java starts others from any of them."""
    found: list[int] = []
    for path in iglob(f"/proc/{pid}/task/*/children"):
        try:
            with open(path, "rb") as file:
                found += map(int, file.read().split())
        except OSError:  # the thread is gone
            continue
    return found


def _memory_bytes(pid: int) -> int:
    """Its share of what is resident; all that is resident where the kernel does not tell the share."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            for line in file:
                if line.startswith(b"Pss:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:
            return int(file.read().split()[1]) * _PAGE_BYTES
    except OSError:  # it is gone
        return 0
