"""A toy server on a real socket, and a client that speaks bytes."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h11
import trio
import trio.testing

from jobdeck_server.http.certificates import Certificates
from jobdeck_server.http.errors import HttpError
from jobdeck_server.http.listener import HttpServer, open_listeners
from jobdeck_server.http.message import Handler, Response
from jobdeck_server.settings import Settings


def settings(**changed: Any) -> Settings:
    return Settings(data_dir=Path("/nonexistent"), **changed)


def failure(error: Exception, path: str) -> Response:
    status = error.status if isinstance(error, HttpError) else 599
    return Response(status=status, headers=(("Content-Type", "text/plain"),), body=f"{path}: {error}\n".encode())


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def requests(self) -> list[dict[str, Any]]:
        return [r.fields for r in self.records if r.getMessage() == "request"]  # type: ignore[attr-defined]

    def bugs(self) -> list[logging.LogRecord]:
        return [r for r in self.records if r.exc_info]


@dataclass
class Toy:
    server: HttpServer
    port: int
    nursery: trio.Nursery
    log: Records

    async def connect(self) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", self.port)

    @asynccontextmanager
    async def client(self) -> AsyncIterator[Client]:
        async with await self.connect() as stream:
            yield Client(stream)

    async def open_connections(self, count: int) -> None:
        """Wait until so many are open."""
        with trio.fail_after(10):
            while self.server.statistics.connection_count != count:
                await trio.testing.wait_all_tasks_blocked(0.005)

    async def talk(self, *pieces: bytes, end: bool = False, limit_s: float = 10) -> bytes:
        """Send the pieces, read until the server closes."""
        with trio.fail_after(limit_s):
            async with await self.connect() as stream:
                for piece in pieces:
                    with suppress(trio.BrokenResourceError):
                        await stream.send_all(piece)
                if end:
                    await stream.send_eof()
                return await read_all(stream)


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    try:
        while piece := await stream.receive_some():
            data += piece
    except trio.BrokenResourceError:
        data += b"<reset>"
    return data


@dataclass
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    trailers: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    informational: list[int] = field(default_factory=list)


class Client:
    """One connection, h11 as client."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.conn = h11.Connection(h11.CLIENT)

    async def send(self, event: Any) -> None:
        data = self.conn.send(event)
        if data:
            await self.stream.send_all(data)

    async def request(self, method: str, target: str, headers: Any = (), body: bytes = b"") -> Reply:
        fields = [("Host", "localhost"), *headers]
        if body:
            fields.append(("Content-Length", str(len(body))))
        await self.send(h11.Request(method=method, target=target, headers=fields))
        if body:
            await self.send(h11.Data(data=body))
        await self.send(h11.EndOfMessage())
        return await self.reply()

    async def event(self) -> Any:
        while True:
            event = self.conn.next_event()
            if event is h11.NEED_DATA:
                self.conn.receive_data(bytes(await self.stream.receive_some()))
                continue
            return event

    async def reply(self) -> Reply:
        informational = []
        while True:
            event = await self.event()
            if isinstance(event, h11.InformationalResponse):
                informational.append(event.status_code)
                continue
            break
        assert isinstance(event, h11.Response), event
        reply = Reply(
            event.status_code, {n.decode(): v.decode("latin-1") for n, v in event.headers}, informational=informational
        )
        while True:
            event = await self.event()
            if isinstance(event, h11.Data):
                reply.body += event.data
                reply.chunks.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                reply.trailers = {n.decode(): v.decode() for n, v in event.headers}
                reply.ended = True
                if self.conn.our_state is h11.DONE and self.conn.their_state is h11.DONE:
                    self.conn.start_next_cycle()
                return reply
            else:
                raise AssertionError(event)


@asynccontextmanager
async def serving(
    app: Handler,
    *,
    words: Callable[[Exception, str], Response] = failure,
    certificates: Certificates | None = None,
    **changed: Any,
) -> AsyncIterator[Toy]:
    log = logging.Logger("toy", logging.DEBUG)
    records = Records()
    log.addHandler(records)
    values = settings(**changed)
    server = HttpServer(app=app, failure=words, settings=values, log=log, certificates=certificates)
    listeners = open_listeners([("127.0.0.1", 0)], backlog_count=128)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.run, listeners)
        yield Toy(server, listeners[0].getsockname()[1], nursery, records)
        nursery.cancel_scope.cancel()
