"""``/v1/jobs/{id}/callback``: where the telling of a job's end stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.job import time_text
from jobdeck_server.core.errors import NoCallbackError
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1 import openapi
from jobdeck_server.dialects.v1.jobs import answer
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from jobdeck_server.core.callbacks import Callbacks
    from jobdeck_server.core.jobs import JobCore


class CallbackRoutes:
    """The handler."""

    def __init__(self, core: JobCore, callbacks: Callbacks) -> None:
        self._core = core
        self._callbacks = callbacks

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        return (
            Route(
                method="GET",
                pattern="/v1/jobs/{id}/callback",
                handler=self.show,
                role=Role.VIEW,
                summary="Whether a job's end was told",
                doc=openapi.CALLBACK,
            ),
        )

    async def show(self, request: Request) -> Response:
        """State, tries so far, when the next one is, and what the last one came to; of the address no query."""
        job = await self._core.resolve(request.params["id"])
        row = await self._callbacks.show(job.id)
        if row is None:
            raise NoCallbackError(job.id)
        return answer(
            {
                "url": row.url,
                "state": row.state,
                "delivery": row.delivery,
                "tries": row.tries,
                "next": None if row.next_us is None else time_text(row.next_us),
                "last": row.last,
            }
        )
