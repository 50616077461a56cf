"""Lines of a job's log, and searches in it, in the native API."""

from __future__ import annotations

import base64
import json
from contextlib import aclosing
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from jobdeck_protocol import codec
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.find import Done, FindQuery, Hit, Progress
from jobdeck_server.core.linepage import PageQuery
from jobdeck_server.dialects import parse
from jobdeck_server.dialects.base import Route
from jobdeck_server.dialects.v1 import openapi
from jobdeck_server.http.message import Response, Role

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.linepage import LinePage
    from jobdeck_server.core.linereader import Line
    from jobdeck_server.core.lines import Found
    from jobdeck_server.http.message import Headers, Request
    from jobdeck_server.settings import Settings

CBOR = "application/cbor"
_FRESH: Headers = (("Cache-Control", "no-store"),)
_ANSWER_LIMIT_BYTES = 16 * 1024 * 1024  # far above what the limits of a page make
_TOLD_AT_ONCE_COUNT = 128
_DIRECTIONS = ("forward", "backward")


class LogLines:
    """The handlers of ``/v1/jobs/{id}/lines`` and ``/v1/jobs/{id}/find``."""

    def __init__(self, core: JobCore) -> None:
        self._core = core

    def routes(self) -> tuple[Route, ...]:
        """Its part of the table of routes."""
        rows = (
            ("/v1/jobs/{id}/lines", self.lines, "Lines of the log, by number or by offset", openapi.LINES),
            ("/v1/jobs/{id}/find", self.find, "Search the log", openapi.FIND),
        )
        return tuple(
            Route(method="GET", pattern=pattern, handler=handler, role=Role.VIEW, summary=summary, doc=doc)
            for pattern, handler, summary, doc in rows
        )

    async def lines(self, request: Request) -> Response:
        """A page of lines, in JSON, or in CBOR for who accepts that."""
        query = page_query(parse.arguments(request), self._core.settings)
        job = await self._core.resolve(request.params["id"])
        page = await self._core.lines.page(job, query)
        if _takes_cbor(request):
            body = codec.encode(page_wire(page, text=False), limit_bytes=_ANSWER_LIMIT_BYTES)
            return Response(headers=(("Content-Type", CBOR), ("Vary", "Accept"), *_FRESH), body=body)
        text = json.dumps(page_wire(page, text=True), separators=(",", ":")) + "\n"
        return Response(headers=(("Content-Type", "application/json"), ("Vary", "Accept"), *_FRESH), body=text.encode())

    async def find(self, request: Request) -> Response:
        """Hits as they are found; the search ends with its connection."""
        _check_text(request.query)
        query = find_query(parse.arguments(request), self._core.settings)
        job = await self._core.resolve(request.params["id"])
        found = self._core.lines.find(job, query)
        return Response(headers=(("Content-Type", "application/x-ndjson"), *_FRESH), body=_ndjson(found), follow=True)


async def _ndjson(found: AsyncGenerator[Found, None]) -> AsyncGenerator[bytes, None]:
    async with aclosing(found):
        async for batch in found:
            for start in range(0, len(batch), _TOLD_AT_ONCE_COUNT):  # others have their turn after each piece
                yield _json_lines(batch[start : start + _TOLD_AT_ONCE_COUNT])


def _json_lines(items: Found) -> bytes:
    return "".join(json.dumps(found_wire(item), separators=(",", ":")) + "\n" for item in items).encode()


def found_wire(item: Hit | Progress | Done) -> dict[str, Any]:
    """What a search has found as it goes over the wire."""
    match item:
        case Hit():
            return {"hit": {"line": item.line, "offset": item.offset, "column": item.column, "length": item.length}}
        case Progress():
            return {"at": item.line, "offset": item.offset}
        case Done():
            return {"done": True, "hits": item.hits, "more": item.more, "line": item.line}


def page_wire(page: LinePage, *, text: bool) -> dict[str, Any]:
    """A page as it goes over the wire; with ``text`` its data in base64."""
    return {
        "from": page.start,
        "total": page.total,
        "size": page.size_bytes,
        "indexed": page.indexed_bytes,
        "ended": page.ended,
        "lines": [_line_wire(line, text=text) for line in page.lines],
    }


def _line_wire(line: Line, *, text: bool) -> dict[str, Any]:
    return {
        "n": line.n,
        "offset": line.offset,
        "length": line.length,
        "newline": line.newline,
        "time": line.time_us,
        "runs": [[length, kind.name.lower(), time_us] for length, kind, time_us in line.runs],
        "data": base64.b64encode(line.data).decode() if text else line.data,
    }


def page_query(query: Mapping[str, str], settings: Settings) -> PageQuery:
    """Which lines a query asks for.

    Raises:
        BadRequestError: Something in it makes no sense; ``field`` tells what.
    """
    if "from" in query and "offset" in query:
        raise BadRequestError("Give one of from and offset.", field="offset")
    return PageQuery(
        start=parse.signed_argument(query, "from") or 0,
        offset=parse.signed_argument(query, "offset"),
        limit_count=parse.number_argument(
            query, "count", default=settings.lines_default_count, limit=settings.lines_limit_count
        ),
        cap_bytes=parse.number_argument(
            query, "cap", default=settings.line_cap_default_bytes, limit=settings.line_cap_limit_bytes
        ),
        stream=parse.stream_argument(query),
    )


def find_query(query: Mapping[str, str], settings: Settings) -> FindQuery:
    """What a query searches for.

    Raises:
        BadRequestError: Something in it makes no sense; ``field`` tells what.
    """
    direction = query.get("direction", "forward")
    if direction not in _DIRECTIONS:
        raise BadRequestError(f"direction must be forward or backward, not {direction!r}.", field="direction")
    return FindQuery(
        pattern=query.get("pattern", ""),
        regex=parse.flag_argument(query, "regex", default=False),
        case=parse.flag_argument(query, "case", default=True),
        start=parse.signed_argument(query, "from"),
        backward=direction == "backward",
        limit_count=parse.number_argument(
            query, "limit", default=settings.find_hits_default_count, limit=settings.find_hits_limit_count
        ),
        stream=parse.stream_argument(query),
    )


def _check_text(query: str) -> None:
    """Refuse what is no UTF-8, rather than search for the sign that stands for it."""
    try:
        unquote_to_bytes(query).decode()
    except UnicodeDecodeError as error:
        raise BadRequestError("The pattern is not UTF-8.", field="pattern") from error


def _takes_cbor(request: Request) -> bool:
    wishes = ",".join(value for name, value in request.headers if name == "accept").split(",")
    return any(wish.partition(";")[0].strip().lower() == CBOR for wish in wishes)
