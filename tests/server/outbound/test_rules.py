"""URLs, classes of addresses, and the list of what may be called; without a network."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobdeck_server.core.outbound.classes import NEVER, IPAddress, Kind, kind_of
from jobdeck_server.core.outbound.errors import RefusedError, SchemeError
from jobdeck_server.core.outbound.rules import Rules, parse_rule
from jobdeck_server.core.outbound.urls import parse, parse_file

SCHEMES = ("http", "https")


def rules(*patterns: str) -> Rules:
    return Rules(SCHEMES, patterns, loopback_only=False, setting="callback_allow")


def allowed(found: Rules, text: str, ip: str | None = None) -> bool:
    url = parse(text, schemes=SCHEMES, limit_bytes=8192)
    try:
        if ip is None:
            found.check(url)
        else:
            found.check_address(url, ip_address(ip))
    except RefusedError:
        return False
    return True


KINDS = [
    ("8.8.8.8", Kind.GLOBAL),
    ("2606:4700::1111", Kind.GLOBAL),
    ("127.0.0.1", Kind.LOOPBACK),
    ("127.255.255.254", Kind.LOOPBACK),
    ("::1", Kind.LOOPBACK),
    ("0.0.0.0", Kind.UNSPECIFIED),
    ("0.1.2.3", Kind.UNSPECIFIED),
    ("::", Kind.UNSPECIFIED),
    ("10.1.2.3", Kind.PRIVATE),
    ("100.64.0.1", Kind.PRIVATE),
    ("172.31.255.255", Kind.PRIVATE),
    ("192.168.1.1", Kind.PRIVATE),
    ("fd00::1", Kind.PRIVATE),
    ("fec0::1", Kind.PRIVATE),
    ("169.254.169.254", Kind.LINK_LOCAL),
    ("fe80::1", Kind.LINK_LOCAL),
    ("224.0.0.1", Kind.MULTICAST),
    ("ff02::1", Kind.MULTICAST),
    ("255.255.255.255", Kind.RESERVED),
    ("192.0.2.1", Kind.RESERVED),
    ("198.18.0.1", Kind.RESERVED),
    ("2001:db8::1", Kind.RESERVED),
    ("4000::1", Kind.RESERVED),
    ("::ffff:127.0.0.1", Kind.EMBEDDED),
    ("::ffff:8.8.8.8", Kind.EMBEDDED),
    ("::127.0.0.1", Kind.EMBEDDED),
    ("::ffff:0:127.0.0.1", Kind.EMBEDDED),
    ("64:ff9b::7f00:1", Kind.EMBEDDED),
    ("64:ff9b:1::7f00:1", Kind.EMBEDDED),
    ("2002:7f00:1::", Kind.EMBEDDED),
    ("2001:0:1::", Kind.EMBEDDED),
]


@pytest.mark.parametrize(("text", "kind"), KINDS)
def test_what_an_address_is(text: str, kind: Kind) -> None:
    assert kind_of(ip_address(text)) is kind


@given(st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)))
def test_what_is_public_here_is_public_for_others_too(ip: IPAddress) -> None:
    if kind_of(ip) is Kind.GLOBAL:
        assert ip.is_global
        assert not ip.is_multicast


ODD = [
    "http://127.0.0.1\\@example.org/",
    "http://user@127.0.0.1/",
    "http://user:word@127.0.0.1/",
    "http://127.0.0.1%2f@example.org/",
    "http://127.1/",
    "http://127.0.1/",
    "http://2130706433/",
    "http://0x7f000001/",
    "http://0x7f.0.0.1/",
    "http://0177.0.0.1/",
    "http://127.0.0.01/",
    "http://127.0.0.1./",
    "http://localhost./",
    "http://127.0.0.1.:80/",
    "http://1.2.3.4.5/",
    "http://256.1.1.1/",
    "http://example.0x10/",
    "http://[::1%25lo]/",
    "http://[fe80::1%25eth0]/",
    "http://[::1/",
    "http://::1/",
    "http://[v1.x]/",
    "http://%31%32%37.0.0.1/",
    "http://exa%6dple.org/",
    "http://\u2460\u2461\u2466.0.0.1/",
    "http://\uff11\uff12\uff17.0.0.1/",
    "http://b\u00fccher.example/",
    "http://ex\u3002ample.org/",
    "http://example.org\t/",
    "http://example.org\r\nX: y/",
    "http://example.org/a b",
    " http://example.org/",
    "http://example.org/\x00",
    "http:///path",
    "http://",
    "http:example.org/",
    "http:/example.org/",
    "http://example.org:/",
    "http://example.org:0/",
    "http://example.org:65536/",
    "http://example.org:-1/",
    "http://example.org:80:90/",
    "http://.example.org/",
    "http://example..org/",
    "http://-example.org/",
    "http://" + "a" * 64 + ".org/",
    "http://" + "a." * 130 + "org/",
    "http://example.org/" + "a" * 9000,
    "//example.org/",
    "/path",
    "",
    "gopher://127.0.0.1/_x",
    "file:///etc/passwd",
    "ftp://127.0.0.1/",
    "dict://127.0.0.1:11211/",
    "javascript:alert(1)",
    "jar:http://127.0.0.1!/",
    "http+unix://%2Fvar%2Frun/",
]


@pytest.mark.parametrize("text", ODD)
def test_odd_urls_are_not_read(text: str) -> None:
    with pytest.raises(RefusedError) as caught:
        parse(text, schemes=SCHEMES, limit_bytes=8192)
    assert "word" not in str(caught.value)


def test_a_url_in_its_one_spelling() -> None:
    url = parse("HTTP://Hooks.Example.ORG:080/a%20b?q=1#frag", schemes=SCHEMES, limit_bytes=100)
    assert (url.scheme, url.host, url.port, url.target) == ("http", "hooks.example.org", 80, "/a%20b?q=1")
    assert url.text == "http://hooks.example.org/a%20b?q=1"
    assert url.shown == "http://hooks.example.org/a%20b"
    url = parse("https://[0:0::0:1]:8443?x", schemes=SCHEMES, limit_bytes=100)
    assert (url.host, url.authority, url.target) == ("::1", "[::1]:8443", "/?x")
    with pytest.raises(SchemeError, match="must begin with http: or https:"):
        parse("httpz://x/", schemes=SCHEMES, limit_bytes=100)


@given(st.text(alphabet="htps:/.@[]%\\#?0123456789axlocé\u3002\t ", max_size=40).map(lambda rest: "http://" + rest))
def test_what_is_read_is_read_by_others_alike(text: str) -> None:
    try:
        url = parse(text, schemes=SCHEMES, limit_bytes=8192)
    except RefusedError:
        return
    other = urlsplit(text)
    assert other.hostname is not None
    assert url.host == (str(ip_address(other.hostname)) if url.ip is not None else other.hostname)
    assert url.port == (other.port or 80)
    assert parse(url.text, schemes=SCHEMES, limit_bytes=8192) == url


FILES = """file://host/x file:relative file:///a/../b file:///a//b file:///a/%2e%2e/b file:///a%2fb file:///a%00
    file:///a?b file:/// local: http://x/ file:///a/./b file:///a/ file:///a#b"""


@pytest.mark.parametrize("text", FILES.split())
def test_file_addresses_that_are_refused(text: str) -> None:
    with pytest.raises(RefusedError):
        parse_file(text, limit_bytes=8192)


def test_file_addresses() -> None:
    wanted = (b"srv", b"a b.whl")
    for text in ("file:///srv/a%20b.whl", "local:/srv/a%20b.whl", "local://localhost/srv/a%20b.whl"):
        assert parse_file(text, limit_bytes=100) == wanted


def test_patterns_of_names() -> None:
    exact, below = rules("https://hooks.example.org"), rules("https://*.example.org:443")
    assert allowed(exact, "https://hooks.example.org/x")
    for text in ("http://hooks.example.org/", "https://hooks.example.org:444/", "https://a.hooks.example.org/"):
        assert not allowed(exact, text)
    assert allowed(below, "https://a.b.EXAMPLE.org/")
    assert not allowed(below, "https://example.org/")
    assert not allowed(below, "https://badexample.org/")
    assert allowed(rules("https://*:*"), "https://any.where:1234/")
    assert not allowed(rules("https://*:*"), "https://8.8.8.8/")


def test_addresses_that_names_lead_to() -> None:
    exact, below = rules("https://hooks.example.org"), rules("https://*.example.org")
    url = "https://hooks.example.org/"
    for ip, by_name, by_star in (
        ("8.8.8.8", True, True),
        ("10.0.0.1", True, False),
        *(
            (ip, False, False)
            for ip in ("127.0.0.1", "169.254.169.254", "::1", "::ffff:8.8.8.8", "0.0.0.0", "192.0.2.1")
        ),
    ):
        assert allowed(exact, url, ip) is by_name
        assert allowed(below, url, ip) is by_star
    assert allowed(rules("https://*.example.org", "https://10.1.0.0/16"), url, "10.1.2.3")
    assert not allowed(rules("https://*.example.org", "https://10.1.0.0/16"), url, "10.2.2.3")
    assert not allowed(rules("https://*.example.org", "http://10.1.0.0/16"), url, "10.1.2.3")
    assert not allowed(rules("https://10.1.0.0/16"), url, "10.1.2.3")  # the name is nobody's
    assert allowed(rules("http://localhost"), "http://localhost/", "127.0.0.1")
    assert not allowed(rules("http://localhost"), "http://localhost/", "8.8.8.8")


def test_patterns_of_addresses() -> None:
    net = rules("http://10.0.0.0/8:8080", "http://[fd00::/8]:*", "https://[::ffff:0:0/96]")
    assert allowed(net, "http://10.9.8.7:8080/")
    assert not allowed(net, "http://10.9.8.7/")
    assert allowed(net, "http://[fd00::9]:99/")
    assert allowed(net, "https://[::ffff:1.2.3.4]/")
    everything = rules("http://0.0.0.0/0:*", "http://[::/0]:*")
    assert allowed(everything, "http://8.8.8.8/")
    for text, kind in KINDS:
        ip = ip_address(text)
        host = f"[{ip}]" if ip.version == 6 else text
        assert allowed(everything, f"http://{host}/") is (kind is Kind.GLOBAL)


PATTERNS = """example.org gopher://x http:// http://x/y http://*x.org http://a.*.org http://x:0 http://10.0.0.1/8
    http://*.1.2.3.4 http://1.2.3 http://[::1 http://224.0.0.0/8 http://0.0.0.0 http://[::] http://10.0.0.0/33
    http://[fd00::/129] http://x:70000 http://us@x file:///srv"""


@pytest.mark.parametrize("text", ["", *PATTERNS.split()])
def test_patterns_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):
        parse_rule(text)


@given(st.text(max_size=30))
def test_a_pattern_is_read_or_refused(text: str) -> None:
    try:
        rule = parse_rule(text)
    except ValueError:
        return
    assert [rule.name, rule.below, rule.network].count(None) == 2


@given(
    st.sampled_from(["http", "https"]),
    st.one_of(st.just("*"), st.from_regex(r"(\*\.)?[a-z]{1,8}\.(org|intern)", fullmatch=True)),
    st.integers(1, 65535),
    st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.integers(0, 2**128 - 1).map(IPv6Address)),
)
def test_no_pattern_of_a_name_leads_inside_but_an_exact_one(scheme: str, host: str, port: int, ip: IPAddress) -> None:
    found = rules(f"{scheme}://{host}:{port}")
    name = host.replace("*", "some.name") if host != "*" else "a.b"
    fits = allowed(found, f"{scheme}://{name}:{port}/", str(ip))
    assert fits is (kind_of(ip) is Kind.GLOBAL or (kind_of(ip) is Kind.PRIVATE and "*" not in host))
    assert not allowed(found, f"{scheme}://{name}:{port % 65535 + 1}/", str(ip))
    assert not (fits and kind_of(ip) in NEVER)


def test_the_default() -> None:
    loopback = Rules(SCHEMES, None, loopback_only=True, setting="x")
    for text in ("http://localhost:81/", "https://127.9.9.9/", "http://[::1]:5/"):
        assert allowed(loopback, text)
        assert not allowed(Rules(SCHEMES, None, loopback_only=False, setting="x"), text)
        assert not allowed(Rules(SCHEMES, [], loopback_only=True, setting="x"), text)
    for text in ("http://10.0.0.1/", "http://example.org/", "http://[::ffff:127.0.0.1]/", "http://0.0.0.0/"):
        assert not allowed(loopback, text)
    with pytest.raises(ValueError):
        Rules(SCHEMES, ["ftp://x"], loopback_only=True, setting="x")
