"""Packages in the native API: list, show, send, remove; and reading a job's configuration without a job.

The words of the native API are those of the console: a **package** is what the core calls a binary.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from jobdeck_protocol.packageinfo import KINDS, TYPES, to_wire
from jobdeck_server.core.binaries import kind_of
from jobdeck_server.core.errors import BadRequestError, UnknownBinaryError
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.dialects.v1.openapi import BYTES, INTEGER, STRING, STRINGS, Piece, answers
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.binaries import Binaries
    from jobdeck_server.core.hocon import ConfigReader
    from jobdeck_server.http.message import Headers

_JSON: Headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
_WHERE = re.compile(r"Cannot parse config: (?:line ([0-9]+)(?:, column ([0-9]+))?: )?(.*)", re.DOTALL)
_FIELDS: Piece = {
    "name": STRING,
    "kind": {"enum": list(KINDS)},
    "size_bytes": INTEGER,
    "hash": {"type": "string", "description": "Of the blob that holds it"},
    "content": {"type": "string", "description": "SHA-1 of its bytes"},
    "uploaded": {"type": "string", "format": "date-time"},
    "versions_count": INTEGER,
}
_PACKAGE: Piece = {"type": "object", "properties": _FIELDS}
_LIST: Piece = {
    "responses": answers(
        "200",
        "The newest version of each, by name",
        {"type": "object", "properties": {"packages": {"type": "array", "items": _PACKAGE}}},
    ),
}
_SHOW: Piece = {
    "responses": answers(
        "200",
        "The newest version, all that are kept, and the classes that jobs can run",
        {
            "type": "object",
            "properties": {
                **_FIELDS,
                "versions": {"type": "array", "items": _PACKAGE, "description": "Newest first"},
                "classes": {
                    **STRINGS,
                    "description": "Classes that jobs can run: with run_job, or a job's traits or main",
                },
                "classes_complete": {"type": "boolean", "description": "Whether all of it could be looked at"},
            },
        },
    ),
}
_PUT: Piece = {
    "requestBody": {"required": True, "content": {mime: {"schema": BYTES} for mime in TYPES}},
    "responses": answers("201", "Durable, and what new jobs of this name run", _PACKAGE),
}
_REMOVED: Piece = {"responses": answers("204", "All its versions are gone")}
_CONFIG: Piece = {
    "requestBody": {"required": True, "content": {"application/hocon": {"schema": STRING}}},
    "responses": answers(
        "200",
        "What a job would be told, or what is wrong",
        {
            "type": "object",
            "required": ["ok"],
            "properties": {
                "ok": {"type": "boolean"},
                "config": {"type": "object"},
                "error": STRING,
                "line": {"type": ["integer", "null"]},
                "column": {"type": ["integer", "null"]},
            },
        },
    ),
}


class PackageRoutes:
    """The handlers of ``/v1/packages`` and ``/v1/config``."""

    def __init__(self, binaries: Binaries, reader: ConfigReader) -> None:
        self._binaries = binaries
        self._reader = reader

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        one, many = "/v1/packages/{name}", "/v1/packages"
        rows = (
            ("GET", many, self.list, Role.VIEW, "List packages", _LIST),
            ("GET", one, self.show, Role.VIEW, "Show a package", _SHOW),
            ("PUT", one, self.upload, Role.RUN, "Store a wheel, egg or jar", _PUT),
            ("DELETE", one, self.remove, Role.RUN, "Remove a package", _REMOVED),
            ("POST", "/v1/config", self.config, Role.RUN, "Read a job's configuration (HOCON)", _CONFIG),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=doc)
            for method, pattern, handler, role, summary, doc in rows
        )

    async def list(self, request: Request) -> Response:
        """All of them."""
        del request
        return answer({"packages": [to_wire(binary.info()) for binary in await self._binaries.list()]})

    async def show(self, request: Request) -> Response:
        """One, with its versions and its classes."""
        name = request.params["name"]
        versions = await self._binaries.versions(name)
        if not versions:
            raise UnknownBinaryError(name)
        classes = await self._binaries.classes(versions[0])
        return answer(
            {
                **to_wire(versions[0].info()),
                "versions": [to_wire(each.info()) for each in versions],
                "classes": list(classes.names),
                "classes_complete": classes.complete,
            }
        )

    async def upload(self, request: Request) -> Response:
        """Keep the body as the newest version; answered once it is durable."""
        kind = kind_of(request.header("content-type"))
        length = request.header("content-length")
        expected_bytes = None if length is None else int(length)
        async with self._binaries.upload(request.params["name"], kind, expected_bytes=expected_bytes) as upload:
            await upload.fill(request.body)
            binary = await upload.commit()
        return answer(to_wire(binary.info()), status=201)

    async def remove(self, request: Request) -> Response:
        """204 once it is durable; 409 while jobs that have not ended name it."""
        await self._binaries.delete(request.params["name"])
        return Response(status=204)

    async def config(self, request: Request) -> Response:
        """Read it as the body of a job would be."""
        length = request.header("content-length")
        try:
            with self._reader.room(None if length is None else int(length)):
                config = await self._reader.read(await request.body.read(self._reader.limit_bytes))
        except BadRequestError as error:
            return answer({"ok": False, **_told(str(error))})
        return Response(headers=_JSON, body=b"".join((b'{"ok":true,"config":', config.text, b"}\n")))


def _told(text: str) -> dict[str, object]:
    """Why a text is no configuration, and where, if that is known."""
    match = _WHERE.fullmatch(text)
    if match is None:
        return {"error": text, "line": None, "column": None}
    line, column = (None if number is None else int(number) for number in match.groups()[:2])
    return {"error": match[3], "line": line, "column": column}
