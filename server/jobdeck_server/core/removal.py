"""Ended jobs go for good: the record first, then what the engine keeps of them.

A record is removed together with a note that the job's folder is doomed; a server that is killed in between finds the
note and goes on (``recovery``).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from jobdeck_server.core import journal
from jobdeck_server.core.errors import ConflictError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobdeck_protocol.job import JobState
    from jobdeck_server.core.jobs import JobCore

_COMMIT_LIMIT_S = 10.0


async def remove(core: JobCore, job_id: str) -> None:
    """Remove one job; see ``JobCore.remove``."""
    job = await core.get(job_id)
    live = core.live(job_id)
    with trio.move_on_after(_COMMIT_LIMIT_S):
        while live is not None and live.job.ended and core.live(job_id) is not None:
            await live.changed.wait()  # seen as ended a moment before its end is committed
    if not job.ended or core.live(job_id) is not None:
        raise ConflictError(f"Job {job_id} has not ended.")
    await remove_all(core, {job_id: job.state})


async def remove_all(core: JobCore, states: Mapping[str, JobState]) -> None:
    """Remove jobs that have ended; ``states`` are those in which they stand."""
    for event in await core.events.commit(lambda connection: journal.delete_jobs(connection, states)):
        core.counts[states[event.data["id"]]] -= 1
    await bury(core, tuple(states))


async def bury(core: JobCore, job_ids: Sequence[str]) -> None:
    """Remove what the engine keeps of removed jobs, then their place on the list of the doomed."""
    for job_id in job_ids:
        await core.lines.forget(job_id)
        await core.engine.forget(job_id)
    await core.store.write(lambda connection: journal.undoom(connection, job_ids), durable=False)
