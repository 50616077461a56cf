"""The crash test: jobs of all kinds, submitted and watched over HTTP, while ``kill -9`` strikes at random moments.

A campaign has one target: the server, the keeper, a random shim, or server and keeper together. Submitters send jobs
and stop some of them, attachers follow output over broken links, a subscriber follows the events, a killer kills. When
the killing is over everything must come to its end by itself, and every job, acknowledged or not, is judged: its
state, exit code or signal, each byte and its stream, and that it ran once. Then everything is asked to go, and nothing
may be left.

The short form is ``test_crash.py``; the long one ``python -m tests.e2e.soak``.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import random
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from jobdeck_keeper import cgroup
from jobdeck_keeper.pool import SPARES_COUNT
from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError
from tests.e2e.crash_clients import Attach, Events, Link
from tests.e2e.crash_judge import (
    NAME,
    Judge,
    Row,
    Verdict,
    descriptors,
    marked,
    name_of,
    spares,
    unfinished,
    zombies,
)
from tests.e2e.crash_killers import Killer, keeper_pid, reap
from tests.e2e.crash_kinds import Desk, make_plan
from tests.e2e.crash_traffic import Load, Traffic
from tests.e2e.program import JOBDECK, Server, end_keeper, keeper_pids

_RUNNING_LIMIT_COUNT = 8
_QUIET_LIMIT_S = 120.0
_GONE_LIMIT_S = 10.0
_PAUSES_S = {"shim": 0.1}
_PAUSE_S = 0.3
_BREATH_S = 0.05
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A campaign.

    Attributes:
        target: One of ``crash_killers.TARGETS``.
        data: Folder for all of it; made here.
        kills_count: So many kills, or
        limit_s: so many seconds of killing, whichever comes first.
    """

    target: str
    data: Path
    kills_count: int
    limit_s: float = 3600.0
    seed: int = 0
    submitters_count: int = 5
    attachers_count: int = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it: kills, seconds, descriptors of the keeper before and after, and the verdict."""

    config: Config
    kills_count: int
    wall_s: float
    descriptors: tuple[int, int]
    verdict: Verdict


async def campaign(config: Config) -> Report:
    """Run one campaign. Whatever happens, no process of it is left."""
    config.data.mkdir(parents=True)
    server = Server(config.data / "data", "--running-limit", str(_RUNNING_LIMIT_COUNT))
    server.data_dir.mkdir()
    server.port = quiet_port()
    began_s = time.monotonic()
    with subreaper():
        try:
            return await Campaign(config, server).run(began_s)
        finally:
            with trio.CancelScope(shield=True):
                if server.process is not None and server.process.poll() is None:
                    server.kill()
                await trio.to_thread.run_sync(end_keeper, server.data_dir)
            reap()


class Campaign:
    """The state that a campaign's tasks share."""

    def __init__(self, config: Config, server: Server) -> None:
        self._config, self._server = config, server
        self._rnd = random.Random(config.seed)
        self._mark = str(uuid.uuid4())
        self._ledgers = config.data / "ledgers"
        self._ledgers.mkdir()
        self._desk = Desk(rnd=self._rnd, ledgers=self._ledgers, mark=self._mark)
        self._link = Link(server.port)
        self._killer = Killer(server, self._link, self._rnd)
        self._events = Events()
        self._verdict = Verdict()
        load = Load(
            make_plan=partial(make_plan, self._desk),
            make_follower=self._follower,
            submitters_count=config.submitters_count,
            attachers_count=config.attachers_count,
        )
        self._traffic = Traffic(link=self._link, events=self._events, rnd=self._rnd, verdict=self._verdict, load=load)

    async def run(self, began_s: float) -> Report:
        """Kill, wait, judge."""
        await self._killer.start_server()
        before = await self._settled()
        async with trio.open_nursery() as watching:
            watching.start_soon(self._reap)
            watching.start_soon(self._events.run, self._link)
            with trio.move_on_after(self._config.limit_s + _QUIET_LIMIT_S) as scope:
                await self._work()
                await self._traffic.drain()
            if scope.cancelled_caught:
                self._verdict.fault("stuck", f"after {_QUIET_LIMIT_S:g} s: {await self._link.insist('GET', '/')}")
            rows = await self._traffic.rows()
            with trio.move_on_after(_GONE_LIMIT_S):  # the judge tells what is missing
                await self._traffic.told(rows)
            watching.cancel_scope.cancel()
        after = await self._judge(rows, before)
        return Report(
            config=self._config,
            kills_count=self._killer.kills_count,
            wall_s=time.monotonic() - began_s,
            descriptors=(before, after),
            verdict=self._verdict,
        )

    # While it is killed

    async def _work(self) -> None:
        async with trio.open_nursery() as nursery:
            self._traffic.start(nursery)
            with trio.move_on_after(self._config.limit_s):
                pause_s = _PAUSES_S.get(self._config.target, _PAUSE_S)
                while self._killer.kills_count < self._config.kills_count:
                    await trio.sleep(self._rnd.random() * pause_s)
                    with trio.CancelScope(shield=True):
                        await self._killer.kill(self._config.target)
            self._traffic.done = True

    def _follower(self, job_id: str) -> Attach:
        over = self._rnd.choice(("http", "http", "raw"))
        return Attach(job_id=job_id, over=over, stream=self._rnd.choice((None, None, "stdout", "stderr")))

    async def _reap(self) -> None:
        """Do as init does: orphans come to this process, which is a subreaper."""
        while True:
            reap(*([] if self._server.process is None else [self._server.process.pid]))
            await trio.sleep(0.05)

    # When it is over

    async def _judge(self, rows: list[Row], before: int) -> int:
        """Judge the jobs, then ask everything to go; returns how many files the keeper had open in the end."""
        data, verdict = self._server.data_dir, self._verdict
        for text in self._killer.faults:
            verdict.fault("stuck", text)
        judge = Judge(data, self._ledgers, verdict, unstarted=self._config.target != "server")
        names = {row["id"]: name[0] for row in rows if (name := NAME.search(row["command"]))}
        await trio.to_thread.run_sync(judge.jobs, list(self._traffic.sent.values()), rows)
        await trio.to_thread.run_sync(judge.attaches, self._traffic.followers, rows, names)
        judge.events(self._events, rows)
        judge.folders()
        verdict.counts["broken answers"] = self._link.broken_count
        verdict.counts["event links"] = self._events.links_count
        after = await self._left_in_keeper(before)
        await self._say_goodbye()
        return after

    async def _settled(self, limit_count: int | None = None) -> int:
        """How many files the keeper has open once it has nothing to do."""
        keeper = keeper_pid(self._server.data_dir) or 0
        await until(lambda: len(spares(keeper)) >= SPARES_COUNT and not unfinished(keeper))
        if limit_count is not None:
            await until(lambda: descriptors(keeper) <= limit_count)
        await trio.sleep(_BREATH_S)
        return descriptors(keeper)

    async def _left_in_keeper(self, before: int) -> int:
        """See what keeper and server hold when there is no job; returns how many files the keeper has open."""
        keeper = keeper_pid(self._server.data_dir)
        assert self._server.process is not None
        if keeper is None:
            self._verdict.fault("stuck", "no keeper at the end")
            return 0
        after = await self._settled(before)
        for pid in unfinished(keeper):
            self._verdict.fault("left behind", f"child {pid} of the keeper, {name_of(pid)!r}")
        for pid in zombies(self._server.process.pid):
            self._verdict.fault("left behind", f"the server has not reaped {pid}")
        if after > before:
            files = [os.readlink(entry) for entry in Path(f"/proc/{keeper}/fd").iterdir()]
            self._verdict.fault("left behind", f"{after} files open in the keeper after {before}: {sorted(files)}")
        return after

    async def _say_goodbye(self) -> None:
        """Ask server and keeper to go, and see that nothing is left."""
        data, verdict = self._server.data_dir, self._verdict
        code = await trio.to_thread.run_sync(self._server.stop)
        if code:
            verdict.fault("left behind", f"the server ended with {code}")
        stop = [*JOBDECK, "stop", "--all", "--data-dir", str(data)]
        await trio.to_thread.run_sync(lambda: subprocess.run(stop, check=False, capture_output=True, timeout=60))
        await trio.to_thread.run_sync(retire, data)
        await until(lambda: not keeper_pids(data) and not marked(self._mark))
        for text in [*map(str, keeper_pids(data)), *marked(self._mark), *groups(data)]:
            verdict.fault("left behind", text)
        for name in (self._server.log, data / "keeper.log"):
            log = name.read_text(errors="replace")
            if "Traceback" in log or (name.name == "keeper.log" and log):
                verdict.fault("logs", f"{name}: {log[-3000:]}")


async def until(true: Callable[[], bool]) -> None:
    """Wait until something holds, but not for ever."""
    with trio.move_on_after(_GONE_LIMIT_S):
        while True:
            if true():
                return
            await trio.sleep(0.02)


def quiet_port() -> int:
    """A free port out of the range from which clients get theirs: while the server is down nobody may take it."""
    rnd = random.Random()
    while True:
        port = rnd.randrange(15_000, 30_000)
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", port))
            return port


@contextlib.contextmanager
def subreaper() -> Iterator[None]:
    """Take in orphans: some init processes of containers do not reap."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        libc.prctl(_PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0)


def retire(data: Path) -> None:
    """Ask the keeper to go."""
    with contextlib.suppress(NoKeeperError, OSError), KeeperLink(data) as link:
        link.ask("retire")


def groups(data: Path) -> list[str]:
    """Groups of jobs that were not removed."""
    base = cgroup.find_base(str(data))
    if base is None:
        return []
    left = [str(path) for path in Path(base).iterdir() if path.is_dir()]
    with contextlib.suppress(OSError):
        os.rmdir(base)
    return left
