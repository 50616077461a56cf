"""The link to the keeper: asks, and hears what it tells.

One connection at a time. What is posted leaves at once, in the order in which it was posted: no task stands between a
committed job and the request to start it. When the connection breaks, whoever waits for an answer hears so and may ask
again, which is harmless: the keeper decides by the job's id, once and for all.

Frames are a little-endian u32 length and JSON (see ``jobdeck_keeper``).
"""

from __future__ import annotations

import itertools
import json
import logging
import struct
from typing import TYPE_CHECKING, Any

import trio

from jobdeck_server.engines.starting import Starter, dial

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    Answered = Callable[["dict[str, Any] | None"], None]

_log = logging.getLogger("jobdeck.keeper")
_VERSION = 1
_FRAME_LIMIT_BYTES = 16 * 1024 * 1024
_RETRY_S = 0.05
_RETRY_LIMIT_S = 2.0
_FIRST_TRIES_COUNT = 5
_RECEIVE_BYTES = 64 * 1024
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
        self._starter = Starter(data_dir, cgroups=cgroups)
        self._numbers = itertools.count(1)
        self._waiting: dict[int, Answered] = {}
        self._sock: socket.socket | None = None
        self._outbox = bytearray()
        self._unsent = trio.Event()  # the outbox has what the socket would not take
        self._up = trio.Event()
        self._was_up = False

    @property
    def is_up(self) -> bool:
        """Whether the keeper has greeted."""
        return self._up.is_set()

    async def run(self) -> None:
        """Keep a connection until cancelled.

        Raises:
            OSError: There never was one, and a keeper cannot be started.
        """
        pause_s, failed_count = _RETRY_S, 0
        try:
            while True:
                try:
                    sock = await self._connect()
                except OSError as error:
                    failed_count += 1
                    if not self._was_up and failed_count >= _FIRST_TRIES_COUNT:
                        raise
                    _log.error("no keeper: %s", error)
                    await trio.sleep(pause_s)
                    pause_s = min(2 * pause_s, _RETRY_LIMIT_S)
                    continue
                pause_s, failed_count = _RETRY_S, 0
                with sock:
                    await self._serve(sock)
                _log.warning("the link to the keeper broke")
        finally:
            self._starter.let_go()

    def post(self, op: str, answered: Answered, **fields: object) -> None:
        """Ask the keeper; ``answered`` is called with its answer, or with None when the link breaks (or is broken)."""
        if self._sock is None:
            answered(None)
            return
        number = next(self._numbers)
        self._waiting[number] = answered
        data = json.dumps({"op": op, "n": number, **fields}, separators=(",", ":")).encode()
        self._outbox += _LENGTH.pack(len(data)) + data
        self._flush(self._sock)

    async def call(self, op: str, **fields: object) -> dict[str, Any]:
        """Ask the keeper once the link is up, and return its answer.

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

    async def _ask(self, op: str, **fields: object) -> dict[str, Any]:
        finished = trio.Event()
        answers: list[dict[str, Any] | None] = []

        def answered(answer: dict[str, Any] | None) -> None:
            answers.append(answer)
            finished.set()

        self.post(op, answered, **fields)
        await finished.wait()
        if answers[0] is None:
            raise LinkBrokenError
        if "error" in answers[0]:
            raise KeeperError(str(answers[0]["error"]))
        return answers[0]

    # -- one connection --

    async def _serve(self, sock: socket.socket) -> None:
        self._sock = sock
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._read, sock, nursery.cancel_scope)
                nursery.start_soon(self._write, sock)
                hello = await self._ask("hello", version=_VERSION, touch=self._touch)
                self._up.set()
                self._was_up = True
                await self._on_up(hello)
        except* (LinkBrokenError, KeeperError) as group:
            _log.warning("keeper: %s", group.exceptions[0])
        finally:
            self._sock = None
            if self._up.is_set():  # else its waiters go on waiting for the next connection
                self._up = trio.Event()
            self._outbox.clear()
            waiting, self._waiting = self._waiting, {}
            for answered in waiting.values():
                answered(None)

    def _flush(self, sock: socket.socket) -> None:
        """Send what the socket takes now; ``_write`` sends the rest."""
        try:
            del self._outbox[: sock.send(self._outbox)]
        except BlockingIOError:
            pass
        except OSError:
            self._outbox.clear()  # broken: ``_read`` sees it too and ends the connection
        if self._outbox:
            self._unsent.set()

    async def _write(self, sock: socket.socket) -> None:
        while True:
            await self._unsent.wait()
            self._unsent = trio.Event()
            while self._outbox:
                await trio.lowlevel.wait_writable(sock)
                self._flush(sock)

    async def _read(self, sock: socket.socket, scope: trio.CancelScope) -> None:
        """Take frames until the connection ends, then end the connection's tasks."""
        buffer = bytearray()
        try:
            while True:
                await trio.lowlevel.wait_readable(sock)
                data = sock.recv(_RECEIVE_BYTES)
                if not data:
                    break
                buffer += data
                for message in _frames(buffer):
                    self._take(message)
        except (OSError, ValueError) as error:
            _log.info("keeper: %s", error)
        scope.cancel()

    def _take(self, message: dict[str, Any]) -> None:
        if "ev" in message:
            self._on_event(message)
            return
        answered = self._waiting.pop(message.get("re", 0), None)
        if answered is not None:
            answered(message)

    async def _connect(self) -> socket.socket:
        try:
            return dial(self._data_dir)
        except OSError:
            await trio.to_thread.run_sync(self._starter.start)
            return dial(self._data_dir)


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
