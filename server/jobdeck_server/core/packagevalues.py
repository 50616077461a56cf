"""What a job that is a class out of a package is to those who start it and ask for it: values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState
from jobdeck_server.core.hocon import EMPTY, JobConfig
from jobdeck_server.packages.outcome import EXITED, LOST, NOT_STARTED, STOPPED, JobError, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.packagerows import PackageResult

CLASS = "java.lang.Exception"
"""The class of an exception of which nothing is known but its text."""

STATUS: Mapping[JobState, str] = MappingProxyType(
    {
        JobState.QUEUED: "STARTED",
        JobState.STARTING: "STARTED",
        JobState.RUNNING: "RUNNING",
        JobState.SUCCEEDED: "FINISHED",
        JobState.FAILED: "ERROR",
        JobState.LOST: "ERROR",
        JobState.STOPPED: "KILLED",
    }
)
"""The states in the words of the Spark API."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageOrder:
    """What a client asks to be run.

    Attributes:
        main_class: ``package.module.Class``.
        packages: Names of binaries and URIs, as they were written.
        config: See ``hocon``.
        context: The name of a context that lives; None for one of the job's own.
        query: Settings of the job's own context that were said beside the configuration, by dotted paths.
        callback_url: Where the job's end is told.
        dialect: The API that asks.
        labels: See ``Job``.
        time_limit_s: See ``Job``.
    """

    main_class: str
    packages: tuple[str, ...]
    config: JobConfig = EMPTY
    context: str | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    callback_url: str | None = None
    dialect: str = "spark"
    labels: tuple[str, ...] = ()
    time_limit_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageJob:
    """All that is known of one job.

    Attributes:
        job: Its record.
        context_id: Of the context that it was accepted for.
        outcome: What came of it; None until it has ended.
        result: Of one that has finished, if it had one.
    """

    job: Job
    context_id: str
    outcome: Outcome | None = None
    result: PackageResult | None = None

    @property
    def main_class(self) -> str:
        """The class that it runs."""
        return self.job.main_class or ""

    @property
    def packages(self) -> tuple[str, ...]:
        """How its packages were named."""
        return self.job.packages

    @property
    def context_name(self) -> str:
        """The name of its context."""
        return self.job.context or ""


def guessed(job: Job) -> Outcome:
    """What came of a job whose interpreter has left nothing: mostly it was never started."""
    if job.state is JobState.STOPPED:
        return Outcome(kind=STOPPED)
    kind = LOST if job.state is JobState.LOST else NOT_STARTED if job.started_us is None else EXITED
    return Outcome(kind=kind, error=JobError(message=job.error or "The job has failed", error_class=CLASS))
