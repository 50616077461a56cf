"""``/contexts``: what jobs run in, made, listed and stopped.

A context is told as the original tells those with a process of their own: with id, times and state, ended ones too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_protocol.contextinfo import ContextState
from jobdeck_server.core import errors
from jobdeck_server.core.hoconvalues import pick, text_list
from jobdeck_server.core.outbound.errors import RefusedError, SchemeError
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.spark import doc, envelope, times
from jobdeck_server.dialects.spark.query import Query
from jobdeck_server.http.message import Request, Response, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.core.contexts import Context, Contexts
    from jobdeck_server.core.fetching import Fetcher
    from jobdeck_server.core.hocon import JobConfig
    from jobdeck_server.core.patience import Patience
    from jobdeck_server.dialects.spark.bodies import Bodies

_STATES: Mapping[ContextState, str] = {
    ContextState.STARTING: "STARTED",
    ContextState.RUNNING: "RUNNING",
    ContextState.RESTARTING: "RESTARTING",
    ContextState.STOPPING: "STOPPING",
    ContextState.FINISHED: "FINISHED",
    ContextState.ERROR: "ERROR",
    ContextState.KILLED: "KILLED",
}
_INIT_ERROR = "CONTEXT INIT ERROR"
_MALFORMED = f"{_INIT_ERROR}: Malformed URL"
_RUNTIME, _MALFORMED_CLASS = "java.lang.RuntimeException", "java.net.MalformedURLException"
_PACKAGES = ("cp", "dependent-jar-uris")
_STOP_S = 13.0  # as in the original: of the 15 s that it gives a stop, 2 are for the answer


class ContextRoutes:
    """The handlers.

    Args:
        contexts: See there.
        fetcher: Asked whether packages that settings name may be fetched.
        bodies: Reads settings.
        patience: With which answers are waited for.
    """

    def __init__(self, contexts: Contexts, fetcher: Fetcher, bodies: Bodies, patience: Patience) -> None:
        self._contexts = contexts
        self._fetcher = fetcher
        self._bodies = bodies
        self._patience = patience

    def routes(self) -> tuple[Route, ...]:
        """Their part of the table."""
        many, one, view, run = "/contexts", "/contexts/{name}", Role.VIEW, Role.RUN
        rows = (
            ("GET", many, self.all, view, "Names of contexts that live", doc.CONTEXTS),
            ("PUT", many, self.reset, run, "Stop all contexts, and make the configured ones anew", doc.RESET),
            ("GET", one, self.show, view, "A context that lives, or the last one of that name", doc.CONTEXT),
            ("POST", one, self.create, run, "Make a context", doc.NEW_CONTEXT),
            ("DELETE", one, self.stop, run, "Stop a context and its jobs", doc.STOPPED),
        )
        return tuple(
            Route(method=method, pattern=pattern, handler=handler, role=role, summary=summary, doc=piece)
            for method, pattern, handler, role, summary, piece in rows
        )

    async def all(self, request: Request) -> Response:
        """The names."""
        return envelope.answer([context.name for context in self._contexts.live()])

    async def show(self, request: Request) -> Response:
        """One of them, as texts."""
        name = request.params["name"]
        try:
            context = await self._contexts.find(name)
        except errors.UnknownContextError:
            return envelope.refusal(404, f"can't find context with name {name}")
        return envelope.answer(told(context))

    async def create(self, request: Request) -> Response:
        """200 once it is up. Arguments are settings, and those in the body count for more."""
        name, query = request.params["name"], Query(request)
        body = await self._bodies.read(request)
        try:
            for uri in uris_of(query.all(), body):
                self._fetcher.check(uri)
            await self._contexts.create(name, query=query.all(), body=body)
        except (errors.ContextExistsError, errors.BadContextNameError) as error:
            return envelope.refusal(400, str(error))
        except errors.ContextInitError as error:
            return envelope.failed(500, envelope.exception(str(error), _RUNTIME), label=_INIT_ERROR)
        except RefusedError as error:
            malformed = isinstance(error, SchemeError)
            exception = envelope.exception(str(error), _MALFORMED_CLASS if malformed else _RUNTIME)
            return envelope.failed(400, exception, label=_MALFORMED if malformed else _INIT_ERROR)
        return envelope.success("Context initialized")

    async def stop(self, request: Request) -> Response:
        """200 once it has stopped; 202 if that takes long."""
        name, force = request.params["name"], Query(request).flag("force", default=False)
        try:
            stopped = await self._contexts.stop(name, force=force, timeout_s=_STOP_S)
        except errors.UnknownContextError:
            return envelope.refusal(404, f"context {name} not found")
        if stopped:
            return envelope.success("Context stopped")
        target = request.path + (f"?{request.query}" if request.query else "")
        return Response(status=202, headers=(("Location", target),))

    async def reset(self, request: Request) -> Response:
        """All are stopped and those of the operator's file made anew; with ``sync=false`` nobody waits for that."""
        query = Query(request)
        how, sync = query.needed("reset"), query.flag("sync", default=True)
        if how != "reboot":
            return envelope.refusal(500, envelope.ERROR)
        if not sync:
            await self._patience.wait(self._contexts.reset, limit_s=0)  # it goes on
            return envelope.success("Context reset requested")
        await self._contexts.reset()
        return envelope.success("Context reset")


def uris_of(query: Mapping[str, str], body: JobConfig) -> list[str]:
    """The packages of a context that are named by a URI; all others are names of binaries.

    Raises:
        BadRequestError: They are no texts.
    """
    block = pick(body.head, "spark.context-settings")
    said = [(name, found.get(name)) for found in (query, block) if isinstance(found, dict) for name in _PACKAGES]
    return [each for name, value in said for each in text_list(value, name) if "://" in each]


def told(context: Context) -> dict[str, str]:
    """A context as a map of texts; what is Spark's own is empty for those that are none of its."""
    told = {
        "id": context.id,
        "name": context.name,
        "startTime": times.utc_time(context.created_us),
        "endTime": "Empty" if context.ended_us is None else times.utc_time(context.ended_us),
        "state": _STATES[ContextState(context.state)],
        "applicationId": context.application or "",
    }
    return told if context.ui is None else {**told, "url": context.ui}
