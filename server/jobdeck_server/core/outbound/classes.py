"""What kind of place an IP address is.

Listed here and not left to ``ipaddress``, whose answers differ between versions of Python. An IPv6 address that has an
IPv4 address in it (mapped, compatible, translated, NAT64, 6to4, Teredo) is ``EMBEDDED`` whatever that one is: where it
leads is decided by a router or a kernel, and not by what is checked here.

Source: the IANA special-purpose address registries for IPv4 and IPv6, as of RFC 6890 and its successors.
"""

from __future__ import annotations

from enum import Enum
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network

IPAddress = IPv4Address | IPv6Address
IPNetwork = IPv4Network | IPv6Network


class Kind(Enum):
    """What an address is; the value is said to people."""

    GLOBAL = "public"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    LINK_LOCAL = "link-local"
    EMBEDDED = "one with an IPv4 address in it"
    RESERVED = "reserved"
    MULTICAST = "multicast"
    UNSPECIFIED = "unspecified"


NEVER = frozenset({Kind.MULTICAST, Kind.UNSPECIFIED})
"""Nothing can allow these."""

_TEXTS: dict[Kind, tuple[str, ...]] = {
    Kind.UNSPECIFIED: ("0.0.0.0/8", "::/128"),
    Kind.LOOPBACK: ("127.0.0.0/8", "::1/128"),
    Kind.LINK_LOCAL: ("169.254.0.0/16", "fe80::/10"),
    Kind.PRIVATE: ("10.0.0.0/8", "100.64.0.0/10", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7", "fec0::/10"),
    Kind.MULTICAST: ("224.0.0.0/4", "ff00::/8"),
    Kind.EMBEDDED: (
        *("::/96", "::ffff:0:0/96", "::ffff:0:0:0/96"),  # compatible, mapped, translated
        *("64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16"),  # NAT64, Teredo, 6to4
    ),
    Kind.RESERVED: (
        *("192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"),
        *("240.0.0.0/4", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16", "100::/63"),
    ),
}
# The first that holds an address says what it is: ``::1`` lies in ``::/96`` too, and Teredo within 2001::/23
_TABLE: tuple[tuple[IPNetwork, Kind], ...] = tuple(
    (ip_network(text), kind) for kind, texts in _TEXTS.items() for text in texts
)
_GLOBAL_V6 = IPv6Network("2000::/3")


def kind_of(address: IPAddress) -> Kind:
    """What kind of place an address is."""
    for network, kind in _TABLE:
        if address in network:
            return kind
    if isinstance(address, IPv6Address) and address not in _GLOBAL_V6:
        return Kind.RESERVED
    return Kind.GLOBAL


def is_within(network: IPNetwork, kind: Kind) -> bool:
    """Whether a network lies in one range of that kind, so that whoever wrote it down meant that kind."""
    return any(_contains(outer, network) for outer, found in _TABLE if found is kind)


def _contains(outer: IPNetwork, inner: IPNetwork) -> bool:
    return outer.version == inner.version and outer.prefixlen <= inner.prefixlen and inner.network_address in outer
