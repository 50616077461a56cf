"""A file that never changes as an answer: whole, in part (Range), or not at all where the client has it (ETag).

The bytes are sent by sendfile and never compressed: they go out with their length, and a download that broke can go on
where it stopped. Source: RFC 9110 sections 13 and 14.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from jobdeck_server.http.message import FileSlice, Response

if TYPE_CHECKING:
    from collections.abc import Callable

    from jobdeck_server.core.blobs import BlobFile
    from jobdeck_server.http.message import Headers, Request


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """An open file: ``close`` gives it back, ``tag`` is other for other bytes and the same for the same."""

    fd: int
    size_bytes: int
    tag: str
    close: Callable[[], None]


def file_answer(request: Request, source: Source, headers: Headers) -> Response:
    """The answer to GET and HEAD; closes the file where it is not needed.

    Args:
        request: Its ``If-None-Match``, ``Range`` and ``If-Range`` are looked at.
        source: What to send.
        headers: What the answer says of the file's type and name.
    """
    etag = f'"{source.tag}"'
    common: Headers = (("ETag", etag), ("Accept-Ranges", "bytes"))
    if _is_known(request, etag):
        source.close()
        return Response(status=304, headers=common)
    first, end, status = byte_range(_wanted_range(request, etag), source.size_bytes)
    if status == 416:
        source.close()
        return Response(status=416, headers=(*common, ("Content-Range", f"bytes */{source.size_bytes}")))
    if status == 206:
        common = (*common, ("Content-Range", f"bytes {first}-{end - 1}/{source.size_bytes}"))
    body = FileSlice(source.fd, first, end - first)
    return Response(status=status, headers=(*headers, *common), body=body, close=source.close)


def text_answer(text: bytes | BlobFile, headers: Headers) -> Response:
    """The answer with a text that is at hand, or in a file, which is closed when it was sent."""
    if isinstance(text, bytes):
        return Response(headers=headers, body=text)
    return Response(headers=headers, body=FileSlice(text.fd, 0, text.size_bytes), close=text.close)


def byte_range(header: str | None, size: int) -> tuple[int, int, int]:
    """First byte, end and status for a Range header; one that is not understood is ignored.

    Several ranges at once are not understood: the whole is as good an answer.
    """
    whole = (0, size, 200)
    unit, _, spec = (header or "").partition("=")
    first, dash, last = (part.strip() for part in spec.partition("-"))
    if unit.strip().lower() != "bytes" or not dash or not (first or last):
        return whole
    if not all(part.isascii() and part.isdigit() and len(part) < 20 for part in (first, last) if part):
        return whole
    if not first:
        begin, end = max(0, size - int(last)), size
    else:
        begin, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < begin:
            return whole
    return (begin, end, 206) if begin < end else (0, 0, 416)


def _is_known(request: Request, etag: str) -> bool:
    values = [value for name, value in request.headers if name == "if-none-match"]
    tags = [tag.strip().removeprefix("W/") for tag in ",".join(values).split(",")]
    return etag in tags or "*" in tags


def _wanted_range(request: Request, etag: str) -> str | None:
    """The Range header, unless it holds for another version of the file."""
    condition = request.header("if-range")
    if condition is not None and condition != etag:
        return None
    return request.header("range") if request.method == "GET" else None
