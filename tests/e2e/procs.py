"""What /proc tells of processes."""

from __future__ import annotations

import os
from pathlib import Path

from tests.e2e.program import Server

TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """Processor time of a process so far, in seconds. Source: proc(5), stat."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def rss_bytes(pid: int) -> int:
    """Resident memory of a process. Source: proc(5), statm."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pid_of(running: Server) -> int:
    """The server's process."""
    assert running.process is not None
    return running.process.pid


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def listening(pid: int) -> set[str]:
    """Local addresses, in hexadecimal, of a process's TCP sockets that listen. Source: proc(5), net/tcp."""
    own = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        own.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return {row[1] for row in rows if row[3] == "0A" and row[9] in own}
