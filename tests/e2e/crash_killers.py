"""Who is killed in the crash test, found without any doubt: the wrong process killed would be the test's own fault."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from pathlib import Path

import trio

from jobdeck_keeper import procs, records
from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError
from tests.e2e.crash_clients import Link
from tests.e2e.crash_judge import SPARE, name_of
from tests.e2e.program import Server

_UP_LIMIT_S = 30.0
_LOOK_S = 0.005
_AGAIN_SHARE = 0.2
_BUSY_SHARE = 0.95  # of the looks for a shim leave out those that have no job yet
TARGETS = ("server", "keeper", "shim", "server and keeper")


def keeper_pid(data: Path) -> int | None:
    """The process that listens on the keeper's socket, as the kernel knows it; None if none does."""
    try:
        with KeeperLink(data) as link:
            return link.peer_pid()
    except (NoKeeperError, OSError):
        return None


def reap(*but: int) -> None:
    """Reap dead orphans; ``but`` are children that somebody else waits for."""
    for pid in procs.children(os.getpid()):
        if pid not in but:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def strike(server: Server, target: str, rnd: random.Random) -> str | None:
    """Kill a server, its keeper or both, have it serve again, and let go of what died.

    Args:
        server: It; its process is reaped by whoever started it.
        target: One of ``TARGETS`` without ``shim``.
        rnd: Says how often it is killed once more while it finds its jobs again.

    Returns:
        A fault of its own that was seen before: it had ended by itself.
    """
    assert server.process is not None
    fault = None
    if server.process.poll() is not None:
        fault = f"the server ended by itself with {server.process.returncode}"
    if target != "server":
        pid = keeper_pid(server.data_dir)
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
    if target != "keeper":
        server.kill()
        if rnd.random() < _AGAIN_SHARE:
            server.launch()
            time.sleep(rnd.random())
            server.kill()
        server.start()
    reap(server.process.pid)
    return fault


def is_shim(keeper: int, pid: int, *, cgroups: bool) -> bool:
    """Tell a shim from the other children of a keeper: jobs that it took over from killed shims.

    With cgroups those are in groups of their own. Without, a shim holds one record, and is named in it if it has
    started its program; that leaves out the freshly forked, which hold everything that the keeper holds.
    """
    if cgroups:
        return Path(f"/proc/{pid}/cgroup").read_text() == Path(f"/proc/{keeper}/cgroup").read_text()
    files = [os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()]
    held = [name for name in files if name.endswith("/record")]
    if len(held) != 1:
        return False
    start = records.read_record(held[0]).get("start")
    return start is None or start["shim"] == pid


class KeeperKiller:
    """Kills the keeper of a data directory, or a shim of it."""

    def __init__(self, data: Path, rnd: random.Random, *, cgroups: bool = True) -> None:
        self._data, self._rnd, self._cgroups = data, rnd, cgroups
        self.kills_count = 0

    async def find(self) -> int:
        """The keeper's process, once there is one.

        Raises:
            trio.TooSlowError: There is none.
        """
        with trio.fail_after(_UP_LIMIT_S):
            while True:
                pid = keeper_pid(self._data)
                if pid is not None:
                    return pid
                await trio.sleep(_LOOK_S)

    async def kill(self, pid: int) -> None:
        """Kill the keeper that was found."""
        fd = os.pidfd_open(pid)
        try:
            signal.pidfd_send_signal(fd, signal.SIGKILL)
            self.kills_count += 1
            with trio.fail_after(_UP_LIMIT_S):
                await trio.lowlevel.wait_readable(fd)
        finally:
            os.close(fd)

    async def kill_shim(self) -> None:
        """Kill one of its shims, most often one that has a job; waits for one.

        Raises:
            trio.TooSlowError: There was none.
        """
        with trio.fail_after(_UP_LIMIT_S):
            while True:
                keeper = await self.find()
                children = procs.children(keeper)
                if self._rnd.random() < _BUSY_SHARE:
                    children = [pid for pid in children if name_of(pid) != SPARE]
                if children and self._strike(keeper, self._rnd.choice(children)):
                    return
                await trio.sleep(_LOOK_S)

    def _strike(self, keeper: int, pid: int) -> bool:
        with contextlib.suppress(OSError):
            fd = os.pidfd_open(pid)
            try:
                if pid in procs.children(keeper) and is_shim(keeper, pid, cgroups=self._cgroups):
                    signal.pidfd_send_signal(fd, signal.SIGKILL)
                    self.kills_count += 1
                    return True
            finally:
                os.close(fd)
        return False


class Killer:
    """Kills and starts again. The server's link is up whenever this waits for the next moment."""

    def __init__(self, server: Server, link: Link, rnd: random.Random, *, cgroups: bool = True) -> None:
        self._server, self._link, self._rnd = server, link, rnd
        self._keeper = KeeperKiller(server.data_dir, rnd, cgroups=cgroups)
        self._server_kills_count = 0
        self.faults: list[str] = []

    @property
    def kills_count(self) -> int:
        """How many processes it has killed."""
        return self._server_kills_count + self._keeper.kills_count

    async def start_server(self) -> None:
        """Start it and wait until it serves."""
        self._server.launch()
        await trio.to_thread.run_sync(self._server.wait_up)
        self._link.up.set()

    async def kill(self, target: str) -> None:
        """One round: kill it, and wait until all is up again."""
        if target == "server":
            self._strike_server()
            await self._revive_server()
        elif target == "keeper":
            await self._keeper.kill(await self._keeper.find())
        elif target == "shim":
            await self._keeper.kill_shim()
        else:
            await self._kill_both()
        if target != "shim":
            await self._keeper.find()

    def _strike_server(self) -> None:
        assert self._server.process is not None
        if self._server.process.poll() is not None:
            self.faults.append(f"the server ended by itself with {self._server.process.returncode}")
        self._link.down()
        self._server.process.kill()
        self._server_kills_count += 1

    async def _revive_server(self) -> None:
        assert self._server.process is not None
        await trio.to_thread.run_sync(self._server.process.wait)
        if self._rnd.random() < 0.2:  # and once more while it finds its jobs again
            self._server.launch()
            await trio.sleep(self._rnd.random())
            self._server.process.kill()
            await trio.to_thread.run_sync(self._server.process.wait)
            self._server_kills_count += 1
        await self.start_server()

    async def _kill_both(self) -> None:
        pid = await self._keeper.find()
        first = self._rnd.random() < 0.5
        if first:
            self._strike_server()
        await self._keeper.kill(pid)
        if not first:
            await trio.sleep(self._rnd.random() * 0.01)
            self._strike_server()
        await self._revive_server()
