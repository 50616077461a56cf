"""jobrunner's HTTP API: ``GET /``, ``POST /``, ``GET /:ID/attach``, ``DELETE /:ID``.

What its README shows is kept to the letter; what its clients suffered from is not: the list of no jobs is ``[]``,
JSON is called JSON, errors are 400 (in the original's words where it has them), and attach delivers everything. The
body of the later revision (``Commands``) is taken too: the two are told apart by their keys. As in the original, keys
match in any case, unknown ones are ignored, and so is whatever follows the first JSON value.

Source: the jobrunner README, "HTTP+JSON API".
"""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from jobdeck_server.core.errors import BadRequestError, UnknownJobError, UnsupportedError
from jobdeck_server.core.requests import JobRequest, StepRequest
from jobdeck_server.dialects import gojson, outputs, parse
from jobdeck_server.dialects.base import Dialect, Route
from jobdeck_server.dialects.refusals import refusal
from jobdeck_server.http.message import Answer, Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.core.jobs import JobCore

AttachSocket = Callable[[Request, str], Awaitable[Answer]]

_SIGKILL = 9
_JSON = (("Content-Type", "application/json"),)
_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))


class Jobrunner:
    """The handlers. ``attach_socket`` answers a WebSocket handshake on a job's attach address."""

    def __init__(self, core: JobCore, *, attach_socket: AttachSocket) -> None:
        self._core = core
        self._attach_socket = attach_socket

    def dialect(self) -> Dialect:
        """Its part of the table of routes."""
        return Dialect(
            name="jobrunner",
            segments=frozenset({""}),
            routes=(
                Route(method="GET", pattern="/", handler=self.list, role=Role.VIEW, summary="Ids of jobs not ended"),
                Route(method="POST", pattern="/", handler=self.submit, role=Role.RUN, summary="Run a command"),
                Route(
                    method="GET",
                    pattern="/{id}/attach",
                    handler=self.attach,
                    role=Role.VIEW,
                    summary="Follow a job's output (chunked, or a WebSocket)",
                ),
                Route(method="DELETE", pattern="/{id}", handler=self.kill, role=Role.RUN, summary="Kill a job"),
            ),
            failure=failure,
        )

    async def list(self, request: Request) -> Response:
        """Every job that was accepted and has not ended, whatever started it."""
        return _json({"IDs": [job.id for job in self._core.active()]})

    async def submit(self, request: Request) -> Response:
        """Run ``CommandLine`` with bash, or each of ``Commands`` in order."""
        settings = self._core.settings
        body = await request.body.read(settings.body_limit_bytes)
        wanted = job_request(parse.json_value(body, rest_allowed=True), settings.work_root or settings.start_dir)
        job = await self._core.submit(wanted)
        return _json({"ID": job.id})

    async def attach(self, request: Request) -> Answer:
        """The job's output from its start (or ``offset``) until its end."""
        job = await self._core.lookup(request.params["id"])
        if (request.header("upgrade") or "").lower() == "websocket":
            return await self._attach_socket(request, job.id)
        return await outputs.attach(self._core, job.id, request)

    async def kill(self, request: Request) -> Response:
        """SIGKILL to all that the job started. 200 in every case: for unknown and for ended jobs too."""
        try:
            job = await self._core.lookup(request.params["id"])
        except UnknownJobError:
            return Response()
        await self._core.stop(job.id, signal=_SIGKILL, grace_s=0)
        return Response()


def failure(error: Exception) -> Response:
    """The original's way with errors: one line of plain text."""
    status, headers, text = refusal(error)
    return Response(status=status, headers=(*_TEXT, *headers), body=text.encode(errors="replace") + b"\n")


def job_request(value: object, base_dir: str) -> JobRequest:
    """What a body asks to be run.

    Args:
        value: Its JSON.
        base_dir: What a relative ``WorkingDir`` is relative to.

    Raises:
        BadRequestError: In the original's words where it has them.
    """
    fields = gojson.fields_of(value, "StartMsg")
    shared = gojson.string(fields, "WorkingDir", "StartMsg")
    if "commands" not in fields or "commandline" in fields:
        return JobRequest(dialect="jobrunner", steps=(_step(fields, "StartMsg", shared, base_dir),))
    commands = fields["commands"]
    if not isinstance(commands, list) or not commands:
        raise BadRequestError("Missing Commands key.", field="Commands")
    steps = (_step(gojson.fields_of(each, "JobCommand"), "JobCommand", shared, base_dir) for each in commands)
    return JobRequest(dialect="jobrunner", steps=tuple(steps))


def _step(fields: Mapping[str, object], struct: str, shared_dir: str, base_dir: str) -> StepRequest:
    kind = gojson.string(fields, "Kind", struct)
    if kind not in ("", "bash"):
        raise UnsupportedError(f"Kind {kind!r} is not supported; bash is.", field="Kind")
    command_line = gojson.string(fields, "CommandLine", struct)
    if not command_line:
        text = "Missing CommandLine key." if struct == "StartMsg" else "Missing CommandLine from command."
        raise BadRequestError(text, field="CommandLine")
    folder = gojson.string(fields, "WorkingDir", struct) or shared_dir
    return StepRequest(
        command_line=command_line,
        env=_environment(fields.get("environment"), struct),
        cwd=os.path.normpath(os.path.join(base_dir, folder)) if folder else None,
    )


def _environment(value: object, struct: str) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise gojson.mismatch(value, f"{struct}.Environment", "map[string]string")
    for each in value.values():
        if each is not None and not isinstance(each, str):
            raise gojson.mismatch(each, f"{struct}.Environment", "string")
    return {name: each or "" for name, each in value.items()}


def _json(value: object) -> Response:
    return Response(headers=_JSON, body=json.dumps(value, separators=(",", ":")).encode())
