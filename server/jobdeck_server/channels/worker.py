"""The server's end of the worker channel, ``GET /v1/worker``: a WebSocket of a worker, from its hello to its end.

What is said is decided by the worker's ``WorkerHost`` (``engines.remoteworker``); here are the tasks of one connection:
one reads, one sends, one looks whether the worker may still be here (its token may be revoked at any time). Whatever
the other end does, these are all that it holds.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import trio

from jobdeck_protocol.codec import MESSAGE_LIMIT_BYTES
from jobdeck_protocol.errors import CLOSE_NO_ATTACH, CLOSE_TRY_LATER, CLOSE_UNAUTHORIZED, RemoteWireError
from jobdeck_protocol.worker import REASON_LIMIT_BYTES, SUBPROTOCOL, hello_of
from jobdeck_server.core.errors import BadRequestError
from jobdeck_server.core.store import StoreError
from jobdeck_server.http.message import Response, Upgrade
from jobdeck_server.http.upgrade import SocketClosed, offered, wants_upgrade

if TYPE_CHECKING:
    from jobdeck_protocol.worker import Hello
    from jobdeck_server.engines.remote import RemoteEngine
    from jobdeck_server.engines.remoteworker import RemoteWorker
    from jobdeck_server.http.message import Answer, Identity, Request
    from jobdeck_server.http.upgrade import Socket
    from jobdeck_server.settings import Settings

_BATCH_COUNT = 64  # messages that leave together


class WorkerChannel:
    """All connections of workers.

    Args:
        engine: Whose workers they are.
        settings: See there.
        holds: Whether who came as this may still be here; asked again and again.
    """

    def __init__(self, engine: RemoteEngine, settings: Settings, *, holds: Callable[[Identity], bool]) -> None:
        self._engine = engine
        self._settings = settings
        self._holds = holds

    async def answer(self, request: Request) -> Answer:
        """What a request for the channel gets: an ``Upgrade``, or 426 if it is no WebSocket handshake.

        Raises:
            BadRequestError: It does not offer the subprotocol.
        """
        if not wants_upgrade(request):
            text = b"Workers connect here, with a WebSocket: jobdeck worker.\n"
            headers = (("Upgrade", "websocket"), ("Content-Type", "text/plain"))
            return Response(status=426, headers=headers, body=text)
        if SUBPROTOCOL not in offered(request):
            raise BadRequestError(f"The subprotocol here is {SUBPROTOCOL}.")
        connection = WorkerConnection(
            self._engine, self._settings, peer=request.peer, allowed=partial(self._holds, request.identity)
        )
        return Upgrade(subprotocol=SUBPROTOCOL, run=connection.run, message_limit_bytes=MESSAGE_LIMIT_BYTES)


class WorkerConnection:
    """One connection; a ``remotecommon.Session``.

    Args:
        engine: Whose workers they are.
        settings: See there.
        peer: Host and port from which it comes.
        allowed: Whether it may still be here.
    """

    def __init__(self, engine: RemoteEngine, settings: Settings, *, peer: str, allowed: Callable[[], bool]) -> None:
        self._engine = engine
        self._settings = settings
        self._peer = peer
        self._allowed = allowed
        self._scope = trio.CancelScope()
        self._close: tuple[int, str] | None = None

    def end(self, code: int, reason: str) -> None:
        """Close it with this code; of several calls the first counts."""
        if self._close is None:
            self._close = (code, reason)
        self._scope.cancel()

    async def run(self, socket: Socket) -> None:
        """Hear who it is, then talk until one end has enough."""
        hello = await self._hear(socket)
        if hello is not None:
            with self._scope:
                await self._serve(socket, hello)
        if self._close is not None:
            code, reason = self._close
            await socket.close(code, reason.encode()[:REASON_LIMIT_BYTES].decode("utf-8", "ignore"))

    async def _hear(self, socket: Socket) -> Hello | None:
        with trio.move_on_after(self._settings.head_timeout_s):
            try:
                return hello_of(await socket.receive())
            except RemoteWireError as error:
                self.end(error.close_code, str(error))
                return None
        self.end(CLOSE_NO_ATTACH, "no hello came")
        return None

    async def _serve(self, socket: Socket, hello: Hello) -> None:
        try:
            worker, link = await self._engine.connect(hello, self._peer, self)
        except RemoteWireError as error:
            self.end(error.close_code, str(error))
            return
        except StoreError:
            self.end(CLOSE_TRY_LATER, "the server's database would not take it now")
            return
        try:
            await self._talk(socket, worker, link)
        finally:
            worker.disconnected(link)

    async def _talk(self, socket: Socket, worker: RemoteWorker, link: int) -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._send, socket, worker, link)
            nursery.start_soon(self._look)
            with suppress(SocketClosed):
                try:
                    while True:
                        await worker.receive(link, await socket.receive())
                except RemoteWireError as error:
                    self.end(error.close_code, str(error))
                except StoreError as error:
                    self.end(CLOSE_TRY_LATER, str(error))
            nursery.cancel_scope.cancel()

    async def _send(self, socket: Socket, worker: RemoteWorker, link: int) -> None:
        """Send what there is; what has gathered leaves together."""
        with suppress(SocketClosed):
            while True:
                bell = worker.bell
                batch: list[bytes] = []
                while len(batch) < _BATCH_COUNT and (message := await worker.send(link)) is not None:
                    batch.append(message)
                if batch:
                    await socket.send_many(batch)
                else:
                    with trio.move_on_at(worker.due_s):
                        await bell.wait()

    async def _look(self) -> None:
        """End the connection as soon as its token is no good any more."""
        while True:
            if not self._allowed():
                self.end(CLOSE_UNAUTHORIZED, "the token of this worker is not valid any more")
            await trio.sleep(self._settings.worker_token_look_s)
