"""From an address to an open stream, secured where it says so."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import trio

from jobdeck_client.errors import UnreachableError
from jobdeck_client.trust import unreachable

if TYPE_CHECKING:
    import ssl

    from jobdeck_client.trust import Trust

__all__ = ["CONNECT_TIMEOUT_S", "Watched", "connect", "plain_url"]

CONNECT_TIMEOUT_S = 10.0


class Watched(trio.abc.Stream):
    """A stream that tells when it has ended.

    Attributes:
        ended: Set at the end, however it came.
        fault: What broke it, None if nothing has.
        received_bytes: So far.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self.ended = trio.Event()
        self.fault: trio.BrokenResourceError | None = None
        self.received_bytes = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """See ``trio.abc.ReceiveStream``."""
        try:
            data = await self._stream.receive_some(max_bytes)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._broke(error)
            raise
        self.received_bytes += len(data)
        if not data:
            self.ended.set()
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """See ``trio.abc.SendStream``."""
        try:
            await self._stream.send_all(data)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._broke(error)
            raise

    def _broke(self, error: trio.BrokenResourceError | trio.ClosedResourceError) -> None:
        if self.fault is None and isinstance(error, trio.BrokenResourceError):
            self.fault = error
        self.ended.set()

    async def wait_send_all_might_not_block(self) -> None:
        """See ``trio.abc.SendStream``."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """See ``trio.abc.AsyncResource``."""
        self.ended.set()
        await self._stream.aclose()


async def connect(url: str, trust: Trust) -> trio.abc.Stream:
    """Connect to where a ``ws://`` or ``wss://`` address goes; the latter's certificate is believed by ``trust``.

    Raises:
        BadTrustError: A file of certificates cannot be used.
        UnreachableError: There is no connection, or it is not to be trusted.
    """
    parts = urlsplit(url)
    secure = parts.scheme == "wss"
    port = parts.port or (443 if secure else 80)
    host = parts.hostname or ""
    context = await trio.to_thread.run_sync(trust.context) if secure else None
    with trio.move_on_after(CONNECT_TIMEOUT_S):
        try:
            stream = await trio.open_tcp_stream(host, port)
            return stream if context is None else await _secured(stream, context, host)
        except (OSError, trio.BrokenResourceError) as error:
            raise unreachable(plain_url(url), error) from error
    raise UnreachableError(plain_url(url), "it took too long")


async def _secured(under: trio.abc.Stream, context: ssl.SSLContext, host: str) -> trio.abc.Stream:
    stream = trio.SSLStream(under, context, server_hostname=host, https_compatible=True)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return stream


def plain_url(url: str) -> str:
    """What a person calls the server of a link: ``http(s)://`` and no path."""
    parts = urlsplit(url)
    return f"{'https' if parts.scheme == 'wss' else 'http'}://{parts.netloc}"
