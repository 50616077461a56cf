"""Workers in the native API: list, show; and for admins: drain, rename, forget, resume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.workerinfo import WorkerState, to_wire
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.dialects import parse
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1 import body
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.dialects.v1.openapi import INTEGER, STRING, STRINGS, Piece, answers, json_body, query
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.workers import Workers

_TIME: Piece = {"type": "string", "format": "date-time"}
_WORKER: Piece = {
    "type": "object",
    "properties": {
        "id": STRING,
        "name": STRING,
        "state": {"enum": [state.value for state in WorkerState]},
        "engine": {"type": "string", "description": "As it stands on the records of its jobs"},
        "labels": STRINGS,
        "slots_count": {"type": "integer", "description": "Jobs that it runs at the same time"},
        "running_count": INTEGER,
        "queued_count": {"type": "integer", "description": "Jobs that wait for this very worker"},
        "load": {"type": ["number", "null"]},
        "free_bytes": {"type": ["integer", "null"]},
        "software": STRING,
        "clock_skew_us": {"type": "integer", "description": "Its clock less the server's, in microseconds"},
        "bundles": {"type": "boolean", "description": "Whether it runs jobs of the executor"},
        "address": STRING,
        "started": _TIME,
        "seen": _TIME,
    },
}
_LIST: Piece = {
    "responses": answers(
        "200",
        "All workers, the server's own first; next is always null",
        {"type": "object", "properties": {"items": {"type": "array", "items": _WORKER}, "next": {"type": "null"}}},
    ),
}
_SHOW: Piece = {
    "responses": answers(
        "200",
        "The worker, and the ids of the jobs that run on it",
        {"type": "object", "properties": {**_WORKER["properties"], "jobs": STRINGS}},
    ),
}
_FLAG: Piece = {"type": "boolean", "default": True}
_DRAIN: Piece = {
    "requestBody": json_body({"type": "object", "properties": {"on": _FLAG}}, required=False),
    "responses": answers("200", "The worker; that it is given nothing new, or again, is durable", _WORKER),
}
_RENAME: Piece = {
    "requestBody": json_body({"type": "object", "properties": {"name": STRING}, "required": ["name"]}, required=True),
    "responses": answers("200", "The worker", _WORKER),
}
_FORGET: Piece = {
    "parameters": [query("force", "Even if it is connected or has jobs: they are lost", {"type": "boolean"})],
    "responses": answers("204", "It is known no more"),
}
_RESUME: Piece = {"responses": answers("204", "Jobs are started again")}


class WorkerRoutes:
    """The handlers of ``/v1/workers``. ``{id}`` is a worker's id, 8 characters or more of it, or its name."""

    def __init__(self, workers: Workers, *, body_limit_bytes: int) -> None:
        self._workers = workers
        self._body_limit_bytes = body_limit_bytes

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        one, many = "/v1/workers/{id}", "/v1/workers"
        view, admin = Role.VIEW, Role.ADMIN
        rows = (
            ("GET", many, self.page, view, "List workers", _LIST),
            ("GET", one, self.show, view, "Show a worker", _SHOW),
            ("DELETE", one, self.forget, admin, "Forget a worker", _FORGET),
            ("POST", one + "/drain", self.drain, admin, "Have a worker take no new jobs, or take them again", _DRAIN),
            ("POST", one + "/rename", self.rename, admin, "Give a worker another name", _RENAME),
            ("POST", many + "/resume", self.resume, admin, "Let a server that was restored start jobs", _RESUME),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
            for method, pattern, handler, role, summary, doc in rows
        )

    async def page(self, request: Request) -> Response:
        """All of them: there are never so many that a page would be of use."""
        return answer({"items": [to_wire(worker) for worker in self._workers.all()], "next": None})

    async def show(self, request: Request) -> Response:
        """One, and what it runs."""
        worker = self._workers.resolve(request.params["id"])
        return answer({**to_wire(worker), "jobs": [job.id for job in self._workers.jobs(worker.id)]})

    async def drain(self, request: Request) -> Response:
        """200 with the record, once it is durable."""
        fields = await self._fields(request, "on")
        on = fields.get("on", True)
        if not isinstance(on, bool):
            raise BadRequestError("on must be true or false.", field="on")
        return answer(to_wire(await self._workers.drain(request.params["id"], on=on)))

    async def rename(self, request: Request) -> Response:
        """200 with the record, once it is durable."""
        name = (await self._fields(request, "name")).get("name")
        if not isinstance(name, str):
            raise BadRequestError("name must be a string.", field="name")
        return answer(to_wire(await self._workers.rename(request.params["id"], name)))

    async def forget(self, request: Request) -> Response:
        """204 once it is durable; 409 for the server's own, and without ``force`` for one that is still needed."""
        force = parse.flag_argument(parse.arguments(request), "force", default=False)
        await self._workers.forget(request.params["id"], force=force)
        return Response(status=204)

    async def resume(self, request: Request) -> Response:
        """204 once it is durable, also if there was nothing to be agreed to."""
        await self._workers.resume()
        return Response(status=204)

    async def _fields(self, request: Request, *names: str) -> dict[str, object]:
        data = await request.body.read(self._body_limit_bytes)
        return body.fields_of(parse.json_value(data) if data.strip() else {}, frozenset(names))
