"""URLs that a client chose, read in one way only.

Programs differ in what they make of odd URLs, and every difference is a way around a check (what is checked is not what
is called). So nothing odd is read at all: no user, no backslash, no byte that is not visible ASCII, no percent sign,
trailing dot or zone in the host, no IPv4 address but in four plain decimal parts. Names outside ASCII are written in
their ``xn--`` form by whoever sends them.

Source: RFC 3986 section 3, narrowed; WHATWG URL, "ends in a number".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from jobdeck_server.core.outbound.errors import RefusedError, SchemeError

if TYPE_CHECKING:
    from collections.abc import Collection

    from jobdeck_server.core.outbound.classes import IPAddress

DEFAULT_PORTS = {"http": 80, "https": 443, "ftp": 21}
FILE_SCHEMES = frozenset({"file", "local"})

_VISIBLE = re.compile(r"[!-\[\]-~]+")  # all of visible ASCII but the backslash
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(.*)")
_REST = re.compile(r"//([^/?#]*)([^?#]*)(\?[^#]*)?(?:#.*)?")
_AUTHORITY = re.compile(r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})(?::([0-9]{1,5}))?")
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"[0-9]+|0x[0-9a-f]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An address that could be called.

    Attributes:
        scheme: In lower case.
        host: A name in lower case, or an IP address in its shortest form and without brackets.
        ip: The address if the host is one.
        port: As given, or the scheme's own.
        path: As sent, beginning with a slash.
        query: With its question mark, or empty.
    """

    scheme: str
    host: str
    ip: IPAddress | None
    port: int
    path: str
    query: str

    @property
    def target(self) -> str:
        """What a request line says."""
        return self.path + self.query

    @property
    def authority(self) -> str:
        """What ``Host`` says."""
        host = f"[{self.host}]" if isinstance(self.ip, IPv6Address) else self.host
        return host if self.port == DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def place(self) -> str:
        """Scheme, host and port, for people and logs."""
        return f"{self.scheme}://{self.authority}"

    @property
    def shown(self) -> str:
        """The same with the path; the query is left out, as it may hold secrets."""
        return self.place + self.path

    @property
    def text(self) -> str:
        """The whole in one spelling."""
        return self.place + self.target


def scheme_of(text: str) -> str | None:
    """The scheme in lower case, None for a text that has none."""
    match = _SCHEME.fullmatch(text)
    return match[1].lower() if match else None


def parse(text: str, *, schemes: Collection[str], limit_bytes: int) -> Url:
    """Read a URL with a host.

    Args:
        text: As the client sent it.
        schemes: Those of ``DEFAULT_PORTS`` that are wanted here.
        limit_bytes: Of its length.

    Raises:
        SchemeError: It has another scheme, or none.
        RefusedError: It is no URL, or written in a way that is not read here.
    """
    rest = _after_scheme(text, schemes, limit_bytes)
    scheme = text[: text.index(":")].lower()
    match = _REST.fullmatch(rest)
    if match is None:
        raise RefusedError(f"The address does not begin with {scheme}:// and a host.")
    host, ip, port = _authority(match[1])
    return Url(
        scheme=scheme,
        host=host,
        ip=ip,
        port=DEFAULT_PORTS[scheme] if port is None else port,
        path=match[2] or "/",
        query=match[3] or "",
    )


def parse_file(text: str, *, limit_bytes: int) -> tuple[bytes, ...]:
    """The parts of the path of a ``file:`` or ``local:`` URI, as bytes; all of them plain names.

    Raises:
        SchemeError, RefusedError: See ``parse``.
    """
    rest = _after_scheme(text, FILE_SCHEMES, limit_bytes)
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        if host.lower() not in ("", "localhost"):
            raise RefusedError("A file: or local: address names no other host.")
        rest = slash + path
    if not rest.startswith("/") or "?" in rest or "#" in rest:
        raise RefusedError("A file: or local: address is an absolute path, as in file:///srv/packages/job.whl.")
    parts = tuple(unquote_to_bytes(part) for part in rest[1:].split("/"))
    if any(part in (b"", b".", b"..") or b"/" in part or b"\0" in part for part in parts):
        raise RefusedError("The path of a file: or local: address has no empty parts, dots or slashes in its names.")
    return parts


def _after_scheme(text: str, schemes: Collection[str], limit_bytes: int) -> str:
    if len(text) > limit_bytes:
        raise RefusedError(f"The address is over the limit of {limit_bytes} bytes.")
    if _VISIBLE.fullmatch(text) is None:
        raise RefusedError("The address has characters in it that must be written as %XX (or, in a name, as xn--).")
    match = _SCHEME.fullmatch(text)
    if match is None or match[1].lower() not in schemes:
        raise SchemeError(f"The address must begin with {_either(schemes)}.")
    return match[2]


def _either(schemes: Collection[str]) -> str:
    words = [f"{scheme}:" for scheme in sorted(schemes)]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _authority(text: str) -> tuple[str, IPAddress | None, int | None]:
    if "@" in text:
        raise RefusedError("The address has a user in it, which is not allowed.")
    match = _AUTHORITY.fullmatch(text)
    if match is None:
        raise RefusedError("The address has no host, or one that cannot be read.")
    port = None if match[2] is None else int(match[2])
    if port is not None and not 0 < port < 65536:
        raise RefusedError("The port of the address is not between 1 and 65535.")
    host, ip = read_host(match[1])
    return host, ip, port


def read_host(text: str) -> tuple[str, IPAddress | None]:
    """A host in its one spelling, and the address that it is, if it is one.

    Raises:
        RefusedError: It is neither a name nor an address in the usual form.
    """
    try:
        if text.startswith("["):
            ip6 = IPv6Address(text[1:-1])
            return str(ip6), ip6
        host = text.lower()
        labels = host.split(".")
        if _NUMBER.fullmatch(labels[-1] or labels[-2 if len(labels) > 1 else -1]):
            ip4 = IPv4Address(host)
            return str(ip4), ip4
    except AddressValueError:
        raise RefusedError("The host looks like an IP address and is not written as one usually is.") from None
    if len(host) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise RefusedError("The host is no name.")
    return host, None
