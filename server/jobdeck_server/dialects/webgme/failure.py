"""Errors of the WebGME API: the bare words of the status, but for a blob that is not there.

A known path with another method is not found here, as in the original.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from jobdeck_server.core import errors
from jobdeck_server.dialects.refusals import refusal
from jobdeck_server.http.errors import HttpError, MethodNotAllowedError
from jobdeck_server.http.message import Response

if TYPE_CHECKING:
    from jobdeck_server.http.message import Headers

TEXT: Headers = (("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
HTML: Headers = (("Content-Type", "text/html; charset=utf-8"), ("X-Content-Type-Options", "nosniff"))
# What clients meet in the original; of all else they have never heard, so a sentence does no harm
_BARE = frozenset({400, 403, 404, 500})


def failure(error: Exception) -> Response:
    """Any error in this API's words."""
    if isinstance(error, errors.UnknownBlobError) and error.blob_hash.isalnum():
        return Response(status=404, headers=HTML, body=str(error).encode())
    if isinstance(error, errors.MissingContentError | errors.BlobLinkError):
        return plain(500)
    status, headers, text = refusal(error)
    if isinstance(error, MethodNotAllowedError):
        status = 404
    if status in _BARE or (status == 500 and not isinstance(error, HttpError)):
        return plain(status, headers)
    return Response(status=status, headers=(*TEXT, *headers), body=text.encode(errors="replace"))


def plain(status: int, headers: Headers = ()) -> Response:
    """The words of a status and nothing else."""
    return Response(status=status, headers=(*TEXT, *headers), body=HTTPStatus(status).phrase.encode())
