"""Nothing but what is allowed is ever reached: odd spellings, names that lead inside, changing answers, redirects."""

from __future__ import annotations

import socket
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
import trio

from jobdeck_server.core.outbound.door import Door
from jobdeck_server.core.outbound.errors import FailedError, OutboundError, RefusedError
from jobdeck_server.core.outbound.exchange import Exchange
from tests.pki import Pki
from tests.server.outbound.receivers import OK, Say, door_of, fine, receiver, resolver, saying, settings_of, talking

HEAD_BYTES = 16 * 1024


async def call(door: Door, text: str, *, limit_s: float = 5.0) -> tuple[int, bytes]:
    """A GET by this door, and the answer to it."""
    url = door.check(text)
    with trio.fail_after(limit_s):
        async with door.connect(url) as line:
            exchange = Exchange(line.stream, url, head_limit_bytes=HEAD_BYTES)
            answer = await exchange.request("GET", {})
            return answer.status, b"".join([piece async for piece in exchange.pieces()])


# {} is the port of the canary
SPELLED = [
    "http://127.0.0.1:{}/",
    "http://localhost:{}/",
    "http://LOCALHOST:{}/",
    "http://localhost.:{}/",
    "http://127.1:{}/",
    "http://127.0.1:{}/",
    "http://2130706433:{}/",
    "http://0x7f000001:{}/",
    "http://0x7f.1:{}/",
    "http://0177.0.0.1:{}/",
    "http://017700000001:{}/",
    "http://127.0.0.1.:{}/",
    "http://127.000.000.001:{}/",
    "http://127.255.255.254:{}/",
    "http://127.0.0.2:{}/",
    "http://0.0.0.0:{}/",
    "http://0:{}/",
    "http://0.1:{}/",
    "http://[::1]:{}/",
    "http://[::]:{}/",
    "http://[0:0:0:0:0:0:0:1]:{}/",
    "http://[::ffff:127.0.0.1]:{}/",
    "http://[::ffff:7f00:1]:{}/",
    "http://[::127.0.0.1]:{}/",
    "http://[::ffff:0:127.0.0.1]:{}/",
    "http://[64:ff9b::127.0.0.1]:{}/",
    "http://[64:ff9b::7f00:1]:{}/",
    "http://[2002:7f00:1::]:{}/",
    "http://[::1%25lo]:{}/",
    "http://[::1%lo]:{}/",
    "http://[fe80::1%25lo]:{}/",
    "http://hooks.example.org@127.0.0.1:{}/",
    "http://127.0.0.1:{}\\@hooks.example.org/",
    "http://hooks.example.org:80@127.0.0.1:{}/",
    "http://hooks.example.org%40127.0.0.1:{}/",
    "http://hooks.example.org%00.127.0.0.1:{}/",
    "http://%6c%6fcalhost:{}/",
    "http://%31%32%37.0.0.1:{}/",
    "http://127%2e0%2e0%2e1:{}/",
    "http://①②⑦.0.0.1:{}/",
    "http://\uff11\uff12\uff17.0.0.1:{}/",
    "http://ⓛⓞⓒalhost:{}/",
    "http://127。0。0。1:{}/",
    "http://169.254.169.254:{}/latest",
    "http://hooks.example.org.:{}/",
    "http://evil-example.org:{}/",
    "http://example.org:{}/",
    "http:127.0.0.1:{}/",
    "http:/127.0.0.1:{}/",
    "http:///127.0.0.1:{}/",
    "//127.0.0.1:{}/",
    "gopher://127.0.0.1:{}/_x",
    "file://127.0.0.1:{}/etc/passwd",
    "dict://127.0.0.1:{}/info",
    "ldap://127.0.0.1:{}/",
    "tftp://127.0.0.1:{}/x",
    "ws://127.0.0.1:{}/",
    "unix://127.0.0.1:{}/",
    "jar:http://127.0.0.1:{}!/",
    "http://127.0.0.1:{}#@hooks.example.org/",
    "http://127.0.0.1:{}?@hooks.example.org/",
    "ftp://127.0.0.1:{}/x",
    "ftp://anonymous@127.0.0.1:{}/x",
]

INSIDE = {
    "loop": ["127.0.0.1"],
    "loop6": ["::1"],
    "mapped": ["::ffff:127.0.0.1"],
    "any": ["0.0.0.0"],
    "any6": ["::"],
    "nat64": ["64:ff9b::7f00:1"],
    "compatible": ["::127.0.0.1"],
    "mixed": ["8.8.8.8", "127.0.0.1"],
    "private": ["10.0.0.1"],
    "metadata": ["169.254.169.254"],
    "multicast": ["224.0.0.1"],
    "nothing": [],
    "many": [f"8.8.8.{i}" for i in range(20)],
}


def test_the_list_is_long_enough() -> None:
    assert len(set(SPELLED)) + len(INSIDE) >= 75


async def test_the_canary_is_never_reached(tmp_path: Path) -> None:
    names = resolver(**{f"{name}_example_org": found for name, found in INSIDE.items()}, localhost=["127.0.0.1"])
    async with AsyncExitStack() as stack:
        canary = await stack.enter_async_context(receiver())
        canaries = [canary]
        if socket.has_ipv6:
            canaries.append(await stack.enter_async_context(receiver(host="::1", port=canary.port)))
        door = door_of(
            settings_of(tmp_path),
            [f"{scheme}://*.example.org:*" for scheme in ("http", "https", "ftp")],
            names=names,
        )
        for text in [each.replace("{}", str(canary.port)) for each in SPELLED]:
            with pytest.raises(RefusedError):
                await call(door, text)
        for name in INSIDE:
            with pytest.raises(OutboundError):
                await call(door, f"http://{name}.example.org:{canary.port}/")
        assert [each.contacts for each in canaries] == [0] * len(canaries)


async def test_a_name_is_looked_up_once_and_what_it_said_is_called(tmp_path: Path) -> None:
    """A name that leads to an allowed address when it is checked, and to another one when asked again."""
    said: list[str] = []

    def turning() -> list[str]:
        said.append("127.0.0.2" if not said else "127.0.0.1")
        return said[-1:]

    async with receiver(host="127.0.0.2") as wanted, receiver(port=wanted.port) as canary:
        door = door_of(
            settings_of(tmp_path),
            [f"http://turning.example.org:{wanted.port}", f"http://127.0.0.2/32:{wanted.port}"],
            names=resolver(turning_example_org=turning),
        )
        url = f"http://turning.example.org:{wanted.port}/x?y=1"
        assert await call(door, url) == (200, b"ok")
        assert said == ["127.0.0.2"]
        assert wanted.got[0].line == "GET /x?y=1 HTTP/1.1"
        assert wanted.got[0].headers["host"] == f"turning.example.org:{wanted.port}"
        assert wanted.got[0].headers["accept-encoding"] == "identity"
        with pytest.raises(RefusedError, match="loopback"):
            await call(door, url)
        assert canary.contacts == 0


async def test_redirects_are_answers(tmp_path: Path) -> None:
    async with receiver() as canary:
        for status in (301, 302, 303, 307, 308):
            answer = f"HTTP/1.1 {status} x\r\nLocation: {canary.url()}\r\nContent-Length: 0\r\n\r\n"
            async with receiver(saying(answer.encode())) as other:
                assert await call(door_of(settings_of(tmp_path)), other.url()) == (status, b"")
        assert canary.contacts == 0


async def test_the_environment_has_no_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password secret\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with receiver() as proxy, receiver() as wanted:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url())
        assert await call(door_of(settings_of(tmp_path)), wanted.url()) == (200, b"ok")
        assert proxy.contacts == 0
        assert "authorization" not in wanted.got[0].headers


async def test_this_server_is_not_called(tmp_path: Path) -> None:
    async with receiver() as own, receiver() as other:
        door = door_of(settings_of(tmp_path), own=[("127.0.0.1", own.port)])
        for text in (own.url(), own.url(host="localhost"), own.url(host="127.0.0.5")):
            with pytest.raises(RefusedError, match="this server itself"):
                await call(door, text)
        assert await call(door, other.url()) == (200, b"ok")
        with pytest.raises(RefusedError, match="this server itself"):
            door.check(own.url(host="localhost"))  # before anybody is promised anything
        assert own.contacts == 0


async def test_a_name_that_is_slow_or_unknown(tmp_path: Path) -> None:
    gate = trio.Event()

    def slow(host: str, port: int) -> list[object]:
        trio.from_thread.run(gate.wait, trio_token=token)
        raise OSError

    token = trio.lowlevel.current_trio_token()
    settings = settings_of(tmp_path, outbound_resolve_s=0.05)
    door = door_of(settings, ["http://*"], names=slow)  # type: ignore[arg-type]  # it never answers
    with pytest.raises(FailedError, match="could not be looked up in"):
        await call(door, "http://slow.example.org/")
    gate.set()
    with pytest.raises(FailedError, match="could not be looked up"):
        await call(door_of(settings_of(tmp_path), ["http://*"]), "http://none.example.org/")


async def test_nobody_there(tmp_path: Path) -> None:
    async with receiver() as gone:
        pass
    with pytest.raises(FailedError, match="refused"):
        await call(door_of(settings_of(tmp_path)), gone.url())
    async with receiver() as other:  # localhost is both; the first of them that answers is taken
        assert await call(door_of(settings_of(tmp_path)), other.url(host="localhost")) == (200, b"ok")


# -- answers that are none --

WRONG: dict[str, Say] = {
    "closed": saying(),
    "no http": saying(b"SSH-2.0-OpenSSH_9.6\r\n\r\n"),
    "half a head": saying(b"HTTP/1.1 200 OK\r\nContent-Le"),
    "too few": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort"),
    "broken chunks": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
    "bad chunks": saying(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nab\r\n"),
    "long length": saying(b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nabc"),
    "two lengths": saying(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc"),
    "huge head": saying(b"HTTP/1.1 200 OK\r\nX: " + b"a" * 100_000),
    "many headers": saying(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000),
    "many interim": saying(b"HTTP/1.1 103 Early\r\n\r\n" * 50, OK),
    "switching": saying(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n"),
}


@pytest.mark.parametrize("name", WRONG)
async def test_answers_that_are_none(name: str, tmp_path: Path) -> None:
    async with receiver(WRONG[name]) as other:
        with pytest.raises(FailedError) as caught:
            await call(door_of(settings_of(tmp_path)), other.url("/p?secret=1"))
        assert "secret" not in str(caught.value)
        assert "SSH" not in str(caught.value)


async def test_some_interim_answers_are_passed_over(tmp_path: Path) -> None:
    async with receiver(saying(b"HTTP/1.1 103 Early\r\n\r\n" * 3, OK)) as other:
        assert await call(door_of(settings_of(tmp_path)), other.url()) == (200, b"ok")


# -- TLS --


@pytest.fixture(scope="module")
def pki() -> Iterator[Pki]:
    with tempfile.TemporaryDirectory() as folder:
        yield Pki(Path(folder))


def served(cert: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert)
    return context


async def test_tls_is_checked_by_name(pki: Pki, tmp_path: Path) -> None:
    names = resolver(hooks_example_org=["127.0.0.1"], other_example_org=["127.0.0.1"])
    patterns = ["https://*.example.org:*", "https://127.0.0.0/8:*"]
    async with receiver(fine, tls=served(pki.issue("hooks", "hooks.example.org"))) as other:
        trusting = door_of(settings_of(tmp_path, outbound_ca=pki.ca_file), patterns, names=names)
        assert await call(trusting, other.url(scheme="https", host="hooks.example.org")) == (200, b"ok")
        assert other.got[0].headers["host"] == f"hooks.example.org:{other.port}"
        for host in ("other.example.org", "127.0.0.1"):
            with pytest.raises(FailedError, match="certificate does not hold"):
                await call(trusting, other.url(scheme="https", host=host))
        with pytest.raises(FailedError, match="certificate does not hold"):
            await call(
                door_of(settings_of(tmp_path), patterns, names=names),
                other.url(scheme="https", host="hooks.example.org"),
            )
        assert len(other.got) == 1


async def test_an_old_certificate_and_no_tls(pki: Pki, tmp_path: Path) -> None:
    door = door_of(settings_of(tmp_path, outbound_ca=pki.ca_file))
    async with receiver(tls=served(pki.issue("old", "127.0.0.1", ended_days=2))) as other:
        with pytest.raises(FailedError, match="expired"):
            await call(door, other.url(scheme="https"))

    async def plain(stream: trio.SocketStream) -> None:
        await stream.send_all(OK)

    async with talking(plain) as port:
        with pytest.raises(FailedError, match="does not speak TLS"):
            await call(door, f"https://127.0.0.1:{port}/")


async def test_issuers_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "none.pem").write_text("nothing")
    async with receiver() as other:
        for name in ("none.pem", "missing.pem"):
            with pytest.raises(FailedError, match="outbound_ca"):
                await call(door_of(settings_of(tmp_path, outbound_ca=tmp_path / name)), other.url(scheme="https"))
        assert other.contacts == 0


async def test_a_handshake_that_never_ends(tmp_path: Path) -> None:
    async def silent(stream: trio.SocketStream) -> None:
        await trio.sleep_forever()

    door = door_of(settings_of(tmp_path, outbound_connect_s=0.2))
    async with talking(silent) as port:
        with pytest.raises(FailedError, match="could not be reached in"):
            await call(door, f"https://127.0.0.1:{port}/")
