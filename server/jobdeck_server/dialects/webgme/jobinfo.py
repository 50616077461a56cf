"""JobInfo: a job of the executor as its clients see it, its keys in the order of the original.

Times have three decimals. ``startTime`` and ``finishTime`` are those of whoever ran the job: an outside worker tells
them with the end, so they are null until then, and stay null where it had nothing to tell. ``secret`` stands in one
answer only, ``cancelRequested`` while a stop is on its way.

Source: reference of the WebGME executor, section 4.
"""

from __future__ import annotations

import os
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState
from jobdeck_server.engines.base import OUTSIDE

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.executor import Told
    from jobdeck_server.core.executorrows import Row

_EPOCH = datetime(1970, 1, 1)  # all times are UTC, and the zone is written by hand: lists are long
_BUILTIN = f"{os.uname().nodename}_jobdeck"


def job_info(told: Told, status: str) -> dict[str, object]:
    """The whole of it.

    Args:
        told: The job.
        status: In the words of the API (``Executor.status``).
    """
    job, row = told.job, told.row
    # One that was lost and will be tried again waits as if nothing had been
    fresh = job.state is JobState.QUEUED or (job.state is JobState.LOST and status == "CREATED")
    info: dict[str, object] = {
        "hash": job.key,
        "resultHashes": _results(job, row),
        "resultSuperSet": row.super_set,
        "userId": [row.user],
        "status": status,
        "createTime": _time(job.created_us),
        "startTime": row.start if fresh or row.start is not None else _started(job),
        "finishTime": row.finish if fresh or row.finish is not None else _finished(job, row),
        "worker": row.worker if fresh else job.worker or row.worker or _ran_here(job),
        "labels": list(job.labels),
        "outputNumber": row.output_number,
    }
    if job.stop_requested and not job.ended:
        info["cancelRequested"] = True
    if told.secret is not None:
        info["secret"] = told.secret
    return info


def _results(job: Job, row: Row) -> object:
    """An empty list until there are any; an empty object for a job that ran and was asked for none."""
    if row.results is not None:
        return dict(row.results)
    ran = job.ended and (job.exit_code is not None or job.signal is not None) and job.engine != OUTSIDE
    return dict(job.results) if job.results or ran else []


def _started(job: Job) -> str | None:
    return None if job.engine == OUTSIDE or job.started_us is None else _time(job.started_us)


def _finished(job: Job, row: Row) -> str | None:
    told_by_worker = job.engine == OUTSIDE and row.status is not None
    return None if told_by_worker or job.finished_us is None else _time(job.finished_us)


def _ran_here(job: Job) -> str | None:
    """This server's own executor, if it has begun with the job."""
    if job.engine == OUTSIDE or (job.ended and job.started_us is None and job.error is None):
        return None
    return _BUILTIN


def _time(us: int) -> str:
    return (_EPOCH + timedelta(milliseconds=us // 1000)).isoformat(timespec="milliseconds") + "Z"
