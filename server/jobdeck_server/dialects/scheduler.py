"""The scheduler's HTTP API: ``POST /start``, ``/stop``, ``/query``; and ``GET /workers/list`` of its fork.

Its document is kept to the letter: fields and their order, the line end, the codes, 500 for every refusal. Where the
original shows what its inner call said (``rpc error: code = Unknown desc = ``), the words stand alone. What it could
not do is done: callers find the ids of workers, both streams of output are kept (``GET /{job_id}/attach``), and a stop
ends everything that the job has started.

Source: the scheduler's document "HTTP API", and its fork for the list of workers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState, time_text
from jobdeck_server.core.errors import (
    BadRequestError,
    ForbiddenError,
    UnauthorizedError,
    UnknownJobError,
    UnknownWorkerError,
)
from jobdeck_server.dialects import gojson, parse
from jobdeck_server.dialects.base import Dialect, Route
from jobdeck_server.dialects.refusals import refusal
from jobdeck_server.dialects.schedulerdoc import LIST, QUERY, START, STOP
from jobdeck_server.http.errors import HttpError, MethodNotAllowedError, NotFoundError
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_protocol.job import Job
    from jobdeck_protocol.workerinfo import WorkerInfo
    from jobdeck_server.core.scheduler import Scheduler
    from jobdeck_server.core.workers import Workers

_PATHS = ("/start", "/stop", "/query")
_JSON = (("Content-Type", "application/json"),)
_TEXT = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
# Go writes what could end a script or a line of one as an escape, all other text as it is
_ESCAPES = str.maketrans({character: f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"})

_SIGNALS = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    10: "user defined signal 1",
    11: "segmentation fault",
    12: "user defined signal 2",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
    16: "stack fault",
    17: "child exited",
    18: "continued",
    19: "stopped (signal)",
    20: "stopped",
    21: "stopped (tty input)",
    22: "stopped (tty output)",
    23: "urgent I/O condition",
    24: "CPU time limit exceeded",
    25: "file size limit exceeded",
    26: "virtual timer expired",
    27: "profiling timer expired",
    28: "window changed",
    29: "I/O possible",
    30: "power failure",
    31: "bad system call",
}
"""Words for signals; the others are ``signal 34``. Source: Go's table for Linux (syscall, zerrors_linux_amd64)."""


class SchedulerApi:
    """The handlers."""

    def __init__(self, scheduler: Scheduler, workers: Workers, *, body_limit_bytes: int) -> None:
        self._body_limit_bytes = body_limit_bytes
        self._scheduler = scheduler
        self._workers = workers

    def dialect(self) -> Dialect:
        """Its part of the table of routes."""
        rows = (
            ("POST", "/start", self.start, Role.RUN, "Start a command on a worker", START),
            ("POST", "/stop", self.stop, Role.RUN, "Kill a job on a worker", STOP),
            ("POST", "/query", self.query, Role.VIEW, "Whether a job on a worker has ended, and how", QUERY),
            ("GET", "/workers/list", self.workers, Role.VIEW, "All workers, by their ids", LIST),
            *(("OPTIONS", path, self.options, Role.NONE, "Its methods", {}) for path in _PATHS),
        )
        return Dialect(
            name="scheduler",
            segments=frozenset({"start", "stop", "query", "workers"}),
            routes=tuple(
                Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
                for method, pattern, handler, role, summary, doc in rows
            ),
            failure=failure,
            forgiven=frozenset(_PATHS),
        )

    async def start(self, request: Request) -> Response:
        """201 once the job is durable."""
        command, path, worker_id = await self._strings(request, "apiStartJobReq", "command", "path", "worker_id")
        job = await self._scheduler.start(worker_id, command, path)
        return answer({"job_id": job.id}, status=201)

    async def stop(self, request: Request) -> Response:
        """200 once the request is durable; for ended jobs too."""
        job_id, worker_id = await self._strings(request, "apiStopJobReq", "job_id", "worker_id")
        await self._scheduler.stop(worker_id, job_id)
        return answer({"success": True})

    async def query(self, request: Request) -> Response:
        """How far it is."""
        job_id, worker_id = await self._strings(request, "apiQueryJobReq", "job_id", "worker_id")
        text = error_text(await self._scheduler.query(worker_id, job_id))
        return answer({"done": text is not None, "error": bool(text), "error_text": text or ""})

    async def workers(self, request: Request) -> Response:
        """The fork's list, said to be JSON, which it was not told there."""
        return answer({worker.id: listed(worker) for worker in self._workers.all()})

    async def options(self, request: Request) -> Response:
        """200, as the original's router answers; all others here answer 204."""
        return Response(headers=(("Allow", "OPTIONS, POST"),))

    async def _strings(self, request: Request, struct: str, *names: str) -> list[str]:
        """Fields of the body, all text, empty where they are missing."""
        body = await request.body.read(self._body_limit_bytes)
        return strings(body, struct, *names)


def strings(body: bytes, struct: str, *names: str) -> list[str]:
    """Fields of a body, whatever it says that it is.

    Args:
        body: As sent.
        struct: What the original calls it, for its words.
        names: Of the fields.

    Raises:
        BadRequestError: It is no JSON object, or one of the fields is no text.
    """
    if not body.strip():
        raise BadRequestError("unexpected end of JSON input")
    fields = gojson.fields_of(parse.json_value(body), struct)
    for name in fields:  # of several that are wrong, the one that comes first is told
        if name in names:
            gojson.string(fields, name, struct)
    return [gojson.string(fields, name, struct) for name in names]


def error_text(job: Job) -> str | None:
    """How a job has ended, in the original's words: empty if all was well, None if it has not ended.

    A job that was stopped before it could start has neither code nor signal; it is told as what a stop means here.
    """
    if not job.ended:
        return None
    if job.signal is not None:
        core = " (core dumped)" if job.core_dumped else ""
        return f"signal: {_SIGNALS.get(job.signal, f'signal {job.signal}')}{core}"
    if job.exit_code is not None:
        return f"exit status {job.exit_code}" if job.exit_code else ""
    if job.state is JobState.STOPPED:
        return "signal: killed"
    if job.state is JobState.LOST and job.error:
        return f"lost: {job.error}"
    return job.error or job.state.value


def listed(worker: WorkerInfo) -> dict[str, str]:
    """A worker as the fork lists it: what it calls the environment is a worker's name, its type the engine."""
    return {
        "id": worker.id,
        "address": worker.address,
        "env": worker.name,
        "env-type": worker.engine,
        "server-status": worker.state.value,
        "launch-time": time_text(worker.started_us),
    }


def failure(error: Exception) -> Response:
    """500 and a line of JSON for whatever the API itself refuses.

    What it knows nothing of keeps HTTP's own status: tokens, origins, and bodies that are too long. What its router
    refuses is a line of text.
    """
    status, headers, text = refusal(error)
    if isinstance(error, NotFoundError):
        return Response(status=status, headers=_TEXT, body=b"404 page not found\n")
    if isinstance(error, MethodNotAllowedError):
        return Response(status=status, headers=_TEXT, body=b"Method Not Allowed\n")
    if isinstance(error, UnknownWorkerError):
        text = "worker not found"
    elif isinstance(error, UnknownJobError):
        text = "job not found"
    if not isinstance(error, HttpError | ForbiddenError | UnauthorizedError):
        status, headers = 500, ()
    return answer({"error": text}, status=status, headers=headers)


def answer(value: object, *, status: int = 200, headers: tuple[tuple[str, str], ...] = ()) -> Response:
    """JSON as the original writes it: compact, with a line end."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)
    return Response(status=status, headers=(*_JSON, *headers), body=text.encode(errors="replace") + b"\n")
