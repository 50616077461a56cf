"""Where a request comes from: Host, Origin and Sec-Fetch-Site. What keeps web pages away from a port on loopback.

Three attacks, three checks, and each of them on every request, WebSocket handshakes and plain GETs included:

- DNS rebinding: a page's own name is made to point here, so it reads our answers as its own. Its Host header still says
  that name. So Host must be a loopback literal, ``localhost``, an address that we were told to listen on, or a
  configured name; and a port in it must be a listener's.
- Cross-site requests: a form or a simple ``fetch`` needs nobody's leave to be sent. Browsers then say so in Origin:
  one that is neither this very host nor configured is refused, ``null`` (a sandboxed frame, a ``file:`` page) too.
- The same without Origin (a link, an image): newer browsers say ``Sec-Fetch-Site``; ``cross-site`` and ``same-site``
  are refused. Another port of localhost is same-site, and not us.

Programs that are no browsers send none of the last two and are served. Spellings that only resemble a loopback address
(decimal, octal, short, mapped, with a trailing dot or a user) are refused: no honest client needs them.

Source: RFC 6454, RFC 9110 section 7.2, Fetch Metadata Request Headers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from jobdeck_server.guard.errors import ForbiddenError
from jobdeck_server.http.message import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobdeck_server.http.message import Headers, Request

AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
ORIGIN = re.compile(r"(https?)://([^/?#@\s]+)", re.IGNORECASE)
DEFAULT_PORTS = {"http": 80, "https": 443}
FOREIGN_SITES = frozenset({"cross-site", "same-site"})
EXPOSED = "Location, Jobdeck-Offset, Retry-After, WWW-Authenticate, Content-Range"
ALLOWED_FIELDS = "Authorization, Content-Type, Idempotency-Key, Range, X-Api-Token"
PREFLIGHT_AGE_S = 600
_HOSTS_COUNT = 256


@dataclass(frozen=True, slots=True)
class Authority:
    """A host in lower case, IPv6 without brackets in its shortest form, and the port if one was given."""

    host: str
    port: int | None


def parse_authority(text: str) -> Authority | None:
    """Host and port of a Host header, None if it is not exactly that."""
    match = AUTHORITY.fullmatch(text)
    if match is None:
        return None
    host, port = match[1].lower(), None if match[2] is None else int(match[2])
    if port is not None and not 0 < port < 65536:
        return None
    if host.startswith("["):
        try:
            host = str(IPv6Address(host[1:-1]))
        except AddressValueError:
            return None
    return Authority(host, port)


def is_loopback(host: str) -> bool:
    """Whether a host names this machine alone: ``localhost``, 127.0.0.0/8 in four decimal parts, or ::1."""
    if host == "localhost":
        return True
    try:
        return IPv4Address(host).is_loopback
    except AddressValueError:
        return host == "::1"


class OriginRules:
    """The checks with what was configured.

    Args:
        listeners: (host, port) of every listener as bound; a wildcard address admits no Host by itself.
        allowed_hosts: Names that Host may say, ``name`` for any port or ``name:port``.
        allowed_origins: Origins that browsers may come from, ``https://deck.example``.
        secure: The listeners speak TLS, so that this very host has no ``http://`` pages.

    Raises:
        ValueError: A configured host or origin is not one.
    """

    def __init__(
        self,
        *,
        listeners: Iterable[tuple[str, int]],
        allowed_hosts: Iterable[str] = (),
        allowed_origins: Iterable[str] = (),
        secure: bool = False,
    ) -> None:
        self._own_schemes = frozenset({"https"} if secure else DEFAULT_PORTS)
        own = [(host.lower().partition("%")[0], port) for host, port in listeners]
        self._ports = frozenset(port for _, port in own)
        self._own = frozenset(host for host, _ in own) - {"", "0.0.0.0", "::"}
        self._hosts = frozenset(_configured_host(host) for host in allowed_hosts)
        # clients say the same few hosts over and over
        self._known_authority = lru_cache(_HOSTS_COUNT)(self._authority)
        self._origins = frozenset(_configured_origin(origin) for origin in allowed_origins)

    def check(self, request: Request) -> None:
        """Refuse a request that comes from where it should not.

        Raises:
            ForbiddenError: Its words say which header, and how the server would allow it.
        """
        host = self._check_host(request)
        origins = [value for name, value in request.headers if name == "origin"]
        if origins:
            self._check_origin(origins, host)
        sites = {value.strip().lower() for name, value in request.headers if name == "sec-fetch-site"}
        if sites & FOREIGN_SITES and self._configured(request) is None:
            raise ForbiddenError("Requests from other sites are not allowed (Sec-Fetch-Site).")

    def _check_host(self, request: Request) -> Authority | None:
        """The host that the request names; None for HTTP/1.0 without one, which no browser sends.

        An absolute-form target stands for the Host header; both must be allowed, as a proxy may look at either.
        """
        hosts = [value for name, value in request.headers if name == "host"]
        if len(hosts) > 1 or (not hosts and not request.http10):
            raise ForbiddenError("There is not exactly one Host.")
        named = [self._known_authority(text) for text in [*hosts, *([request.authority] if request.authority else [])]]
        for authority in named:
            if authority is None:
                raise ForbiddenError("This Host is not allowed; a server allows others with --allow-host.")
        return named[-1] if named else None

    def _authority(self, text: str) -> Authority | None:
        """A Host's value, None if it is none that this server has."""
        authority = parse_authority(text)
        return authority if authority is not None and self._is_host(authority) else None

    def _is_host(self, authority: Authority) -> bool:
        if authority in self._hosts or Authority(authority.host, None) in self._hosts:
            return True
        if not is_loopback(authority.host) and authority.host not in self._own:
            return False
        return authority.port is None or authority.port in self._ports

    def _check_origin(self, origins: list[str], host: Authority | None) -> None:
        parsed = _parse_origin(origins[0]) if len(origins) == 1 else None
        if parsed is None or (parsed not in self._origins and not self._is_own(parsed, host)):
            raise ForbiddenError("This Origin is not allowed; a server allows others with --allow-origin.")

    def _is_own(self, origin: tuple[str, Authority], host: Authority | None) -> bool:
        """Whether an origin is the very host that is asked; without TLS its scheme may be that of a proxy before us."""
        return host is not None and origin[0] in self._own_schemes and origin == _plain(origin[0], host)

    # CORS

    def _configured(self, request: Request) -> str | None:
        """The request's Origin if it is one of the configured."""
        origin = request.header("origin")
        return origin if origin is not None and _parse_origin(origin) in self._origins else None

    def cors_headers(self, request: Request) -> Headers:
        """What an answer needs so that a page of a configured origin may read it; nothing for all others."""
        if not self._origins:
            return ()
        origin = self._configured(request)
        if origin is None:
            return (("Vary", "Origin"),)
        return (
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Expose-Headers", EXPOSED),
            ("Vary", "Origin"),
        )

    def preflight(self, request: Request, allow: Iterable[str]) -> Response | None:
        """The answer to a browser's question before a request, None if this is no such question.

        Args:
            request: As it came; nothing but its source has to be checked, since a preflight carries no token.
            allow: Methods of the path.
        """
        asked = request.header("access-control-request-method")
        if request.method != "OPTIONS" or asked is None or self._configured(request) is None:
            return None
        headers = [
            *self.cors_headers(request),
            ("Access-Control-Allow-Methods", ", ".join(allow)),
            ("Access-Control-Allow-Headers", ALLOWED_FIELDS),
            ("Access-Control-Max-Age", str(PREFLIGHT_AGE_S)),
        ]
        if request.header("access-control-request-private-network") == "true":
            headers.append(("Access-Control-Allow-Private-Network", "true"))
        return Response(status=204, headers=tuple(headers))


def _parse_origin(text: str) -> tuple[str, Authority] | None:
    """Scheme and authority of an origin, the scheme's own port left out; None for ``null`` and what is none."""
    match = ORIGIN.fullmatch(text)
    authority = parse_authority(match[2]) if match else None
    if match is None or authority is None:
        return None
    return _plain(match[1].lower(), authority)


def _plain(scheme: str, authority: Authority) -> tuple[str, Authority]:
    port = None if authority.port == DEFAULT_PORTS[scheme] else authority.port
    return scheme, Authority(authority.host, port)


def _configured_host(text: str) -> Authority:
    authority = parse_authority(text)
    if authority is None:
        raise ValueError(f"{text!r} is not a host or host:port")
    return authority


def _configured_origin(text: str) -> tuple[str, Authority]:
    origin = _parse_origin(text.rstrip("/"))
    if origin is None:
        raise ValueError(f"{text!r} is not an origin such as https://deck.example")
    return origin
