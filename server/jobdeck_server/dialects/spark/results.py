"""Answers that carry the result of a job: JSON around the bytes of a file, which go from there straight to the socket.

Results may be of any size, and what a job has streamed is whatever it is: it is put into the answer as it is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jobdeck_server.dialects.spark import envelope
from jobdeck_server.http.message import FileSlice, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.core.packagejobs import PackageJob, PackageJobs


async def with_result(
    jobs: PackageJobs, told: PackageJob, fields: Mapping[str, Any], *, missing: bytes | None = None
) -> Response:
    """Some fields, and the key ``result`` after them.

    Args:
        jobs: Keep the results.
        told: A job.
        fields: One at least.
        missing: The result of a job that has none, as JSON; None to leave the key out.
    """
    head = envelope.text_of(fields)[:-1]
    if told.result is None:
        tail = b"" if missing is None else b',"result":' + missing
        return Response(headers=envelope.JSON, body=head + tail + b"}")
    file = await jobs.open_result(told)
    body = (head + b',"result":', FileSlice(file.fd, 0, file.size_bytes), b"}")
    return Response(headers=envelope.JSON, body=body, close=file.close)
