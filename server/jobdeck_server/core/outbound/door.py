"""From a URL that a client chose to a connection: allowed, looked up once, checked, connected to exactly that address.

    door = Door(settings, rules, own=listeners)
    url = door.check(text)                      # at once, without the network: for the answer to the client
    async with door.connect(url) as line: ...   # later, as often as needed; every time looked up and checked again

The name goes to the resolver once for each connection, in a thread and with a deadline. If any of the addresses is not
allowed, none is called. The socket connects to the numbers that were checked, so no second look-up can say anything
else, and what it is connected to is compared once more. ``Host`` and TLS say the name. This server itself is not
called: jobs that start jobs do so by its API, and not in a circle of callbacks.
"""

from __future__ import annotations

import logging
import socket
import ssl
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

import trio

from jobdeck_server.core.outbound import urls
from jobdeck_server.core.outbound.classes import Kind, kind_of
from jobdeck_server.core.outbound.errors import FailedError, RefusedError
from jobdeck_server.core.outbound.rules import LOCALHOST, LOCALHOST_ADDRESSES

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
    from pathlib import Path

    from jobdeck_server.core.outbound.classes import IPAddress
    from jobdeck_server.core.outbound.rules import Rules
    from jobdeck_server.core.outbound.urls import Url
    from jobdeck_server.settings import Settings

    Resolver = Callable[[str, int], Sequence[IPAddress]]

_log = logging.getLogger("jobdeck.outbound")
_ADDRESS_LIMIT_COUNT = 16  # of one name that are looked at; more than anybody needs is refused
_TRY_COUNT = 4  # addresses of one name that are tried, one after the other


@dataclass(frozen=True, slots=True)
class Line:
    """A connection: what is said on it, and the address it leads to."""

    stream: trio.abc.Stream
    ip: IPAddress


class Door:
    """See the top of this file.

    Args:
        settings: Those that begin with ``outbound_``.
        rules: What may be called.
        own: (host, port) of this server's listeners.
        resolver: Blocking; the addresses of a name. Raises OSError.
        context: For TLS; None for the system's issuers and ``Settings.outbound_ca``.
    """

    def __init__(
        self,
        settings: Settings,
        rules: Rules,
        *,
        own: Iterable[tuple[str, int]] = (),
        resolver: Resolver | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings
        self._rules = rules
        self._own_ports = frozenset(port for _, port in own)
        self._own_hosts = frozenset(host for host, _ in own)
        self._resolver = resolver or look_up
        self._context = context
        self._limiter = trio.CapacityLimiter(settings.outbound_resolve_limit_count)

    def check(self, text: str) -> Url:
        """Read a URL and refuse it if it may not be called, as far as that can be told without looking up its name.

        Raises:
            SchemeError: It is none of the schemes of this purpose.
            RefusedError: It is no URL, or not allowed.
        """
        url = urls.parse(text, schemes=self._rules.schemes, limit_bytes=self.settings.outbound_url_limit_bytes)
        self._rules.check(url)
        for ip in _known(url):
            self._check_not_own(url, ip, url.port)
        return url

    @asynccontextmanager
    async def connect(self, url: Url) -> AsyncGenerator[Line, None]:
        """A connection to what a URL names, with TLS for https; closed at the end without waiting for the other end.

        Raises:
            RefusedError: The address that the name leads to may not be called.
            FailedError: There is no such name, nobody answers, or TLS does not hold.
        """
        addresses = await self._addresses(url)
        line: Line | None = None
        try:
            with trio.move_on_after(self.settings.outbound_connect_s):
                line = await self._dial(url, addresses)
            if line is None:
                raise FailedError(f"{url.place} could not be reached in {self.settings.outbound_connect_s:g} s.")
            yield line
        finally:
            if line is not None:
                await trio.aclose_forcefully(line.stream)

    @asynccontextmanager
    async def connect_beside(self, url: Url, line: Line, port: int) -> AsyncGenerator[Line, None]:
        """A second connection to the very address of a first one, at another port (the data of ftp).

        Raises:
            RefusedError: That port is this server's own.
            FailedError: Nobody answers.
        """
        self._check_not_own(url, line.ip, port)
        stream: trio.SocketStream | None = None
        try:
            with trio.move_on_after(self.settings.outbound_connect_s):
                stream = await self._call(url, line.ip, port)
            if stream is None:
                raise FailedError(f"The data of {url.place} could not be reached in time.")
            yield Line(stream, line.ip)
        finally:
            if stream is not None:
                await trio.aclose_forcefully(stream)

    # -- names --

    async def _addresses(self, url: Url) -> Sequence[IPAddress]:
        """All addresses of a host, each of them allowed."""
        found = _known(url) or await self._resolve(url)
        for ip in found:
            self._rules.check_address(url, ip)
            self._check_not_own(url, ip, url.port)
        return found

    async def _resolve(self, url: Url) -> Sequence[IPAddress]:
        found: Sequence[IPAddress] | None = None
        try:
            with trio.move_on_after(self.settings.outbound_resolve_s):
                # a thread that was left behind keeps its place among the few until the resolver lets it go
                found = await trio.to_thread.run_sync(
                    self._resolver, url.host, url.port, limiter=self._limiter, abandon_on_cancel=True
                )
        except (OSError, UnicodeError) as error:
            raise FailedError(f"{url.host} could not be looked up.") from error
        if found is None:
            raise FailedError(f"{url.host} could not be looked up in {self.settings.outbound_resolve_s:g} s.")
        found = tuple(dict.fromkeys(found))
        if not 0 < len(found) <= _ADDRESS_LIMIT_COUNT:
            raise FailedError(f"{url.host} has no address, or more than {_ADDRESS_LIMIT_COUNT}.")
        return found

    def _check_not_own(self, url: Url, ip: IPAddress, port: int) -> None:
        if port in self._own_ports and (kind_of(ip) is Kind.LOOPBACK or str(ip) in self._own_hosts):
            raise RefusedError(f"{url.place} is this server itself, which it does not call.")

    # -- connections --

    async def _dial(self, url: Url, addresses: Sequence[IPAddress]) -> Line:
        context = await self._tls() if url.scheme == "https" else None
        tried = addresses[:_TRY_COUNT]
        failed = FailedError(f"{url.place} could not be reached in {self.settings.outbound_connect_s:g} s.")
        for ip in tried:
            stream: trio.SocketStream | None = None
            with trio.move_on_after(self.settings.outbound_connect_s / len(tried)):
                try:
                    stream = await self._call(url, ip, url.port)
                except FailedError as error:
                    failed = error
            if stream is not None:
                return Line(stream if context is None else await _secured(url, stream, context), ip)
        raise failed

    async def _call(self, url: Url, ip: IPAddress, port: int) -> trio.SocketStream:
        """Connect to an address, given in numbers, and make sure that it is that address."""
        family = socket.AF_INET if isinstance(ip, IPv4Address) else socket.AF_INET6
        with_scope = () if isinstance(ip, IPv4Address) else (0, 0)
        raw = trio.socket.socket(family, socket.SOCK_STREAM)
        try:
            await raw.connect((str(ip), port, *with_scope))
            here, there = raw.getsockname(), raw.getpeername()
            if ip_address(there[0]) != ip or there[1] != port:
                raise RefusedError(f"{url.place} is not where it should be.")
            if here[0] == there[0] and port in self._own_ports:  # another address of this machine
                raise RefusedError(f"{url.place} is this server itself, which it does not call.")
            return trio.SocketStream(raw)
        except OSError as error:
            raw.close()
            raise FailedError(f"{url.place} could not be reached: {error.strerror or error}.") from error
        except BaseException:
            raw.close()
            raise

    async def _tls(self) -> ssl.SSLContext:
        if self._context is None:
            try:
                self._context = await trio.to_thread.run_sync(context_of, self.settings.outbound_ca)
            except OSError as error:
                raise FailedError("The file of trusted issuers (outbound_ca) cannot be used.") from error
        return self._context


def _known(url: Url) -> Sequence[IPAddress]:
    """The addresses of a host that is not looked up; none for one that is."""
    if url.ip is not None:
        return (url.ip,)
    return LOCALHOST_ADDRESSES if url.host == LOCALHOST else ()


async def _secured(url: Url, stream: trio.SocketStream, context: ssl.SSLContext) -> trio.SSLStream[trio.SocketStream]:
    secure = trio.SSLStream(stream, context, server_hostname=url.host, https_compatible=True)
    try:
        await secure.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise FailedError(f"{url.place}: {_why(error)}.") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return secure


def _why(error: BaseException) -> str:
    """What is wrong with a handshake, for people."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"its certificate does not hold ({cause.verify_message.rstrip('.')})"
        cause = cause.__cause__
    return "it does not speak TLS as this server does"


def context_of(authorities: Path | None) -> ssl.SSLContext:
    """What TLS trusts: the system's issuers, and those of a file in PEM form. Blocks.

    Raises:
        OSError: The file cannot be read, or holds no certificate.
    """
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def look_up(host: str, port: int) -> list[IPAddress]:
    """Ask the system for the addresses of a name. Blocks, for as long as the system likes.

    Raises:
        OSError: There is none.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [_address(str(sockaddr[0])) for family, _, _, _, sockaddr in found if family in _FAMILIES]


def _address(text: str) -> IPAddress:
    """An address as the resolver says it; a zone makes no difference, for what has one is not called."""
    host = text.partition("%")[0]
    return IPv6Address(host) if ":" in host else IPv4Address(host)


_FAMILIES = (socket.AF_INET, socket.AF_INET6)
