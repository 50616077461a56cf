"""Everything that can go wrong between this client and a server, as exceptions.

    ClientError
        UnreachableError        no server answers there, or it went away in the middle
            TlsError            one does, but one of both ends does not trust the other
        BadTrustError           a file of certificates, or of a key, cannot be used (in ``trust``)
        RefusedError            the server refused; carries HTTP status, title and detail
            NotFoundError       404: there is no such job or blob
            NotAllowedError     401, 403: a token is needed, or this one may not
            ConflictError       409: the job is not in a state for this
            OffsetError         416, close 4416: an offset beyond the end of an ended job's output
        EndedError              the job has ended: nothing can be sent to it any more
        LinkClosed              a WebSocket was closed (only seen with ``reconnect=False``)
        FileChangedError        a file became shorter while it was sent
        ServerFaultError        the server broke the protocol: a bug, of it or of this client

``str()`` of each is a sentence for a person. Texts of a server may hold anything: neutralise them for a terminal.
"""

from __future__ import annotations

import json

from jobdeck_protocol.errors import CLOSE_OFFSET, CLOSE_UNKNOWN_JOB


class ClientError(Exception):
    """See the top of this file."""


class UnreachableError(ClientError):
    """No server answers there, or it went away in the middle.

    Attributes:
        url: Where it was looked for.
    """

    def __init__(self, url: str, why: str) -> None:
        super().__init__(f"No server answers at {url}: {why}.")
        self.url = url


class TlsError(UnreachableError):
    """Something answers there, but a trusted connection was not to be had."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(url, why)
        self.args = (f"No trusted connection to {url}: {why}.",)


class RefusedError(ClientError):
    """The server refused.

    Attributes:
        status: HTTP status; 0 where there was none.
        title: Short form of the reason.
        detail: The reason, a sentence.
    """

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail


class NotFoundError(RefusedError):
    """There is no such job or blob."""


class NotAllowedError(RefusedError):
    """A token is needed, or this one may not do it."""


class ConflictError(RefusedError):
    """The job is not in a state for this."""


class OffsetError(RefusedError):
    """An offset beyond the end of an ended job's output."""


class EndedError(ClientError):
    """The job has ended: nothing can be sent to it any more."""


class LinkClosed(ClientError):  # told in the words of the protocol: a close is not always an error
    """A WebSocket was closed.

    Attributes:
        code: Close code; 1006 where there was no close frame.
        reason: Of the close frame.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"The connection was closed ({code}{': ' + reason if reason else ''}).")
        self.code = code
        self.reason = reason


class FileChangedError(ClientError):
    """A file became shorter while it was sent."""


class ServerFaultError(ClientError):
    """The server broke the protocol."""


_BY_STATUS: dict[int, type[RefusedError]] = {
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    416: OffsetError,
}
_BY_CODE: dict[int, tuple[type[RefusedError], int]] = {
    CLOSE_UNKNOWN_JOB: (NotFoundError, 404),
    CLOSE_OFFSET: (OffsetError, 416),
}


def refused(status: int, content_type: str, body: bytes) -> RefusedError:
    """The refusal that an HTTP answer tells, as a problem (RFC 9457) or as a line of text."""
    title, detail = f"HTTP {status}", ""
    text = body.decode(errors="replace").strip()
    if "json" in content_type:
        try:
            problem = json.loads(text)
            title, detail = str(problem.get("title") or title), str(problem.get("detail") or "")
        except (ValueError, AttributeError):
            pass
    elif content_type.startswith("text/plain"):
        detail = text
    return _BY_STATUS.get(status, RefusedError)(status, title, detail)


def closed(code: int, reason: str) -> ClientError:
    """The error that a close tells: a refusal where it is one."""
    if code in _BY_CODE:
        kind, status = _BY_CODE[code]
        return kind(status, reason, reason)
    return LinkClosed(code, reason)
