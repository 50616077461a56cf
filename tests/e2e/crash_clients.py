"""Clients for the crash test, on trio: each link may break at any byte, and the client goes on where it was.

What comes over a link is never trusted to be whole: an answer counts when all of it is there, an attach has ended when
its last chunk (or its close with a word of the end) has come, an event is taken when its number is the next one.
"""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any, Protocol

import trio
from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    BytesMessage,
    CloseConnection,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)

from jobdeck_protocol.errors import CLOSE_NORMAL, CLOSE_NOT_FOLLOWED
from jobdeck_protocol.job import ENDED
from tests.e2e.wire import Chunks, request

ANSWER_LIMIT_S = 30.0
ATTACH_LIMIT_S = 120.0
_RECEIVE_BYTES = 1 << 20
_EVENTS = "/v1/events"


class BrokenError(Exception):
    """The link broke before the whole answer was there."""


may_break = suppress(OSError, trio.BrokenResourceError)
"""What is done over a link that may break at any moment."""


async def messages(link: Link, target: str) -> AsyncGenerator[TextMessage | BytesMessage | CloseConnection, None]:
    """What a WebSocket brings, to its close or to where the link broke.

    On wsproto itself: a client that hides where a link broke, or waits after it, would be one more thing under test.

    Raises:
        AssertionError: The server refused.
    """
    protocol = WSConnection(ConnectionType.CLIENT)
    async with await link.connect() as stream:
        fields = [(name.encode(), value.encode()) for name, value in link.headers.items()]
        await stream.send_all(
            protocol.send(Request(host=f"127.0.0.1:{link.port}", target=target, extra_headers=fields))
        )
        while data := await stream.receive_some(_RECEIVE_BYTES):
            protocol.receive_data(bytes(data))
            for event in protocol.events():
                assert not isinstance(event, RejectConnection | RejectData), (target, event)
                if isinstance(event, Ping):
                    await stream.send_all(protocol.send(event.response()))
                elif isinstance(event, CloseConnection):
                    yield event
                    return
                elif isinstance(event, TextMessage | BytesMessage):
                    yield event


class Link:
    """The way to the server; ``up`` is set while it is believed to serve.

    Args:
        port: Where it listens.
        tls: Whom to believe that it is the server; None for a plain connection.
        token: Shown with every request.
    """

    def __init__(self, port: int, *, tls: ssl.SSLContext | None = None, token: str | None = None) -> None:
        self.port = port
        self.headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self.up = trio.Event()
        self.broken_count = 0
        self._tls = tls

    async def connect(self) -> trio.abc.Stream:
        """A connection to the server."""
        if self._tls is None:
            return await trio.open_tcp_stream("127.0.0.1", self.port)
        return await trio.open_ssl_over_tcp_stream("127.0.0.1", self.port, https_compatible=True, ssl_context=self._tls)

    def down(self) -> None:
        self.up = trio.Event()

    async def ask(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request on a connection of its own: status and body.

        Raises:
            BrokenError: No whole answer came; what was asked may have been done.
            trio.TooSlowError: The server did not answer.
        """
        await self.up.wait()
        data = b"" if body is None else json.dumps(body).encode()
        raw = b""
        try:
            with trio.fail_after(ANSWER_LIMIT_S):
                async with await self.connect() as stream:
                    await stream.send_all(request(method, path, data, {**self.headers, **(headers or {})}))
                    while part := await stream.receive_some(_RECEIVE_BYTES):
                        raw += part
        except (OSError, trio.BrokenResourceError) as error:
            raise self._broken() from error
        head, blank, rest = raw.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        if not blank or len(rest) != int(fields.get("content-length", "0")):
            raise self._broken()
        return int(lines[0].split(" ")[1]), rest

    def _broken(self) -> BrokenError:
        self.broken_count += 1
        return BrokenError("no whole answer")

    async def insist(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """``ask`` until a whole answer comes."""
        while True:
            try:
                return await self.ask(method, path, body, headers)
            except BrokenError:
                await trio.sleep(0.01)


class Follower(Protocol):
    """A reader of a job's output; ``Attach`` tells what the attributes mean."""

    job_id: str
    over: str
    stream: str | None
    data: bytearray
    links_count: int
    end: Mapping[str, str] | None

    async def run(self, link: Link) -> None:
        """Read to the end."""


@dataclass(slots=True, kw_only=True)
class Attach:
    """One reader of a job's output, over any number of links.

    Attributes:
        over: ``http`` or ``raw`` (a WebSocket without a subprotocol).
        stream: Only ``stdout`` or ``stderr``, else None.
        data: What came.
        links_count: How many links it took.
        end: State, code and signal as the end told them; over ``raw`` the close's words.
        limit_s: Within which the job must have come to its end.
    """

    job_id: str
    over: str = "http"
    stream: str | None = None
    data: bytearray = field(default_factory=bytearray)
    links_count: int = 0
    end: Mapping[str, str] | None = None
    limit_s: float = ATTACH_LIMIT_S

    @property
    def _path(self) -> str:
        only = f"&stream={self.stream}" if self.stream else ""
        return f"/{self.job_id}/attach?offset={len(self.data)}{only}"

    async def run(self, link: Link) -> None:
        """Read to the end.

        Raises:
            trio.TooSlowError: It never came.
            AssertionError: An answer made no sense.
        """
        with trio.fail_after(self.limit_s):
            while self.end is None:
                await link.up.wait()
                self.links_count += 1
                with may_break:
                    await (self._http(link) if self.over == "http" else self._raw(link))
                await trio.sleep(0.01)

    async def _http(self, link: Link) -> None:
        async with await link.connect() as opened:
            await opened.send_all(request("GET", self._path, b"", {"TE": "trailers", **link.headers}))
            head = b""
            while b"\r\n\r\n" not in head:
                part = await opened.receive_some(_RECEIVE_BYTES)
                if not part:
                    return
                head += part
            head, _, rest = head.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 "), (self._path, head, rest)
            assert f"Jobdeck-Offset: {len(self.data)}".encode() in head.split(b"\r\n"), head
            chunks = Chunks()
            while True:
                for piece in chunks.feed(rest):
                    self.data += piece
                if chunks.ended:
                    self.end = chunks.trailers
                    return
                rest = bytes(await opened.receive_some(_RECEIVE_BYTES))
                if not rest:
                    return

    async def _raw(self, link: Link) -> None:
        async with aclosing(messages(link, self._path)) as stream:
            async for message in stream:
                if isinstance(message, CloseConnection):
                    if message.code in (CLOSE_NORMAL, CLOSE_NOT_FOLLOWED):
                        self.end = {"close": message.reason or ""}
                    return
                assert isinstance(message, BytesMessage), message
                self.data += message.data


class Events:
    """A subscriber that must see every number once.

    Attributes:
        last: The number of the last event taken.
        faults: What was wrong with the stream.
        jobs: The newest record of each job, as told.
        open: Jobs that have not ended.
        states: All states of each job, in the order in which they were told.
    """

    def __init__(self) -> None:
        self.last = 0
        self.links_count = 0
        self.faults: list[str] = []
        self.jobs: dict[str, dict[str, Any]] = {}
        self.states: dict[str, list[str]] = {}
        self.open: set[str] = set()
        self.changed = trio.Event()
        self._store: str | None = None

    async def run(self, link: Link) -> None:
        """Follow until cancelled."""
        while True:
            await link.up.wait()
            self.links_count += 1
            with may_break:
                await self._follow(link)
            await trio.sleep(0.01)

    async def _follow(self, link: Link) -> None:
        store = f"&store={self._store}" if self._store else ""
        whole = ""
        async with aclosing(messages(link, f"{_EVENTS}?since={self.last}{store}")) as stream:
            async for message in stream:
                if isinstance(message, TextMessage):
                    whole += message.data
                    if message.message_finished:
                        self._take(json.loads(whole))
                        whole = ""

    def _take(self, message: dict[str, Any]) -> None:
        if message["kind"] == "hello":
            if self._store not in (None, message["store"]):
                self.faults.append(f"another store: {message['store']} for {self._store}")
            self._store = message["store"]
            if message["last"] < self.last:
                self.faults.append(f"the server knows {message['last']} events, {self.last} were told")
        elif message["kind"] != "event":
            self.faults.append(f"a {message['kind']} at {self.last}")
        else:
            if message["n"] != self.last + 1:
                self.faults.append(f"event {message['n']} after {self.last}")
            self.last = message["n"]
            if message["event"] == "job":
                self._job(message["data"])

    def _job(self, data: dict[str, Any]) -> None:
        self.jobs[data["id"]] = data
        states = self.states.setdefault(data["id"], [])
        if not states or states[-1] != data["state"]:
            states.append(data["state"])
        (self.open.discard if data["state"] in ENDED else self.open.add)(data["id"])
        self.changed.set()
        self.changed = trio.Event()

    def ended(self, job_id: str) -> bool:
        """Whether a job's end was told."""
        return job_id in self.jobs and job_id not in self.open

    def told(self, row: Mapping[str, Any]) -> bool:
        """Whether a job's present state was told."""
        return bool(self.jobs.get(row["id"], {}).get("state") == row["state"])

    async def wait_for(self, seen: Callable[[Events], bool]) -> None:
        """Wait until something holds of what was told."""
        while not seen(self):
            await self.changed.wait()
