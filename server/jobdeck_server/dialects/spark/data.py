"""``/data``: files that clients send for their jobs to read, named by the full path that was answered.

The original answers the removal of a file that is not there with a fault of its own (500); here it is what was meant.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.core.errors import UnknownDataFileError
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.spark import doc, envelope
from jobdeck_server.dialects.spark.query import Query
from jobdeck_server.http.message import Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.datafiles import DataFiles
    from jobdeck_server.http.message import Request

_REBOOT = "reboot"


class DataRoutes:
    """The handlers."""

    def __init__(self, files: DataFiles) -> None:
        self._files = files

    def routes(self) -> tuple[Route, ...]:
        """Their part of the table."""
        rows = (
            ("GET", "/data", self.list, Role.VIEW, "Full paths of the data files", doc.DATA),
            ("POST", "/data/{name}", self.store, Role.RUN, "Store a data file, whose name begins so", doc.NEW_DATA),
            (
                "DELETE",
                "/data/{name}",
                self.delete,
                Role.RUN,
                "Remove a data file, named by its full path",
                doc.NO_DATA,
            ),
            ("DELETE", "/data/{name*}", self.delete, Role.RUN, "The same, its slashes as they are", doc.NO_DATA),
            ("PUT", "/data", self.reset, Role.RUN, "Remove all data files", doc.RESET),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=piece)
            for method, pattern, handler, role, summary, piece in rows
        )

    async def list(self, request: Request) -> Response:
        """All there are."""
        del request
        return envelope.answer(await self._files.list())

    async def store(self, request: Request) -> Response:
        """Keep the body; the name begins with what is in the path."""
        length = request.header("content-length")
        expected_bytes = None if length is None else int(length)
        path = await self._files.store(request.params["name"], request.body, expected_bytes=expected_bytes)
        return envelope.answer({"result": {"filename": path}})

    async def delete(self, request: Request) -> Response:
        """Remove one."""
        path = request.params["name"]
        try:
            await self._files.delete(path)
        except UnknownDataFileError:
            return envelope.refusal(400, f"Unable to delete data file '{path}'.")
        return Response(headers=envelope.JSON, body=b"OK")

    async def reset(self, request: Request) -> Response:
        """Remove all; done when this is answered, whether that was asked for or not."""
        query = Query(request)
        how, sync = query.needed("reset"), query.flag("sync", default=True)
        if how != _REBOOT:
            return Response(headers=envelope.JSON, body=b"ERROR")
        await self._files.reset()
        return envelope.success("Data reset" if sync else "Data reset requested")
