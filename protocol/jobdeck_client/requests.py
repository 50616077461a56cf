"""Single requests over HTTP, and what can go wrong with them in the errors of this package."""

from __future__ import annotations

import json
import ssl
import uuid
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

import httpx
import trio

from jobdeck_client.errors import RefusedError, ServerFaultError, TlsError, UnreachableError, refused
from jobdeck_client.trust import unreachable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping, Sequence

    from jobdeck_client.trust import Trust

__all__ = ["MAKE_RETRY_S", "Requests"]

MAKE_RETRY_S = 10.0
_RETRY_DELAY_S = 0.25


class Requests:
    """Asks one server; entered and left by ``open`` and ``close``.

    Args:
        base_url: Without a slash at its end.
        token: Sent with every request, None for none.
        timeout_s: Longest silence of the server within one request.
        trust: For ``https://``.
    """

    _http: httpx.AsyncClient

    def __init__(self, base_url: str, token: str | None, *, timeout_s: float, trust: Trust) -> None:
        self._base_url = base_url
        self._timeout_s = timeout_s
        self._headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._trust = trust

    async def open(self) -> None:
        """To be awaited before the first request.

        Raises:
            BadTrustError: A file of certificates cannot be used.
        """
        # Where no TLS is spoken, nobody is trusted: reading the system's CAs takes longer than most requests.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        if self._base_url.startswith("https:"):
            context = await trio.to_thread.run_sync(self._trust.context)
        # No proxies or .netrc from the environment: a token must not go where nobody said it should.
        self._http = httpx.AsyncClient(headers=self._headers, timeout=self._timeout_s, trust_env=False, verify=context)
        await self._http.__aenter__()

    async def close(self) -> None:
        """Close all connections."""
        await self._http.aclose()

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        """One request with JSON both ways; the answer's value, None without a body.

        Raises:
            RefusedError, ServerFaultError, UnreachableError: See ``errors``.
        """
        # httpx would write characters as they are; a command may hold what UTF-8 cannot say.
        content = None if body is None else json.dumps(body).encode()
        fields = {**(headers or {}), **({} if content is None else {"Content-Type": "application/json"})}
        return await self._asked(method, path, query, content, fields)

    async def post_text(self, path: str, text: str) -> object:
        """One request with a text; the answer's JSON value.

        Raises:
            RefusedError, ServerFaultError, UnreachableError: See ``errors``.
        """
        content = text.encode(errors="surrogateescape")  # a file's own bytes, if it was read so
        return await self._asked("POST", path, None, content, {"Content-Type": "text/plain; charset=utf-8"})

    async def _asked(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        content: bytes | None,
        headers: Mapping[str, str],
    ) -> object:
        with self._seam():
            response = await self._http.request(
                method, self._base_url + path, params=query, content=content, headers=headers
            )
        if response.status_code >= 300:
            raise _refusal(response, response.content)
        if not response.content:
            return None
        try:
            value: object = response.json()
        except ValueError as error:
            raise ServerFaultError(f"The answer to {method} {path} is no JSON.") from error
        return value

    async def make(self, path: str, body: object, key: str | None) -> object:
        """Ask for something that is to be made once; the answer's value.

        The request carries an Idempotency-Key, its own or the given one. So when the server goes away in the middle,
        the same is asked again, for up to ``MAKE_RETRY_S``.

        Raises:
            RefusedError, ServerFaultError, UnreachableError: See ``errors``.
        """
        headers = {"Idempotency-Key": key or str(uuid.uuid4())}
        deadline = trio.current_time() + MAKE_RETRY_S
        sent = False
        while True:
            try:
                return await self.ask("POST", path, body=body, headers=headers)
            except TlsError:
                raise  # nothing was heard there: another try would be refused too
            except UnreachableError as error:
                # Nothing was sent to a server that never answered: the caller is told at once.
                sent = sent or not isinstance(error.__cause__, httpx.ConnectError)
                if not sent or trio.current_time() > deadline:
                    raise
            await trio.sleep(_RETRY_DELAY_S)

    async def get(self, path: str, *, query: Mapping[str, str], headers: Mapping[str, str]) -> bytes:
        """The body of an answer.

        Raises:
            RefusedError, UnreachableError: See ``errors``.
        """
        with self._seam():
            response = await self._http.get(self._base_url + path, params=query, headers=headers)
        if response.status_code >= 300:
            raise _refusal(response, response.content)
        return response.content

    async def send(
        self,
        method: str,
        path: str,
        pieces: AsyncIterator[bytes],
        *,
        query: Sequence[tuple[str, str]],
        length: int | None,
        answer_timeout_s: float,
        headers: Mapping[str, str] | None = None,
    ) -> object:
        """One request with a body that comes in pieces; the answer's JSON value.

        Args:
            method: PUT or POST.
            path: As elsewhere.
            pieces: Of the body.
            query: May have a name several times.
            length: Of the body in bytes; None if nobody knows.
            answer_timeout_s: Longest silence once all was sent: a server syncs what it was given before it answers.
            headers: Further ones.

        Raises:
            RefusedError, ServerFaultError, UnreachableError: See ``errors``.
        """
        framing = {"Transfer-Encoding": "chunked"} if length is None else {"Content-Length": str(length)}
        with self._seam():
            request = self._http.build_request(
                method,
                self._base_url + path,
                params=list(query),
                headers={"Content-Type": "application/octet-stream", **(headers or {}), **framing},
                timeout=httpx.Timeout(self._timeout_s, read=answer_timeout_s),
            )
            request.stream = _Pieces(pieces)
            response = await self._http.send(request)
        if response.status_code >= 300:
            raise _refusal(response, response.content)
        try:
            value: object = response.json()
        except ValueError as error:
            raise ServerFaultError(f"The answer to {method} {path} is no JSON.") from error
        return value

    async def head(self, path: str) -> Mapping[str, str]:
        """The headers that a GET would have, names in lower case.

        Raises:
            RefusedError, UnreachableError: See ``errors``.
        """
        with self._seam():
            response = await self._http.head(self._base_url + path)
        if response.status_code >= 300:
            raise _refusal(response, b"")
        return response.headers

    @asynccontextmanager
    async def streamed(
        self, path: str, *, query: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[AsyncIterator[bytes]]:
        """The body of an answer as it comes; leaving the block closes the connection.

        Raises:
            RefusedError, UnreachableError: See ``errors``; also within the block.
        """
        async with self.answered(path, query=query, headers=headers) as response:
            yield response.aiter_raw()

    @asynccontextmanager
    async def answered(
        self, path: str, *, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """A good answer whose body is still to come; otherwise as ``streamed``."""
        with self._seam():
            request = self._http.build_request("GET", self._base_url + path, params=query, headers=headers)
            response = await self._http.send(request, stream=True)
            try:
                if response.status_code >= 300:
                    raise _refusal(response, await response.aread())
                yield response
            finally:
                await response.aclose()

    @contextmanager
    def _seam(self) -> Iterator[None]:
        """Turn errors of httpx into ours."""
        try:
            yield
        except (httpx.TimeoutException, httpx.TransportError) as error:
            raise unreachable(self._base_url, error) from error
        except httpx.HTTPError as error:
            raise ServerFaultError(str(error)) from error


class _Pieces(httpx.AsyncByteStream):
    """A body in pieces. What httpx itself makes of them is a generator that stays open when the server refuses."""

    def __init__(self, pieces: AsyncIterator[bytes]) -> None:
        self._pieces = pieces

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        return await anext(self._pieces)


def _refusal(response: httpx.Response, body: bytes) -> RefusedError:
    return refused(response.status_code, response.headers.get("content-type", ""), body)
