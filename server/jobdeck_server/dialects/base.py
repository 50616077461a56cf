"""What a dialect is: a name, its routes, and its words for every refusal.

A dialect parses, calls the core and renders. It does no I/O of its own and keeps no state. The table of routes of all
dialects is one; no two of them claim the same route (a test walks the table).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from jobdeck_server.http.message import Handler, Response, Role

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.http.message import Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One method on one path pattern.

    Attributes:
        method: Upper case. HEAD is answered by the GET route where there is no route of its own.
        pattern: ``/v1/jobs/{id}``: literal segments, and ``{name}`` for exactly one non-empty segment, and at
            the end ``{name*}`` for all that is left, slashes and all, be it empty. A literal segment wins over a
            ``{name}``.
        handler: Called with the request, its ``params`` filled.
        role: The least role that may call it.
        summary: One line for the OpenAPI document.
        doc: Further OpenAPI fields of the operation (parameters, requestBody, responses), plain JSON.
    """

    method: str
    pattern: str
    handler: Handler
    role: Role
    summary: str
    doc: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialect:
    """One documented API.

    Attributes:
        name: ``jobrunner``, ``v1``, ...
        segments: First path segments whose unknown paths and errors are told by this dialect; "" is for ``/``.
        routes: Its part of the table.
        forgiven: Paths, in lower case, to which a request is sent on (307) that has no route of its own and differs
            from one of them only in case, doubled slashes, or a slash at the end.
        failure: Turns any error into this API's words: a ``JobdeckError``, or one of the errors of
            ``jobdeck_server.http.router`` (not found, method not allowed) or of the HTTP layer (bad request, too
            large, ...). It never raises, and never tells more than ``str(error)``.
        method_argument: The argument of a query by which a client may name another method than its request has, for
            clients that can only GET and POST; None where there is no such thing.
    """

    name: str
    segments: frozenset[str]
    routes: tuple[Route, ...]
    failure: Callable[[Exception], Response]
    forgiven: frozenset[str] = frozenset()
    method_argument: str | None = None

    def meant(self, request: Request) -> Request:
        """The request with the method that it is meant to have: before anything is decided by the method."""
        if self.method_argument is None:
            return request
        fields = parse_qsl(request.query, keep_blank_values=True)
        named = next((value for name, value in fields if name == self.method_argument), "")
        return replace(request, method=named.upper()) if named else request
