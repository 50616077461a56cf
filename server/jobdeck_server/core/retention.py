"""Removes the oldest ended jobs: too many of them, too old ones, or the output of those that take too much room.

Never touches a job that has not ended, or a pinned one. Too much output takes the output alone and leaves the record.
Each removal is logged and told as an event.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import journal, removal
from jobdeck_server.core.live import now_us

if TYPE_CHECKING:
    from jobdeck_server.core.jobs import JobCore

_log = logging.getLogger("jobdeck.retention")
_BATCH_COUNT = 200


async def run(core: JobCore) -> None:
    """Sweep now and at every ``retention_interval_s``, until cancelled."""
    while True:
        await sweep(core)
        await trio.sleep(core.settings.retention_interval_s)


async def sweep(core: JobCore) -> None:
    """One pass: records, outputs, old events and idempotency keys."""
    settings = core.settings
    now = now_us()
    while await _remove_some(core, now - int(settings.retention_age_s * 1e6)):
        await trio.lowlevel.checkpoint()
    await _remove_outputs(core)
    await core.store.write(
        lambda connection: journal.trim(
            connection,
            events_count=settings.event_retention_count,
            keys_before_us=now - int(settings.idempotency_retention_s * 1e6),
        ),
        durable=False,
    )
    core.events.trimmed(core.events.last - settings.event_retention_count + 1)


async def _remove_some(core: JobCore, ended_before_us: int) -> bool:
    """Remove a batch; whether there may be more."""
    job_ids = await core.store.read(
        lambda connection: journal.excess(
            connection,
            keep_count=core.settings.retention_jobs_count,
            ended_before_us=ended_before_us,
            limit_count=_BATCH_COUNT,
        )
    )
    if not job_ids:
        return False
    states = await core.store.read(lambda connection: journal.states(connection, job_ids))
    await removal.remove_all(core, states)
    for job_id in job_ids:
        _log.info("job %s removed: too old, or too many", job_id)
    return len(job_ids) == _BATCH_COUNT


async def _remove_outputs(core: JobCore) -> None:
    keep_bytes = core.settings.retention_output_bytes
    for job in await core.store.read(lambda connection: journal.kept_outputs(connection, keep_bytes=keep_bytes)):
        # The record says first that the output is gone: a reader must never be promised what is being removed.
        await core.events.commit(partial(journal.update_job, job=job))
        await core.lines.forget(job.id)
        await core.engine.forget_output(job.id)
        _log.info("output of job %s removed: %d bytes", job.id, job.output_bytes)
