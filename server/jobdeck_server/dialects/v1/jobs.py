"""Jobs in the native API: list, show, submit, run again, stop, signal, remove, output."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from jobdeck_protocol.job import to_wire
from jobdeck_server.core.errors import BadRequestError, UnknownWorkerError
from jobdeck_server.core.requests import signal_number
from jobdeck_server.dialects import outputs, parse
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1 import body, openapi
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.requests import Idempotency
    from jobdeck_server.core.workers import Workers
    from jobdeck_server.dialects.v1.classes import Classes
    from jobdeck_server.http.message import Headers

_JSON = (("Content-Type", "application/json"),)
_STOP_FIELDS = frozenset({"signal", "grace_s"})
_SIGTERM = 15


class Jobs:
    """The handlers of ``/v1/jobs``. ``{id}`` is a job's id, or 8 characters and more with which only it starts."""

    def __init__(self, core: JobCore, workers: Workers, classes: Classes) -> None:
        self._core = core
        self._workers = workers
        self._classes = classes

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        one, many = "/v1/jobs/{id}", "/v1/jobs"
        view, run = Role.VIEW, Role.RUN
        rows = (
            ("GET", many, self.page, view, "List jobs", openapi.LIST),
            ("POST", many, self.submit, run, "Submit a job", openapi.SUBMIT),
            ("GET", one, self.show, view, "Show a job", openapi.JOB),
            ("DELETE", one, self.remove, run, "Remove an ended job", openapi.REMOVED),
            ("POST", one + "/rerun", self.rerun, run, "Run the same again as a new job", openapi.RERUN),
            ("POST", one + "/stop", self.stop, run, "Stop a job", openapi.STOP),
            ("POST", one + "/signal", self.signal, run, "Send a signal to a job", openapi.SIGNAL),
            ("GET", one + "/output", self.output, view, "Kept output, with Range", openapi.OUTPUT),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
            for method, pattern, handler, role, summary, doc in rows
        )

    async def page(self, request: Request) -> Response:
        """One page of the list."""
        query = parse.arguments(request)
        workers = places_of(self._workers, query["worker"]) if query.get("worker") else ()
        wanted = body.job_filter(query, self._core.settings, workers=workers)
        page = await self._core.page(wanted)
        records = ",".join(item.record for item in page.items)
        return json_answer(f'{{"items":[{records}],"next":{json.dumps(page.next)}}}')

    async def submit(self, request: Request) -> Response:
        """201 with the record; with a known Idempotency-Key, the first job again."""
        data = await request.body.read(self._core.settings.body_limit_bytes)
        value, key = parse.json_value(data), self._key(request, data)
        if isinstance(value, dict) and "main_class" in value:
            job = await self._classes.start(value, key)
        else:
            job = await self._core.submit(self._workers.placed(body.job_request(value)), idempotency=key)
        return answer(to_wire(job), status=201, location=f"/v1/jobs/{job.id}")

    async def rerun(self, request: Request) -> Response:
        """201 with the record of a new job; with a known Idempotency-Key, the first new job again."""
        former = await self._job(request)
        await self._small(request, frozenset())
        key = self._key(request, b"rerun of " + former.id.encode())
        job = await self._core.rerun(former.id, idempotency=key)
        return answer(to_wire(job), status=201, location=f"/v1/jobs/{job.id}")

    async def show(self, request: Request) -> Response:
        """The record."""
        return answer(to_wire(await self._job(request)))

    async def remove(self, request: Request) -> Response:
        """Record and output of an ended job go for good."""
        job = await self._job(request)
        await self._core.remove(job.id)
        return Response(status=204)

    async def stop(self, request: Request) -> Response:
        """202 once the request is durable."""
        job = await self._job(request)
        fields = await self._small(request, _STOP_FIELDS)
        signum = signal_number(fields.get("signal", _SIGTERM))
        stopped = await self._core.stop(job.id, signal=signum, grace_s=self._grace(fields))
        return answer(to_wire(stopped), status=202)

    async def signal(self, request: Request) -> Response:
        """202 once it was sent."""
        job = await self._job(request)
        fields = await self._small(request, frozenset({"signal"}))
        await self._core.signal(job.id, signal_number(fields.get("signal")))
        return answer(to_wire(await self._core.get(job.id)), status=202)

    async def output(self, request: Request) -> Response:
        """The bytes kept so far."""
        return await outputs.kept(self._core, (await self._job(request)).id, request)

    async def _job(self, request: Request) -> Job:
        return await self._core.resolve(request.params["id"])

    async def _small(self, request: Request, allowed: frozenset[str]) -> dict[str, object]:
        data = await request.body.read(self._core.settings.body_limit_bytes)
        return body.fields_of(parse.json_value(data) if data.strip() else {}, allowed)

    def _key(self, request: Request, asked: bytes) -> Idempotency | None:
        """The client's key, if it sent one, for what is asked."""
        return body.idempotency(
            request.header("idempotency-key"),
            request.identity.token_id,
            hashlib.sha256(asked).digest(),
            self._core.settings,
        )

    def _grace(self, fields: dict[str, object]) -> float | None:
        grace_s = body.seconds_of(fields, "grace_s")
        return None if grace_s is None else min(max(grace_s, 0.0), self._core.settings.grace_limit_s)


def places_of(workers: Workers, text: str) -> tuple[str, ...]:
    """How jobs name a worker. One that is not known any more is still named by its id; it may have jobs, too.

    Raises:
        BadRequestError: Several workers have this name.
    """
    if sum(worker.name == text for worker in workers.all()) > 1:
        raise BadRequestError(f"Several workers are called {text!r}; give an id.", field="worker")
    try:
        worker_id = workers.resolve(text).id
    except UnknownWorkerError:
        return (text,)
    return ("", worker_id) if worker_id == workers.local_id else (worker_id,)


def answer(value: object, *, status: int = 200, location: str | None = None) -> Response:
    """A JSON answer, which no cache may keep."""
    return json_answer(json.dumps(value, separators=(",", ":")), status=status, location=location)


def json_answer(text: str, *, status: int = 200, location: str | None = None) -> Response:
    """An answer of JSON text that is ready."""
    headers: Headers = (*_JSON, ("Cache-Control", "no-store"))
    if location is not None:
        headers = (*headers, ("Location", location))
    return Response(status=status, headers=headers, body=text.encode() + b"\n")
