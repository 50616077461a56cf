"""``/rest/blob``: uploads, records, downloads; what the WebGME blob client and plain curl ask for.

What the original answers is answered to the byte. What its users suffered from is done right:

- the body of an upload is the file, whatever its Content-Type says (curl's default made the original store nothing),
  and one that breaks off leaves nothing;
- a record is answered whatever its Content-Type, and a malformed one cannot do harm;
- a file comes with its length and an ETag, and in part where a part is asked for;
- a path that an artifact does not have is 404, not 500.

Nothing is compressed here. Files leave by sendfile with their length, and in parts, which compression would take away;
records are small. A client that says it takes gzip takes the plain form too.

A stored page must not act in this server's name, so a browser is told to give what it shows no rights (``sandbox``).

Source: reference of the WebGME blob store, sections 2 and 3.
"""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_server.core.aside import Aside
from jobdeck_server.core.blobrecord import Record, fields, file_record, is_hash, record_of
from jobdeck_server.core.blobs import ArchiveTarget
from jobdeck_server.core.ecmascript import JsonError, parse, stringify
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.mime import UNKNOWN, mime_of
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.fileanswer import Source, file_answer
from jobdeck_server.dialects.parse import arguments
from jobdeck_server.dialects.webgme.disposition import attachment
from jobdeck_server.dialects.webgme.failure import HTML
from jobdeck_server.http.errors import NotFoundError
from jobdeck_server.http.message import FileSlice, Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.blobs import Blobs, Stored
    from jobdeck_server.http.message import Headers

_JSON: Headers = (("Content-type", "application/json"),)
_INDENT_COUNT = 4
_HEX = re.compile("[0-9A-Fa-f]{40}")
_LIST_PIECE_BYTES = 64 * 1024
_ENTRY_BYTES = 128  # of an artifact's entry as JSON, about
_NO_LIST = b"Listing metadata only possible in debug mode."
# On view a browser would not know what to show of these
_ALWAYS_SAVED = frozenset({UNKNOWN, "application/zip"})
_SAFE: Headers = (("X-Content-Type-Options", "nosniff"), ("Content-Security-Policy", "sandbox"))


class BlobRoutes:
    """The handlers."""

    def __init__(self, blobs: Blobs) -> None:
        self._settings = blobs.settings
        self._blobs = blobs
        self._aside = Aside(blobs.settings.thread_limit_count)

    def routes(self) -> tuple[Route, ...]:
        """Their part of the table; the fixed ones may have a slash at the end."""
        table = (
            ("POST", "createFile/{filename}", self.create_file, "Store a file"),
            ("POST", "createMetadata", self.create_metadata, "Store a record of a blob or an artifact"),
            ("POST", "createMetadata/", self.create_metadata, "The same"),
            ("GET", "metadata", self.metadata_list, "All public records, where the server allows to list them"),
            ("GET", "metadata/", self.metadata_list, "The same"),
            ("GET", "metadata/{hash}", self.metadata, "A record"),
            ("GET", "download/{hash}", self.download, "A file, or an artifact as a zip, to be saved"),
            ("GET", "download/{hash}/{subpath*}", self.download, "A file of an artifact, to be saved"),
            ("GET", "view/{hash}", self.view, "A file, or an artifact as a zip"),
            ("GET", "view/{hash}/{subpath*}", self.view, "A file of an artifact"),
        )
        return tuple(
            Route(
                method=method,
                pattern=f"/rest/blob/{path}",
                handler=handler,
                role=Role.VIEW if method == "GET" else Role.RUN,
                summary=summary,
            )
            for method, path, handler, summary in table
        )

    async def create_file(self, request: Request) -> Response:
        """Keep the body under the name in the path; answered once it is durable."""
        name = request.params["filename"]
        length = request.header("content-length")
        async with self._blobs.upload(expected_bytes=None if length is None else int(length)) as upload:
            await upload.fill(request.body)
            content = await upload.commit()
        return await self._keep(file_record(name, content.size_bytes, mime_of(name), content.hash))

    async def create_metadata(self, request: Request) -> Response:
        """Keep a record; whether what it refers to is here is not asked."""
        body = await request.body.read(self._settings.blob_record_limit_bytes)
        try:
            record = await self._aside.run(len(body), lambda: record_of(parse(body)))
        except (JsonError, BadRequestError) as error:
            if isinstance(error, BadRequestError) and error.field == "tags":
                raise  # the original dies of it, so nobody knows another answer
            return Response(status=500, headers=_JSON, body=b"{}")
        return await self._keep(record)

    async def metadata(self, request: Request) -> Response:
        """One record."""
        blob_hash = request.params["hash"]
        if _HEX.fullmatch(blob_hash) is None:
            raise NotFoundError(request.path)
        stored = await self._blobs.get(blob_hash)
        return await self._tell(stored, shown(stored))

    async def metadata_list(self, request: Request) -> Response:
        """Public records, with ``all`` the others too; one after the other, so of any number."""
        if not self._settings.blob_list_all:
            return Response(status=404, headers=HTML, body=_NO_LIST)
        private_too = bool(arguments(request).get("all"))
        return Response(headers=_JSON, body=self._listed(private_too=private_too))

    async def download(self, request: Request) -> Response:
        """What a hash, or a path within it, stands for, to be saved."""
        return await self._deliver(request, save=True)

    async def view(self, request: Request) -> Response:
        """The same, to be shown where a browser can."""
        return await self._deliver(request, save=False)

    async def _keep(self, record: Record) -> Response:
        stored = await self._blobs.put(record)
        return await self._tell(stored, {stored.hash: shown(stored)})

    async def _tell(self, stored: Stored, value: dict[str, object]) -> Response:
        """JSON as the original writes it."""
        entries = stored.record.content
        size_bytes = _ENTRY_BYTES * len(entries) if isinstance(entries, dict) else 0
        text = await self._aside.run(size_bytes, lambda: stringify(value, _INDENT_COUNT))
        return Response(headers=_JSON, body=text.encode())

    async def _listed(self, *, private_too: bool) -> AsyncGenerator[bytes, None]:
        piece, before = "{", "\n"
        async with aclosing(self._blobs.every(private_too=private_too)) as every:
            async for stored in every:
                text = stringify(shown(stored), _INDENT_COUNT).replace("\n", "\n" + " " * _INDENT_COUNT)
                piece += f'{before}{" " * _INDENT_COUNT}"{stored.hash}": {text}'
                before = ",\n"
                if len(piece) >= _LIST_PIECE_BYTES:
                    yield piece.encode()
                    piece = ""
        yield (piece + ("}" if before == "\n" else "\n}")).encode()

    async def _deliver(self, request: Request, *, save: bool) -> Response:
        blob_hash = request.params["hash"]
        if not is_hash(blob_hash):
            raise NotFoundError(request.path)
        target = await self._blobs.resolve(blob_hash, request.params.get("subpath") or None)
        mime = mime_of(target.name)
        headers: Headers = (("Content-type", mime), *_SAFE)
        if save or mime in _ALWAYS_SAVED:
            headers = (*headers, ("Content-Disposition", attachment(target.name)))
        if isinstance(target, ArchiveTarget):
            return Response(headers=headers, body=self._zip(target))
        file = await self._blobs.content(target.content_hash)
        source = Source(fd=file.fd, size_bytes=file.size_bytes, tag=file.hash, close=file.close)
        return file_answer(request, source, headers)

    async def _zip(self, target: ArchiveTarget) -> AsyncGenerator[bytes | FileSlice, None]:
        async with aclosing(self._blobs.archive(target)) as pieces:
            async for piece in pieces:
                yield piece if isinstance(piece, bytes) else FileSlice(piece.fd, piece.offset, piece.length)


def shown(stored: Stored) -> dict[str, object]:
    """A record as clients see it: with the time of its last upload, in milliseconds."""
    return {**fields(stored.record), "lastModified": time_text(stored.modified_us)[:-4] + "Z"}
