"""One client connection: heads in, answers out, in order, until either side ends it.

    IDLE --first byte--> HEAD --blank line--> BUSY --answer sent--> IDLE
      |                    |                    |
      idle_timeout_s       head_timeout_s       the body's rate, the answer's stall limit

One cancel scope spans IDLE and HEAD for the whole life of the connection, and its deadline is moved: one per request
would cost more than parsing a short head. While BUSY it has none; the handler is bounded by nothing here.

Pipelined requests wait in the ``HeadBuffer`` and are answered one after the other. ``_next`` is the one place where an
idle connection waits: parking idle connections on a shared epoll set replaces one call there and nothing else.

Errors: what HTTP refuses is an ``HttpError``, told by ``failure`` in the words of the path's dialect; anything else
that a handler raises is a bug of ours, logged with its traceback here and answered 500. After a protocol error the
connection ends, since nobody can say where the next request begins.
"""

from __future__ import annotations

import math
from dataclasses import replace
from enum import Enum
from typing import TYPE_CHECKING

import h11
import trio

from jobdeck_server.http import errors
from jobdeck_server.http.body import RequestBody
from jobdeck_server.http.errors import HttpError, InternalError, PeerGoneError
from jobdeck_server.http.head import HeadBuffer, check_fields, check_framing, new_h11, parse_target
from jobdeck_server.http.log import Exchange
from jobdeck_server.http.message import Request, Response, Upgrade
from jobdeck_server.http.respond import CutError, Responder, finish
from jobdeck_server.http.upgrade import check_handshake, serve_upgrade
from jobdeck_server.http.wire import StallError, set_user_timeout

if TYPE_CHECKING:
    from jobdeck_server.http.message import Answer
    from jobdeck_server.http.service import Service
    from jobdeck_server.http.wire import Wire


class Ending(Enum):
    """What an exchange leaves to be done."""

    NEXT = "take the next request"
    CLOSE = "all was said and read"
    LINGER = "all was said, or nothing more can be; the client may still be sending"
    RESET = "what was said is not all, and only a reset tells"


class Phase(Enum):
    """What a connection is doing; see the top of the file."""

    IDLE = "idle"
    HEAD = "head"
    BUSY = "busy"


class Connection:
    """The state of one client connection; ``serve`` is its whole life.

    ``serve`` returns normally whatever the client does; only cancellation and bugs of this package pass through.
    """

    def __init__(self, wire: Wire, service: Service, *, peer: str) -> None:
        settings = service.settings
        self._service = service
        self._settings = settings
        self._peer = peer
        self._wire = wire
        self._conn = new_h11(settings)
        self._buffer = HeadBuffer(settings)
        self._phase = Phase.IDLE
        self._scope = trio.CancelScope()  # of IDLE and HEAD; see the top of the file
        self._following: trio.CancelScope | None = None  # of an answer that follows something, while it does

        self._method = ""  # of the head that was parsed last, empty if it could not be
        self._must_close = False

    def __repr__(self) -> str:
        return f"<Connection {self._peer} {self._phase.value} {self._conn.our_state}>"

    async def serve(self) -> None:
        """Answer requests until the connection ends, then close the socket."""
        try:
            with self._service.shutdown.told(self._wind_down):
                with self._scope:
                    await self._converse()
                if self._scope.cancelled_caught and self._phase is Phase.HEAD and not self._service.shutdown.begun:
                    await self._refuse(errors.RequestTimeoutError("The request head came too slowly."))
        except OSError:
            pass  # the client has gone: there is nobody left to tell
        finally:
            self._wire.close()

    def _wind_down(self) -> None:
        """The server is to end: what waits ends now, what is being answered may finish, but for a follower."""
        if self._phase is not Phase.BUSY:
            self._scope.cancel()
        elif self._following is not None:
            self._following.cancel()

    # reading requests

    async def _converse(self) -> None:
        while True:
            try:
                request = await self._next()
            except HttpError as error:
                self._phase = Phase.BUSY
                await self._refuse(error)
                return
            if request is None:
                return
            ending = await self._exchange(request)
            if ending is Ending.NEXT:
                ending = await self._next_cycle()
            if ending is not Ending.NEXT:
                await self._end(ending)
                return

    async def _next(self) -> Request | None:
        """The next request, its head checked; None when the client has ended its side.

        Raises:
            HttpError: What came is none.
        """
        self._phase = Phase.IDLE
        self._method = ""
        self._scope.deadline = trio.current_time() + self._settings.idle_timeout_s
        waited = False
        while (head := self._buffer.take_head()) is None:
            if len(self._buffer) and self._phase is Phase.IDLE:
                self._phase = Phase.HEAD
                self._scope.deadline = trio.current_time() + self._settings.head_timeout_s
            data = await self._wire.receive()  # the one place where an idle connection waits
            if not data:
                return None
            self._buffer.feed(data)
            waited = True
        if not waited:
            await trio.lowlevel.checkpoint()  # a pipeline of a thousand requests is no reason for others to wait
        self._scope.deadline = math.inf
        if self._scope.cancel_called:  # just now: the time was up, or the server ends
            await trio.lowlevel.checkpoint_if_cancelled()
        self._phase = Phase.BUSY
        return self._parse(head)

    def _parse(self, head: bytes) -> Request:
        """Make a request of a whole head.

        Raises:
            HttpError: It is not one, or not one that is answered here.
        """
        self._conn.receive_data(head)
        try:
            event = self._conn.next_event()
        except h11.RemoteProtocolError as error:
            if error.error_status_hint == 501:
                raise errors.NotImplementedHereError("This Transfer-Encoding is not done here.") from error
            raise errors.BadMessageError("The request head is not valid.") from error
        assert type(event) is h11.Request, event
        method = self._method = event.method.decode("ascii")
        check_framing(head, event)
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in event.headers)
        target = parse_target(method, event.target.decode("ascii"))
        check_fields(headers, http10=event.http_version == b"1.0")
        self._body = RequestBody(
            conn=self._conn, wire=self._wire, buffer=self._buffer, headers=headers, settings=self._settings
        )
        return Request(
            method=method,
            path=target.path,
            query=target.query,
            headers=headers,
            body=self._body,
            peer=self._peer,
            http10=event.http_version == b"1.0",
            authority=target.authority,
            gone=self._wire.gone,
        )

    # answering

    async def _exchange(self, request: Request) -> Ending:
        """Answer one request and log it."""
        now_s, note = trio.current_time(), request.note
        exchange = Exchange(method=request.method, path=request.path, peer=self._peer, started_s=now_s, note=note)
        sent = self._wire.sent_bytes
        try:
            answer = await self._ask(request)
            if isinstance(answer, Upgrade):
                exchange.status = 101
                return await self._upgrade(request, answer)
            exchange.status = answer.status
            keep = await self._answer(request, answer, exchange)
            return Ending.NEXT if keep else Ending.LINGER
        except CutError as cut:
            exchange.ended = str(cut)
            if cut.__cause__ is not None:
                self._service.log.error("answer cut", exc_info=cut, extra={"fields": {"path": request.path}})
            # HTTP/1.0 has no last chunk that could be missing
            return Ending.RESET if request.http10 else Ending.LINGER
        except PeerGoneError:
            exchange.ended = "client gone"
            return Ending.CLOSE
        except OSError as error:
            exchange.ended = "client stalled" if isinstance(error, StallError) else "client gone"
            raise
        except trio.Cancelled:
            exchange.ended = "shutdown"
            if request.http10:
                self._wire.reset()
            raise
        finally:
            exchange.sent_bytes = self._wire.sent_bytes - sent
            exchange.log(self._service.log, trio.current_time())

    async def _ask(self, request: Request) -> Answer:
        """Have the request answered; whatever a handler raises becomes an answer here."""
        self._must_close = False
        try:
            answer = await self._service.app(request)
            if isinstance(answer, Upgrade):
                if self._service.shutdown.begun:
                    raise errors.ShuttingDownError
                check_handshake(request)
        except Exception as error:  # noqa: BLE001 - the one boundary of all handlers; _fail logs what is a bug
            return self._fail(_only(error), request.path)
        return answer

    def _fail(self, error: Exception, path: str) -> Response:
        """The answer that tells an error; of a bug no more than that there is one."""
        if isinstance(error, PeerGoneError):
            raise error
        if not isinstance(error, HttpError):
            self._service.log.error("bug", exc_info=error, extra={"fields": {"path": path, "peer": self._peer}})
            error = InternalError()
        else:
            self._must_close = self._must_close or error.close
        try:
            response = self._service.failure(error, path)
        except Exception:
            self._service.log.exception("bug", extra={"fields": {"path": path, "peer": self._peer}})
            response = Response(status=500, body=b"Internal server error.\n")
        named = {name.lower() for name, _ in response.headers}
        more = tuple((name, value) for name, value in error.headers if name.lower() not in named)
        return replace(response, headers=response.headers + more)

    async def _answer(self, request: Request, response: Response, exchange: Exchange) -> bool:
        """Send an answer.

        Returns:
            Whether the client was left the hope that it may go on.

        Raises:
            CutError, OSError: See ``Responder.send``.
        """
        body = self._body
        readable = body.done or (body.cheap and not body.broken)
        keep = readable and not self._must_close and not self._service.shutdown.begun
        responder = self._responder(request)
        try:
            if response.follow and request.method != "HEAD":
                await self._follow(responder, response, close=not keep)
            else:
                await responder.send(response, close=not keep)
        except (CutError, OSError):
            raise
        except Exception as error:
            if responder.begun:
                raise CutError("the answer could not be framed") from error
            self._must_close = True
            failure = self._fail(error, request.path)
            exchange.status = failure.status
            await responder.send(failure, close=True)
        finally:
            await finish(response)
        return keep and not self._must_close

    def _responder(self, request: Request) -> Responder:
        te = [part.partition(";")[0].strip().lower() for part in (request.header("te") or "").split(",")]
        trailers = "trailers" in te and not request.http10
        return Responder(self._wire, self._conn, head_only=request.method == "HEAD", trailers=trailers)

    async def _next_cycle(self) -> Ending:
        """After an answer: read past what is left of the request and make ready for the next one."""
        if self._conn.our_state is h11.MUST_CLOSE:  # the client said so
            return Ending.CLOSE if self._body.done and not len(self._buffer) else Ending.LINGER
        try:
            drained = await self._body.drain()
        except HttpError:
            drained = False
        if drained and self._body.past_h11:
            self._conn = new_h11(self._settings)
        elif drained:
            self._conn.start_next_cycle()
        return Ending.NEXT if drained else Ending.LINGER

    async def _end(self, ending: Ending) -> None:
        if ending is Ending.RESET:
            self._wire.reset()
        elif ending is Ending.LINGER:
            await self._wire.linger(self._settings.linger_timeout_s)

    async def _follow(self, responder: Responder, response: Response, *, close: bool) -> None:
        """Send an answer that may be silent or unread for ever, until its end, the client's, or the server's.

        Raises:
            CutError: The server ends.
            OSError: The client has gone.
        """
        error: Exception | None = None
        gone = False
        set_user_timeout(self._wire.sock, 0)
        self._wire.stall_s = math.inf
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                nonlocal gone
                await self._wire.gone()
                gone = True
                nursery.cancel_scope.cancel()

            self._following = nursery.cancel_scope
            if self._service.shutdown.begun:
                nursery.cancel_scope.cancel()
            nursery.start_soon(watch)
            try:
                await responder.send(response, close=close)
            except (CutError, OSError, h11.LocalProtocolError, UnicodeError) as caught:
                error = caught  # of this task alone: the nursery would wrap it
            nursery.cancel_scope.cancel()
        self._following = None
        self._wire.stall_s = self._settings.send_timeout_s
        set_user_timeout(self._wire.sock, self._settings.user_timeout_s)
        if responder.done:
            return
        if gone:
            raise ConnectionResetError("the client has gone")
        raise error or CutError("shutdown")

    async def _refuse(self, error: HttpError) -> None:
        """Answer what is no request, and end."""
        path = self._buffer.path()
        exchange = Exchange(method="-", path=path, peer=self._peer, started_s=trio.current_time())
        sent = self._wire.sent_bytes
        self._must_close = True
        response = self._fail(error, path)
        exchange.status = response.status
        exchange.ended = type(error).__name__
        responder = Responder(self._wire, self._conn, head_only=self._method == "HEAD", trailers=False)
        try:
            await responder.send(response, close=True)
        finally:
            exchange.sent_bytes = self._wire.sent_bytes - sent
            exchange.log(self._service.log, trio.current_time())
        await self._wire.linger(self._settings.linger_timeout_s)

    async def _upgrade(self, request: Request, upgrade: Upgrade) -> Ending:
        set_user_timeout(self._wire.sock, 0)
        self._wire.stall_s = math.inf
        rest = self._buffer.take(len(self._buffer))
        whole = await serve_upgrade(self._wire, request, upgrade, rest=rest, service=self._service)
        return Ending.LINGER if whole else Ending.RESET


def _only(error: Exception) -> Exception:
    """The error itself, out of the groups that nurseries of a handler put around a single one."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
