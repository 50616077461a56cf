"""Request heads: from bytes to a ``h11.Request`` that can be read in one way only, and the target taken apart.

h11 is the parser and the validator. What is done here before it are the checks it does not make, because each of them
is a way in which two readers of the same bytes can come to differ (request smuggling): a line that ends in a bare LF,
a folded field, a Content-Length that is given twice or as a list, Content-Length beside Transfer-Encoding. And the
limits, exact to the byte: h11 only has one for all that it buffers.

``HeadBuffer`` holds all bytes that h11 has not been given. h11 gets exactly one head, and later exactly the body that
belongs to it, so its own buffer is empty between requests and one ``h11.Connection`` serves the whole life of a socket,
unless a body went past it (``body``).

Source: RFC 9112 sections 2.2, 3, 5 and 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import h11

from jobdeck_server.http.errors import (
    BadMessageError,
    EncodingError,
    ExpectationError,
    HeadTooLargeError,
    HttpVersionError,
    NotImplementedHereError,
    TargetTooLongError,
)

if TYPE_CHECKING:
    from jobdeck_server.http.message import Headers
    from jobdeck_server.settings import Settings

BARE_LF = re.compile(rb"(?<!\r)\n")
FOLDED = re.compile(rb"\r\n[ \t]")
ONE_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*[0-9]+[ \t]*\r\n", re.IGNORECASE)
ABSOLUTE = re.compile(r"https?://([^/?#]*)([^#]*)", re.IGNORECASE)


def new_h11(settings: Settings) -> h11.Connection:
    """What reads heads and bodies and frames answers.

    Its own limit must never be the one that is met: heads are bounded before it, bodies by their framing.
    """
    limit_bytes = settings.head_limit_bytes + settings.receive_size_bytes
    return h11.Connection(h11.SERVER, max_incomplete_event_size=limit_bytes)


class HeadBuffer:
    """Bytes that came and belong to no request yet; heads are taken from it when they are complete.

    It never grows over the head limit plus one receive, since nothing is read while a whole head lies in it.
    """

    __slots__ = ("_data", "_head", "_head_limit_bytes", "_header_limit_count", "_searched", "_target_limit_bytes")

    def __init__(self, settings: Settings) -> None:
        self._data = bytearray()
        self._head = b""  # the last one taken
        self._searched = 0  # bytes at the start in which no end of a head was found
        self._head_limit_bytes = settings.head_limit_bytes
        self._header_limit_count = settings.header_limit_count
        self._target_limit_bytes = settings.target_limit_bytes

    def __len__(self) -> int:
        return len(self._data)

    def feed(self, data: bytes) -> None:
        """Add bytes from the socket."""
        self._data += data

    def put_back(self, data: bytes) -> None:
        """Put bytes before all others, which were taken and turned out to belong to the next request."""
        self._data[:0] = data

    def take(self, count: int) -> bytes:
        """Remove up to ``count`` bytes from the front, as the body of the request whose head went before."""
        data = bytes(self._data[:count])
        del self._data[:count]
        self._searched = 0
        return data

    def take_head(self) -> bytes | None:
        """Remove a whole head, checked, with its blank line; None while there is none.

        Raises:
            HttpError: What is there is no head, or not one within the limits.
        """
        self._head = b""
        if self._searched == 0 and self._data[:2] == b"\r\n":
            del self._data[:2]  # RFC 9112 section 2.2: one empty line before a request is let pass
        if not self._data or self._data == b"\r":
            return None
        if self._data[0] <= 0x20:
            raise BadMessageError("This is not an HTTP request.")
        end = self._data.find(b"\r\n\r\n", max(0, self._searched - 3))
        head_bytes = end + 4 if end >= 0 else len(self._data)
        if BARE_LF.search(self._data, max(0, self._searched - 1), head_bytes):
            raise BadMessageError("A line of the head ends in a bare line feed.")
        if head_bytes > self._head_limit_bytes or (end < 0 and head_bytes == self._head_limit_bytes):
            self._refuse_size()
        if end < 0:
            self._searched = head_bytes
            return None
        self._head = head = self.take(head_bytes)
        self._check(head)
        return head

    def path(self) -> str:
        """The path of the request line as far as it has come, for the words of a refusal; ``/`` if there is none."""
        return path_of_line(self._head or bytes(self._data[: self._target_limit_bytes]))

    def _refuse_size(self) -> None:
        self._check_target(bytes(self._data[: self._head_limit_bytes]))
        raise HeadTooLargeError(f"The request head is over the limit of {self._head_limit_bytes} bytes.")

    def _check_target(self, head: bytes) -> None:
        words = head.partition(b"\r\n")[0].split(b" ")
        if len(words) > 1 and len(words[1]) > self._target_limit_bytes:
            raise TargetTooLongError(self._target_limit_bytes)

    def _check(self, head: bytes) -> None:
        self._check_target(head)
        if head.count(b"\r\n") - 2 > self._header_limit_count:
            raise HeadTooLargeError(f"The request has more than {self._header_limit_count} header fields.")
        if FOLDED.search(head):
            raise BadMessageError("A header field is folded.")


def path_of_line(head: bytes) -> str:
    """The path in a head that may not be one, without its query, ASCII only; ``/`` if none can be seen."""
    words = head.partition(b"\r\n")[0].split(b" ")
    target = words[1] if len(words) > 1 else b""
    if not target.startswith(b"/"):
        return "/"
    return target.partition(b"?")[0].decode("ascii", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A request target taken apart.

    Attributes:
        path: Starts with ``/``, or is ``*``.
        query: Without the ``?``.
        authority: Of an absolute-form target, empty for others.
    """

    path: str
    query: str
    authority: str


def parse_target(method: str, target: str) -> Target:
    """Take a request target apart.

    Raises:
        BadMessageError: It has none of the forms that this server answers.
        NotImplementedHereError: The method is CONNECT.

    Source: RFC 9112 section 3.2.
    """
    if method == "CONNECT":
        raise NotImplementedHereError("CONNECT is not done here.")
    authority = ""
    if not target.startswith("/"):
        if target == "*" and method == "OPTIONS":
            return Target(path="*", query="", authority="")
        match = ABSOLUTE.fullmatch(target)
        if match is None or not match[1]:
            raise BadMessageError("The request target is neither a path nor an http URL.")
        authority, target = match[1], match[2]
        if not target.startswith("/"):
            target = "/" + target
    if "#" in target:
        raise BadMessageError("The request target has a fragment.")
    path, _, query = target.partition("?")
    return Target(path=path, query=query, authority=authority)


def check_framing(head: bytes, request: h11.Request) -> None:
    """Refuse a head that h11 took and that another reader could take differently, or that we do not do.

    Raises:
        HttpError: See the words of each.
    """
    names = [name for name, _ in request.headers]
    # h11 drops a repeated equal Content-Length; it drops nothing else.
    if len(names) != head.count(b"\r\n") - 2:
        raise BadMessageError("Content-Length is repeated.")
    if b"content-length" in names:
        if ONE_LENGTH.search(head) is None:
            raise BadMessageError("Content-Length is not one number.")
        if b"transfer-encoding" in names:
            raise BadMessageError("Content-Length and Transfer-Encoding exclude each other.")
    if request.http_version == b"1.0" and b"transfer-encoding" in names:
        raise BadMessageError("HTTP/1.0 has no Transfer-Encoding.")
    if request.http_version not in (b"1.0", b"1.1"):
        raise HttpVersionError("Only versions 1.0 and 1.1 of HTTP are spoken here.")


def check_fields(headers: Headers, *, http10: bool) -> None:
    """Refuse what a request asks for that no handler will do.

    Raises:
        EncodingError: Its body is compressed.
        ExpectationError: It expects something other than ``100-continue``.
    """
    for name, value in headers:
        if name == "content-encoding" and value.lower() not in ("identity", ""):
            raise EncodingError("A request body in a Content-Encoding is not accepted.")
        if name == "expect" and not http10 and value.lower() != "100-continue":
            raise ExpectationError("This expectation cannot be met.")
