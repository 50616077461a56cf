"""One WebSocket to a server, and the loop that makes a new one whenever it breaks.

``talk_over`` opens a link, lets a function talk over it and closes it; whatever ends it comes out as one of the
package's errors. ``keep_linked`` does that again and again, with growing random delays, until the talk is over.

trio-websocket is given a stream of our own: it says when the connection ends, which during the handshake nobody else
would (trio-websocket waits on), and counts what comes, so that a slow link is told from a dead one.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

import trio
import wsproto.utilities
from trio_websocket import ConnectionClosed, ConnectionRejected, wrap_client_stream

from jobdeck_client.dial import CONNECT_TIMEOUT_S, Watched, connect, plain_url
from jobdeck_client.errors import (
    ClientError,
    LinkClosed,
    NotAllowedError,
    NotFoundError,
    OffsetError,
    RefusedError,
    ServerFaultError,
    UnreachableError,
    closed,
    refused,
)
from jobdeck_client.trust import Trust, unreachable
from jobdeck_protocol.codec import MESSAGE_LIMIT_BYTES
from jobdeck_protocol.errors import (
    CLOSE_BAD_DATA,
    CLOSE_BAD_ORDER,
    CLOSE_BAD_TYPE,
    CLOSE_NOT_FOLLOWED,
    CLOSE_TOO_BIG,
    RemoteWireError,
)

if TYPE_CHECKING:
    from trio_websocket import WebSocketConnection

PING_S = 20.0
PING_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 0.5  # during a flood the other end's close frame stands behind megabytes
DELAY_FIRST_S = 0.1
DELAY_LIMIT_S = 5.0
_STEADY_S = 2.0
_RECEIVE_BYTES = 256 * 1024
_ABNORMAL = 1006
# Closes that tell of a fault in what we sent: to do the same again would end the same.
_FAULTS = frozenset({CLOSE_BAD_ORDER, CLOSE_BAD_TYPE, CLOSE_BAD_DATA, CLOSE_TOO_BIG, CLOSE_NOT_FOLLOWED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where a link goes.

    Attributes:
        url: ``ws://`` or ``wss://``, with path and query.
        subprotocol: What is to be spoken.
        headers: Of the handshake.
        trust: For ``wss://``.
    """

    url: str
    subprotocol: str
    headers: tuple[tuple[bytes, bytes], ...] = ()
    trust: Trust = field(default_factory=Trust)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkState:
    """What a link's owner may want to show.

    Attributes:
        up: Messages flow.
        error: Why they do not.
        retry_s: In how many seconds it is tried again.
    """

    up: bool
    error: str | None = None
    retry_s: float | None = None


class Link:
    """An open WebSocket. One task may receive; any may send."""

    def __init__(self, ws: WebSocketConnection, nursery: trio.Nursery) -> None:
        self._ws = ws
        self.nursery = nursery
        """For tasks that last as long as the link: they end by being cancelled, and by ``LinkClosed``."""

    async def send(self, data: bytes) -> None:
        """Send one binary message.

        Raises:
            LinkClosed: The link is closed.
        """
        try:
            await self._ws.send_message(data)
        except (ConnectionClosed, wsproto.utilities.LocalProtocolError):
            raise self.why() from None

    async def receive(self) -> bytes | str:
        """The next message.

        Raises:
            ClientError: The link is closed; see ``errors.closed``.
        """
        try:
            return await self._ws.get_message()
        except ConnectionClosed:
            raise self.why() from None

    def why(self) -> ClientError:
        """What the close says."""
        said = self._ws.closed
        return LinkClosed(_ABNORMAL) if said is None else closed(int(said.code), said.reason or "")

    async def close(self, code: int, reason: str) -> None:
        """Say goodbye, and wait only a moment for the answer."""
        with trio.CancelScope(shield=True, deadline=trio.current_time() + CLOSE_TIMEOUT_S):
            try:
                await self._ws.aclose(code, reason)
            except (ConnectionClosed, wsproto.utilities.LocalProtocolError):
                return

    async def keep_alive(self, stream: Watched) -> None:
        """Ping; cut the connection when nothing at all comes back."""
        try:
            while True:
                await trio.sleep(PING_S)
                before = stream.received_bytes
                with trio.move_on_after(PING_TIMEOUT_S) as scope:
                    await self._ws.ping()
                if scope.cancelled_caught and stream.received_bytes == before:
                    await stream.aclose()
                    return
        except (ConnectionClosed, wsproto.utilities.LocalProtocolError):
            return


Talk = Callable[[Link], Awaitable[None]]


async def talk_over(target: Target, talk: Talk) -> None:
    """Open a link, talk, close it. ``talk`` may raise errors of this package and ``RemoteWireError``.

    Raises:
        UnreachableError: No connection, or it ended during the handshake.
        RefusedError: The handshake was refused.
        LinkClosed, NotFoundError, OffsetError: The link was closed by the other end.
        ServerFaultError: The other end broke the protocol.
    """
    outcome: Exception | None = None
    opened = False
    stream = Watched(await connect(target.url, target.trust))
    try:
        async with trio.open_nursery() as nursery:
            try:
                ws = await _handshake(target, stream, nursery)
                opened = True
                link = Link(ws, nursery)
                nursery.start_soon(link.keep_alive, stream)
                outcome = await _run(link, talk)
            except UnreachableError as error:
                outcome = error
            nursery.cancel_scope.cancel()
    except* ConnectionRejected as group:
        outcome = _rejected(group)
    except* (ConnectionClosed, trio.BrokenResourceError, trio.ClosedResourceError):
        outcome = outcome or _broken(target, stream, opened=opened)
    except* Exception as group:  # noqa: BLE001  # the seam to the library
        # The library's reader met what it does not expect; all that ``talk`` can raise has been caught.
        outcome = outcome or _unexpected(target, group, opened=opened)
    finally:
        await trio.aclose_forcefully(stream)
    if outcome is not None:
        raise outcome


async def _run(link: Link, talk: Talk) -> Exception | None:
    """Talk, then close; what ``talk`` raises is returned, so that it does not end in a nursery's group."""
    code, reason = 1000, ""
    try:
        await talk(link)
    except RemoteWireError as error:
        code, reason = error.close_code, str(error)[:100]
        return ServerFaultError(f"The server broke the protocol: {error}.")
    except Exception as error:  # noqa: BLE001  # not handled here: raised again by ``talk_over``
        return error
    finally:
        await link.close(code, reason)
    return None


def _broken(target: Target, stream: Watched, *, opened: bool) -> ClientError:
    # With TLS 1.3 a server refuses a client's certificate after the client's side of the handshake is done.
    if not opened and stream.fault is not None:
        return unreachable(plain_url(target.url), stream.fault)
    return LinkClosed(_ABNORMAL)


def _unexpected(target: Target, group: ExceptionGroup[Exception], *, opened: bool) -> ClientError:
    error: ClientError = LinkClosed(_ABNORMAL, "nonsense on the wire")
    if not opened:
        error = UnreachableError(plain_url(target.url), "what answers there does not speak WebSocket")
    error.__cause__ = group
    return error


async def _handshake(target: Target, stream: Watched, nursery: trio.Nursery) -> WebSocketConnection:
    """The opening handshake, given up as soon as the connection ends."""
    parts = urlsplit(target.url)
    found: list[WebSocketConnection] = []
    ended = False
    with trio.move_on_after(CONNECT_TIMEOUT_S) as scope:

        async def give_up() -> None:
            nonlocal ended
            await stream.ended.wait()
            # What came before the end may still be an answer: a refusal is told by its own error.
            await trio.sleep(0.1)
            ended = True
            scope.cancel()

        nursery.start_soon(give_up)
        found.append(
            await wrap_client_stream(
                nursery,
                cast("trio.SocketStream", stream),
                parts.netloc,
                (parts.path or "/") + (f"?{parts.query}" if parts.query else ""),
                subprotocols=[target.subprotocol],
                extra_headers=list(target.headers),
                message_queue_size=1,
                max_message_size=MESSAGE_LIMIT_BYTES,
                receive_buffer_size=_RECEIVE_BYTES,
            )
        )
    if not found:
        if stream.fault is not None:
            raise unreachable(plain_url(target.url), stream.fault)
        why = "it closed the connection" if ended else "it took too long"
        raise UnreachableError(plain_url(target.url), why)
    if found[0].subprotocol != target.subprotocol:
        raise UnreachableError(plain_url(target.url), f"it does not speak {target.subprotocol}")
    return found[0]


def _rejected(group: BaseExceptionGroup[ConnectionRejected]) -> RefusedError:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, ConnectionRejected)
    types = [value.decode("latin-1") for name, value in error.headers if name.lower() == b"content-type"]
    return refused(error.status_code, types[0] if types else "", error.body or b"")


# -- again and again --


def is_final(error: ClientError) -> bool:
    """Whether the same again would end the same."""
    if isinstance(error, LinkClosed):
        return error.code in _FAULTS
    if isinstance(error, NotFoundError | NotAllowedError | OffsetError | ServerFaultError):
        return True
    # 5xx and 429 pass; what else is refused stays refused.
    return isinstance(error, RefusedError) and error.status < 500 and error.status != 429


async def keep_linked(
    target: Target,
    talk: Talk,
    *,
    reconnect: bool = True,
    patient: bool = False,
    on_link: Callable[[LinkState], None] | None = None,
) -> None:
    """Talk over one link after the other until ``talk`` returns.

    Delays grow from one break to the next, and start anew after a link that has lasted a while.

    Args:
        target: Where to.
        talk: See ``talk_over``; it must be able to start anew on each link.
        reconnect: Make a new link when one breaks; else the break is raised.
        patient: Also wait for a server that has not answered yet.
        on_link: Told of each change, at once.

    Raises:
        ClientError: What cannot be mended by trying again.
    """
    delay_s = DELAY_FIRST_S
    was_up = patient
    up_since = trio.current_time()

    async def watched(link: Link) -> None:
        nonlocal up_since, was_up
        up_since, was_up = trio.current_time(), True
        if on_link is not None:
            on_link(LinkState(up=True))
        await talk(link)

    while True:
        up_since = trio.current_time()
        try:
            await talk_over(target, watched)
            return
        except ClientError as error:
            if not reconnect or not was_up or is_final(error):
                raise
            if trio.current_time() - up_since > _STEADY_S:
                delay_s = DELAY_FIRST_S
            wait_s = delay_s * random.uniform(0.5, 1.0)  # spreads clients, guards nothing
            if on_link is not None:
                on_link(LinkState(up=False, error=str(error), retry_s=wait_s))
        await trio.sleep(wait_s)
        delay_s = min(2 * delay_s, DELAY_LIMIT_S)
