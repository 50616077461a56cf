"""``POST /jobs``: what a request asks to be run, and what it is answered.

The configuration is the body, whatever its Content-Type says; what runs is named by the query, or by the body itself.
What is wrong is told in the original's order: the body, the callback, what is missing, the binaries, the context, and
then what the job's own interpreter finds.

A start is answered when it is known whether the job was refused, or at once where its context has no place for it. A
synchronous one is answered with its result; when its time is up, with its id, and the job runs on. So it does if the
client goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_protocol.job import JobState
from jobdeck_server.core import errors
from jobdeck_server.core.hoconvalues import text_list
from jobdeck_server.core.outbound.errors import OutboundError, SchemeError
from jobdeck_server.core.packagejobs import STATUS, PackageOrder
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects.spark import envelope, report, results
from jobdeck_server.dialects.spark.query import Query
from jobdeck_server.http.message import Request, Response
from jobdeck_server.packages.outcome import NOT_STARTED

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.callbacks import Callbacks
    from jobdeck_server.core.contexts import Contexts
    from jobdeck_server.core.hocon import JobConfig
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagejobs import PackageJob, PackageJobs
    from jobdeck_server.core.patience import Patience
    from jobdeck_server.dialects.spark.bodies import Bodies
    from jobdeck_server.packages.outcome import Outcome

LOADING_FAILED = "JOB LOADING FAILED"
_MALFORMED = f"{LOADING_FAILED}: Malformed URL"
_REFUSED = "VALIDATION FAILED"
_NO_SLOTS = "NO SLOTS AVAILABLE"
_THROWABLE, _EXCEPTION = "java.lang.Throwable", "java.lang.Exception"
_ARGUMENT = "java.lang.IllegalArgumentException"
_TIMEOUT_CLASS = "akka.pattern.AskTimeoutException"
_TIMEOUT_S = 10
_REFUSED_S = 5
_LOADING = frozenset({"load_error", "package_error", NOT_STARTED})
_PROXY_USER = "spark.proxy.user"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a query asks for, besides what runs."""

    sync: bool
    timeout_s: float
    callback_url: str | None
    context: str | None


class Starts:
    """The handler.

    Args:
        core: Asked for a job's end.
        jobs: Runs them.
        contexts: In which they run.
        callbacks: Asked whether an address may be called.
        bodies: Reads configurations.
        patience: With which answers are waited for.
        timeout_limit_s: Nobody waits longer.
    """

    def __init__(
        self,
        core: JobCore,
        jobs: PackageJobs,
        contexts: Contexts,
        callbacks: Callbacks,
        bodies: Bodies,
        patience: Patience,
        *,
        timeout_limit_s: float,
    ) -> None:
        self._core = core
        self._jobs = jobs
        self._contexts = contexts
        self._callbacks = callbacks
        self._bodies = bodies
        self._patience = patience
        self._timeout_limit_s = timeout_limit_s

    async def start(self, request: Request) -> Response:
        """202 with the report as of the start, or 200 with the result; see the top of this file."""
        query = Query(request)
        asked = wanted(query, limit_s=self._timeout_limit_s)
        config = await self._bodies.read(request)
        refused = self._check_callback(asked.callback_url)
        if refused is not None:
            return refused
        order = order_of(query, config, asked)
        try:
            job = await self._jobs.submit(order)
        except (errors.JobdeckError, OutboundError, StoreError) as error:
            return refusal_of(error)
        if asked.sync:
            return await self._finished(job, asked, request.gone)
        return await self._accepted(job, asked, request.gone)

    def _check_callback(self, url: str | None) -> Response | None:
        """The refusal of an address that must not be called."""
        if url is None:
            return None
        try:
            self._callbacks.check(url)
        except SchemeError:
            told = envelope.exception("Callback Url has to be 'http'/'https'", _ARGUMENT)
            return envelope.failed(500, told)
        except OutboundError as error:
            return envelope.refusal(403, f"Callback Url is refused: {error}")
        return None

    async def _accepted(self, job: Job, asked: Wanted, gone: Callable[[], Awaitable[None]] | None) -> Response:
        limit_s = 0 if self._waits(job, asked.context) else asked.timeout_s
        wait = partial(self._jobs.validated, job.id, timeout_s=limit_s)
        problems = await self._patience.wait(wait, limit_s=limit_s, gone=gone)
        if problems:  # the job's end, which is about to come, may say more of them
            await self._patience.wait(partial(self._core.wait, job.id), limit_s=_REFUSED_S, gone=gone)
            return not_valid(problems, (await self._jobs.told(job.id)).outcome)
        told = await self._jobs.told(job.id)
        if problems is None and report.exception_of(told) is not None:
            return await self._outcome(told)
        return envelope.answer(report.start_report(told), status=202)

    def _waits(self, job: Job, context: str | None) -> bool:
        """Whether there is no place for a job, here or in its context, which is up: it will not say anything soon."""
        live = self._core.live(job.id)
        if live is None or live.job.state is not JobState.QUEUED:
            return False
        if self._core.slots_in_use >= self._core.settings.running_limit_count:
            return True
        return any(each.name == context and each.state is ContextState.RUNNING for each in self._contexts.live())

    async def _finished(self, job: Job, asked: Wanted, gone: Callable[[], Awaitable[None]] | None) -> Response:
        wait = partial(self._core.wait, job.id)
        ended = await self._patience.wait(wait, limit_s=asked.timeout_s, gone=gone)
        if ended is None:
            return too_late(job.id, asked.timeout_s, ending=self._patience.closed)
        return await self._outcome(await self._jobs.told(job.id))

    async def _outcome(self, told: PackageJob) -> Response:
        """What a job has come to, for who has waited for it."""
        exception = report.exception_of(told)
        if exception is None:
            return await results.with_result(self._jobs, told, {"jobId": told.job.id}, missing=b"null")
        return unfinished(told, exception)


def wanted(query: Query, *, limit_s: float) -> Wanted:
    """What a query asks for; an address is decoded once more, as clients of the original expect.

    Raises:
        MalformedError: A value is not of its kind.
    """
    url = query.text("callbackUrl")
    return Wanted(
        sync=query.flag("sync", default=False),
        timeout_s=min(max(0, query.number("timeout", default=_TIMEOUT_S)), limit_s),
        callback_url=None if url is None else unquote(url),
        context=query.text("context"),
    )


def order_of(query: Query, config: JobConfig, asked: Wanted) -> PackageOrder:
    """What is to run.

    Raises:
        BadRequestError: Something that is needed is missing, or is not what it has to be.
    """
    main_class, packages = what_runs(query, config)
    user = query.text(_PROXY_USER)
    return PackageOrder(
        main_class=main_class,
        packages=tuple(packages),
        config=config,
        context=asked.context,
        query={} if user is None else {_PROXY_USER: user},
        callback_url=asked.callback_url,
    )


def what_runs(query: Query, config: JobConfig) -> tuple[str, list[str]]:
    """The class and its packages: ``appName`` with ``classPath``, or ``cp`` with ``mainClass``; the first pair wins.

    Raises:
        BadRequestError: One of a pair is missing, or both pairs are.
    """
    app_name = query.text("appName")
    if app_name is not None:
        return _needed(query.text("classPath"), "classPath"), [app_name]
    packages = text_list(query.text("cp") or config.head.get("cp"), "cp")
    if not packages:
        raise errors.BadRequestError(
            "Cannot parse config: To start the job appName or cp parameters should be configured!"
        )
    main_class = query.text("mainClass") or config.head.get("mainClass")
    return _needed(main_class if isinstance(main_class, str) else None, "mainClass"), packages


def _needed(text: str | None, name: str) -> str:
    if not text:
        raise errors.BadRequestError(f"Cannot parse config: {name} parameter is missing!", field=name)
    return text


def refusal_of(error: errors.JobdeckError | OutboundError | StoreError) -> Response:
    """Why a job was not accepted.

    Raises:
        JobdeckError: It is none of the refusals that this route has words of its own for.
    """
    match error:
        case errors.UnknownBinaryError():
            return envelope.refusal(404, f"appName {error.name} not found")
        case errors.UnknownContextError():
            return envelope.refusal(404, f"context {error.name} not found")
        case errors.ContextStoppingError():
            return envelope.refusal(409, "Context stop in progress")
        case errors.NoSlotsError():
            return envelope.refusal(503, str(error), label=_NO_SLOTS, headers=(("Retry-After", "1"),))
        case errors.NoSpaceError() | StoreError():
            return envelope.refusal(500, "Failed to save job config")
        case errors.WrongKindError():
            return envelope.refusal(400, "Invalid job type for this context")
        case errors.PackageError():
            return envelope.failed(400, envelope.exception(str(error), _EXCEPTION), label=LOADING_FAILED)
        case errors.ContextInitError():
            return envelope.failed(500, envelope.exception(str(error), "java.lang.RuntimeException"))
        case OutboundError():
            bad = isinstance(error, SchemeError)
            told = envelope.exception(str(error), "java.net.MalformedURLException" if bad else "java.io.IOException")
            return envelope.failed(400, told, label=_MALFORMED if bad else LOADING_FAILED)
    raise error


def unfinished(told: PackageJob, exception: Mapping[str, Any]) -> Response:
    """What a job has come to that has not finished; what was wrong before it began has words of its own."""
    outcome = told.outcome
    kind = None if outcome is None else outcome.kind
    if outcome is not None and outcome.problems:
        return not_valid(outcome.problems, outcome)
    if kind == "class_missing":
        return envelope.refusal(404, f"classPath {told.main_class} not found")
    if kind in _LOADING:
        return envelope.failed(400, exception, label=LOADING_FAILED)
    if kind == "context_error":
        return envelope.failed(500, exception)
    status = STATUS[told.job.state]
    return envelope.answer({"jobId": told.job.id, "status": status, "result": exception})


def not_valid(problems: Sequence[str], outcome: Outcome | None = None) -> Response:
    """A configuration that the job has refused, with all its reasons: in the words of a JVM job's own, if it is one."""
    error = None if outcome is None else outcome.error
    if error is not None and error.error_class == _THROWABLE:
        return envelope.failed(400, error.to_wire(), label=_REFUSED)
    reasons = ", ".join(f"SparkJobInvalid({text})" for text in problems)
    message = f"{'One' if len(problems) == 1 else 'Many'}({reasons})"
    return envelope.failed(400, envelope.exception(message, _THROWABLE), label=_REFUSED)


def too_late(job_id: str, timeout_s: float, *, ending: bool = False) -> Response:
    """The time is up, or the server is about to end; the job runs on, and this says which one it is."""
    when = "as the server is about to end" if ending else f"after [{round(timeout_s * 1000)} ms]"
    message = f"Ask timed out on [job {job_id}] {when}. The job runs on: GET /jobs/{job_id} tells what becomes of it."
    told = envelope.exception(message, _TIMEOUT_CLASS)
    return envelope.answer({"status": envelope.ERROR, "jobId": job_id, "result": told}, status=500)
