"""What is wrong with a request before a dialect has seen it, as values; each carries the status that HTTP has for it.

    HttpError
        BadMessageError          400  not HTTP/1.1 as RFC 9112 has it, or a way of writing it that two readers may take
                                      for two different requests
            HandshakeError       400  a WebSocket handshake that is none
            VersionError         426  a WebSocket version that is not 13
        NotFoundError            404  no route has this path
        MethodNotAllowedError    405  the path is there, the method is not
        RequestTimeoutError      408  a head or a body came too slowly
        BodyTooLargeError        413
        TargetTooLongError       414
        EncodingError            415  a request body in any Content-Encoding
        ExpectationError         417  an Expect other than 100-continue
        HeadTooLargeError        431
        InternalError            500  a bug of ours; the text says no more than that
        NotImplementedHereError  501  CONNECT, or a Transfer-Encoding other than chunked
        ShuttingDownError        503
        HttpVersionError         505

``str()`` of each is a sentence for a person, without secrets. ``close``: the connection cannot be used any further.
"""

from __future__ import annotations


class HttpError(Exception):
    """A request that HTTP itself refuses.

    Attributes:
        status: What HTTP has for it, 400 to 505.
        headers: Which the answer must carry, as ``Response.headers``; the connection adds them.
        close: Whether the connection ends with the answer.
    """

    status = 400
    close = True

    def __init__(self, text: str, *, headers: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(text)
        self.headers = headers


class BadMessageError(HttpError):
    """Not a message of HTTP/1.1, or one that can be read in two ways."""


class HandshakeError(BadMessageError):
    """A WebSocket handshake was wanted here and this is none."""

    close = False


class VersionError(HandshakeError):
    """The handshake is of a WebSocket version other than 13."""

    status = 426

    def __init__(self) -> None:
        super().__init__(
            "WebSocket version 13 is needed.", headers=(("Sec-WebSocket-Version", "13"), ("Upgrade", "websocket"))
        )


class PathError(BadMessageError):
    """The path's percent-encoding is broken, or what it encodes is not UTF-8."""

    close = False


class NotFoundError(HttpError):
    """No route has this path."""

    status = 404
    close = False

    def __init__(self, path: str) -> None:
        super().__init__("404 page not found")
        self.path = path


class MethodNotAllowedError(HttpError):
    """The path has routes, but none for this method.

    Attributes:
        path: As sent, percent-encoded.
        allow: The methods that it has, sorted.
    """

    status = 405
    close = False

    def __init__(self, path: str, allow: tuple[str, ...]) -> None:
        super().__init__("Method not allowed.", headers=(("Allow", ", ".join(allow)),))
        self.path = path
        self.allow = allow


class RequestTimeoutError(HttpError):
    """A head or a body came too slowly."""

    status = 408


class BodyTooLargeError(HttpError):
    """A request body is over its limit: told as 413 in the words of the dialect, then the connection is closed."""

    status = 413

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The body is over the limit of {limit_bytes} bytes.")
        self.limit_bytes = limit_bytes


class TargetTooLongError(HttpError):
    """The request target is over its limit."""

    status = 414

    def __init__(self, limit_bytes: int) -> None:
        super().__init__(f"The request target is over the limit of {limit_bytes} bytes.")


class EncodingError(HttpError):
    """The body has a Content-Encoding; none is taken, so that no small body can be a large one."""

    status = 415


class ExpectationError(HttpError):
    """An Expect other than 100-continue."""

    status = 417


class HeadTooLargeError(HttpError):
    """The head has too many bytes or too many fields."""

    status = 431


class InternalError(HttpError):
    """A bug of ours. The traceback is in the log; the client is told nothing of it."""

    status = 500

    def __init__(self) -> None:
        super().__init__("Internal server error.")


class NotImplementedHereError(HttpError):
    """A method or a transfer coding that this server does not do."""

    status = 501


class ShuttingDownError(HttpError):
    """The server is about to end."""

    status = 503

    def __init__(self) -> None:
        super().__init__("The server is shutting down.")


class HttpVersionError(HttpError):
    """A version of HTTP other than 1.0 and 1.1."""

    status = 505


class PeerGoneError(HttpError):
    """The client's connection broke while its body was being read: there is nobody left to answer."""

    def __init__(self) -> None:
        super().__init__("The client has gone.")
