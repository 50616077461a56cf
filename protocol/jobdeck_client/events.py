"""The server's changes, live, each once, across any number of links; and how what is watched stands."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import trio

from jobdeck_client.errors import ClientError
from jobdeck_client.link import Link, LinkState, Target, keep_linked
from jobdeck_protocol.events import EventsClient, ServerMessage, Watch, Watched
from jobdeck_protocol.runs import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_AHEAD_COUNT = 64


class Events:
    """The stream of events. Made by ``Client.events``.

    Iterating yields ``Hello`` (again after each break), ``Snapshot`` parts where numbers were missed, and ``Event``s,
    without end; ``Growth`` and ``Counts`` of what is watched come in between. A program that does not ask holds up
    nothing but its own link.
    """

    def __init__(self, target: Target, client: EventsClient) -> None:
        self._target = target
        self._client = client
        self._error: ClientError | None = None
        self._wanted = trio.Event()  # set when something else is watched, then replaced
        self._put, self._get = trio.open_memory_channel[ServerMessage](_AHEAD_COUNT)

    @property
    def last(self) -> int | None:
        """Number of the last event that has arrived; with ``store`` all that is needed to go on in another life."""
        return self._client.last

    @property
    def store(self) -> str | None:
        """The store that numbered it."""
        return self._client.store

    def watch(self, *, counts: bool, jobs: Iterable[tuple[str, str | None]]) -> None:
        """Say what is wanted beside the events, from now on and on each new link; it replaces what was said before.

        A server that is too old tells nothing of it.

        Args:
            counts: ``Counts`` whenever the number of jobs in some state has changed.
            jobs: ``Growth`` of the output of these: id, and ``stdout`` or ``stderr``, or None for both. Jobs that are
                not known are not told of. A server takes so many of them (16), and refuses more by closing for good.
        """
        watched = tuple(Watched(job_id, None if stream is None else Stream(stream)) for job_id, stream in jobs)
        wanted = Watch(counts=counts, jobs=watched)
        if wanted != self._client.wanted:
            self._client.watch(wanted)
            self._wanted.set()
            self._wanted = trio.Event()

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> ServerMessage:
        """The next message.

        Raises:
            ClientError: What cannot be mended by a new link.
        """
        try:
            return await self._get.receive()
        except trio.EndOfChannel:
            if self._error is not None:
                raise self._error from None
            raise StopAsyncIteration from None

    async def run(self, *, reconnect: bool, patient: bool, on_link: Callable[[LinkState], None] | None) -> None:
        """Keep the link; never raises. Run by ``Client.events``."""
        async with self._put:
            try:
                await keep_linked(self._target, self._talk, reconnect=reconnect, patient=patient, on_link=on_link)
            except ClientError as error:
                self._error = error

    async def _talk(self, link: Link) -> None:
        await link.send(self._client.begin())
        link.nursery.start_soon(self._say_wanted, link)
        while True:
            message = self._client.receive(await link.receive())
            if message is not None:
                await self._put.send(message)

    async def _say_wanted(self, link: Link) -> None:
        with suppress(ClientError):
            while True:
                wanted = self._wanted
                message = self._client.watching()
                if message is not None:
                    await link.send(message)
                await wanted.wait()
