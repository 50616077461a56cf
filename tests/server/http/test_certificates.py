from __future__ import annotations

import logging
import os
import ssl
from pathlib import Path

import pytest
import trio
import trio.testing
from cryptography.hazmat.primitives import serialization

from jobdeck_server.http.certificates import CertificateError, Certificates
from jobdeck_server.settings import Settings
from tests.pki import Pki, certificates


def with_password(cert: Path) -> bytes:
    """The same with its key encrypted."""
    key = serialization.load_pem_private_key(cert.read_bytes(), None)
    locked = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    return locked + cert.read_bytes()[cert.read_bytes().index(b"-----BEGIN CERT") :]


@pytest.fixture
def pki(tmp_path: Path) -> Pki:
    return Pki(tmp_path)


def test_no_certificate_is_no_tls() -> None:
    assert Certificates.of(Settings(data_dir=Path("/nowhere"))) is None


def test_the_settings_are_read(pki: Pki) -> None:
    cert = pki.issue("server")
    found = Certificates.of(
        Settings(data_dir=Path("/nowhere"), tls_cert=cert, tls_client_ca=pki.ca_file, tls_require_client=True)
    )
    assert found is not None
    assert found.certificate.startswith("-----BEGIN CERTIFICATE-----")
    assert found.certificate in cert.read_text().replace("\r\n", "\n")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"tls_key": Path("k")}, "--tls-cert"),
        ({"tls_client_ca": Path("k")}, "--tls-cert"),
        ({"tls_require_client": True}, "--tls-cert"),
        ({"tls_cert": Path("k"), "tls_require_client": True}, "--tls-client-ca"),
    ],
)
def test_what_is_missing_is_said(changed: dict[str, object], words: str) -> None:
    with pytest.raises(CertificateError, match=words):
        Certificates.of(Settings(data_dir=Path("/nowhere"), **changed))  # type: ignore[arg-type]  # a table of fields


def test_files_that_cannot_be_used(pki: Pki, tmp_path: Path) -> None:
    cert, other = pki.issue("server"), pki.issue("other")
    nonsense, missing = tmp_path / "nonsense.pem", tmp_path / "missing.pem"
    nonsense.write_text("nothing")
    locked = tmp_path / "locked.pem"
    locked.write_bytes(with_password(cert))
    for given, words in (
        ({"cert": missing}, "cannot read .*missing.pem: No such file"),
        ({"cert": cert, "key": missing}, "cannot read .*missing.pem: No such file"),
        ({"cert": nonsense}, "nonsense.pem: there is no certificate"),
        ({"cert": pki.ca_file}, "ca.pem: there is no certificate and private key"),
        ({"cert": cert, "key": other}, "the key belongs to another one"),
        ({"cert": locked}, "has a password"),
        ({"cert": cert, "client_ca": missing}, "cannot read .*missing.pem"),
        ({"cert": cert, "client_ca": nonsense}, "no CA certificate in PEM form in .*nonsense.pem"),
    ):
        with pytest.raises(CertificateError, match=words):
            certificates(**given)  # type: ignore[arg-type]  # a table of arguments


@pytest.mark.parametrize(("ended_days", "words"), [(None, None), (1.0, "expired")])
def test_what_clients_will_say_is_warned_of(
    pki: Pki, caplog: pytest.LogCaptureFixture, ended_days: float | None, words: str | None
) -> None:
    certificates(pki.issue("server", ended_days=ended_days))
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == (words is not None)
    assert words is None or words in said[0]


def shown(context: ssl.SSLContext, client: ssl.SSLContext) -> bytes:
    """The certificate, in DER form, that a client is shown."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(back, there, server_hostname="localhost")
    theirs = context.wrap_bio(there, back, server_side=True)
    for _ in range(3):
        for end in (ours, theirs):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    found = ours.getpeercert(binary_form=True)
    assert found is not None
    return found


async def test_renewed_files_are_used_and_broken_ones_are_not(pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    client = pki.client()
    found = certificates(pki.issue("server"), check_s=0.0)
    told: list[str] = []
    found.told = told.append
    first = shown(await found.context(), client)
    assert shown(await found.context(), client) == first
    assert not told

    cert = pki.issue("server")
    second = shown(await found.context(), client)
    assert second != first
    assert told == [found.certificate] == [ssl.DER_cert_to_PEM_cert(second)]

    whole = cert.read_bytes()
    cert.write_bytes(whole[:300])
    assert shown(await found.context(), client) == second
    assert shown(await found.context(), client) == second
    cert.unlink()
    assert shown(await found.context(), client) == second
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 2  # told once each, and never with a traceback
    assert not any(record.exc_info for record in errors)
    assert told == [ssl.DER_cert_to_PEM_cert(second)]

    pki.issue("server")
    assert shown(await found.context(), client) not in (first, second)


async def test_the_files_are_looked_at_now_and_then(pki: Pki, autojump_clock: trio.testing.MockClock) -> None:
    client = pki.client()
    found = certificates(pki.issue("server"), check_s=5.0)
    first = shown(await found.context(), client)
    pki.issue("server")
    assert shown(await found.context(), client) == first
    await trio.sleep(5.0)
    assert shown(await found.context(), client) != first


async def test_a_key_that_comes_after_its_certificate(pki: Pki, tmp_path: Path) -> None:
    client = pki.client()
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"

    def write(path: Path, data: bytes) -> None:
        (tmp_path / "new").write_bytes(data)
        os.replace(tmp_path / "new", path)

    old, new = pki.ca.issue_cert("localhost"), pki.ca.issue_cert("localhost")
    write(cert, old.cert_chain_pems[0].bytes())
    write(key, old.private_key_pem.bytes())
    found = certificates(cert, key=key, check_s=0.0)
    first = shown(await found.context(), client)
    write(cert, new.cert_chain_pems[0].bytes())
    assert shown(await found.context(), client) == first
    write(key, new.private_key_pem.bytes())
    assert shown(await found.context(), client) != first
