"""Several engines as one: each job's own is asked, by the name on its record.

What is kept of jobs on disk (their folder with record and output) is in one place, whatever ran them: the engine of
this machine keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from jobdeck_server.engines.base import Engine, Launch, Records, Report, Stop


class Engines:
    """See ``engines.base.Engine``.

    Args:
        here: The engine of this machine: it has the jobs of which no other's name is known.
        others: By their names.
    """

    name = "several"

    def __init__(self, here: Engine, *others: Engine) -> None:
        self._here = here
        self._others = {engine.name: engine for engine in others}
        self.capacity_count = here.capacity_count
        self._sink: Records | None = None

    async def run(self, sink: Records, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run all of them; ``started`` once each has."""
        self._sink = sink
        async with trio.open_nursery() as nursery:
            for engine in (self._here, *self._others.values()):
                await nursery.start(engine.run, sink)
            task_status.started()

    def submit(self, launch: Launch) -> None:
        """Have the engine that the job was given to start it."""
        self._others.get(launch.engine, self._here).submit(launch)

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Have a job's engine stop it."""
        await self._of(job_id).stop(job_id, stop)

    async def signal(self, job_id: str, signum: int) -> bool:
        """Have a job's engine send it a signal."""
        return await self._of(job_id).signal(job_id, signum)

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """Tell a job's engine of its standard input."""
        await self._of(job_id).input(job_id, eof_bytes=eof_bytes)

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """Ask each engine for its own jobs."""
        asked: dict[str, tuple[Engine, list[str]]] = {}
        for job_id in job_ids:
            engine = self._of(job_id)
            asked.setdefault(engine.name, (engine, []))[1].append(job_id)
        found: dict[str, Report | None] = {}
        for engine, own in asked.values():
            found |= await engine.status(own)
        return found

    async def forget(self, job_id: str) -> None:
        """Remove all that is kept of a job."""
        await self._here.forget(job_id)

    async def forget_output(self, job_id: str) -> None:
        """Remove a job's output."""
        await self._here.forget_output(job_id)

    async def kept(self) -> Collection[str]:
        """The jobs of which something is kept."""
        return await self._here.kept()

    def follow(self, job_id: str) -> Path:
        """The job's folder."""
        return self._here.follow(job_id)

    def _of(self, job_id: str) -> Engine:
        name = None if self._sink is None else self._sink.engine_of(job_id)
        return self._others.get(name or "", self._here)
