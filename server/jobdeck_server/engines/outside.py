"""The engine of jobs that outside workers run: programs that come to the server and ask, over the WebGME API.

There is nothing to be asked for and nobody to be reached. A job is started by having been handed out; its program is
out of sight until its worker says how it has ended. A stop is the record's ``stop_requested``, which the worker is told
when it next asks. What it sends of output is in the job's folder, which belongs to the engine of this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.live import now_us
from jobdeck_server.engines.base import OUTSIDE, Report, Started

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping
    from pathlib import Path

    from jobdeck_server.engines.base import Ended, Launch, Sink, Stop


class OutsideEngine:
    """See ``engines.base.Engine``.

    Attributes:
        ends: How jobs have ended, of those whose workers have said so; to be set before the core's recovery.
    """

    name = OUTSIDE
    capacity_count = 1 << 30  # the workers know theirs

    def __init__(self, jobs_dir: Path) -> None:
        self._jobs_dir = jobs_dir
        self._sink: Sink | None = None
        self.ends: Callable[[Collection[str]], Awaitable[Mapping[str, Ended]]] | None = None

    async def run(self, sink: Sink, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Nothing has to run."""
        self._sink = sink
        task_status.started()

    def submit(self, launch: Launch) -> None:
        """It was handed out, and that is all that will be known of its start."""
        if self._sink is not None:
            self._sink.report(launch.job_id, Started(started_us=now_us(), step=0))

    async def stop(self, job_id: str, stop: Stop) -> None:
        """Its worker hears of it by the record."""

    async def signal(self, job_id: str, signum: int) -> bool:
        """No signal reaches it."""
        del job_id, signum
        return False

    async def input(self, job_id: str, *, eof_bytes: int | None) -> None:
        """It has no standard input."""

    async def status(self, job_ids: Collection[str]) -> Mapping[str, Report | None]:
        """How they have ended; the others run on while nobody looks."""
        ended = {} if self.ends is None else await self.ends(job_ids)
        return {job_id: ended.get(job_id) or Started(started_us=now_us(), step=0) for job_id in job_ids}

    async def forget(self, job_id: str) -> None:
        """Nothing is kept here."""

    async def forget_output(self, job_id: str) -> None:
        """Nothing is kept here."""

    async def kept(self) -> Collection[str]:
        """Nothing is kept here."""
        return ()

    def follow(self, job_id: str) -> Path:
        """The job's folder."""
        return self._jobs_dir / job_id
