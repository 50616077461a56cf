"""HTTP requests and answers as plain values: what stands between the socket loop and the dialects.

Nothing here reads or writes a socket, and nothing here knows a job. A ``Request`` comes from ``connection``, which has
already checked its head against the limits; an answer is a ``Response`` or, for a WebSocket handshake, an ``Upgrade``.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl

from jobdeck_server.http.errors import BodyTooLargeError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jobdeck_server.http.upgrade import Socket


__all__ = [
    "Answer",
    "Body",
    "BodyTooLargeError",
    "FileSlice",
    "Handler",
    "Headers",
    "Identity",
    "Piece",
    "Request",
    "Response",
    "Role",
    "Upgrade",
]


class Role(IntEnum):
    """What a caller may do; a greater one may do all that a smaller one may, but for WORKER, which stands alone."""

    NONE = 0
    VIEW = 1
    RUN = 2
    ADMIN = 3
    WORKER = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who asks: a role, and id and name of the token that gave it (empty for tokenless loopback)."""

    role: Role = Role.NONE
    token_id: str = ""
    name: str = ""

    def may(self, needed: Role) -> bool:
        """Whether this caller may do what needs the role ``needed``."""
        if needed is Role.NONE:
            return True
        if Role.WORKER in (needed, self.role):
            return needed is self.role
        return self.role >= needed


class Body(Protocol):
    """A request's body, read once, in order."""

    async def read(self, limit_bytes: int) -> bytes:
        """The whole body.

        Raises:
            BodyTooLargeError: It has more than ``limit_bytes``; nothing more of it is read.
        """

    def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces as they come; none is empty."""

    async def read_into(self, room: memoryview) -> int:
        """Put what comes next there, as much as is there already; how many bytes that is, 0 at the end of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request whose head has been read.

    Attributes:
        method: Upper case, as sent.
        path: Path of the target, still percent-encoded, starts with ``/``.
        query: What follows ``?``, without it; empty if there is none.
        headers: Names in lower case, values stripped, in the order sent, repeats kept.
        body: See ``Body``.
        peer: The other end's address as text, for the log.
        http10: The request was HTTP/1.0.
        params: What the route's ``{name}`` segments matched, percent-decoded.
        identity: Who asks, filled in by the guard.
        authority: Host and port of an absolute-form target (``GET http://host/path``), which then stand for the Host
            header; empty for a plain path.
        gone: Returns once the client has left, for handlers that wait; to be called after the body was read. None where
            nobody can tell.
        note: Further fields of this request's line in the log. The one value here that may be changed: the guard puts
            the token's id into it.
    """

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: Body
    peer: str = ""
    http10: bool = False
    params: Mapping[str, str] = field(default_factory=dict)
    identity: Identity = field(default_factory=Identity)
    authority: str = ""
    gone: Callable[[], Awaitable[None]] | None = None
    note: dict[str, str] = field(default_factory=dict)

    def header(self, name: str) -> str | None:
        """The first value of a header, None if it is missing; ``name`` in lower case."""
        return next((value for key, value in self.headers if key == name), None)

    def arguments(self) -> dict[str, str]:
        """The query as a map; of a repeated name the last one counts.

        Raises:
            ValueError: There are more than 100 of them.
        """
        return dict(parse_qsl(self.query, keep_blank_values=True, max_num_fields=100))


@dataclass(frozen=True, slots=True)
class FileSlice:
    """``length`` bytes of an open file from ``offset`` on, sent by sendfile. The caller keeps ``fd`` open till then."""

    fd: int
    offset: int
    length: int

    def __len__(self) -> int:
        return self.length


Piece = bytes | FileSlice
Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """An answer.

    Attributes:
        status: 200 to 599.
        headers: Without Date, Content-Length, Transfer-Encoding and Connection, which ``connection`` adds.
        body: Bytes, one file slice, or a tuple of both (all with Content-Length), or an async iterator of pieces
            (chunked; by close for HTTP/1.0). Each piece of an iterator is flushed as it comes, and the head before the
            first of them. An iterator that raises ends the connection **without** the last chunk: the last chunk is a
            promise that all was delivered. An iterator is closed (``aclose``) in every case, also when the client has
            gone.
        trailers: Called after the last piece of an iterator, if the client sent ``TE: trailers``.
        follow: The body may be silent or unread for ever (an attach): no send time-out, and the end of the client's
            side ends it.
        close: Called once the answer was sent or given up, to free what the body held (a file).
    """

    status: int = 200
    headers: Headers = ()
    body: bytes | FileSlice | tuple[Piece, ...] | AsyncIterator[Piece] = b""
    trailers: Callable[[], Headers] | None = None
    follow: bool = False
    close: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Upgrade:
    """Hand the connection over to a WebSocket channel.

    Attributes:
        subprotocol: The one chosen from the client's offer, None for none.
        run: Called with the open socket; when it returns, the socket is closed.
        message_limit_bytes: Longest message taken from the client; a longer one closes with 1009.
    """

    subprotocol: str | None
    run: Callable[[Socket], Awaitable[None]]
    message_limit_bytes: int


Answer = Response | Upgrade
Handler = Callable[[Request], Awaitable[Answer]]
