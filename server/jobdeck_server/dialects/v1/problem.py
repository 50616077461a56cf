"""Errors of the native API: ``application/problem+json``. Source: RFC 9457."""

from __future__ import annotations

import json
from http import HTTPStatus

from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.dialects.refusals import refusal
from jobdeck_server.http.message import Response

_TYPE = (("Content-Type", "application/problem+json"),)


def failure(error: Exception) -> Response:
    """Any error as a problem document; ``field`` names the part of the request that is to blame, where one is."""
    status, headers, text = refusal(error)
    problem: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": text,
    }
    if isinstance(error, BadRequestError) and error.field is not None:
        problem["field"] = error.field
    return Response(status=status, headers=(*_TYPE, *headers), body=json.dumps(problem).encode() + b"\n")
