"""Contexts in the native API: list, show, make, stop, make anew."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobdeck_protocol.contextinfo import ContextState, to_wire
from jobdeck_server.core import contextsettings
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.dialects import parse
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1 import body
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.dialects.v1.openapi import INTEGER, STRING, STRINGS, Piece, answers, json_body, query
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.contexts import Contexts
    from jobdeck_server.core.hocon import ConfigReader

_WAIT_S = 20.0  # for a context to be up, or to have ended: less than clients wait for an answer
_TIME: Piece = {"type": ["string", "null"], "format": "date-time"}
_FIELDS: Piece = {
    "id": STRING,
    "name": STRING,
    "kind": {"type": "string", "description": "What its jobs are given: plain is its name and settings; or spark"},
    "adhoc": {"type": "boolean", "description": "It is of one job alone"},
    "state": {"enum": [state.value for state in ContextState]},
    "settings": {"type": "object", "description": "What is called like a secret is left out"},
    "slots_count": {"type": "integer", "description": "Jobs that it runs at the same time"},
    "running_count": INTEGER,
    "queued_count": INTEGER,
    "created": _TIME,
    "ended": _TIME,
    "error": {"type": ["string", "null"], "description": "Why it ended, where that was not asked for"},
    "python": {"type": ["string", "null"], "description": "The interpreter of its jobs, once that is known"},
    "process": {"type": ["string", "null"], "description": "The job that is its own process, with its output"},
    "master": {"type": ["string", "null"], "description": "Where a Spark context computes"},
    "application": {"type": ["string", "null"], "description": "The id by which Spark knows it"},
    "ui": {"type": ["string", "null"], "description": "The address of Spark's own pages about it"},
    "memory_bytes": {"type": ["integer", "null"], "description": "What its process and those below it hold"},
    "restarts_count": INTEGER,
    "note": {"type": ["string", "null"], "description": "What it waits for just now"},
}
_CONTEXT: Piece = {"type": "object", "properties": _FIELDS}
_LIST: Piece = {
    "responses": answers(
        "200",
        "Those that live, in the order of their coming",
        {"type": "object", "properties": {"contexts": {"type": "array", "items": _CONTEXT}}},
    ),
}
_SHOW: Piece = {
    "responses": answers(
        "200",
        "The one that lives, or the last of that name that ended; and the ids of its jobs that have not ended",
        {"type": "object", "properties": {**_FIELDS, "jobs": STRINGS}},
    ),
}
_NEW: Piece = {
    "type": "object",
    "properties": {
        "name": STRING,
        "settings": {"description": "HOCON, as a text, or an object", "type": ["string", "object", "null"]},
    },
    "required": ["name"],
}
_STOPPED: Piece = {"type": "object", "properties": {"stopped": {"type": "boolean"}}}
_MAKE: Piece = {
    "requestBody": json_body(_NEW, required=True),
    "responses": {
        **answers("201", "It is up", _CONTEXT),
        "202": answers("202", "It is still coming up", _CONTEXT)["202"],
    },
}
_STOP: Piece = {
    "parameters": [query("force", "Kill its jobs at once", {"type": "boolean"})],
    "responses": {
        **answers("200", "It has ended", _STOPPED),
        "202": answers("202", "It goes on being stopped", _STOPPED)["202"],
    },
}


_RESTART: Piece = {
    "responses": {
        **answers("200", "It is up", _CONTEXT),
        "202": answers("202", "It is still coming up", _CONTEXT)["202"],
    },
}


class ContextRoutes:
    """The handlers of ``/v1/contexts``."""

    def __init__(self, contexts: Contexts, reader: ConfigReader, *, body_limit_bytes: int) -> None:
        self._contexts = contexts
        self._reader = reader
        self._body_limit_bytes = body_limit_bytes

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        one, many = "/v1/contexts/{name}", "/v1/contexts"
        rows = (
            ("GET", many, self.list, Role.VIEW, "List contexts", _LIST),
            ("POST", many, self.create, Role.RUN, "Make a context", _MAKE),
            ("GET", one, self.show, Role.VIEW, "Show a context", _SHOW),
            ("DELETE", one, self.stop, Role.RUN, "Stop a context and its jobs", _STOP),
            ("POST", f"{one}/restart", self.restart, Role.RUN, "Make a context anew, with its settings", _RESTART),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
            for method, pattern, handler, role, summary, doc in rows
        )

    async def list(self, request: Request) -> Response:
        """All that live."""
        del request
        return answer({"contexts": [to_wire(context) for context in self._contexts.live()]})

    async def show(self, request: Request) -> Response:
        """One, and its jobs."""
        name = request.params["name"]
        context = await self._contexts.find(name)
        return answer({**to_wire(context), "jobs": self._contexts.jobs(name)})

    async def create(self, request: Request) -> Response:
        """201 when it is up; 202 if that takes long, and it comes up all the same, or its record says why not."""
        data = await request.body.read(self._body_limit_bytes)
        fields = body.fields_of(parse.json_value(data), frozenset({"name", "settings"}))
        name = fields.get("name")
        if not isinstance(name, str):
            raise BadRequestError("name must be a string.", field="name")
        config = contextsettings.as_config(await self._settings(fields.get("settings")))
        made = await self._contexts.create(name, query={}, body=config, wait_s=_WAIT_S)
        return answer(to_wire(made), status=202 if made.state is ContextState.STARTING else 201)

    async def _settings(self, said: object) -> dict[str, object]:
        if said is None:
            return {}
        if not isinstance(said, str | dict):
            raise BadRequestError("settings must be a text in HOCON, or an object.", field="settings")
        text = said if isinstance(said, str) else json.dumps(said)
        return (await self._reader.read(text.encode(errors="surrogatepass"))).tree()

    async def stop(self, request: Request) -> Response:
        """200 when it has ended, 202 if that takes long."""
        force = parse.flag_argument(parse.arguments(request), "force", default=False)
        stopped = await self._contexts.stop(request.params["name"], force=force, timeout_s=_WAIT_S)
        return answer({"stopped": stopped}, status=200 if stopped else 202)

    async def restart(self, request: Request) -> Response:
        """200 when it is up again, 202 if that takes long. One that has ended is made as it was."""
        made = await self._contexts.restart(request.params["name"], wait_s=_WAIT_S)
        return answer(to_wire(made), status=200 if made.state is ContextState.RUNNING else 202)
