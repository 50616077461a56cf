"""Attach over WebSocket without a subprotocol: the output's bytes as binary messages, for any WebSocket tool.

Where one message ends and the next begins means nothing; small pieces that pile up are joined. Flow control is TCP's.
The close tells the end: 1000 with the reason ``exit N``, ``signal N`` or ``lost``, and only with these; 4000 with the
job's state where there is no such status to tell (it never started, or was not to be followed). Any other close means
that there is more to come: attach again with ``offset``. What the client sends is read and ignored.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.errors import CLOSE_NORMAL, CLOSE_NOT_FOLLOWED, CLOSE_OFFSET
from jobdeck_protocol.job import JobState
from jobdeck_server.channels.streams import closing
from jobdeck_server.core.output import Extent
from jobdeck_server.dialects import parse
from jobdeck_server.http.upgrade import SocketClosed

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from jobdeck_protocol.job import Job
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.core.output import Kind, OutputReader
    from jobdeck_server.http.message import Request
    from jobdeck_server.http.upgrade import Socket

_AHEAD_COUNT = 256  # extents (not bytes) looked up ahead of what is being sent
_SENDFILE_BYTES = 16 * 1024
_PACE_S = 0.004


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the query of a raw attach asks for; the same as for an attach over plain HTTP."""

    offset: int
    stream: Kind | None
    follow: bool


def wanted(request: Request) -> Wanted:
    """Read the query.

    Raises:
        BadRequestError: It is wrong.
    """
    query = parse.arguments(request)
    return Wanted(
        parse.offset_argument(query),
        parse.stream_argument(query),
        parse.flag_argument(query, "follow", default=True),
    )


async def opened(core: JobCore, job_id: str, asked: Wanted) -> OutputReader:
    """A reader of the job's output, which can give what is asked for.

    Raises:
        UnknownJobError, OffsetError, OutputGoneError: It cannot.
    """
    reader = await core.output(job_id)
    try:
        reader.start_of(asked.offset, asked.stream)
    except Exception:
        reader.close()
        raise
    return reader


async def pour(socket: Socket, core: JobCore, job_id: str, asked: Wanted) -> None:
    """Send all that is asked for, then close with how the job ended."""
    with await opened(core, job_id, asked) as reader:
        start = reader.start_of(asked.offset, asked.stream)
        # Without following, what a job writes after the last look is not sent, so neither is its end.
        told = asked.follow or reader.job.ended
        put, get = trio.open_memory_channel[Extent](_AHEAD_COUNT)
        extents = reader.extents(
            start, core.settings.output_message_limit_bytes, stream=asked.stream, follow=asked.follow
        )
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_listen, socket, nursery.cancel_scope)
            nursery.start_soon(_look, extents, put)
            with suppress(SocketClosed):
                sent = await _send(socket, reader, get)
                code, reason = _end(reader, asked, start + sent) if told else (CLOSE_NOT_FOLLOWED, reader.job.state)
                await socket.close(code, reason)
            nursery.cancel_scope.cancel()


async def _look(extents: AsyncIterator[Extent], put: trio.MemorySendChannel[Extent]) -> None:
    """Look up what there is to send, some way ahead."""
    async with put, closing(extents):
        async for extent in extents:
            await put.send(extent)


async def _listen(socket: Socket, scope: trio.CancelScope) -> None:
    """Notice that the client has gone."""
    try:
        while True:
            await socket.receive()
    except SocketClosed:
        scope.cancel()


def _end(reader: OutputReader, asked: Wanted, reached: int) -> tuple[int, str]:
    """How to close when all up to ``reached`` is sent and nothing follows."""
    size = reader.stream_size(asked.stream)
    if reached > size:
        return CLOSE_OFFSET, f"offset {reached} is beyond the end at {size}"
    if reader.gone and reached < reader.job.output_bytes and asked.stream is None:
        return CLOSE_NOT_FOLLOWED, "removed"
    return status(reader.job)


def status(job: Job) -> tuple[int, str]:
    """Close code and reason that tell how a job ended."""
    if job.exit_code is not None:
        return CLOSE_NORMAL, f"exit {job.exit_code}"
    if job.signal is not None:
        return CLOSE_NORMAL, f"signal {job.signal}"
    if job.state is JobState.LOST:
        return CLOSE_NORMAL, "lost"
    return CLOSE_NOT_FOLLOWED, job.state.value


async def _send(socket: Socket, reader: OutputReader, get: trio.MemoryReceiveChannel[Extent]) -> int:
    """Send extents until there are no more; returns how many bytes they had."""
    sent = 0
    last = -_PACE_S
    async for extent in get:
        if extent.length < _SENDFILE_BYTES and not get.statistics().current_buffer_used:
            await trio.sleep(max(0.0, last + _PACE_S - trio.current_time()))
        ranges = _joined(extent, get)
        last = trio.current_time()
        length = sum(each.length for each in ranges)
        if len(ranges) == 1 and length >= _SENDFILE_BYTES:
            await socket.send_file(b"", reader.fd, ranges[0].offset, length)
        else:
            await socket.send(b"".join(reader.read(each.offset, each.length) for each in ranges))
        sent += length
    return sent


def _joined(first: Extent, get: trio.MemoryReceiveChannel[Extent]) -> list[Extent]:
    """An extent, and with a small one those that wait behind it; neighbours are made one."""
    ranges = [first]
    length = first.length
    while length < _SENDFILE_BYTES:
        try:
            extent = get.receive_nowait()
        except (trio.WouldBlock, trio.EndOfChannel):
            break
        length += extent.length
        if ranges[-1].offset + ranges[-1].length == extent.offset:
            ranges[-1] = Extent(ranges[-1].offset, ranges[-1].length + extent.length)
        else:
            ranges.append(extent)
    return ranges
