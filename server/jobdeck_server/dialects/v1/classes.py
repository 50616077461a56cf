"""Jobs that are classes out of packages, in the native API: what starts one, its result, its configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import BadRequestError, NoResultError, PackageError
from jobdeck_server.core.hocon import EMPTY
from jobdeck_server.core.outbound.errors import OutboundError
from jobdeck_server.core.packagejobs import PackageOrder
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.fileanswer import Source, file_answer, text_answer
from jobdeck_server.dialects.v1 import body, openapi
from jobdeck_server.http.message import Request, Response, Role
from jobdeck_server.packages.outcome import JSON

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.hocon import ConfigReader, JobConfig
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.packagejobs import PackageJob, PackageJobs
    from jobdeck_server.core.requests import Idempotency
    from jobdeck_server.http.message import Headers

FIELDS = frozenset({"main_class", "packages", "config", "context", "callback_url", "labels", "time_limit_s"})
_JSON: Headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_STREAM: Headers = (("Content-Type", "application/octet-stream"), ("Cache-Control", "no-store"))


class Classes:
    """The handlers, and what ``POST /v1/jobs`` does with a body that names a class."""

    def __init__(self, core: JobCore, jobs: PackageJobs, reader: ConfigReader) -> None:
        self._core = core
        self._jobs = jobs
        self._reader = reader

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        rows = (
            ("/v1/jobs/{id}/result", self.result, "The result of a class, with Range", openapi.RESULT),
            ("/v1/jobs/{id}/outcome", self.outcome, "What came of a class", openapi.OUTCOME),
            ("/v1/jobs/{id}/config", self.config, "What a class was started with", openapi.CONFIG),
        )
        return tuple(
            Route(method="GET", pattern=pattern, handler=handler, role=Role.VIEW, summary=summary, doc=doc)
            for pattern, handler, summary, doc in rows
        )

    async def start(self, value: object, idempotency: Idempotency | None) -> Job:
        """Accept a job.

        Args:
            value: The body.
            idempotency: The client's key, if it sent one.

        Raises:
            BadRequestError: A field is unknown, missing or of the wrong type, or what it names cannot be used.
            JobdeckError, StoreError: See ``PackageJobs.submit``.
        """
        fields = body.fields_of(value, FIELDS)
        main_class = body.typed(fields, "main_class", str)
        if not main_class:
            raise BadRequestError("main_class is missing.", field="main_class")
        order = PackageOrder(
            main_class=main_class,
            packages=body.strings(fields, "packages"),
            config=await self._read(fields.get("config")),
            context=body.typed(fields, "context", str),
            callback_url=body.typed(fields, "callback_url", str),
            dialect="v1",
            labels=body.strings(fields, "labels"),
            time_limit_s=body.seconds_of(fields, "time_limit_s"),
        )
        try:
            return await self._jobs.submit(order, idempotency=idempotency)
        except OutboundError as error:
            raise PackageError(str(error)) from error

    async def _read(self, config: object) -> JobConfig:
        if config is None:
            return EMPTY
        if isinstance(config, str):  # half a character in it is found to be none by the reader
            return await self._reader.read(config.encode("utf-8", "surrogatepass"))
        if not isinstance(config, dict):
            raise BadRequestError("config must be HOCON text or an object.", field="config")
        return await self._reader.read(json.dumps(config).encode())

    async def result(self, request: Request) -> Response:
        """The bytes, from their file; 404 if it has none."""
        job = await self._job(request)
        told = await self._jobs.told(job.id)
        file = await self._jobs.open_result(told)
        is_json = told.result is not None and told.result.kind == JSON
        source = Source(fd=file.fd, size_bytes=file.size_bytes, tag=file.hash, close=file.close)
        return file_answer(request, source, _JSON if is_json else _STREAM)

    async def outcome(self, request: Request) -> Response:
        """How it ended, with the exception, the problems of its configuration, and what its result is."""
        told = await self._jobs.told((await self._job(request)).id)
        return Response(headers=_JSON, body=json.dumps(_outcome(told)).encode())

    async def config(self, request: Request) -> Response:
        """One JSON object."""
        job = await self._job(request)
        return text_answer(await self._jobs.config(job.id), _JSON)

    async def _job(self, request: Request) -> Job:
        """A job that is a class.

        Raises:
            UnknownJobError, NoResultError: There is none, or it is none.
        """
        job = await self._core.resolve(request.params["id"])
        if job.main_class is None:
            raise NoResultError(job.id)
        return job


def _outcome(told: PackageJob) -> dict[str, object]:
    """What is told of it; ``kind`` is None while it has not ended."""
    outcome, result = told.outcome, told.result
    error = None if outcome is None else outcome.error
    return {
        "kind": None if outcome is None else outcome.kind,
        "error": None
        if error is None
        else {"message": error.message, "class": error.error_class, "stack": error.stack},
        "problems": [] if outcome is None else list(outcome.problems),
        "result": None if result is None else {"kind": result.kind, "size_bytes": result.size_bytes},
    }
