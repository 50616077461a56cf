"""Workers in the native API: list, show."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.workerinfo import WorkerState, to_wire
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.dialects.v1.openapi import INTEGER, STRING, STRINGS, Piece, answers
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


class WorkerRoutes:
    """The handlers of ``/v1/workers``. ``{id}`` is a worker's id, 8 characters or more of it, or its name."""

    def __init__(self, workers: Workers) -> None:
        self._workers = workers

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        rows = (
            ("/v1/workers", self.page, "List workers", _LIST),
            ("/v1/workers/{id}", self.show, "Show a worker", _SHOW),
        )
        return tuple(
            Route(method="GET", pattern=pattern, handler=handler, role=Role.VIEW, summary=summary, doc=doc)
            for pattern, handler, summary, doc in rows
        )

    async def page(self, request: Request) -> Response:
        """All of them: there are never so many that a page would be of use."""
        return answer({"items": [to_wire(worker) for worker in self._workers.all()], "next": None})

    async def show(self, request: Request) -> Response:
        """One, and what it runs."""
        worker = self._workers.resolve(request.params["id"])
        return answer({**to_wire(worker), "jobs": [job.id for job in self._workers.jobs(worker.id)]})
