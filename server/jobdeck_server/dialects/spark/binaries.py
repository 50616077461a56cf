"""``/binaries``, and ``/jars`` as older clients know it: wheels, eggs and jars come in, are listed and removed.

The document prints the answer to an upload as ``OK``; a client that says that it takes JSON is answered in JSON, as
later versions of the original did. The body of an upload is the file, of any size.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.packageinfo import EGG, JAR, TYPES, WHEEL
from jobdeck_server.core.errors import BadBinaryError, BinaryInUseError, NoSpaceError, UnknownBinaryError
from jobdeck_server.core.store import StoreError
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.spark import doc, envelope, times
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.core.binaries import Binaries, Binary

_WORDS: Mapping[str, str] = {JAR: "Jar", EGG: "Egg", WHEEL: "Wheel"}
_UNTYPED = "application/octet-stream"
_STORAGE = "Storage Failure"


class BinaryRoutes:
    """The handlers."""

    def __init__(self, binaries: Binaries) -> None:
        self._binaries = binaries

    def routes(self) -> tuple[Route, ...]:
        """Their part of the table."""
        one, view, run = "/binaries/{name}", Role.VIEW, Role.RUN
        rows = (
            ("GET", "/binaries", self.all, view, "Binaries by their names", doc.BINARIES),
            ("GET", one, self.show, view, "A binary", doc.BINARY),
            ("POST", one, self.upload, run, "Upload a jar, egg or wheel", doc.UPLOAD),
            ("DELETE", one, self.delete, run, "Remove a binary, all its versions", doc.DONE),
            ("GET", "/jars", self.jars, view, "Jars by their names, and when they came", doc.JARS),
            ("POST", "/jars/{name}", self.upload_jar, run, "Upload a jar", doc.JAR),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=piece)
            for method, pattern, handler, role, summary, piece in rows
        )

    async def all(self, request: Request) -> Response:
        """Their kinds and times, by name."""
        return envelope.answer({binary.name: _told(binary) for binary in await self._binaries.list()})

    async def show(self, request: Request) -> Response:
        """One of them."""
        name = request.params["name"]
        try:
            binary = await self._binaries.get(name)
        except UnknownBinaryError:
            return envelope.refusal(404, f"Can't find binary with name {name}")
        return envelope.answer({"app-name": binary.name, **_told(binary)})

    async def upload(self, request: Request) -> Response:
        """201 once it is durable. What it is said to be comes before what it is."""
        media_type = media_type_of(request)
        kind = TYPES.get(media_type)
        if kind is None:
            return envelope.refusal(415, f"Unsupported binary type {media_type}")
        refused = await self._keep(request, kind)
        if refused is not None:
            return refused
        return envelope.success(status=201) if takes_json(request) else envelope.plain(201, "OK")

    async def delete(self, request: Request) -> Response:
        """All versions go; not while a job that has not ended names it."""
        name = request.params["name"]
        try:
            await self._binaries.delete(name)
        except UnknownBinaryError:
            return envelope.refusal(404, f"can't find binary with name {name}")
        except BinaryInUseError as error:
            return envelope.refusal(403, f"Binary is in use by job(s): {', '.join(error.job_ids)}")
        return envelope.success()

    async def jars(self, request: Request) -> Response:
        """The jars among them."""
        jars = [binary for binary in await self._binaries.list() if binary.kind == JAR]
        return envelope.answer({binary.name: times.utc_time(binary.uploaded_us) for binary in jars})

    async def upload_jar(self, request: Request) -> Response:
        """Whatever its type says."""
        refused = await self._keep(request, JAR, wrong="Jar is not of the right format")
        return refused or envelope.success("Jar uploaded")

    async def _keep(
        self, request: Request, kind: str, *, wrong: str = "Binary is not of the right format"
    ) -> Response | None:
        """Take in the body; the answer if it is not kept."""
        length = request.header("content-length")
        expected_bytes = None if length is None else int(length)
        try:
            async with self._binaries.upload(request.params["name"], kind, expected_bytes=expected_bytes) as upload:
                await upload.fill(request.body)
                await upload.commit()
        except BadBinaryError:
            return envelope.refusal(400, wrong)
        except (NoSpaceError, StoreError) as error:
            return envelope.failed(500, envelope.exception(str(error), "java.io.IOException"), label=_STORAGE)
        return None


def media_type_of(request: Request) -> str:
    """What a body is said to be, without parameters."""
    text = request.header("content-type") or _UNTYPED
    return text.partition(";")[0].strip().lower() or _UNTYPED


def takes_json(request: Request) -> bool:
    """Whether a client names JSON among what it takes, and not to say that it does not."""
    return any(name == "accept" and _names_json(value) for name, value in request.headers)


def _names_json(value: str) -> bool:
    for part in value.lower().split(","):
        kind, *parameters = (word.strip() for word in part.split(";"))
        quality = next((word[2:] for word in parameters if word.startswith("q=")), "1")
        if kind == "application/json" and quality.strip("0.") != "":
            return True
    return False


def _told(binary: Binary) -> dict[str, str]:
    return {"binary-type": _WORDS[binary.kind], "upload-time": times.utc_time(binary.uploaded_us)}
