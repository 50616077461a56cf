"""What workers elsewhere fetch and bring for jobs with a bundle: the bundle, files of results, their records.

A worker says which one it is by ``Jobdeck-Worker``, and gets, and brings, for its own jobs alone: those that were given
to it and have not ended, or were lost with it. What it brings is kept as this server's own executor keeps it, and goes
when the job goes. Everything may be asked again: the same bytes are the same blob.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from jobdeck_protocol.job import JobState
from jobdeck_server.core.aside import Aside
from jobdeck_server.core.blobrecord import file_record, is_hash, record_of
from jobdeck_server.core.blobs import ArchiveTarget, Content
from jobdeck_server.core.bundles.errors import UnpackError
from jobdeck_server.core.bundles.limits import UnpackLimits
from jobdeck_server.core.bundles.names import Names
from jobdeck_server.core.ecmascript import JsonError
from jobdeck_server.core.ecmascript import parse as parse_record
from jobdeck_server.core.errors import BadRequestError, BlobLinkError, ConflictError, MissingContentError
from jobdeck_server.core.mime import mime_of
from jobdeck_server.dialects import parse
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.fileanswer import Source, file_answer
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.dialects.v1.openapi import BYTES, INTEGER, STRING, Piece, answers, json_body, query
from jobdeck_server.engines.base import WORKER
from jobdeck_server.http.message import FileSlice, Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.blobs import Blobs, Target
    from jobdeck_server.core.jobs import JobCore

_WHO: Piece = {"name": "Jobdeck-Worker", "in": "header", "required": True, "schema": STRING}
_KEPT: Piece = {
    "type": "object",
    "properties": {"hash": STRING, "content": STRING, "size_bytes": INTEGER},
}
_BUNDLE: Piece = {
    "parameters": [_WHO],
    "responses": answers("200", "A zip; of a file the ETag is its SHA-1, and Range is understood", BYTES, mime="*/*"),
}
_FILE: Piece = {
    "parameters": [
        _WHO,
        {**query("name", "What the file is called", STRING), "required": True},
        query("content", "SHA-1 of content that may be here already; then there is no body", STRING),
        query("size_bytes", "How long that is", INTEGER),
    ],
    "requestBody": {"required": False, "content": {"application/octet-stream": {"schema": BYTES}}},
    "responses": answers("200", "Durable; 404 if the named content is not here", _KEPT),
}
_RECORD: Piece = {
    "parameters": [_WHO],
    "requestBody": json_body({"type": "object"}, required=True),
    "responses": answers("200", "Durable", {"type": "object", "properties": {"hash": STRING}}),
}
_SIZE_DIGITS = 19
_ENTRY_BYTES = 128  # of an artifact's entry as text, about


class WorkerFileRoutes:
    """The handlers of ``/v1/worker/jobs/{id}/...``."""

    def __init__(self, core: JobCore, blobs: Blobs) -> None:
        self._core = core
        self._blobs = blobs
        self._aside = Aside(blobs.settings.thread_limit_count)

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        job = "/v1/worker/jobs/{id}"
        rows = (
            ("GET", job + "/bundle", self.bundle, "The bundle of a worker's job", _BUNDLE),
            ("POST", job + "/files", self.file, "Keep a file of the results of a worker's job", _FILE),
            ("POST", job + "/records", self.record, "Keep a record of the results of a worker's job", _RECORD),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=Role.WORKER, summary=summary, doc=doc)
            for method, pattern, handler, summary, doc in rows
        )

    async def bundle(self, request: Request) -> Response:
        """The bytes of the bundle; an artifact as the zip that it is downloaded as."""
        job = await self._own(request)
        target = await self._target(job.bundle or "")
        if isinstance(target, ArchiveTarget):
            objection = await self._aside.run(_ENTRY_BYTES * len(target.entries), lambda: self._objection(target))
            if objection is not None:
                return answer({"title": "Bad artifact", "detail": objection}, status=422)
            size_bytes = await self._blobs.archive_bytes(target)
            headers = (("Content-Type", "application/zip"), ("Jobdeck-Archive-Bytes", str(size_bytes)))
            return Response(headers=headers, body=self._zip(target))
        file = await self._blobs.content(target.content_hash)
        source = Source(fd=file.fd, size_bytes=file.size_bytes, tag=file.hash, close=file.close)
        return file_answer(request, source, (("Content-Type", "application/octet-stream"),))

    async def file(self, request: Request) -> Response:
        """Keep the body, or what is here already, under a name."""
        job = await self._own(request)
        query = parse.arguments(request)
        name, wanted = query.get("name"), query.get("content")
        if not name:
            raise BadRequestError("The query must have a name for the file.", field="name")
        content = await self._body(request) if wanted is None else await self._known(wanted, query.get("size_bytes"))
        record = file_record(name, content.size_bytes, mime_of(name), content.hash)
        kept = await self._blobs.put(record, job_id=job.id)
        return answer({"hash": kept.hash, "content": content.hash, "size_bytes": content.size_bytes})

    async def record(self, request: Request) -> Response:
        """Keep a record; whether what it refers to is here is not asked."""
        job = await self._own(request)
        data = await request.body.read(self._blobs.settings.blob_record_limit_bytes)
        try:
            record = await self._aside.run(len(data), lambda: record_of(parse_record(data)))
        except JsonError as error:
            raise BadRequestError(str(error)) from error
        return answer({"hash": (await self._blobs.put(record, job_id=job.id)).hash})

    async def _target(self, blob_hash: str) -> Target:
        """What a bundle's hash stands for; 404 says that there is no such blob, and nothing else.

        Raises:
            UnknownBlobError: That.
            BadRequestError: It leads nowhere.
        """
        try:
            return await self._blobs.resolve(blob_hash)
        except (MissingContentError, BlobLinkError) as error:
            raise BadRequestError(str(error)) from error

    def _objection(self, target: ArchiveTarget) -> str | None:
        """What is wrong with the paths of an artifact, which a zip would not show any more; None if nothing is."""
        names = Names(UnpackLimits.of(self._blobs.settings))
        try:
            for entry in target.entries:
                names.add(entry.path)
        except UnpackError as error:
            return str(error)
        return None

    async def _body(self, request: Request) -> Content:
        length = request.header("content-length")
        async with self._blobs.upload(expected_bytes=None if length is None else int(length)) as upload:
            await upload.fill(request.body)
            return await upload.commit()

    async def _known(self, content_hash: str, size: str | None) -> Content:
        """Content that is here already, and will be for a while.

        Raises:
            BadRequestError: This is no hash, or no length.
            MissingContentError: It is not here.
        """
        if not is_hash(content_hash) or size is None or not (size.isascii() and size.isdigit()):
            raise BadRequestError("The query must have a SHA-1 and a length.", field="content")
        content = Content(hash=content_hash, size_bytes=int(size[:_SIZE_DIGITS]))
        if not await self._blobs.renew(content):
            raise MissingContentError(content_hash)
        return content

    async def _own(self, request: Request) -> Job:
        """The job, if it is that worker's, now or since it was lost.

        Raises:
            ConflictError: It is not.
        """
        job = await self._core.find(request.params["id"])
        worker = request.header("jobdeck-worker")
        placed = job is not None and (not job.ended or job.state is JobState.LOST) and job.state is not JobState.QUEUED
        if job is None or not placed or job.engine != WORKER or not worker or job.worker != worker:
            raise ConflictError(f"Job {request.params['id']} is not this worker's.")
        return job

    async def _zip(self, target: ArchiveTarget) -> AsyncGenerator[bytes | FileSlice, None]:
        async with aclosing(self._blobs.archive(target)) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, bytes) else FileSlice(piece.fd, piece.offset, piece.length)
