"""What is done now and then: files and records that have been kept long enough are removed."""

from __future__ import annotations

import logging
import time
from functools import partial
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from jobdeck_server.worker.jobfiles import JobFiles
    from jobdeck_server.worker.settings import WorkerSettings
    from jobdeck_server.worker.starts import Starts

_log = logging.getLogger("jobdeck.worker")


async def keep_up(files: JobFiles, starts: Starts, settings: WorkerSettings) -> None:
    """Sweep at once and then every ``sweep_s``, until cancelled."""
    sweep = partial(
        files.sweep,
        output_keep_s=settings.output_keep_s,
        output_keep_bytes=settings.output_keep_bytes,
        record_keep_s=settings.record_keep_s,
    )
    while True:
        try:
            await trio.to_thread.run_sync(sweep, time.time_ns() // 1000)
            await starts.trim()
        except OSError as error:
            _log.warning("old files cannot be cleared away: %s", error)
        await trio.sleep(settings.sweep_s)
