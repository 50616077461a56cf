"""The server's end of the events stream.

With the subprotocol ``jobdeck.events.v1`` the client says ``since`` first; without one it is in the query, and messages
are JSON texts. A subscriber pulls from the event log at its own pace: one that is slow costs nothing, and none is
passed by. What piles up while a message is being sent leaves together. An event is encoded once for all subscribers.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol import events as wire
from jobdeck_protocol.errors import CLOSE_NO_ATTACH, RemoteWireError
from jobdeck_server.channels.streams import closing
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.events import Event, Snapshot
from jobdeck_server.dialects import parse
from jobdeck_server.http.message import Response, Upgrade
from jobdeck_server.http.upgrade import SocketClosed, offered, wants_upgrade

if TYPE_CHECKING:
    from jobdeck_server.core.events import EventLog
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.http.message import Answer, Request
    from jobdeck_server.http.upgrade import Socket

_BATCH_COUNT = 64
_CACHE_COUNT = 256
_MESSAGE_LIMIT_BYTES = 4096  # of a client, which has next to nothing to say
_NUMBER_LIMIT_COUNT = 18  # digits


class EventsChannel:
    """All subscribers of a server's events."""

    def __init__(self, core: JobCore) -> None:
        self._settings = core.settings
        self._log = core.events
        self._encoder = Encoder()

    async def answer(self, request: Request) -> Answer:
        """What a request for the stream gets: an ``Upgrade``, or 426 if it is no WebSocket handshake.

        Raises:
            BadRequestError: ``since`` in the query is no number.
        """
        if not wants_upgrade(request):
            text = b"This is a stream of events; connect with a WebSocket.\n"
            headers = (("Upgrade", "websocket"), ("Content-Type", "text/plain"))
            return Response(status=426, headers=headers, body=text)
        if wire.SUBPROTOCOL in offered(request):
            subscriber = Subscriber(self._log, self._encoder, text=False, asked_within_s=self._settings.head_timeout_s)
            return Upgrade(
                subprotocol=wire.SUBPROTOCOL, run=subscriber.ask_and_tell, message_limit_bytes=_MESSAGE_LIMIT_BYTES
            )
        start = wire.EventsServer(self._log.store_id).start(_since(request))
        subscriber = Subscriber(self._log, self._encoder, text=True)
        return Upgrade(subprotocol=None, run=partial(subscriber.tell, start), message_limit_bytes=_MESSAGE_LIMIT_BYTES)


class Encoder:
    """Encodes events, the newest of them once for all subscribers."""

    def __init__(self) -> None:
        self._cache: OrderedDict[tuple[int, bool], bytes | str] = OrderedDict()

    def encode(self, event: Event, *, text: bool) -> bytes | str:
        """An event's message, in JSON or in CBOR."""
        key = (event.n, text)
        data = self._cache.get(key)
        if data is None:
            data = self._cache[key] = wire.encode(wire.event_of(event.n, event.kind, event.data), text=text)
            if len(self._cache) > _CACHE_COUNT:
                self._cache.popitem(last=False)
        return data


class Subscriber:
    """One client of the stream.

    Args:
        log: The events.
        encoder: Shared by all clients.
        text: Say them in JSON.
        asked_within_s: How long to wait for the client's ``since``.
    """

    def __init__(self, log: EventLog, encoder: Encoder, *, text: bool, asked_within_s: float = 0.0) -> None:
        self._log = log
        self._encoder = encoder
        self._text = text
        self._asked_within_s = asked_within_s
        self._session = wire.EventsServer(log.store_id)
        self._fault: RemoteWireError | None = None

    async def ask_and_tell(self, socket: Socket) -> None:
        """Wait for ``since``, then tell."""
        asked: wire.Since | None = None
        try:
            with trio.move_on_after(self._asked_within_s):
                while asked is None:
                    asked = self._session.receive(await socket.receive())
        except RemoteWireError as error:
            await socket.close(error.close_code, str(error))
            return
        if asked is None:
            await socket.close(CLOSE_NO_ATTACH, "no since message came")
            return
        await self.tell(self._session.start(asked), socket)

    async def tell(self, since: int | None, socket: Socket) -> None:
        """Say hello, then tell what follows number ``since``, until the socket is closed."""
        put, get = trio.open_memory_channel[Event | Snapshot](_BATCH_COUNT)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, socket, nursery.cancel_scope)
            nursery.start_soon(self._pull, since, put)
            with suppress(SocketClosed):
                hello = wire.Hello(store=self._log.store_id, first=self._log.first, last=self._log.last)
                await socket.send(wire.encode(hello, text=self._text))
                async for item in get:
                    await self._send(socket, _batch(item, get))
            nursery.cancel_scope.cancel()
        if self._fault is not None:
            await socket.close(self._fault.close_code, str(self._fault))

    async def _listen(self, socket: Socket, scope: trio.CancelScope) -> None:
        """Notice that the client has gone, or says what it may not."""
        try:
            while True:
                data = await socket.receive()
                if not self._text:
                    self._session.receive(data)
        except RemoteWireError as error:
            self._fault = error
        except SocketClosed:
            pass
        scope.cancel()

    async def _pull(self, since: int | None, put: trio.MemorySendChannel[Event | Snapshot]) -> None:
        async with put, closing(self._log.subscribe(since)) as stream:
            async for item in stream:
                await put.send(item)

    async def _send(self, socket: Socket, items: list[Event | Snapshot]) -> None:
        messages: list[bytes | str] = []
        for item in items:
            if isinstance(item, Event):
                messages.append(self._encoder.encode(item, text=self._text))
            else:
                parts = wire.snapshot_parts(item.n, tuple(item.jobs))
                messages += [wire.encode(part, text=self._text) for part in parts]
        if self._text:
            for message in messages:
                await socket.send(message)
        else:
            await socket.send_many([message for message in messages if isinstance(message, bytes)])


def _batch(first: Event | Snapshot, get: trio.MemoryReceiveChannel[Event | Snapshot]) -> list[Event | Snapshot]:
    """An item and those that wait behind it."""
    items = [first]
    with suppress(trio.WouldBlock, trio.EndOfChannel):
        while len(items) < _BATCH_COUNT:
            items.append(get.receive_nowait())
    return items


def _since(request: Request) -> wire.Since:
    query = parse.arguments(request)
    text = query.get("since")
    if text is None:
        return wire.Since(store=query.get("store"))
    if not (text.isascii() and text.isdigit() and len(text) <= _NUMBER_LIMIT_COUNT):
        raise BadRequestError(f"since must be the number of an event, not {text!r}.", field="since")
    return wire.Since(since=int(text), store=query.get("store"))
