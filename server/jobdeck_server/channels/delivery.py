"""Sending a job's output through an attach: from the files, by the session's credit, to the socket.

One loop serves all attaches, with a filter or without: look at the runs that cover what is there, put as many as fit
into one ``output`` message, send it, go on. A message is limited in bytes and in runs, and by the credit; what piles up
while one is being sent goes into the next, so messages grow by themselves with the speed of the job. Data of one piece
goes from file to socket in the kernel; what is small, or has holes, is read and sent with its head in one go.

The first messages of an attach are small: over a link that breaks again and again a large one would never arrive whole,
and every attach would start with it anew.

While small pieces follow each other closely, messages come at most every ``_PACE_S``: a message per write would cost
more than its bytes. The first after a pause is never delayed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.runs import Run, Stream
from jobdeck_protocol.session import Stage
from jobdeck_server.core.output import Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from jobdeck_protocol.attach import ServerMessage
    from jobdeck_protocol.session import ServerSession
    from jobdeck_server.core.output import OutputReader
    from jobdeck_server.http.upgrade import Socket
    from jobdeck_server.settings import Settings

STREAMS: Mapping[int, Stream] = {
    Kind.STDOUT: Stream.STDOUT,
    Kind.STDERR: Stream.STDERR,
    Kind.TERMINAL: Stream.TERMINAL,
}
"""Kinds on disk in the words of the wire; any other is ``unknown``."""

_SENDFILE_BYTES = 16 * 1024  # below this, reading and one send cost less than a sendfile
_FIRST_BYTES = 16 * 1024  # of the first message; each may have twice as many as the one before
_PACE_S = 0.004
_SCAN_BYTES = 64 * 1024 * 1024  # how far to look at once for runs of a wanted stream
_PROGRESS_BYTES = 1024 * 1024  # tell a client that waits for one stream how far we have looked, this often


class Outlet:
    """The sending half of an attach: messages leave whole, and in the order in which the session was told of them."""

    def __init__(self, socket: Socket, session: ServerSession) -> None:
        self.session = session
        self.socket = socket
        self._lock = trio.Lock()

    async def say(self, message: ServerMessage) -> None:
        """Send any message but ``output``; one that comes after the exit is dropped."""
        async with self._lock:
            if self.session.stage is not Stage.DONE:
                await self.socket.send(self.session.send(message))

    async def raw(self, data: bytes) -> None:
        """Send what the session has encoded already."""
        async with self._lock:
            await self.socket.send(data)

    async def output(self, reader: OutputReader, message: Batch) -> None:
        """Send an ``output`` that starts at the session's position."""
        async with self._lock:
            prefix = self.session.output(tuple(message.runs))
            if len(message.ranges) == 1 and message.data_bytes >= _SENDFILE_BYTES:
                await self.socket.send_file(prefix, reader.fd, *message.ranges[0])
                return
            pieces = [reader.read(offset, length) for offset, length in message.ranges]
            await self.socket.send(b"".join((prefix, *pieces)))

    async def settle(self) -> None:
        """Wait until no message is half sent."""
        async with self._lock:
            pass


@dataclass(slots=True)
class Batch:
    """Runs of one ``output`` message to be, one after the other from ``start`` on.

    Attributes:
        start: Offset of the first run.
        end: Offset after the last one.
        runs: In the words of the wire; unwanted neighbours are one ``skipped`` run.
        ranges: Offset and length of each piece of the file whose bytes are wanted.
        data_bytes: Bytes in ``ranges``.
        starved: Wanted bytes stand at ``end``, and there is no credit for them.
    """

    start: int
    end: int
    runs: list[Run] = field(default_factory=list)
    ranges: list[tuple[int, int]] = field(default_factory=list)
    data_bytes: int = 0
    starved: bool = False

    def skip(self, length: int, time_us: int) -> None:
        """The next ``length`` bytes are not wanted."""
        if self.runs and self.runs[-1].stream is Stream.SKIPPED:
            last = self.runs.pop()
            self.runs.append(Run(last.length + length, Stream.SKIPPED, last.time_us))
        elif length:
            self.runs.append(Run(length, Stream.SKIPPED, time_us))
        self.end += length

    def add(self, length: int, stream: Stream, time_us: int) -> None:
        """The next ``length`` bytes belong to a stream that is wanted."""
        self.runs.append(Run(length, stream, time_us))
        if self.ranges and sum(self.ranges[-1]) == self.end:
            offset, before = self.ranges.pop()
            self.ranges.append((offset, before + length))
        else:
            self.ranges.append((self.end, length))
        self.data_bytes += length
        self.end += length


class Delivery:
    """All output of one attach, from the session's position to the end.

    Args:
        outlet: Where it goes; the session in it says what is wanted.
        reader: The job's output; the caller closes it.
        settings: Limits of a message.
    """

    def __init__(self, outlet: Outlet, reader: OutputReader, settings: Settings) -> None:
        self._outlet = outlet
        self._session = outlet.session
        self._reader = reader
        self._settings = settings
        self._credited = trio.Event()
        self._last_sent = -_PACE_S
        self._message_bytes = min(_FIRST_BYTES, settings.output_message_limit_bytes)
        self._caught_up = False  # the last message had all that was there
        asked = outlet.session.asked
        self._wanted = None if asked is None else asked.streams

    def credited(self) -> None:
        """The session was given credit."""
        self._credited.set()
        self._credited = trio.Event()

    async def run(self, end: int | None) -> None:
        """Send everything up to ``end``, or until the job has ended and all is sent."""
        limit = self._settings.output_message_limit_bytes if self._wanted is None else _SCAN_BYTES
        looked = self._session.position
        while end is None or looked < end:
            if looked - self._session.position >= _PROGRESS_BYTES and self._reader.size() <= looked:
                await self._progress(looked)
            extent = await self._reader.more(looked, limit, follow=end is None)
            if extent is None:
                break
            rest = self._last_sent + _PACE_S - trio.current_time()
            if self._caught_up and extent.length < _SENDFILE_BYTES and rest > 0:
                await trio.sleep(rest)
                extent = await self._reader.more(looked, limit)
                assert extent is not None
            stop = looked + extent.length
            looked = await self._pass(looked, stop if end is None else min(stop, end))
        if looked > self._session.position:
            await self._progress(looked)

    async def _pass(self, looked: int, stop: int) -> int:
        """Send one message of what stands in [looked, stop), or wait for credit; returns how far all is looked at."""
        batch = self._batch(looked, stop)
        self._caught_up = batch.end == stop
        if batch.ranges:
            await self._outlet.output(self._reader, batch)
            self._last_sent = trio.current_time()
            self._message_bytes = min(2 * self._message_bytes, self._settings.output_message_limit_bytes)
        elif batch.starved:
            credited = self._credited  # no await between the look at the credit and this
            if batch.end > batch.start:
                await self._outlet.output(self._reader, batch)
            await credited.wait()
        else:
            await trio.lowlevel.checkpoint()  # a long way of nothing wanted must not hold up others
        return batch.end

    def _batch(self, looked: int, stop: int) -> Batch:
        session, limit = self._session, self._message_bytes
        batch = Batch(session.position, session.position)
        for length, stream, time_us in self._covered(looked, stop):
            if not batch.runs:
                batch.skip(looked - batch.end, time_us)
            if self._wanted is not None and stream not in self._wanted:
                batch.skip(length, time_us)
                continue
            credit = session.upto - batch.end
            taken = min(length, limit - batch.data_bytes, credit)
            if taken > 0:
                batch.add(taken, stream, time_us)
            if taken < length:
                batch.starved = credit <= 0
                break
        return batch

    def _covered(self, looked: int, stop: int) -> Iterator[tuple[int, Stream, int]]:
        """Length, stream and time of each run from ``looked`` on, as many as one message may have.

        The index is on disk before the bytes are; should it be damaged, bytes that it does not tell are ``unknown``.
        """
        # One run of a message is kept for what was skipped before.
        limit = self._settings.output_runs_limit_count - 1
        at, time_us = looked, 0
        for run in self._reader.runs(looked, stop, limit_count=limit):
            time_us = run.time_us
            if run.offset > at:
                break
            yield run.length, STREAMS.get(run.kind, Stream.UNKNOWN), time_us
            at += run.length
        if at == looked:
            yield stop - looked, Stream.UNKNOWN, time_us

    async def _progress(self, looked: int) -> None:
        """Tell the client how far nothing was for it."""
        batch = Batch(self._session.position, self._session.position)
        batch.skip(looked - batch.start, 0)
        await self._outlet.output(self._reader, batch)
