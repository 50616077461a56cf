"""Refusals in this API's words. Routes tell some of them in words of their own (``binaries`` has a small c)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.core import errors
from jobdeck_server.dialects import refusals
from jobdeck_server.dialects.spark import envelope
from jobdeck_server.dialects.spark.query import MalformedError, MissingError
from jobdeck_server.http.errors import BodyTooLargeError, HttpError, MethodNotAllowedError, NotFoundError

if TYPE_CHECKING:
    from jobdeck_server.http.message import Response

_NOT_FOUND = "The requested resource could not be found."
_WRONG_METHOD = "HTTP method not allowed, supported methods: "


def failure(error: Exception) -> Response:
    """Any error: what HTTP refuses is plain text, all else an envelope."""
    if isinstance(error, NotFoundError):
        return envelope.plain(404, _NOT_FOUND)
    if isinstance(error, MethodNotAllowedError):
        return envelope.plain(405, _WRONG_METHOD + ", ".join(error.allow))
    if isinstance(error, MissingError):
        return envelope.plain(404, str(error))
    if isinstance(error, MalformedError):
        return envelope.plain(400, str(error))
    status, headers, text = refusals.refusal(error)
    if isinstance(error, HttpError) and status < 500 and not isinstance(error, BodyTooLargeError):
        return envelope.plain(status, text, headers)
    if isinstance(error, errors.UnknownJobError):
        text = f"No such job ID {error.job_id}"
    return envelope.refusal(status, text, headers=headers)
