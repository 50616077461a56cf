"""The workers' crash test: ``kill -9`` of workers, keepers, shims and the server while links break, and jobs go on.

A server with TLS and tokens, and workers behind links of ours (``worker_links``). Jobs of all kinds go to named
workers, to labels, and through the scheduler API; some are stopped, attachers follow some through all of it, one
subscriber follows the events, all over a link that breaks as well. When the breaking is over, everything must come to
its end by itself. Then each job is judged as in the other crash test (``crash_judge``), and besides: it is on record
at one worker at most, the one that it was meant for, and that worker was told that the server has all of it.

The short form is ``test_worker_crash.py``; the long one ``python -m tests.e2e.worker_soak``.
"""

from __future__ import annotations

import contextlib
import random
import time
import uuid
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import trio

from jobdeck_client import Client
from jobdeck_client.trust import Trust
from tests.e2e import worker_aftermath
from tests.e2e.crash import quiet_port, subreaper
from tests.e2e.crash_clients import Attach, Events, Follower, Link
from tests.e2e.crash_judge import NAME, Judge, Row, Verdict
from tests.e2e.crash_killers import reap
from tests.e2e.crash_kinds import Desk
from tests.e2e.crash_traffic import Load, Traffic
from tests.e2e.worker_clients import ClientFollower, feed
from tests.e2e.worker_fleet import Fleet, make_fleet
from tests.e2e.worker_killers import Killers
from tests.e2e.worker_kinds import Places, make_plan
from tests.e2e.worker_links import PacketWire, ProxyWire, Wire, namespaces
from tests.e2e.worker_proxy import Proxy

_QUIET_LIMIT_S = 120.0
_TOLD_LIMIT_S = 10.0
_FOLLOW_PAUSE_S = 1.0
_LOCAL_LIMIT_COUNT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """A campaign.

    Attributes:
        data: Folder for all of it; made here.
        limit_s: So long things are broken, and longer if not all jobs were sent.
        jobs_count: So many jobs are sent meanwhile.
        pace_s: Mean pause between two kills at one worker; twice that for the server, three times for each link.
        span_s: Shortest and longest trouble of a link.
        down_s: The longest that a killed worker stays away.
        beat_s: Between two beats of worker and server.
        packets: The workers' links are real ones that lose packets, instead of proxies.
    """

    data: Path
    limit_s: float
    jobs_count: int = 300
    seed: int = 0
    workers_count: int = 3
    pace_s: float = 4.0
    span_s: tuple[float, float] = (5.0, 30.0)
    down_s: float = 3.0
    beat_s: float = 2.0
    packets: bool = False
    submitters_count: int = 8
    attachers_count: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What came of it: who was killed and what befell links, each how often; seconds; the verdict."""

    config: Config
    kills: Counter[str]
    mishaps: Counter[str]
    wall_s: float
    verdict: Verdict


async def campaign(config: Config) -> Report:
    """Run one campaign. Whatever happens, no process of it is left."""
    config.data.mkdir(parents=True)
    began_s = time.monotonic()
    with contextlib.ExitStack() as stack:
        wires = stack.enter_context(namespaces(config.workers_count)) if config.packets else []
        fleet = await trio.to_thread.run_sync(_make, config, wires)
        stack.enter_context(subreaper())
        try:
            async with trio.open_nursery() as nursery:
                proxies = [
                    Proxy(("127.0.0.1", fleet.server.port)) for _ in range(1 + (0 if wires else config.workers_count))
                ]
                for proxy in proxies:
                    await nursery.start(proxy.run)
                report = await Campaign(config, fleet, proxies, wires).run(began_s)
                nursery.cancel_scope.cancel()
            return report
        finally:
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(fleet.close)
            reap()


def _make(config: Config, wires: Sequence[PacketWire]) -> Fleet:
    """Nothing of it is started yet."""
    port = quiet_port()
    listen = [word for wire in wires for word in ("--listen", f"{wire.near}:{port}")]
    flags = (*listen, "--running-limit", str(_LOCAL_LIMIT_COUNT))
    fleet = make_fleet(config.data, *flags, beat_s=config.beat_s, addresses=[wire.near for wire in wires])
    fleet.server.port = port
    for number in range(config.workers_count):
        fleet.add(f"w{number}", "any", slots=3 + number)
    return fleet


class Campaign:
    """The state that a campaign's tasks share.

    Args:
        config: What it is to be.
        fleet: Not started.
        proxies: The clients' way to the server, then those of the workers that have one.
        wires: The links of workers that live elsewhere.
    """

    def __init__(self, config: Config, fleet: Fleet, proxies: Sequence[Proxy], wires: Sequence[PacketWire]) -> None:
        self._config, self._fleet = config, fleet
        self._rnd = random.Random(config.seed)
        self._mark = str(uuid.uuid4())
        self._ledgers, self._scripts = config.data / "ledgers", config.data / "scripts"
        for folder in (self._ledgers, self._scripts):
            folder.mkdir()
        self._port = proxies[0].port
        for worker, proxy in zip(fleet.workers, proxies[1:], strict=False):
            worker.url = f"wss://127.0.0.1:{proxy.port}"
        for worker, wire in zip(fleet.workers, wires, strict=False):
            worker.prefix, worker.url = wire.prefix, f"wss://{wire.near}:{fleet.server.port}"
        self._wires: list[Wire] = [*map(ProxyWire, proxies), *wires]
        self._link = Link(self._port, tls=fleet.context, token=fleet.tokens["run"])
        self._events = Events()
        self._killers = Killers(fleet, self._link, random.Random(config.seed + 1), config.down_s)
        self._verdict = Verdict()
        self._mishaps: Counter[str] = Counter()

    async def run(self, began_s: float) -> Report:
        """Break things, wait, judge."""
        async with trio.open_nursery() as watching:
            watching.start_soon(self._reap)
            await self._killers.start()
            watching.start_soon(self._events.run, self._link)
            trust = Trust(ca=self._fleet.pki.ca_file)
            async with Client(f"https://127.0.0.1:{self._port}", self._fleet.tokens["run"], trust=trust) as client:
                traffic = self._traffic(client)
                rows = await self._work(traffic)
            watching.cancel_scope.cancel()
        await self._judge(traffic, rows)
        return Report(
            config=self._config,
            kills=self._killers.kills,
            mishaps=self._mishaps,
            wall_s=time.monotonic() - began_s,
            verdict=self._verdict,
        )

    def _traffic(self, client: Client) -> Traffic:
        config = self._config
        desk = Desk(rnd=self._rnd, ledgers=self._ledgers, mark=self._mark, jobrunner_share=0.1)
        labels = ("any", *(worker.name for worker in self._fleet.workers))
        ids = [worker.id for worker in self._fleet.workers]
        load = Load(
            make_plan=partial(make_plan, Places(desk=desk, ids=ids, labels=labels, scripts=self._scripts)),
            make_follower=partial(self._follower, client),
            feed=partial(feed, client),
            submitters_count=config.submitters_count,
            attachers_count=config.attachers_count,
            jobs_limit_count=config.jobs_count,
            follow_pause_s=_FOLLOW_PAUSE_S,
            pause_s=1.2 * config.limit_s * config.submitters_count / config.jobs_count,
        )
        return Traffic(link=self._link, events=self._events, rnd=self._rnd, verdict=self._verdict, load=load)

    def _follower(self, client: Client, job_id: str) -> Follower:
        stream = self._rnd.choice((None, None, "stdout", "stderr"))
        limit_s = 2 * self._config.limit_s + _QUIET_LIMIT_S
        if self._rnd.random() < 0.7:
            return ClientFollower(client=client, job_id=job_id, stream=stream, limit_s=limit_s)
        return Attach(job_id=job_id, over=self._rnd.choice(("http", "raw")), stream=stream, limit_s=limit_s)

    # While it is broken

    async def _work(self, traffic: Traffic) -> list[Row]:
        """Send, break, and wait for all ends; returns all jobs."""
        async with trio.open_nursery() as following:
            traffic.start(following)
            async with trio.open_nursery() as breaking:
                breaking.start_soon(self._killers.run, self._config.pace_s)
                for number, wire in enumerate(self._wires):
                    breaking.start_soon(self._trouble, wire, random.Random(self._config.seed + 2 + number))
                await trio.sleep(self._config.limit_s)
                with trio.move_on_after(self._config.limit_s):
                    await self._events.wait_for(lambda _events: traffic.full)
                breaking.cancel_scope.cancel()
            traffic.done = True
            following.start_soon(self._drained, traffic, following.cancel_scope)
        if following.cancel_scope.cancelled_caught:
            self._verdict.fault("stuck", "whoever still followed a job was told to stop")
        rows = await traffic.rows()
        with trio.move_on_after(_TOLD_LIMIT_S):  # the judge tells what is missing
            await traffic.told(rows)
        return rows

    async def _drained(self, traffic: Traffic, following: trio.CancelScope) -> None:
        """Wait until no job is left and all followers have come to their end, or give up."""
        try:
            await self._killers.all_up()
        except AssertionError as error:
            self._verdict.fault("stuck", f"not all workers came back: {error}")
        with trio.move_on_after(_QUIET_LIMIT_S) as scope:
            await traffic.drain()
        if scope.cancelled_caught:
            self._verdict.fault("stuck", f"jobs that have not ended after {_QUIET_LIMIT_S:g} s")
            following.cancel()
        following.deadline = trio.current_time() + _QUIET_LIMIT_S

    async def _trouble(self, wire: Wire, rnd: random.Random) -> None:
        while True:
            await trio.sleep(rnd.random() * 6 * self._config.pace_s)
            self._mishaps[await wire.mishap(rnd, self._config.span_s)] += 1

    async def _reap(self) -> None:
        """Do as init does: orphans come to this process, which is a subreaper."""
        while True:
            programs = [self._fleet.server.process, *(worker.process for worker in self._fleet.workers)]
            reap(*(each.pid for each in programs if each is not None))
            await trio.sleep(0.05)

    # When it is over

    async def _judge(self, traffic: Traffic, rows: list[Row]) -> None:
        fleet, verdict = self._fleet, self._verdict
        for text in self._killers.faults:
            verdict.fault("stuck", text)
        others = [worker.data_dir for worker in fleet.workers]
        judge = Judge(fleet.server.data_dir, self._ledgers, verdict, unstarted=True, others=others)
        names = {row["id"]: name[0] for row in rows if (name := NAME.search(row["command"]))}
        await trio.to_thread.run_sync(judge.jobs, list(traffic.sent.values()), rows)
        await trio.to_thread.run_sync(judge.attaches, traffic.followers, rows, names)
        judge.events(self._events, rows)
        verdict.counts["broken answers"] = self._link.broken_count
        verdict.counts["event links"] = self._events.links_count
        worker_aftermath.places(fleet, traffic.sent, rows, verdict)
        await worker_aftermath.released(fleet, verdict)
        judge.folders()
        await worker_aftermath.idle(fleet, verdict)
        await worker_aftermath.goodbye(fleet, self._mark, verdict)
