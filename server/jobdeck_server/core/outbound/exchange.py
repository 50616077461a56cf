"""One HTTP/1.1 request and its answer on a connection of its own; everything that comes is bounded.

Nothing is followed: a redirect is an answer like others. Answers are asked for without compression. What ends a request
early (a head that is too long, too many interim answers, a body of another length than was said) is a ``FailedError``.
Time is the caller's business: each of these calls may be cancelled at any moment.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11
import trio

from jobdeck_server.core.outbound.errors import FailedError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from jobdeck_server.core.outbound.urls import Url

_RECEIVE_BYTES = 64 * 1024
_INTERIM_LIMIT_COUNT = 8
_SWITCHING = 101
_DRAIN_BYTES = 64 * 1024
_NONE = 204
_UNCHANGED = 304


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The head of an answer.

    Attributes:
        status: 200 to 599 and what else three digits can say.
        headers: By name in lower case; of several with one name the last.
        length_bytes: Of the body, None for one that comes in chunks.
        framed: The end of the body can be told from a broken connection.
    """

    status: int
    headers: Mapping[str, str]
    length_bytes: int | None
    framed: bool


class Exchange:
    """See the top of this file. ``request`` once, then ``pieces`` until they end.

    Args:
        stream: A fresh connection; it stays the caller's to close.
        url: What it leads to.
        head_limit_bytes: Of an answer's head.
    """

    def __init__(self, stream: trio.abc.Stream, url: Url, *, head_limit_bytes: int) -> None:
        self._stream = stream
        self._url = url
        self._machine = h11.Connection(h11.CLIENT, max_incomplete_event_size=head_limit_bytes)

    async def request(
        self,
        method: str,
        headers: Mapping[str, str],
        *,
        body: AsyncIterator[bytes] | None = None,
        body_bytes: int = 0,
    ) -> Answer:
        """Send a request, and return the head of its answer; one that comes before the body was sent counts, too.

        Args:
            method: As HTTP writes it.
            headers: Beside those that every request has.
            body: Pieces of exactly ``body_bytes`` in sum.
            body_bytes: See there.

        Raises:
            FailedError: The connection broke, or what came is no answer.
        """
        lines = {
            "Host": self._url.authority,
            "User-Agent": "jobdeck",
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "Connection": "close",
            **headers,
        }
        if body is not None:
            lines["Content-Length"] = str(body_bytes)
        request = h11.Request(method=method, target=self._url.target, headers=list(lines.items()))
        first = self._machine.send(request) or b""
        answers: list[Answer] = []
        failed: list[FailedError] = []
        async with trio.open_nursery() as nursery:

            async def send() -> None:
                try:
                    await self._send(first, body)
                except FailedError as error:
                    failed.append(error)  # no part of a group: the caller's error is one
                    nursery.cancel_scope.cancel()

            nursery.start_soon(send)
            try:
                answers.append(await self._head())
            except FailedError as error:
                failed.append(error)
            nursery.cancel_scope.cancel()
        if answers:
            return answers[0]
        raise failed[0]

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """The body of the answer.

        Raises:
            FailedError: It broke off, or is not as long as was said.
        """
        while True:
            event = await self._next()
            if isinstance(event, h11.Data):
                yield bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return
            else:
                raise FailedError(f"{self._url.place} broke off its answer.")

    async def drain(self) -> None:
        """Read a little of a body that is of no interest, so that whoever sends it does not see a broken connection."""
        count = 0
        try:
            async with aclosing(self.pieces()) as pieces:
                async for piece in pieces:
                    count += len(piece)
                    if count > _DRAIN_BYTES:
                        return
        except FailedError:
            return  # the answer is known

    # -- sending --

    async def _send(self, first: bytes, body: AsyncIterator[bytes] | None) -> None:
        """Send the request. A connection that takes no more may still have an answer in it, so that is no error."""
        try:
            await self._stream.send_all(first)
            if body is not None:
                async for piece in body:
                    await self._stream.send_all(self._machine.send(h11.Data(data=piece)) or b"")
            await self._stream.send_all(self._machine.send(h11.EndOfMessage()) or b"")
        except trio.BrokenResourceError:
            return
        except OSError as error:  # of the body's files: a stream says Broken
            raise FailedError("What was to be sent cannot be read.") from error
        except h11.LocalProtocolError as error:  # the body is not as long as was said
            raise FailedError("What was to be sent has changed meanwhile.") from error

    # -- receiving --

    async def _head(self) -> Answer:
        for _ in range(_INTERIM_LIMIT_COUNT + 1):
            event = await self._next()
            if isinstance(event, h11.Response):
                return _answer(event)
            if not isinstance(event, h11.InformationalResponse) or event.status_code == _SWITCHING:
                raise FailedError(f"{self._url.place} closed the connection without an answer.")
        raise FailedError(f"{self._url.place} sent more than {_INTERIM_LIMIT_COUNT} interim answers.")

    async def _next(self) -> object:
        try:
            while True:
                event = self._machine.next_event()
                if event is not h11.NEED_DATA:
                    return event
                data = await self._stream.receive_some(_RECEIVE_BYTES)
                self._machine.receive_data(bytes(data))
        except h11.RemoteProtocolError as error:
            # without the machine's own words: they quote what came, and whoever asked may not be meant to read that
            raise FailedError(f"{self._url.place} does not answer as HTTP asks for.") from error
        except trio.BrokenResourceError as error:
            raise FailedError(f"{self._url.place} broke the connection.") from error


def _answer(event: h11.Response) -> Answer:
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in event.headers}
    empty = event.status_code in (_NONE, _UNCHANGED)
    chunked = "chunked" in headers.get("transfer-encoding", "").lower()
    length = headers.get("content-length", "")
    length_bytes = 0 if empty else int(length) if length.isdecimal() and not chunked else None
    return Answer(
        status=event.status_code,
        headers=headers,
        length_bytes=length_bytes,
        framed=chunked or length_bytes is not None,
    )
