"""A job's output as an HTTP answer: what jobrunner's attach, and /v1's output, have in common.

Bytes never pass through here: the answer holds file slices, which the connection sends by sendfile. The head goes out
at once; an attach goes on until the job has ended and all was delivered, and only then its last chunk is sent.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from jobdeck_server.dialects import parse
from jobdeck_server.dialects.fileanswer import byte_range
from jobdeck_server.http.message import FileSlice, Response

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.output import Kind, OutputReader
    from jobdeck_server.http.message import Headers, Request

# Text, of no known encoding; nosniff keeps a browser from taking a job's output for a page.
_TYPE: Headers = (("Content-Type", "text/plain"), ("X-Content-Type-Options", "nosniff"), ("Cache-Control", "no-store"))
_SLICE_BYTES = 1024 * 1024


async def attach(core: JobCore, job_id: str, request: Request) -> Response:
    """All output from ``offset`` on, then what comes, until the end (or only what is there, with ``follow=false``).

    Raises:
        BadRequestError: The query is wrong.
        UnknownJobError, OffsetError, OutputGoneError: As they say.
        CapacityError: There are as many attaches as there may be.
    """
    query = parse.arguments(request)
    offset, stream = parse.offset_argument(query), parse.stream_argument(query)
    follow = parse.flag_argument(query, "follow", default=True)
    give_back = core.readers.take()
    try:
        reader = await core.output(job_id)
    except BaseException:
        give_back()
        raise

    def close() -> None:
        reader.close()
        give_back()

    try:
        start = reader.start_of(offset, stream)
    except Exception:
        close()
        raise
    trailing: Headers = ()
    if _takes_trailers(request):
        trailing = (("Trailer", "Jobdeck-State, Jobdeck-Exit-Code, Jobdeck-Signal"),)
    return Response(
        headers=(*_TYPE, ("Jobdeck-Offset", str(start)), *trailing),
        body=_slices(reader, start, stream, follow=follow),
        trailers=lambda: _trailers(reader),
        follow=True,
        close=close,
    )


async def _slices(
    reader: OutputReader, start: int, stream: Kind | None, *, follow: bool
) -> AsyncGenerator[FileSlice, None]:
    async with aclosing(reader.extents(start, _SLICE_BYTES, stream=stream, follow=follow)) as extents:
        async for extent in extents:
            yield FileSlice(reader.fd, extent.offset, extent.length)


def _takes_trailers(request: Request) -> bool:
    """Whether the client said ``TE: trailers``, alone or among other wishes (RFC 9110 section 10.1.4)."""
    wishes = ",".join(value for name, value in request.headers if name == "te").split(",")
    return any(wish.partition(";")[0].strip().lower() == "trailers" for wish in wishes)


def _trailers(reader: OutputReader) -> Headers:
    job = reader.job
    ends = (("Jobdeck-Exit-Code", job.exit_code), ("Jobdeck-Signal", job.signal))
    return (("Jobdeck-State", job.state.value), *((name, str(value)) for name, value in ends if value is not None))


async def kept(core: JobCore, job_id: str, request: Request) -> Response:
    """The output kept so far, with Content-Length and Range; never waits.

    Raises:
        As ``attach``.
    """
    stream = parse.stream_argument(parse.arguments(request))
    reader = await core.output(job_id)
    try:
        reader.start_of(0, stream)
        size = reader.stream_size(stream)
        headers: Headers = (*_TYPE, ("Accept-Ranges", "bytes"))
        first, last, status = byte_range(request.header("range"), size)
        if status == 416:
            reader.close()
            return Response(status=416, headers=(*headers, ("Content-Range", f"bytes */{size}")))
        if status == 206:
            headers = (*headers, ("Content-Range", f"bytes {first}-{last - 1}/{size}"))
        if stream is None:
            body = FileSlice(reader.fd, first, last - first)
            if not body.length:
                reader.close()
                return Response(status=status, headers=headers)
            return Response(status=status, headers=headers, body=body, close=reader.close)
        return Response(status=status, headers=headers, body=_some(reader, stream, first, last), close=reader.close)
    except Exception:
        reader.close()
        raise


async def _some(reader: OutputReader, stream: Kind, first: int, last: int) -> AsyncGenerator[FileSlice, None]:
    left = last - first
    async with aclosing(reader.extents(first, _SLICE_BYTES, stream=stream, follow=False)) as extents:
        async for extent in extents:
            length = min(left, extent.length)
            if length:
                yield FileSlice(reader.fd, extent.offset, length)
            left -= length
            if not left:
                return
