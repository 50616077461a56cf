"""A worker, put together: read this first.

server <-> uplink (one WebSocket after the other) <-> WorkerAgent (what is said when; no input, no output)
              |                                            ^
              v orders                                     |
          WorkerJobs -> BuiltinExecutor <-> keeper -> Reports        JobFiles: what is on disk of the jobs
                              |
server <- ServerShelf (HTTP) <+ bundles come, and their results go (Workshop)

The worker has no database. What it must not forget is in the folders of its jobs (``jobfiles``), in ``worker.id``,
``worker.json`` (``lives``) and ``starts``. Jobs are children of the keeper and outlive this program, which finds them
again.
"""

from __future__ import annotations

import logging
import math
import signal
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.errors import LocalWireError
from jobdeck_protocol.workeragent import WorkerAgent
from jobdeck_server.core.datadir import DataDir, DataDirError
from jobdeck_server.core.growth import Growth, hears_splice
from jobdeck_server.core.localworker import load_id
from jobdeck_server.engines.base import BUNDLES, LOCAL
from jobdeck_server.engines.builtin import BuiltinExecutor
from jobdeck_server.engines.local import LocalEngine
from jobdeck_server.engines.workshop import Workshop
from jobdeck_server.refusing import run_or_refuse
from jobdeck_server.worker.bell import Bell
from jobdeck_server.worker.bundlecache import BundleCache
from jobdeck_server.worker.jobfiles import JobFiles
from jobdeck_server.worker.jobs import WorkerJobs
from jobdeck_server.worker.lives import Lives
from jobdeck_server.worker.reports import Reports
from jobdeck_server.worker.shelf import ServerShelf, http_url
from jobdeck_server.worker.starts import Starts
from jobdeck_server.worker.upkeep import keep_up
from jobdeck_server.worker.uplink import DismissedError, Uplink

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobdeck_server.settings import Settings
    from jobdeck_server.worker.settings import WorkerSettings

_log = logging.getLogger("jobdeck.worker")
_CLOSE_LIMIT_S = 5.0
_REFUSALS = (DataDirError, DismissedError, LocalWireError, OSError)


def run(settings: Settings, worker: WorkerSettings) -> int:
    """Work until SIGTERM or SIGINT.

    Returns:
        The exit code: 0, or 2 if it could not start, or the server will not have it (said on standard error).
    """
    return run_or_refuse(partial(work, settings, worker), _REFUSALS)


async def work(settings: Settings, worker: WorkerSettings) -> None:
    """Run one worker until it is told to leave by a signal, or cancelled.

    Raises:
        DataDirError, LocalWireError, OSError: It cannot start.
        DismissedError: The server will not have it. Its jobs run on.
    """
    data_dir = await trio.to_thread.run_sync(DataDir, settings.data_dir)
    growth = Growth()
    try:
        with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            async with trio.open_nursery() as nursery:
                parts = await assemble(settings, worker, growth, nursery)
                await _leave_at(signals, parts, worker)
                nursery.cancel_scope.cancel()
    finally:
        with trio.CancelScope(deadline=trio.current_time() + _CLOSE_LIMIT_S, shield=True):
            await trio.to_thread.run_sync(data_dir.close)
        growth.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a worker is made of, as far as its leaving goes."""

    agent: WorkerAgent
    jobs: WorkerJobs
    uplink: Uplink
    bell: Bell


async def assemble(settings: Settings, worker: WorkerSettings, growth: Growth, nursery: trio.Nursery) -> Parts:
    """Everything at work: the new life on disk, every job found in its place, and only then the first connection."""
    worker_id = await trio.to_thread.run_sync(load_id, settings.data_dir)
    lives = await trio.to_thread.run_sync(Lives, settings.data_dir)
    touch = not await trio.to_thread.run_sync(hears_splice, settings.data_dir)
    agent = WorkerAgent(
        worker_id,
        name=worker.name,
        slots=worker.slots_count,
        labels=worker.labels,
        lives=lives.lives,
        server_life=lives.server_life,
        software=f"jobdeck {version('jobdeck')}",
        bundles=worker.bundles,
    )
    bell, files = Bell(), JobFiles(settings.data_dir / "jobs", settings.data_dir / "work")
    shelf = await trio.to_thread.run_sync(_shelf, settings, worker, worker_id)
    workshop = Workshop(
        settings,
        shelf=shelf,
        folder=settings.data_dir / "work",
        jobs_dir=settings.data_dir / "jobs",
        origin=http_url(worker.server),
    )
    local = LocalEngine(settings, touch=touch)
    engine = BuiltinExecutor(local, {BUNDLES: workshop}, patience_s=settings.executor_patience_s)
    starts = await trio.to_thread.run_sync(partial(_starts, settings, worker, files))
    reports = Reports(agent, engine, files, growth, changed=bell.ring, thread_limit_count=settings.thread_limit_count)
    jobs = WorkerJobs(
        agent,
        engine,
        files,
        reports,
        starts,
        settings,
        changed=bell.ring,
        kinds=(LOCAL, BUNDLES) if worker.bundles else (LOCAL,),
        full_disk_retry_s=worker.full_disk_retry_s,
    )
    workshop.ledger = reports
    uplink = Uplink(agent, jobs, reports, files, lives, bell, worker, data_dir=settings.data_dir)
    nursery.start_soon(growth.run)
    nursery.start_soon(shelf.run)
    await nursery.start(reports.run)
    await nursery.start(jobs.run)
    await nursery.start(engine.run, reports)
    await reports.recover()
    await engine.kept()  # from here on what nobody needs of bundles is removed
    _log.info("worker %s (%s): %s", worker.name, worker_id, _found(jobs.running_count, len(agent.jobs)))
    nursery.start_soon(keep_up, files, starts, worker)
    nursery.start_soon(uplink.run)
    return Parts(agent=agent, jobs=jobs, uplink=uplink, bell=bell)


def _shelf(settings: Settings, worker: WorkerSettings, worker_id: str) -> ServerShelf:
    cache = BundleCache(settings.data_dir / "bundles", limit_bytes=worker.bundle_cache_bytes)
    return ServerShelf(worker, worker_id, cache)


def _starts(settings: Settings, worker: WorkerSettings, files: JobFiles) -> Starts:
    boot_id = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return Starts(settings.data_dir, files, boot_id=boot_id, keep_s=worker.record_keep_s)


def _found(running_count: int, kept_count: int) -> str:
    ended_count = kept_count - running_count
    return f"{running_count} running, {ended_count} ended of which the server may not have all"


# -- leaving --


async def _leave_at(signals: AsyncIterator[int], parts: Parts, worker: WorkerSettings) -> None:
    """Wait for a signal; then, unless a second one comes, for the end of all jobs."""
    number = await anext(signals)
    name = signal.Signals(number).name
    parts.agent.drain(on=True)
    parts.bell.ring()
    await _settle(parts, worker)
    if parts.jobs.running_count:
        _log.warning(
            "%s: no new jobs; waiting for the end of %s; a second signal leaves %s to the keeper",
            *(name, _jobs(parts.jobs.running_count), "it" if parts.jobs.running_count == 1 else "them"),
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_second, signals, nursery.cancel_scope)
            await _all_over(parts, worker)
            nursery.cancel_scope.cancel()
    running_count = parts.jobs.running_count
    if running_count:
        run_on = "1 job runs" if running_count == 1 else f"{running_count} jobs run"
        _log.warning("%s on under the keeper; the next jobdeck worker finds what became of it", run_on)
    else:
        _log.info("%s: leaving", name)
    parts.agent.bye(name)
    with trio.move_on_after(worker.bye_limit_s):
        await parts.uplink.spoken()


async def _settle(parts: Parts, worker: WorkerSettings) -> None:
    """Wait a moment for an order that has crossed our word on its way, if there is nothing else to wait for."""
    if parts.uplink.down_since_s is None:
        with trio.move_on_after(worker.crossing_s):
            while not parts.jobs.running_count:
                await parts.bell.event.wait()


async def _second(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    await anext(signals)
    scope.cancel()


async def _all_over(parts: Parts, worker: WorkerSettings) -> None:
    """Wait until no job runs and the server has all of them, or there was no connection for a while."""
    while True:
        event, limit_s = parts.bell.event, math.inf
        if not parts.jobs.running_count:
            if not len(parts.agent.jobs):
                return
            if parts.uplink.down_since_s is not None:
                limit_s = parts.uplink.down_since_s + worker.unlinked_s
                if limit_s <= trio.current_time():
                    return
        with trio.move_on_at(limit_s):
            await event.wait()


def _jobs(count: int) -> str:
    return "1 job" if count == 1 else f"{count} jobs"
