"""The link to the keeper: starts it when there is none, asks, and hears what it tells.

One connection at a time. A request waits until there is one; when it breaks, every request that waits for an answer
gets ``LinkBrokenError`` and may be asked again, which is harmless: the keeper decides by the job's id, once and for
all. Frames are a little-endian u32 length and JSON (see ``jobdeck_keeper``). The socket's path is taken through
``/proc/self/fd``, since it may be longer than a socket's address allows.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import select
import struct
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import trio

import jobdeck_keeper

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_log = logging.getLogger("jobdeck.keeper")
_VERSION = 1
_FRAME_LIMIT_BYTES = 16 * 1024 * 1024
_START_LIMIT_S = 20.0
_RETRY_S = 0.05
_RETRY_LIMIT_S = 2.0
_FIRST_TRIES_COUNT = 5
_RECEIVE_BYTES = 256 * 1024
_LENGTH = struct.Struct("<I")


class LinkBrokenError(Exception):
    """The keeper went away before it answered."""


class KeeperError(Exception):
    """The keeper refused a request; its words."""


class KeeperLink:
    """See the top of this file.

    Args:
        data_dir: Where the keeper lives.
        on_event: Called with each event, on the trio thread.
        on_up: Awaited with the answer to ``hello`` each time a connection is up; requests may be made in it.
        touch: Pumps are to touch the output's times (inotify does not hear splice here).
        cgroups: Let the keeper use cgroups where it can.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        on_event: Callable[[dict[str, Any]], None],
        on_up: Callable[[dict[str, Any]], Awaitable[None]],
        touch: bool,
        cgroups: bool = True,
    ) -> None:
        self._data_dir = data_dir
        self._on_event = on_event
        self._on_up = on_up
        self._touch = touch
        self._cgroups = cgroups
        self._numbers = itertools.count(1)
        self._waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = {}
        self._stream: trio.SocketStream | None = None
        self._send_lock = trio.Lock()
        self._up = trio.Event()
        self._was_up = False
        self._started: list[subprocess.Popen[bytes]] = []

    async def run(self) -> None:
        """Keep a connection until cancelled.

        Raises:
            OSError: There never was one, and a keeper cannot be started.
        """
        pause_s, failed_count = _RETRY_S, 0
        while True:
            try:
                stream = await self._connect()
            except OSError as error:
                failed_count += 1
                if not self._was_up and failed_count >= _FIRST_TRIES_COUNT:
                    raise
                _log.error("no keeper: %s", error)
                await trio.sleep(pause_s)
                pause_s = min(2 * pause_s, _RETRY_LIMIT_S)
                continue
            pause_s, failed_count = _RETRY_S, 0
            async with stream:
                await self._serve(stream)
            _log.warning("the link to the keeper broke")

    async def call(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask the keeper and return its answer.

        Raises:
            LinkBrokenError: It went away; ask again.
            KeeperError: It refused.
        """
        await self._up.wait()
        return await self._ask(op, **fields)

    async def insist(self, op: str, **fields: object) -> dict[str, Any]:
        """``call``, again and again until it is answered."""
        while True:
            try:
                return await self.call(op, **fields)
            except LinkBrokenError:
                await trio.sleep(_RETRY_S)

    # -- one connection --

    async def _serve(self, stream: trio.SocketStream) -> None:
        self._stream = stream
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, stream, nursery.cancel_scope)
                hello = await self._ask("hello", version=_VERSION, touch=self._touch)
                self._up.set()
                self._was_up = True
                await self._on_up(hello)
        except* (LinkBrokenError, KeeperError) as group:
            _log.warning("keeper: %s", group.exceptions[0])
        finally:
            self._stream = None
            if self._up.is_set():  # else its waiters go on waiting for the next connection
                self._up = trio.Event()
            waiting, self._waiting = self._waiting, {}
            for channel in waiting.values():
                channel.close()

    async def _ask(self, op: str, **fields: object) -> dict[str, Any]:
        stream = self._stream
        if stream is None:
            raise LinkBrokenError
        number = next(self._numbers)
        sender, receiver = trio.open_memory_channel[dict[str, Any]](1)
        self._waiting[number] = sender
        data = json.dumps({"op": op, "n": number, **fields}, separators=(",", ":")).encode()
        try:
            async with self._send_lock:
                await stream.send_all(_LENGTH.pack(len(data)) + data)
            answer = await receiver.receive()
        except (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel) as error:
            raise LinkBrokenError from error
        finally:
            self._waiting.pop(number, None)
        if "error" in answer:
            raise KeeperError(str(answer["error"]))
        return answer

    async def _read(self, stream: trio.SocketStream, scope: trio.CancelScope) -> None:
        """Take frames until the connection ends, then end the connection's tasks."""
        buffer = bytearray()
        try:
            while data := await stream.receive_some(_RECEIVE_BYTES):
                buffer += data
                for message in _frames(buffer):
                    self._take(message)
        except (trio.BrokenResourceError, trio.ClosedResourceError, ValueError) as error:
            _log.info("keeper: %s", error)
        scope.cancel()

    def _take(self, message: dict[str, Any]) -> None:
        if "ev" in message:
            self._on_event(message)
            return
        sender = self._waiting.pop(message.get("re", 0), None)
        if sender is not None:
            sender.send_nowait(message)

    # -- connecting and starting --

    async def _connect(self) -> trio.SocketStream:
        try:
            return await self._dial()
        except OSError:
            await trio.to_thread.run_sync(self._start_keeper)
            return await self._dial()

    async def _dial(self) -> trio.SocketStream:
        sock = trio.socket.socket(trio.socket.AF_UNIX, trio.socket.SOCK_STREAM)
        folder = os.open(self._data_dir, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            await sock.connect(f"/proc/self/fd/{folder}/keeper.sock")
        except BaseException:
            sock.close()
            raise
        finally:
            os.close(folder)
        return trio.SocketStream(sock)

    def _start_keeper(self) -> None:
        """Start a keeper and wait until it listens. Blocks.

        Raises:
            OSError: It did not come up.
        """
        for old in self._started:
            old.poll()
        flags = [] if self._cgroups else ["--no-cgroup"]
        package = str(Path(jobdeck_keeper.__file__).parent)
        with (self._data_dir / "keeper.log").open("ab") as log:
            process = subprocess.Popen(  # our own program
                [sys.executable, "-I", "-S", package, str(self._data_dir), *flags],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                cwd="/",
                env={"LANG": "C.UTF-8"},  # nothing of the server's environment may reach a job
                start_new_session=True,
            )
        self._started = [old for old in self._started if old.returncode is None] + [process]
        assert process.stdout is not None
        with process.stdout as answer:
            word = _read_line(answer.fileno(), _START_LIMIT_S)
        if word not in (b"ready", b"busy"):
            raise OSError(f"the keeper did not start, see {self._data_dir / 'keeper.log'}")


def _read_line(fd: int, limit_s: float) -> bytes:
    poller = select.poll()
    poller.register(fd, select.POLLIN)
    line = b""
    while not line.endswith(b"\n") and poller.poll(limit_s * 1000):
        data = os.read(fd, 64)
        if not data:
            break
        line += data
    return line.strip()


def _frames(buffer: bytearray) -> list[dict[str, Any]]:
    """Cut whole frames off the front of a buffer.

    Raises:
        ValueError: A frame is over the limit or is not JSON.
    """
    messages = []
    at = 0
    while len(buffer) - at >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer, at)
        if length > _FRAME_LIMIT_BYTES:
            raise ValueError(f"a frame of {length} bytes")
        if len(buffer) - at < _LENGTH.size + length:
            break
        at += _LENGTH.size
        messages.append(json.loads(buffer[at : at + length]))
        at += length
    del buffer[:at]
    return messages
