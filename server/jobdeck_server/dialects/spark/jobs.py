"""``/jobs``: the list, one job with its result, its configuration, and its end; ``start`` has what begins one.

A job that was killed is told as killed once it is: nothing of it runs any more.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import MissingContentError
from jobdeck_server.core.packagejobs import STATUS
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.fileanswer import text_answer
from jobdeck_server.dialects.spark import doc, envelope, report, results
from jobdeck_server.dialects.spark.query import Query
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagejobs import PackageJobs
    from jobdeck_server.core.patience import Patience
    from jobdeck_server.dialects.spark.start import Starts

_LIST_COUNT = 50
_KILL_S = 40.0  # a job that nothing can end is told as being killed after this


class JobRoutes:
    """The handlers.

    Args:
        core: Stops jobs.
        jobs: Knows them.
        starts: Starts them.
        patience: With which the end of a killed job is waited for.
        list_limit_count: Of jobs in one answer.
    """

    def __init__(
        self, core: JobCore, jobs: PackageJobs, starts: Starts, patience: Patience, *, list_limit_count: int
    ) -> None:
        self._core = core
        self._jobs = jobs
        self._starts = starts
        self._patience = patience
        self._list_limit_count = list_limit_count

    def routes(self) -> tuple[Route, ...]:
        """Their part of the table."""
        many, one, view, run = "/jobs", "/jobs/{id}", Role.VIEW, Role.RUN
        rows = (
            ("GET", many, self.page, view, "Jobs, newest first", doc.JOBS),
            ("POST", many, self._starts.start, run, "Start a class out of packages", doc.START),
            ("GET", one, self.show, view, "A job, with its result", doc.SHOW),
            ("DELETE", one, self.kill, run, "Kill a job", doc.KILL),
            ("GET", one + "/config", self.config, view, "A job's configuration", doc.CONFIG),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=piece)
            for method, pattern, handler, role, summary, piece in rows
        )

    async def page(self, request: Request) -> Response:
        """The newest, of all states or of one."""
        query = Query(request)
        limit_count = min(query.number("limit", default=_LIST_COUNT), self._list_limit_count)
        status = query.text("status")
        if limit_count <= 0:
            return envelope.answer([])
        found = await self._jobs.page(limit_count=limit_count, status=None if status is None else status.upper())
        return envelope.answer([report.report(told) for told in found])

    async def show(self, request: Request) -> Response:
        """One of them, with what came of it."""
        told = await self._jobs.told(request.params["id"])
        fields = report.report(told)
        if fields["status"] != report.FINISHED:
            return envelope.answer(fields)
        try:
            return await results.with_result(self._jobs, told, fields)
        except MissingContentError:  # it is a record of the past, and still true without
            return envelope.answer(fields)

    async def config(self, request: Request) -> Response:
        """What was posted, as JSON."""
        return text_answer(await self._jobs.config(request.params["id"]), envelope.JSON)

    async def kill(self, request: Request) -> Response:
        """End a job, and say so when it has ended; what has ended already is told as it is."""
        told = await self._jobs.told(request.params["id"])
        job_id = told.job.id
        if not told.job.ended:
            await self._core.stop(job_id)
            wait = partial(self._core.wait, job_id)
            ended = await self._patience.wait(wait, limit_s=_KILL_S, gone=request.gone)
            if ended is None or STATUS[ended.state] == report.KILLED:
                return envelope.answer({"status": report.KILLED})
            told = await self._jobs.told(job_id)
        if STATUS[told.job.state] == report.ERROR:
            return envelope.answer({"status": report.ERROR, "ERROR": report.exception_of(told)})
        return envelope.refusal(404, f"No running job with ID {job_id}")
