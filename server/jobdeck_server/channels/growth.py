"""What subscribers of the events watch: how far outputs have grown, and how many jobs stand in each state.

A task for each thing that one subscriber watches waits for its bell, looks, and puts what it found where the last one
lies: the newest replaces one that was not sent yet. One task sends what lies there. So a slow subscriber is told less
often, holds up nobody and piles up nothing; and what does not change costs nothing.

A look comes at most so often in a second, and first of all after each ``watch``: that has the state of all it names
told anew, whether or not it was watched before.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol import events as wire
from jobdeck_protocol.runs import Stream
from jobdeck_server.core.errors import UnavailableError, UnknownJobError
from jobdeck_server.core.output import Kind, OutputBell
from jobdeck_server.http.upgrade import SocketClosed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.http.upgrade import Socket

_log = logging.getLogger("jobdeck.events")
_GROWTH_PACE_S = 0.05
_COUNTS_PACE_S = 0.2
_UNREADABLE_PACE_S = 1.0
_KINDS: Mapping[Stream | None, Kind | None] = {None: None, Stream.STDOUT: Kind.STDOUT, Stream.STDERR: Kind.STDERR}


async def say(socket: Socket, messages: Sequence[bytes | str]) -> None:
    """Send messages that are encoded, together where the socket can."""
    binary = [message for message in messages if isinstance(message, bytes)]
    if binary:
        await socket.send_many(binary)
    for message in messages:
        if isinstance(message, str):
            await socket.send(message)


class Pushes:
    """What one subscriber watches, and what of it was not sent yet.

    Args:
        core: Knows everything that can be watched.
        text: Say it in JSON.
    """

    def __init__(self, core: JobCore, *, text: bool) -> None:
        self._core = core
        self._text = text
        self._wanted = wire.Watch()
        self._changed = trio.Event()  # something else is wanted
        self._unsent: dict[wire.Watched | None, wire.Growth | wire.Counts] = {}  # None for the counts
        self._found = trio.Event()  # there is something in ``_unsent``

    def want(self, wanted: wire.Watch) -> None:
        """Watch this and nothing else."""
        self._wanted = wanted
        self._changed.set()
        self._changed = trio.Event()

    async def run(self, socket: Socket) -> None:
        """Watch and tell until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, socket)
            while True:
                changed = self._changed
                async with trio.open_nursery() as watching:
                    self._unsent.clear()
                    if self._wanted.counts:
                        watching.start_soon(self._count)
                    for watched in dict.fromkeys(self._wanted.jobs):
                        watching.start_soon(self._follow, watched)
                    await changed.wait()
                    watching.cancel_scope.cancel()

    def _put(self, key: wire.Watched | None, message: wire.Growth | wire.Counts) -> None:
        self._unsent[key] = message
        self._found.set()

    async def _send(self, socket: Socket) -> None:
        with suppress(SocketClosed):
            while True:
                await self._found.wait()
                self._found = trio.Event()
                unsent, self._unsent = self._unsent, {}
                await say(socket, [wire.encode(message, text=self._text) for message in unsent.values()])

    async def _count(self) -> None:
        last: wire.Counts | None = None
        events = self._core.events
        while True:
            n = events.last  # each change of the counts is followed by an event
            counts = wire.Counts(states={state.value: count for state, count in self._core.counts.items()})
            if counts != last:
                last = counts
                self._put(None, counts)
            await trio.sleep(_COUNTS_PACE_S)
            await events.beyond(n)

    async def _follow(self, watched: wire.Watched) -> None:
        core = self._core
        try:
            job = await core.get(watched.id)
        except UnknownJobError:
            return
        live = core.live(watched.id)
        with OutputBell(
            core.engine.follow(job.id), core.growth, (lambda: job) if live is None else (lambda: live.job)
        ) as bell:
            await self._follow_output(watched, bell)

    async def _follow_output(self, watched: wire.Watched, bell: OutputBell) -> None:
        last: wire.Growth | None = None
        while last is None or not last.ended or last.indexed < last.size:
            event = bell.event()
            try:
                growth = await self._look(watched, last, bell)
            except UnavailableError as error:
                _log.warning("job %s cannot be watched: %s", watched.id, error)
                await trio.sleep(_UNREADABLE_PACE_S)
                continue
            if growth != last:
                last = growth
                self._put(watched, growth)
            await trio.sleep(_GROWTH_PACE_S)
            if growth.indexed == growth.size:
                await bell.rung(event)

    async def _look(self, watched: wire.Watched, last: wire.Growth | None, bell: OutputBell) -> wire.Growth:
        """How it stands now.

        Raises:
            UnavailableError: The log cannot be read.
        """
        ended = bell.job.ended  # before the size: what an ended job wrote is all there
        extent = await self._core.lines.extent(watched.id, _KINDS[watched.stream])
        lines, indexed = extent.line_count, extent.indexed_bytes
        if last is not None and indexed < last.indexed <= extent.size_bytes:
            lines, indexed = last.lines, last.indexed  # the index is being made anew: what was told stays true
        return wire.Growth(
            id=watched.id, stream=watched.stream, size=extent.size_bytes, lines=lines, indexed=indexed, ended=ended
        )
