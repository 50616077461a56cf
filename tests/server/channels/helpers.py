"""A socket in memory, a job's files written by the test, and a client that is the real client's machine."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import trio

from jobdeck_keeper import records
from jobdeck_protocol import ClientSession, attach
from jobdeck_protocol.message import Message
from jobdeck_server.core.output import Kind
from jobdeck_server.engines.base import Ended, Started
from jobdeck_server.http.message import Identity, Request, Role, Upgrade
from jobdeck_server.http.upgrade import Socket, SocketClosed
from tests.server.core.harness import BOOT, Bench, shell
from tests.server.nobody import NoBody


def handshake(subprotocol: str | None = None, *, query: str = "", role: Role = Role.RUN) -> Request:
    headers: tuple[tuple[str, str], ...] = (("upgrade", "websocket"), ("connection", "upgrade"))
    if subprotocol is not None:
        headers = (*headers, ("sec-websocket-protocol", f"other, {subprotocol}"))
    return Request(
        method="GET", path="/x/attach", query=query, headers=headers, body=NoBody(), identity=Identity(role=role)
    )


class FakeSocket:
    """What the test puts into ``to_server`` the channel receives; what it sends is in ``sent`` and ``get``.

    ``open`` holds back sends while it is unset: a client that does not read.
    """

    def __init__(self) -> None:
        self.subprotocol: str | None = None
        self.closed = trio.Event()
        self.said: tuple[int, str] | None = None
        self.gone: tuple[int, str] | None = None
        self.sent: list[bytes | str] = []
        self.files = 0
        self.reading = trio.Event()
        self.reading.set()
        self._put, self._get = trio.open_memory_channel[bytes | str](float("inf"))
        self.to_server, self._receive = trio.open_memory_channel[bytes | str](float("inf"))

    async def receive(self) -> bytes | str:
        try:
            return await self._receive.receive()
        except trio.EndOfChannel:
            raise SocketClosed(*(self.gone or (1006, ""))) from None

    async def send(self, data: bytes | str) -> None:
        if self.closed.is_set():
            raise SocketClosed(1006)
        await trio.lowlevel.checkpoint()
        await self.reading.wait()
        self.sent.append(data)
        self._put.send_nowait(data)

    async def send_many(self, messages: list[bytes]) -> None:
        for message in messages:
            await self.send(message)

    async def send_file(self, prefix: bytes, fd: int, offset: int, length: int) -> None:
        data = os.pread(fd, length, offset)
        assert len(data) == length
        self.files += 1
        await self.send(prefix + data)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        await trio.lowlevel.checkpoint()
        if self.said is None:
            self.said = (code, reason)
        self.closed.set()
        self._put.close()

    # the test's end

    async def get(self) -> bytes | str:
        """The next message from the channel; raises trio.EndOfChannel once it has closed."""
        with trio.fail_after(10):
            return await self._get.receive()

    def leave(self, code: int = 1001, reason: str = "") -> None:
        """The client closes."""
        self.gone = (code, reason)
        self.closed.set()
        self.to_server.close()


@asynccontextmanager
async def running(upgrade: Upgrade) -> AsyncIterator[FakeSocket]:
    """Run a channel on a socket in memory; the block's end is the client's leaving."""
    socket = FakeSocket()
    async with trio.open_nursery() as nursery:

        async def served() -> None:
            try:
                await upgrade.run(cast("Socket", socket))
            except SocketClosed:
                pass
            finally:
                await socket.close(1000, "returned")

        nursery.start_soon(served)
        yield socket
        if not socket.closed.is_set():
            socket.leave()
        with trio.fail_after(10):
            while nursery.child_tasks:
                await trio.lowlevel.checkpoint()


@dataclass
class Wire:
    """A client's machine on a socket in memory."""

    socket: FakeSocket
    session: ClientSession
    got: bytes = b""
    messages: list[attach.ServerMessage] = field(default_factory=list)

    def begin(self) -> None:
        self.socket.to_server.send_nowait(self.session.begin())

    def say(self, message: Any) -> None:
        self.socket.to_server.send_nowait(self.session.send(message))

    async def next(self, *, take: bool = True) -> attach.ServerMessage:
        """The next message; ``take`` renews credit."""
        while True:
            message = self.session.receive(await self.socket.get())
            if message is None:
                continue
            self.messages.append(message)
            if isinstance(message, attach.Output):
                self.got += message.data
            if take:
                self.session.taken(message)
                if (credit := self.session.credit()) is not None:
                    self.socket.to_server.send_nowait(credit)
            return message

    async def until(self, kind: type[Message]) -> attach.ServerMessage:
        while not isinstance(message := await self.next(), kind):
            pass
        return message

    async def drain(self) -> None:
        """Everything up to the close."""
        try:
            while True:
                await self.next()
        except trio.EndOfChannel:
            pass

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.messages if isinstance(message, kind)]


class JobFiles:
    """Writes what a pump writes, in its order: the record of a run before its bytes."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._runs = (folder / "runs").open("ab", buffering=0)
        self._output = (folder / "output").open("ab", buffering=0)
        self._runs.write(records.pack_header(BOOT))
        self._stdout_bytes = 0
        self.data = b""
        self.runs: list[tuple[Kind, bytes]] = []

    def write(self, kind: Kind, data: bytes) -> None:
        self._runs.write(records.pack_run(len(self.data), records.boot_us(), self._stdout_bytes, kind))
        self._output.write(data)
        self.data += data
        self.runs.append((kind, data))
        self._stdout_bytes += len(data) if kind is Kind.STDOUT else 0

    def of(self, kind: Kind) -> bytes:
        return b"".join(data for each, data in self.runs if each is kind)

    def close(self) -> None:
        self._runs.close()
        self._output.close()


class Scene:
    """One job on a core, and its files."""

    def __init__(self, bench: Bench, job_id: str) -> None:
        self.core = bench.core
        self.engine = bench.engine
        self.store = bench.store
        self.job_id = job_id
        self._files: JobFiles | None = None

    @property
    def files(self) -> JobFiles:
        assert self._files is not None
        return self._files

    def start(self) -> None:
        self._files = JobFiles(self.engine.follow(self.job_id))
        self.core.report(self.job_id, Started(started_us=5, step=0))

    def end(self, **changes: Any) -> None:
        size = len(self._files.data) if self._files is not None else 0
        given: dict[str, Any] = {"how": "exit", "code": 0, "finished_us": 9, "output_bytes": size, **changes}
        self.core.report(self.job_id, Ended(**given))

    def close(self) -> None:
        if self._files is not None:
            self._files.close()


@asynccontextmanager
async def scene(bench: Bench, *, start: bool = True, **fields: Any) -> AsyncIterator[Scene]:
    job = await bench.core.submit(shell("true", **fields))
    found = Scene(bench, job.id)
    try:
        if start:
            found.start()
        yield found
    finally:
        found.close()
