"""TLS from this side: whom a client believes, what it says of others, and that bytes come through."""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio

from jobdeck_client import (
    BadTrustError,
    Client,
    TlsError,
    Trust,
    UnreachableError,
    find_server,
    find_trust,
    link,
)
from jobdeck_client.trust import told_certificates
from jobdeck_server.http.certificates import Certificates
from jobdeck_server.http.message import Answer, Request, Response, Upgrade
from jobdeck_server.http.upgrade import Socket, wants_upgrade
from tests.client.helpers import breaking, collect
from tests.e2e.program import JOBDECK, Server, server
from tests.pki import Pki, certificates
from tests.server.http.toy import Toy, serving

SEQ = b"".join(b"%d\n" % i for i in range(1, 300_001))


@pytest.fixture(scope="module")
def pki() -> Iterator[Pki]:
    with tempfile.TemporaryDirectory() as folder:
        yield Pki(Path(folder))


@pytest.fixture(scope="module")
def secured(pki: Pki) -> Iterator[Server]:
    """A real server, with a certificate for another name than the one it is dialled by."""
    cert = pki.issue("server", "deck.example.org", "localhost")
    with server(pki.folder / "data", "--tls-cert", str(cert), "--allow-host", "localhost") as running:
        yield running


@pytest.fixture
def url(secured: Server) -> str:
    return f"https://localhost:{secured.port}"


@pytest.fixture
def trust(pki: Pki) -> Trust:
    return Trust(ca=pki.ca_file)


# bytes


async def test_jobs_and_their_output(url: str, trust: Trust) -> None:
    async with Client(url, trust=trust) as client:
        job = await client.submit(command="seq 1 300000")
        async with client.attach(job.id) as following:
            assert await collect(following) == SEQ
        assert b"".join([piece async for piece in client.output(job.id)]) == SEQ
        job = await client.submit(argv=["cat"], stdin=True)
        async with client.attach(job.id) as following, trio.open_nursery() as nursery:

            async def write() -> None:
                await following.send_stdin(SEQ)
                await following.send_eof()

            nursery.start_soon(write)
            assert await collect(following) == SEQ


async def test_a_wire_that_breaks_within_records_loses_and_doubles_nothing(
    url: str, trust: Trust, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link, "DELAY_FIRST_S", 0.002)
    monkeypatch.setattr(link, "DELAY_LIMIT_S", 0.05)
    async with breaking(url, seed=4, least=300, most=600_000) as wire, Client(url, trust=trust) as direct:
        job = await direct.submit(command="seq 1 150000; sleep 0.1; seq 150001 300000")
        async with Client(wire.url.replace("http://127.0.0.1", "https://localhost"), trust=trust) as client:
            with trio.fail_after(40):
                async with client.attach(job.id, patient=True) as following:
                    assert await collect(following) == SEQ
        assert wire.cuts > 1


async def test_blobs(url: str, trust: Trust, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(data := os.urandom(3_000_000))
    async with Client(url, trust=trust) as client:
        blob = await client.blobs.upload(tmp_path / "f")
        assert await client.blobs.download(blob.hash, tmp_path / "g") == len(data)
        assert (tmp_path / "g").read_bytes() == data


# whom to believe


@asynccontextmanager
async def tiny(found: Certificates) -> AsyncIterator[Toy]:
    """A server that answers any request, and upgrades whoever asks for it."""

    async def run(socket: Socket) -> None:
        await socket.receive()

    async def answer(request: Request) -> Answer:
        if wants_upgrade(request):
            return Upgrade(run=run, subprotocol="jobdeck.attach.v1", message_limit_bytes=1000)
        return Response(headers=(("Content-Type", "application/json"),), body=b"{}")

    async with serving(answer, certificates=found, linger_timeout_s=0.5) as toy:
        yield toy


async def refusal(url: str, trust: Trust) -> str:
    """What is said of a server, which must be the same by request, by submission and by link."""
    said = []
    with trio.fail_after(20):
        async with Client(url, trust=trust) as client:
            with pytest.raises(TlsError) as caught:
                await client.info()
            said.append(str(caught.value))
            with pytest.raises(TlsError) as caught:
                await client.submit(command="true")
            said.append(str(caught.value))
            with pytest.raises(TlsError) as caught:
                async with client.attach("x" * 36) as following:
                    await collect(following)
            said.append(str(caught.value))
    assert len(set(said)) == 1
    assert said[0].startswith(f"No trusted connection to {url}: ")
    return said[0]


async def test_certificates_that_are_not_believed(pki: Pki) -> None:
    stranger = Pki(Path(tempfile.mkdtemp(dir=pki.folder)))
    good, expired = pki.issue("good"), pki.issue("expired", ended_days=1.0)
    trust = Trust(ca=pki.ca_file)
    async with tiny(certificates(good)) as toy:
        url = f"https://127.0.0.1:{toy.port}"
        async with Client(url, trust=trust) as client:
            assert await client.info() == {}
        for other in (Trust(), Trust(ca=stranger.ca_file)):
            assert "its certificate is not trusted (give its CA with --ca)" in await refusal(url, other)
        assert not toy.log.bugs()
    async with tiny(certificates(pki.issue("elsewhere", "deck.example.org"))) as toy:
        assert "its certificate is for another name" in await refusal(f"https://127.0.0.1:{toy.port}", trust)
        assert "its certificate is for another name" in await refusal(f"https://localhost:{toy.port}", trust)
    async with tiny(certificates(expired)) as toy:
        assert "its certificate has expired" in await refusal(f"https://localhost:{toy.port}", trust)


async def test_a_server_without_tls(deck: Server, pki: Pki) -> None:
    assert "does not speak TLS (try http://)" in await refusal(
        deck.url.replace("http:", "https:"), Trust(ca=pki.ca_file)
    )


async def test_client_certificates(pki: Pki) -> None:
    stranger = Pki(Path(tempfile.mkdtemp(dir=pki.folder)))
    found = certificates(pki.issue("asking"), client_ca=pki.ca_file, require_client=True)
    async with tiny(found) as toy:
        url = f"https://localhost:{toy.port}"
        async with Client(url, trust=Trust(ca=pki.ca_file, cert=pki.issue("right"))) as client:
            assert await client.info() == {}
        without = await refusal(url, Trust(ca=pki.ca_file))
        assert "it asks for a client certificate (give one with --client-cert)" in without
        wrong = await refusal(url, Trust(ca=pki.ca_file, cert=stranger.issue("wrong")))
        assert "it does not accept the client certificate" in wrong


def test_files_that_cannot_be_used(pki: Pki, tmp_path: Path) -> None:
    cert, other = pki.issue("one"), pki.issue("other")
    (tmp_path / "nonsense").write_text("nothing")
    for trust, words in (
        (Trust(ca=tmp_path / "missing"), "missing cannot be read: No such file"),
        (Trust(ca=tmp_path / "nonsense"), "holds no CA certificate"),
        (Trust(cert=tmp_path / "missing"), "missing or its key cannot be read: No such file"),
        (Trust(cert=tmp_path / "nonsense"), "it or its key is no PEM"),
        (Trust(cert=cert, key=other), "its key is another one's"),
        (Trust(key=other), "--client-cert"),
    ):
        with pytest.raises(BadTrustError, match=words):
            trust.context()


def test_where_the_files_are_named(pki: Pki, tmp_path: Path) -> None:
    ca, cert = pki.ca_file, pki.issue("named")
    environ = {"JOBDECK_CA": str(ca), "JOBDECK_CLIENT_CERT": str(cert), "JOBDECK_CLIENT_KEY": str(cert)}
    everything = Trust(ca=ca, cert=cert, key=cert, told=tmp_path / "server.json")
    assert find_trust(data_dir=tmp_path, environ=environ) == everything
    assert find_trust(server="https://a", data_dir=tmp_path, environ=environ) == replace(everything, told=None)
    named = {"JOBDECK_SERVER": "https://a"}
    assert find_trust(data_dir=tmp_path, environ=environ | named) == replace(everything, told=None)
    # who names a CA does not want another one believed; a certificate that is named has its own key
    assert find_trust(ca=ca, cert=cert, data_dir=tmp_path, environ=environ) == Trust(ca=ca, cert=cert)
    with pytest.raises(BadTrustError, match="missing"):
        find_trust(ca=tmp_path / "missing", environ={})


# the user's own server


async def test_the_own_server_is_believed_by_its_very_certificate(secured: Server, pki: Pki, tmp_path: Path) -> None:
    url = find_server(data_dir=secured.data_dir, environ={})
    assert url == f"https://127.0.0.1:{secured.port}"  # for which its certificate is not made
    async with Client(url, trust=find_trust(data_dir=secured.data_dir, environ={})) as client:
        assert (await client.info())["urls"] == [url]
        job = await client.submit(command="echo here")
        async with client.attach(job.id) as following:
            assert await collect(following) == b"here\n"
    assert "for another name" in await refusal(url, Trust(ca=pki.ca_file))

    # the same address with another certificate, even one of the same CA for the very name
    (told,) = told_certificates(secured.data_dir / "server.json")
    for other in (pki.issue("other").read_text(), pki.ca_file.read_text(), "", "-----BEGIN CERTIFICATE-----\nx"):
        (tmp_path / "server.json").write_text(json.dumps({"urls": [url], "pid": 1, "certificate": other}))
        assert "not" in await refusal(url, find_trust(data_dir=tmp_path, environ={}))
    for text in ("", "[]", json.dumps({"urls": [url]}), json.dumps({"urls": [url], "certificate": 1})):
        (tmp_path / "server.json").write_text(text)
        assert "is not trusted" in await refusal(url, Trust(told=tmp_path / "server.json"))
    assert ssl.PEM_cert_to_DER_cert(told)


async def test_a_self_signed_ca_that_is_told_does_not_vouch_for_others(pki: Pki, tmp_path: Path) -> None:
    """Self-signed certificates are mostly CAs too; what they have signed is another certificate."""
    async with tiny(certificates(pki.issue("leaf"))) as toy:
        told = {"urls": [], "certificate": pki.ca_file.read_text()}
        (tmp_path / "server.json").write_text(json.dumps(told))
        said = await refusal(f"https://localhost:{toy.port}", Trust(told=tmp_path / "server.json"))
        assert "not the certificate that server.json tells" in said


@pytest.mark.slow
async def test_a_renewed_certificate_is_told_and_believed_without_a_restart(pki: Pki) -> None:
    """By a client, too, that has been there all the time."""
    path = pki.issue("renewed", "deck.example.org")
    data_dir = pki.folder / "renewed"
    (pki.folder / "limits.toml").write_text("[limits]\ntls_check_s = 0.0\n")
    flags = ("--tls-cert", str(path), "--config", str(pki.folder / "limits.toml"))
    with server(data_dir, *flags) as running:
        trust = find_trust(data_dir=data_dir, environ={})
        async with Client(f"https://127.0.0.1:{running.port}", trust=trust) as client:
            assert (await client.info())["name"] == "jobdeck"
            before = told_certificates(data_dir / "server.json")
            pki.issue("renewed", "deck.example.org")
            job = await client.submit(command="true")
            with trio.fail_after(20):
                while told_certificates(data_dir / "server.json") == before:
                    await _once(client, job.id)
            await _once(client, job.id)


async def _once(client: Client, job_id: str) -> None:
    """A connection of its own; the one during which the certificate changes may be refused."""
    try:
        async with client.attach(job_id, reconnect=False) as following:
            await collect(following)
    except UnreachableError:
        await trio.sleep(0.01)


@pytest.mark.slow
def test_commands_need_no_more_than_before(secured: Server, pki: Pki, tmp_path: Path) -> None:
    environ = {k: v for k, v in os.environ.items() if not k.startswith(("JOBDECK_", "JOBRUNNER_"))}
    environ |= {"JOBDECK_DATA_DIR": str(secured.data_dir), "XDG_CONFIG_HOME": str(tmp_path)}

    def command(*words: str) -> tuple[int, str]:
        done = subprocess.run([*JOBDECK, *words], env=environ, capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    elsewhere = f"https://localhost:{secured.port}"
    assert command("run", "--", "echo", "hello") == (0, "hello\n")
    code, said = command("ls", "--server", elsewhere)
    assert (code, "give its CA with --ca" in said, "Start one" in said) == (3, True, False)
    assert command("ls", "--all", "--server", elsewhere, "--ca", str(pki.ca_file))[0] == 0
    code, said = command("ls", "--ca", "missing.pem")
    assert (code, said) == (2, "jobdeck: The CA file missing.pem cannot be read: No such file or directory.\n")


# the server as a program


def test_a_server_that_cannot_speak_tls_does_not_start(pki: Pki, tmp_path: Path) -> None:
    done = subprocess.run(
        [*JOBDECK, "serve", "--data-dir", str(tmp_path / "data"), "--tls-cert", str(pki.ca_file)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 2
    assert "there is no certificate and private key in PEM form" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data" / "server.json").exists()


def test_jobs_are_told_the_address_with_its_scheme(secured: Server, pki: Pki) -> None:
    context = pki.client()
    with httpx.Client(verify=context, trust_env=False, base_url=f"https://localhost:{secured.port}") as client:
        assert client.get("/v1/info").json()["urls"] == [f"https://127.0.0.1:{secured.port}"]
        page = {"Origin": f"http://localhost:{secured.port}"}
        assert client.get("/v1/info", headers=page).status_code == 403
        page = {"Origin": f"https://localhost:{secured.port}"}
        assert client.get("/v1/info", headers=page).status_code == 200


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not there")
def test_curl(secured: Server, pki: Pki) -> None:
    done = subprocess.run(
        ["curl", "-sS", "--noproxy", "*", "--cacert", str(pki.ca_file), f"https://localhost:{secured.port}/v1/info"],
        capture_output=True,
        timeout=30,
        check=True,
    )
    assert json.loads(done.stdout)["name"] == "jobdeck"
