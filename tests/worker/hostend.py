"""The server's end of the worker channel as a model: one ``WorkerHost`` behind a real WebSocket, its disk in memory.

Between it and the worker stands a relay that cuts the connection, or lets nothing through any more.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, WebSocketRequest, serve_websocket

from jobdeck_client.nursery import helpers
from jobdeck_protocol import RemoteWireError
from jobdeck_protocol.errors import CLOSE_REPLACED
from jobdeck_protocol.worker import SUBPROTOCOL, Beat, Bye, Drain, Hello, hello_of
from jobdeck_protocol.workerevents import (
    Append,
    Gap,
    Greeted,
    HostEvent,
    InputKept,
    Missing,
    ReadInput,
    SignalDone,
    Stranger,
)
from jobdeck_protocol.workerhost import WorkerHost
from jobdeck_protocol.workerreports import Ended, State
from jobdeck_server.worker.bell import Bell


@dataclass
class Copy:
    """What the server has of one job."""

    output: bytearray = field(default_factory=bytearray)
    runs: bytearray = field(default_factory=bytearray)
    input: bytearray = field(default_factory=bytearray)
    input_kept: int = 0
    states: list[State] = field(default_factory=list)
    ends: list[Ended] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)


class HostEnd:
    def __init__(self, *, beat_s: float = 5.0, window_bytes: int = 1 << 20) -> None:
        self.beat_s = beat_s
        self.window_bytes = window_bytes
        self.bell = Bell()
        self.lives = [str(uuid.uuid4())]
        self.last_life: str | None = None
        self.host: WorkerHost | None = None
        self.copies: dict[str, Copy] = {}
        self.missing: list[str] = []
        self.signals: dict[int, bool | None] = {}
        self.hellos: list[Hello] = []
        self.told: list[Beat | Drain | Bye] = []
        self.faults: list[RemoteWireError] = []
        self.tokens: list[str] = []
        self.status: int | None = None  # refuse the handshake
        self.close: tuple[int, str] | None = None  # close what was accepted
        self.keep = False  # do not say that ends are on disk
        self.forgetting = False  # have jobs forgotten that are not known here
        self.restored = False
        self.port = 0
        self._waiting: list[Callable[[WorkerHost], object]] = []

    def copy(self, job_id: str) -> Copy:
        return self.copies.setdefault(job_id, Copy())

    def lose_memory(self) -> None:
        """Another life of the server, restored from a backup in which nothing stood."""
        self.lives, self.last_life, self.host, self.restored = [str(uuid.uuid4())], None, None, True
        self.copies.clear()

    def say(self, order: Callable[[WorkerHost], object]) -> None:
        """Give an order, now or once a worker has come."""
        if self.host is None:
            self._waiting.append(order)
        else:
            order(self.host)
            self.bell.ring()

    def start(self, job_id: str, spec: bytes) -> None:
        self.copy(job_id)
        self.say(lambda host: host.jobs.start(job_id, spec))

    async def until(self, true: Callable[[], object], limit_s: float = 30.0) -> None:
        """Wait until something that a worker says has made it so."""
        with trio.fail_after(limit_s):
            while True:
                event = self.bell.event
                if true():
                    return
                with trio.move_on_after(0.2):  # what the worker does beside saying something rings no bell here
                    await event.wait()

    async def ended(self, job_id: str) -> Ended:
        await self.until(lambda: self.copy(job_id).ends)
        return self.copy(job_id).ends[0]

    async def running(self, job_id: str) -> None:
        await self.until(lambda: any(state.started_us for state in self.copy(job_id).states))

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        async with trio.open_nursery() as nursery:
            serve = partial(serve_websocket, self._handle, "127.0.0.1", self.port, None, message_queue_size=1)
            server = await nursery.start(partial(serve, max_message_size=1 << 20))
            self.port = server.port
            task_status.started()

    # -- one connection --

    async def _handle(self, request: WebSocketRequest) -> None:
        self.tokens += [value.decode() for name, value in request.headers if name == b"authorization"]
        self.bell.ring()
        if self.status is not None:
            await request.reject(self.status, extra_headers=[(b"content-type", b"text/plain")], body=b"not you")
            return
        ws = await request.accept(subprotocol=SUBPROTOCOL)
        if self.close is not None:
            await ws.aclose(*self.close)
            return
        try:
            await self._talk(ws)
        except RemoteWireError as error:
            if error.close_code != CLOSE_REPLACED:  # what an older connection still brings is no fault
                self.faults.append(error)
            await ws.aclose(error.close_code, str(error)[:100])
        except ConnectionClosed:
            pass
        self.bell.ring()

    async def _talk(self, ws: WebSocketConnection) -> None:
        hello = hello_of(await ws.get_message())
        self.hellos.append(hello)
        host = self._host_of(hello)
        link, events = host.connect(hello, trio.current_time())
        try:
            self._heed(host, events)
            async with helpers() as nursery:
                nursery.start_soon(self._say_all, host, ws, link)
                while True:
                    self._heed(host, host.receive(link, await ws.get_message(), trio.current_time()))
                    self.bell.ring()
        finally:
            self._heed(host, host.disconnected(link))

    def _host_of(self, hello: Hello) -> WorkerHost:
        if self.host is None:
            self.host = WorkerHost(
                hello.worker,
                server_life=self.lives[-1],
                server_lives=self.lives,
                last_life=self.last_life,
                now_s=trio.current_time(),
                window_bytes=self.window_bytes,
                beat_s=self.beat_s,
                restored=self.restored,
            )
            for order in self._waiting:
                order(self.host)
            self._waiting.clear()
        return self.host

    async def _say_all(self, host: WorkerHost, ws: WebSocketConnection, link: int) -> None:
        try:
            while True:
                event = self.bell.event
                while (item := host.send(link, trio.current_time())) is not None:
                    if isinstance(item, ReadInput):
                        data = bytes(self.copy(item.job_id).input[item.offset : item.offset + item.length])
                        item = host.fill(item, data)
                    if item is not None:
                        await ws.send_message(item)
                with trio.move_on_after(self.beat_s / 4):
                    await event.wait()
        except ConnectionClosed:
            return

    def _heed(self, host: WorkerHost, events: list[HostEvent]) -> None:
        for event in events:
            match event:
                case Greeted():
                    self.last_life = event.hello.life
                    host.welcome(event.link)
                case Append():
                    self._append(host, event)
                case State():
                    self.copy(event.job_id).states.append(event)
                case Ended():
                    self._ended(host, event)
                case Gap():
                    self.copy(event.job_id).gaps.append(event)
                case Stranger():
                    self._stranger(host, event)
                case Missing():
                    self.missing.append(event.job_id)
                case SignalDone():
                    self.signals[event.number] = event.done
                case InputKept():
                    self.copy(event.job_id).input_kept = event.upto
                case Beat() | Drain() | Bye():
                    self.told.append(event)

    def _append(self, host: WorkerHost, event: Append) -> None:
        copy = self.copy(event.job_id)
        assert (len(copy.output), len(copy.runs)) == event.at
        copy.runs += event.runs
        copy.output += event.data
        host.jobs.taken(event)
        host.jobs.synced(event.job_id, output=len(copy.output), runs=len(copy.runs))

    def _ended(self, host: WorkerHost, event: Ended) -> None:
        self.copy(event.job_id).ends.append(event)
        if not self.keep:
            host.jobs.recorded(event.job_id)

    def _stranger(self, host: WorkerHost, event: Stranger) -> None:
        job_id = event.kept.job_id
        if self.forgetting:
            host.jobs.forget(job_id)
        elif self.copy(job_id).ends and not self.keep:
            host.jobs.release(job_id)
        else:
            copy = self.copy(job_id)
            host.jobs.follow(job_id, output=len(copy.output), runs=len(copy.runs), input_kept=event.kept.input)


class Relay:
    """Between worker and server. ``limit_bytes`` of what comes from the worker, and the connection breaks."""

    def __init__(self) -> None:
        self.port = 0
        self.to_port = 0
        self._thawed = trio.Event()
        self._thawed.set()
        self.limit_bytes: int | None = None
        self.count = 0
        self._streams: list[trio.SocketStream] = []

    async def run(self, to_port: int, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self.to_port = to_port
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._handle, [listener])

    def freeze(self) -> None:
        """Let nothing through any more, until a new connection comes."""
        self._thawed = trio.Event()

    async def cut(self) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)
        self._streams.clear()

    async def _handle(self, worker: trio.SocketStream) -> None:
        self.count += 1
        self._thawed.set()
        try:
            server = await trio.open_tcp_stream("127.0.0.1", self.to_port)
        except OSError:
            return
        self._streams += [worker, server]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._pass, worker, server, True)
            await self._pass(server, worker, False)
            nursery.cancel_scope.cancel()
        await trio.aclose_forcefully(server)

    async def _pass(self, source: trio.SocketStream, sink: trio.SocketStream, from_worker: bool) -> None:
        passed = 0
        try:
            async for data in source:
                await self._thawed.wait()
                passed += len(data)
                await sink.send_all(data)
                if from_worker and self.limit_bytes is not None and passed >= self.limit_bytes:
                    break
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        await trio.aclose_forcefully(source)
        await trio.aclose_forcefully(sink)
