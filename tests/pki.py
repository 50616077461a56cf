"""Certificates for tests of TLS, made as they are needed."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

from jobdeck_server.http.certificates import Certificates


@dataclass(frozen=True)
class Pki:
    """A CA and its files in a folder."""

    folder: Path
    ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def ca_file(self) -> Path:
        path = self.folder / "ca.pem"
        if not path.exists():
            self.ca.cert_pem.write_to_path(str(path))
        return path

    def issue(self, name: str, *hosts: str, ended_days: float | None = None) -> Path:
        """A file with certificate and key; any file of that name is replaced at once."""
        until = None if ended_days is None else datetime.now(UTC) - timedelta(days=ended_days)
        leaf = self.ca.issue_cert(*(hosts or ("127.0.0.1", "localhost")), not_after=until)
        path = self.folder / f"{name}.pem"
        fresh = self.folder / f"{name}.pem.new"
        leaf.private_key_and_cert_chain_pem.write_to_path(str(fresh))
        return fresh.replace(path)

    def client(self, cert: Path | None = None) -> ssl.SSLContext:
        """Of a client that trusts this CA, and shows a certificate if one is given."""
        context = ssl.create_default_context(cafile=self.ca_file)
        if cert is not None:
            context.load_cert_chain(cert)
        return context


def certificates(
    cert: Path,
    *,
    key: Path | None = None,
    client_ca: Path | None = None,
    require_client: bool = False,
    check_s: float = 1.0,
) -> Certificates:
    return Certificates(cert=cert, key=key, client_ca=client_ca, require_client=require_client, check_s=check_s)
