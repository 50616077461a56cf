"""cgroup v2: one group for each job, where the keeper may make them.

With a group "everything the job started" is exact, also for processes whose parents are long gone, and one write
kills all of it. Nothing here is needed: without a group the job is its supervisor's descendants.
"""

from __future__ import annotations

import os
import time
from zlib import crc32


def find_base(data: str) -> str | None:
    """Make the group below which this data directory's jobs get theirs.

    It lies in the keeper's own group, the only place that a delegated user may write to.

    Args:
        data: Absolute path of the data directory; only names the group.

    Returns:
        Path of the group, or None if there is no writable cgroup v2 here.
    """
    base = base_path(data)
    if base is None:
        return None
    try:
        os.makedirs(base, exist_ok=True)
    except OSError:
        return None
    usable = os.access(f"{base}/cgroup.procs", os.W_OK) and os.path.exists(f"{base}/cgroup.kill")
    return base if usable else None


def base_path(data: str) -> str | None:
    """Tell where ``find_base`` makes a group, or None if there is no cgroup v2."""
    place = _own_group()
    return None if place is None else f"{place}/jobdeck-{crc32(os.fsencode(data)):08x}"


def _own_group() -> str | None:
    """Find this process's own group in the file system."""
    own = None
    with open("/proc/self/cgroup", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            if line.startswith("0::"):
                own = line[3:].rstrip("\n")
    if own is None:
        return None
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if rest.startswith("cgroup2 "):
                root, mount = fields.split()[3:5]
                return _below(mount.replace("\\040", " "), root, own)
    return None


def _below(mount: str, root: str, own: str) -> str:
    """Join the mount point with a group's path, of which the mount may show only the part below ``root``."""
    if root != "/" and (own == root or own.startswith(root + "/")):
        own = own[len(root) :]
    return mount + own.rstrip("/")


def make(base: str, name: str) -> str | None:
    """Make a job's group; None if that fails, for example since there are too many."""
    path = f"{base}/{name}"
    try:
        os.mkdir(path)
    except FileExistsError:
        return path
    except OSError:
        return None
    return path


def members(path: str) -> list[int]:
    """List the processes in a group itself."""
    try:
        with open(f"{path}/cgroup.procs", "rb") as file:
            return [int(word) for word in file.read().split()]
    except OSError:
        return []


def is_populated(path: str) -> bool:
    """Tell whether a live process is in the group or below it."""
    try:
        with open(f"{path}/cgroup.events", "rb") as file:
            return b"populated 1" in file.read()
    except OSError:
        return False


def kill(path: str) -> None:
    """Kill everything in the group and below it at one stroke."""
    try:
        with open(f"{path}/cgroup.kill", "wb") as file:
            file.write(b"1")
    except OSError:
        return


def remove(path: str, *, patience_s: float = 0.0) -> None:
    """Remove a group and groups that the job made below it; the dead leave it a moment after they died."""
    until = time.monotonic() + patience_s
    while True:
        try:
            os.rmdir(path)
        except FileNotFoundError:
            return
        except OSError:
            _remove_below(path)
            if time.monotonic() >= until:
                return
            time.sleep(0.002)
        else:
            return


def _remove_below(path: str) -> None:
    for folder, below, _ in os.walk(path, topdown=False):
        for name in below:
            try:
                os.rmdir(f"{folder}/{name}")
            except OSError:
                continue


def remove_unused(base: str, used: set[str]) -> None:
    """Remove the groups of a dead keeper's spares."""
    for name in os.listdir(base):
        path = f"{base}/{name}"
        if path not in used and os.path.isdir(path):
            remove(path)
