"""Requests as the guard gets them."""

from __future__ import annotations

from collections.abc import Sequence

from jobdeck_server.http.message import Request
from tests.server.nobody import NoBody


def ask(
    *,
    method: str = "GET",
    host: str | None = "localhost:8080",
    headers: Sequence[tuple[str, str]] = (),
    authority: str = "",
    http10: bool = False,
) -> Request:
    hosts = () if host is None else (("host", host),)
    return Request(
        method=method, path="/", headers=(*hosts, *headers), body=NoBody(), authority=authority, http10=http10
    )
