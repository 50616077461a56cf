"""Blobs in the native API: list, upload, show, download, tag, pin, remove, collect.

An upload is the body as it comes, of any size and type; it is kept under the hash that ``/rest/blob/createFile`` gives
to the same bytes and name. A file goes out with its length and its content hash as ETag, and in part if asked, so that
a download that broke goes on where it stopped; an artifact goes out as a zip that is made on the way.

What is stored was made by anybody. A browser is never to show it as a page of this server: it is always a file to be
saved, of the type that its name says, which must not be guessed, and without rights (``sandbox``).
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import fields
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from jobdeck_protocol.blob import ARTIFACT, FILE, LINK, to_wire
from jobdeck_server.core.aside import Aside
from jobdeck_server.core.blobrecord import file_record, record_of
from jobdeck_server.core.blobs import ArchiveTarget, BlobFilter, Collected
from jobdeck_server.core.ecmascript import JsonError
from jobdeck_server.core.ecmascript import parse as parse_record
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.mime import mime_of
from jobdeck_server.dialects import parse
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.fileanswer import Source, file_answer
from jobdeck_server.dialects.v1 import blobdoc, body
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.dialects.webgme.disposition import attachment
from jobdeck_server.http.message import FileSlice, Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from jobdeck_protocol.blob import Blob
    from jobdeck_server.core.blobrecord import Record
    from jobdeck_server.core.blobs import Blobs
    from jobdeck_server.http.message import Headers
    from jobdeck_server.settings import Settings

_SAFE: Headers = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "sandbox"),
    ("Cache-Control", "private, no-cache"),
)
_TYPES = (FILE, LINK, ARTIFACT)
_COLLECT_FIELDS = frozenset({"dry_run", "unused_s"})
_CURSOR_DIGITS = 9
_UNUSED_LIMIT_S = 1e9


class BlobRoutes:
    """The handlers of ``/v1/blobs``. ``{hash}`` is a blob's hash, or 8 digits and more with which only it starts."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._settings = blobs.settings
        self._aside = Aside(blobs.settings.thread_limit_count)

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        one, many = "/v1/blobs/{hash}", "/v1/blobs"
        view, run = Role.VIEW, Role.RUN
        rows = (
            ("GET", many, self.page, view, "List blobs", blobdoc.LIST),
            ("POST", many, self.upload, run, "Store a file", blobdoc.UPLOAD),
            ("PUT", many, self.upload, run, "The same", blobdoc.UPLOAD),
            ("POST", many + "/records", self.record, run, "Store a record, of an artifact or a link", blobdoc.RECORD),
            ("POST", many + "/gc", self.collect, Role.ADMIN, "Remove what nobody needs", blobdoc.COLLECT),
            ("GET", one, self.show, view, "Show a blob", blobdoc.BLOB),
            ("DELETE", one, self.remove, run, "Remove a blob", blobdoc.REMOVED),
            ("GET", one + "/entries", self.entries, view, "Files of an artifact", blobdoc.ENTRIES),
            ("PUT", one + "/tags", self.tags, run, "Set a blob's own tags", blobdoc.TAGS),
            ("PUT", one + "/pin", self.pin, run, "Keep a blob from being removed", blobdoc.BLOB),
            ("DELETE", one + "/pin", self.unpin, run, "Let a blob be removed again", blobdoc.BLOB),
            (
                "GET",
                one + "/content",
                self.content,
                view,
                "A file, with Range, or an artifact as a zip",
                blobdoc.CONTENT,
            ),
            ("GET", one + "/content/{path*}", self.content, view, "A file of an artifact", blobdoc.CONTENT),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
            for method, pattern, handler, role, summary, doc in rows
        )

    async def page(self, request: Request) -> Response:
        """One page of the list."""
        page = await self._blobs.page(blob_filter(parse.arguments(request), self._settings))
        return answer({"items": [to_wire(blob) for blob in page.items], "next": page.next})

    async def upload(self, request: Request) -> Response:
        """Keep the body under the name in the query; answered once it is durable."""
        name = parse.arguments(request).get("name")
        if not name:
            raise BadRequestError("The query must have a name for the file.", field="name")
        tags = self._blobs.check_tags(value for field, value in parse_qsl(request.query) if field == "tag")
        length = request.header("content-length")
        expected_bytes = None if length is None else int(length)
        async with self._blobs.upload(expected_bytes=expected_bytes) as upload:
            await upload.fill(request.body)
            content = await upload.commit()
        record = file_record(name, content.size_bytes, mime_of(name), content.hash)
        return _stored(await self._blobs.keep(record, own_tags=tags))

    async def record(self, request: Request) -> Response:
        """Keep a record; whether what it refers to is here is not asked."""
        data = await request.body.read(self._settings.blob_record_limit_bytes)
        return _stored(await self._blobs.keep(await self._aside.run(len(data), lambda: _record(data))))

    async def show(self, request: Request) -> Response:
        """What is told of one."""
        return answer(to_wire(await self._blobs.show(await self._hash(request))))

    async def remove(self, request: Request) -> Response:
        """The record goes at once, its bytes with the next collection."""
        query = parse.arguments(request)
        recursive = parse.flag_argument(query, "recursive", default=False)
        force = parse.flag_argument(query, "force", default=False)
        await self._blobs.delete(await self._hash(request), recursive=recursive, force=force)
        return Response(status=204)

    async def entries(self, request: Request) -> Response:
        """A page of the paths of an artifact, in the order of its record."""
        query = parse.arguments(request)
        settings = self._settings
        count = parse.number_argument(
            query, "limit", default=settings.page_default_count, limit=settings.page_limit_count
        )
        start = _entry_cursor(query.get("cursor"))
        found, total = await self._blobs.entries(await self._hash(request), start=start, count=count)
        items = [
            {"path": each.path, "type": each.type, "hash": each.hash, "size_bytes": each.size_bytes} for each in found
        ]
        end = start + len(found)
        return answer({"items": items, "total": total, "next": str(end) if end < total else None})

    async def tags(self, request: Request) -> Response:
        """The blob's own tags are these from now on."""
        sent = (await self._small(request, frozenset({"tags"}))).get("tags")
        if not isinstance(sent, list) or not all(isinstance(tag, str) for tag in sent):
            raise BadRequestError("tags must be a list of strings.", field="tags")
        return answer(to_wire(await self._blobs.set_tags(await self._hash(request), sent)))

    async def pin(self, request: Request) -> Response:
        """It, and all it leads to, stays."""
        return answer(to_wire(await self._blobs.pin(await self._hash(request), pinned=True)))

    async def unpin(self, request: Request) -> Response:
        """It may be removed again."""
        return answer(to_wire(await self._blobs.pin(await self._hash(request), pinned=False)))

    async def content(self, request: Request) -> Response:
        """The bytes."""
        target = await self._blobs.resolve(await self._hash(request), request.params.get("path") or None)
        headers: Headers = (("Content-Disposition", attachment(target.name)), *_SAFE)
        if isinstance(target, ArchiveTarget):
            size_bytes = await self._blobs.archive_bytes(target)
            headers = (("Content-Type", "application/zip"), ("Jobdeck-Archive-Bytes", str(size_bytes)), *headers)
            return Response(headers=headers, body=self._zip(target))
        file = await self._blobs.content(target.content_hash)
        source = Source(fd=file.fd, size_bytes=file.size_bytes, tag=file.hash, close=file.close)
        return file_answer(request, source, (("Content-Type", mime_of(target.name)), *headers))

    async def collect(self, request: Request) -> Response:
        """Remove what nobody needs, or only tell what would go."""
        sent = await self._small(request, _COLLECT_FIELDS)
        dry_run = sent.get("dry_run", False)
        if not isinstance(dry_run, bool):
            raise BadRequestError("dry_run must be true or false.", field="dry_run")
        unused_s = body.seconds_of(sent, "unused_s")
        if unused_s is not None and not 0 <= unused_s <= _UNUSED_LIMIT_S:
            raise BadRequestError(f"unused_s must be from 0 to {_UNUSED_LIMIT_S:.0f}.", field="unused_s")
        found = await self._blobs.collect(dry_run=dry_run, unused_s=unused_s)
        return answer({each.name: getattr(found, each.name) for each in fields(Collected)})

    async def _hash(self, request: Request) -> str:
        return await self._blobs.find(request.params["hash"])

    async def _small(self, request: Request, allowed: frozenset[str]) -> dict[str, object]:
        data = await request.body.read(self._settings.body_limit_bytes)
        return body.fields_of(parse.json_value(data) if data.strip() else {}, allowed)

    async def _zip(self, target: ArchiveTarget) -> AsyncGenerator[bytes | FileSlice, None]:
        async with aclosing(self._blobs.archive(target)) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, bytes) else FileSlice(piece.fd, piece.offset, piece.length)


def blob_filter(query: Mapping[str, str], settings: Settings) -> BlobFilter:
    """Which blobs a query asks for.

    Raises:
        BadRequestError: A word in it is not known.
    """
    kind = query.get("type") or None
    if kind is not None and kind not in _TYPES:
        raise BadRequestError(f"type must be one of {', '.join(_TYPES)}, not {kind!r}.", field="type")
    return BlobFilter(
        name=query.get("name") or None,
        tag=query.get("tag") or None,
        text=query.get("text") or None,
        type=kind,
        pinned=parse.flag_argument(query, "pinned", default=False) if "pinned" in query else None,
        sort=query.get("sort", "-created"),
        limit_count=parse.number_argument(
            query, "limit", default=settings.page_default_count, limit=settings.page_limit_count
        ),
        cursor=query.get("cursor") or None,
        after=query.get("after") or None,
    )


def _stored(blob: Blob) -> Response:
    new = blob.created_us == blob.modified_us
    return answer(to_wire(blob), status=201 if new else 200, location=f"/v1/blobs/{blob.hash}")


def _record(data: bytes) -> Record:
    try:
        return record_of(parse_record(data))
    except JsonError as error:
        raise BadRequestError(str(error)) from error


def _entry_cursor(text: str | None) -> int:
    if text is None:
        return 0
    if not (text.isascii() and text.isdigit() and len(text) <= _CURSOR_DIGITS):
        raise BadRequestError("This cursor was not given out here.", field="cursor")
    return int(text)
