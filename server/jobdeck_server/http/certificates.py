"""The server's certificate: read from files at the start, and again whenever these change.

Certificates are renewed every few weeks, servers run for months. So every connection asks here for its context, and at
most every ``tls_check_s`` one of them looks at the files first, in a thread. A new certificate that cannot be used is
told in the log, once, and the old one stays; this also covers the moment when the certificate is new and its key is
not yet.

What was read is tried at once by a handshake in memory. It shows the certificate as clients will see it, and what they
will say of it: one that has expired is no reason not to start (clients say so themselves), but one to warn loudly.
"""

from __future__ import annotations

import logging
import math
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from pathlib import Path

    from jobdeck_server.settings import Settings

__all__ = ["CertificateError", "Certificates"]

_log = logging.getLogger("jobdeck")


class CertificateError(Exception):
    """The server's certificate, its key or the clients' CA cannot be used; a sentence for the operator."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What was read from the files at one time.

    Attributes:
        context: For connections.
        certificate: The server's own, in PEM form.
        doubt: What clients will say against it, None for nothing.
    """

    context: ssl.SSLContext
    certificate: str
    doubt: str | None


Stamp = tuple[tuple[int, int, int] | None, ...]


class Certificates:
    """The present certificate of one server. Making it blocks.

    Args:
        cert: PEM file of the server's certificate, with those that lead to its CA.
        key: PEM file of its private key; None if it is in ``cert``.
        client_ca: PEM file of the CAs of clients; a client that shows a certificate must show one of theirs.
        require_client: Every client must show one.
        check_s: Between two looks at the files.

    Attributes:
        told: Called in a thread with a renewed certificate, in PEM form, before it is used.

    Raises:
        CertificateError: A file cannot be used.
    """

    def __init__(
        self, *, cert: Path, key: Path | None, client_ca: Path | None, require_client: bool, check_s: float
    ) -> None:
        self._cert = cert
        self._key = key
        self._client_ca = client_ca
        self._require_client = require_client
        self._check_s = check_s
        self._next_s = 0.0
        self._limiter = trio.CapacityLimiter(1)
        self._stamp = self._look()
        self._loaded = self._load()
        self.told: Callable[[str], object] | None = None
        self._warn()

    @classmethod
    def of(cls, settings: Settings) -> Certificates | None:
        """Those that the settings name, None for a server without TLS. Blocks.

        Raises:
            CertificateError: A file cannot be used, or one is missing that another needs.
        """
        if settings.tls_cert is None:
            if settings.tls_key or settings.tls_client_ca or settings.tls_require_client:
                raise CertificateError("TLS needs a certificate: give one with --tls-cert")
            return None
        if settings.tls_require_client and settings.tls_client_ca is None:
            raise CertificateError("--tls-require-client needs the CA of the clients: give it with --tls-client-ca")
        return cls(
            cert=settings.tls_cert,
            key=settings.tls_key,
            client_ca=settings.tls_client_ca,
            require_client=settings.tls_require_client,
            check_s=settings.tls_check_s,
        )

    @property
    def certificate(self) -> str:
        """The server's own, in PEM form."""
        return self._loaded.certificate

    async def context(self) -> ssl.SSLContext:
        """For a new connection; now and then it looks first whether the files have changed."""
        now_s = trio.current_time()
        if now_s >= self._next_s:
            self._next_s = math.inf  # one looks at a time: where the files' disk hangs, the others go on
            try:
                await trio.to_thread.run_sync(self._renew, limiter=self._limiter)
            finally:
                self._next_s = now_s + self._check_s
        return self._loaded.context

    def _renew(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            loaded = self._load()
            if self.told is not None:
                self.told(loaded.certificate)
        except (CertificateError, OSError) as error:
            _log.error("the TLS files have changed and cannot be used, so the old certificate stays: %s", error)
            return
        self._loaded = loaded
        _log.info("the TLS files have changed and were read again")
        self._warn()

    def _look(self) -> Stamp:
        return tuple(_stamp(path) for path in (self._cert, self._key, self._client_ca) if path is not None)

    def _warn(self) -> None:
        if self._loaded.doubt is not None:
            _log.warning("CLIENTS WILL NOT TRUST THE CERTIFICATE %s: %s", self._cert, self._loaded.doubt)

    def _load(self) -> Loaded:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.options |= ssl.OP_NO_RENEGOTIATION  # of TLS 1.2: costs much, asked for by nobody
        # A client that ends its side without saying so can still be answered; see ``tls`` for why that is safe.
        context.options |= ssl.OP_IGNORE_UNEXPECTED_EOF
        context.set_alpn_protocols(["http/1.1"])
        self._load_own(context)
        if self._client_ca is not None:
            self._load_clients(context, self._client_ca)
        bare = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._load_own(bare)
        certificate = _shown(bare)
        return Loaded(context=context, certificate=certificate, doubt=_doubt(bare, certificate))

    def _load_own(self, context: ssl.SSLContext) -> None:
        def no_password() -> str:
            raise CertificateError(f"the key of {self._cert} has a password; give one without")

        try:
            context.load_cert_chain(self._cert, self._key, password=no_password)
        except ssl.SSLError as error:
            where = f"{self._cert}" if self._key is None else f"{self._cert} with the key {self._key}"
            if error.reason == "KEY_VALUES_MISMATCH":
                raise CertificateError(f"cannot use the certificate {where}: the key belongs to another one") from error
            what = "there is no certificate and private key in PEM form"
            raise CertificateError(f"cannot use the certificate {where}: {what}") from error
        except OSError as error:
            files = " or ".join(str(path) for path in (self._cert, self._key) if path is not None)
            raise CertificateError(f"cannot read {files}: {error.strerror}") from error

    def _load_clients(self, context: ssl.SSLContext, client_ca: Path) -> None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError as error:
            raise CertificateError(f"there is no CA certificate in PEM form in {client_ca}") from error
        except OSError as error:
            raise CertificateError(f"cannot read {client_ca}: {error.strerror}") from error
        context.verify_mode = ssl.CERT_REQUIRED if self._require_client else ssl.CERT_OPTIONAL


def _stamp(path: Path) -> tuple[int, int, int] | None:
    """What changes with a file's content, None if it cannot be seen."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _shown(server: ssl.SSLContext) -> str:
    """The certificate, in PEM form, that clients are shown."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_mode = ssl.CERT_NONE  # in memory, with ourselves: to be looked at, not to be believed
    shown = _meet(server, client).getpeercert(binary_form=True)
    assert shown is not None
    return ssl.DER_cert_to_PEM_cert(shown)


def _doubt(server: ssl.SSLContext, certificate: str) -> str | None:
    """What a client has against a certificate although it believes its signer; None for nothing."""
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False  # names are the clients' affair
    client.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(cadata=certificate)
    try:
        _meet(server, client)
    except ssl.SSLCertVerificationError as error:
        return error.verify_message
    return None


def _meet(server: ssl.SSLContext, client: ssl.SSLContext) -> ssl.SSLObject:
    """Do a handshake in memory; the client's end of it.

    Raises:
        ssl.SSLCertVerificationError: The client does not believe the server.
    """
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(back, there), server.wrap_bio(there, back, server_side=True)]
    waiting = list(ends)
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            waiting.remove(end)
    return ends[0]
