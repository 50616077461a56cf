"""A job as this API tells it: seven keys in their order, and how it has ended. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobdeck_protocol.job import JobState
from jobdeck_server.core.packagejobs import STATUS
from jobdeck_server.dialects.spark import envelope, times

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.packagejobs import PackageJob

STARTED, FINISHED, ERROR, KILLED = "STARTED", "FINISHED", "ERROR", "KILLED"

_KILLED_CLASS = "spark.jobserver.JobManagerActor$JobKilledException"
_EXCEPTION = "java.lang.Exception"
_ADHOC = "<<ad-hoc>>"


def report(told: PackageJob) -> dict[str, Any]:
    """A job as it is, with the exception that ended it; the result of one that has finished is not in it."""
    job = told.job
    exception = exception_of(told)
    return {
        **_head(told),
        "duration": times.duration(job.started_us or job.created_us, job.finished_us),
        "status": STATUS[job.state],
        **({} if exception is None else {"result": exception}),
    }


def start_report(told: PackageJob) -> dict[str, Any]:
    """A job as it was when it was accepted, whatever has become of it meanwhile."""
    return {**_head(told), "duration": times.NOT_DONE, "status": STARTED}


def exception_of(told: PackageJob) -> dict[str, Any] | None:
    """What has ended a job, None if nothing has, or it has finished."""
    job = told.job
    if STATUS[job.state] not in (ERROR, KILLED):
        return None
    if told.outcome is not None and told.outcome.error is not None:
        error = told.outcome.error
        return envelope.exception(error.message, error.error_class, error.stack)
    if job.state is JobState.STOPPED:
        return envelope.exception(f"Job {job.id} killed", _KILLED_CLASS)
    return envelope.exception(_why(job), _EXCEPTION)


def _head(told: PackageJob) -> dict[str, Any]:
    return {
        "jobId": told.job.id,
        "startTime": times.server_time(told.job.created_us),
        "classPath": told.main_class,
        "context": told.context_name or _ADHOC,
        "contextId": told.context_id or "",
    }


def _why(job: Job) -> str:
    return job.error or f"The job has ended as {job.state.value}."
