"""What may be called: patterns of scheme, host and port.

    https://hooks.example.org           exactly this name, on the scheme's own port
    https://*.example.org:8443          every name below example.org, not itself
    http://builds.intern:*              any port
    http://10.20.0.0/16:8080            addresses, of IPv6 as http://[fd00:1::/64]:8080
    https://*                           every name

A pattern of a name says who may be called, and the address that the name leads to must fit: an exact name may lead to a
public or a private address, one below a star only to a public one (whoever may add names there chooses addresses, too).
Beyond that a pattern of addresses must allow the address with the same scheme and port. Such a pattern allows public
addresses and those of the one kind in which it lies whole: ``0.0.0.0/0`` is every public address and no private one.
``localhost`` is always this machine, and never looked up.

By default loopback may be called while the server listens on loopback alone: whoever may start jobs then is on this
machine already. Nothing else.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING

from jobdeck_server.core.outbound.classes import NEVER, IPAddress, IPNetwork, Kind, is_within, kind_of
from jobdeck_server.core.outbound.errors import RefusedError
from jobdeck_server.core.outbound.urls import DEFAULT_PORTS, read_host

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jobdeck_server.core.outbound.urls import Url

LOCALHOST = "localhost"
LOCALHOST_ADDRESSES: tuple[IPAddress, ...] = (IPv4Address("127.0.0.1"), IPv6Address("::1"))
LOOPBACK_HOSTS = (LOCALHOST, "127.0.0.0/8", "[::1]")


class PatternError(ValueError):
    """A pattern is none, or of no use here; ``str()`` of it is for the operator."""


_PATTERN = re.compile(
    r"([a-z]+)://(\*|(?:\*\.)?[A-Za-z0-9._-]+|[0-9.]+/[0-9]{1,2}|\[[0-9A-Fa-f:.]+(?:/[0-9]{1,3})?\])(?::([0-9]{1,5}|\*))?"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One pattern. Exactly one of ``name``, ``below`` and ``network`` is set.

    Attributes:
        scheme: In lower case.
        port: None for any.
        name: This name.
        below: Every name that ends so; it begins with a dot, or is empty for every name.
        network: These addresses.
    """

    scheme: str
    port: int | None
    name: str | None = None
    below: str | None = None
    network: IPNetwork | None = None

    def covers(self, url: Url) -> bool:
        """Whether it is about this scheme and port."""
        return self.scheme == url.scheme and self.port in (None, url.port)

    def names(self, host: str) -> bool:
        """Whether a name is one of its names."""
        return host == self.name or (self.below is not None and host.endswith(self.below))

    def admits(self, ip: IPAddress) -> bool:
        """Whether an address is one of its addresses."""
        network = self.network
        if network is None or ip.version != network.version or ip not in network:
            return False
        kind = kind_of(ip)
        return kind not in NEVER and (kind is Kind.GLOBAL or is_within(network, kind))


def parse_rule(text: str) -> Rule:
    """Read a pattern.

    Raises:
        PatternError: It is none; the text says why.
    """
    match = _PATTERN.fullmatch(text)
    if match is None or match[1] not in DEFAULT_PORTS:
        raise PatternError(f"{text!r} is no pattern such as https://*.example.org:443 or http://10.0.0.0/8:8080")
    scheme, host, port_text = match[1], match[2], match[3]
    port = DEFAULT_PORTS[scheme] if port_text is None else None if port_text == "*" else int(port_text)
    if port is not None and not 0 < port < 65536:
        raise PatternError(f"{text!r}: the port is not between 1 and 65535")
    if host == "*":
        return Rule(scheme=scheme, port=port, below="")
    if "/" in host:
        return Rule(scheme=scheme, port=port, network=_network(text, host.strip("[]")))
    star = host.startswith("*.")
    try:
        name, ip = read_host(host[2:] if star else host)
    except RefusedError as error:
        raise PatternError(f"{text!r}: {error}") from None
    if ip is not None:
        if star:
            raise PatternError(f"{text!r}: there is nothing below an address; write a network, such as 10.0.0.0/8")
        return Rule(scheme=scheme, port=port, network=_network(text, name))
    return Rule(scheme=scheme, port=port, below=f".{name}") if star else Rule(scheme=scheme, port=port, name=name)


def _network(text: str, network_text: str) -> IPNetwork:
    try:
        network = ip_network(network_text)
    except ValueError as error:
        raise PatternError(f"{text!r}: {error}") from None
    if any(is_within(network, kind) for kind in NEVER):
        raise PatternError(f"{text!r}: such addresses are never called")
    return network


class Rules:
    """What may be called for one purpose.

    Args:
        schemes: That this purpose knows.
        patterns: See the top of this file; None for the default.
        loopback_only: Every listener of this server is on loopback.
        setting: The name of the setting, for people who are refused.

    Raises:
        PatternError: A pattern is none, or of a scheme that this purpose does not know.
    """

    def __init__(
        self, schemes: Iterable[str], patterns: Iterable[str] | None, *, loopback_only: bool, setting: str
    ) -> None:
        self.schemes = tuple(schemes)
        if patterns is None:
            patterns = [f"{s}://{host}:*" for s in self.schemes for host in LOOPBACK_HOSTS] if loopback_only else []
        self._rules = tuple(parse_rule(text) for text in patterns)
        for rule in self._rules:
            if rule.scheme not in self.schemes:
                raise PatternError(f"{rule.scheme}: is not used here, only {', '.join(self.schemes)}")
        self._setting = setting

    def check(self, url: Url) -> None:
        """Refuse what no pattern allows, as far as that can be said without looking up its name.

        Raises:
            RefusedError: It is not allowed.
        """
        rules = [rule for rule in self._rules if rule.covers(url)]
        if url.ip is None:
            allowed = any(rule.names(url.host) for rule in rules)
        else:
            allowed = any(rule.admits(url.ip) for rule in rules)
        if not allowed:
            raise RefusedError(f"{url.place} is not among the addresses that this server may call ({self._setting}).")

    def check_address(self, url: Url, ip: IPAddress) -> None:
        """Refuse an address that a name leads to.

        Raises:
            RefusedError: It is not allowed for this name.
        """
        self.check(url)
        if url.ip is not None:
            if ip != url.ip:
                raise RefusedError(f"{url.place} is another address.")
            return
        kind = kind_of(ip)
        rules = [rule for rule in self._rules if rule.covers(url)]
        fitting = {kind_ for rule in rules if rule.names(url.host) for kind_ in _fitting(rule)}
        if kind not in fitting and not any(rule.admits(ip) for rule in rules):
            raise RefusedError(
                f"{url.place} leads to an address that is {kind.value}, which this server may not call"
                f" ({self._setting})."
            )


def _fitting(rule: Rule) -> tuple[Kind, ...]:
    """The kinds of address that a name of this pattern may lead to."""
    if rule.name == LOCALHOST:
        return (Kind.LOOPBACK,)
    return (Kind.GLOBAL,) if rule.name is None else (Kind.GLOBAL, Kind.PRIVATE)
