"""The one question asked of every request before a dialect sees it: may this come in, and who is it.

Where it comes from is asked first and of everything. Then who: a token, if one came, must be right, also where none is
needed: a client that sends a wrong one believes something that is not so. Without a token, a server that listens on
loopback only takes everybody for an admin, or for a worker (every local user could run the programs themselves).

Secrets are looked at here and nowhere else; what goes on is the token's id, for the log.
"""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING

from jobdeck_server.guard.errors import ForbiddenError, UnauthorizedError
from jobdeck_server.guard.origin import OriginRules
from jobdeck_server.http.message import Identity, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobdeck_server.guard.tokens import TokenStore
    from jobdeck_server.http.message import Headers, Request, Response
    from jobdeck_server.settings import Settings


class Guard:
    """The checks of one server.

    Args:
        settings: ``allowed_hosts``, ``allowed_origins`` and ``require_token``.
        tokens: Of its data directory.
        listeners: (host, port) of each listener, ports resolved.

    Raises:
        ValueError: A configured host or origin is not one.
    """

    def __init__(self, settings: Settings, tokens: TokenStore, listeners: Iterable[tuple[str, int]]) -> None:
        self._tokens = tokens
        self._require_token = settings.require_token
        self._origins = OriginRules(
            listeners=listeners,
            allowed_hosts=settings.allowed_hosts,
            allowed_origins=settings.allowed_origins,
            secure=settings.tls_cert is not None,
        )

    def admit(self, request: Request, *, needed: Role = Role.VIEW) -> Identity:
        """Let a request in.

        Args:
            request: Its ``note`` gets the token's id.
            needed: The least role that may do this; for NONE no token is asked for or looked at.

        Raises:
            ForbiddenError: It comes from where it should not, or its token's role is too small.
            UnauthorizedError: A token is needed, or the one that came is not known.
        """
        self.check_source(request)
        return self.identify(request, needed=needed)

    def check_source(self, request: Request) -> None:
        """The first half of ``admit``, which can be done before the route is known.

        Raises:
            ForbiddenError: It comes from where it should not.
        """
        self._origins.check(request)

    def identify(self, request: Request, *, needed: Role = Role.VIEW) -> Identity:
        """The second half of ``admit``.

        Raises:
            ForbiddenError: The token's role is too small.
            UnauthorizedError: A token is needed, or the one that came is not known.
        """
        if needed is Role.NONE:
            return Identity()
        identity = self._identity(request, needed)
        request.note["token"] = identity.token_id
        if not identity.may(needed):
            raise ForbiddenError("The role of this token does not allow this.")
        return identity

    def cors_headers(self, request: Request) -> Headers:
        """What any answer to this request must carry for browsers; see ``OriginRules.cors_headers``."""
        return self._origins.cors_headers(request)

    def preflight(self, request: Request, allow: Iterable[str]) -> Response | None:
        """The answer to a CORS preflight, None for all other requests; see ``OriginRules.preflight``."""
        return self._origins.preflight(request, allow)

    def holds(self, identity: Identity) -> bool:
        """Whether who was let in as this would still be: for connections that last, to be asked now and then."""
        return not identity.token_id or self._tokens.has(identity.token_id, identity.role)

    def _identity(self, request: Request, needed: Role) -> Identity:
        presented = secrets_of(request)
        if not presented:
            if self._require_token:
                raise UnauthorizedError
            # Who could do anything may also be a worker, which no token but its own kind's is good for.
            return Identity(role=Role.WORKER if needed is Role.WORKER else Role.ADMIN)
        found = [self._tokens.find(secret) for secret in presented]
        token = found[0]
        if token is None or any(other != token for other in found):
            raise UnauthorizedError("This token is not known.")
        return Identity(role=token.role, token_id=token.id, name=token.name)


def secrets_of(request: Request) -> list[str]:
    """Every token that a request carries; one that cannot be read as such is given as an empty, never valid one.

    Bearer (RFC 6750), ``x-api-token`` (executor clients), and the password of Basic (Spark clients, RFC 7617).
    """
    presented = []
    for name, value in request.headers:
        if name == "x-api-token":
            presented.append(value)
        elif name == "authorization":
            scheme, _, rest = value.partition(" ")
            presented.append(_read(scheme.lower(), rest.strip()))
    return presented


def _read(scheme: str, rest: str) -> str:
    if scheme == "bearer":
        return rest
    if scheme == "basic":
        try:
            return base64.b64decode(rest, validate=True).decode("utf-8").partition(":")[2]
        except (binascii.Error, ValueError):
            return ""
    return ""
