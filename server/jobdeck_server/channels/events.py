"""The server's end of the events stream.

With the subprotocol ``jobdeck.events.v1`` the client says ``since`` first; without one it is in the query, and messages
are JSON texts. A subscriber pulls from the event log at its own pace: one that is slow costs nothing, and none is
passed by. What piles up while a message is being sent leaves together, and so does what comes within ``_PACE_S`` after
it; the first event after a pause is never delayed. An event is encoded once for all subscribers. What a subscriber
watches beside the events is in ``growth``.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol import events as wire
from jobdeck_protocol.errors import CLOSE_NO_ATTACH, LocalWireError, RemoteWireError
from jobdeck_server.channels.growth import Pushes, say
from jobdeck_server.channels.streams import closing
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.events import Snapshot
from jobdeck_server.dialects import parse
from jobdeck_server.http.message import Response, Upgrade
from jobdeck_server.http.upgrade import SocketClosed, offered, wants_upgrade

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.core.events import Event, EventLog
    from jobdeck_server.core.jobs import JobCore
    from jobdeck_server.http.message import Answer, Request
    from jobdeck_server.http.upgrade import Socket

_PACE_S = 0.02
_CACHE_COUNT = 256
_MESSAGE_LIMIT_BYTES = 4096  # of a client, which has next to nothing to say
_NUMBER_LIMIT_COUNT = 18  # digits


class EventsChannel:
    """All subscribers of a server's events."""

    def __init__(self, core: JobCore) -> None:
        self._core = core
        self._encoder = Encoder()

    async def answer(self, request: Request) -> Answer:
        """What a request for the stream gets: an ``Upgrade``, or 426 if it is no WebSocket handshake.

        Raises:
            BadRequestError: ``since`` in the query is no number, or too much is to be watched.
        """
        if not wants_upgrade(request):
            text = b"This is a stream of events; connect with a WebSocket.\n"
            headers = (("Upgrade", "websocket"), ("Content-Type", "text/plain"))
            return Response(status=426, headers=headers, body=text)
        if wire.SUBPROTOCOL in offered(request):
            run = Subscriber(self._core, self._encoder, text=False).ask_and_tell
            return Upgrade(subprotocol=wire.SUBPROTOCOL, run=run, message_limit_bytes=_MESSAGE_LIMIT_BYTES)
        query = parse.arguments(request)
        subscriber = Subscriber(self._core, self._encoder, text=True)
        subscriber.watch(_watch(query, self._core.settings.watch_limit_count))
        start = wire.EventsServer(self._core.events.store_id).start(_since(query))
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
        core: What is told of.
        encoder: Shared by all clients.
        text: Say it in JSON.
    """

    def __init__(self, core: JobCore, encoder: Encoder, *, text: bool) -> None:
        self._log: EventLog = core.events
        self._settings = core.settings
        self._encoder = encoder
        self._text = text
        self._session = wire.EventsServer(core.events.store_id)
        self._pushes = Pushes(core, text=text)
        self._fault: RemoteWireError | None = None

    def watch(self, wanted: wire.Watch) -> None:
        """Tell this beside the events."""
        self._pushes.want(wanted)

    async def ask_and_tell(self, socket: Socket) -> None:
        """Wait for ``since``, then tell."""
        asked: wire.ClientMessage | None = None
        try:
            with trio.move_on_after(self._settings.head_timeout_s):
                while not isinstance(asked, wire.Since):
                    asked = self._session.receive(await socket.receive())
        except RemoteWireError as error:
            await socket.close(error.close_code, str(error))
            return
        if not isinstance(asked, wire.Since):
            await socket.close(CLOSE_NO_ATTACH, "no since message came")
            return
        await self.tell(self._session.start(asked), socket)

    async def tell(self, since: int | None, socket: Socket) -> None:
        """Say hello, then tell what follows number ``since`` and what is watched, until the socket is closed."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen, socket, nursery.cancel_scope)
            with suppress(SocketClosed):
                hello = wire.Hello(store=self._log.store_id, first=self._log.first, last=self._log.last)
                await socket.send(wire.encode(hello, text=self._text))
                nursery.start_soon(self._pushes.run, socket)
                await self._tell_events(since, socket)
            nursery.cancel_scope.cancel()
        if self._fault is not None:
            await socket.close(self._fault.close_code, str(self._fault))

    async def _listen(self, socket: Socket, scope: trio.CancelScope) -> None:
        """Hear what the client wants, and notice that it has gone, or says what it may not."""
        try:
            while True:
                data = await socket.receive()
                message = None if self._text else self._session.receive(data)
                if isinstance(message, wire.Watch):
                    limit = self._settings.watch_limit_count
                    if len(message.jobs) > limit:
                        raise RemoteWireError(f"at most {limit} outputs can be watched")
                    self.watch(message)
        except RemoteWireError as error:
            self._fault = error
        except SocketClosed:
            pass
        scope.cancel()

    async def _tell_events(self, since: int | None, socket: Socket) -> None:
        async with closing(self._log.subscribe(since)) as stream:
            async for found in stream:
                if isinstance(found, Snapshot):
                    for part in wire.snapshot_parts(found.n, found.jobs):
                        await say(socket, [wire.encode(part, text=self._text)])
                else:
                    await say(socket, [self._encoder.encode(event, text=self._text) for event in found])
                    if found[-1].n == self._log.last:
                        await trio.sleep(_PACE_S)


def _since(query: Mapping[str, str]) -> wire.Since:
    text = query.get("since")
    if text is None:
        return wire.Since(store=query.get("store"))
    if not (text.isascii() and text.isdigit() and len(text) <= _NUMBER_LIMIT_COUNT):
        raise BadRequestError(f"since must be the number of an event, not {text!r}.", field="since")
    return wire.Since(since=int(text), store=query.get("store"))


def _watch(query: Mapping[str, str], limit_count: int) -> wire.Watch:
    ids = [each for each in query.get("watch", "").split(",") if each]
    if len(ids) > limit_count:
        raise BadRequestError(f"At most {limit_count} jobs can be watched.", field="watch")
    counts = parse.flag_argument(query, "counts", default=False)
    try:
        return wire.Watch(counts=counts, jobs=tuple(wire.Watched(each) for each in ids))
    except LocalWireError as error:
        raise BadRequestError(f"watch: {error}.", field="watch") from error
