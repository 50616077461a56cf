"""Whom a client believes over TLS, and how it names itself there: from files to an ``ssl.SSLContext``.

A certificate is believed when a CA that is trusted (the system's, or those of the one file that was given) has signed
it for the very name that was dialled. There is no switch that turns this off.

The user's own server, found by ``server.json`` of the data directory, is another matter: it is dialled as 127.0.0.1,
for which hardly a certificate is made. That file tells which certificate it shows, and then that one, byte for byte, is
believed and no other, whatever its name and whoever has signed it. This is no weaker: who could write another
certificate there could write another address too. The file is read at each handshake, since certificates are renewed.
"""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from jobdeck_client.errors import ClientError, TlsError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["BadTrustError", "Trust", "told_certificates", "unreachable"]

_EXPIRED, _NOT_YET = 10, 9
_OTHER_NAME = frozenset({62, 64})  # of a host, of an address
_UNKNOWN_SIGNER = frozenset({2, 18, 19, 20, 21})
# Errors of the libraries that say nothing but their names
_WORDS = {
    "ReadError": "the connection broke",
    "WriteError": "the connection broke",
    "BrokenResourceError": "the connection broke",
    "ReadTimeout": "it took too long",
    "WriteTimeout": "it took too long",
    "ConnectTimeout": "it took too long",
}
_NOT_TLS = frozenset({"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "UNKNOWN_PROTOCOL", "PACKET_LENGTH_TOO_LONG"})
_CERTIFICATE_REFUSED = ("UNKNOWN_CA", "BAD_CERTIFICATE", "CERTIFICATE_EXPIRED", "CERTIFICATE_REVOKED")


class BadTrustError(ClientError):
    """A file of certificates, or of a key, cannot be used."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trust:
    """What a client's TLS connections stand on.

    Attributes:
        ca: PEM file of the CAs that are trusted; None for the system's.
        cert: PEM file of the certificate to show, with those that lead to its CA; None for none.
        key: PEM file of its private key; None if it is in ``cert``.
        told: The ``server.json`` by which the server was found: what it tells is believed instead of any CA.
    """

    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    told: Path | None = None

    def context(self) -> ssl.SSLContext:
        """A context for connections, made anew from the files. Blocks.

        Raises:
            BadTrustError: A file cannot be read or used.
        """
        context = self._for_any() if self.told is None else _for_told(self.told)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(["http/1.1"])
        if self.cert is not None:
            self._show(context, self.cert)
        elif self.key is not None:
            raise BadTrustError("A client's key is of no use without its certificate (--client-cert).")
        return context

    def _for_any(self) -> ssl.SSLContext:
        if self.ca is None:
            return ssl.create_default_context()
        try:
            return ssl.create_default_context(cafile=self.ca)
        except ssl.SSLError as error:
            raise BadTrustError(f"The file {self.ca} holds no CA certificate in PEM form.") from error
        except OSError as error:
            raise BadTrustError(f"The CA file {self.ca} cannot be read: {error.strerror}.") from error

    def _show(self, context: ssl.SSLContext, cert: Path) -> None:
        def no_password() -> str:
            raise BadTrustError(f"The key of {cert} has a password: jobdeck takes keys without one.")

        try:
            context.load_cert_chain(cert, self.key, password=no_password)
        except ssl.SSLError as error:
            what = "its key is another one's" if error.reason == "KEY_VALUES_MISMATCH" else "it or its key is no PEM"
            raise BadTrustError(f"The client certificate {cert} cannot be used: {what}.") from error
        except OSError as error:
            raise BadTrustError(
                f"The client certificate {cert} or its key cannot be read: {error.strerror}."
            ) from error


def told_certificates(path: Path) -> list[str]:
    """The certificates in PEM form that a ``server.json`` tells, the server's own first; none if it tells of none."""
    try:
        told = json.loads(path.read_text())["certificate"]
    except (OSError, ValueError, TypeError, KeyError):
        return []
    return [told] if isinstance(told, str) else []


def _for_told(path: Path) -> ssl.SSLContext:
    """A context that believes what ``path`` tells at the time of each handshake, and nothing else."""

    class Told(ssl.SSLObject):
        """One connection, whose other end must show a told certificate."""

        def do_handshake(self) -> None:
            if not hasattr(self, "_told"):
                self._told = {ssl.PEM_cert_to_DER_cert(pem) for pem in _sound(told_certificates(path))}
                for certificate in self._told:
                    self.context.load_verify_locations(cadata=certificate)
            super().do_handshake()
            if self.getpeercert(binary_form=True) not in self._told:
                raise ssl.SSLCertVerificationError(1, "not the certificate that server.json tells")

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # the very certificate is known, which says more than a name
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN  # its signer need not be
    context.sslobject_class = Told
    return context


def _sound(texts: list[str]) -> Iterator[str]:
    for text in texts:
        try:
            ssl.PEM_cert_to_DER_cert(text)
        except ValueError:
            continue
        yield text


# -- what went wrong, for people --


def unreachable(url: str, error: BaseException) -> UnreachableError:
    """The error to raise for one of a connection: ``TlsError`` where TLS is the reason."""
    fault = _tls_fault(error)
    if fault is None:
        return UnreachableError(url, str(error) or _WORDS.get(type(error).__name__) or type(error).__name__)
    return TlsError(url, _words(fault))


def _tls_fault(error: BaseException | None) -> ssl.SSLError | None:
    """The error of TLS in a chain of causes; the end of a connection is none."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return None if isinstance(error, ssl.SSLEOFError | ssl.SSLZeroReturnError) else error
        error = error.__cause__ or error.__context__
    return None


def _words(fault: ssl.SSLError) -> str:
    if isinstance(fault, ssl.SSLCertVerificationError):
        return _distrust(fault)
    reason = cast("str | None", fault.reason) or ""
    if reason in _NOT_TLS:
        return "what answers there does not speak TLS (try http://)"
    if "CERTIFICATE_REQUIRED" in reason:
        return "it asks for a client certificate (give one with --client-cert)"
    if any(name in reason for name in _CERTIFICATE_REFUSED):
        return "it does not accept the client certificate"
    return str(fault)


def _distrust(fault: ssl.SSLCertVerificationError) -> str:
    code = getattr(fault, "verify_code", 0)
    if code == _EXPIRED:
        return "its certificate has expired"
    if code == _NOT_YET:
        return "its certificate is not valid yet"
    if code in _OTHER_NAME:
        return "its certificate is for another name"
    if code in _UNKNOWN_SIGNER:
        return "its certificate is not trusted (give its CA with --ca)"
    return getattr(fault, "verify_message", "") or str(fault.args[-1])
