"""``/rest/executor``: jobs by their hash, and the workers that come and ask for them.

What the original answers is answered to the byte. What its users suffered from is done right:

- two workers never get one job, and one that asks hears of a job at once: its request is held until there is one;
- a job that waits is stopped at once; a stop that was asked for is not forgotten by an update;
- ``?rerun=true`` runs a job again that has ended, its history kept (the original answers with the old end for ever);
- output of many MiB is taken, and stays; output for a job that nobody knows is not kept;
- no list tells secrets, and none is too long: it is read and sent in pieces.

Where the server has a nonce, every request must bring it.

Source: reference of the WebGME executor, sections 4 and 6.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from jobdeck_server.core.aside import Aside
from jobdeck_server.core.ecmascript import stringify
from jobdeck_server.core.errors import BadRequestError, ForbiddenError, JobdeckError, TooLargeError
from jobdeck_server.core.executorrows import GUEST
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.parse import arguments, flag_argument
from jobdeck_server.dialects.v1.openapi import INTEGER, STRING, query
from jobdeck_server.dialects.webgme.executorbody import call, fields_of, given, leading_number, whole
from jobdeck_server.dialects.webgme.failure import TEXT, failure
from jobdeck_server.dialects.webgme.jobinfo import job_info
from jobdeck_server.http.errors import BodyTooLargeError, HttpError, PeerGoneError
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping

    from jobdeck_server.core.executor import Executor, Told
    from jobdeck_server.core.executorfiles import Nonce
    from jobdeck_server.core.executorworkers import Seen
    from jobdeck_server.dialects.webgme.executorbody import Fields
    from jobdeck_server.http.message import Answer, Handler, Headers

_JSON: Headers = (("Content-Type", "application/json; charset=utf-8"),)
_MEDIA: Headers = (("X-WebGME-Media-Type", "webgme.v1"),)
_TAG_CHARACTERS = 27
_DOCS = {
    ("GET", ""): {"parameters": [query("status", "Only jobs with this status", STRING)]},
    ("POST", "/create/{hash}"): {
        "parameters": [query("rerun", "Also if the job has ended: run it again", {"type": "boolean"})]
    },
    ("GET", "/output/{hash}"): {
        "parameters": [
            query("start", "The first segment that is wanted", INTEGER),
            query("end", "The first one that is not", INTEGER),
        ]
    },
}


class ExecutorRoutes:
    """The handlers."""

    def __init__(self, executor: Executor, nonce: Nonce) -> None:
        self._executor = executor
        self._settings = executor.settings
        self._nonce = nonce
        self._aside = Aside(executor.settings.thread_limit_count)

    def routes(self) -> tuple[Route, ...]:
        """Their part of the table; the fixed ones may have a slash at the end."""
        table = (
            ("GET", "", self.jobs, "Jobs of the executor, by their hashes"),
            ("GET", "/", self.jobs, "The same"),
            ("POST", "/create/{hash}", self.create, "Run a bundle"),
            ("GET", "/info/{hash}", self.info, "A job"),
            ("POST", "/update/{hash}", self.update, "Say what has become of a job; its worker's call"),
            ("POST", "/cancel/{hash}", self.cancel, "Stop a job"),
            ("GET", "/output/{hash}", self.output, "A job's output in segments"),
            ("POST", "/output/{hash}", self.post_output, "Send a segment of output; its worker's call"),
            ("GET", "/worker", self.workers, "Workers that ask for jobs"),
            ("GET", "/worker/", self.workers, "The same"),
            ("POST", "/worker", self.beat, "Ask for jobs; a worker's call"),
            ("POST", "/worker/", self.beat, "The same"),
        )
        return tuple(
            Route(
                method=method,
                pattern=f"/rest/executor{path}",
                handler=self._checked(handler),
                role=Role.VIEW if method == "GET" else Role.RUN,
                summary=summary,
                doc=_DOCS.get((method, path), {}),
            )
            for method, path, handler, summary in table
        )

    def _checked(self, handler: Callable[[Request], Awaitable[Response]]) -> Handler:
        """What all of them have in common: the nonce, the header, the words of refusals."""

        async def answer(request: Request) -> Answer:
            try:
                if not self._nonce.is_known(request.header("x-executor-nonce")):
                    raise ForbiddenError("The executor's nonce is needed.")
                response = await handler(request)
            except PeerGoneError:
                raise
            except (JobdeckError, StoreError, HttpError) as error:
                response = _refused(error)
            return replace(response, headers=(*response.headers, *_MEDIA))

        return answer

    # -- for clients --

    async def jobs(self, request: Request) -> Response:
        """The newest job of each hash, or those with a status."""
        wanted = arguments(request).get("status")
        return await self._list(request, "{", self._all_jobs(wanted), "}")

    async def create(self, request: Request) -> Response:
        """Make a job, or tell the one there is."""
        fields = await self._fields(request)
        again = flag_argument(arguments(request), "rerun", default=False)
        told = await self._executor.create(
            request.params["hash"],
            given(fields, self._settings),
            user=request.identity.name or GUEST,
            again=again,
        )
        return _json(request, stringify(self._info(told)))

    async def info(self, request: Request) -> Response:
        """One job."""
        return _json(request, stringify(self._info(await self._executor.info(request.params["hash"]))))

    async def cancel(self, request: Request) -> Response:
        """Stop a job, for whoever knows its secret."""
        secret = (await self._fields(request)).get("secret")
        await self._executor.cancel(request.params["hash"], secret if isinstance(secret, str) else None)
        return _ok(request)

    async def output(self, request: Request) -> Response:
        """Segments of a job's output, by their numbers."""
        query = arguments(request)
        start, end = (leading_number(query.get(name, "")) or None for name in ("start", "end"))
        return await self._list(request, "[", self._all_segments(request.params["hash"], start, end), "]")

    # -- for workers --

    async def update(self, request: Request) -> Response:
        """Take what a worker says of a job."""
        fields = await self._fields(request)
        await self._executor.update(request.params["hash"], given(fields, self._settings))
        return _ok(request)

    async def post_output(self, request: Request) -> Response:
        """Keep a segment of output."""
        fields = await self._fields(request, self._settings.executor_segment_limit_bytes)
        text = fields.get("output")
        if not isinstance(text, str):
            raise BadRequestError("output must be a text.", field="output")
        await self._executor.segments.post(request.params["hash"], whole(fields.get("outputNumber")), text)
        return _ok(request)

    async def workers(self, request: Request) -> Response:
        """Who asks for jobs, and what they run."""
        found = {seen.client_id: self._worker(seen) for seen in self._executor.workers()}
        return _json(request, stringify(found))

    async def beat(self, request: Request) -> Response:
        """Give a worker jobs, when there are any."""
        user = request.identity.name or GUEST
        asks = call(await self._fields(request), user=user, settings=self._settings)
        beat = await self._executor.beat(asks, request.gone)
        answer: dict[str, object] = {
            "jobsToStart": list(beat.start),
            "refreshPeriod": beat.refresh_ms,
            "labelJobs": dict(beat.label_jobs),
            "jobsToCancel": list(beat.cancel),
        }
        return _json(request, stringify(answer))

    # -- parts --

    async def _fields(self, request: Request, limit_bytes: int | None = None) -> Fields:
        body = await request.body.read(limit_bytes or self._settings.body_limit_bytes)
        return await self._aside.run(len(body), partial(fields_of, body, request.header("content-type") or ""))

    def _info(self, told: Told) -> dict[str, object]:
        return job_info(told, self._executor.status(told))

    def _worker(self, seen: Seen) -> dict[str, object]:
        jobs = [self._info(told) for told in self._executor.run_by(seen)]
        return {
            "_id": seen.client_id,
            "clientId": seen.client_id,
            "lastSeen": seen.seen_us / 1e6,
            "labels": list(seen.labels),
            "userId": [seen.user],
            "jobs": jobs,
        }

    async def _all_jobs(self, wanted: str | None) -> AsyncGenerator[str, None]:
        async with aclosing(self._executor.every(wanted or None)) as every:
            async for told in every:
                yield f"{stringify(told.job.key)}:{stringify(self._info(told))}"

    async def _all_segments(self, key: str, start: int | None, end: int | None) -> AsyncGenerator[str, None]:
        async with aclosing(self._executor.segments.every(key, start=start, end=end)) as every:
            async for number, text in every:
                segment: Mapping[str, object] = {
                    "hash": key,
                    "outputNumber": number,
                    "output": text,
                    "_id": f"{key}+{number}",
                }
                yield stringify(dict(segment))

    async def _list(self, request: Request, before: str, items: AsyncGenerator[str, None], after: str) -> Response:
        """A list as one answer if it is short, else in pieces as they are read."""
        pieces = _gathered(before, items, after, self._settings.executor_answer_bytes)
        try:
            first = await anext(pieces)
            second = await anext(pieces, None)
        except BaseException:
            await pieces.aclose()
            raise
        if second is None:
            return _json(request, first)
        return Response(headers=_JSON, body=_rest((first, second), pieces))


async def _gathered(
    before: str, items: AsyncGenerator[str, None], after: str, size_count: int
) -> AsyncGenerator[str, None]:
    """The text of a list in pieces of some size."""
    piece = before
    comma = ""
    async with aclosing(items):
        async for item in items:
            piece += comma + item
            comma = ","
            if len(piece) >= size_count:
                yield piece
                piece = ""
    yield piece + after


async def _rest(first: tuple[str, ...], more: AsyncGenerator[str, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(more):
        for piece in first:
            yield piece.encode()
        async for piece in more:
            yield piece.encode()


def _json(request: Request, text: str) -> Response:
    return _tagged(request, text.encode(), _JSON)


def _ok(request: Request) -> Response:
    return _tagged(request, b"OK", TEXT)


def _tagged(request: Request, body: bytes, headers: Headers) -> Response:
    """An answer with the weak tag of its bytes; nothing but that for a reader who has them already."""
    digest = b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()[:_TAG_CHARACTERS]
    tag = f'W/"{len(body):x}-{digest}"'
    if request.method in ("GET", "HEAD") and _has(request, tag):
        return Response(status=304, headers=(("ETag", tag),))
    return Response(headers=(*headers, ("ETag", tag)), body=body)


def _has(request: Request, tag: str) -> bool:
    values = ",".join(value for name, value in request.headers if name == "if-none-match")
    known = {each.strip().removeprefix("W/") for each in values.split(",")}
    return "*" in known or tag.removeprefix("W/") in known


def _refused(error: Exception) -> Response:
    if isinstance(error, TooLargeError | BodyTooLargeError):
        return Response(status=413, headers=TEXT, body=b"Payload Too Large")
    return failure(error)
