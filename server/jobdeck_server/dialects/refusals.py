"""Which HTTP status a refusal has where a dialect's document does not say otherwise: one table for all dialects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jobdeck_server.core import errors
from jobdeck_server.core.store import StoreError
from jobdeck_server.http.errors import HttpError

if TYPE_CHECKING:
    from jobdeck_server.http.message import Headers

STATUS: dict[type[Exception], int] = {
    errors.UnknownJobError: 404,
    errors.NoResultError: 404,
    errors.UnknownWorkerError: 404,
    errors.UnknownBlobError: 404,
    errors.UnknownBinaryError: 404,
    errors.UnknownContextError: 404,
    errors.NoCallbackError: 404,
    errors.UnknownDataFileError: 404,
    errors.UnknownEntryError: 404,
    errors.MissingContentError: 404,
    errors.BlobLinkError: 409,
    errors.NoSpaceError: 507,
    errors.BadRequestError: 400,
    errors.UnsupportedError: 400,
    errors.BadBinaryError: 400,
    errors.PackageError: 400,
    errors.WrongKindError: 400,
    errors.BinaryTypeError: 415,
    errors.BadContextNameError: 400,
    errors.ContextInitError: 422,
    errors.TooLargeError: 413,
    errors.ConflictError: 409,
    errors.BusyError: 409,
    errors.BinaryInUseError: 409,
    errors.ContextExistsError: 409,
    errors.ContextStoppingError: 409,
    errors.ContextLostError: 409,
    errors.IdempotencyError: 422,
    errors.ForbiddenError: 403,
    errors.UnauthorizedError: 401,
    errors.CapacityError: 503,
    errors.NoSlotsError: 503,
    errors.OutputGoneError: 410,
    errors.OffsetError: 416,
    errors.UnavailableError: 503,
    StoreError: 507,
}


def refusal(error: Exception) -> tuple[int, Headers, str]:
    """Status, further headers and text of any error; a bug of ours is 500 and tells nothing."""
    if isinstance(error, HttpError):
        return error.status, (), str(error)  # its headers are added by the connection
    status = STATUS.get(type(error), 500)
    if status == 500:
        return 500, (), "Internal server error."
    headers: Headers = ()
    if isinstance(error, errors.UnauthorizedError):
        headers = (("WWW-Authenticate", 'Bearer realm="jobdeck"'), ("WWW-Authenticate", 'Basic realm="jobdeck"'))
    elif isinstance(error, errors.OffsetError):
        headers = (("Content-Range", f"bytes */{error.size}"),)
    elif isinstance(error, errors.CapacityError | errors.UnavailableError):
        headers = (("Retry-After", "1"),)
    return status, headers, str(error)
