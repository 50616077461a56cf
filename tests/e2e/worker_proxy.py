"""A link that breaks at will: a TCP proxy between a worker (or a client) and the server; TLS passes through unread.

What networks do, each for the connections that there are and for new ones while it lasts:

    cut RST     both ends see a reset, as when a machine in between has lost its state
    cut FIN     both ends see the end of the stream, with nothing closed in good order above it
    hold        nothing moves and nothing is closed, in one direction or both; later all comes after all: packets were
                lost and are sent again
    swallow     what is sent is lost for good, and nobody is told; when it is over, whoever lost something is reset
    delay       all is late
    shut        all is cut, and whoever comes is, too

TCP never goes on after a hole in the bytes, so neither does this: a connection that lost bytes never carries another.
"""

from __future__ import annotations

import contextlib
import socket
import struct
from enum import Enum

import trio

_PIECE_BYTES = 64 * 1024
_LINGER_S = 1.0
_LOSE = struct.pack("ii", 1, 0)


class Cut(Enum):
    """How a connection is ended."""

    RST = "rst"
    FIN = "fin"


class Flow(Enum):
    """What becomes of the bytes of one direction."""

    PASS = "through"
    HOLD = "hold"
    SWALLOW = "swallow"


class Way:
    """One direction.

    Attributes:
        flow: What becomes of its bytes now.
        delay_s: How late each piece is.
    """

    def __init__(self) -> None:
        self.flow = Flow.PASS
        self.delay_s = 0.0
        self._changed = trio.Event()

    def set(self, flow: Flow) -> None:
        """Change it."""
        self.flow = flow
        self._changed.set()
        self._changed = trio.Event()

    async def moving(self) -> None:
        """Wait while it is held."""
        while self.flow is Flow.HOLD:
            await self._changed.wait()


class Proxy:
    """One listener, and all connections through it.

    Args:
        target: Host and port of the server.
        host: Where to listen; the port is any free one.

    Attributes:
        port: Where it listens, once ``run`` has said that it has started.
        up: The direction to the server.
        down: The direction from it.
        shut: New connections are reset at once.
        connections_count: How many there have been.
    """

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1") -> None:
        self.port = 0
        self.up, self.down = Way(), Way()
        self.shut = False
        self.connections_count = 0
        self._target, self._host = target, host
        self._pipes: set[_Pipe] = set()

    def __repr__(self) -> str:
        return f"<Proxy {self.port} open={len(self._pipes)} up={self.up.flow.value} down={self.down.flow.value}>"

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; what is open then is reset."""
        (listener,) = await trio.open_tcp_listeners(0, host=self._host)
        self.port = listener.socket.getsockname()[1]
        await trio.serve_listeners(self._serve, [listener], task_status=_Started(task_status))

    def cut(self, how: Cut) -> int:
        """End all connections; returns how many."""
        pipes = list(self._pipes)
        for pipe in pipes:
            pipe.end(how)
        return len(pipes)

    async def trouble(self, flow: Flow, *, up: bool, down: bool, for_s: float) -> None:
        """Hold or swallow one direction or both for a while."""
        ways = [way for way, wanted in ((self.up, up), (self.down, down)) if wanted]
        for way in ways:
            way.set(flow)
        try:
            await trio.sleep(for_s)
        finally:
            for way in ways:
                way.set(Flow.PASS)
            for pipe in list(self._pipes):
                if pipe.torn:
                    pipe.end(Cut.RST)

    async def _serve(self, near: trio.SocketStream) -> None:
        self.connections_count += 1
        if self.shut:
            await _reset(near)
            return
        try:
            far = await trio.open_tcp_stream(*self._target)
        except OSError:
            await _reset(near)
            return
        pipe = _Pipe(near, far)
        self._pipes.add(pipe)
        try:
            await pipe.run(self.up, self.down)
        finally:
            self._pipes.discard(pipe)


class _Started:
    """A task status that tells nothing of the listeners."""

    def __init__(self, inner: trio.TaskStatus[None]) -> None:
        self._inner = inner

    def started(self, _listeners: object = None) -> None:
        self._inner.started()


class _Pipe:
    """One connection through the proxy.

    Attributes:
        torn: It has lost bytes.
    """

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream) -> None:
        self.torn = False
        self._near, self._far = near, far
        self._how = Cut.RST
        self._scope = trio.CancelScope()

    def end(self, how: Cut) -> None:
        """End it."""
        self._how = how
        self._scope.cancel()

    async def run(self, up: Way, down: Way) -> None:
        """Carry bytes until both directions have ended, or one of them has broken."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._carry, self._near, self._far, up)
                    nursery.start_soon(self._carry, self._far, self._near, down)
                self._how = Cut.FIN
        finally:
            with trio.CancelScope(shield=True):
                for stream in (self._near, self._far):
                    await (_finish(stream) if self._how is Cut.FIN else _reset(stream))

    async def _carry(self, source: trio.SocketStream, sink: trio.SocketStream, way: Way) -> None:
        try:
            while True:
                await way.moving()
                data = await source.receive_some(_PIECE_BYTES)
                await trio.sleep(way.delay_s)
                await way.moving()
                if way.flow is Flow.SWALLOW or self.torn:
                    self.torn = True
                    if not data:
                        await trio.sleep_forever()  # nobody is told of the end either
                elif data:
                    await sink.send_all(data)
                else:
                    await sink.send_eof()
                    return
        except (OSError, trio.BrokenResourceError):
            self.end(Cut.RST)


async def _reset(stream: trio.SocketStream) -> None:
    with contextlib.suppress(OSError):
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LOSE)
    await trio.aclose_forcefully(stream)


async def _finish(stream: trio.SocketStream) -> None:
    """End our direction, and read what still comes: closing with unread bytes would be a reset."""
    with contextlib.suppress(OSError, trio.BrokenResourceError), trio.move_on_after(_LINGER_S):
        await stream.send_eof()
        while await stream.receive_some(_PIECE_BYTES):
            pass
    await trio.aclose_forcefully(stream)
