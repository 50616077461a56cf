"""How a server takes leave of its jobs: they run on without it, or are stopped before it ends.

Jobs of workers elsewhere can be stopped only while their workers are connected. One that cannot be reached is told when
it comes the next time: that its jobs are to end is in the database.
"""

from __future__ import annotations

import logging
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.store import StoreError
from jobdeck_server.engines.base import WORKER, runs_here

if TYPE_CHECKING:
    from collections.abc import Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore

_log = logging.getLogger("jobdeck")
_LIMIT_S = 60.0


async def stop_jobs(core: JobCore, *, linked: bool) -> None:
    """Stop jobs; returns once those have ended of which that can be heard.

    Args:
        core: Whose they are.
        linked: All, workers elsewhere are connected still; else those of this machine.
    """
    jobs = [job for job in core.active() if linked or runs_here(job.engine)]
    if jobs:
        _log.info("stopping %s", _count(jobs))
    with trio.move_on_after(_LIMIT_S):
        async with trio.open_nursery() as nursery:
            for job in jobs:
                nursery.start_soon(_end, core, job.id)


async def _end(core: JobCore, job_id: str) -> None:
    with suppress(StoreError):  # it is being stopped all the same
        await core.stop(job_id)
    async with aclosing(core.watch(job_id)) as changes:
        async for job in changes:
            is_heard = runs_here(job.engine) or (job.engine == WORKER and not job.unreachable)
            if job.ended or not is_heard:
                return


def say_goodbye(core: JobCore) -> None:
    """Say how many jobs run on, and where."""
    jobs = core.active()
    here = [job for job in jobs if runs_here(job.engine)]
    if here:
        run, them = ("1 job runs", "it") if len(here) == 1 else (f"{len(here)} jobs run", "them")
        _log.info("%s on; the next server finds %s; end %s with: jobdeck stop --all", run, them, them)
    elsewhere = [job for job in jobs if not runs_here(job.engine)]
    if elsewhere:
        _log.info("%s elsewhere; the next server hears what becomes of that", _count(elsewhere))


def _count(jobs: Sequence[Job]) -> str:
    return "1 job" if len(jobs) == 1 else f"{len(jobs)} jobs"
