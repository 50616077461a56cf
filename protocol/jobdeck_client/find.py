"""Which server to talk to, and with which token.

The server: what is given, else ``JOBDECK_SERVER``, else what a server of this user has written into ``server.json`` of
the data directory, else ``http://127.0.0.1:8080``. The token: the file that is given, else ``JOBDECK_TOKEN_FILE``, else
the file ``token`` in the user's configuration directory, else none. A token never stands in an argument or a URL.
Trust: the files that are given, else ``JOBDECK_CA``, ``JOBDECK_CLIENT_CERT`` and ``JOBDECK_CLIENT_KEY``; a server that
was found by ``server.json`` must show the certificate that this file tells.
"""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import platformdirs

from jobdeck_client.errors import ClientError
from jobdeck_client.trust import Trust

DEFAULT_URL = "http://127.0.0.1:8080"
_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}
_SCHEMES = {"ws": "http", "wss": "https"}


class BadAddressError(ClientError):
    """What was given is no address of a server, or no readable token file."""


def find_server(
    server: str | None = None, *, data_dir: str | Path | None = None, environ: Mapping[str, str] | None = None
) -> str:
    """The base URL of the server to talk to, ``http(s)://host[:port][/path]`` without a slash at the end.

    Raises:
        BadAddressError: What was given, or the environment's, is no address.
    """
    environ = os.environ if environ is None else environ
    named = server or environ.get("JOBDECK_SERVER")
    if named:
        return normal_url(named)
    return _told_url(_data_dir(data_dir, environ)) or DEFAULT_URL


def find_token(token_file: str | Path | None = None, *, environ: Mapping[str, str] | None = None) -> str | None:
    """The token to show, None for none.

    Raises:
        BadAddressError: A file that was named cannot be read or is empty.
    """
    environ = os.environ if environ is None else environ
    named = token_file or environ.get("JOBDECK_TOKEN_FILE")
    path = Path(named) if named else platformdirs.user_config_path("jobdeck") / "token"
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeError) as error:
        if named:
            raise BadAddressError(f"The token file {path} cannot be read: {error}.") from error
        return None
    if not token.isascii() or not token.isprintable() or " " in token or (named and not token):
        raise BadAddressError(f"The token file {path} holds no token.")
    return token or None


def find_trust(
    *,
    server: str | None = None,
    ca: str | Path | None = None,
    cert: str | Path | None = None,
    key: str | Path | None = None,
    data_dir: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
) -> Trust:
    """What TLS to the server stands on that ``find_server`` gives for the same arguments.

    Raises:
        BadTrustError: A file that was named cannot be used.
    """
    environ = os.environ if environ is None else environ
    given = (ca or environ.get("JOBDECK_CA"), *_own_files(cert, key, environ))
    ca_path, cert_path, key_path = (Path(name).expanduser() if name else None for name in given)
    named = server or environ.get("JOBDECK_SERVER")
    told = None if named or ca else _data_dir(data_dir, environ) / "server.json"
    trust = Trust(ca=ca_path, cert=cert_path, key=key_path, told=told)
    if any(given):
        trust.context()  # said before anything is asked, whether or not it is needed
    return trust


def _own_files(
    cert: str | Path | None, key: str | Path | None, environ: Mapping[str, str]
) -> tuple[str | Path | None, str | Path | None]:
    """Certificate and key to show: a key of the environment does not belong to a certificate that was given."""
    if cert:
        return cert, key
    return environ.get("JOBDECK_CLIENT_CERT"), key or environ.get("JOBDECK_CLIENT_KEY")


def normal_url(text: str) -> str:
    """A base URL from what a person may give: ``host``, ``host:port``, ``http://...`` or ``ws://...``.

    Raises:
        BadAddressError: It is none.
    """
    parts = urlsplit(text if "://" in text else f"http://{text}")
    scheme = _SCHEMES.get(parts.scheme, parts.scheme)
    try:
        port = parts.port
    except ValueError as error:
        raise BadAddressError(f"{text!r} is no address of a server: {error}.") from error
    if scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise BadAddressError(f"{text!r} is no address of a server, such as http://127.0.0.1:8080.")
    if parts.username is not None or parts.password is not None:
        raise BadAddressError("An address must not hold a password; use a token file.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{scheme}://{host}{'' if port is None else f':{port}'}{parts.path.rstrip('/')}"


def _told_url(data_dir: Path) -> str | None:
    """What ``server.json`` tells; a loopback address before others, since that needs no network."""
    try:
        urls = [normal_url(url) for url in json.loads((data_dir / "server.json").read_text())["urls"]]
    except (OSError, ValueError, TypeError, KeyError, AttributeError, BadAddressError):
        return None
    urls = [_reachable(url) for url in urls]
    return min(urls, key=lambda url: not _is_loopback(url), default=None)


def _reachable(url: str) -> str:
    """A listener on all addresses is reached through loopback."""
    parts = urlsplit(url)
    host = _WILDCARDS.get(parts.hostname or "")
    return url if host is None else f"{parts.scheme}://{host}:{parts.port}"


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _data_dir(given: str | Path | None, environ: Mapping[str, str]) -> Path:
    named = given or environ.get("JOBDECK_DATA_DIR") or _configured_data_dir(environ)
    return Path(named).expanduser() if named else platformdirs.user_state_path("jobdeck")


def _configured_data_dir(environ: Mapping[str, str]) -> str | None:
    """The data directory that the configuration file names, where there is one; the server checks that file."""
    path = Path(environ.get("JOBDECK_CONFIG") or platformdirs.user_config_path("jobdeck") / "config.toml")
    try:
        named = tomllib.loads(path.read_text()).get("data_dir")
    except (OSError, ValueError):
        return None
    return named if isinstance(named, str) else None
