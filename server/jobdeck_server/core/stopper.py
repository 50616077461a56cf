"""Tells the engine to stop jobs, until what it was told is the last word."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from jobdeck_server.core.live import Live
    from jobdeck_server.engines.base import Engine, Stop

_SIGKILL = 9


class Stopper:
    """One task for each job that is being stopped, owned by ``run``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._nursery: trio.Nursery | None = None

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Own the tasks, until cancelled."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    def ask(self, live: Live, stop: Stop) -> None:
        """Stop a job; a later word counts, but none takes SIGKILL back."""
        if live.stop is None or stop.signal == _SIGKILL or live.stop.signal != _SIGKILL:
            live.stop = stop
        self.resume(live)

    def resume(self, live: Live) -> None:
        """Tell the stop that was asked for, if one was (again, after a restart)."""
        if live.stop is not None and not live.delivering:
            live.delivering = True
            assert self._nursery is not None
            self._nursery.start_soon(self._keep_telling, live)

    async def _keep_telling(self, live: Live) -> None:
        told = None
        while live.stop is not None and live.stop != told and not live.job.ended:
            told = live.stop
            await self._engine.stop(live.job.id, told)
        live.delivering = False
