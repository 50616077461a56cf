"""Who is killed in the workers' crash test: the server's programs as in the other one, and those of each worker.

A job of which both the shim and the keeper were killed is LOST, and rightly so: nobody has seen how it ended. So at one
place either shims are killed or keepers, and none of its jobs may be.
"""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence

import trio

from tests.e2e.crash import until
from tests.e2e.crash_clients import Link
from tests.e2e.crash_killers import KeeperKiller, Killer
from tests.e2e.worker_fleet import Fleet, Worker

_SERVER_TARGETS = ("server", "server", "server", "keeper", "server and keeper")
_WORKER_TARGETS = (("worker", "worker", "keeper", "worker and keeper"), ("worker", "worker", "shim", "shim"))
_SETTLED_SHARE = 0.8  # of those who were killed are left alone until they are at work again
_SHIM_LIMIT_S = 1.0  # there may be no job
_UP_LIMIT_S = 60.0
_LINKED = b"linked to"  # what a worker says in its log once it is at work


class Killers:
    """All of them.

    Args:
        fleet: Not started.
        link: The clients' way to the server.
        rnd: Of the moments and targets.
        down_s: The longest that a killed worker stays away.

    Attributes:
        kills: How many strikes at each target.
        faults: Programs that ended by themselves.
    """

    def __init__(self, fleet: Fleet, link: Link, rnd: random.Random, down_s: float) -> None:
        self.kills: Counter[str] = Counter()
        self._faults: list[str] = []
        self._fleet, self._link, self._rnd, self._down_s = fleet, link, rnd, down_s
        self._server = Killer(fleet.server, link, rnd)
        self._keepers = {worker.name: KeeperKiller(worker.data_dir, rnd) for worker in fleet.workers}

    @property
    def faults(self) -> list[str]:
        """What was wrong with programs."""
        return [*self._faults, *self._server.faults]

    async def start(self) -> None:
        """Start all, and wait until it is up."""
        await self._server.start_server()
        for worker in self._fleet.workers:
            worker.launch()
        await self.all_up()

    async def all_up(self) -> None:
        """Wait until all workers are online.

        Raises:
            AssertionError: One is not.
        """
        names = [worker.name for worker in self._fleet.workers]
        await trio.to_thread.run_sync(lambda: self._fleet.wait_state(names, limit_s=_UP_LIMIT_S))

    async def run(self, pace_s: float) -> None:
        """Kill and start again until cancelled; then all programs run."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._strike, 2 * pace_s, self._at_server)
            for number, worker in enumerate(self._fleet.workers):
                nursery.start_soon(self._strike, pace_s, self._at(worker, _WORKER_TARGETS[number % 2]))

    async def _strike(self, pace_s: float, strike: Callable[[], Awaitable[None]]) -> None:
        while True:
            await trio.sleep(self._rnd.random() * 2 * pace_s)
            with trio.CancelScope(shield=True):
                await strike()

    async def _at_server(self) -> None:
        target = self._rnd.choice(_SERVER_TARGETS)
        with trio.move_on_after(_UP_LIMIT_S) as scope:
            await self._server.kill(target)
        self.kills[target if "server" in target else f"server's {target}"] += 1
        if scope.cancelled_caught:
            self._faults.append(f"{target}: not up again after {_UP_LIMIT_S:g} s")

    def _at(self, worker: Worker, targets: Sequence[str]) -> Callable[[], Awaitable[None]]:
        async def strike() -> None:
            target = self._rnd.choice(targets)
            try:
                done = await self._kill(worker, target)
            except trio.TooSlowError:
                self._faults.append(f"{worker.name}: no keeper, after {dict(self.kills)}")
            else:
                self.kills[target if "worker" in target else f"worker's {target}"] += done

        return strike

    async def _kill(self, worker: Worker, target: str) -> bool:
        keeper = self._keepers[worker.name]
        if target == "shim":
            with trio.move_on_after(_SHIM_LIMIT_S) as scope:
                await keeper.kill_shim()
            return not scope.cancelled_caught
        if target == "keeper":
            await keeper.kill(await keeper.find())
            return True
        if target == "worker and keeper":
            with contextlib.suppress(ProcessLookupError):
                await keeper.kill(await keeper.find())
            await trio.sleep(self._rnd.random() * 0.02)
        await self._kill_program(worker)
        return True

    async def _kill_program(self, worker: Worker) -> None:
        """Kill a worker's program and start it again; in one of five cases it dies once more while it starts."""
        for again in range(1 + (self._rnd.random() < 0.2)):
            assert worker.process is not None
            if again:
                await trio.sleep(self._rnd.random())
            elif worker.process.poll() is not None:
                tail = worker.log.read_text()[-1000:]
                self._faults.append(f"{worker.name} ended by itself with {worker.process.returncode}: {tail}")
            await trio.to_thread.run_sync(worker.kill)
            await trio.sleep(self._rnd.random() * self._down_s)
            said_bytes = worker.log.stat().st_size
            worker.launch()
        if self._rnd.random() < _SETTLED_SHARE:
            await until(lambda: _LINKED in worker.log.read_bytes()[said_bytes:])
