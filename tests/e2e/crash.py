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
import json
import os
import random
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio

from jobdeck_keeper import cgroup, procs
from jobdeck_keeper.pool import SPARES_COUNT
from jobdeck_server.commands.keeperlink import KeeperLink, NoKeeperError
from tests.e2e.crash_clients import Attach, BrokenError, Events, Link
from tests.e2e.crash_judge import (
    NAME,
    Judge,
    Row,
    Sent,
    Verdict,
    descriptors,
    marked,
    name_of,
    spares,
    unfinished,
    zombies,
)
from tests.e2e.crash_killers import Killer, keeper_pid
from tests.e2e.crash_kinds import Desk, make_plan
from tests.e2e.program import JOBDECK, Server, end_keeper, keeper_pids

_RUNNING_LIMIT_COUNT = 8
_OPEN_LIMIT_COUNT = 30
_ROOM_LIMIT_S = 5.0
_QUIET_LIMIT_S = 120.0
_GONE_LIMIT_S = 10.0
_PAUSES_S = {"shim": 0.1}
_PAUSE_S = 0.3
_BREATH_S = 0.05
_PAGE_COUNT = 200
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
            _reap(0)


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
        self._sent: dict[str, Sent] = {}
        self._ids: list[str] = []
        self._attaches: list[Attach] = []
        self._verdict = Verdict()
        self._done = False
        self._nursery: trio.Nursery | None = None

    async def run(self, began_s: float) -> Report:
        """Kill, wait, judge."""
        await self._killer.start_server()
        before = await self._settled()
        async with trio.open_nursery() as watching:
            watching.start_soon(self._reap)
            watching.start_soon(self._events.run, self._link)
            with trio.move_on_after(self._config.limit_s + _QUIET_LIMIT_S) as scope:
                await self._work()
                await self._drain()
            if scope.cancelled_caught:
                self._verdict.fault("stuck", f"after {_QUIET_LIMIT_S:g} s: {await self._link.insist('GET', '/')}")
            rows = await self._rows()
            with trio.move_on_after(_GONE_LIMIT_S):  # the judge tells what is missing
                await self._events.wait_for(lambda events: all(_told(events, row) for row in rows))
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
            self._nursery = nursery
            for _ in range(self._config.submitters_count):
                nursery.start_soon(self._submit_all)
            for _ in range(self._config.attachers_count):
                nursery.start_soon(self._attach_all)
            with trio.move_on_after(self._config.limit_s):
                pause_s = _PAUSES_S.get(self._config.target, _PAUSE_S)
                while self._killer.kills_count < self._config.kills_count:
                    await trio.sleep(self._rnd.random() * pause_s)
                    with trio.CancelScope(shield=True):
                        await self._killer.kill(self._config.target)
            self._done = True

    async def _submit_all(self) -> None:
        while not self._done:
            name = f"jdt-{len(self._sent):06d}"
            sent = self._sent[name] = Sent(make_plan(self._desk, name))
            await self._submit(sent)
            if sent.ids and sent.plan.halt is not None and self._nursery is not None:
                self._nursery.start_soon(self._halt, sent, next(iter(sent.ids)))
            await trio.sleep(self._rnd.random() * 0.04)
            await self._room()

    async def _room(self) -> None:
        """Wait while very many jobs are open: the queue is to be used, not to grow without end."""
        with trio.move_on_after(_ROOM_LIMIT_S):
            await self._events.wait_for(lambda events: self._done or len(events.open) <= _OPEN_LIMIT_COUNT)

    async def _submit(self, sent: Sent) -> None:
        """Send a job: with a key until it is acknowledged, and sometimes once more; without one only once."""
        plan = sent.plan
        headers = {"Idempotency-Key": plan.name} if plan.keyed else {}
        again = plan.keyed and self._rnd.random() < 0.1
        while True:
            sent.sends_count += 1
            try:
                status, body = await self._link.ask("POST", plan.path, plan.body, headers)
            except BrokenError:
                if plan.keyed:
                    continue
                return
            if status not in (200, 201):
                self._verdict.fault("answers", f"{plan.name}: {status} {body!r}")
                return
            answer = json.loads(body)
            sent.ids.add(answer["id"] if plan.keyed else answer["ID"])
            if not again:
                self._ids.extend(sent.ids)
                return
            again = False

    async def _halt(self, sent: Sent, job_id: str) -> None:
        """Stop a job, and see to it until the server has taken it."""
        halt = sent.plan.halt
        assert halt is not None
        sent.halting = True
        await trio.sleep(halt.delay_s)
        while halt.wait_ready:
            _, body = await self._link.insist("GET", f"/v1/jobs/{job_id}/output")
            if b"ready" in body or self._events.ended(job_id):
                break
            await trio.sleep(0.05)
        if halt.how == "delete":
            status, body = await self._link.insist("DELETE", f"/{job_id}")
        else:
            status, body = await self._link.insist("POST", f"/v1/jobs/{job_id}/stop", {})
        if status not in (200, 202):
            self._verdict.fault("answers", f"{sent.plan.name}: stop: {status} {body!r}")

    async def _attach_all(self) -> None:
        while not self._done:
            if not self._ids:
                await trio.sleep(0.05)
                continue
            each = Attach(
                job_id=self._rnd.choice(self._ids[-10:]),
                over=self._rnd.choice(("http", "http", "raw")),
                stream=self._rnd.choice((None, None, "stdout", "stderr")),
            )
            try:
                await each.run(self._link)
            except* (AssertionError, trio.TooSlowError) as group:
                text = f"{each.over} {each.stream} {each.job_id} after {len(each.data)} bytes: {group.exceptions!r}"
                self._verdict.fault("attach", text)
            else:
                self._attaches.append(each)

    async def _reap(self) -> None:
        """Do as init does: orphans come to this process, which is a subreaper."""
        while True:
            _reap(0 if self._server.process is None else self._server.process.pid)
            await trio.sleep(0.05)

    # When it is over

    async def _drain(self) -> None:
        """Stop what nobody else can, since it was never acknowledged, and wait until no job is left."""
        while True:
            _, body = await self._link.insist("GET", f"/v1/jobs?state=queued,starting,running&limit={_PAGE_COUNT}")
            rows = json.loads(body)["items"]
            if not rows:
                return
            async with trio.open_nursery() as nursery:
                for row in rows:
                    name = NAME.search(row["command"])
                    sent = self._sent.get(name[0]) if name else None
                    if sent is not None and sent.plan.halt is not None and not sent.halting:
                        nursery.start_soon(self._halt, sent, row["id"])
            await trio.sleep(0.1)

    async def _rows(self) -> list[Row]:
        rows: list[Row] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            _, body = await self._link.insist("GET", f"/v1/jobs?sort=created&limit={_PAGE_COUNT}{more}")
            page: dict[str, Any] = json.loads(body)
            rows += page["items"]
            cursor = page["next"]
        return rows

    async def _judge(self, rows: list[Row], before: int) -> int:
        """Judge the jobs, then ask everything to go; returns how many files the keeper had open in the end."""
        data, verdict = self._server.data_dir, self._verdict
        for text in self._killer.faults:
            verdict.fault("stuck", text)
        judge = Judge(data, self._ledgers, verdict, unstarted=self._config.target != "server")
        names = {row["id"]: name[0] for row in rows if (name := NAME.search(row["command"]))}
        await trio.to_thread.run_sync(judge.jobs, list(self._sent.values()), rows)
        await trio.to_thread.run_sync(judge.attaches, self._attaches, rows, names)
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
        await _until(lambda: len(spares(keeper)) >= SPARES_COUNT and not unfinished(keeper))
        if limit_count is not None:
            await _until(lambda: descriptors(keeper) <= limit_count)
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
        await trio.to_thread.run_sync(_retire, data)
        await _until(lambda: not keeper_pids(data) and not marked(self._mark))
        for text in [*map(str, keeper_pids(data)), *marked(self._mark), *_groups(data)]:
            verdict.fault("left behind", text)
        for name in (self._server.log, data / "keeper.log"):
            log = name.read_text(errors="replace")
            if "Traceback" in log or (name.name == "keeper.log" and log):
                verdict.fault("logs", f"{name}: {log[-3000:]}")


def _told(events: Events, row: Row) -> bool:
    return bool(events.jobs.get(row["id"], {}).get("state") == row["state"])


async def _until(true: Callable[[], bool]) -> None:
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


def _reap(but: int) -> None:
    """Reap dead orphans; ``but`` is a child that somebody else waits for."""
    for pid in procs.children(os.getpid()):
        if pid != but:
            with contextlib.suppress(ChildProcessError):
                os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG)


def _retire(data: Path) -> None:
    """Ask the keeper to go."""
    with contextlib.suppress(NoKeeperError, OSError), KeeperLink(data) as link:
        link.ask("retire")


def _groups(data: Path) -> list[str]:
    """Groups of jobs that were not removed."""
    base = cgroup.find_base(str(data))
    if base is None:
        return []
    left = [str(path) for path in Path(base).iterdir() if path.is_dir()]
    with contextlib.suppress(OSError):
        os.rmdir(base)
    return left
