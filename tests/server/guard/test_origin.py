"""Threats 1, 2 and 3: pages of other sites, names that point here, WebSockets opened by foreign pages."""

from __future__ import annotations

import pytest

from jobdeck_server.guard import ForbiddenError, Guard, TokenStore
from jobdeck_server.guard.origin import OriginRules, parse_authority
from jobdeck_server.http.errors import HttpError
from jobdeck_server.http.message import Answer, Request, Response, Upgrade
from jobdeck_server.http.upgrade import Socket
from tests.server.guard.ask import ask
from tests.server.http.test_upgrade import HANDSHAKE
from tests.server.http.toy import Toy, serving, settings

PORT = 8080
# Host, whether it is served by a server on 127.0.0.1:8080
HOSTS = [
    ("127.0.0.1:8080", True),
    ("127.0.0.1", True),
    ("127.0.0.2:8080", True),
    ("127.255.255.254", True),
    ("localhost:8080", True),
    ("LocalHost:8080", True),
    ("localhost", True),
    ("[::1]:8080", True),
    ("[::1]", True),
    ("[0:0:0:0:0:0:0:1]:8080", True),
    ("deck.example", True),  # configured
    ("deck.example:443", True),
    ("other.example:8443", True),  # configured with its port
    ("other.example", False),
    ("other.example:8080", False),
    ("localhost:8081", False),
    ("127.0.0.1:80", False),
    ("localhost.:8080", False),
    ("127.0.0.1.:8080", False),
    ("evil.example", False),
    ("evil.example:8080", False),
    ("localhost.evil.example:8080", False),
    ("127.0.0.1.evil.example", False),
    ("127.0.0.1.nip.io:8080", False),
    ("xdeck.example", False),
    ("sub.deck.example", False),
    ("foo.localhost:8080", False),
    ("user@127.0.0.1:8080", False),
    ("127.0.0.1:8080@evil.example", False),
    ("2130706433:8080", False),
    ("0x7f000001:8080", False),
    ("0177.0.0.1:8080", False),
    ("0x7f.0.0.1:8080", False),
    ("127.1:8080", False),
    ("0:8080", False),
    ("0.0.0.0:8080", False),
    ("[::]:8080", False),
    ("[::ffff:127.0.0.1]:8080", False),
    ("[::ffff:7f00:1]:8080", False),
    ("[::1%25lo]:8080", False),
    ("[::1:8080", False),
    ("::1", False),
    ("localhost:", False),
    ("localhost:0", False),
    ("localhost:8080:8080", False),
    ("localhost:+8080", False),
    ("localhost:99999", False),
    ("localhost:\uff18\uff10\uff18\uff10", False),
    ("localhost/", False),
    ("http://localhost:8080", False),
    ("localhost 8080", False),
    ("localhost,evil.example", False),
    ("10.0.0.1:8080", False),
    ("", False),
    ("local\u017fhost:8080", False),
]

RULES = OriginRules(
    listeners=[("127.0.0.1", PORT)],
    allowed_hosts=["deck.example", "other.example:8443"],
    allowed_origins=["https://deck.example", "http://Console.Example:3000/"],
)


def refused(request: Request, rules: OriginRules = RULES) -> bool:
    try:
        rules.check(request)
    except ForbiddenError:
        return True
    return False


@pytest.mark.parametrize(("host", "served"), HOSTS)
def test_host_spellings(host: str, served: bool) -> None:
    assert refused(ask(host=host)) is not served
    # an absolute-form target is held to the same, whatever the Host beside it says
    if host:
        assert refused(ask(host="localhost", authority=host)) is not served


def test_host_missing_or_repeated() -> None:
    assert not refused(ask(host=None, http10=True))
    assert refused(ask(host=None))
    assert refused(ask(host=None, http10=True, headers=[("origin", "http://localhost")]))
    assert refused(ask(host="localhost", headers=[("host", "localhost")]))


def test_addresses_that_are_listened_on_are_hosts_but_wildcards_admit_none() -> None:
    rules = OriginRules(listeners=[("192.168.1.5", 80), ("0.0.0.0", 81), ("::", 81), ("fe80::1%eth0", 82)])
    assert not refused(ask(host="192.168.1.5"), rules)
    assert not refused(ask(host="192.168.1.5:81"), rules)
    assert not refused(ask(host="[fe80::1]:82"), rules)
    assert refused(ask(host="192.168.1.6:81"), rules)
    assert refused(ask(host="0.0.0.0:81"), rules)


ORIGINS = [
    (None, True),
    ("http://localhost:8080", True),  # own: the Host that is asked
    ("https://localhost:8080", True),  # own, behind a proxy that speaks TLS
    ("HTTP://LOCALHOST:8080", True),
    ("https://deck.example", True),  # configured
    ("https://deck.example:443", True),
    ("http://console.example:3000", True),
    ("null", False),
    ("", False),
    ("http://evil.example", False),
    ("http://localhost", False),
    ("http://localhost:3000", False),
    ("http://127.0.0.1:8080", False),  # another origin than the host that was asked
    ("http://deck.example", False),  # configured with https
    ("https://deck.example:444", False),
    ("https://deck.example.evil.example", False),
    ("http://localhost:8080.evil.example", False),
    ("http://user@localhost:8080", False),
    ("http://localhost:8080/", False),
    ("http://localhost:8080 http://evil.example", False),
    ("file://", False),
    ("chrome-extension://abc", False),
    ("ws://localhost:8080", False),
    ("localhost:8080", False),
    ("//localhost:8080", False),
]


@pytest.mark.parametrize(("origin", "served"), ORIGINS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS"])
def test_origins(origin: str | None, served: bool, method: str) -> None:
    headers = [] if origin is None else [("origin", origin)]
    assert refused(ask(method=method, headers=headers)) is not served


def test_two_origins_are_refused() -> None:
    assert refused(ask(headers=[("origin", "https://deck.example"), ("origin", "https://deck.example")]))


def test_own_origin_without_a_port() -> None:
    rules = OriginRules(listeners=[("127.0.0.1", 80)])
    assert not refused(ask(host="localhost", headers=[("origin", "http://localhost")]), rules)
    assert not refused(ask(host="localhost:80", headers=[("origin", "http://localhost")]), rules)


def test_with_tls_the_own_origin_is_https_alone() -> None:
    rules = OriginRules(listeners=[("127.0.0.1", 443)], allowed_origins=["http://console.example"], secure=True)
    assert not refused(ask(host="localhost", headers=[("origin", "https://localhost")]), rules)
    assert not refused(ask(host="localhost:443", headers=[("origin", "https://localhost")]), rules)
    assert refused(ask(host="localhost", headers=[("origin", "http://localhost")]), rules)
    assert refused(ask(host="localhost:443", headers=[("origin", "http://localhost:443")]), rules)
    assert not refused(ask(host="localhost", headers=[("origin", "http://console.example")]), rules)


@pytest.mark.parametrize(
    ("site", "origin", "served"),
    [
        ("same-origin", None, True),
        ("none", None, True),
        ("cross-site", None, False),
        ("same-site", None, False),
        ("Cross-Site", None, False),
        ("cross-site", "http://localhost:8080", False),
        ("cross-site", "https://deck.example", True),
        ("same-site", "http://evil.example", False),
    ],
)
def test_sec_fetch_site(site: str, origin: str | None, served: bool) -> None:
    headers = [("sec-fetch-site", site)] + ([] if origin is None else [("origin", origin)])
    assert refused(ask(headers=headers)) is not served


def test_configured_values_are_checked() -> None:
    for host in ("", "a b", "http://x", "x:y", "[::zz]"):
        with pytest.raises(ValueError):
            OriginRules(listeners=[], allowed_hosts=[host])
    for origin in ("", "deck.example", "null", "*", "ftp://x", "https://x/y"):
        with pytest.raises(ValueError):
            OriginRules(listeners=[], allowed_origins=[origin])


def test_authorities_have_one_form() -> None:
    authority = parse_authority("[0:0::1]:5")
    assert authority is not None
    assert (authority.host, authority.port) == ("::1", 5)


# CORS


def test_no_cors_headers_unless_configured() -> None:
    rules = OriginRules(listeners=[("127.0.0.1", PORT)])
    asked = ask(
        method="OPTIONS", headers=[("origin", "http://localhost:8080"), ("access-control-request-method", "GET")]
    )
    assert rules.cors_headers(asked) == ()
    assert rules.preflight(asked, ["GET"]) is None


def test_cors_headers_of_a_configured_origin() -> None:
    headers = dict(RULES.cors_headers(ask(headers=[("origin", "https://deck.example")])))
    assert headers["Access-Control-Allow-Origin"] == "https://deck.example"
    assert headers["Vary"] == "Origin"
    assert "Jobdeck-Offset" in headers["Access-Control-Expose-Headers"]
    assert RULES.cors_headers(ask(headers=[("origin", "http://localhost:8080")])) == (("Vary", "Origin"),)
    assert RULES.cors_headers(ask()) == (("Vary", "Origin"),)


def test_preflight() -> None:
    asked = ask(
        method="OPTIONS",
        headers=[
            ("origin", "https://deck.example"),
            ("access-control-request-method", "DELETE"),
            ("access-control-request-private-network", "true"),
        ],
    )
    answer = RULES.preflight(asked, ["DELETE", "GET"])
    assert answer is not None
    assert answer.status == 204
    headers = dict(answer.headers)
    assert headers["Access-Control-Allow-Origin"] == "https://deck.example"
    assert headers["Access-Control-Allow-Methods"] == "DELETE, GET"
    assert "Authorization" in headers["Access-Control-Allow-Headers"]
    assert headers["Access-Control-Allow-Private-Network"] == "true"
    assert "Access-Control-Allow-Credentials" not in headers
    assert RULES.preflight(ask(method="OPTIONS", headers=[("origin", "https://deck.example")]), ["GET"]) is None


# over the wire, with a canary


class Canary:
    """Counts what was let in."""

    def __init__(self) -> None:
        self.ran = 0
        self.guard: Guard | None = None

    async def __call__(self, request: Request) -> Answer:
        assert self.guard is not None
        try:
            self.guard.admit(request)
        except ForbiddenError as error:
            raise Refused(str(error)) from error
        self.ran += 1
        if request.path == "/ws":

            async def run(socket: Socket) -> None:
                pass

            return Upgrade(subprotocol=None, run=run, message_limit_bytes=100)
        return Response(body=b"started")


class Refused(HttpError):
    status = 403
    close = False


def guarding(canary: Canary, toy: Toy) -> None:
    values = settings(allowed_origins=("https://deck.example",))
    canary.guard = Guard(values, TokenStore(values.data_dir), [("127.0.0.1", toy.port)])


TYPES = [
    "application/x-www-form-urlencoded",
    "multipart/form-data; boundary=x",
    "text/plain",
    "text/plain; x=application/json",
    "application/json",
    "application/json; charset=utf-8",
    "application/octet-stream",
    "",
]


async def test_content_types_by_origins() -> None:
    canary = Canary()
    async with serving(canary) as toy, toy.client() as client:
        guarding(canary, toy)
        # h11 as a client names "localhost" as Host, without a port
        for origin, served in (
            (None, True),
            ("null", False),
            ("http://evil.example", False),
            ("http://localhost", True),
        ):
            for kind in TYPES:
                before = canary.ran
                headers = [("Content-Type", kind)] + ([] if origin is None else [("Origin", origin)])
                reply = await client.request("POST", "/jobs", headers, body=b'{"command": "touch canary"}')
                assert (reply.status, canary.ran - before) == ((200, 1) if served else (403, 0)), (kind, origin)
        assert canary.ran == 16


async def test_hosts_over_the_wire_on_http_and_websocket() -> None:
    canary = Canary()
    async with serving(canary, linger_timeout_s=0.02, ws_close_timeout_s=0.02) as toy:
        guarding(canary, toy)
        for host, served in HOSTS:
            if "example" in host and served:
                continue  # not configured here
            raw = host.replace(str(PORT), str(toy.port)).encode()
            before = canary.ran
            http = await toy.talk(b"GET / HTTP/1.1\r\nHost: " + raw + b"\r\nConnection: close\r\n\r\n", end=True)
            ws = await toy.talk(HANDSHAKE.replace(b"Host: a", b"Host: " + raw), end=True)
            absolute = await toy.talk(
                b"GET http://" + raw + b"/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", end=True
            )
            if served:
                assert http.startswith(b"HTTP/1.1 200"), host
                assert ws.startswith(b"HTTP/1.1 101"), host
                assert absolute.startswith(b"HTTP/1.1 200"), host
            else:
                for data in (http, ws):
                    assert data[:12] in (b"HTTP/1.1 403", b"HTTP/1.1 400"), host
            assert canary.ran - before == (3 if served else int(absolute.startswith(b"HTTP/1.1 200"))), host
        # the only spelling that an absolute target makes harmless: its path begins where the host seemed to go on
        assert not toy.log.bugs()


async def test_websocket_handshakes_from_foreign_pages_are_403_before_the_upgrade() -> None:
    canary = Canary()
    foreign = [origin for origin, served in ORIGINS if not served and origin and origin.isascii()]
    async with serving(canary, ws_close_timeout_s=0.02, linger_timeout_s=0.02) as toy:
        guarding(canary, toy)
        for origin in foreign:
            line = b"Host: localhost:%d\r\nOrigin: %b" % (toy.port, origin.encode())
            data = await toy.talk(HANDSHAKE.replace(b"Host: a", line), end=True)
            assert data.startswith(b"HTTP/1.1 403 "), origin
            assert b"101" not in data
        for site in (b"cross-site", b"same-site"):
            line = b"Host: localhost:%d\r\nSec-Fetch-Site: %b" % (toy.port, site)
            data = await toy.talk(HANDSHAKE.replace(b"Host: a", line), end=True)
            assert data.startswith(b"HTTP/1.1 403 ")
        assert len(foreign) + 2 >= 18
        assert canary.ran == 0
        for own in (b"http://localhost:%d" % toy.port, b"https://deck.example"):
            line = b"Host: localhost:%d\r\nOrigin: %b" % (toy.port, own)
            data = await toy.talk(HANDSHAKE.replace(b"Host: a", line), end=True)
            assert data.startswith(b"HTTP/1.1 101 ")
        assert canary.ran == 2
