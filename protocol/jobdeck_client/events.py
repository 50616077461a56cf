"""The server's changes, live, each once, across any number of links."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from jobdeck_client.errors import ClientError
from jobdeck_client.link import Link, LinkState, Target, keep_linked
from jobdeck_protocol.events import EventsClient, ServerMessage

if TYPE_CHECKING:
    from collections.abc import Callable

_AHEAD_COUNT = 64


class Events:
    """The stream of events. Made by ``Client.events``.

    Iterating yields ``Hello`` (again after each break), ``Snapshot`` parts where numbers were missed, and ``Event``s,
    without end. A program that does not ask holds up nothing but its own link.
    """

    def __init__(self, target: Target, client: EventsClient) -> None:
        self._target = target
        self._client = client
        self._error: ClientError | None = None
        self._put, self._get = trio.open_memory_channel[ServerMessage](_AHEAD_COUNT)

    @property
    def last(self) -> int | None:
        """Number of the last event that has arrived; with ``store`` all that is needed to go on in another life."""
        return self._client.last

    @property
    def store(self) -> str | None:
        """The store that numbered it."""
        return self._client.store

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
        while True:
            message = self._client.receive(await link.receive())
            if message is not None:
                await self._put.send(message)
